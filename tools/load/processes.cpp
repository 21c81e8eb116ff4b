// Happy path: each child has a socket to its parent -> it arrives at a phase and says so -> when
// all have arrived, the parent begins it and says go -> the parent asks now and then what they have
// counted -> each says its last word and ends.
// Failure: a child whose socket ends before its last word is a fault, and the others are told to
// stop, with their reports. The parent's own end kills its children.
#include "tools/load/processes.hpp"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <system_error>

#include "schema/net/descriptor.hpp"
#include "schema/wire/bytes.hpp"
#include "tests/support/process.hpp"
#include "tools/load/people.hpp"
#include "tools/load/run.hpp"

namespace godwit::load {
namespace {

constexpr std::uint64_t kDescriptorsBeside = 64;
constexpr std::uint64_t kDescriptorsOfAClient = 13;  // with its home and its loop
constexpr int kRoundMs = 5;  // how late the parent may be when nobody speaks

// What the parent says to a child, a byte each.
enum class Order : char { count = 'c', go = 'g', stop = 's' };

std::vector<std::string> play_part(const Scenario& scenario, const Target& target,
                                   const std::string& from, Tally& tally, Stage& stage) {
  if (!scenario.e2ee) return Run(scenario, target.address, from, tally, stage).play();
  return People(scenario, wire::format_address(target.address), target.homes, tally, stage).play();
}

// An address has some 28,000 ports to connect from: on loopback each process has one of its own.
bool sources_differ(const Target& target) {
  return target.address.host_port.starts_with("127.");
}
std::string source_of(const Target& target, std::uint32_t index) {
  return sources_differ(target) ? "127.0.0." + std::to_string(index + 1) : "";
}

// That a process may connect from; as usual when the system does not say.
std::uint64_t ports() {
  std::uint64_t first = 32'768;
  std::uint64_t last = 60'999;
  std::ifstream("/proc/sys/net/ipv4/ip_local_port_range") >> first >> last;
  return last - first + 1;
}

// ---- A child ----------------------------------------------------------------------------------

class ChildStage final : public Stage {
 public:
  ChildStage(int socket, Tally& tally) : socket_(socket), tally_(tally) {}

  void arrive(Phase phase, double seconds) override {
    begun_ = false;
    Word word;
    word.kind = Word::Kind::arrived;
    word.phase = phase;
    word.phase_seconds = seconds;
    say(std::move(word));
  }
  [[nodiscard]] bool begun() override { return begun_; }
  void tick(Clock::time_point) override {
    std::array<char, 64> orders{};
    const auto count = ::recv(socket_, orders.data(), orders.size(), MSG_DONTWAIT);
    for (ssize_t i = 0; i < count; ++i) {
      switch (static_cast<Order>(orders[static_cast<std::size_t>(i)])) {
        case Order::count:
          say({});
          break;
        case Order::go:
          begun_ = true;
          break;
        case Order::stop:
          end_early();
          break;
      }
    }
  }
  void end(std::vector<std::string> faults) {
    Word word;
    word.kind = Word::Kind::ended;
    word.faults = std::move(faults);
    say(std::move(word));
  }

 private:
  // It waits for room: the parent reads all the time. A parent that is gone kills this process.
  void say(Word word) {
    tally_.cpu_s = support::own_cpu_seconds();
    word.tally = tally_.take();
    const wire::Bytes bytes = encode(word);
    for (std::size_t sent = 0; sent < bytes.size();) {
      const auto count = ::send(socket_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (count < 0 && errno != EINTR) return;
      if (count > 0) sent += static_cast<std::size_t>(count);
    }
  }

  int socket_;
  Tally& tally_;
  bool begun_ = false;
};

[[noreturn]] void be_child(const Scenario& part, const Target& target, std::uint32_t index,
                           int socket, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);
  // A terminal interrupts all of its processes; it is the parent that says what follows from it.
  ignore_interrupts();
  Tally tally;
  ChildStage stage(socket, tally);
  stage.end(play_part(part, target, source_of(target, index), tally, stage));
  // What else this process holds is the parent's to clean up: the relay, its directory.
  ::_exit(0);
}

// ---- The parent -------------------------------------------------------------------------------

struct Child {
  pid_t pid = -1;
  net::Descriptor socket;
  wire::Bytes heard;             // of a word that is not complete
  std::optional<Phase> waiting;  // it has arrived there
  double phase_seconds = 0;
  bool asked = false;  // what it has counted, and has not answered
};

class Parent {
 public:
  Parent(const Scenario& scenario, const Target& target, std::vector<Tally>& tallies, Meter& meter,
         Chaos& chaos)
      : scenario_(scenario), target_(target), tallies_(tallies), meter_(meter), chaos_(chaos) {}
  ~Parent() {
    for (Child& child : children_) {
      if (playing(child)) (void)end(child);
    }
  }
  Parent(const Parent&) = delete;
  Parent& operator=(const Parent&) = delete;

