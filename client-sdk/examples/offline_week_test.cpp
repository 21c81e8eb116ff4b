// Bob is away for a week; when he is back he has the message, once, and Alice sees that he has it.
#include <cstdio>
#include <godwit/testing.hpp>
using namespace std::chrono_literals;

int main() {
  godwit::testing::World world;
  godwit::Client& alice = world.add("alice");
  godwit::Client& bob = world.add("bob");

  world.cut("bob");
#ifdef RELAY_LOSES
  world.lose_next_message_for("bob");
#endif
  auto sent = alice.send({.to = "bob", .text = "see you on Monday"});
  world.run(24h * 7);
  world.restore("bob");
  if (!sent || !world.settle()) return 1;

  auto page = bob.messages("alice", {});
  auto status = alice.status(sent->id);
  const bool arrived = page && page->items.size() == 1 &&
                       page->items[0].text == "see you on Monday" && status &&
                       status->status == godwit::Status::delivered;
  std::puts(arrived ? "the message has arrived" : "the message is lost");
  return arrived ? 0 : 1;
}
