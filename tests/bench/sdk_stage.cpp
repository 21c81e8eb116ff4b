#include "tests/bench/sdk_stage.hpp"

#include <doctest/doctest.h>
#include <time.h>

#include <algorithm>

#include "relay/config.hpp"
#include "schema/wire/address.hpp"
#include "schema/wire/hash.hpp"
#include "schema/wire/x25519.hpp"

namespace godwit::bench {
namespace {

double seconds_of(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

}  // namespace

std::string relay_address() {
  return wire::format_address(
      {wire::key_pair_of(wire::SecretKey{{7}}).public_key, "127.0.0.1:7700"});
}

core::Now now() {
  const auto since = [](auto time) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch());
  };
  return {since(std::chrono::system_clock::now()), since(std::chrono::steady_clock::now())};
}

Timed::Timed(Spent& spent)
    : spent_(spent), start_{seconds_of(CLOCK_MONOTONIC), seconds_of(CLOCK_THREAD_CPUTIME_ID)} {}

Timed::~Timed() {
  spent_.cpu_s += seconds_of(CLOCK_THREAD_CPUTIME_ID) - start_.cpu_s;
  spent_.wall_s += seconds_of(CLOCK_MONOTONIC) - start_.wall_s;
}

double median(std::vector<double> values) {
  REQUIRE(!values.empty());
  std::ranges::sort(values);
  return values[values.size() / 2];
}

// ---- Side ---------------------------------------------------------------------------------------

Side::Side(EagerRelay& relay, const std::string& name, const std::filesystem::path& home) {
  auto made = store::Database::create({home, {}, wire::random_bytes});
  REQUIRE(made);
  database_ = std::make_unique<store::Database>(std::move(*made));
  begin(relay, name);
}

Side::Side(EagerRelay& relay, const std::string& name) {
  auto made = store::Database::over(std::make_unique<test::MemoryBackend>(disk_),
                                    wire::random_bytes, wire::SecretKey{{1}});
  REQUIRE(made);
  database_ = std::make_unique<store::Database>(std::move(*made));
  begin(relay, name);
}

void Side::begin(EagerRelay& relay, const std::string& name) {
  relay_ = &relay;
  const auto account = core::new_account(relay_address(), name);
  REQUIRE(account.ok());
  REQUIRE(core::Core::make_account(*database_, wire::random_bytes, now(), *account).ok());
  auto opened = core::Core::open(*database_, wire::random_bytes, now());
  REQUIRE(opened.ok());
  core_ = std::move(*opened);
  Spent ignored;
  round(ignored, [](core::Core& core) { core.on_connected(now()); });
  while (take_all(ignored)) {
  }
  REQUIRE(settled());
}

void Side::end_round() {
  REQUIRE(core_->end_round(now()).ok());
  leaving_ = core_->take_frames();
  for (const Event& event : core_->take_events()) {
    received += event.kind == EventKind::message_received;
    delivered += event.kind == EventKind::status_changed && event.status == Status::delivered;
  }
}

void Side::hand_over() {
  for (const auto& frame : std::exchange(leaving_, {})) relay_->on_frame(*this, frame);
}

bool Side::take_all(Spent& spent) {
  const std::vector<wire::Bytes> frames = std::exchange(waiting, {});
  if (frames.empty()) return false;
  round(spent, [&](core::Core& core) {
    for (const auto& bytes : frames) {
      const auto frame = wire::parse_relay_frame(bytes);
      REQUIRE(frame);
      core.on_frame(*frame, now());
    }
  });
  return true;
}

void Side::send(Spent& spent, const std::string& to, const std::vector<std::string>& texts) {
  std::vector<Outgoing> messages;
  for (const auto& text : texts) messages.push_back({to, text, {}});
  round(spent, [&](core::Core& core) { REQUIRE(core.send(messages, now()).ok()); });
}

void settle(Side& timed, Spent& spent, Side& other) {
  Spent ignored;
  while (!timed.waiting.empty() || !other.waiting.empty()) {
    (void)timed.take_all(spent);
    (void)other.take_all(ignored);
  }
}

// ---- EagerRelay ---------------------------------------------------------------------------------

EagerRelay::Registered& EagerRelay::of(const Side& side) {
  const auto found = std::ranges::find(users_, &side, &Registered::side);
  REQUIRE(found != users_.end());
  return *found;
}

void EagerRelay::answer(Side& to, std::uint32_t request, decltype(wire::RelayFrame::body) body) {
  const wire::ByteView bytes = encoder_.encode(wire::RelayFrame{request, std::move(body)});
  to.waiting.emplace_back(bytes.begin(), bytes.end());
}

void EagerRelay::welcome(Registered& who, std::uint32_t request) {
  wire::Welcome welcome;
  welcome.version = wire::kProtocolVersion;
  welcome.store_id.bytes[0] = 1;
  welcome.relay_time_ms = static_cast<std::uint64_t>(now().wall.count());
  welcome.list = {1, 1};
  welcome.own_name = who.name;
  welcome.limits = relay::Config().wire_limits();
  answer(*who.side, request, std::move(welcome));
  answer(*who.side, 0, wire::CaughtUp{});
}

void EagerRelay::submit(Side& from, std::uint32_t request, const wire::Submit& submit) {
  wire::Submitted submitted;
  for (const wire::Recipient& recipient : submit.recipients) {
    const auto to = std::ranges::find(users_, recipient.device, &Registered::device);
    REQUIRE(to != users_.end());
    answer(*to->side, 0, wire::Deliver{++to->delivered, submit.bodies[recipient.body]});
    submitted.outcomes.emplace_back();
  }
  answer(from, request, std::move(submitted));
}

void EagerRelay::on_frame(Side& from, wire::ByteView frame) {
  const auto request = wire::parse_request(frame);
  REQUIRE(request);
  if (std::holds_alternative<wire::Login>(request->body)) {
    // Nobody logs in twice here, so this is somebody new.
    return answer(from, request->id, wire::Refused{wire::ErrorCode::unknown_device, 0});
  }
  if (const auto* enlisted = std::get_if<wire::Register>(&request->body)) {
    users_.push_back({&from, wire::user_id_of(enlisted->list.root), enlisted->device,
                      std::string(enlisted->name.value_or("")),
                      wire::SignedList::copy_of(enlisted->list), enlisted->seal_key,
                      enlisted->signed_prekey});
    return welcome(users_.back(), request->id);
  }
  if (const auto* who = std::get_if<wire::GetUser>(&request->body)) {
    const auto found = std::ranges::find_if(users_, [&](const Registered& user) {
      return who->user ? user.user == *who->user : user.name == *who->name;
    });
    REQUIRE(found != users_.end());
    return answer(from, request->id, wire::User{found->list.view()});
  }
  if (const auto* keys = std::get_if<wire::GetPrekeys>(&request->body)) {
    const auto found = std::ranges::find(users_, keys->user, &Registered::user);
    REQUIRE(found != users_.end());
    wire::Prekeys prekeys{found->list.view(), {}};
    prekeys.bundles.push_back({found->device, found->seal_key, found->signed_prekey, {}});
    return answer(from, request->id, std::move(prekeys));
  }
  if (const auto* submitted = std::get_if<wire::Submit>(&request->body)) {
    return submit(from, request->id, *submitted);
  }
  answer(from, request->id, wire::Done{});
}

}  // namespace godwit::bench