  // Returns the faults.
  [[nodiscard]] std::vector<std::string> play() {
    if (!fork_all()) return std::move(faults_);
    while (std::ranges::any_of(children_, playing)) {
      listen();
      begin_phase();
      if (interrupted()) stop_all();
      const auto now = Clock::now();
      chaos_.tick(now);
      count(now);
    }
    return std::move(faults_);
  }

 private:
  static bool playing(const Child& child) { return child.socket.is_open(); }

  bool fork_all() {
    const pid_t self = ::getpid();
    for (std::uint32_t i = 0; i < scenario_.processes; ++i) {
      std::array<int, 2> ends{};
      const bool paired = ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0;
      Child& child = children_.emplace_back();
      if (paired) child.socket = net::Descriptor(ends[0]);
      const net::Descriptor theirs(paired ? ends[1] : -1);
      child.pid = paired ? ::fork() : -1;
      if (child.pid < 0) {
        faults_.push_back("process " + std::to_string(i + 1) +
                          " could not be made: " + std::generic_category().message(errno));
        return false;
      }
      if (child.pid == 0) {
        for (Child& other : children_) other.socket = {};  // theirs end with the parent alone
        be_child(part_of(scenario_, i), target_, i, theirs.get(), self);
      }
    }
    return true;
  }

  void listen() {
    std::vector<pollfd> sockets;
    for (const Child& child : children_) sockets.push_back({child.socket.get(), POLLIN, 0});
    if (::poll(sockets.data(), sockets.size(), kRoundMs) <= 0) return;
    for (std::size_t i = 0; i < sockets.size(); ++i) {
      if (sockets[i].revents != 0) hear(i);
    }
  }

