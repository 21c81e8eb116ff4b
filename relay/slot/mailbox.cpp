#include "relay/slot/mailbox.hpp"

#include <cassert>

namespace godwit::relay::slot {

store::RequestTag request_tag(const wire::DeviceId& device, const wire::RequestId& request) {
  store::RequestTag tag;
  wire::blake2b(tag.bytes, {device.view(), request.view()});
  return tag;
}

Mailbox* Mailboxes::find(const wire::DeviceId& device) {
  const auto found = mailboxes_.find(device);
  return found == mailboxes_.end() ? nullptr : &found->second;
}

Mailbox& Mailboxes::at(const wire::DeviceId& device) {
  const auto [entry, made] = mailboxes_.try_emplace(device);
  if (made) entry->second.device = device;
  return entry->second;
}

void Mailboxes::release_if_idle(Mailbox& mailbox) {
  if (mailbox.count == 0 && !mailbox.attachment) mailboxes_.erase(wire::DeviceId(mailbox.device));
}

NodeIndex Mailboxes::push_back(Mailbox& mailbox, const Node& values) {
  if (used_ >= heads_.size()) grow_index();
  const NodeIndex index = take_node();
  Node& added = node(index);
  added = values;
  added.next = kNoNode;
  added.prev = mailbox.tail;
  (mailbox.tail == kNoNode ? mailbox.head : node(mailbox.tail).next) = index;
  mailbox.tail = index;
  ++mailbox.count;
  mailbox.bytes += added.size;

  NodeIndex& bucket = heads_[bucket_of(added.hash)];
  added.chain = bucket;
  bucket = index;
  return index;
}

void Mailboxes::erase(Mailbox& mailbox, NodeIndex index) {
  Node& gone = node(index);
  (gone.prev == kNoNode ? mailbox.head : node(gone.prev).next) = gone.next;
  (gone.next == kNoNode ? mailbox.tail : node(gone.next).prev) = gone.prev;
  assert(mailbox.count > 0 && mailbox.bytes >= gone.size);
  --mailbox.count;
  mailbox.bytes -= gone.size;

  NodeIndex* link = &heads_[bucket_of(gone.hash)];
  while (*link != index) link = &node(*link).chain;
  *link = gone.chain;

  gone.next = free_;
  free_ = index;
  --used_;
}

NodeIndex Mailboxes::find_request(std::uint64_t hash,
                                  const std::function<bool(NodeIndex)>& is_it) const {
  for (NodeIndex at = heads_[bucket_of(hash)]; at != kNoNode; at = node(at).chain) {
    if (node(at).hash == hash && is_it(at)) return at;
  }
  return kNoNode;
}

void Mailboxes::visit_some(std::size_t nodes_max, const std::function<void(Mailbox&)>& visit) {
  std::vector<wire::DeviceId> here;
  std::size_t seen = 0;
  for (std::size_t turns = mailboxes_.bucket_count(); turns > 0 && seen < nodes_max; --turns) {
    if (visit_bucket_ >= mailboxes_.bucket_count()) visit_bucket_ = 0;
    // Copied first: a visit may free the mailbox it visits.
    here.clear();
    for (auto it = mailboxes_.begin(visit_bucket_); it != mailboxes_.end(visit_bucket_); ++it) {
      here.push_back(it->first);
    }
    ++visit_bucket_;
    ++seen;
    for (const wire::DeviceId& device : here) {
      Mailbox& mailbox = mailboxes_.find(device)->second;
      seen += mailbox.count;
      visit(mailbox);
    }
  }
}

void Mailboxes::visit_all(const std::function<void(const Mailbox&)>& visit) const {
  for (const auto& [device, mailbox] : mailboxes_) visit(mailbox);
}

NodeIndex Mailboxes::take_node() {
  if (free_ == kNoNode) {
    const auto first = static_cast<NodeIndex>(chunks_.size() * kChunkNodes);
    chunks_.push_back(std::make_unique<Node[]>(kChunkNodes));
    for (std::size_t i = kChunkNodes; i-- > 0;) {
      const auto index = static_cast<NodeIndex>(first + i);
      node(index).next = free_;
      free_ = index;
    }
  }
  const NodeIndex index = free_;
  free_ = node(index).next;
  ++used_;
  return index;
}

void Mailboxes::grow_index() {
  heads_.assign(heads_.size() * 2, kNoNode);
  for (auto& [device, mailbox] : mailboxes_) {
    for (NodeIndex at = mailbox.head; at != kNoNode; at = node(at).next) {
      NodeIndex& bucket = heads_[bucket_of(node(at).hash)];
      node(at).chain = bucket;
      bucket = at;
    }
  }
}

}  // namespace godwit::relay::slot
