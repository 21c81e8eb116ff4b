// reasons: tells a person who waits for the relay why it takes long.
// Thread: the main one.
#pragma once

#include <string>
#include <string_view>

#include "tools/godwit/output.hpp"
#include "tools/godwit/text.hpp"

namespace godwit::cli {

// The error of a wait_* that may be called again.
[[nodiscard]] inline bool goes_on(const Error& error) {
  return error.code == ErrorCode::offline || error.code == ErrorCode::timed_out;
}

// What the library says while the first attempt is under way, which is nothing to tell.
inline constexpr std::string_view kFirstAttempt = "no connection yet";
[[nodiscard]] inline bool is_first_attempt(const Error& error) {
  return error.code == ErrorCode::offline && error.message == kFirstAttempt;
}

// Each reason once.
class Reasons {
 public:
  explicit Reasons(const Output& out) : out_(out) {}
  void tell(const Error& error) {
    if (error.code != ErrorCode::offline || error.message == last_) return;
    last_ = error.message;
    out_.note("note: " + one_line(last_) + "; trying again");
  }

 private:
  const Output& out_;
  std::string last_{kFirstAttempt};
};

}  // namespace godwit::cli
