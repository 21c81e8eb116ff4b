// faults/stage: a run of a program that can be played again and again, each time with another call
// that fails, and what became of it.
// Thread: one owner.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/faults/fault.hpp"

namespace godwit::faults {

enum class Ending : std::uint8_t {
  kept_on,   // tolerated: what it broke was mended, or refused for the time being
  stopped,   // said what failed, and ended
  refused,   // did not start, and said why
};

// Everything but the ending and the words is a promise that was broken.
struct Played {
  Ending ending = Ending::kept_on;
  std::string said;  // with a stop or a refusal: the program's own words
  std::array<std::uint64_t, kCallNames.size()> calls{};  // of the process that met the fault
  std::uint64_t lost = 0;  // messages
  bool crashed = false;
  bool hung = false;
  std::vector<std::string> faults;  // what else was wrong, and the stories of all of it

  [[nodiscard]] std::uint64_t of(Call call) const { return calls[static_cast<std::size_t>(call)]; }
  [[nodiscard]] bool good() const { return lost == 0 && !crashed && !hung && faults.empty(); }
};

class Stage {
 public:
  Stage() = default;
  virtual ~Stage() = default;
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;
  // Without a fault: everything is counted, and nothing may go wrong.
  [[nodiscard]] virtual Played play(const std::optional<Fault>& fault) = 0;
};

// The daemon in a directory without a store: 200 messages through it, and its end.
[[nodiscard]] std::unique_ptr<Stage> relay_at_its_first_start();
// The daemon on a store with 200 messages, which are then fetched.
[[nodiscard]] std::unique_ptr<Stage> relay_with_mail();
// A program with the SDK: makes an account, closes its home and opens it, and then 100 messages
// each way with another.
[[nodiscard]] std::unique_ptr<Stage> sdk();

// `godwit-relay init`, and the relay that it makes.
[[nodiscard]] std::unique_ptr<Stage> relay_init();

// "write:EIO:17+".
[[nodiscard]] std::string text_of(const Fault& fault);

// Runs a program to its end, which is waited for so long; output and errors are added to a file.
// Its exit status, 128 + N of a signal N.
[[nodiscard]] int run_program(std::vector<std::string> arguments,
                              const std::map<std::string, std::string>& environment,
                              const std::filesystem::path& output,
                              const std::function<void()>& meanwhile,
                              std::chrono::seconds patience);

// `text` with `name` wherever `what` stands in it.
[[nodiscard]] std::string with_name(std::string text, const std::string& what,
                                    const std::string& name);

// The counters of one process, in a file that it maps too.
class Counter {
 public:
  explicit Counter(const std::filesystem::path& file);
  ~Counter();
  Counter(const Counter&) = delete;
  Counter& operator=(const Counter&) = delete;
  // What the process needs in its environment to count, and to meet `fault`.
  [[nodiscard]] std::map<std::string, std::string> environment(
      const std::optional<Fault>& fault) const;
  [[nodiscard]] std::array<std::uint64_t, kCallNames.size()> calls() const;

 private:
  std::filesystem::path file_;
  Counts* counts_;
};

}  // namespace godwit::faults
