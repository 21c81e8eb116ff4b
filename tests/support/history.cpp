#include "tests/support/history.hpp"

#include <algorithm>
#include <cassert>
#include <limits>

#include "schema/wire/bytes.hpp"
#include "schema/wire/hash.hpp"

namespace godwit::support {
namespace {

constexpr std::size_t kHeadSize = 4 + 4;
constexpr std::size_t kChecksumSize = 8;
constexpr std::size_t kSizeMin = 40;
constexpr std::size_t kSizeSpread = 361;
constexpr wire::SipKey kKey{'h', 'i', 's', 't', 'o', 'r', 'y'};

std::uint64_t checksum(wire::ByteView bytes) { return wire::siphash(kKey, bytes); }

std::array<std::uint8_t, kHeadSize> head_of(const LoadEnvelope& envelope) {
  std::array<std::uint8_t, kHeadSize> head{};
  wire::store_le(head.data(), envelope.pair);
  wire::store_le(head.data() + 4, envelope.number);
  return head;
}

}  // namespace

// ---- LoadEnvelope -------------------------------------------------------------------------------

wire::Bytes LoadEnvelope::bytes() const {
  const auto head = head_of(*this);
  const std::uint64_t mixed = checksum(head);
  wire::Bytes bytes(kSizeMin + mixed % kSizeSpread, static_cast<std::uint8_t>(mixed));
  std::ranges::copy(head, bytes.begin());
  const std::size_t summed = bytes.size() - kChecksumSize;
  wire::store_le(bytes.data() + summed, checksum(wire::ByteView(bytes).first(summed)));
  return bytes;
}

wire::RequestId LoadEnvelope::request_id() const {
  wire::RequestId id;
  const auto head = head_of(*this);
  std::ranges::copy(head, id.bytes.begin());
  wire::store_le(id.bytes.data() + kHeadSize, checksum(head));
  return id;
}

std::optional<LoadEnvelope> LoadEnvelope::parse(wire::ByteView bytes) {
  if (bytes.size() < kHeadSize) return std::nullopt;
  const LoadEnvelope envelope{wire::load_le<std::uint32_t>(bytes),
                              wire::load_le<std::uint32_t>(bytes.subspan(4))};
  // Not the checksum alone: every byte is known.
  if (!std::ranges::equal(bytes, envelope.bytes())) return std::nullopt;
  return envelope;
}

// ---- What happened ------------------------------------------------------------------------------

void History::add(LoadEnvelope envelope, Kind kind) {
  assert(envelope.pair < pairs_.size());
  Pair& pair = pairs_[envelope.pair];
  assert(envelope.number < pair.envelopes.size() && "it was submitted");
  pair.envelopes[envelope.number].push_back({kind, life_, pair.connection, ++events_});
}

void History::submitted(LoadEnvelope envelope) {
  auto& envelopes = pairs_[envelope.pair].envelopes;
  assert(envelope.number <= envelopes.size() && "numbers are submitted in their order");
  if (envelope.number == envelopes.size()) envelopes.emplace_back();
  add(envelope, Kind::submitted);
}

void History::accepted(LoadEnvelope envelope) {
  ++accepted_total_;
  add(envelope, Kind::accepted);
}

void History::refused(LoadEnvelope envelope) {
  ++refused_total_;
  add(envelope, Kind::refused);
}

void History::connected(std::uint32_t pair) { ++pairs_[pair].connection; }

std::optional<LoadEnvelope> History::delivered(std::uint32_t pair, wire::ByteView bytes) {
  const auto envelope = LoadEnvelope::parse(bytes);
  if (!envelope) {
    ++damaged_;
    return std::nullopt;
  }
  if (envelope->pair != pair || envelope->number >= pairs_[pair].envelopes.size()) {
    ++never_sent_;
    return std::nullopt;
  }
  add(*envelope, Kind::delivered);
  return envelope;
}

void History::acked(LoadEnvelope envelope) { add(envelope, Kind::acked); }
void History::confirmed(LoadEnvelope envelope) { add(envelope, Kind::confirmed); }

// ---- The judgement ------------------------------------------------------------------------------

// What one envelope's story says.
struct History::Findings {
  bool accepted = false;
  bool refused = false;
  bool delivered = false;
  bool retried = false;
  bool redelivered = false;
  bool by_retry = false;
  bool again = false;
  bool twice = false;
};

History::Findings History::examine(const Story& story) {
  Findings found;
  std::uint32_t last_submit_life = 0;  // of the relay it was last sent to without an outcome
  std::uint32_t last_connection = 0;   // that it was delivered on; 0: none
  std::uint32_t confirmed_life = 0;    // of the relay that confirmed its ack; 0: none
  for (const Event& event : story) {
    switch (event.kind) {
      case Kind::submitted:
        if (last_submit_life != 0) found.retried = true;
        if (!found.accepted) last_submit_life = event.life;
        break;
      case Kind::accepted:
        found.accepted = true;
        break;
      case Kind::refused:
        found.refused = true;
        break;
      case Kind::delivered:
        if (event.connection == last_connection) {
          found.twice = true;
        } else if (confirmed_life == 0) {
          found.redelivered = found.redelivered || found.delivered;
        } else if (last_submit_life > confirmed_life) {
          found.by_retry = true;
        } else {
          found.again = true;
        }
        found.delivered = true;
        last_connection = event.connection;
        break;
      case Kind::acked:
        break;  // only its confirmation obliges the relay; kept for the story
      case Kind::confirmed:
        confirmed_life = event.life;
        break;
    }
  }
  return found;
}

std::string History::tell(LoadEnvelope envelope, const char* fault, const Story& story) {
  std::string text = "pair " + std::to_string(envelope.pair) + " number " +
                     std::to_string(envelope.number) + ": " + fault + ":";
  for (const Event& event : story) {
    static constexpr const char* kNames[] = {"submitted", "accepted", "refused",
                                             "delivered", "acked",    "confirmed"};
    text += " " + std::to_string(event.at) + " " + kNames[static_cast<std::size_t>(event.kind)] +
            " (life " + std::to_string(event.life) + ", connection " +
            std::to_string(event.connection) + ");";
  }
  return text;
}

void History::count(LoadEnvelope envelope, const char* fault, const Story& story,
                    std::uint64_t& faults, Verdict& verdict) {
  ++faults;
  if (verdict.stories.size() < Verdict::kStoriesMax) {
    verdict.stories.push_back(tell(envelope, fault, story));
  }
}

void History::judge_one(LoadEnvelope envelope, const Story& story, Verdict& verdict) {
  const Findings found = examine(story);
  ++verdict.submitted;
  if (found.retried) ++verdict.retried;
  if (found.accepted) ++verdict.accepted;
  if (found.delivered) ++verdict.delivered;
  if (found.redelivered) ++verdict.redelivered;
  if (found.by_retry) ++verdict.redelivered_by_retry;

  const auto fault = [&](bool broken, std::uint64_t& faults, const char* name) {
    if (broken) count(envelope, name, story, faults, verdict);
  };
  fault(found.accepted && !found.delivered, verdict.lost, "lost");
  fault(found.again, verdict.again, "delivered again");
  fault(found.twice, verdict.twice, "delivered twice on one connection");
  fault(found.refused, verdict.refused, "refused");
  fault(!found.accepted, verdict.unfinished, "unfinished");
}

// From the newest to the oldest: late is what came after one that was submitted after it.
void History::judge_order(std::uint32_t pair, const Pair& all, Verdict& verdict) {
  std::uint64_t earliest = std::numeric_limits<std::uint64_t>::max();
  for (auto number = static_cast<std::uint32_t>(all.envelopes.size()); number-- > 0;) {
    const Story& story = all.envelopes[number];
    const auto first = std::ranges::find(story, Kind::delivered, &Event::kind);
    if (first == story.end()) continue;
    if (first->at > earliest) count({pair, number}, "out of order", story, verdict.out_of_order,
                                    verdict);
    earliest = std::min(earliest, first->at);
  }
}

Verdict History::judge() const {
  Verdict verdict;
  verdict.never_sent = never_sent_;
  verdict.damaged = damaged_;
  for (std::uint32_t pair = 0; pair < pairs_.size(); ++pair) {
    const Pair& all = pairs_[pair];
    for (std::uint32_t number = 0; number < all.envelopes.size(); ++number) {
      judge_one({pair, number}, all.envelopes[number], verdict);
    }
    judge_order(pair, all, verdict);
  }
  return verdict;
}

}  // namespace godwit::support
