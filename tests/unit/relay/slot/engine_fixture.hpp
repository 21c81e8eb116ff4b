// What the tests of the slot engine share: an engine over a disk in memory, users made from
// numbers, and what the engine says as lines that a test can compare:
//   "s1 <- #2 m7"          session 1 gets push number 2, the envelope of request 7
//   "s9 submit 3: ok"      the answer to a submit, an ack or a call, with its mark
//   "s1 caught_up"         a notice
#pragma once

#include <doctest/doctest.h>

#include <deque>

#include "relay/slot/slot_of.hpp"
#include "schema/wire/bytes.hpp"
#include "tests/support/memory_records.hpp"

namespace doctest {
template <>
struct StringMaker<std::vector<std::string>> {
  static String convert(const std::vector<std::string>& lines) {
    std::string all;
    for (const std::string& line : lines) all += "[" + line + "] ";
    return all.c_str();
  }
};
}  // namespace doctest

namespace godwit::relay::slot::testing {

using Lines = std::vector<std::string>;

template <class Id>
Id id_of(std::uint32_t number, std::uint8_t kind) {
  Id id;
  wire::store_le(id.bytes.data(), number);
  id.bytes[4] = kind;
  id.bytes[15] = 0xee;
  return id;
}

inline wire::RequestId request_id(std::uint32_t number) {
  return id_of<wire::RequestId>(number, 1);
}

struct TestUser {
  wire::UserId id;
  wire::SignedList list;
  wire::DeviceList parsed;

