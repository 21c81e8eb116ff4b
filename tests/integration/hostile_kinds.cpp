#include "tests/integration/hostile_kinds.hpp"

#include <array>
#include <memory>
#include <random>

#include "schema/godwit_generated.h"
#include "schema/wire/bytes.hpp"
#include "schema/wire/hash.hpp"
#include "schema/wire/limits.hpp"

namespace godwit::integration {
namespace {

using support::framed;
using support::Plan;
using support::Seen;
using wire::Bytes;
using wire::ErrorCode;
using Stage = Plan::Stage;
using After = Plan::After;
using Builder = flatbuffers::FlatBufferBuilder;
using namespace std::chrono_literals;

constexpr std::size_t kMessage2Size = 2 + 32 + 16;  // length, ephemeral key, tag

// The same index gives the same bytes.
Bytes random_of(std::size_t size, std::size_t index) {
  std::mt19937_64 engine(index);
  Bytes bytes(size);
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(engine());
  return bytes;
}

Bytes with_length(std::uint16_t length, wire::ByteView rest) {
  Bytes record(2);
  wire::store_u16_be(record.data(), length);
  wire::append(record, rest);
  return record;
}

// ---- Frames that our encoder refuses to make ---------------------------------------------------

Bytes encoded(decltype(wire::Request::body) body) {
  wire::Encoder encoder;
  const auto view = encoder.encode(wire::Request{7, std::move(body)});
  return framed(view);
}

Bytes finished(Builder& builder, fb::RequestBody type, flatbuffers::Offset<void> body) {
  builder.Finish(fb::CreateRequest(builder, 7, type, body));
  return framed({builder.GetBufferPointer(), builder.GetSize()});
}

fb::Id id_of(wire::ByteView bytes) {
  fb::Id id;
  std::memcpy(&id, bytes.data(), sizeof id);
  return id;
}

struct SubmitShape {
  std::vector<std::uint32_t> body_of;  // for each recipient
  std::vector<std::uint32_t> sizes;
  std::size_t bytes = 0;
};

Bytes submit_of(const support::Account& to, const SubmitShape& shape) {
  Builder builder;
  const fb::Id request;
  std::vector<fb::Recipient> recipients;
  for (const std::uint32_t body : shape.body_of) {
    recipients.emplace_back(id_of(to.user.view()), id_of(to.device.view()), to.version.gen,
                            static_cast<std::uint32_t>(to.version.seq), 0, body);
  }
  const Bytes bodies(shape.bytes, 0x42);
  const auto made =
      fb::CreateSubmitDirect(builder, &request, 0, &recipients, &shape.sizes, &bodies);
  return finished(builder, fb::RequestBody::Submit, made.Union());
}

// As many one-time keys as the frame holds, and one key table behind both names: all of it is
// verified before the count is seen.
Bytes key_bomb(std::size_t frame_size) {
  Builder builder;
  const fb::Key key;
  const fb::Signature signature;
  const auto shared = fb::CreateSignedKey(builder, 1, 2, 3, &key, &signature);
  const std::vector<fb::OneTimeKey> keys((frame_size - 300) / sizeof(fb::OneTimeKey));
  const auto body =
      fb::CreatePutKeys(builder, shared, shared, builder.CreateVectorOfStructs(keys));
  return finished(builder, fb::RequestBody::PutKeys, body.Union());
}

// A vector of offsets that all lead to one table, under a name that has no vector of tables: the
// shape that costs a verifier without limits most.
Bytes table_bomb(std::size_t frame_size) {
  Builder builder;
  const fb::Key key;
  const fb::Signature signature;
  const Bytes body(8, 0x5a);
  const auto list = fb::CreateDeviceListDirect(builder, &key, &key, &signature, &body, &signature);
  const std::vector<flatbuffers::Offset<fb::DeviceList>> lists((frame_size - 600) / 4, list);
  const std::vector<fb::Outcome> outcomes(1);
  const auto made = fb::CreateSubmittedDirect(builder, &outcomes, &lists);
  return finished(builder, fb::RequestBody::Submit, made.Union());
}

// ---- What is right -----------------------------------------------------------------------------

std::string unless(bool right, const Seen& seen) { return right ? "" : seen.describe(); }

bool answered(const Seen& seen) { return seen.refused || seen.closing || seen.done; }

std::string is_closed_without_a_word(const Seen& seen) {
  return unless(seen.end == Seen::End::by_relay && !answered(seen), seen);
}

std::string is_closed_in_the_handshake(const Seen& seen) {
  return unless(seen.end == Seen::End::by_relay && !seen.handshaken && seen.bytes == 0, seen);
}

std::string is_bad_request(const Seen& seen) {
  const bool closed = seen.end == Seen::End::by_relay && seen.closing == ErrorCode::bad_request;
  const bool refused = seen.end == Seen::End::by_us && seen.refused == ErrorCode::bad_request;
  return unless((closed || refused) && !seen.done, seen);
}

support::HostileCrowd::Judge is_refused(ErrorCode code) {
  return [code](const Seen& seen) {
    return unless(seen.end == Seen::End::by_us && seen.refused == code && !seen.closing, seen);
  };
}

support::HostileCrowd::Judge is_closing(ErrorCode code) {
  return [code](const Seen& seen) {
    return unless(seen.end == Seen::End::by_relay && seen.closing == code && !seen.refused, seen);
  };
}

// ---- The kinds ---------------------------------------------------------------------------------

class Kinds {
 public:
  explicit Kinds(const Ground& ground) : ground_(std::make_shared<const Ground>(ground)) {}

