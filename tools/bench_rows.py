"""What tools/bench measures, and the rows that it makes of it."""

from collections import namedtuple

from bench_report import Row

SENDERS = 20  # of `offline`, in both load programs

# key: what --only takes. arguments: of the load programs. quick: what --quick has instead; None:
# left out of it. system: the only one that is measured, or None. rounds: at the most, or None.
Measurement = namedtuple("Measurement", "key case arguments quick system rounds",
                         defaults=(None, None))  # fmt: skip

TIMED = {"seconds": 5, "warm-up": 1}
TIMED_QUICK = {"seconds": 1, "warm-up": 0.5}
AWAY = {"pairs": 10_000, "messages": 100}
AWAY_QUICK = {"pairs": 1_000}
STORM = {"processes": 2, "pairs": 100, "rate": 5_000, "sessions": 2_000, "seconds": 10, "warm-up": 2}
STORM_QUICK = {"seconds": 3, "warm-up": 1}
UNDER_WAY = 10_000  # envelopes of all mailboxes together, however many these are
# Exponents of ten. Those behind *_QUICK_MAX are left out of --quick, the last ones played once.
QUEUES, QUEUES_QUICK_MAX = (3, 4, 5, 6, 7), 5
DEVICES = (2, 3, 4)
DIRECTORIES, DIRECTORIES_QUICK_MAX = (2, 4, 6), 4
LOOPS = (1, 2)
WINDOWS = (1, 32)

COMPARED = [
    Measurement("one-pair", "pairs", {"pairs": 1, "window": 1, **TIMED}, TIMED_QUICK),
    Measurement("pairs-100-1", "pairs", {"pairs": 100, "window": 1, **TIMED}, TIMED_QUICK),
    Measurement("pairs-100-32", "pairs", {"pairs": 100, "window": 32, **TIMED}, TIMED_QUICK),
    # Takes its rate from the one before it, of the same system.
    Measurement("half-rate", "pairs", {"pairs": 100, "window": 32, **TIMED}, TIMED_QUICK),
    Measurement("pairs-2000-32", "pairs", {"pairs": 2_000, "window": 32, **TIMED}, TIMED_QUICK),
    Measurement("offline", "offline", {**AWAY, "order": "in"}, AWAY_QUICK),
    Measurement("offline-random", "offline", {**AWAY, "order": "random"}, AWAY_QUICK),
    Measurement("fan-out-200", "fanout", {"group": 200, **TIMED}, TIMED_QUICK),
    Measurement("fan-out-1024", "fanout", {"group": 1_024, **TIMED}, TIMED_QUICK),
    Measurement("idle", "idle", {"sessions": 19_000}, {"sessions": 4_000}),
]


def storm(name, logins):
    return Measurement(f"storm-{name}", "storm", {**STORM, "churn": logins}, STORM_QUICK, "godwit")


def growth(key, case, arguments, quick, once=False):
    return Measurement(f"growth-{key}", case, arguments, quick, "godwit", 1 if once else None)


