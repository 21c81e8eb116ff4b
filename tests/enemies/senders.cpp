#include "tests/enemies/senders.hpp"

#include <algorithm>

#include "schema/wire/hash.hpp"

namespace godwit::enemies {

using std::chrono::steady_clock;

namespace {

constexpr std::uint64_t kUnansweredMax = 500;  // of all: the relay takes 1,024 of each

}  // namespace

Senders::Senders(support::Fleet& fleet, Work& work, Manner manner)
    : work_(work),
      manner_(std::move(manner)),
      envelope_(manner_.envelope_size, 0x5a),
      began_(steady_clock::now()) {
  for (const support::Account& account : manner_.to) {
    recipients_.push_back({account.user, account.device, account.version, 0});
  }
  std::ranges::sort(recipients_, {}, &wire::Recipient::device);  // as the protocol wants it
  for (const support::Account& account : manner_.from) {
    auto& device = *devices_.emplace_back(std::make_unique<support::RawDevice>(fleet, account));
    support::RawDevice::Callbacks calls;
    calls.on_closed = [this](support::RawDevice&, const std::string& reason) {
      work_.done.wrong.push_back("the relay does not bear who keeps to its protocol: " + reason);
    };
    device.set_callbacks(std::move(calls));
    device.connect();
    device.login();
  }
}

void Senders::look() {
  const std::chrono::duration<double> passed = steady_clock::now() - began_;
  const auto due = static_cast<std::uint64_t>(passed.count() * manner_.per_second);
  for (; due_ < due; ++due_) {
    for (const auto& device : devices_) {
      if (device->connected() && unanswered_ < kUnansweredMax) submit(*device);
    }
  }
}

void Senders::submit(support::RawDevice& from) {
  wire::RequestId request;
  wire::random_bytes(request.bytes);
  const std::span<const wire::Recipient> all = recipients_;
  const auto to = manner_.to_each ? all : all.subspan(work_.done.tried % all.size(), 1);
  ++work_.done.tried;
  ++unanswered_;
  from.submit(to, request, envelope_, [this](const wire::RelayFrame& frame) { answered(frame); });
}

void Senders::answered(const wire::RelayFrame& frame) {
  --unanswered_;
  wire::ErrorCode code = wire::ErrorCode::bad_request;
  if (const auto* submitted = std::get_if<wire::Submitted>(&frame.body)) {
    code = submitted->outcomes.front().code;
  } else if (const auto* refused = std::get_if<wire::Refused>(&frame.body)) {
    code = refused->code;
  }
  if (code == wire::ErrorCode::ok) {
    ++work_.done.taken;
  } else if (std::ranges::count(manner_.may_meet, code) > 0) {
    ++work_.done.turned_away;
  } else {
    work_.done.wrong.push_back("a submit was refused with " + std::string(wire::name_of(code)));
  }
}

}  // namespace godwit::enemies
