// commands: what godwit does, one function a command. Each returns the exit status and prints
// through an Output.
// Refuses: to know how arguments are written; main does.
// Thread:  the main one; those that connect wait for the network.
#pragma once

#include <array>
#include <chrono>
#include <optional>
#include <string>

#include "tools/godwit/output.hpp"

namespace godwit::cli {

inline constexpr std::array<const char*, 2> kPolicies{"open", "requests"};

struct Arguments {
  std::string home;
  std::optional<std::string> passphrase;
  std::optional<std::string> new_passphrase;
  bool json = false;
  std::string relay;
  std::string name;  // of the account, or of the other one
  std::string text;
  std::optional<std::string> key;
  bool no_wait = false;
  double timeout_s = 10;
  std::optional<double> for_s;
  PageRequest page;
  bool from_start = false;  // of a conversation; else from its end
  std::string message;
  std::string policy;  // one of kPolicies
  std::string shell;

  // Room for all that a long sync brings between two looks.
  [[nodiscard]] Options options() const {
    return {.home = home, .passphrase = passphrase, .events_max = 1'000'000};
  }
};

[[nodiscard]] inline std::chrono::milliseconds in_milliseconds(double seconds) {
  return std::chrono::milliseconds{static_cast<std::chrono::milliseconds::rep>(seconds * 1'000)};
}

// Adds near names among the contacts to a not_found error.
[[nodiscard]] Error with_near_names(Error error, const Client& client, const std::string& name);

// account
[[nodiscard]] int init(const Arguments& arguments, const Output& out);
[[nodiscard]] int recover(const Arguments& arguments, const Output& out);
[[nodiscard]] int change_passphrase(const Arguments& arguments, const Output& out);
// sending and receiving
[[nodiscard]] int send(const Arguments& arguments, const Output& out);
[[nodiscard]] int sync(const Arguments& arguments, const Output& out);
[[nodiscard]] int chat(const Arguments& arguments, const Output& out);
// what is on this device
[[nodiscard]] int list_conversations(const Arguments& arguments, const Output& out);
[[nodiscard]] int list_messages(const Arguments& arguments, const Output& out);
[[nodiscard]] int mark_read(const Arguments& arguments, const Output& out);
[[nodiscard]] int print_status(const Arguments& arguments, const Output& out);
[[nodiscard]] int print_explanation(const Arguments& arguments, const Output& out);
// whom this account knows
[[nodiscard]] int list_contacts(const Arguments& arguments, const Output& out);
[[nodiscard]] int print_safety_number(const Arguments& arguments, const Output& out);
[[nodiscard]] int accept(const Arguments& arguments, const Output& out);
[[nodiscard]] int set_policy(const Arguments& arguments, const Output& out);
[[nodiscard]] int block(const Arguments& arguments, const Output& out);
[[nodiscard]] int unblock(const Arguments& arguments, const Output& out);
// shell
[[nodiscard]] int print_completion(const Arguments& arguments, const Output& out);

}  // namespace godwit::cli
