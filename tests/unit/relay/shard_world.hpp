// One shard, its requests encoded and its frames decoded as on the wire, between a disk in memory
// and other shards that are only a list of messages.
#pragma once

#include <doctest/doctest.h>

#include "relay/shard.hpp"
#include "relay/slot/slot_of.hpp"
#include "tests/support/fake_host.hpp"
#include "tests/support/memory_records.hpp"
#include "tests/support/raw_device.hpp"

namespace godwit::relay {

using namespace std::chrono_literals;
using session::SessionId;
using support::Account;
using wire::ErrorCode;

class ShardWorld {
 public:
  explicit ShardWorld(std::uint32_t loops = 1, std::uint32_t loop = 0)
      : shard({loop, loops, &config, wire::SipKey{1}}, host, disk, admission, counters) {}

  SessionId connect(const Account& account, bool unlimited = true) {
    return shard.on_established(account.transport.public_key, "10.0.0.1", unlimited, now);
  }
  // A frame of other bytes than our encoder's.
  void frame(SessionId session, wire::ByteView bytes) {
    std::vector<std::uint64_t> storage((bytes.size() + 7) / 8);  // as aligned as the codec wants
    std::memcpy(storage.data(), bytes.data(), bytes.size());
    shard.on_frame(session, {reinterpret_cast<const std::uint8_t*>(storage.data()), bytes.size()},
                   now);
  }
  template <class Body>
  void ask(SessionId session, std::uint32_t id, const Body& body) {
    frame(session, encoder.encode(wire::Request{id, body}));
  }
  // The end of a round, and all commits that follow.
  void round() {
    shard.on_round_end(now);
    while (!host.batches.empty()) {
      auto batch = std::move(host.batches.front());
      host.batches.pop_front();
      disk.apply(*batch);
      shard.on_committed(std::move(batch), now);
      shard.on_round_end(now);
    }
  }
  static wire::Register registration(const Account& account) {
    return {1, account.device, account.list.view(), account.seal_key, account.signed_prekey, {}};
  }
  // A registered, live session.
  SessionId join(const Account& account) {
    const SessionId session = connect(account);
    ask(session, 1, registration(account));
    round();
    const auto frames = host.take_frames(session);
    REQUIRE(frames.size() == 2);
    REQUIRE(std::holds_alternative<wire::Welcome>(frames[0]->body));
    REQUIRE(std::holds_alternative<wire::CaughtUp>(frames[1]->body));
    return session;
  }
  void submit(SessionId session, std::uint32_t id, const std::vector<const Account*>& to,
              std::uint8_t text) {
    wire::Submit submit;
    submit.request_id.bytes = {text};
    const wire::Bytes body{text};
    submit.bodies = {body};
    for (const Account* one : to) {
      submit.recipients.push_back({one->user, one->device, one->version, 0});
    }
    std::ranges::sort(submit.recipients, {}, &wire::Recipient::device);
    ask(session, id, submit);
  }
  // The one frame that this session got since the last look.
  template <class Body>
  const Body& only(SessionId session) {
    const auto frames = host.take_frames(session);
    REQUIRE(frames.size() == 1);
    REQUIRE(std::holds_alternative<Body>(frames[0]->body));
    return std::get<Body>(frames[0]->body);
  }
  ErrorCode refusal(SessionId session) { return only<wire::Refused>(session).code; }

  Config config;
  ops::Counters counters;
  test::MemoryRecords disk;
  test::FakeHost host;
  policy::AddressAdmission admission{config, {}};
  wire::Encoder encoder;
  Now now{Steady{} + 1h, 1'700'000'000'000};
  Shard shard;
};

// An account whose user lives on this loop of two.
inline Account account_on(std::uint32_t loop, std::uint64_t from) {
  for (;; ++from) {
    Account account = Account::from_seed(from);
    if (slot::loop_of(slot::slot_of(account.user), 2) == loop) return account;
  }
}

}  // namespace godwit::relay
