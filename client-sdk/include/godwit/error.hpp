// godwit/error: what can go wrong, and Result, which holds a value or an Error. The library throws
// nothing and aborts on nothing that a peer, a disk or a caller can cause.
#pragma once

#include <cassert>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace godwit {

enum class ErrorCode : std::uint8_t {
  invalid_argument,  // a text, name, address, cursor or limit that cannot be; says which
  not_found,         // no such conversation, message or name
  key_conflict,      // the idempotency key was used for another text or conversation
  home_in_use,       // another process has this home open
  home_exists,       // create() and recover() want a home without an account
  no_account,        // the home holds no account yet
  wrong_key,         // key file or passphrase does not fit
  damaged,           // the home, or one record in it, is damaged
  newer_version,     // the home was written by a later version of this library
  disk_full,         // nothing was changed; make room, as the message says, and try again
  storage,           // the disk failed; open the home again
  offline,           // the relay cannot be reached
  timed_out,         // the time given was not enough; nothing is lost, work goes on
  name_taken,        // another user holds this name
  refused,           // the relay refused; the message says why
  replaced,          // this device is logged in elsewhere: a copy of this home is in use
  removed,           // this device was removed from its account
  outbox_full,       // too many messages wait; try again when some are accepted
};

// "key_conflict": for logs and for --json.
[[nodiscard]] std::string_view to_string(ErrorCode code);

struct Error {
  ErrorCode code;
  std::string message;  // one sentence for a person: what, and what to do
};

// A value or an Error. Thread promise: that of the value. What `->` gives lives as long as the
// Result: keep that in a variable before you loop over it.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : held_(std::move(value)) {}      // NOLINT: implicit on purpose
  Result(Error error) : held_(std::move(error)) {}  // NOLINT
  [[nodiscard]] bool ok() const { return held_.index() == 0; }
  explicit operator bool() const { return ok(); }
  // Preconditions: ok().
  [[nodiscard]] T& operator*() & { return get(); }
  [[nodiscard]] const T& operator*() const& { return const_cast<Result*>(this)->get(); }
  [[nodiscard]] T operator*() && { return std::move(get()); }  // a loop over *call() keeps it
  [[nodiscard]] T* operator->() { return &get(); }
  [[nodiscard]] const T* operator->() const { return &const_cast<Result*>(this)->get(); }
  // Precondition: !ok().
  [[nodiscard]] const Error& error() const { return *std::get_if<1>(&held_); }

 private:
  T& get() {
    assert(ok());
    return *std::get_if<0>(&held_);
  }
  std::variant<T, Error> held_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT
  [[nodiscard]] bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  [[nodiscard]] const Error& error() const { return *error_; }

 private:
  std::optional<Error> error_;
};

}  // namespace godwit
