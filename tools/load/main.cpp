// main: the command line of godwit-load. It makes the scenario out of preset, file and flags,
// starts a relay when asked to, plays, and writes the report.
#include <netdb.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <stdexcept>
#include <thread>

#include "schema/net/address.hpp"
#include "schema/net/loop.hpp"
#include "schema/net/standard_descriptors.hpp"
#include "tests/support/process.hpp"
#include "tools/load/processes.hpp"

namespace godwit::load {
namespace {

constexpr int kPassed = 0;
constexpr int kFailed = 1;
constexpr int kWrongUsage = 2;
constexpr int kIncomplete = 3;
constexpr std::uint64_t kDescriptorsExpected = 65'536;

constexpr auto kFooter = R"(Examples:
  godwit-load --own-relay                            100 pairs for ten seconds
  godwit-load --own-relay --scenario offline --html report.html
  godwit-load --own-relay --chaos kill:2s --seconds 20
  godwit-load --relay godwit://KEY@127.0.0.1:7700 --relay-pid 4711 --scenario mixed

Scenarios: online, offline, idle, fanout, churn, mixed, or a TOML file whose keys are the flags
above with _ for - (--chaos kill:2s is kill_every = 2), and base = "one of these". The defaults
here are those of online.
Exit status: 0 the verdict is PASS, 1 it is FAIL, 3 it is INCOMPLETE: nothing was seen broken, but
not all could be checked in time; 2 wrong usage, no relay, or a report that cannot be written.)";

// A flag that sets the field of the same name.
struct Flag {
  const char* name;
  const char* unit;
  const char* what;
};
constexpr Flag kFlags[] = {
    {"processes", "N", "that share the load: each has a core and descriptors of its own"},
    {"pairs", "N", "flows: a sender with its recipient, or its group"},
    {"group", "N", "recipients of each flow"},
    {"senders", "N", "devices that share the flows; 0: one for each"},
    {"window", "N", "envelopes under way in each flow"},
    {"rate", "PER-SECOND", "submits per second of all flows, open loop; 0: as the window allows"},
    {"payload", "BYTES", "bytes, FROM-TO, or several with weights: 64-256:9,4096:1"},
    {"media-share", "0..1", "share of envelopes that are media"},
    {"media", "BYTES", "bytes of those, as --payload"},
    {"away", "0..1", "share of flows whose recipients are away until the drain"},
    {"sessions", "N", "idle sessions beside the flows"},
    {"churn", "PER-SECOND", "logins per second of these sessions"},
    {"messages", "N", "of each flow; 0: until the time is over"},
    {"seconds", "SECONDS", "measured"},
    {"warm-up", "SECONDS", "seconds before that; none with --messages"},
    {"settle", "SECONDS", "that the end waits for what is under way; up to 4 times while it comes"},
    {"late-ms", "MS", "what takes longer is late; 0: nothing is"},
    {"late-max", "N", "late ones that the verdict lets pass"},
    {"refused-max", "N", "refusals that the verdict lets pass"},
    {"seed", "N", "of accounts, sizes and order; drawn when not given"},
};

struct Arguments {
  std::string relay;
  bool own_relay = false;
  std::string relay_binary;
  std::vector<std::string> relay_settings;
  bool mine = false;
  std::string scenario = "online";
  std::map<std::string, std::string> fields;
  bool at_random = false;
  bool e2ee = false;
  std::string chaos;
  std::optional<pid_t> relay_pid;
  bool json = false;
  std::string html;
  bool quiet = false;
};

using Error = std::string;
template <class T>
using Or = tl::expected<T, Error>;

Or<Scenario> base_scenario(const std::string& name) {
  if (auto known = preset(name)) return *std::move(known);
  std::ifstream file(name, std::ios::binary);
  (void)file.peek();  // a directory opens, and cannot be read
  if (!file.is_open() || file.bad()) {
    std::string names;
    for (const auto one : preset_names()) names += std::string(names.empty() ? "" : ", ") += one;
    return tl::unexpected("no scenario and no file \"" + name + "\"; there are " + names);
  }
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  auto scenario = parse_scenario(text, std::filesystem::path(name).stem().string());
  if (!scenario) return tl::unexpected(name + ", " + scenario.error());
  return scenario;
}

// "kill:5s".
Or<double> parse_chaos(const std::string& text) {
  double seconds = 0;
  char unit = 0;
  char rest = 0;
  const int read = std::sscanf(text.c_str(), "kill:%lf%c%c", &seconds, &unit, &rest);
  if (read == 2 && unit == 's' && seconds > 0) return seconds;
  return tl::unexpected("--chaos \"" + text + "\": it is kill:SECONDSs, such as kill:5s");
}

Or<Scenario> make_scenario(const Arguments& arguments) {
  auto scenario = base_scenario(arguments.scenario);
  if (!scenario) return scenario;
  for (const auto& [key, value] : arguments.fields) {
    if (auto done = set(*scenario, key, value); !done) return tl::unexpected(done.error());
  }
  if (arguments.at_random) scenario->drain_at_random = true;
  if (arguments.e2ee) scenario->e2ee = true;
  if (!arguments.chaos.empty()) {
    const auto every = parse_chaos(arguments.chaos);
    if (!every) return tl::unexpected(every.error());
    scenario->kill_every = *every;
  }
  for (const std::string& setting : arguments.relay_settings) {
    const auto equals = setting.find('=');
    if (equals == std::string::npos || setting.find('.') > equals) {
      return tl::unexpected("--relay-set \"" + setting + "\": it is section.key=VALUE");
    }
    scenario->relay_settings.emplace_back(setting.substr(0, equals), setting.substr(equals + 1));
  }
  if (scenario->seed == 0) scenario->seed = std::random_device{}();
  if (auto done = check(*scenario); !done) return tl::unexpected(done.error());
  if (!arguments.own_relay && scenario->kill_every > 0) {
    return tl::unexpected(Error("--chaos kills the relay, so it has to be --own-relay"));
  }
  if (!arguments.own_relay && !scenario->relay_settings.empty()) {
    return tl::unexpected(Error("settings can be given to --own-relay only"));
  }
  return scenario;
}

// The numeric address of a host, the first that the system gives; all devices go there.
Or<std::string> look_up(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int failed = ::getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (failed != 0) {
    return tl::unexpected("--relay: " + host + " cannot be found: " + ::gai_strerror(failed));
  }
  net::Address address;
  std::memcpy(&address.storage, found->ai_addr, found->ai_addrlen);
  ::freeaddrinfo(found);
  return net::format_host(address);
}

bool is_loopback(const std::string& host) {
  return host.starts_with("127.") || host == "::1";
}

// Its address is numeric: a look-up of each device would be a load on somebody else.
Or<Target> parse_target(const Arguments& arguments) {
  Target target;
  auto address = wire::parse_address(arguments.relay);
  if (!address) return tl::unexpected("--relay: " + address.error());
  target.name = address->host_port;
  auto where = wire::parse_host_port(target.name);
  if (!where) return tl::unexpected("--relay: " + target.name + " is not HOST:PORT");
  const auto host = look_up(where->host);
  if (!host) return tl::unexpected(host.error());
  if (!arguments.mine && !is_loopback(*host)) {
    return tl::unexpected(target.name + " is not this machine. A load is an attack on who did " +
                          "not ask for it; if the relay is yours, say --i-own-this-relay");
  }
  where->host = *host;
  target.address = {address->key, wire::format_host_port(*where)};
  return target;
}

// What of the flags is wrong before anything has begun; nothing when all is well.
std::optional<Error> wrong_with(const Arguments& arguments) {
  if (arguments.own_relay == !arguments.relay.empty()) {
    return "say which relay: --relay godwit://KEY@HOST:PORT, or --own-relay";
  }
  if (!arguments.relay_binary.empty()) {
    if (!arguments.own_relay) return "--relay-binary is that of --own-relay";
    if (::access(arguments.relay_binary.c_str(), X_OK) != 0) {
      return "--relay-binary " + arguments.relay_binary + ": " +
             std::generic_category().message(errno);
    }
  }
  if (!arguments.relay_pid) return std::nullopt;
  if (arguments.own_relay) return "--own-relay knows its process: --relay-pid is for --relay";
  const std::string pid = std::to_string(*arguments.relay_pid);
  const auto command = support::command_of(*arguments.relay_pid);
  if (!command) return "--relay-pid " + pid + ": there is no such process";
  if (*command == "godwit-relay") return std::nullopt;
  return "--relay-pid " + pid + " is " + *command +
         ", and not godwit-relay: its figures would be those of another program";
}

// The relay of this build, beside this program's directory; else the one that is installed.
std::string relay_binary(const Arguments& arguments) {
  if (!arguments.relay_binary.empty()) return arguments.relay_binary;
  std::error_code unknown;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", unknown).parent_path();
  for (const auto& place : {self / "../relay/godwit-relay", self / "godwit-relay"}) {
    if (std::filesystem::exists(place, unknown)) return place.lexically_normal().string();
  }
  return support::RelayProcess::default_binary();
}

support::RelayProcess::Options own_relay_options(const Arguments& arguments,
                                                 const Scenario& scenario,
                                                 const std::filesystem::path& directory) {
  support::RelayProcess::Options options;
  options.directory = directory / "relay";
  options.binary = relay_binary(arguments);
  for (const auto& [key, value] : scenario.relay_settings) options.settings[key] = value;
  return options;
}

std::string machine() {
  utsname system{};
  uname(&system);
  std::ifstream info("/proc/cpuinfo");
  std::string model;
  for (std::string line; model.empty() && std::getline(info, line);) {
    if (line.starts_with("model name")) model = line.substr(line.find(':') + 2);
  }
  const auto bytes =
      static_cast<double>(::sysconf(_SC_PHYS_PAGES)) * static_cast<double>(::sysconf(_SC_PAGESIZE));
  return std::to_string(std::thread::hardware_concurrency()) + " x " +
         (model.empty() ? system.machine : model) + ", " + system.sysname + " " + system.release +
         ", " + std::to_string(std::lround(bytes / (1 << 30))) + " GiB";
}

std::string now_utc() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

// Beside the directory that is removed. Empty when it could not be kept.
std::string keep_log(const support::RelayProcess& relay,
                     const support::TemporaryDirectory& directory) {
  const std::string kept = directory.path().string() + "-relay.log";
  std::error_code failed;
  std::filesystem::rename(relay.log_file(), kept, failed);
  return failed ? std::string() : kept;
}

void print(const Report& r, std::ostream& out) {
  const auto row = [&](const char* what, double value, const char* unit) {
    char line[96];
    std::snprintf(line, sizeof line, "  %-28s %12.*f %s\n", what, value < 100 ? 1 : 0, value, unit);
    out << line;
  };
  row("accepted", r.accepted_per_s, "per second");
  row("delivered", r.delivered_per_s, "per second");
  row("delivered", r.delivered_bytes_per_s, "bytes per second");
  if (r.delivery.count() > 0) {
    row("delivery p50", r.delivery.quantile_us(0.5), "us");
    row("delivery p99", r.delivery.quantile_us(0.99), "us");
    row("delivery p99.9", r.delivery.quantile_us(0.999), "us");
  }
  if (r.accepted.count() > 0) {
    row("accepted p50", r.accepted.quantile_us(0.5), "us");
    row("accepted p99.9", r.accepted.quantile_us(0.999), "us");
  }
  if (r.logins_per_s > 0) row("logins", r.logins_per_s, "per second");
  if (r.relay_cpu_s_per_million) row("relay", *r.relay_cpu_s_per_million, "CPU-s per million");
  if (r.relay_bytes_per_session) row("relay, a session", *r.relay_bytes_per_session, "bytes");
  if (r.relay_bytes_per_queued_envelope) {
    row("relay, a queued envelope", *r.relay_bytes_per_queued_envelope, "bytes");
  }
  if (r.client_cpu_s_per_million) {
    row("load generator", *r.client_cpu_s_per_million, "CPU-s per million");
  }
  for (const Event& event : r.events) {
    char at[32];
    std::snprintf(at, sizeof at, "  at %.1f s: ", event.at_s);
    out << at << event.what << "\n";
  }
  for (const std::string& fault : r.faults) out << "  FAULT: " << fault << "\n";
  for (const std::string& what : r.unchecked) out << "  NOT CHECKED: " << what << "\n";
  if (!r.relay_log.empty()) out << "  The relay's log: " << r.relay_log << "\n";
  if (r.interrupted) out << "  The run was interrupted: what was still under way is not judged.\n";
  out << "verdict: " << name_of(r.verdict()) << ", " << r.counts.accepted << " accepted, "
      << r.counts.delivered << " delivered, " << r.counts.redelivered << " redelivered, "
      << r.counts.refused << " refused\n";
}

int exit_status(Verdict verdict) {
  if (verdict == Verdict::incomplete) return kIncomplete;
  return verdict == Verdict::pass ? kPassed : kFailed;
}

int start(const Arguments& arguments, const std::string& command) {
  const auto complain = [](const std::string& why) {
    std::cerr << "godwit-load: " << why << "\n";
    return kWrongUsage;
  };
  const auto scenario = make_scenario(arguments);
  if (!scenario) return complain(scenario.error());
  if (const auto wrong = wrong_with(arguments)) return complain(*wrong);
  auto target = arguments.own_relay ? Target() : parse_target(arguments);
  if (!target) return complain(target.error());
  std::ofstream page;
  if (!arguments.html.empty()) {
    page.open(arguments.html, std::ios::binary);
    if (!page) return complain("cannot write " + arguments.html);
  }
  const std::uint64_t descriptors = net::prepare_descriptors(kDescriptorsExpected);
  watch_interrupts();

  const support::TemporaryDirectory directory{support::Medium::disk};
  std::optional<support::RelayProcess> own;
  std::string version;  // asked now: afterwards it may not answer any more
  if (arguments.own_relay) {
    own.emplace(own_relay_options(arguments, *scenario, directory.path()));
    target->address = own->address();
    target->name = target->address.host_port;
    target->own = &*own;
    version = own->status().version;
  }
  target->pid = own ? std::optional<pid_t>(own->pid()) : arguments.relay_pid;
  target->homes = directory.path();
  if (const auto missing = missing_for(*scenario, *target, descriptors)) return complain(*missing);
  using Mode = Progress::Mode;
  Progress progress(arguments.quiet                ? Mode::none
                    : ::isatty(STDERR_FILENO) == 1 ? Mode::one_line
                                                   : Mode::lines);
  Report report = play(*scenario, *target, progress);
  progress.end();
  // A relay of its own that lets nobody in is a fault of that relay, and not of who asked.
  if (!own && report.counts.logins == 0 && !report.interrupted && !report.faults.empty()) {
    return complain("nobody could log in at " + target->name + ": " + report.faults.front());
  }
  report.scenario = scenario->name;
  report.settings = settings_of(*scenario);
  report.command = command;
  report.relay = target->name;
  report.relay_version = version;
  if (own && report.verdict() == Verdict::fail) report.relay_log = keep_log(*own, directory);
  report.load_version = GODWIT_VERSION;
  report.machine = machine();
  report.started = now_utc();

  if (page.is_open()) page << to_page(report) << std::flush;
  print(report, arguments.json ? std::cerr : std::cout);
  if (arguments.json) std::cout << to_json(report) << "\n";
  if (page.fail()) return complain("cannot write " + arguments.html + "; is its disk full?");
  if (!std::cout.flush()) return complain("cannot write to stdout; is its disk full?");
  return exit_status(report.verdict());
}

// As a shell takes it.
std::string command_line(const std::vector<std::string>& words) {
  constexpr auto kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%";
  std::string line = "godwit-load";
  for (std::string word : words) {
    if (word.empty() || word.find_first_not_of(kPlain) != std::string::npos) {
      for (std::size_t at = 0; (at = word.find('\'', at)) != std::string::npos; at += 4) {
        word.replace(at, 1, "'\\''");
      }
      word.insert(0, "'").append("'");
    }
    line += " " + word;
  }
  return line;
}

int parse_and_play(int argc, char** argv) {
  CLI::App app("Godwit: a load on a relay, and a verdict on what it did.", "godwit-load");
  app.set_version_flag("--version", std::string("godwit-load ") + GODWIT_VERSION);
  app.footer(kFooter);
  Arguments arguments;
  app.add_option("--relay", arguments.relay, "The relay's address, godwit://KEY@HOST:PORT")
      ->type_name("ADDRESS");
  app.add_flag("--own-relay", arguments.own_relay, "Start a relay in a temporary directory");
  app.add_option("--relay-binary", arguments.relay_binary, "The godwit-relay of --own-relay")
      ->type_name("FILE");
  app.add_option("--relay-set", arguments.relay_settings,
                 "For its relay.toml; may be given again")
      ->type_name("SECTION.KEY=VALUE");
  app.add_option("--relay-pid", arguments.relay_pid, "To show the relay's CPU time and memory")
      ->type_name("PID");
  app.add_flag("--i-own-this-relay", arguments.mine, "Load a relay that is not on this machine");
  app.add_option("--scenario", arguments.scenario, "What to play; see below")
      ->type_name("NAME|FILE")
      ->capture_default_str();
  const auto usual = settings_of(Scenario{});
  std::map<std::string, std::string> defaults(usual.begin(), usual.end());
  defaults["seed"].clear();  // it is drawn
  for (const Flag& flag : kFlags) {
    std::string key = flag.name;
    std::ranges::replace(key, '-', '_');
    app.add_option_function<std::string>(
           std::string("--") + flag.name,
           [&arguments, key](const std::string& value) { arguments.fields[key] = value; },
           flag.what)
        ->take_last()
        ->type_name(flag.unit)
        ->default_str(defaults[key]);
  }
  app.add_flag("--drain-at-random", arguments.at_random, "Recipients come back in any order");
  app.add_flag("--e2ee", arguments.e2ee, "The whole SDK, instead of opaque bytes");
  app.add_option("--chaos", arguments.chaos, "Kills the own relay that often")
      ->type_name("kill:SECONDSs");
  app.add_flag("--json", arguments.json, "One JSON object as the last line of standard output");
  app.add_option("--html", arguments.html, "Write the report as one page")
      ->type_name("FILE");
  app.add_flag("--quiet", arguments.quiet, "No progress");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    std::cerr << "godwit-load: " << error.what() << "; --help lists the flags\n";
    return kWrongUsage;
  }
  try {
    return start(arguments, command_line({argv + 1, argv + argc}));
  } catch (const std::runtime_error& failure) {  // RelayFailure, or what the system refuses
    std::cerr << "godwit-load: " << failure.what() << "\n";
    return kWrongUsage;
  }
}

}  // namespace
}  // namespace godwit::load

int main(int argc, char** argv) {
  godwit::net::keep_standard_descriptors();
  return godwit::load::parse_and_play(argc, argv);
}
