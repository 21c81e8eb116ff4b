// One trial: the directory is copied from what was prepared -> the daemon is started with the fault
// -> the load is played -> the connections end, and with them their descriptors -> the daemon is
// stopped -> its store is opened and must be empty.
// Where the daemon ends before that, by the fault or because it never was ready: it must have said
// why, it is started again without the fault, and the load goes on as if nothing had been.
#include <csignal>
#include <fstream>
#include <iterator>
#include <sstream>
#include <thread>

#include "relay/store/store.hpp"
#include "tests/faults/load.hpp"
#include "tests/faults/stage.hpp"
#include "tests/support/relay_process.hpp"

namespace godwit::faults {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
namespace fs = std::filesystem;

constexpr auto kPatience = 20s;
constexpr auto kEndPatience = 10s;
constexpr std::uint64_t kRefusalsMax = 200;  // then there is no room until the relay starts anew
constexpr std::uint64_t kStoreStep = 1 << 20;

// An address of this machine that nobody else uses, whatever ports are handed out meanwhile.
std::string own_address() {
  const auto pid = static_cast<unsigned>(::getpid());
  return "127.77." + std::to_string(pid / 256 % 256) + "." + std::to_string(pid % 256) + ":7700";
}

std::map<std::string, std::string> settings() {
  const std::string step = "\"" + std::to_string(kStoreStep >> 20) + " MiB\"";
  return {{"network.listen", "[\"" + own_address() + "\"]"},
          {"network.loops", "2"},  // so that operations travel, and a thread is begun
          {"store.grow_step", step},
          {"store.reserve", step}};
}

// The lines that tell a person what is wrong, without what differs from trial to trial.
std::string words_of(const std::string& log, const std::string& directory) {
  std::string words;
  std::istringstream lines(log);
  for (std::string line; std::getline(lines, line);) {
    const bool tells = line.starts_with("godwit-relay: ") || line.starts_with(directory);
    if (!tells) continue;
    words += (words.empty() ? "" : " / ") + line;
  }
  return with_name(with_name(words, directory, "DIR"), own_address(), "ADDRESS");
}

// A copy of `from`; empty when there is none.
class Copy {
 public:
  explicit Copy(const fs::path& from) {
    if (!from.empty()) fs::copy(from, made_.path(), fs::copy_options::recursive);
  }
  [[nodiscard]] const fs::path& path() const { return made_.path(); }

 private:
  support::TemporaryDirectory made_{support::Medium::disk};
};

class Trial {
 public:
  Trial(const fs::path& prepared, bool queued, std::size_t descriptors)
      : directory_(prepared),
        relay_({.directory = directory_.path() / "relay",
                .settings = settings(),
                .binary = {},
                .environment = {},
                .started = false}),
        queued_(queued),
        descriptors_(descriptors),
        history_(Load::Size{}.pairs) {}

  Played run(const std::optional<Fault>& fault);
  [[nodiscard]] std::size_t descriptors() const { return descriptors_; }
  // Everything is sent, and nobody has fetched it.
  void prepare(const fs::path& to);

 private:
  void meet();
  void finish_without();
  void judge();
  void judge_store();
  void judge_end(Ending ending);
  void judge_descriptors();
  [[nodiscard]] Load::Size size_of_load() const;
  bool run_until(const std::function<bool()>& done, std::chrono::seconds limit);
  void expect(bool holds, const std::string& otherwise) {
    if (!holds) played_.faults.push_back(otherwise);
  }

