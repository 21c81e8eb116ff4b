// support/relay_process: the real daemon, in a directory of its own, started and ended by a test or
// by the load generator. What fails is thrown as a RelayFailure: a test fails with it.
// Thread: one owner.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "relay/ops/figures.hpp"
#include "schema/wire/address.hpp"
#include "tests/support/temporary_directory.hpp"

namespace godwit::support {

class RelayFailure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The text of a relay.toml in which `name` ("section.key") has this value; sections and keys that
// are not there are added, and everything else stays.
[[nodiscard]] std::string with_setting(const std::string& toml, const std::string& name,
                                       const std::string& value);

class RelayProcess {
 public:
  struct Options {
    std::filesystem::path directory;              // made by `init` when it holds no relay
    std::map<std::string, std::string> settings;  // "section.key" -> TOML value, set after init
    std::string binary;                           // empty: GODWIT_RELAY, else the one of this build
    std::map<std::string, std::string> environment;
    bool quiet = true;     // stderr goes to DIR/log, else through
    bool started = true;  // false: its directory is made, and no more
  };
  // Starts it and waits for `ready`, at most 30 s.
  explicit RelayProcess(Options options);
  // GODWIT_RELAY, else the one of this build.
  [[nodiscard]] static std::string default_binary();
  ~RelayProcess();  // kills it when it still runs
  RelayProcess(const RelayProcess&) = delete;
  RelayProcess& operator=(const RelayProcess&) = delete;

  [[nodiscard]] const wire::RelayAddress& address() const { return address_; }
  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] bool running() const;

  void kill();   // SIGKILL, and waits
  int stop();    // SIGTERM, waits, the exit status; 128 + N of a signal N
  void start();  // again, on the same port. Precondition: not running
  // One attempt to start it. False: it ended, and last_status() says how, or did not get ready.
  // Precondition: not running.
  [[nodiscard]] bool try_start();
  void set_environment(std::map<std::string, std::string> environment) {  // of the next start
    options_.environment = std::move(environment);
  }
  // As stop() gives it, of the newest that ended by itself or by kill().
  [[nodiscard]] int last_status() const { return last_status_; }
  void await_end(std::chrono::milliseconds patience);  // by itself; killed when that has passed
  [[nodiscard]] std::filesystem::path directory() const { return options_.directory; }
  [[nodiscard]] std::filesystem::path log_file() const { return directory() / "log"; }
  [[nodiscard]] std::string log() const;  // all of it
  // Asked again when it does not answer in time, for a minute: on a machine that others use as
  // well, a relay may not get to run for seconds.
  [[nodiscard]] relay::ops::Figures status() const;

  // Of the process, from /proc.
  [[nodiscard]] std::uint64_t resident_bytes() const;
  [[nodiscard]] std::uint64_t private_bytes() const;  // without the store's map
  [[nodiscard]] std::size_t descriptors() const;
  [[nodiscard]] double cpu_seconds() const;

 private:
  [[nodiscard]] std::filesystem::path config() const { return options_.directory / "relay.toml"; }
  void make_directory();
  void set(const std::string& name, const std::string& value) const;
  [[nodiscard]] pid_t spawn(std::vector<std::string> arguments, int standard_output) const;
  int wait();
  [[nodiscard]] std::string how_it_ended() const;  // and its log

  Options options_;
  bool keeps_port_ = false;  // the port that the system chose is written down for the next start
  wire::RelayAddress address_;
  pid_t pid_ = -1;
  int last_status_ = 0;
};

}  // namespace godwit::support
