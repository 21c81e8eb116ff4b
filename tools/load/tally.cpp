#include "tools/load/tally.hpp"

#include <bit>
#include <utility>

#include "schema/wire/bytes.hpp"

namespace godwit::load {
namespace {

// ---- Out --------------------------------------------------------------------------------------

void append_text(wire::Bytes& to, std::string_view text) {
  wire::append_le(to, static_cast<std::uint32_t>(text.size()));
  wire::append(to, {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

void append_double(wire::Bytes& to, double value) {
  wire::append_le(to, std::bit_cast<std::uint64_t>(value));
}

void append_by_code(wire::Bytes& to, const ByCode& counts) {
  wire::append_le(to, static_cast<std::uint32_t>(counts.size()));
  for (const auto& [code, count] : counts) {
    append_text(to, code);
    wire::append_le(to, count);
  }
}

void append_histogram(wire::Bytes& to, const Histogram& histogram) {
  const Histogram::Filled filled = histogram.filled();
  wire::append_le(to, histogram.max_ns());
  wire::append_le(to, static_cast<std::uint32_t>(filled.size()));
  for (const auto& [index, count] : filled) {
    wire::append_le(to, index);
    wire::append_le(to, count);
  }
}

// ---- In ---------------------------------------------------------------------------------------

// What is not there reads as zero; the reader remembers that something was wrong.
class Reader {
 public:
  explicit Reader(wire::ByteView bytes) : rest_(bytes) {}

  template <class Int>
  [[nodiscard]] Int number() {
    if (rest_.size() < sizeof(Int)) {
      wrong_ = true;
      return 0;
    }
    const auto value = wire::load_le<Int>(rest_);
    rest_ = rest_.subspan(sizeof(Int));
    return value;
  }
  template <class Choice>
  [[nodiscard]] Choice choice(Choice last) {
    const auto value = number<std::uint8_t>();
    if (value > static_cast<std::uint8_t>(last)) wrong_ = true;
    return static_cast<Choice>(value);
  }
  [[nodiscard]] double real() { return std::bit_cast<double>(number<std::uint64_t>()); }
  [[nodiscard]] std::string text() {
    const auto size = number<std::uint32_t>();
    if (rest_.size() < size) {
      wrong_ = true;
      return {};
    }
    std::string text(reinterpret_cast<const char*>(rest_.data()), size);
    rest_ = rest_.subspan(size);
    return text;
  }
  // Calls `read` as often as the number that comes first says, or until nothing is left.
  template <class Read>
  void each(const Read& read) {
    const auto count = number<std::uint32_t>();
    for (std::uint32_t i = 0; i < count && !wrong_; ++i) read();
  }
  [[nodiscard]] ByCode by_code() {
    ByCode counts;
    each([&] {
      std::string code = text();
      counts.emplace(std::move(code), number<std::uint64_t>());
    });
    return counts;
  }
  [[nodiscard]] Histogram histogram() {
    const auto max_ns = number<std::uint64_t>();
    Histogram::Filled filled;
    each([&] {
      const auto index = number<std::uint32_t>();
      filled.emplace_back(index, number<std::uint64_t>());
    });
    const auto read = Histogram::of(filled, max_ns);
    if (!read) wrong_ = true;
    return read.value_or(Histogram());
  }
  [[nodiscard]] bool complete() const { return !wrong_ && rest_.empty(); }

 private:
  wire::ByteView rest_;
  bool wrong_ = false;
};

}  // namespace

std::string_view name_of(Phase phase) {
  switch (phase) {
    case Phase::enroll:
      return "register";
    case Phase::log_in:
      return "log in";
    case Phase::warm_up:
      return "warm up";
    case Phase::measure:
      return "measure";
    case Phase::drain:
      return "drain";
    case Phase::settle:
      break;
  }
  return "settle";
}

Tally Tally::take() {
  Tally taken = *this;
  delivery = {};
  accepted = {};
  events.clear();
  return taken;
}

void Tally::follow(Tally&& newer) {
  newer.delivery.add(delivery);
  newer.accepted.add(accepted);
  newer.events.insert(newer.events.begin(), events.begin(), events.end());
  *this = std::move(newer);
}

wire::Bytes encode(const Word& word) {
  wire::Bytes to(sizeof(std::uint32_t));
  const Tally& tally = word.tally;
  wire::append_le(to, static_cast<std::uint8_t>(word.kind));
  wire::append_le(to, static_cast<std::uint8_t>(word.phase));
  append_double(to, word.phase_seconds);
  for (const auto count : kCounts) wire::append_le(to, tally.counts.*count);
  wire::append_le(to, tally.in_flight);
  wire::append_le(to, tally.connections);
  append_double(to, tally.cpu_s);
  append_histogram(to, tally.delivery);
  append_histogram(to, tally.accepted);
  append_by_code(to, tally.refused);
  append_by_code(to, tally.logins_refused);
  wire::append_le(to, static_cast<std::uint32_t>(tally.events.size()));
  for (const Tally::Happened& event : tally.events) {
    wire::append_le(to, static_cast<std::uint64_t>(event.at.time_since_epoch().count()));
    append_text(to, event.what);
  }
  wire::append_le(to, static_cast<std::uint32_t>(word.faults.size()));
  for (const std::string& fault : word.faults) append_text(to, fault);
  wire::store_le(to.data(), static_cast<std::uint32_t>(to.size() - sizeof(std::uint32_t)));
  return to;
}

tl::expected<std::pair<Word, std::size_t>, WordError> parse_word(wire::ByteView bytes) {
  if (bytes.size() < sizeof(std::uint32_t)) return tl::unexpected(WordError::incomplete);
  const std::size_t size = wire::load_le<std::uint32_t>(bytes);
  if (size > kWordSizeMax) return tl::unexpected(WordError::broken);
  bytes = bytes.subspan(sizeof(std::uint32_t));
  if (bytes.size() < size) return tl::unexpected(WordError::incomplete);

  Reader from(bytes.first(size));
  Word word;
  Tally& tally = word.tally;
  word.kind = from.choice(Word::Kind::ended);
  word.phase = from.choice(Phase::settle);
  word.phase_seconds = from.real();
  for (const auto count : kCounts) tally.counts.*count = from.number<std::uint64_t>();
  tally.in_flight = from.number<std::uint64_t>();
  tally.connections = from.number<std::uint64_t>();
  tally.cpu_s = from.real();
  tally.delivery = from.histogram();
  tally.accepted = from.histogram();
  tally.refused = from.by_code();
  tally.logins_refused = from.by_code();
  from.each([&] {
    const auto at = std::chrono::nanoseconds(from.number<std::uint64_t>());
    tally.events.push_back({Clock::time_point(at), from.text()});
  });
  from.each([&] { word.faults.push_back(from.text()); });
  if (!from.complete()) return tl::unexpected(WordError::broken);
  return std::pair(std::move(word), sizeof(std::uint32_t) + size);
}

}  // namespace godwit::load
