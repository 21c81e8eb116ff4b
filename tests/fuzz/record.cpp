// The records of an established connection: cut, altered, lost, doubled and swapped on their way.
// What arrives is a beginning of what was sent, whole frame by whole frame; behind the first
// altered byte there is nothing but the same error. And one direction, whose keys change.
// About: schema/wire/channel.cpp schema/wire/noise_cipher.cpp schema/wire/frame.cpp
#include <algorithm>

#include "schema/wire/channel.hpp"
#include "schema/wire/noise_cipher.hpp"
#include "schema/wire/x25519.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace godwit::fuzz {
namespace {

wire::KeyPair pair_of(std::uint8_t number) {
  wire::SecretKey secret;
  secret.bytes.front() = number;
  return wire::key_pair_of(secret);
}

class Connection {
 public:
  explicit Connection(Input& in) : in_(in) {
    static const wire::KeyPair relay = pair_of(1);
    static const wire::KeyPair device = pair_of(2);
    sender_.emplace(wire::Channel::initiator(device, relay.public_key));
    receiver_.emplace(wire::Channel::responder(relay));
    const auto nothing = [](wire::ByteView) { return false; };
    wire::Bytes hello;
    sender_->flush(hello);
    require(receiver_->receive(hello, nothing).has_value(), "a first message is taken");
    wire::Bytes answer;
    receiver_->flush(answer);
    require(sender_->receive(answer, nothing).has_value(), "its answer is taken");
    require(sender_->established() && receiver_->established(), "both ends agree");
    receiver_->frames().set_size_max(wire::kFrameSizeMax);
  }

  void run() {
    while (!in_.empty() && sent_.size() < 32) step();
    deliver(way_);
    require(altered_ || arrived_ == sent_.size(), "without changes everything arrives");
  }

 private:
  void step() {
    switch (in_.below(8)) {
      case 0:
      case 1:
        return send(in_.bytes(512));
      case 2:
        return send(wire::Bytes(wire::kFrameSizeMin + in_.number<std::uint16_t>() * 2u, 0x5a));
      case 3: {  // a piece of what is on its way
        const std::size_t size = in_.below(way_.size() + 1);
        deliver(wire::ByteView(way_).first(size));
        way_.erase(way_.begin(), way_.begin() + static_cast<std::ptrdiff_t>(size));
        return;
      }
      case 4:
        deliver(std::exchange(way_, {}));
        return;
      case 5:
        return note_change(mutate(in_, way_));
      case 6:  // a record that came before
        if (!last_.empty()) note_change(true);
        return wire::append(way_, last_);
      default: {
        const auto raw = in_.bytes(64);
        note_change(!raw.empty());
        wire::append(way_, raw);
      }
    }
  }

  void send(wire::ByteView content) {
    wire::Bytes body = copy_of(content);
    body.resize(std::max(body.size(), wire::kFrameSizeMin));
    sender_->send(body);
    last_.clear();
    sender_->flush(last_);
    wire::append(way_, last_);
    sent_.push_back(std::move(body));
  }

  void note_change(bool changed) { altered_ = altered_ || changed; }

  void deliver(wire::ByteView bytes) {
    const auto received = receiver_->receive(bytes, [&](wire::ByteView body) {
      require(arrived_ < sent_.size() && same(body, sent_[arrived_]), "only what was sent arrives");
      require(!error_, "nothing arrives after an error");
      ++arrived_;
      return true;
    });
    require(altered_ || received.has_value(), "what was not altered is taken");
    if (error_) require(!received && received.error() == *error_, "an error is final");
    if (!received) error_ = received.error();
    require(receiver_->memory() < 2 * wire::kFrameSizeMax, "memory is bounded");
  }

  Input& in_;
  std::optional<wire::Channel> sender_;
  std::optional<wire::Channel> receiver_;
  std::vector<wire::Bytes> sent_;
  std::size_t arrived_ = 0;
  wire::Bytes way_;   // sealed, on its way
  wire::Bytes last_;  // the records sent last
  bool altered_ = false;
  std::optional<wire::ChannelError> error_;
};

// One direction alone, whose keys change often: an established connection changes them after a
// million records, which no input has.
class Direction {
 public:
  explicit Direction(Input& in)
      : in_(in),
        interval_(1 + in.below(8)),
        sender_(wire::CipherState(key()), interval_),
        receiver_(wire::CipherState(key()), interval_),
        by_hand_(key()) {}

  void run() {
    for (std::uint64_t count = 0; !in_.empty() && count < 64; ++count) {
      const wire::ByteView plaintext = in_.bytes(64);
      wire::Bytes record(plaintext.size() + wire::kNoiseTagSize);
      require(sender_.seal(record, plaintext).has_value(), "a record is sealed");
      if (wire::Bytes altered = record; mutate(in_, altered)) refuse(altered);
      if (in_.chance(0x80)) refuse(last_);
      require(opened(record) == copy_of(plaintext), "a record opens as it was sealed");
      if (count > 0 && count % interval_ == 0) by_hand_.rekey();
      wire::Bytes again(plaintext.size());
      require(by_hand_.open(again, {}, record).has_value() && same(again, plaintext),
              "the key changes after so many records, and the counter goes on");
      last_ = std::move(record);
    }
  }

 private:
  static wire::SecretKey key() {
    wire::SecretKey key;
    key.bytes.front() = 3;
    return key;
  }

  std::optional<wire::Bytes> opened(wire::ByteView record) {
    wire::Bytes out(record.size() < wire::kNoiseTagSize ? 0 : record.size() - wire::kNoiseTagSize);
    if (receiver_.open(out, record)) return out;
    require(std::ranges::count(out, 0) == std::ssize(out), "nothing of it is released");
    return std::nullopt;
  }
  void refuse(wire::ByteView record) {
    require(!opened(record), "what was altered, or came before, does not open");
  }

  Input& in_;
  std::uint64_t interval_;
  wire::RecordCipher sender_;
  wire::RecordCipher receiver_;
  wire::CipherState by_hand_;
  wire::Bytes last_;
};

}  // namespace
}  // namespace godwit::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace godwit::fuzz;
  Input in(data, size);
  if (in.below(4) == 0) {
    Direction(in).run();
  } else {
    Connection(in).run();
  }
  return 0;
}
