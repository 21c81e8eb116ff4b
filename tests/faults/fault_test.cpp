// Each system call of a run fails once: the relay and a program with the SDK are played through the
// same run again and again, each time with another call that fails in another way (stage.hpp).
//
// Happy path: the calls of the run are counted -> for each way to fail, for each index, a trial ->
// a row of the table. Rows are played by child processes, some at a time.
// Failure: a trial in which anything was lost, ended by a signal, hung, leaked or ended without a
// word is told with the command that plays it again; so is a call that a stage came to before, and
// does not any more. The exit status is 1.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <deque>
#include <fstream>
#include <iterator>
#include <random>
#include <set>
#include <span>

#include "tests/faults/stage.hpp"
#include "tests/support/relay_process.hpp"
#include "tests/support/requirements.hpp"

namespace godwit::faults {
namespace {

using std::chrono::steady_clock;

// What every run of a stage comes to: that a call is not met any more has to be seen.
constexpr std::array kMetByInit{Call::open,   Call::write,  Call::sync,  Call::truncate, Call::lock,
                                Call::rename, Call::unlink, Call::mkdir, Call::chmod};
constexpr std::array kMetByRelay{Call::read,       Call::open,   Call::sync, Call::allocate,
                                 Call::truncate,   Call::map,    Call::lock, Call::receive,
                                 Call::write,      Call::socket, Call::bind, Call::listen,
                                 Call::send,       Call::accept, Call::wait, Call::thread,
                                 Call::descriptor, Call::unlink, Call::chmod};
constexpr std::array kMetBySdk{
    Call::read,    Call::open,       Call::sync,   Call::allocate, Call::map,  Call::lock,
    Call::receive, Call::write,      Call::socket, Call::connect,  Call::send, Call::wait,
    Call::thread,  Call::descriptor, Call::rename, Call::unlink,   Call::mkdir};

struct StageName {
  std::string_view name;
  std::unique_ptr<Stage> (*make)();
  std::span<const Call> met;
};
constexpr std::array kStages{
    StageName{"relay-init", relay_init, kMetByInit},
    StageName{"relay-first", relay_at_its_first_start, kMetByRelay},
    StageName{"relay-mail", relay_with_mail, kMetByRelay},
    StageName{"sdk", sdk, kMetBySdk},
};

struct Way {
  Call call;
  int error;
  bool lasting = false;
};
// What the kernel answers to these calls on a machine that runs out of something, loses its disk or
// its peer, or is interrupted.
constexpr std::array kWays{
    Way{Call::open, EMFILE},          Way{Call::open, EIO},
    Way{Call::open, EINTR},           Way{Call::read, EIO},
    Way{Call::read, EINTR},           Way{Call::read, kShort},
    Way{Call::write, EIO},            Way{Call::write, ENOSPC},
    Way{Call::write, kShort},         Way{Call::write, EINTR},
    Way{Call::write, EIO, true},      Way{Call::write, ENOSPC, true},
    Way{Call::sync, EIO},             Way{Call::sync, ENOSPC},
    Way{Call::sync, EINTR},           Way{Call::sync, EIO, true},
    Way{Call::allocate, ENOSPC},      Way{Call::allocate, EIO},
    Way{Call::allocate, EINTR},       Way{Call::allocate, ENOSPC, true},
    Way{Call::truncate, EIO},         Way{Call::truncate, ENOSPC},
    Way{Call::map, ENOMEM},           Way{Call::lock, ENOLCK},
    Way{Call::lock, EINTR},           Way{Call::receive, ECONNRESET},
    Way{Call::receive, EINTR},        Way{Call::receive, ENOMEM},
    Way{Call::receive, kShort},       Way{Call::send, EPIPE},
    Way{Call::send, ENOBUFS},         Way{Call::send, EINTR},
    Way{Call::send, kShort},          Way{Call::socket, EMFILE},
    Way{Call::socket, ENOMEM},        Way{Call::connect, ECONNREFUSED},
    Way{Call::connect, ENETUNREACH},  Way{Call::connect, EINTR},
    Way{Call::bind, EADDRINUSE},      Way{Call::listen, EADDRINUSE},
    Way{Call::accept, EMFILE},        Way{Call::accept, ENFILE},
    Way{Call::accept, ECONNABORTED},  Way{Call::accept, ENOMEM},
    Way{Call::accept, EINTR},         Way{Call::wait, EINTR},
    Way{Call::descriptor, EMFILE},    Way{Call::thread, EAGAIN},
    Way{Call::rename, EIO},           Way{Call::rename, ENOSPC},
    Way{Call::unlink, EIO},           Way{Call::mkdir, EIO},
    Way{Call::mkdir, ENOSPC},         Way{Call::chmod, EIO},
};

struct Options {
  std::uint32_t sample = 0;  // indices of each call; 0: all of them
  std::uint64_t seed = 1;
  std::uint32_t jobs = 2;
  std::string stage;
  std::string call;
  std::string fault;
};

// ---- A row --------------------------------------------------------------------------------------

struct Row {
  std::string stage;
  Way way;
  std::uint64_t calls = 0;
  std::uint64_t tried = 0, kept = 0, stopped = 0, refused = 0;
  std::uint64_t lost = 0, crashed = 0, hung = 0, other = 0;
  std::set<std::string> said{};
  std::vector<std::string> told{};  // of the trials that were not good
};

std::string name_of(const Way& way) {
  std::string text = text_of({way.call, way.error, 0, way.lasting});
  const auto colon = text.rfind(':');
  return text.substr(0, colon) + (way.lasting ? " from then on" : "");
}

void add(Row& row, const Fault& fault, const Played& played) {
  ++row.tried;
  switch (played.ending) {
    case Ending::kept_on:
      ++row.kept;
      break;
    case Ending::stopped:
      ++row.stopped;
      break;
    case Ending::refused:
      ++row.refused;
      break;
  }
  if (!played.said.empty()) row.said.insert(played.said);
  if (played.good()) return;
  row.lost += played.lost;
  row.crashed += played.crashed;
  row.hung += played.hung;
  row.other += !played.faults.empty();
  std::string text = "fault_test --stage " + row.stage + " --fault " + text_of(fault) + ":";
  if (played.lost > 0) text += " LOST " + std::to_string(played.lost);
  if (played.crashed) text += " CRASHED";
  if (played.hung) text += " HUNG";
  for (const std::string& one : played.faults) text += "\n    " + one;
  row.told.push_back(text);
}

// False: the run came to no such call.
bool try_one(Stage& stage, Row& row, std::uint64_t index) {
  const Fault fault{row.way.call, row.way.error, index, row.way.lasting};
  Played played = stage.play(fault);
  // Time passes here for other reasons too: what hangs has to do so twice.
  if (played.hung) played = stage.play(fault);
  if (played.of(fault.call) < index) return false;
  add(row, fault, played);
  return true;
}

void try_every(Stage& stage, Row& row) {
  // A run may have a call less than another; two without it in a row are the end.
  for (std::uint64_t index = 1, missed = 0; missed < 2; ++index) {
    missed = try_one(stage, row, index) ? 0 : missed + 1;
  }
}

// The first, the last, and some between. The ways to fail take turns.
void try_some(Stage& stage, std::vector<Row*>& ways, const Options& options) {
  const std::uint64_t calls = ways.front()->calls;
  std::set<std::uint64_t> indices{1, calls};
  std::mt19937_64 random(options.seed);
  while (indices.size() < std::min<std::uint64_t>(calls, options.sample)) {
    indices.insert(1 + random() % calls);
  }
  std::size_t turn = random();
  for (const std::uint64_t index : indices) {
    (void)try_one(stage, *ways[turn++ % ways.size()], index);
  }
}

// ---- The work of one child ----------------------------------------------------------------------

using Unit = std::vector<Row>;  // of one stage

void play(Unit& unit, const Options& options) {
  const auto* const named = std::ranges::find(kStages, unit.front().stage, &StageName::name);
  const auto stage = named->make();
  const Played whole = stage->play(std::nullopt);
  for (Row& row : unit) row.calls = whole.of(row.way.call);
  if (!whole.good() || whole.ending != Ending::kept_on) {
    unit.front().told.push_back("without a fault the run of " + unit.front().stage + " fails");
    for (const auto& fault : whole.faults) unit.front().told.push_back("    " + fault);
    unit.front().other++;
    return;
  }
  if (options.sample == 0) {
    for (Row& row : unit) try_every(*stage, row);
    return;
  }
  for (std::size_t call = 0; call < kCallNames.size(); ++call) {
    std::vector<Row*> ways;
    for (Row& row : unit) {
      if (row.way.call == static_cast<Call>(call) && row.calls > 0) ways.push_back(&row);
    }
    if (!ways.empty()) try_some(*stage, ways, options);
  }
}

// A line of numbers for each row, then what it tells: read again by read_unit().
void write_unit(const Unit& unit, const std::filesystem::path& file) {
  std::ofstream out(file);
  for (const Row& row : unit) {
    for (const std::uint64_t number : {row.calls, row.tried, row.kept, row.stopped, row.refused,
                                       row.lost, row.crashed, row.hung, row.other}) {
      out << number << ' ';
    }
    out << row.said.size() << ' ' << row.told.size() << '\n';
    for (const auto& one : row.said) out << one << '\0';
    for (const auto& one : row.told) out << one << '\0';
  }
}

bool read_unit(Unit& unit, const std::filesystem::path& file) {
  std::ifstream in(file);
  for (Row& row : unit) {
    std::size_t said = 0, told = 0;
    in >> row.calls >> row.tried >> row.kept >> row.stopped >> row.refused >> row.lost >>
        row.crashed >> row.hung >> row.other >> said >> told;
    in.ignore();
    std::string text;
    for (; said > 0 && std::getline(in, text, '\0'); --said) row.said.insert(text);
    for (; told > 0 && std::getline(in, text, '\0'); --told) row.told.push_back(text);
  }
  return in.good();
}

// ---- All of it ----------------------------------------------------------------------------------

std::deque<Unit> units_of(const Options& options) {
  std::deque<Unit> units;
  for (const StageName& stage : kStages) {
    if (!options.stage.empty() && options.stage != stage.name) continue;
    Unit unit;
    for (const Way& way : kWays) {
      const auto call = kCallNames[static_cast<std::size_t>(way.call)];
      if (!options.call.empty() && options.call != call) continue;
      // Where every index is tried, each call is work enough for a child of its own.
      if (options.sample == 0 && !unit.empty() && unit.back().way.call != way.call) {
        units.push_back(std::exchange(unit, {}));
      }
      unit.push_back({std::string(stage.name), way});
    }
    if (!unit.empty()) units.push_back(std::move(unit));
  }
  return units;
}

using Meeting = std::pair<std::string, Call>;  // a stage, and what failed in it

// True when each stage came to all that it always comes to.
bool met_all(const Options& options, const std::set<Meeting>& met) {
  bool all = true;
  for (const StageName& stage : kStages) {
    if (!options.stage.empty() && options.stage != stage.name) continue;
    for (const Call call : stage.met) {
      const std::string name(kCallNames[static_cast<std::size_t>(call)]);
      if (!options.call.empty() && options.call != name) continue;
      if (met.contains({std::string(stage.name), call})) continue;
      std::printf("%s came to no call of %s, so that none failed\n", stage.name.data(),
                  name.c_str());
      all = false;
    }
  }
  return all;
}

void print_head() {
  std::printf("%-12s %-28s %6s %6s %7s %7s %7s %5s %7s %5s %5s\n", "run", "call", "calls", "tried",
              "kept on", "stopped", "refused", "LOST", "CRASHED", "HUNG", "OTHER");
}

// True when all was good.
bool print(const Unit& unit, std::set<std::string>& said) {
  bool good = true;
  for (const Row& row : unit) {
    said.insert(row.said.begin(), row.said.end());
    good = good && row.told.empty();
    if (row.tried > 0) {
      const auto number = [](std::uint64_t value) {
        return static_cast<unsigned long long>(value);
      };
      std::printf("%-12s %-28s %6llu %6llu %7llu %7llu %7llu %5llu %7llu %5llu %5llu\n",
                  row.stage.c_str(), name_of(row.way).c_str(), number(row.calls),
                  number(row.tried), number(row.kept), number(row.stopped), number(row.refused),
                  number(row.lost), number(row.crashed), number(row.hung), number(row.other));
    }
    for (const std::string& text : row.told) std::printf("%s\n", text.c_str());
  }
  std::fflush(stdout);
  return good;
}

bool run_all(const Options& options) {
  const auto began = steady_clock::now();
  const support::TemporaryDirectory results{support::Medium::disk};
  const auto result_of = [&](pid_t child) { return results.path() / std::to_string(child); };
  std::deque<Unit> waiting = units_of(options);
  std::map<pid_t, Unit> playing;
  std::set<std::string> said;
  std::set<Meeting> met;
  std::uint64_t tried = 0;
  bool good = true;
  print_head();
  while (!waiting.empty() || !playing.empty()) {
    if (!waiting.empty() && playing.size() < options.jobs) {
      Unit unit = std::move(waiting.front());
      waiting.pop_front();
      std::fflush(stdout);
      const pid_t child = ::fork();
      REQUIRE(child >= 0);
      if (child == 0) {
        play(unit, options);
        write_unit(unit, result_of(::getpid()));
        std::_Exit(0);
      }
      playing[child] = std::move(unit);
      continue;
    }
    int status = 0;
    const pid_t child = ::waitpid(-1, &status, 0);
    Unit unit = std::move(playing[child]);
    playing.erase(child);
    if (status != 0 || !read_unit(unit, result_of(child))) {
      unit.front().told.push_back("the trials of " + unit.front().stage + " ended by themselves");
    }
    for (const Row& row : unit) {
      tried += row.tried;
      if (row.tried > 0) met.insert({row.stage, row.way.call});
    }
    good = print(unit, said) && good;
  }
  good = met_all(options, met) && good;
  std::printf("what the programs said as they ended:\n");
  for (const std::string& words : said) std::printf("  %s\n", words.c_str());
  const std::chrono::duration<double> took = steady_clock::now() - began;
  std::printf("%llu trials in %.0f s; seed %llu\n", static_cast<unsigned long long>(tried),
              took.count(), static_cast<unsigned long long>(options.seed));
  return good && tried > 0;
}

// One trial, and all that is known of it.
bool replay(const Options& options) {
  const auto fault = parse_fault(options.fault);
  const auto* const named = std::ranges::find(kStages, options.stage, &StageName::name);
  if (!fault || named == kStages.end()) {
    std::fprintf(stderr, "--fault CALL:ERROR:INDEX and --stage, as the table names them\n");
    return false;
  }
  Row row{options.stage, {fault->call, fault->error, fault->lasting}};
  if (!try_one(*named->make(), row, fault->index)) {
    std::printf("the run came to no such call\n");
    return false;
  }
  print_head();
  std::set<std::string> said;
  const bool good = print({row}, said);
  for (const std::string& words : said) std::printf("  %s\n", words.c_str());
  return good;
}

}  // namespace
}  // namespace godwit::faults

int main(int argc, char** argv) {
  const godwit::support::Requirements requirements;
  godwit::faults::Options options;
  CLI::App app("Lets each system call of a run fail, and judges what becomes of it");
  app.add_option("--sample", options.sample, "So many indices of each call, not all of them");
  app.add_option("--seed", options.seed, "Of the sample");
  app.add_option("--jobs", options.jobs, "Trials at a time")->check(CLI::PositiveNumber);
  app.add_option("--stage", options.stage, "This run only");
  app.add_option("--call", options.call, "This call only");
  app.add_option("--fault", options.fault, "This trial only: CALL:ERROR:INDEX, with --stage");
  CLI11_PARSE(app, argc, argv);
  const bool good = options.fault.empty() ? godwit::faults::run_all(options)
                                          : godwit::faults::replay(options);
  std::puts(good ? "KEPT" : "BROKEN");
  return good ? 0 : 1;
}
