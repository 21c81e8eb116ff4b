#include "tests/power/daemon_check.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <set>

#include "tests/power/parcels.hpp"
#include "tests/support/relay_process.hpp"

namespace godwit::power {
namespace {

using relay::ops::Figures;
using support::RelayProcess;

constexpr std::chrono::seconds kPatience{30};
constexpr std::uint32_t kAckEvery = 32;  // of the deliveries; a window is more

// What stood when the power went.
struct Promises {
  explicit Promises(Notes notes);

  std::set<std::uint32_t> registering, registered;  // users
  std::set<Parcel> submitted, accepted, acking, acked;
  // By user: the name confirmed last, and one asked for since; 0: none.
  std::array<std::uint64_t, kUsers> named{}, naming{};
};

Promises::Promises(Notes notes) {
  for (const Note& note : notes) {
    switch (static_cast<What>(note.what)) {
      case kRegistering:
        registering.insert(of_in(note));
        break;
      case kRegistered:
        registered.insert(of_in(note));
        break;
      case kNaming:
        naming[of_in(note)] = number_in(note);
        break;
      case kNamed:
        named[of_in(note)] = number_in(note);
        break;
      case kSubmitting:
        submitted.insert(parcel_in(note));
        break;
      case kAccepted:
        accepted.insert(parcel_in(note));
        break;
      case kAcking:
        acking.insert(parcel_in(note));
        break;
      case kAckDone:
        acked.insert(parcel_in(note));
        break;
    }
  }
}

std::string text_of(const Parcel& parcel) {
  return "envelope " + std::to_string(parcel.envelope) + " for receiver " +
         std::to_string(parcel.receiver);
}

// All devices after the power loss; on one connection each, to the end.
class People {
 public:
  People(const wire::RelayAddress& relay, const Promises& promised)
      : promised_(promised), fleet_(relay) {}

  // Senders come when they have something to send, or all of them.
  void send_again(bool all);
  void take_all(bool await_acks);

  std::vector<Parcel> delivered;  // in the order in which they came
  std::uint64_t bytes = 0;

 private:
  support::RawDevice& come(std::uint32_t user, support::RawDevice::Callbacks callbacks);
  void on_welcome(std::uint32_t user, const wire::RelayFrame& frame);
  void send_again(support::RawDevice& device, std::uint64_t envelope,
                  const std::vector<Parcel>& parcels);
  void on_deliver(support::RawDevice& device, std::uint32_t receiver, const wire::Deliver& deliver);
  void acknowledge(support::RawDevice& device, std::uint32_t upto);
  void await(const std::function<bool()>& done);
  void fault(std::string what) {
    if (fault_.empty()) fault_ = std::move(what);
  }

