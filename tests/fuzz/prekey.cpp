// A first message, which names the keys that a session is to be begun with. Altered on its way, or
// made by an initiator who names what he likes: it begins a session as it was made, or changes
// nothing; no first message begins one twice.
// About: client-sdk/src/crypto/x3dh.cpp client-sdk/src/crypto/session.cpp
// About: client-sdk/src/crypto/session_set.cpp
#include "tests/fuzz/party.hpp"

namespace godwit::fuzz {
namespace {

using crypto::SessionError;

// Enough for sessions to leave, and for their first messages to come again.
constexpr int kStepsMax = 40;

const PartyKeys& keys_of(std::size_t which) {
  static const std::array<PartyKeys, 2> keys{PartyKeys("alice"), PartyKeys("bob")};
  return keys[which];
}

class Story {
 public:
  explicit Story(Input& in) : in_(in) {}

  void play() {
    for (int i = 0; i < kStepsMax && !in_.empty(); ++i) {
      if (sent_.empty() || in_.chance(96)) {
        write();
      } else {
        deliver();
      }
    }
  }

 private:
  struct Sent {
    wire::Bytes inner;
    wire::Bytes plaintext;
    std::uint32_t gen = 0;
    bool opened = false;
  };

  void write() {
    const std::uint8_t with = in_.byte();
    const bool far = (with & 1) != 0;
    const std::uint32_t gen = far ? in_.number<std::uint32_t>() : bob_.set.next_gen();
    std::optional<wire::OneTimeKey> one_time;
    if (with & 2) one_time = bob_.give_one_time_key();
    if (with & 4) one_time = wire::OneTimeKey{1000, keys_of(1).one_time_key.public_key()};
    crypto::InviteSecret invite = keys_of(1).invite;
    if (with & 8) invite.bytes[0] ^= 1;
    crypto::Session session =
        alice_.session_with(bob_, gen, one_time, with & 16 ? &invite : nullptr);
    for (std::size_t count = 1 + in_.below(3); count > 0; --count) {
      const wire::Bytes plaintext = copy_of(in_.bytes(64));
      wire::Bytes inner = session.encrypt(plaintext, wire::random_bytes);
      sent_.push_back({std::move(inner), plaintext, gen, false});
    }
  }

  void deliver() {
    Sent& sent = sent_[in_.below(sent_.size())];
    wire::Bytes inner = sent.inner;
    const bool changed = in_.chance(160) && mutate(in_, inner);
    const wire::Bytes before = packed(bob_.set);
    const auto one_time = bob_.one_time_ids;
    const auto opened = bob_.open(alice_, inner, kStart);
    const auto message = crypto::parse_inner(inner);
    require(message || !opened, "what opens has a form");
    if (!opened) {
      require(packed(bob_.set) == before, "a message that fails changes nothing");
      require(bob_.one_time_ids == one_time, "it uses up no key");
      return;
    }
    require(opened->plaintext == sent.plaintext, "what opens says what was said");
    require(!sent.opened, "nothing opens twice");
    // The header only finds the session: once that is there, it may be missing, but not other.
    require(!changed || (!opened->began && !message->prekey), "what opens is what was sent");
    require(opened->began == (bob_.one_time_ids.size() != one_time.size()) || !sent_one_time(inner),
            "a one-time key begins one session");
    sent.opened = true;
    check_set();
  }

  static bool sent_one_time(wire::ByteView inner) {
    const auto message = crypto::parse_inner(inner);
    return message->prekey && message->prekey->one_time_key_id != wire::kNoOneTimeKey;
  }

  void check_set() {
    require(bob_.set.size() <= 1 + crypto::kReceiveOnlySessionsMax, "sessions are bounded");
    const wire::Bytes bytes = packed(bob_.set);
    const auto again = crypto::SessionSet::unpack(bytes);
    require(again && packed(*again) == bytes, "sessions are read as they were written");
  }

  Input& in_;
  Party alice_{keys_of(0)};
  Party bob_{keys_of(1)};
  std::vector<Sent> sent_;
};

}  // namespace
}  // namespace godwit::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace godwit::fuzz;
  Input in(data, size);
  Story(in).play();
  return 0;
}