  void hear(std::size_t index) {
    Child& child = children_[index];
    std::array<std::uint8_t, 65'536> bytes;
    const auto count = ::recv(child.socket.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (count <= 0) return lose(index);
    wire::append(child.heard, {bytes.data(), static_cast<std::size_t>(count)});
    while (playing(child)) {
      auto word = parse_word(child.heard);
      if (!word && word.error() == WordError::incomplete) return;
      if (!word) return lose(index);
      child.heard.erase(child.heard.begin(),
                        child.heard.begin() + static_cast<std::ptrdiff_t>(word->second));
      take(index, std::move(word->first));
    }
  }

  void take(std::size_t index, Word word) {
    Child& child = children_[index];
    tallies_[index].follow(std::move(word.tally));
    if (word.kind == Word::Kind::counted) child.asked = false;
    if (word.kind == Word::Kind::arrived) {
      child.waiting = word.phase;
      child.phase_seconds = word.phase_seconds;
    }
    if (word.kind == Word::Kind::ended) {
      for (const std::string& fault : word.faults) faults_.push_back(name_of(index) + fault);
      (void)end(child);
    }
  }

  [[nodiscard]] std::string name_of(std::size_t index) const {
    return "process " + std::to_string(index + 1) + ": ";
  }

  // Without its books nobody knows what became of what it sent: the run is over.
  void lose(std::size_t index) {
    const int status = end(children_[index]);
    faults_.push_back(name_of(index) + "it ended before its report, " +
                      (WIFSIGNALED(status) ? "by signal " + std::to_string(WTERMSIG(status))
                                           : "with status " + std::to_string(WEXITSTATUS(status))));
    tallies_[index].in_flight = tallies_[index].connections = 0;
    stop_all();
  }

  // One that has ended already is none the worse for it. Returns how it ended.
  static int end(Child& child) {
    child.socket = {};
    int status = 0;
    if (child.pid < 0) return status;  // it never was
    ::kill(child.pid, SIGKILL);
    while (::waitpid(child.pid, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
  }

  void order(Child& child, Order order) {
    const char byte = static_cast<char>(order);
    (void)::send(child.socket.get(), &byte, 1, MSG_NOSIGNAL);
  }

  void stop_all() {
    if (std::exchange(stopped_, true)) return;
    for (Child& child : children_) {
      if (playing(child)) order(child, Order::stop);
    }
  }

  // When all have arrived somewhere, those at the earliest phase go. The others have nothing to do
  // in it: no crowd, nobody who is away, or no login.
  void begin_phase() {
    const Child* first = nullptr;
    for (const Child& child : children_) {
      if (!playing(child)) continue;
      if (!child.waiting) return;
      if (first == nullptr || *child.waiting < *first->waiting) first = &child;
    }
    if (first == nullptr) return;
    const Phase phase = *first->waiting;
    meter_.begin(phase, first->phase_seconds);
    chaos_.enter(phase);
    for (Child& child : children_) {
      if (!playing(child) || child.waiting != phase) continue;
      child.waiting.reset();
      order(child, Order::go);
    }
  }

  // Asks all at once, and ends the interval when the last one has answered.
  void count(Clock::time_point now) {
    if (!meter_.due(now)) return;
    if (!std::exchange(asking_, true)) {
      for (Child& child : children_) {
        child.asked = playing(child);
        if (child.asked) order(child, Order::count);
      }
    }
    const auto silent = [](const Child& child) { return playing(child) && child.asked; };
    if (std::ranges::any_of(children_, silent)) return;
    asking_ = false;
    meter_.sample();
  }

  const Scenario& scenario_;
  const Target& target_;
  std::vector<Tally>& tallies_;
  Meter& meter_;
  Chaos& chaos_;
  std::vector<Child> children_;
  std::vector<std::string> faults_;
  bool asking_ = false;
  bool stopped_ = false;
};

}  // namespace

std::optional<std::string> missing_for(const Scenario& scenario, const Target& target,
                                       std::uint64_t descriptors) {
  std::uint64_t of_one = 0;
  for (std::uint32_t i = 0; i < scenario.processes; ++i) {
    of_one = std::max(of_one, devices_of(part_of(scenario, i)));
  }
  const std::uint64_t of_an_address = sources_differ(target) ? of_one : devices_of(scenario);
  if (of_an_address > ports()) {
    return std::to_string(of_an_address) + " devices would connect from one address, which has " +
           std::to_string(ports()) + " ports" +
           (sources_differ(target) ? ": share the load, --processes N"
                                   : " (net.ipv4.ip_local_port_range)");
  }
  const std::uint64_t wanted =
      kDescriptorsBeside + of_one * (scenario.e2ee ? kDescriptorsOfAClient : 1);
  if (wanted <= descriptors) return std::nullopt;
  return "a process of this load takes up to " + std::to_string(wanted) + " descriptors and may " +
         "have " + std::to_string(descriptors) + " (ulimit -n): raise it, or share the load: " +
         "--processes N";
}

Report play(const Scenario& scenario, const Target& target, Progress& progress) {
  std::vector<Tally> tallies(scenario.processes);
  Meter meter(scenario, tallies, target.own, target.pid, progress);
  Chaos chaos(target.own, scenario.kill_every, meter);
  Report report;
  if (scenario.processes == 1) {
    OnlyStage stage(meter, chaos);
    report.faults = play_part(scenario, target, {}, tallies.front(), stage);
  } else {
    report.faults = Parent(scenario, target, tallies, meter, chaos).play();
  }
  if (auto gone = chaos.end()) report.faults.insert(report.faults.begin(), *std::move(gone));
  meter.fill(report);
  report.interrupted = interrupted_by_signal();
  if (!report.interrupted || report.counts.accepted > 0) {
    for (std::string& why : faults_of(report, scenario)) {
      report.faults.push_back(std::move(why));
    }
  }
  report.unchecked = unchecked_of(report, scenario);
  return report;
}

}  // namespace godwit::load
