// The ratchet messages and ephemeral frames of one running session: late, lost, doubled, altered,
// or made by the peer with numbers that no honest client uses. What opens is what was sent, once;
// what does not leaves the session as it was, to the bit.
// About: client-sdk/src/crypto/ratchet.cpp client-sdk/src/crypto/session.cpp
#include "client-sdk/src/crypto/ratchet.hpp"

#include "client-sdk/src/crypto/aead.hpp"
#include "tests/fuzz/party.hpp"

namespace godwit::fuzz {
namespace {

using crypto::SessionError;

const PartyKeys& keys_of(std::size_t which) {
  static const std::array<PartyKeys, 2> keys{PartyKeys("alice"), PartyKeys("bob")};
  return keys[which];
}

struct Header {
  wire::Key ratchet_key;
  std::uint32_t previous_count = 0;
  std::uint32_t number = 0;
};

// A message whose header authenticates and whose body does not, as only the peer can make it: its
// keys are read from where pack() puts them. Precondition: a session without a one-time key that
// has sent.
wire::Bytes forged(const crypto::Session& session, const Header& header) {
  constexpr std::size_t kAdAt = 2 + 48;
  constexpr std::size_t kAdSize = 139;
  constexpr std::size_t kSendingHeaderKeyAt =
      kAdAt + kAdSize + 2 * 32 + 1 + 2 * 32 + 32 + 4 + 2 * 32;
  const wire::Bytes state = packed(session);
  const wire::ByteView all = state;
  const wire::Bytes nonce(crypto::kAeadNonceSize, 0x24);
  wire::Bytes message{0x01, crypto::kSuite1, 0x02, 0x00};
  wire::append(message, nonce);
  wire::Bytes ad = copy_of(all.subspan(kAdAt, kAdSize));
  wire::append(ad, message);
  wire::Bytes fields = copy_of(header.ratchet_key.view());
  wire::append_le(fields, header.previous_count);
  wire::append_le(fields, header.number);
  crypto::aead_append(message, wire::SecretKey::copy_of(all.subspan(kSendingHeaderKeyAt, 32)),
                      nonce, ad, fields);
  message.resize(message.size() + 32);
  return message;
}

class Story {
 public:
  explicit Story(Input& in) : in_(in) {
    ends_.push_back({Party(keys_of(0)), {}, {}});
    ends_.push_back({Party(keys_of(1)), {}, {}});
    Party& alice = ends_[0].party;
    Party& bob = ends_[1].party;
    ends_[0].session.emplace(alice.session_with(bob, 1));
    const auto& header = ends_[0].session->header();
    auto answering = crypto::Session::respond(keys_of(1).identity, keys_of(1).user, alice.id(),
                                              header, keys_of(1).signed_prekey, nullptr);
    require(answering.has_value(), "an honest first message begins a session");
    ends_[1].session.emplace(std::move(*answering));
  }

  void play() {
    for (int i = 0; i < 64 && !in_.empty(); ++i) step();
  }

 private:
  struct Sent {
    wire::Bytes message;  // the ratchet message
    wire::Bytes plaintext;
    bool opened = false;
  };
  struct End {
    Party party;
    std::optional<crypto::Session> session;
    std::vector<Sent> sent;
    bool may_send = false;
  };

  void step() {
    const std::size_t which = in_.below(2);
    switch (in_.below(8)) {
      case 0:
      case 1:
        return send(which, 1, in_.bytes(64));
      case 2:  // none of which may ever arrive
        return send(which, in_.below(400), {});
      case 3:
      case 4:
        return deliver(which, false);
      case 5:
        return deliver(which, true);
      case 6:
        return deliver_forged(which);
      default:
        return in_.chance(128) ? repack(which) : ephemeral(which);
    }
  }

  void send(std::size_t from, std::size_t count, wire::ByteView plaintext) {
    End& end = ends_[from];
    if (from == 1 && !end.may_send) return;
    for (; count > 0 && end.sent.size() < kSentMax; --count) {
      const wire::Bytes inner = end.session->encrypt(plaintext, wire::random_bytes);
      const auto message = crypto::parse_inner(inner);
      require(message.has_value(), "a message has the form of one");
      end.sent.push_back({copy_of(message->ratchet), copy_of(plaintext), false});
    }
  }

  void deliver(std::size_t to, bool altered) {
    End& end = ends_[to];
    std::vector<Sent>& sent = ends_[1 - to].sent;
    if (sent.empty()) return;
    // Counted from the newest: an old one is rarely worth a turn.
    Sent& one = sent[sent.size() - 1 - in_.below(sent.size())];
    wire::Bytes message = one.message;
    const bool changed = altered && mutate(in_, message);
    const wire::Bytes before = packed(*end.session);
    const auto opened = end.session->decrypt(message, wire::random_bytes);
    if (!opened) {
      require(packed(*end.session) == before, "a message that fails leaves no trace");
      // Beyond these the keys of skipped messages leave, or are not made.
      const bool lost = sent.size() > crypto::kSkippedHeaderKeysMax;
      return require(changed || one.opened || lost, "what was sent opens");
    }
    require(!changed, "an altered message does not open");
    require(!one.opened, "a message opens once");
    require(*opened == one.plaintext, "it says what was said");
    require(end.session->skipped() <= crypto::kSkippedPerSessionMax, "skipped keys are bounded");
    one.opened = true;
    end.may_send = true;
  }

  void deliver_forged(std::size_t to) {
    End& end = ends_[to];
    const End& other = ends_[1 - to];
    if (other.sent.empty()) return;
    Header header;
    const auto key = in_.bytes(32);
    std::copy(key.begin(), key.end(), header.ratchet_key.bytes.begin());
    header.previous_count = in_.number<std::uint32_t>() >> in_.below(32);
    header.number = in_.number<std::uint32_t>() >> in_.below(32);
    const wire::Bytes before = packed(*end.session);
    const auto opened = end.session->decrypt(forged(*other.session, header), wire::random_bytes);
    require(!opened, "a body that does not authenticate does not open");
    require(packed(*end.session) == before, "whatever its header says, it leaves no trace");
  }

  void ephemeral(std::size_t from) {
    End& end = ends_[from];
    const wire::Bytes plaintext = copy_of(in_.bytes(16));
    wire::Bytes frame = end.session->encrypt_ephemeral(plaintext, wire::random_bytes);
    const bool changed = mutate(in_, frame);
    const auto opened = ends_[1 - from].session->decrypt_ephemeral(frame);
    require(opened.has_value() == !changed, "a frame opens as it was sealed");
    require(!opened || *opened == plaintext, "it says what was said");
    require(!end.session->decrypt_ephemeral(frame), "it does not open at its sender");
  }

  void repack(std::size_t which) {
    std::optional<crypto::Session>& session = ends_[which].session;
    const wire::Bytes bytes = packed(*session);
    wire::ByteView from = bytes;
    auto again = crypto::Session::unpack(from);
    require(again && from.empty() && packed(*again) == bytes, "a session goes on from its bytes");
    session.emplace(std::move(*again));
  }

  static constexpr std::size_t kSentMax = 3'000;

  Input& in_;
  std::vector<End> ends_;
};

}  // namespace
}  // namespace godwit::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace godwit::fuzz;
  Input in(data, size);
  Story(in).play();
  return 0;
}
