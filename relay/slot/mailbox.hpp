// slot/mailbox: the queues of all devices of one loop, in memory: which envelopes wait for whom,
// in which order, and which request ids are among them. The envelopes themselves are in the log,
// or staged.
//
// Owns:    40 bytes for each queued envelope, 4 to 8 for its place in the request index, and a
//          Mailbox for each device that has mail or a session.
// Refuses: to touch the log, decide on a quota, or know a socket.
// Thread:  the loop's.
#pragma once

#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "relay/delivery/attachment.hpp"
#include "relay/policy/fair_share.hpp"
#include "schema/wire/hash.hpp"

namespace godwit::relay::slot {

using delivery::kNoNode;
using delivery::NodeIndex;

// What stands in the log and in memory for the request id of one recipient.
[[nodiscard]] store::RequestTag request_tag(const wire::DeviceId& device,
                                            const wire::RequestId& request);

struct Node {
  static constexpr std::uint64_t kStagedBit = std::uint64_t{1} << 63;

  std::uint64_t place = 0;     // position in the log, or kStagedBit | index in the stage
  std::uint64_t hash = 0;      // of the request tag, keyed
  std::uint32_t size = 0;      // bytes of the envelope
  std::uint32_t expires = 0;   // seconds since 1970
  NodeIndex next = kNoNode;    // in the order of delivery
  NodeIndex prev = kNoNode;
  NodeIndex chain = kNoNode;   // in the request index

  [[nodiscard]] bool stored() const { return (place & kStagedBit) == 0; }
  [[nodiscard]] std::uint32_t staged_index() const { return static_cast<std::uint32_t>(place); }
};

struct Mailbox {
  wire::DeviceId device;
  NodeIndex head = kNoNode;
  NodeIndex tail = kNoNode;
  std::uint32_t count = 0;
  std::uint64_t bytes = 0;
  std::unique_ptr<delivery::Attachment> attachment;  // the device's live session, when it has one
  std::unique_ptr<policy::FairShare> shares;         // while it is half full and somebody adds

  [[nodiscard]] policy::Room held() const { return {count, bytes}; }
};

class Mailboxes {
 public:
  explicit Mailboxes(const wire::SipKey& hash_key) : hash_key_(hash_key) {}

  [[nodiscard]] Mailbox* find(const wire::DeviceId& device);
  [[nodiscard]] Mailbox& at(const wire::DeviceId& device);  // makes one
  // Frees the mailbox of a device that has neither mail nor a session.
  void release_if_idle(Mailbox& mailbox);

  // Keyed, since the request ids behind the tags are the clients' choice.
  [[nodiscard]] std::uint64_t hash_of(const store::RequestTag& request) const {
    return wire::siphash(hash_key_, request.view());
  }

  NodeIndex push_back(Mailbox& mailbox, const Node& values);
  void erase(Mailbox& mailbox, NodeIndex index);

  // The first node with this hash for which `is_it` holds; kNoNode when there is none.
  [[nodiscard]] NodeIndex find_request(std::uint64_t hash,
                                       const std::function<bool(NodeIndex)>& is_it) const;

  [[nodiscard]] Node& node(NodeIndex index) {
    return chunks_[index / kChunkNodes][index % kChunkNodes];
  }
  [[nodiscard]] const Node& node(NodeIndex index) const {
    return chunks_[index / kChunkNodes][index % kChunkNodes];
  }

  // Visits mailboxes, about `nodes_max` nodes' worth, from where the last call stopped.
  void visit_some(std::size_t nodes_max, const std::function<void(Mailbox&)>& visit);
  void visit_all(const std::function<void(const Mailbox&)>& visit) const;

  [[nodiscard]] std::size_t queued() const { return used_; }

 private:
  // Nodes lie in chunks, so that growing never copies a queue nor doubles its memory.
  static constexpr std::size_t kChunkNodes = 4'096;

  NodeIndex take_node();
  void grow_index();
  [[nodiscard]] std::size_t bucket_of(std::uint64_t hash) const {
    return hash & (heads_.size() - 1);
  }

  wire::SipKey hash_key_;
  std::unordered_map<wire::DeviceId, Mailbox, wire::IdHash> mailboxes_;
  std::vector<std::unique_ptr<Node[]>> chunks_;
  NodeIndex free_ = kNoNode;  // chained through `next`
  std::size_t used_ = 0;
  std::vector<NodeIndex> heads_ = std::vector<NodeIndex>(1'024, kNoNode);
  std::size_t visit_bucket_ = 0;
};

}  // namespace godwit::relay::slot
