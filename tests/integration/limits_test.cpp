// What the real daemon refuses, and says so.
#include <array>
#include <cstdio>

#include "tests/integration/story.hpp"

namespace godwit::integration {
namespace {

struct Ran {
  int status = 0;  // as of waitpid
  std::string output;
};

Ran run(const std::string& command) {
  Ran ran;
  FILE* const pipe = ::popen((command + " 2>&1").c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::array<char, 256> part{};
  while (std::fgets(part.data(), static_cast<int>(part.size()), pipe) != nullptr) {
    ran.output += part.data();
  }
  ran.status = ::pclose(pipe);
  return ran;
}

TEST_SUITE("tests/integration/limits") {
  TEST_CASE(
      "a full mailbox is a refusal with a time to come back, until something is acknowledged") {
    Story story(Settings{{"limits.mailbox_envelopes_max", "3"}});
    auto& anna = story.member(1);
    auto& berta = story.absent(2);
    for (std::uint64_t i = 0; i < 3; ++i) {
      REQUIRE(anna.submit(berta.account(), i, std::to_string(i)).accepted());
    }
    const auto refused = anna.submit(berta.account(), 3, "3");
    REQUIRE(refused.outcomes.size() == 1);
    CHECK(refused.outcomes[0].code == ErrorCode::mailbox_full);
    CHECK(refused.outcomes[0].retry_after_ms > 0);
    CHECK(anna.submit(berta.account(), 0, "0").accepted());  // a retry needs no room
    CHECK(story.relay.status().refused_total == 1);
    CHECK(story.relay.status().queued_envelopes == 3);

    berta.acks = false;
    berta.come_back();
    REQUIRE(berta.ack(1).done);
    CHECK(anna.submit(berta.account(), 3, "3").accepted());
    berta.await_texts(4);
    CHECK(berta.texts() == numbers(4));
  }

  TEST_CASE("a mailbox is full by its bytes too") {
    Story story(Settings{{"limits.mailbox_bytes_max", "4096"},
                         {"limits.envelope_size_max", "4096"},
                         {"limits.text_size_max", "700"}});
    auto& anna = story.member(1);
    auto& berta = story.absent(2);
    REQUIRE(anna.submit(berta.account(), 1, std::string(3'000, 'x')).accepted());
    const auto refused = anna.submit(berta.account(), 2, std::string(1'097, 'x'));
    REQUIRE(refused.outcomes.size() == 1);
    CHECK(refused.outcomes[0].code == ErrorCode::mailbox_full);
    CHECK(anna.submit(berta.account(), 3, std::string(1'096, 'x')).accepted());
  }

  TEST_CASE("one who fills a mailbox leaves room for all others") {
    Story story(Settings{{"network.unlimited_from", "[]"},
                         {"limits.mailbox_envelopes_max", "16"}});
    auto& mallory = story.member(1);
    auto& berta = story.absent(2);
    auto& anna = story.member(3);
    std::uint64_t taken = 0;
    while (mallory.submit(berta.account(), taken, std::to_string(taken)).accepted()) ++taken;
    CHECK(taken == 10);  // half of it and an eighth
    CHECK(anna.submit(berta.account(), 10, "10").accepted());
    const auto refused = mallory.submit(berta.account(), 11, "11");
    REQUIRE(refused.outcomes.size() == 1);
    CHECK(refused.outcomes[0].code == ErrorCode::mailbox_full);
    CHECK(refused.outcomes[0].retry_after_ms > 0);
    berta.come_back();
    berta.await_texts(11);
    CHECK(berta.texts() == numbers(11));
  }

  TEST_CASE("an envelope or a time to live over the limit is too large") {
    Story story(Settings{{"limits.envelope_size_max", "4096"},
                         {"limits.text_size_max", "700"},
                         {"limits.ttl_max", "60"},
                         {"limits.ttl_default", "60"}});
    auto& anna = story.member(1);
    auto& berta = story.absent(2);
    CHECK(anna.submit(berta.account(), 1, std::string(4'096, 'x')).accepted());
    CHECK(anna.submit(berta.account(), 2, std::string(4'097, 'x')).code == ErrorCode::too_large);
    CHECK(anna.submit(berta.account(), 3, "x", 61).code == ErrorCode::too_large);
    CHECK(anna.submit(berta.account(), 4, "x", 60).accepted());
    CHECK(story.relay.status().queued_envelopes == 2);
  }

  TEST_CASE("the limits of the operator are told in the welcome") {
    Story story(Settings{{"limits.window_envelopes", "7"}, {"limits.devices_max", "2"}});
    auto& anna = story.device(Account::from_seed(1));
    anna.connect();
    const auto welcome = anna.register_user().welcome;
    REQUIRE(welcome);
    CHECK(welcome->limits.window_envelopes == 7);
    CHECK(welcome->limits.devices_max == 2);
    CHECK(welcome->limits.frame_size_max == wire::kFrameSizeMax);
    const auto list =
        support::next_list(1, anna.account().list, std::array<std::uint32_t, 3>{0, 1, 2});
    CHECK(anna.ask(wire::PutDevices{list.view(), {1, 1}}).code == ErrorCode::too_large);
  }

  TEST_CASE("a device over its rate is told when to come back") {
    Story story(Settings{{"network.unlimited_from", "[]"},
                         {"rates.submits_per_s", "1"},
                         {"rates.submits_burst", "2"}});
    auto& anna = story.member(1);
    auto& berta = story.absent(2);
    CHECK(anna.submit(berta.account(), 1, "x").accepted());
    CHECK(anna.submit(berta.account(), 2, "x").accepted());
    const auto refused = anna.submit(berta.account(), 3, "x");
    CHECK(refused.code == ErrorCode::rate_limited);
    CHECK(refused.retry_after_ms > 0);
    CHECK(refused.retry_after_ms <= 1'001);
  }

  TEST_CASE("bytes that are no protocol end their own connection and no other") {
    Story story;
    auto& anna = story.member(1);
    auto& hostile = story.device(Account::from_seed(2));
    hostile.connect();
    hostile.raw().send_raw(wire::Bytes(64, 0));
    hostile.await_closed();
    hostile.connect();
    hostile.raw().send_frame_body(wire::Bytes(64, 0xff));
    hostile.await_closed();
    CHECK(hostile.closing == ErrorCode::bad_request);
    CHECK(anna.ask(wire::Ping{}).done);
    CHECK_FALSE(anna.closed);
  }

  TEST_CASE("a second relay on one directory says who is there, and ends") {
    Story story;
    const auto directory = (story.directory.path() / "relay").string();
    const auto second = run(support::RelayProcess::default_binary() + " run " + directory);
    CHECK(WIFEXITED(second.status));
    CHECK(WEXITSTATUS(second.status) == 1);
    CHECK(second.output.find("another relay runs on " + directory) != std::string::npos);
    CHECK(second.output.find(std::to_string(story.relay.pid())) != std::string::npos);
    CHECK(story.relay.running());
    CHECK(story.member(1).ask(wire::Ping{}).done);
  }

  TEST_CASE("a connection that ends gives its descriptor back") {
    Story story;
    story.absent(1);
    const auto before = story.relay.descriptors();
    auto& anna = story.device(Account::from_seed(1));
    constexpr int kConnections = 50;
    for (int i = 0; i < kConnections; ++i) {
      anna.connect();
      REQUIRE(anna.login().welcome);
      anna.raw().reset();
    }
    story.await_status(
        [](const auto& figures) { return figures.connections == 0 && figures.sessions == 0; });
    // The connections on which the status was asked may still be closing.
    CHECK(story.relay.descriptors() < before + kConnections / 2);
  }
}

}  // namespace
}  // namespace godwit::integration
