"""A relay with small limits, for whom no address is under none."""

import time
import unittest

from delivery import recipient
from identity import Account
from refusals import register_fields
from sodium import random
from stage import Stage
from wire import CODES, Ended, RelayRefused


class Small(Stage):
    """Limits of Welcome that an operator has set."""

    CONFIG = {"envelope_size_max": '"8 KiB"', "text_size_max": '"2 KiB"', "ttl_max": '"1 hour"',
              "ttl_default": '"30 minutes"', "mailbox_envelopes_max": 8, "window_envelopes": 4,
              "window_bytes": '"8 KiB"', "submits_in_flight_max": 2, "devices_max": 1}

    def outcome(self, messenger, account, body, **changes):
        fields = {"request_id": random(16), "ttl_s": 0, "recipients": [recipient(account)],
                  "body_sizes": [len(body)], "bodies": body}
        return messenger.connection.ask("Submit", **{**fields, **changes})[1]["outcomes"][0]

    def test_the_limits_are_told_and_kept(self):
        messenger = self.messenger()
        limits = self.login_again(messenger)["limits"]
        self.assertEqual(
            [limits[name] for name in ("envelope_size_max", "text_size_max", "ttl_max_s",
                                       "ttl_default_s", "mailbox_envelopes_max",
                                       "window_envelopes", "window_bytes",
                                       "submits_in_flight_max", "devices_max")],
            [8192, 2048, 3600, 1800, 8, 4, 8192, 2, 1])
        for body, changes in ((bytes(8193), {}), (b"x", {"ttl_s": 3601})):
            with self.subTest(**changes), self.assertRaises(RelayRefused) as caught:
                self.outcome(messenger, messenger.account, body, **changes)
            self.assertEqual(caught.exception.code, "too_large")

    def test_one_envelope_is_always_allowed_and_no_more_than_the_window(self):
        messenger, other = self.messenger(), self.messenger()
        bodies = [random(8192), random(7000), random(1000), random(200)]
        for body in bodies:
            self.assertEqual(self.outcome(messenger, other.account, body)["code"], 0)
        connection = other.connection
        for expected in (1, 2, 1):
            connection.wait_for(lambda expected=expected: [
                kind for kind, _ in connection.events].count("Deliver") >= expected)
            connection.ask("Ping")
            events = connection.take_events("Deliver")
            self.assertEqual([one["envelope"] for one in events], bodies[:expected])
            del bodies[:expected]
            other.ack(upto=events[-1]["number"])
        self.assertEqual(bodies, [])

    def test_a_full_mailbox(self):
        messenger, other = self.messenger(), self.messenger()
        other.connection.close()
        outcomes = [self.outcome(messenger, other.account, random(9)) for _ in range(9)]
        self.assertEqual([CODES[one["code"]] for one in outcomes],
                         ["ok"] * 8 + ["mailbox_full"])
        self.assertEqual(outcomes[8]["retry_after_ms"], 60000)

    def test_submits_that_wait_for_an_answer(self):
        messenger, other = self.messenger(), self.messenger()
        other.connection.close()
        body = random(9)
        with self.standing_still():
            numbers = [messenger.connection.post(
                "Submit", request_id=random(16), ttl_s=0, recipients=[recipient(other.account)],
                body_sizes=[len(body)], bodies=body) for _ in range(30)]
        codes = set()
        for number in numbers:
            try:
                messenger.connection.answer(number)
            except RelayRefused as refused:
                codes.add((refused.code, refused.retry_after_ms))
        self.assertEqual(codes, {("busy", 200)})


class Rates(Stage):
    CONFIG = {"unlimited_from": "[]", "registrations_per_hour": 20, "submits_burst": 100,
              "submits_per_s": 1, "mailbox_envelopes_max": 80}

    def assert_rate(self, count, ask):
        """So many are answered, and the next one is refused as too many."""
        for _ in range(count):
            ask()
        with self.assertRaises(RelayRefused) as caught:
            for _ in range(100):  # Tokens come back meanwhile, the more the slower we are.
                ask()
        self.assertEqual(caught.exception.code, "rate_limited")
        self.assertGreater(caught.exception.retry_after_ms, 0)
        return caught.exception.retry_after_ms

    def test_look_ups(self):
        messenger, other = self.messenger(), self.messenger()
        # The PutKeys of the registration has taken four.
        begun = time.monotonic()
        self.assert_rate(196, lambda: messenger.connection.ask("GetUser", name=other.name))
        # Who was refused is not read for a moment.
        messenger.connection.ask("Ping")
        self.assertGreater(time.monotonic() - begun, 0.1)

    def test_lists_and_keys_cost_more(self):
        messenger = self.messenger()
        account = messenger.account
        self.assert_rate(9, lambda: messenger.connection.ask(
            "PutDevices", list=account.list(), expected_gen=1, expected_seq=1))

    def test_prekeys_and_one_time_keys_of_a_pair(self):
        messenger, other = self.messenger(), self.messenger()
        given = []

        def ask():
            reply = messenger.connection.ask("GetPrekeys", user=other.account.user)[1]
            given.append(reply["bundles"][0]["one_time"])
        self.assert_rate(100, ask)
        self.assertEqual([one is not None for one in given[:7]], [True] * 5 + [False] * 2)

    def test_submits_cost_by_their_recipients(self):
        messenger = self.messenger()
        nobody = [recipient(messenger.account, device=number.to_bytes(16, "big"))
                  for number in range(160)]
        self.assert_rate(10, lambda: messenger.connection.ask(
            "Submit", request_id=random(16), ttl_s=0, recipients=nobody, body_sizes=[1],
            bodies=b"x"))

    def test_a_share_of_a_mailbox(self):
        messenger, second, other = self.messenger(), self.messenger(), self.messenger()
        other.connection.close()
        accepted = []
        for sender in (messenger, second):
            codes = []
            for _ in range(60):
                reply = sender.connection.ask(
                    "Submit", request_id=random(16), ttl_s=0,
                    recipients=[recipient(other.account)], body_sizes=[1], bodies=b"x")[1]
                codes.append(CODES[reply["outcomes"][0]["code"]])
            accepted.append(codes.count("ok"))
            self.assertEqual(set(codes), {"ok", "mailbox_full"})
        self.assertEqual(accepted, [50, 10])


class Registrations(Stage):
    CONFIG = {"unlimited_from": "[]"}

    def test_registrations(self):
        for count in range(6):
            account = Account()
            connection = self.connect(account)
            try:
                connection.ask("Register", **register_fields(account))
            except RelayRefused as refused:
                self.assertEqual((refused.code, count), ("rate_limited", 5))
                self.assertGreater(refused.retry_after_ms, 60000)
                return
        self.fail("a sixth registration was taken")


class Handshakes(Stage):
    CONFIG = {"unlimited_from": "[]", "handshakes_burst": 3, "handshakes_per_s": 1}

    def test_connections_beyond_the_rate_are_closed_without_a_word(self):
        connections = [self.connect(Account()) for _ in range(3)]
        with self.assertRaises((Ended, ConnectionError)):
            for _ in range(50):  # Some come back meanwhile.
                self.connect(Account())
        for connection in connections:
            connection.ask("Ping")


if __name__ == "__main__":
    unittest.main()
