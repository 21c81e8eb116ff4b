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

// When the time is over: an attempt may take longer than a person waits, and then no reason has
// come. Any other error as it is.
[[nodiscard]] inline Error with_reason(Error error, const Client& client) {
  if (!is_first_attempt(error)) return error;
  const std::string relay = client.account().relay;  // godwit://KEY@HOST:PORT
  error.message = "the relay at " + one_line(relay.substr(relay.find('@') + 1)) +
                  " has not answered yet (is this network connected, and does it let the port " +
                  "through?)";
  return error;
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