  [[nodiscard]] const wire::DeviceId& device(std::size_t index = 0) const {
    return parsed.devices[index].id;
  }
  [[nodiscard]] const wire::Key& transport(std::size_t index = 0) const {
    return parsed.devices[index].transport;
  }
};

// A list of the right form whose signatures are zeros: the engine does not look at them.
inline TestUser make_user(std::uint32_t number, const std::vector<std::uint32_t>& devices = {0},
                          wire::ListVersion version = {1, 1}) {
  TestUser user;
  user.list.root = id_of<wire::Key>(number, 2);
  user.id = wire::user_id_of(user.list.root);
  user.parsed.user = user.id;
  user.parsed.version = version;
  for (const std::uint32_t index : devices) {
    wire::DeviceRecord record;
    record.identity = id_of<wire::Key>(number * 100 + index, 3);
    record.transport = id_of<wire::Key>(number * 100 + index, 4);
    record.id = wire::device_id_of(record.identity);
    record.suites = {1};
    user.parsed.devices.push_back(record);
  }
  const std::vector<wire::Signature> signatures(devices.size());
  user.list.body = wire::list_body(user.parsed, signatures);
  REQUIRE(wire::parse_device_list(user.list.body));
  return user;
}

inline wire::SignedKey signed_key(std::uint32_t id) {
  wire::SignedKey key;
  key.id = id;
  key.key = id_of<wire::Key>(id, 5);
  return key;
}

inline std::vector<wire::OneTimeKey> one_time_keys(std::uint32_t first, std::uint32_t count) {
  std::vector<wire::OneTimeKey> keys;
  for (std::uint32_t id = first; id < first + count; ++id) {
    keys.push_back({id, id_of<wire::Key>(id, 6)});
  }
  return keys;
}

// "m7", filled up with dots to the size asked for.
inline std::shared_ptr<const store::Body> body_of(std::uint32_t request, std::size_t size = 0,
                                                  std::uint64_t shared_id = 0) {
  std::string text = "m" + std::to_string(request);
  if (text.size() < size) text.resize(size, '.');
  auto body = std::make_shared<store::Body>();
  body->shared_id = shared_id;
  body->bytes.assign(text.begin(), text.end());
  return body;
}

inline std::string text_of(wire::ByteView bytes) {
  std::string text(bytes.begin(), bytes.end());
  return text.substr(0, text.find('.'));
}

inline std::string name_of(Origin::Kind kind) {
  switch (kind) {
    case Origin::Kind::call:
      return "call";
    case Origin::Kind::task:
      return "task";
    case Origin::Kind::submit:
      return "submit";
    case Origin::Kind::ack:
      return "ack";
  }
  return "?";
}

inline std::string line_of(const AnswerTo& answer) {
  std::string line = "s" + std::to_string(answer.origin.session) + " ";
  line += name_of(answer.origin.kind);
  line += " " + std::to_string(answer.origin.mark) + ": ";
  const auto outcome = [](wire::ErrorCode code, std::uint32_t retry_after_ms) {
    std::string text(wire::name_of(code));
    if (retry_after_ms > 0) text += " after " + std::to_string(retry_after_ms);
    return text;
  };
  if (const auto* enqueued = std::get_if<Enqueued>(&answer.answer)) {
    return line + outcome(enqueued->code, enqueued->retry_after_ms);
  }
  if (const auto* simple = std::get_if<Simple>(&answer.answer)) {
    return line + outcome(simple->code, simple->retry_after_ms);
  }
  if (const auto* attached = std::get_if<AttachedAs>(&answer.answer)) {
    return line + (attached->replaced ? "attached, replaced" : "attached");
  }
  if (std::holds_alternative<FoundUser>(answer.answer)) return line + "user";
  if (const auto* prekeys = std::get_if<FoundPrekeys>(&answer.answer)) {
    line += "prekeys";
    for (const wire::Bundle& bundle : prekeys->bundles) {
      line += bundle.one_time ? " " + std::to_string(bundle.one_time->id) : " -";
    }
    return line;
  }
  if (std::holds_alternative<FoundName>(answer.answer)) return line + "found";
  const auto& previous = std::get<PreviousName>(answer.answer);
  return line + "previous " + (previous.name.empty() ? "-" : previous.name);
}

inline std::string line_of(const Push& push) {
  return "s" + std::to_string(push.session) + " <- #" + std::to_string(push.number) + " " +
         text_of(push.body->bytes);
}

inline std::string line_of(const Notice& notice) {
  const std::string line = "s" + std::to_string(notice.session) + " ";
  if (std::holds_alternative<wire::CaughtUp>(notice.what)) return line + "caught_up";
  if (const auto* low = std::get_if<wire::KeysLow>(&notice.what)) {
    return line + "keys_low " + std::to_string(low->one_time_keys_left);
  }
  const auto& closing = std::get<wire::Closing>(notice.what);
  return line + "closing " + std::string(wire::name_of(closing.code));
}

class EngineUnderTest {
 public:
  explicit EngineUnderTest(const EngineLimits& with = {}) : limits(with) { start(); }

  // The process ends here and begins again: what is not on the disk is lost.
  void restart() {
    effects_.clear();
    under_way.reset();
    start();
  }

