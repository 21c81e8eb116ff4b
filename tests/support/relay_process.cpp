// Happy path: `init` makes the directory -> the settings are written into its relay.toml -> `run`
// is started with a pipe for its output -> it says `ready ADDRESS` -> the port that the system
// chose is written into relay.toml, so that the next start has the same address.
// Failure: a relay that ends before it is ready is a RelayFailure with its log. On a restart it is
// tried again for a while: a socket of the test itself may have been given the port meanwhile.
#include "tests/support/relay_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <csignal>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string_view>
#include <thread>

#include "relay/ops/admin.hpp"
#include "schema/net/descriptor.hpp"
#include "tests/support/process.hpp"

namespace godwit::support {
namespace {

using std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto kReadyLimit = 30s;
constexpr auto kRestartPatience = 5s;
constexpr auto kRestartPause = 100ms;
constexpr auto kStatusPatience = 60s;
constexpr auto kStatusPause = 100ms;
constexpr auto kEndPatience = 1s;
constexpr auto kEndPause = 1ms;
constexpr std::string_view kReady = "ready ";
constexpr int kNotExecuted = 127;  // as of a shell

// The environment of this process with `changes` in it, as execve wants it.
std::vector<std::string> environment_with(const std::map<std::string, std::string>& changes) {
  std::vector<std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    if (!changes.contains(text.substr(0, text.find('=')))) all.push_back(text);
  }
  for (const auto& [name, value] : changes) all.push_back(name + "=" + value);
  return all;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// The line that begins with `ready `, without that word; empty when the output ends first.
std::string read_ready(int output) {
  const auto limit = steady_clock::now() + kReadyLimit;
  std::string text;
  while (true) {
    const auto end = text.find('\n');
    if (end != std::string::npos) {
      if (text.starts_with(kReady)) return text.substr(kReady.size(), end - kReady.size());
      text.erase(0, end + 1);
      continue;
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(limit - steady_clock::now());
    pollfd readable{output, POLLIN, 0};
    if (left <= 0ms || ::poll(&readable, 1, static_cast<int>(left.count())) == 0) return {};
    std::array<char, 512> part{};
    const ssize_t size = ::read(output, part.data(), part.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return {};
    text.append(part.data(), static_cast<std::size_t>(size));
  }
}

void need(bool holds, const std::string& why) {
  if (!holds) throw RelayFailure(why);
}

std::string system_error() { return std::strerror(errno); }

}  // namespace

// ---- Settings ---------------------------------------------------------------------------------

std::string with_setting(const std::string& toml, const std::string& name,
                         const std::string& value) {
  const auto dot = name.find('.');
  need(dot != std::string::npos, name + " is no setting: section.key is one");
  const std::string header = "[" + name.substr(0, dot) + "]";
  const std::string key = name.substr(dot + 1);
  const std::string setting = key + " = " + value;

  std::vector<std::string> lines;
  std::istringstream text(toml);
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  auto at = std::find(lines.begin(), lines.end(), header);
  if (at == lines.end()) at = lines.insert(lines.end(), header);
  const auto first = at + 1;
  const auto is_it = [&](const std::string& line) { return line.starts_with(key + " ="); };
  const auto end = std::find_if(first, lines.end(),
                                [](const std::string& line) { return line.starts_with('['); });
  if (const auto found = std::find_if(first, end, is_it); found != end) {
    *found = setting;
  } else {
    lines.insert(first, setting);
  }
  std::string result;
  for (const std::string& line : lines) result += line + "\n";
  return result;
}

void RelayProcess::set(const std::string& name, const std::string& value) const {
  const std::string text = with_setting(content_of(config()), name, value);
  std::ofstream file(config(), std::ios::binary);
  file << text;
  need(file.flush().good(), "cannot write " + config().string());
}

// ---- Start and end ----------------------------------------------------------------------------

std::string RelayProcess::default_binary() {
  const char* const given = std::getenv("GODWIT_RELAY");
  return given != nullptr ? given : GODWIT_RELAY_BINARY;
}

RelayProcess::RelayProcess(Options options) : options_(std::move(options)) {
  if (options_.binary.empty()) options_.binary = default_binary();
  if (!std::filesystem::exists(config())) make_directory();
  for (const auto& [name, value] : options_.settings) set(name, value);
  if (options_.started) start();
}

RelayProcess::~RelayProcess() {
  kill();
}

void RelayProcess::make_directory() {
  // Made here, so that there is a place for the log of `init` too.
  std::filesystem::create_directories(options_.directory);
  std::filesystem::permissions(options_.directory, std::filesystem::perms::owner_all);
  const net::Descriptor nowhere(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  std::vector<std::string> arguments{"init", options_.directory.string(), "--listen",
                                     "127.0.0.1:0"};
  pid_ = spawn(std::move(arguments), nowhere.get());
  const int status = wait();
  need(status == 0, "the relay's directory was not made: " + how_it_ended());
  keeps_port_ = !options_.settings.contains("network.listen");
}

// Everything is prepared before the fork: between fork and exec only what is safe in a signal
// handler may be called.
pid_t RelayProcess::spawn(std::vector<std::string> arguments, int standard_output) const {
  arguments.insert(arguments.begin(), options_.binary);
  auto environment = environment_with(options_.environment);
  const auto argv = pointers_to(arguments);
  const auto envp = pointers_to(environment);
  net::Descriptor errors;
  if (options_.quiet) {
    const auto file = log_file();
    errors = net::Descriptor(::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  }
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  need(child >= 0, "fork: " + system_error());
  if (child > 0) return child;
  // A test that crashes takes its relay along; and so does one that crashed before this line.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(kNotExecuted);
  // A group of its own: Ctrl-C in a terminal reaches the whole group of who started it, and it is
  // that one who decides when its relay ends.
  ::setpgid(0, 0);
  ::dup2(standard_output, STDOUT_FILENO);
  if (errors.is_open()) ::dup2(errors.get(), STDERR_FILENO);
  ::execve(argv[0], argv.data(), envp.data());
  ::_exit(kNotExecuted);
}

void RelayProcess::start() {
  assert(pid_ == -1);
  const bool again = !address_.host_port.empty();
  const auto limit = steady_clock::now() + (again ? kRestartPatience : 0s);
  while (!try_start()) {
    need(steady_clock::now() < limit, "the relay did not start: " + how_it_ended());
    std::this_thread::sleep_for(kRestartPause);
  }
  if (keeps_port_) set("network.listen", "[\"" + address_.host_port + "\"]");
}

bool RelayProcess::try_start() {
  std::array<int, 2> ends{};
  need(::pipe2(ends.data(), O_CLOEXEC) == 0, "pipe: " + system_error());
  const net::Descriptor read_end(ends[0]);
  {
    const net::Descriptor write_end(ends[1]);
    pid_ = spawn({"run", options_.directory.string()}, write_end.get());
  }
  const std::string ready = read_ready(read_end.get());
  const auto address = wire::parse_address(ready);
  if (!address) {
    await_end(kEndPatience);
    return false;
  }
  address_ = *address;
  return true;
}

std::string RelayProcess::how_it_ended() const {
  const std::string said = log();
  return options_.binary + " ended with status " + std::to_string(last_status_) +
         (last_status_ == kNotExecuted ? " (it may be no program)" : "") +
         (said.empty() ? "" : "\n" + said);
}

std::string RelayProcess::log() const {
  return options_.quiet ? content_of(log_file()) : "its errors are above";
}

bool RelayProcess::running() const {
  if (pid_ == -1) return false;
  siginfo_t info{};
  // The status stays for stop().
  need(::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0,
       "waitid: " + system_error());
  return info.si_pid == 0;
}

int RelayProcess::wait() {
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  last_status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return last_status_;
}

// One that has closed its output is about to end, and how it ends is worth to know.
void RelayProcess::await_end(std::chrono::milliseconds patience) {
  const auto limit = steady_clock::now() + patience;
  while (running() && steady_clock::now() < limit) std::this_thread::sleep_for(kEndPause);
  kill();
}

void RelayProcess::kill() {
  if (pid_ == -1) return;
  ::kill(pid_, SIGKILL);
  wait();
}

int RelayProcess::stop() {
  assert(pid_ != -1);
  ::kill(pid_, SIGTERM);
  return wait();
}

// ---- What can be seen of it -------------------------------------------------------------------

relay::ops::Figures RelayProcess::status() const {
  const auto limit = steady_clock::now() + kStatusPatience;
  while (true) {
    const auto figures = relay::ops::ask_status(options_.directory);
    if (figures) return *figures;
    need(running() && steady_clock::now() < limit, figures.error());
    std::this_thread::sleep_for(kStatusPause);
  }
}

std::uint64_t RelayProcess::resident_bytes() const {
  return support::resident_bytes(pid_).value_or(0);
}

std::uint64_t RelayProcess::private_bytes() const {
  return support::private_bytes(pid_).value_or(0);
}

std::size_t RelayProcess::descriptors() const {
  const auto directory = "/proc/" + std::to_string(pid_) + "/fd";
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(directory),
                                                std::filesystem::directory_iterator()));
}

double RelayProcess::cpu_seconds() const { return support::cpu_seconds(pid_).value_or(0); }

}  // namespace godwit::support
