// The path of a message through the real daemon: accepted, kept, delivered, acknowledged, gone.
#include "tests/integration/story.hpp"

namespace godwit::integration {
namespace {

TEST_SUITE("tests/integration/spine") {
  TEST_CASE("a user registers once and logs in ever after") {
    Story story;
    auto& anna = story.device(Account::from_seed(1));
    anna.connect();
    const auto registered = anna.register_user();
    REQUIRE(registered.welcome);
    CHECK(registered.welcome->version == wire::kProtocolVersion);
    CHECK(registered.welcome->list == anna.account().version);
    CHECK(registered.welcome->limits.window_envelopes == 64);
    anna.disconnect();
    anna.connect();
    const auto again = anna.login();
    REQUIRE(again.welcome);
    CHECK(again.welcome->store_id == registered.welcome->store_id);
    CHECK(again.welcome->store_generation == registered.welcome->store_generation);
    CHECK_FALSE(again.welcome->replaced);

    const auto figures = story.relay.status();
    CHECK(figures.users == 1);
    CHECK(figures.devices == 1);
    CHECK(figures.sessions == 1);
    CHECK(figures.connections == 1);
    CHECK(figures.handshakes_total == 2);
    CHECK(figures.logins_total == 2);
    CHECK(figures.refused_total == 0);
    CHECK_FALSE(figures.version.empty());
    CHECK(figures.store_id.size() == 2 * wire::StoreId::kSize);
    CHECK(figures.store_generation == registered.welcome->store_generation);
    CHECK(figures.store_used_bytes > 0);
    CHECK(figures.store_bytes >= figures.store_used_bytes);
    CHECK_FALSE(figures.store_full);
    CHECK(figures.resident_bytes > 0);
  }

  TEST_CASE("two devices that are online exchange envelopes, and nothing stays behind") {
    Story story;
    auto& anna = story.member(1);
    auto& berta = story.member(2);
    CHECK(anna.submit(berta.account(), 1, "hello").accepted());
    CHECK(berta.submit(anna.account(), 2, "hello yourself").accepted());
    anna.await_texts(1);
    berta.await_texts(1);
    CHECK(berta.texts() == std::vector<std::string>{"hello"});
    CHECK(anna.texts() == std::vector<std::string>{"hello yourself"});
    story.await_status([](const auto& figures) { return figures.acked_total == 2; });
    const auto figures = story.relay.status();
    CHECK(figures.accepted_total == 2);
    CHECK(figures.delivered_total == 2);
    CHECK(figures.queued_envelopes == 0);
    CHECK(figures.queued_bytes == 0);
  }

  TEST_CASE("what was queued for a device comes in order, and CaughtUp after all of it") {
    Story story;
    auto& anna = story.member(1);
    auto& berta = story.absent(2);
    constexpr std::size_t kCount = 150;  // more than two windows
    for (std::size_t i = 0; i < kCount; ++i) {
      REQUIRE(anna.submit(berta.account(), i, std::to_string(i)).accepted());
    }
    CHECK(story.relay.status().queued_envelopes == kCount);
    berta.come_back();
    CHECK(berta.caught_up_after == kCount);
    CHECK(berta.texts() == numbers(kCount));
    for (std::size_t i = 0; i < kCount; ++i) CHECK(berta.inbox[i].number == i + 1);
    story.await_status([](const auto& figures) { return figures.queued_envelopes == 0; });
    CHECK(story.relay.status().acked_total == kCount);
  }

  TEST_CASE(
      "accepted survives a kill in the same moment, whether the recipient was online or not") {
    Story story;
    auto& anna = story.member(1);
    auto& away = story.absent(2);
    auto& silent = story.member(3);
    silent.acks = false;
    std::vector<std::string> expected;
    for (std::uint64_t round = 0; round < 5; ++round) {
      const std::string text = std::to_string(round);
      REQUIRE(anna.submit(away.account(), 2 * round, text).accepted());
      REQUIRE(anna.submit(silent.account(), 2 * round + 1, text).accepted());
      expected.push_back(text);
      story.restart();
      CHECK(story.relay.status().queued_envelopes == 2 * expected.size());
      anna.come_back();
      silent.come_back();
      CHECK(silent.texts() == expected);
    }
    away.come_back();
    CHECK(away.texts() == expected);
    CHECK(story.relay.status().elided_total == 0);
  }

  TEST_CASE("an envelope that was acknowledged is not delivered again after a kill") {
    Story story;
    auto& anna = story.member(1);
    auto& berta = story.absent(2);
    for (std::size_t i = 0; i < 10; ++i) {
      REQUIRE(anna.submit(berta.account(), i, std::to_string(i)).accepted());
    }
    berta.acks = false;
    berta.come_back();
    REQUIRE(berta.inbox.size() == 10);
    REQUIRE(berta.ask(wire::Ack{3, {5, 9}}).done);
    story.restart();
    berta.come_back();
    CHECK(berta.texts() == std::vector<std::string>{"3", "5", "6", "7", "9"});
    REQUIRE(berta.ack(5).done);
    story.restart();
    berta.come_back();
    CHECK(berta.caught_up_after == 0);
    CHECK(story.relay.status().queued_envelopes == 0);
  }

  TEST_CASE("a request that is sent again is delivered once and answered ok") {
    Story story;
    auto& anna = story.member(1);
    auto& berta = story.absent(2);
    REQUIRE(anna.submit(berta.account(), 7, "once").accepted());
    CHECK(anna.submit(berta.account(), 7, "once").accepted());  // while it is queued
    CHECK(story.relay.status().queued_envelopes == 1);
    berta.acks = false;
    berta.come_back();
    CHECK(anna.submit(berta.account(), 7, "once").accepted());  // while it is in flight
    REQUIRE(berta.ack(1).done);
    CHECK(anna.submit(berta.account(), 7, "once").accepted());  // after the ack
    REQUIRE(anna.submit(berta.account(), 8, "next").accepted());
    berta.await_texts(2);
    CHECK(berta.texts() == std::vector<std::string>{"once", "next"});
    const auto figures = story.relay.status();
    CHECK(figures.duplicates_total == 3);
    CHECK(figures.accepted_total == 2);
    CHECK(figures.delivered_total == 2);
  }

  TEST_CASE("a request that is sent again after a kill is delivered once") {
    Story story;
    auto& anna = story.member(1);
    auto& berta = story.absent(2);
    REQUIRE(anna.submit(berta.account(), 7, "once").accepted());
    story.restart();
    anna.come_back();
    CHECK(anna.submit(berta.account(), 7, "once").accepted());
    CHECK(story.relay.status().queued_envelopes == 1);
    berta.come_back();
    CHECK(berta.texts() == std::vector<std::string>{"once"});
  }

  TEST_CASE("a submit to several devices has an outcome for each of them") {
    Story story;
    auto& anna = story.member(1);
    std::vector<Account> to{story.absent(2).account(), story.absent(3).account(),
                            Account::from_seed(4)};
    const auto unknown = to.back().device;
    std::ranges::sort(to, {}, &Account::device);
    const std::string first = "first body";
    const std::string second = "second body";
    wire::Submit submit{request_id(1), 0, {}, {wire::as_bytes(first), wire::as_bytes(second)}};
    for (std::uint32_t i = 0; i < 3; ++i) {
      submit.recipients.push_back({to[i].user, to[i].device, to[i].version, i % 2});
    }
    const auto answer = anna.ask(submit);
    REQUIRE(answer.outcomes.size() == 3);
    for (std::size_t i = 0; i < 3; ++i) {
      const bool is_known = to[i].device != unknown;
      CHECK(answer.outcomes[i].code == (is_known ? ErrorCode::ok : ErrorCode::unknown_device));
      CHECK((answer.outcomes[i].retry_after_ms == 0) == is_known);
      if (!is_known) continue;
      auto& recipient = story.device(to[i]);
      recipient.come_back();
      CHECK(recipient.texts() == std::vector<std::string>{i % 2 == 0 ? first : second});
    }
    CHECK(story.relay.status().accepted_total == 2);
  }

  TEST_CASE("a body that many share is stored once") {
    Story story;
    auto& anna = story.member(1);
    std::vector<Account> to;
    for (std::uint64_t seed = 2; seed < 22; ++seed) to.push_back(story.absent(seed).account());
    std::ranges::sort(to, {}, &Account::device);
    const std::string body(60'000, 'x');
    wire::Submit submit{request_id(1), 0, {}, {wire::as_bytes(body)}};
    for (const auto& one : to) submit.recipients.push_back({one.user, one.device, one.version, 0});
    const auto before = story.relay.status().store_used_bytes;
    REQUIRE(anna.ask(submit).accepted());
    const auto after = story.relay.status();
    CHECK(after.queued_envelopes == to.size());
    CHECK(after.store_used_bytes < before + 5 * body.size());  // 20 copies would be 20 times it

    story.restart();
    for (const auto& one : to) {
      auto& recipient = story.device(one);
      recipient.come_back();
      CHECK(recipient.texts() == std::vector<std::string>{body});
    }
    story.await_status([](const auto& figures) { return figures.queued_envelopes == 0; });
  }

  TEST_CASE("the window holds 64 envelopes until the device acknowledges") {
    Story story;
    auto& anna = story.member(1);
    auto& berta = story.member(2);
    berta.acks = false;
    constexpr std::size_t kCount = 100;
    for (std::size_t i = 0; i < kCount; ++i) {
      REQUIRE(anna.submit(berta.account(), i, std::to_string(i)).accepted());
    }
    berta.await_texts(64);
    REQUIRE(berta.ask(wire::Ping{}).done);
    CHECK(berta.inbox.size() == 64);
    CHECK(story.relay.status().delivered_total == 64);
    REQUIRE(berta.ack(1).done);
    berta.await_texts(65);
    REQUIRE(berta.ack(64).done);
    berta.await_texts(kCount);
    CHECK(berta.texts() == numbers(kCount));
  }

  TEST_CASE("an ack of a number that was never delivered is refused, and acknowledges nothing") {
    Story story;
    auto& anna = story.member(1);
    auto& berta = story.member(2);
    berta.acks = false;
    REQUIRE(anna.submit(berta.account(), 1, "kept").accepted());
    berta.await_texts(1);
    CHECK(berta.ack(2).code == ErrorCode::bad_request);
    CHECK(berta.ask(wire::Ack{0, {1, 2}}).code == ErrorCode::bad_request);
    CHECK(berta.ask(wire::Ack{0, {0}}).code == ErrorCode::bad_request);
    CHECK(story.relay.status().queued_envelopes == 1);
    CHECK(berta.ack(1).done);
    CHECK(story.relay.status().queued_envelopes == 0);
  }

  TEST_CASE("an envelope that outlives its time is dropped and counted") {
    Story story;
    auto& anna = story.member(1);
    auto& berta = story.absent(2);
    REQUIRE(anna.submit(berta.account(), 1, "short", 1).accepted());
    REQUIRE(anna.submit(berta.account(), 2, "long", 3'600).accepted());
    story.await_status([](const auto& figures) { return figures.expired_total == 1; });
    CHECK(story.relay.status().queued_envelopes == 1);
    berta.come_back();
    CHECK(berta.texts() == std::vector<std::string>{"long"});
  }

  TEST_CASE("a relay that is told to stop under load loses nothing that it accepted") {
    Story story;
    auto& anna = story.member(1);
    auto& berta = story.absent(2);
    constexpr std::size_t kCount = 1'000;  // all of them may be in flight
    std::vector<std::string> accepted;
    for (std::size_t i = 0; i < kCount; ++i) {
      const std::string text = std::to_string(i);
      anna.raw().submit(berta.account(), request_id(i), wire::as_bytes(text),
                        [&accepted, text](const wire::RelayFrame& frame) {
                          if (Answer::copy_of(frame).accepted()) accepted.push_back(text);
                        });
    }
    story.run_until([&] { return !accepted.empty(); });
    CHECK(story.relay.stop() == 0);
    anna.await_closed();  // what it said before it went is read
    story.relay.start();
    berta.come_back();
    REQUIRE(berta.texts().size() >= accepted.size());
    CHECK(berta.texts() == numbers(berta.texts().size()));
    CHECK(accepted == numbers(accepted.size()));
  }

  TEST_CASE("a relay without its store is another store, and takes its users in again") {
    Story story;
    auto& anna = story.device(Account::from_seed(1));
    anna.connect();
    const auto before = anna.register_user();
    REQUIRE(before.welcome);
    REQUIRE(story.relay.stop() == 0);
    anna.await_closed();
    CHECK(anna.closing == ErrorCode::busy);
    const auto directory = story.directory.path() / "relay";
    REQUIRE(std::filesystem::remove(directory / "data.mdb"));
    std::filesystem::remove(directory / "lock.mdb");
    story.relay.start();
    anna.connect();
    CHECK(anna.login().code == ErrorCode::unknown_device);
    const auto after = anna.register_user();
    REQUIRE(after.welcome);
    CHECK(after.welcome->store_id != before.welcome->store_id);
  }
}

}  // namespace
}  // namespace godwit::integration