  void add_records();
  void add_handshakes();
  void add_frames();
  void add_states();
  void add_submits();
  void add_slow();

  std::vector<Kind> made;

 private:
  using Fill = std::function<void(Plan&, std::size_t index)>;
  // Every other connection is at the one stage, the rest at the other.
  void add(std::string name, std::array<Stage, 2> stages, Fill fill,
           support::HostileCrowd::Judge judge) {
    Kind kind;
    kind.name = std::move(name);
    kind.make_plan = [ground = ground_, stages, fill = std::move(fill)](std::size_t index,
                                                                        std::size_t place) {
      Plan plan = plan_of(ground->attackers.at(place % kAtOnce), stages[index % 2]);
      fill(plan, index);
      return plan;
    };
    kind.judge = std::move(judge);
    made.push_back(std::move(kind));
  }

  std::shared_ptr<const Ground> ground_;  // the plans of every kind are made from it
};

constexpr std::array kBeforeAndAfterHandshake{Stage::connected, Stage::handshaken};
constexpr std::array kBeforeAndAfterLogin{Stage::handshaken, Stage::welcome};
constexpr std::array kConnected{Stage::connected, Stage::connected};
constexpr std::array kHandshaken{Stage::handshaken, Stage::handshaken};
constexpr std::array kLoggedIn{Stage::welcome, Stage::welcome};

void Kinds::add_records() {
  add("over-long record", kBeforeAndAfterHandshake,
      [](Plan& plan, std::size_t index) {
        plan.raw = with_length(0xffff, random_of(0xffff, index));
      },
      is_closed_without_a_word);
  add("record of length 0", kBeforeAndAfterHandshake,
      [](Plan& plan, std::size_t) { plan.raw = {0, 0}; }, is_closed_without_a_word);
  add("truncated record", kHandshaken,
      [](Plan& plan, std::size_t index) {
        plan.raw = with_length(1'000, random_of(index % 1'000, index));
        plan.after = After::fin;
      },
      is_closed_without_a_word);
  add("random garbage", kBeforeAndAfterHandshake,
      [](Plan& plan, std::size_t index) {
        plan.raw = random_of(1 + index % 2'000, index);
        plan.after = After::fin;
      },
      is_closed_without_a_word);
}

void Kinds::add_handshakes() {
  const wire::Key relay = ground_->relay.key;
  add("truncated handshake", kConnected,
      [relay](Plan& plan, std::size_t index) {
        plan.raw = support::first_message(plan.transport, relay);
        plan.raw.resize(1 + index % (plan.raw.size() - 1));
        plan.after = After::fin;
      },
      is_closed_in_the_handshake);
  // What is still known as a replay is not answered; should one be, what was recorded behind it is
  // of no use: the relay's own ephemeral key is another.
  add("replayed handshake", kConnected,
      [recorded = ground_->recorded](Plan& plan, std::size_t index) {
        plan.raw = recorded;
        if (index % 2 == 1) return;
        plan.raw.resize(2 + std::size_t{wire::load_u16_be(recorded)});
        plan.after = After::fin;
      },
      [](const Seen& seen) {
        return unless(seen.end == Seen::End::by_relay && seen.bytes <= kMessage2Size, seen);
      });
  add("wrong relay key", kHandshaken,
      [](Plan& plan, std::size_t) { plan.relay_key = plan.transport.public_key; },
      is_closed_in_the_handshake);
  add("low-order keys", kConnected,
      [relay](Plan& plan, std::size_t index) {
        // 0 and 1 are points of small order; the rest of the message is long enough.
        wire::Key low;
        low.bytes[0] = static_cast<std::uint8_t>(index / 2 % 2);
        if (index % 2 == 0) {
          Bytes message(low.bytes.begin(), low.bytes.end());
          wire::append(message, random_of(64, index));
          plan.raw = with_length(static_cast<std::uint16_t>(message.size()), message);
        } else {
          plan.raw = support::first_message({low, plan.transport.secret}, relay);
        }
      },
      is_closed_in_the_handshake);
}

void Kinds::add_frames() {
  add("garbage frames", kBeforeAndAfterLogin,
      [](Plan& plan, std::size_t index) {
        // Of an odd size, so that the one behind it begins at an address that is not aligned.
        plan.plaintext = framed(random_of(9 + index % 4'000 / 2 * 2, index));
        wire::append(plan.plaintext, framed(random_of(16, index)));
      },
      is_bad_request);
  // Made once. Under a sanitizer one takes a tenth of a second: a crowd that made one for each of
  // its connections, between connecting and its hello, would miss the relay's deadlines.
  const auto bombs_of = [](std::size_t size) {
    return std::array{key_bomb(size), table_bomb(size)};
  };
  add("FlatBuffers bomb", kBeforeAndAfterLogin,
      [small = bombs_of(wire::kFrameSizeMaxBeforeLogin), large = bombs_of(wire::kFrameSizeMax)](
          Plan& plan, std::size_t index) {
        plan.plaintext = (plan.stage == Stage::handshaken ? small : large)[index / 2 % 2];
      },
      is_bad_request);
  made.back().cpu_max = 20ms;
  add("wrong union member", kBeforeAndAfterLogin,
      [](Plan& plan, std::size_t index) {
        Builder builder;
        const auto type = index / 2 % 2 == 0 ? static_cast<fb::RequestBody>(200)
                                             : fb::RequestBody::Submit;
        plan.plaintext = finished(builder, type, fb::CreatePing(builder).Union());
      },
      is_bad_request);
  add("frame over the limit", kBeforeAndAfterLogin,
      [](Plan& plan, std::size_t) {
        const bool before = plan.stage == Stage::handshaken;
        const auto size = before ? wire::kFrameSizeMaxBeforeLogin : wire::kFrameSizeMax;
        plan.plaintext = framed(Bytes(16), static_cast<std::uint32_t>(size + 1));
      },
      is_closed_without_a_word);
  add("frame below the least", kBeforeAndAfterLogin,
      [](Plan& plan, std::size_t index) {
        plan.plaintext = framed(Bytes(16), static_cast<std::uint32_t>(index % 8));
      },
      is_closed_without_a_word);
}

void Kinds::add_states() {
  const support::Account victim = ground_->victim;
  add("frame out of state", kBeforeAndAfterLogin,
      [victim](Plan& plan, std::size_t) {
        plan.plaintext = plan.stage == Stage::handshaken
                             ? submit_of(victim, {{0}, {8}, 8})
                             : encoded(wire::Login{1, plan.user, plan.device});
      },
      is_closing(ErrorCode::out_of_state));
  add("unknown version", kHandshaken,
      [](Plan& plan, std::size_t) {
        plan.plaintext = encoded(wire::Login{0, plan.user, plan.device});
      },
      is_refused(ErrorCode::version_unsupported));
  add("ids of others", kHandshaken,
      [victim](Plan& plan, std::size_t index) {
        plan.plaintext = index % 2 == 0
                             ? encoded(wire::Login{1, victim.user, victim.device})
                             : encoded(wire::Register{.version = 1,
                                                      .device = victim.device,
                                                      .list = victim.list.view(),
                                                      .seal_key = victim.seal_key,
                                                      .signed_prekey = victim.signed_prekey,
                                                      .name = {}});
      },
      is_refused(ErrorCode::unauthorized));
  add("acks of others", kLoggedIn,
      [](Plan& plan, std::size_t index) {
        plan.plaintext = index % 2 == 0 ? encoded(wire::Ack{1'000, {}})
                                        : encoded(wire::Ack{0, {1, 0xffffffff}});
      },
      is_refused(ErrorCode::bad_request));
  add("connect and reset", kBeforeAndAfterHandshake,
      [](Plan& plan, std::size_t) { plan.after = After::reset; },
      [](const Seen& seen) {
        return unless(seen.end == Seen::End::by_us && !answered(seen), seen);
      });
}

void Kinds::add_submits() {
  const support::Account victim = ground_->victim;
  add("unknown devices", kLoggedIn,
      [victim](Plan& plan, std::size_t index) {
        support::Account nobody = victim;
        wire::random_bytes(nobody.device.bytes);
        if (index % 2 == 0) wire::random_bytes(nobody.user.bytes);
        plan.plaintext = submit_of(nobody, {{0}, {8}, 8});
      },
      is_refused(ErrorCode::unknown_device));
  add("oversize envelope", kLoggedIn,
      [victim](Plan& plan, std::size_t) {
        constexpr std::uint32_t kSize = wire::kEnvelopeSizeMax + 1;
        plan.plaintext = submit_of(victim, {{0}, {kSize}, kSize});
      },
      is_bad_request);
  add("inconsistent counts", kLoggedIn,
      [victim](Plan& plan, std::size_t index) {
        const std::array<SubmitShape, 6> shapes{{
            {{0}, {8}, 9},        // a byte that no body owns
            {{0}, {9}, 8},        // a body that is not whole
            {{1}, {8}, 8},        // a body that is not there
            {{0}, {4, 4}, 8},     // a body that nobody gets
            {{0, 0}, {8}, 8},     // a recipient twice
            {{}, {8}, 8},         // nobody
        }};
        plan.plaintext = submit_of(victim, shapes[index % shapes.size()]);
      },
      is_bad_request);
}

void Kinds::add_slow() {
  // Until its first record authenticates, a handshake may be a replay: it has no session to end.
  add("half-open", kBeforeAndAfterHandshake, [](Plan&, std::size_t) {}, is_closed_without_a_word);
  made.back().slow = true;
  add("slow drip", kConnected,
      [relay = ground_->relay.key](Plan& plan, std::size_t) {
        plan.raw = support::first_message(plan.transport, relay);
        plan.drip = 200ms;  // twenty seconds for the whole of it
      },
      is_closed_in_the_handshake);
  made.back().slow = true;
}

}  // namespace

std::vector<Kind> all_kinds(const Ground& ground) {
  Kinds kinds(ground);
  kinds.add_records();
  kinds.add_handshakes();
  kinds.add_frames();
  kinds.add_states();
  kinds.add_submits();
  kinds.add_slow();
  return std::move(kinds.made);
}

}  // namespace godwit::integration