def growth_fill(key, devices, queued, quick, once=False):
    """`quick`: envelopes queued with --quick; None: left out of it."""
    arguments = {"pairs": devices, "messages": queued // devices, "window": UNDER_WAY // devices,
                 "seconds": 600}  # fmt: skip
    return growth(key, "offline", arguments, quick and {"messages": quick // devices}, once)


MEASUREMENTS = [
    *COMPARED,
    storm("quiet", 0),
    storm("2000", 2_000),
    *(
        growth_fill(f"queue-1e{n}", 1_000, 10**n, 10**n if n <= QUEUES_QUICK_MAX else None,
                    once=n == QUEUES[-1])
        for n in QUEUES
    ),
    *(growth_fill(f"devices-1e{n}", 10**n, 10**6, 10**5) for n in DEVICES),
    *(
        growth(f"directory-1e{n}", "directory", {"devices": 10**n, "pairs": 100, **TIMED},
               TIMED_QUICK if n <= DIRECTORIES_QUICK_MAX else None, once=n == DIRECTORIES[-1])
        for n in DIRECTORIES
    ),
    *(
        growth(f"loops-{loops}-window-{window}", "pairs",
               {"pairs": 100, "window": window, "relay-set": f"network.loops={loops}", **TIMED},
               TIMED_QUICK)
        for window in WINDOWS
        for loops in LOOPS
    ),
]  # fmt: skip
GROUPS = ["growth", "growth-queue", "growth-devices", "growth-directory", "growth-loops", "storm"]
RATE_OF = {"half-rate": "pairs-100-32"}

RATE, CPU = "delivered_per_s", "relay_cpu_s_per_million"
CLIENT_CPU, DRAIN_CPU = "client_cpu_s_per_million", "drain_relay_cpu_s_per_million"
MEMORY_EACH, STORE = "relay_bytes_per_queued_envelope", "relay_store_bytes"
MEBIBYTE = 2**-20
COMPARED_ROWS = [
    Row("one-pair", "one pair, window 1: delivery p50", "p50_us", "us", "less", 100),
    Row("one-pair", "one pair, window 1: delivery p99", "p99_us", "us", "less", None),
    Row("one-pair", "one pair, window 1: accepted p50", "accepted_p50_us", "us", "less", 250),
    Row("pairs-100-1", "100 pairs, window 1", RATE, "msgs/s", "more", "mosquitto"),
    Row("pairs-100-1", "100 pairs, window 1: broker", CPU, "CPU-s/M", "less", 18),
    Row("pairs-100-1", "100 pairs, window 1: load program", CLIENT_CPU, "CPU-s/M", "less", None),
    Row("pairs-100-32", "100 pairs, window 32", RATE, "msgs/s", "more", "redis"),
    Row("pairs-100-32", "100 pairs, window 32: broker", CPU, "CPU-s/M", "less", 6),
    Row("half-rate", "100 pairs, half of that rate: accepted p99.9", "accepted_p999_us", "us",
        "less", None),
    Row("pairs-2000-32", "2,000 pairs, window 32", RATE, "msgs/s", "more", "redis"),
    Row("pairs-2000-32", "2,000 pairs, window 32: broker", CPU, "CPU-s/M", "less", None),
    Row("offline", "offline: enqueue", "accepted_per_s", "msgs/s", "more", 150_000),
    Row("offline", "offline: enqueue: broker", CPU, "CPU-s/M", "less", None),
    Row("offline", "offline: drain + delete, devices in order", RATE, "msgs/s", "more", 130_000),
    Row("offline-random", "offline: drain + delete, devices at random", RATE, "msgs/s", "more",
        80_000),
    Row("offline", "memory per queued message", MEMORY_EACH, "B", "less", 64),
    Row("offline", "offline: data.mdb at its peak", STORE, "MiB", "less", None, scale=MEBIBYTE),
    Row("offline-random", "offline, devices at random: data.mdb at its peak", STORE, "MiB", "less",
        None, scale=MEBIBYTE),
    Row("fan-out-200", "fan-out to 200 online members", RATE, "deliveries/s", "more", 150_000),
    Row("fan-out-200", "fan-out to 200 online members: broker", CPU, "CPU-s/M", "less", None),
    Row("fan-out-1024", "fan-out to 1,024 online members", RATE, "deliveries/s", "more", None),
    Row("fan-out-1024", "fan-out to 1,024 online members: broker", CPU, "CPU-s/M", "less", None),
    Row("idle", "memory per idle session", "relay_bytes_per_session", "B", "less", 1_500),
    Row("idle", "logins", "logins_per_s", "per s", "more", None),
]

# Each the storm beside the quiet, and what of the quiet one the storm is.
STORM_ROWS = [
    Row("storm-quiet", "2,000 sessions, quiet: delivery p99", "p99_us", "us", "less", None),
    Row("storm-2000", "the same, 2,000 logins/s: delivery p99", "p99_us", "us", "less", None),
    Row("storm-2000", "delivery p99: of the quiet one", "p99_us", "times", "less", 3,
        over="storm-quiet"),
    Row("storm-quiet", "2,000 sessions, quiet: accepted p99", "accepted_p99_us", "us", "less",
        None),
    Row("storm-2000", "the same, 2,000 logins/s: accepted p99", "accepted_p99_us", "us", "less",
        None),
    Row("storm-2000", "accepted p99: of the quiet one", "accepted_p99_us", "times", "less", None,
        over="storm-quiet"),
    Row("storm-2000", "logins during the storm", "logins_per_s", "per s", "more", None),
]  # fmt: skip

# One figure after the other, so that each is read down its column.
FILL_FIGURES = [
    ("fill", CPU, "CPU-s/M", 1),
    ("drain", DRAIN_CPU, "CPU-s/M", 1),
    ("memory each", MEMORY_EACH, "B", 1),
    ("data.mdb at its peak", STORE, "MiB", MEBIBYTE),
]
DIRECTORY_FIGURES = [
    *((f"window {window}", f"window_{window}_{CPU}", "CPU-s/M", 1) for window in WINDOWS),
    *((f"window {window}", f"window_{window}_{RATE}", "msgs/s", 1) for window in WINDOWS),
    ("start until ready", "start_s", "ms", 1e3),
    ("private memory after the start", "relay_private_bytes", "MiB", MEBIBYTE),
    ("private memory per device", "relay_bytes_per_device", "B", 1),
    ("pages in use", "relay_store_used_bytes", "MiB", MEBIBYTE),
]


def growth_rows(key, title, exponents, figures):
    return [
        Row(f"growth-{key}-1e{n}", f"10^{n} {title}: {what}", field, unit,
            "more" if field.endswith(RATE) else "less", None, scale=scale)
        for what, field, unit, scale in figures
        for n in exponents
    ]  # fmt: skip


LOOP_ROWS = [
    Row(f"growth-loops-{loops}-window-{window}",
        f"{loops} loop{'s' * (loops > 1)}: 100 pairs, window {window}", field, unit, better, None)
    for window in WINDOWS
    for field, unit, better in ((CPU, "CPU-s/M", "less"), (RATE, "msgs/s", "more"))
    for loops in LOOPS
]  # fmt: skip

ROWS = [
    *COMPARED_ROWS,
    *STORM_ROWS,
    *growth_rows("queue", "queued", QUEUES, FILL_FIGURES),
    *growth_rows("devices", "devices away", DEVICES, FILL_FIGURES),
    *growth_rows("directory", "registered devices", DIRECTORIES, DIRECTORY_FIGURES),
    *LOOP_ROWS,
]