  const Promises& promised_;
  support::Fleet fleet_;
  std::vector<std::unique_ptr<support::RawDevice>> devices_;
  std::size_t waiting_ = 0;  // for answers other than of acks, and for what is queued
  std::size_t acks_open_ = 0;
  std::string fault_;  // the first; empty: none
};

void People::await(const std::function<bool()>& done) {
  const bool came = fleet_.run_until([&] { return !fault_.empty() || done(); }, kPatience);
  REQUIRE(fault_ == "");
  REQUIRE(came);
}

support::RawDevice& People::come(std::uint32_t user, support::RawDevice::Callbacks callbacks) {
  auto& device =
      *devices_.emplace_back(std::make_unique<support::RawDevice>(fleet_, account_of(user)));
  callbacks.on_closed = [this](support::RawDevice&, const std::string& reason) {
    fault("a connection ended: " + reason);
  };
  device.set_callbacks(std::move(callbacks));
  device.connect();
  ++waiting_;
  device.login([this, user](const wire::RelayFrame& frame) { on_welcome(user, frame); });
  return device;
}

void People::on_welcome(std::uint32_t user, const wire::RelayFrame& frame) {
  --waiting_;
  const auto* const welcome = std::get_if<wire::Welcome>(&frame.body);
  if (welcome == nullptr) return fault("user " + std::to_string(user) + " is not registered");
  const auto is = [&](std::uint64_t name) {
    return welcome->own_name == (name == 0 ? "" : name_of(name));
  };
  if (is(promised_.named[user])) return;
  if (promised_.naming[user] == 0 || !is(promised_.naming[user])) {
    fault("user " + std::to_string(user) + " has the name " + welcome->own_name);
  }
}

void People::send_again(bool all) {
  std::map<std::uint64_t, std::vector<Parcel>> open;  // by envelope, whose receivers are ascending
  for (const Parcel& parcel : promised_.submitted) {
    // What the receiver may have taken is not sent again: it would rightly come again.
    if (promised_.accepted.contains(parcel) || promised_.acking.contains(parcel)) continue;
    open[parcel.envelope].push_back(parcel);
  }
  std::array<support::RawDevice*, kSenders> senders{};
  for (std::uint32_t user = 0; user < kSenders; ++user) {
    if (all && promised_.registered.contains(user)) senders[user] = &come(user, {});
  }
  for (const auto& [envelope, parcels] : open) {
    const std::uint32_t user = parcels.front().sender();
    if (senders[user] == nullptr) senders[user] = &come(user, {});
    send_again(*senders[user], envelope, parcels);
  }
  await([this] { return waiting_ == 0; });
}

void People::send_again(support::RawDevice& device, std::uint64_t envelope,
                        const std::vector<Parcel>& parcels) {
  std::vector<wire::Recipient> recipients;
  for (const Parcel& parcel : parcels) recipients.push_back(recipient_of(parcel.receiver));
  std::ranges::sort(recipients, {}, &wire::Recipient::device);
  ++waiting_;
  device.submit(recipients, request_id_of(envelope), bytes_of(envelope),
                [this](const wire::RelayFrame& frame) {
                  --waiting_;
                  const auto* const submitted = std::get_if<wire::Submitted>(&frame.body);
                  const auto ok = [](const wire::Outcome& one) {
                    return one.code == wire::ErrorCode::ok;
                  };
                  if (submitted == nullptr || !std::ranges::all_of(submitted->outcomes, ok)) {
                    fault("a retry was refused");
                  }
                });
}

void People::take_all(bool await_acks) {
  for (std::uint32_t receiver = 0; receiver < kReceivers; ++receiver) {
    if (!promised_.registered.contains(kSenders + receiver)) continue;
    ++waiting_;
    come(kSenders + receiver,
         {.on_connected = {},
          .on_deliver =
              [this, receiver](support::RawDevice& device, const wire::Deliver& deliver) {
                on_deliver(device, receiver, deliver);
              },
          .on_caught_up =
              [this](support::RawDevice& device) {
                acknowledge(device, static_cast<std::uint32_t>(device.mark));
                // When it is answered the acks have been counted, though they may not be on the
                // disk.
                device.send(wire::Ping{}, [this](const wire::RelayFrame&) { --waiting_; });
              },
          .on_event = {},
          .on_closed = {}});
  }
  await([&] { return waiting_ == 0 && (!await_acks || acks_open_ == 0); });
}

void People::on_deliver(support::RawDevice& device, std::uint32_t receiver,
                        const wire::Deliver& deliver) {
  const auto envelope = parse_envelope(deliver.envelope);
  if (!envelope) return fault("what came is no envelope that was submitted");
  delivered.push_back({*envelope, receiver});
  bytes += deliver.envelope.size();
  device.mark = deliver.number;
  if (deliver.number % kAckEvery == 0) acknowledge(device, deliver.number);
}

void People::acknowledge(support::RawDevice& device, std::uint32_t upto) {
  if (upto == 0) return;
  ++acks_open_;
  device.ack(upto, [this](const wire::RelayFrame& frame) {
    --acks_open_;
    if (!std::holds_alternative<wire::Done>(frame.body)) fault("an ack was refused");
  });
}

// ---- The judgement ------------------------------------------------------------------------------

void judge(const Promises& promised, const std::vector<Parcel>& delivered) {
  std::map<Parcel, int> times;
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint64_t> newest;  // sender and receiver
  for (const Parcel& parcel : delivered) {
    CAPTURE(text_of(parcel));
    REQUIRE(promised.submitted.contains(parcel));  // I4
    ++times[parcel];
    const auto [last, first] =
        newest.try_emplace({parcel.sender(), parcel.receiver}, parcel.envelope);
    REQUIRE((first || last->second <= parcel.envelope));  // I3; twice the same is told below
    last->second = parcel.envelope;
  }
  for (const Parcel& parcel : promised.submitted) {
    CAPTURE(text_of(parcel));
    const auto found = times.find(parcel);
    const int came = found == times.end() ? 0 : found->second;
    if (promised.acked.contains(parcel)) {
      REQUIRE(came == 0);  // I2
    } else if (promised.acking.contains(parcel)) {
      REQUIRE(came <= 1);
    } else {
      REQUIRE(came == 1);  // I1
    }
  }
}

void require_same(const Figures& one, const Figures& other) {
  REQUIRE(one.queued_envelopes == other.queued_envelopes);
  REQUIRE(one.queued_bytes == other.queued_bytes);
  REQUIRE(one.users == other.users);
  REQUIRE(one.devices == other.devices);
  REQUIRE(one.store_id == other.store_id);
  REQUIRE(one.store_generation == other.store_generation);
}

// Nothing when it does not start, which it need not before it ever served anybody: LMDB does not
// sync the meta pages of a new file by themselves, and the error names the directory.
std::unique_ptr<RelayProcess> open(const std::filesystem::path& image, Notes notes) {
  RelayProcess::Options options;
  options.directory = image;
  // One loop: what a device asked before its Ping was done when it is answered.
  options.settings = {{"network.loops", "1"}};
  try {
    return std::make_unique<RelayProcess>(std::move(options));
  } catch (const support::RelayFailure& failure) {
    const std::string what = failure.what();
    CAPTURE(what);
    REQUIRE(notes.empty());
    REQUIRE(what.find(image.string()) != std::string::npos);
    return nullptr;
  }
}

void start_again(RelayProcess& relay) {
  relay.kill();
  relay.start();
}

}  // namespace

void check_daemon(const std::filesystem::path& image, Notes notes, bool thorough) {
  const auto relay = open(image, notes);
  if (relay == nullptr) return;
  const Promises promised(notes);
  const Figures found = relay->status();
  REQUIRE(found.quarantined_total == 0);
  REQUIRE(found.users >= promised.registered.size());
  REQUIRE(found.users <= promised.registering.size());
  REQUIRE(found.devices == found.users);
  if (thorough) {
    start_again(*relay);
    require_same(relay->status(), found);
  }
  Figures last;
  {
    People people(relay->address(), promised);
    people.send_again(thorough);
    const Figures full = relay->status();
    REQUIRE(full.queued_envelopes == found.queued_envelopes + full.accepted_total);
    people.take_all(thorough);
    judge(promised, people.delivered);
    REQUIRE(full.queued_envelopes == people.delivered.size());
    REQUIRE(full.queued_bytes == people.bytes);
    last = relay->status();
    REQUIRE(last.queued_envelopes == 0);
    REQUIRE(last.queued_bytes == 0);
    REQUIRE(last.quarantined_total == 0);
  }
  if (!thorough) return;
  start_again(*relay);
  require_same(relay->status(), last);
}

}  // namespace godwit::power
