// support/history: the judge of a load. It is told what the devices sent and saw, in that order,
// and says which promises of the relay were broken. It knows nothing of the relay but the wire.
//
// A load is a number of pairs; the sender of a pair submits the envelopes 0, 1, 2, ... to its
// receiver. Each envelope's bytes follow from its pair and number, and end in a checksum.
//
// What is judged:
//   lost             accepted, and not delivered
//   again            delivered on a later connection although its ack had been confirmed; unless
//                    the sender, with no outcome, sent it once more to a later life of the relay:
//                    an envelope that never touched the disk leaves no trace there (counted apart)
//   twice            delivered twice on one connection
//   out of order     first delivered after one that was submitted later
//   never sent       delivered, and not submitted, or to another pair
//   damaged          delivered, and not the bytes that were submitted
//   refused          this load stays inside all limits, so nothing may be refused
//   unfinished       not accepted at the end
// An ack without a confirmation obliges nobody: the relay may have taken it, or not.
//
// Owns:   every event of every envelope, so that a broken promise is told with its whole story.
// Thread: one owner.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "schema/wire/types.hpp"

namespace godwit::support {

// What an envelope of a load looks like on the wire.
struct LoadEnvelope {
  std::uint32_t pair = 0;
  std::uint32_t number = 0;
  friend bool operator==(const LoadEnvelope&, const LoadEnvelope&) = default;

  // The same envelope gives the same bytes, 40 to 400 of them.
  [[nodiscard]] wire::Bytes bytes() const;
  [[nodiscard]] wire::RequestId request_id() const;
  // Nothing when the bytes are not those of an envelope.
  [[nodiscard]] static std::optional<LoadEnvelope> parse(wire::ByteView bytes);
};

struct Verdict {
  // Envelopes, but for `never_sent` and `damaged`, which count deliveries.
  std::uint64_t submitted = 0;
  std::uint64_t retried = 0;
  std::uint64_t accepted = 0;
  std::uint64_t delivered = 0;
  std::uint64_t redelivered = 0;           // rightly: no confirmed ack before
  std::uint64_t redelivered_by_retry = 0;  // rightly: see `again` above

  std::uint64_t lost = 0;
  std::uint64_t again = 0;
  std::uint64_t twice = 0;
  std::uint64_t out_of_order = 0;
  std::uint64_t never_sent = 0;
  std::uint64_t damaged = 0;
  std::uint64_t refused = 0;
  std::uint64_t unfinished = 0;

  std::vector<std::string> stories;  // of the first broken promises, kStoriesMax at most
  static constexpr std::size_t kStoriesMax = 5;

  [[nodiscard]] bool kept() const {
    return lost + again + twice + out_of_order + never_sent + damaged + refused + unfinished == 0;
  }
};

class History {
 public:
  explicit History(std::uint32_t pairs) : pairs_(pairs) {}

  // The sender. The next number of the pair, or one that was submitted before and has no outcome.
  void submitted(LoadEnvelope envelope);
  void accepted(LoadEnvelope envelope);
  void refused(LoadEnvelope envelope);

  // The receiver. Nothing when the bytes are of no envelope that could be judged further.
  void connected(std::uint32_t pair);  // a new connection
  std::optional<LoadEnvelope> delivered(std::uint32_t pair, wire::ByteView bytes);
  void acked(LoadEnvelope envelope);
  void confirmed(LoadEnvelope envelope);

  // The relay is another process from here on, and nothing of the one before is still to be read.
  void restarted() { ++life_; }

  // Running totals, for a load to steer by.
  [[nodiscard]] std::uint64_t accepted_total() const { return accepted_total_; }
  [[nodiscard]] std::uint64_t refused_total() const { return refused_total_; }

  [[nodiscard]] Verdict judge() const;

 private:
  enum class Kind : std::uint8_t { submitted, accepted, refused, delivered, acked, confirmed };
  struct Event {
    Kind kind{};
    std::uint32_t life = 0;
    std::uint32_t connection = 0;  // of the receiver
    std::uint64_t at = 0;          // all events of the load are numbered
  };
  using Story = std::vector<Event>;
  struct Pair {
    std::vector<Story> envelopes;
    std::uint32_t connection = 0;
  };
  struct Findings;

  void add(LoadEnvelope envelope, Kind kind);
  static Findings examine(const Story& story);
  [[nodiscard]] static std::string tell(LoadEnvelope envelope, const char* fault,
                                        const Story& story);
  static void count(LoadEnvelope envelope, const char* fault, const Story& story,
                    std::uint64_t& faults, Verdict& verdict);
  static void judge_one(LoadEnvelope envelope, const Story& story, Verdict& verdict);
  static void judge_order(std::uint32_t pair, const Pair& all, Verdict& verdict);

  std::vector<Pair> pairs_;
  std::uint32_t life_ = 1;
  std::uint64_t events_ = 0;
  std::uint64_t accepted_total_ = 0;
  std::uint64_t refused_total_ = 0;
  std::uint64_t never_sent_ = 0;
  std::uint64_t damaged_ = 0;
};

}  // namespace godwit::support