  void apply(std::uint64_t session, Origin::Kind kind, std::uint32_t mark, Operation operation) {
    engine->apply({session, 0, mark, kind}, operation, now, effects_);
  }
  void call(std::uint64_t session, std::uint32_t mark, Operation operation) {
    apply(session, Origin::Kind::call, mark, std::move(operation));
  }
  // Puts the user on the disk and forgets what was said about it.
  void add(const TestUser& user) {
    call(1, 0, put_of(user));
    commit();
    effects_.clear();
  }
  static std::unique_ptr<PutUser> put_of(const TestUser& user,
                                         std::optional<wire::ListVersion> expected = {},
                                         bool with_keys = true) {
    auto put = std::make_unique<PutUser>();
    put->list = user.list;
    put->parsed = user.parsed;
    put->expected = expected;
    put->device = user.device();
    if (with_keys) put->keys = DeviceKeys{signed_key(1), signed_key(2)};
    return put;
  }
  void attach(std::uint64_t session, const TestUser& user, std::size_t device = 0) {
    call(session, 1, Attach{user.id, user.device(device), user.transport(device)});
    deliver_more();
  }
  void detach(std::uint64_t session, const TestUser& user, std::size_t device = 0) {
    call(session, 0, Detach{user.device(device)});
  }
  // The mark is the request's number unless `mark` says otherwise; the sender is session 9.
  void enqueue(const TestUser& user, std::uint32_t request, std::size_t size = 0,
               std::optional<std::uint32_t> mark = {}) {
    enqueue_body(user, request, body_of(request, size), mark.value_or(request));
  }
  void enqueue_body(const TestUser& user, std::uint32_t request,
                    std::shared_ptr<const store::Body> body, std::uint32_t mark,
                    std::size_t device = 0) {
    Enqueue operation;
    operation.sender = sender;
    operation.limited = limited;
    operation.user = user.id;
    operation.device = user.device(device);
    operation.list = user.parsed.version;
    operation.request_id = request_id(request);
    operation.ttl_s = ttl_s;
    operation.body = std::move(body);
    apply(9, Origin::Kind::submit, mark, std::move(operation));
  }
  void ack(std::uint64_t session, const TestUser& user, std::uint32_t upto,
           std::vector<std::uint32_t> numbers = {}, std::uint32_t mark = 0) {
    apply(session, Origin::Kind::ack, mark, Ack{user.device(), upto, std::move(numbers)});
  }

  void pass(std::chrono::microseconds time) {
    now.steady += time;
    now.wall_ms +=
        static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(time)
                                       .count());
  }
  // Takes the batch that is due; true when there is one.
  bool flush() {
    under_way = engine->flush(now);
    return under_way != nullptr;
  }
  // The writer finishes the batch under way.
  void finish() {
    REQUIRE(under_way);
    disk.apply(*under_way);
    engine->committed(std::move(under_way), now, effects_);
  }
  // Everything that is due now, on the disk.
  void commit() {
    while (flush()) finish();
  }
  // An envelope that waits on the disk for a device that is away.
  void store(const TestUser& user, std::uint32_t request, std::size_t size = 0) {
    enqueue(user, request, size);
    commit();
    REQUIRE(said() == Lines{"s9 submit " + std::to_string(request) + ": ok"});
  }

  void sweep() { engine->sweep(now, effects_); }
  void deliver_more() { engine->deliver_more(now, effects_); }
  // What was said since the last look.
  [[nodiscard]] Lines said() {
    Lines lines;
    for (const Effect& effect : effects_) {
      lines.push_back(std::visit([](const auto& one) { return line_of(one); }, effect));
    }
    effects_.clear();
    return lines;
  }
  [[nodiscard]] const Effects& effects() const { return effects_; }
  // Positions in the log, as the texts that stand there.
  [[nodiscard]] Lines logged() const {
    Lines lines;
    for (const auto& [position, entry] : disk.log()) lines.push_back(text_of(entry.bytes));
    return lines;
  }
  [[nodiscard]] std::pair<std::uint64_t, std::uint64_t> counted() const {
    return {counters->queued_envelopes.get(), counters->queued_bytes.get()};
  }

  EngineLimits limits;
  test::MemoryRecords disk;
  std::unique_ptr<ops::Counters> counters;
  std::unique_ptr<Engine> engine;
  std::unique_ptr<store::Batch> under_way;
  Now now{Steady{} + std::chrono::hours(1), 1'700'000'000'000};
  std::uint32_t ttl_s = 1'000;
  wire::UserId sender{};
  bool limited = true;

 private:
  void start() {
    counters = std::make_unique<ops::Counters>();
    engine = std::make_unique<Engine>(disk, *counters, limits, wire::SipKey{1, 2, 3});
    disk.restore_into(*engine);
  }

  Effects effects_;
};

inline EngineLimits window_of(std::uint32_t envelopes, std::uint32_t bytes = 1 << 20) {
  EngineLimits limits;
  limits.window = {envelopes, bytes};
  return limits;
}

}  // namespace godwit::relay::slot::testing