  Copy directory_;
  support::RelayProcess relay_;
  const bool queued_;
  std::size_t descriptors_;  // of a daemon that nobody is connected to; 0: not known yet
  support::History history_;
  std::optional<support::Fleet> fleet_;
  std::optional<Load> load_;
  bool settled_ = false;  // in the life that met the fault
  Played played_;
};

Load::Size Trial::size_of_load() const {
  Load::Size size;
  if (queued_) size.away = 0;
  return size;
}

bool Trial::run_until(const std::function<bool()>& done, std::chrono::seconds limit) {
  return fleet_->run_until(
      [&] {
        if (done()) return true;
        load_->step();
        return false;
      },
      limit);
}

Played Trial::run(const std::optional<Fault>& fault) {
  try {
    const Counter counter(directory_.path() / "counts");
    relay_.set_environment(counter.environment(fault));
    if (relay_.try_start()) {
      meet();
      played_.calls = counter.calls();
    } else {
      played_.calls = counter.calls();
      judge_end(Ending::refused);
    }
    relay_.set_environment({});
    if (!settled_) finish_without();
    judge();
    judge_store();
    // Nobody can know what is on the disk then, even where nothing shows.
    const bool sync_failed =
        fault && fault->call == Call::sync && played_.of(Call::sync) >= fault->index;
    expect(!sync_failed || played_.ending != Ending::kept_on, "it went on after a failed sync");
  } catch (const support::RelayFailure& failure) {
    played_.faults.push_back("it does not start again: " + std::string(failure.what()));
  }
  return std::move(played_);
}

// The life of the daemon that meets the fault.
void Trial::meet() {
  fleet_.emplace(relay_.address());
  load_.emplace(*fleet_, history_, size_of_load(), queued_);
  load_->begin();
  const auto no_room = [this] { return load_->state().refusals > kRefusalsMax; };
  const bool ended = run_until(
      [&] {
        return load_->settled() || !relay_.running() || no_room() ||
               !load_->state().breaches.empty();
      },
      kPatience);
  if (!ended) played_.hung = true;
  settled_ = load_->settled();
  if (settled_ && relay_.running()) judge_descriptors();
  if (relay_.running()) {
    load_->pause();
    ::kill(relay_.pid(), SIGTERM);
  }
  relay_.await_end(kEndPatience);
  judge_end(Ending::stopped);
}

// How the daemon ended: what it said, when it ended with a failure.
void Trial::judge_end(Ending ending) {
  const int status = relay_.last_status();
  if (status == 0 && ending == Ending::stopped) return;
  played_.ending = ending;
  played_.said = words_of(relay_.log(), (directory_.path() / "relay").string());
  if (status == 128 + SIGKILL) {
    played_.hung = true;
  } else if (status >= 128) {
    played_.crashed = true;
  } else {
    expect(status == 1 && !played_.said.empty(),
           "it ended with " + std::to_string(status) + " and these words: " + relay_.log());
  }
}

// Each connection's descriptor goes with it. Without a fault it is found out how many are left.
void Trial::judge_descriptors() {
  load_->go();
  const auto limit = steady_clock::now() + kEndPatience;
  const auto none_left = [this] {
    if (descriptors_ == 0) return relay_.status().connections == 0;
    return relay_.descriptors() <= descriptors_;
  };
  bool done = false;
  while (relay_.running() && !(done = none_left()) && steady_clock::now() < limit) {
    (void)fleet_->run_until([] { return false; }, 0s);
  }
  if (!relay_.running()) return;
  const std::size_t now = relay_.descriptors();
  if (descriptors_ == 0 && done) descriptors_ = now;
  expect(done, "it has " + std::to_string(now) + " descriptors open, not " +
                   std::to_string(descriptors_));
}

// Another life, without the fault.
void Trial::finish_without() {
  if (load_) {
    load_->pause();
    expect(run_until([this] { return load_->all_down(); }, kPatience),
           "a connection outlived its relay");
    history_.restarted();
  }
  relay_.start();
  if (load_) {
    load_->resume();
  } else {
    fleet_.emplace(relay_.address());
    load_.emplace(*fleet_, history_, size_of_load(), queued_);
    load_->begin();
  }
  (void)run_until([this] { return load_->settled() || !load_->state().breaches.empty(); },
                  kPatience);
  load_->go();
  (void)run_until([this] { return load_->all_down(); }, kEndPatience);
  expect(relay_.stop() == 0, "without the fault it does not stop in order: " + relay_.log());
}

void Trial::judge() {
  const support::Verdict verdict = history_.judge();
  played_.lost = verdict.lost;
  const auto none = [this](std::uint64_t count, const std::string& what) {
    expect(count == 0, std::to_string(count) + " envelopes " + what);
  };
  none(verdict.again, "came again after a confirmed ack");
  none(verdict.twice, "came twice on one connection");
  none(verdict.never_sent, "came that were never sent");
  none(verdict.damaged, "came damaged");
  none(verdict.refused, "were refused for good");
  none(verdict.unfinished, "have no outcome");
  // What was refused for the time being is overtaken by what was sent behind it.
  if (load_->state().refusals == 0) none(verdict.out_of_order, "came out of order");
  for (const std::string& breach : load_->state().breaches) played_.faults.push_back(breach);
  if (verdict.kept()) return;
  for (const std::string& story : verdict.stories) played_.faults.push_back(story);
}

void Trial::judge_store() {
  relay::store::Options options;
  options.directory = directory_.path() / "relay";
  options.grow_step = options.reserve = kStoreStep;
  const auto store = relay::store::Store::open(options);
  if (!store) return expect(false, "its store does not open: " + store.error().detail);
  std::uint64_t left = 0;
  const auto read = (*store)->recover([&](const relay::store::Recovered&) { ++left; });
  expect(read.has_value(), "its store does not read");
  expect(left == 0, std::to_string(left) + " envelopes are left in the store");
  expect((*store)->figures().quarantined == 0, "its store has damaged records");
}

void Trial::prepare(const fs::path& to) {
  relay_.start();
  fleet_.emplace(relay_.address());
  Load::Size size;
  size.away = size.pairs;
  load_.emplace(*fleet_, history_, size, false);
  load_->begin();
  if (!run_until([this] { return load_->all_sent(); }, kPatience) || relay_.stop() != 0) {
    throw support::RelayFailure("the store with mail was not made: " + relay_.log());
  }
  fs::copy(directory_.path(), to, fs::copy_options::recursive);
}

class RelayStage final : public Stage {
 public:
  explicit RelayStage(bool queued) : queued_(queued) {
    if (queued) Trial({}, false, 0).prepare(prepared_.path());
    Trial reference(prepared(), queued_, 0);
    (void)reference.run(std::nullopt);
    descriptors_ = reference.descriptors();
  }

