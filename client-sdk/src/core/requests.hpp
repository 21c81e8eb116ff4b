// core/requests: what we have asked the relay and it has not answered.
// Owns:    the ids, and what each answer will mean.
// Refuses: to send before the round commits (frames wait in the round).
#pragma once

#include <unordered_map>

#include "client-sdk/src/core/round.hpp"
#include "schema/wire/codec.hpp"

namespace godwit::core {

struct LoginAsked {};
struct RegisterAsked {};
struct DevicesPut {};
struct KeysPut {
  std::uint32_t one_time_upto = 0;  // 0: none
  std::uint32_t signed_prekey = 0;  // their ids; 0: not among them
  std::uint32_t seal_key = 0;
};
struct NamePut {
  std::string name;
};
struct UserAsked {
  std::optional<wire::UserId> user;
  std::string name;
  wire::UserId claimed_by;  // a contact that says it has this name; zeros: an outbox lane waits
  LocalConversation conversation{};  // whose name it is; zeros: nobody has asked for one
  bool unheard = false;              // nothing waits for it: their device may have been replaced
};
struct PrekeysAsked {
  wire::UserId user;
  std::vector<wire::DeviceId> devices;
};
struct SubmitAsked {
  std::uint64_t number = 0;             // of the outbox; 0: a frame nobody waits for
  std::vector<wire::DeviceId> devices;  // in the order of the recipients
  std::size_t bytes = 0;
};
struct AckAsked {};
struct PingAsked {};

using Asked = std::variant<LoginAsked, RegisterAsked, DevicesPut, KeysPut, NamePut, UserAsked,
                           PrekeysAsked, SubmitAsked, AckAsked, PingAsked>;

class Requests {
 public:
  template <class Body>
  void ask(Round& round, Body body, Asked asked) {
    wire::Request request{++last_id_, std::move(body)};
    const wire::ByteView frame = encoder_.encode(request);
    round.send(wire::Bytes(frame.begin(), frame.end()));
    waiting_.emplace(last_id_, Waiting{std::move(asked), round.now.steady});
  }
  // What the request was; nothing when the relay made the id up.
  [[nodiscard]] std::optional<Asked> answered(std::uint32_t id);
  // The connection has gone: nothing will be answered any more.
  void abandon();

  template <class What>
  [[nodiscard]] std::size_t count() const {
    std::size_t found = 0;
    for (const auto& [id, waiting] : waiting_) found += std::holds_alternative<What>(waiting.asked);
    return found;
  }
  [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }
  // Since when the oldest waits.
  [[nodiscard]] std::optional<milliseconds> oldest() const;

 private:
  struct Waiting {
    Asked asked;
    milliseconds since{};
  };
  wire::Encoder encoder_;
  std::uint32_t last_id_ = 0;
  std::unordered_map<std::uint32_t, Waiting> waiting_;
};

}  // namespace godwit::core
