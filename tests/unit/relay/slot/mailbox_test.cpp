#include "relay/slot/mailbox.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "tests/unit/relay/slot/engine_fixture.hpp"

namespace godwit::relay::slot::testing {
namespace {

TEST_SUITE_BEGIN("relay/slot/mailbox");

wire::DeviceId device(std::uint32_t number) { return id_of<wire::DeviceId>(number, 9); }

Node node_of(const Mailboxes& mailboxes, const wire::DeviceId& to, std::uint32_t request) {
  Node node;
  node.place = request;
  node.hash = mailboxes.hash_of(request_tag(to, request_id(request)));
  node.size = 10;
  return node;
}

std::vector<std::uint64_t> places(const Mailboxes& mailboxes, const Mailbox& mailbox) {
  std::vector<std::uint64_t> forward;
  for (NodeIndex at = mailbox.head; at != kNoNode; at = mailboxes.node(at).next) {
    forward.push_back(mailboxes.node(at).place);
  }
  std::vector<std::uint64_t> backward;
  for (NodeIndex at = mailbox.tail; at != kNoNode; at = mailboxes.node(at).prev) {
    backward.push_back(mailboxes.node(at).place);
  }
  std::reverse(backward.begin(), backward.end());
  CHECK(forward == backward);
  return forward;
}

TEST_CASE("a mailbox keeps its order whichever of its nodes are erased") {
  Mailboxes mailboxes(wire::SipKey{});
  Mailbox& mailbox = mailboxes.at(device(1));
  std::vector<NodeIndex> nodes;
  for (std::uint32_t i = 0; i < 6; ++i) {
    nodes.push_back(mailboxes.push_back(mailbox, node_of(mailboxes, device(1), i)));
  }
  mailboxes.erase(mailbox, nodes[0]);
  mailboxes.erase(mailbox, nodes[3]);
  mailboxes.erase(mailbox, nodes[5]);
  CHECK(places(mailboxes, mailbox) == std::vector<std::uint64_t>{1, 2, 4});
  CHECK(mailbox.count == 3);
  CHECK(mailbox.bytes == 30);
  for (const std::size_t i : {std::size_t{1}, std::size_t{2}, std::size_t{4}}) {
    mailboxes.erase(mailbox, nodes[i]);
  }
  CHECK(places(mailboxes, mailbox).empty());
  CHECK(mailboxes.queued() == 0);
}

TEST_CASE("every request is found by its tag, while the index grows and nodes come and go") {
  Mailboxes mailboxes(wire::SipKey{4});
  constexpr std::uint32_t kCount = 10'000;  // several chunks, several sizes of the index
  Mailbox& one = mailboxes.at(device(1));
  Mailbox& two = mailboxes.at(device(2));
  std::vector<NodeIndex> nodes;
  for (std::uint32_t i = 0; i < kCount; ++i) {
    const wire::DeviceId to = device(i % 2 == 0 ? 1 : 2);
    nodes.push_back(mailboxes.push_back(i % 2 == 0 ? one : two, node_of(mailboxes, to, i)));
    if (i % 3 == 2) mailboxes.erase((i - 1) % 2 == 0 ? one : two, nodes[i - 1]);
  }
  std::uint32_t wrong = 0;
  for (std::uint32_t i = 0; i < kCount; ++i) {
    const bool gone = i % 3 == 1 && i + 1 < kCount;
    const wire::DeviceId to = device(i % 2 == 0 ? 1 : 2);
    const auto any = [](NodeIndex) { return true; };
    const NodeIndex found =
        mailboxes.find_request(mailboxes.hash_of(request_tag(to, request_id(i))), any);
    if (found != (gone ? kNoNode : nodes[i])) ++wrong;
    const NodeIndex elsewhere =
        mailboxes.find_request(mailboxes.hash_of(request_tag(device(3), request_id(i))), any);
    if (elsewhere != kNoNode) ++wrong;
  }
  CHECK(wrong == 0);
}

TEST_CASE("of nodes with one hash the caller chooses") {
  Mailboxes mailboxes(wire::SipKey{});
  Mailbox& mailbox = mailboxes.at(device(1));
  const NodeIndex first = mailboxes.push_back(mailbox, node_of(mailboxes, device(1), 1));
  const NodeIndex second = mailboxes.push_back(mailbox, node_of(mailboxes, device(1), 1));
  const std::uint64_t hash = mailboxes.hash_of(request_tag(device(1), request_id(1)));
  CHECK(mailboxes.find_request(hash, [&](NodeIndex at) { return at == first; }) == first);
  CHECK(mailboxes.find_request(hash, [&](NodeIndex at) { return at == second; }) == second);
  CHECK(mailboxes.find_request(hash, [](NodeIndex) { return false; }) == kNoNode);
}

TEST_CASE("a mailbox is freed when it has neither mail nor a session, and not before") {
  Mailboxes mailboxes(wire::SipKey{});
  Mailbox& mailbox = mailboxes.at(device(1));
  const NodeIndex node = mailboxes.push_back(mailbox, node_of(mailboxes, device(1), 1));
  mailboxes.release_if_idle(mailbox);
  REQUIRE(mailboxes.find(device(1)) == &mailbox);
  mailbox.attachment = std::make_unique<delivery::Attachment>();
  mailboxes.erase(mailbox, node);
  mailboxes.release_if_idle(mailbox);
  REQUIRE(mailboxes.find(device(1)) == &mailbox);
  mailbox.attachment.reset();
  mailboxes.release_if_idle(mailbox);
  CHECK(mailboxes.find(device(1)) == nullptr);
}

TEST_CASE("visits go on where they stopped and reach every mailbox, also when each frees itself") {
  Mailboxes mailboxes(wire::SipKey{});
  constexpr std::uint32_t kCount = 500;
  for (std::uint32_t i = 0; i < kCount; ++i) (void)mailboxes.at(device(i));
  std::vector<wire::DeviceId> seen;
  std::size_t most = 0;
  for (int turn = 0; turn < 10'000 && seen.size() < kCount; ++turn) {
    const std::size_t before = seen.size();
    mailboxes.visit_some(10, [&](Mailbox& mailbox) {
      seen.push_back(mailbox.device);
      mailboxes.release_if_idle(mailbox);
    });
    most = std::max(most, seen.size() - before);
  }
  CHECK(seen.size() == kCount);
  CHECK(most < 100);
  std::ranges::sort(seen);
  CHECK(std::ranges::adjacent_find(seen) == seen.end());
}

TEST_SUITE_END();

}  // namespace
}  // namespace godwit::relay::slot::testing