  Played play(const std::optional<Fault>& fault) override {
    return Trial(prepared(), queued_, descriptors_).run(fault);
  }

 private:
  [[nodiscard]] fs::path prepared() const { return queued_ ? prepared_.path() : fs::path(); }

  const bool queued_;
  support::TemporaryDirectory prepared_{support::Medium::disk};
  std::size_t descriptors_ = 0;
};

// Whatever it could not do the first time, the second init does, or says that there is a relay.
class InitStage final : public Stage {
 public:
  Played play(const std::optional<Fault>& fault) override {
    const support::TemporaryDirectory place{support::Medium::disk};
    const std::string directory = (place.path() / "relay").string();
    const auto output = place.path() / "output";
    const Counter counter(place.path() / "counts");
    const auto init = [&](const std::map<std::string, std::string>& environment) {
      return run_program(
          {support::RelayProcess::default_binary(), "init", directory}, environment, output,
          [] { std::this_thread::sleep_for(1ms); }, kEndPatience);
    };
    const auto words = [&] {
      std::ifstream in(output);
      return std::string{std::istreambuf_iterator<char>(in), {}};
    };
    Played played;
    const int status = init(counter.environment(fault));
    played.calls = counter.calls();
    if (status != 0) {
      played.ending = Ending::refused;
      played.said = words_of(words(), directory);
      played.hung = status == 128 + SIGKILL;
      played.crashed = !played.hung && status >= 128;
      if (status != 1 || played.said.empty()) {
        played.faults.push_back("init ended with " + std::to_string(status) + ": " + words());
      }
      fs::remove(output);
      const bool made = init({}) == 0;
      if (!made && words().find("already holds a relay") == std::string::npos)
        played.faults.push_back("the second init fails: " + words());
    }
    try {
      support::RelayProcess relay(
          {.directory = directory, .settings = settings(), .binary = {}, .environment = {}});
      if (relay.stop() != 0) played.faults.push_back("the relay does not stop in order");
    } catch (const support::RelayFailure& failure) {
      played.faults.push_back(failure.what());
    }
    return played;
  }
};

}  // namespace

std::unique_ptr<Stage> relay_init() {
  return std::make_unique<InitStage>();
}
std::unique_ptr<Stage> relay_at_its_first_start() {
  return std::make_unique<RelayStage>(false);
}
std::unique_ptr<Stage> relay_with_mail() {
  return std::make_unique<RelayStage>(true);
}

}  // namespace godwit::faults
