#include "tests/power/daemon_load.hpp"

#include <doctest/doctest.h>

#include <algorithm>

namespace godwit::power {
namespace {

constexpr std::chrono::seconds kPatience{30};
constexpr int kLives = 3;  // of the relay
constexpr int kRoundsPerLife = 25;
constexpr std::uint32_t kBurstMax = 4;      // submits of one sender and round
constexpr std::uint32_t kFanOutOneIn = 12;  // of submits
constexpr std::uint32_t kMoveOneIn = 6;     // a receiver that comes or goes, each round
constexpr std::uint32_t kNameOneIn = 10;    // a sender that changes its name
constexpr std::uint32_t kOpenMax = 6;       // outcomes that a round does not wait for

}  // namespace

Load::Load(support::RelayProcess& relay, const Log& log, std::uint64_t seed)
    : relay_(relay), log_(log), random_(seed), fleet_(relay.address()) {
  for (std::uint32_t user = 0; user < kUsers; ++user) {
    Person& person = *people_.emplace_back(std::make_unique<Person>(fleet_, user));
    person.device.set_callbacks({
        .on_connected = {},
        .on_deliver = [this, &person](
                          support::RawDevice&,
                          const wire::Deliver& deliver) { on_deliver(person, deliver); },
        .on_caught_up = {},
        .on_event = {},
        .on_closed =
            [&person](support::RawDevice&, const std::string&) {
              person.up = person.live = person.naming = false;
              person.pending.clear();
            },
    });
  }
}

std::uint32_t Load::draw(std::uint32_t below) {
  return static_cast<std::uint32_t>(random_() % below);
}

void Load::await(const std::function<bool()>& done) {
  const bool came = fleet_.run_until([&] { return !fault_.empty() || done(); }, kPatience);
  REQUIRE(fault_ == "");
  REQUIRE(came);
}

void Load::play() {
  for (const auto& person : people_) {
    log_.append(note_of(kRegistering, 0, person->user));
    person->up = true;
    person->device.connect();
    ++waiting_;
    person->device.register_user({}, [this, &one = *person](const wire::RelayFrame& frame) {
      --waiting_;
      if (!is_answer<wire::Welcome>(frame)) return;
      log_.append(note_of(kRegistered, 0, one.user));
      one.live = true;
    });
  }
  await([this] { return waiting_ == 0; });
  for (int life = 1;; ++life) {
    for (int i = 0; i < kRoundsPerLife; ++i) round();
    await([this] { return waiting_ == 0; });
    everybody_goes();
    REQUIRE(relay_.stop() == 0);
    if (life == kLives) return;
    relay_.start();
    fleet_.set_relay(relay_.address());
    everybody_comes();
  }
}

void Load::everybody_comes() {
  for (const auto& person : people_) come(*person);
  await([this] { return std::ranges::all_of(people_, [](const auto& one) { return one->live; }); });
}

void Load::everybody_goes() {
  for (const auto& person : people_) person->device.disconnect();
  await([this] { return std::ranges::none_of(people_, [](const auto& one) { return one->up; }); });
}

void Load::come(Person& person) {
  person.up = true;
  person.device.connect();
  person.device.login([this, &person](const wire::RelayFrame& frame) {
    person.live = is_answer<wire::Welcome>(frame);
  });
}

void Load::round() {
  for (std::uint32_t sender = 0; sender < kSenders; ++sender) {
    for (std::uint32_t left = draw(kBurstMax + 1); left > 0; --left) submit(sender);
    if (draw(kNameOneIn) == 0) change_name(*people_[sender]);
  }
  for (std::uint32_t number = 0; number < kReceivers; ++number) {
    if (draw(kMoveOneIn) == 0) come_or_go(receiver(number));
    if (draw(2) == 0) acknowledge(receiver(number));
  }
  const std::size_t open = draw(kOpenMax + 1);
  await([&] { return waiting_ <= open; });
}

void Load::submit(std::uint32_t sender) {
  const std::uint64_t envelope = submitted_[sender]++ * kSenders + sender;
  const std::uint32_t only = draw(kReceivers);
  const bool to_all = draw(kFanOutOneIn) == 0;
  std::vector<Parcel> parcels;
  std::vector<wire::Recipient> recipients;
  for (std::uint32_t number = 0; number < kReceivers; ++number) {
    if (!to_all && number != only) continue;
    parcels.push_back({envelope, number});
    recipients.push_back(recipient_of(number));
    log_.append(note_of(kSubmitting, parcels.back()));
  }
  std::ranges::sort(recipients, {}, &wire::Recipient::device);
  ++waiting_;
  people_[sender]->device.submit(
      recipients, request_id_of(envelope), bytes_of(envelope),
      [this, parcels = std::move(parcels)](const wire::RelayFrame& frame) {
        --waiting_;
        if (!is_answer<wire::Submitted>(frame)) return;
        for (const Parcel& parcel : parcels) log_.append(note_of(kAccepted, parcel));
      });
}

void Load::come_or_go(Person& receiver) {
  if (!receiver.up) return come(receiver);
  // Not in the middle of a login.
  if (receiver.live) receiver.device.reset();
}

void Load::on_deliver(Person& receiver, const wire::Deliver& deliver) {
  const auto envelope = parse_envelope(deliver.envelope);
  if (!envelope) {
    fault_ = "an envelope came damaged";
    return;
  }
  receiver.pending.emplace_back(deliver.number, *envelope);
}

// Some of a beginning.
void Load::acknowledge(Person& receiver) {
  if (receiver.pending.empty()) return;
  const auto count = 1 + draw(static_cast<std::uint32_t>(receiver.pending.size()));
  std::vector<Parcel> parcels;
  std::uint32_t upto = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    upto = receiver.pending.front().first;
    parcels.push_back({receiver.pending.front().second, receiver.user - kSenders});
    log_.append(note_of(kAcking, parcels.back()));
    receiver.pending.pop_front();
  }
  receiver.device.ack(upto, [this, parcels = std::move(parcels)](const wire::RelayFrame& frame) {
    if (!is_answer<wire::Done>(frame)) return;
    for (const Parcel& parcel : parcels) log_.append(note_of(kAckDone, parcel));
  });
}

void Load::change_name(Person& person) {
  if (person.naming) return;
  person.naming = true;
  const std::uint64_t number = ++names_;
  log_.append(note_of(kNaming, number, person.user));
  ++waiting_;
  const std::string name = name_of(number);
  person.device.send(wire::SetName{name}, [this, &person, number](const wire::RelayFrame& frame) {
    --waiting_;
    person.naming = false;
    if (is_answer<wire::Done>(frame)) log_.append(note_of(kNamed, number, person.user));
  });
}

template <class T>
bool Load::is_answer(const wire::RelayFrame& frame) {
  bool good = std::holds_alternative<T>(frame.body);
  if constexpr (std::is_same_v<T, wire::Submitted>) {
    good = good && std::ranges::all_of(std::get<T>(frame.body).outcomes, [](const auto& one) {
             return one.code == wire::ErrorCode::ok;
           });
  }
  if (!good) {
    const auto* const refused = std::get_if<wire::Refused>(&frame.body);
    fault_ = "a request was not answered as it should be: " +
             std::string(refused == nullptr ? "something else" : wire::name_of(refused->code));
  }
  return good;
}

}  // namespace godwit::power
