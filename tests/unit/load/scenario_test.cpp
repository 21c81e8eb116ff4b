#include "tools/load/scenario.hpp"

#include <doctest/doctest.h>

#include <map>

#include "tools/load/body.hpp"

namespace godwit::load {
namespace {

std::string why(const tl::expected<Scenario, std::string>& scenario) {
  return scenario ? "" : scenario.error();
}

std::string refusal(const std::string& key, const std::string& value) {
  Scenario scenario;
  const auto done = set(scenario, key, value);
  return done ? "" : done.error();
}

}  // namespace

TEST_SUITE("tools/load/scenario") {
  TEST_CASE("every preset fits together, and no other name is one") {
    for (const auto name : preset_names()) {
      const auto scenario = preset(name);
      REQUIRE(scenario.has_value());
      CHECK(scenario->name == name);
      CHECK(check(*scenario).has_value());
    }
    CHECK(!preset("onlin").has_value());
  }

  TEST_CASE("a file is a preset with changes") {
    const auto scenario = parse_scenario(R"(
      base = "offline"
      name = "Monday"
      pairs = 7
      payload = "64-128:3,4096:1"
      seconds = 2.5
      drain_at_random = true
      [relay]
      "network.loops" = 1
      "limits.ttl_default" = "2 days"
    )",
                                         "file");
    REQUIRE(why(scenario) == "");
    CHECK(scenario->name == "Monday");
    CHECK(scenario->pairs == 7);
    CHECK(scenario->away == 1);
    CHECK(scenario->seconds == 2.5);
    CHECK(scenario->drain_at_random);
    REQUIRE(scenario->payload.size() == 2);
    CHECK(scenario->payload[0].to == 128);
    CHECK(scenario->payload[1].from == 4'096);
    std::map<std::string, std::string> settings(scenario->relay_settings.begin(),
                                                scenario->relay_settings.end());
    CHECK(settings["network.loops"] == "1");
    CHECK((settings["limits.ttl_default"] == "\"2 days\"" ||
           settings["limits.ttl_default"] == "'2 days'"));
  }

  TEST_CASE("a fault of a file is told with its line, and a near miss with what was meant") {
    CHECK(why(parse_scenario("pairs = 3\nwindov = 4\n", "f")) ==
          "line 2: there is no setting \"windov\"; did you mean \"window\"?");
    CHECK(why(parse_scenario("chaos = \"kill:2s\"", "f")) ==
          "line 1: there is no setting \"chaos\"; did you mean \"kill_every\"?");
    CHECK(why(parse_scenario("\npairs = \"many\"", "f")) ==
          "line 2: \"many\" does not fit pairs: it must be a number, at most 1000000");
    CHECK(why(parse_scenario("base = \"sometimes\"", "f")).find("sometimes") != std::string::npos);
    CHECK(why(parse_scenario("pairs = = 3", "f")).starts_with("line 1: "));
  }

  TEST_CASE("values that do not fit are refused") {
    CHECK(refusal("pairs", "-1") != "");
    CHECK(refusal("group", "0") != "");
    CHECK(refusal("group", "1025") != "");
    CHECK(refusal("window", "12x") != "");
    CHECK(refusal("away", "1.5") != "");
    CHECK(refusal("e2ee", "yes") != "");
    CHECK(refusal("payload", "64-") != "");
    CHECK(refusal("payload", "64:0") != "");
    CHECK(refusal("seconds", "nan") != "");
    CHECK(refusal("payload", "64-128:3,4096") == "");
    CHECK(refusal("media_share", "1.1") ==
          "\"1.1\" does not fit media_share: it must be a share, 0 to 1");
    CHECK(refusal("media", "64K").starts_with("\"64K\" does not fit media: it must be bytes"));
    CHECK(refusal("media", "1024-65536:1,65536:4") == "");
    CHECK(refusal("processes", "0") != "");
    CHECK(refusal("processes", "65") != "");
  }

  TEST_CASE("what does not fit together is refused") {
    const auto wrong = [](auto change) {
      Scenario scenario;
      change(scenario);
      return !check(scenario).has_value();
    };
    CHECK(wrong([](Scenario& s) { s.pairs = 0; }));
    CHECK(wrong([](Scenario& s) { s.churn = 5; }));
    CHECK(wrong([](Scenario& s) { s.senders = 101; }));
    CHECK(wrong([](Scenario& s) { s.away = 1; }));  // for ever
    CHECK(wrong([](Scenario& s) { s.payload = {{16, 16, 1}}; }));
    CHECK(wrong([](Scenario& s) { s.payload = {{300, 200, 1}}; }));
    CHECK(wrong([](Scenario& s) { s.media = {{16, 16, 1}}; }));
    CHECK(wrong([](Scenario& s) { s.sessions = kDevicesMax; }));
    CHECK(wrong([](Scenario& s) { s.pairs = 3, s.processes = 4; }));  // one has nothing to do
    CHECK(!wrong([](Scenario& s) { s.pairs = 3, s.processes = 4, s.sessions = 4; }));
    CHECK(wrong([](Scenario& s) { s.senders = 3, s.processes = 4; }));
    CHECK(!wrong([](Scenario& s) { s.senders = 4, s.processes = 4; }));
    CHECK(!wrong([](Scenario& s) { s.away = 1, s.messages = 1; }));
    CHECK(wrong([](Scenario& s) { s.drain_at_random = true; }));
    CHECK(!wrong([](Scenario& s) { s.drain_at_random = true, s.away = 1, s.messages = 1; }));
    CHECK(wrong([](Scenario& s) { s.late_max = 3; }));
    CHECK(!wrong([](Scenario& s) { s.late_max = 3, s.late_ms = 100; }));
    CHECK(wrong([](Scenario& s) { s.pairs = 0, s.sessions = 9, s.messages = 1; }));
    CHECK(!wrong([](Scenario& s) { s.pairs = 0, s.sessions = 9; }));
    CHECK(wrong([](Scenario& s) { s.e2ee = true, s.senders = 5; }));
    CHECK(wrong([](Scenario& s) { s.e2ee = true, s.payload = {{65'537, 65'537, 1}}; }));
    CHECK(!wrong([](Scenario& s) { s.e2ee = true, s.payload = {{65'536, 65'536, 1}}; }));
  }

  TEST_CASE("what settings_of() writes, set() reads") {
    Scenario scenario = *preset("mixed");
    Scenario again;
    for (const auto& [key, value] : settings_of(scenario)) {
      INFO(key, " = ", value);
      CHECK(set(again, key, value).has_value());
    }
    CHECK(settings_of(again) == settings_of(scenario));
  }

  TEST_CASE("figures keep all their digits, and have no exponent") {
    Scenario scenario;
    scenario.sessions = 1'000'000;
    scenario.rate = 1'234'567.25;
    scenario.late_ms = 1'500'000;
    scenario.away = 0.1;
    Scenario again;
    std::map<std::string, std::string> settings;
    for (const auto& [key, value] : settings_of(scenario)) {
      settings[key] = value;
      CHECK(set(again, key, value).has_value());
    }
    CHECK(again.sessions == 1'000'000);
    CHECK(again.rate == 1'234'567.25);
    CHECK(again.late_ms == 1'500'000);
    CHECK(settings["late_ms"] == "1500000");
    CHECK(settings["away"] == "0.1");
  }

  TEST_CASE("sizes keep to their ranges and weights, and are the same each time") {
    Scenario scenario;
    scenario.payload = {{64, 128, 3}, {4'096, 4'096, 1}};
    int small = 0;
    constexpr int kDraws = 4'000;
    for (std::uint64_t i = 0; i < kDraws; ++i) {
      const auto size = size_of(scenario, 3, i);
      CHECK(size == size_of(scenario, 3, i));
      const bool in_small = size >= 64 && size <= 128;
      REQUIRE((in_small || size == 4'096));
      small += in_small ? 1 : 0;
    }
    CHECK(small > kDraws * 7 / 10);
    CHECK(small < kDraws * 8 / 10);
  }

  TEST_CASE("the share of media has the sizes of media, the rest those of the payload") {
    Scenario scenario;
    scenario.payload = {{64, 128, 1}};
    scenario.media = {{65'536, 65'536, 4}, {1'024, 65'535, 1}};
    const auto media_of = [&](double share) {
      scenario.media_share = share;
      int media = 0;
      int full = 0;
      for (std::uint64_t i = 0; i < 4'000; ++i) {
        const auto size = size_of(scenario, 3, i);
        REQUIRE(((size >= 64 && size <= 128) || size >= 1'024));
        media += size >= 1'024 ? 1 : 0;
        full += size == 65'536 ? 1 : 0;
      }
      return std::pair(media, full);
    };
    CHECK(media_of(0).first == 0);
    CHECK(media_of(1).first == 4'000);
    const auto [media, full] = media_of(0.25);
    CHECK(media > 900);
    CHECK(media < 1'100);
    CHECK(full > media * 7 / 10);  // their weights hold among themselves
    CHECK(full < media * 9 / 10);
  }
}

TEST_SUITE("tools/load/scenario, in parts") {
  TEST_CASE("the parts make up the whole, and each can be played") {
    Scenario whole = *preset("mixed");
    whole.seed = 9;
    whole.churn = 0;
    for (const std::uint32_t pairs : {3U, 10U, 201U}) {
      for (const std::uint32_t processes : {2U, 3U, 7U}) {
        CAPTURE(pairs);
        CAPTURE(processes);
        whole.pairs = pairs;
        whole.senders = std::min(pairs, 7U);
        whole.sessions = 16;
        whole.processes = processes;
        REQUIRE(check(whole).has_value() == (whole.senders >= std::min(processes, pairs)));
        Scenario sum = part_of(whole, 0);
        std::uint32_t away = flows_away(sum);
        std::map<std::uint64_t, int> seeds{{sum.seed, 1}};
        for (std::uint32_t i = 1; i < processes; ++i) {
          const Scenario part = part_of(whole, i);
          CHECK(part.processes == 1);
          CHECK(check(part).has_value());
          sum.pairs += part.pairs;
          sum.senders += part.senders;
          sum.sessions += part.sessions;
          sum.rate += part.rate;
          away += flows_away(part);
          ++seeds[part.seed];
        }
        CHECK(sum.pairs == pairs);
        CHECK(sum.senders == whole.senders);
        CHECK(sum.sessions == 16);
        CHECK(sum.rate == doctest::Approx(whole.rate));
        CHECK(away == flows_away(whole));
        CHECK(seeds.size() == processes);
      }
    }
  }

  TEST_CASE("sessions that come and go beside flows have the last process to themselves") {
    Scenario whole = *preset("churn");
    whole.pairs = 5;
    whole.sessions = 100;
    whole.processes = 3;
    REQUIRE(check(whole));
    std::uint32_t pairs = 0;
    for (std::uint32_t i = 0; i < 2; ++i) {
      const Scenario part = part_of(whole, i);
      CHECK(check(part));
      CHECK(part.sessions == 0);
      CHECK(part.churn == 0);
      pairs += part.pairs;
    }
    CHECK(pairs == 5);
    const Scenario crowd = part_of(whole, 2);
    CHECK(check(crowd));
    CHECK(crowd.pairs == 0);
    CHECK(crowd.rate == 0);
    CHECK(crowd.sessions == 100);
    CHECK(crowd.churn == whole.churn);

    whole.processes = 7;
    CHECK_FALSE(check(whole));  // six with flows, and five flows
    whole.pairs = 0;
    REQUIRE(check(whole));
    for (std::uint32_t i = 0; i < 7; ++i) CHECK(part_of(whole, i).churn > 0);
  }

  TEST_CASE("recipients that are all away are so in each part, and one part is the whole") {
    Scenario whole = *preset("offline");
    CHECK(settings_of(part_of(whole, 0)) == settings_of(whole));
    whole.processes = 3;
    for (std::uint32_t i = 0; i < 3; ++i) CHECK(part_of(whole, i).away == 1);
  }
}

TEST_SUITE("tools/load/body") {
  TEST_CASE("every changed byte shows, and every changed length") {
    Bodies bodies(77);
    const BodyName name{77, 5, 123'456'789'012};
    const auto made = bodies.make(name.flow, name.number, 200);
    wire::Bytes body(made.begin(), made.end());
    const auto said = Bodies::name_of(body);
    REQUIRE(said.has_value());
    CHECK(said->flow == name.flow);
    CHECK(said->number == name.number);
    CHECK(bodies.intact(body, *said, 200));
    for (std::size_t i = 0; i < body.size(); ++i) {
      body[i] ^= 1;
      const auto changed = Bodies::name_of(body);
      CHECK(!bodies.intact(body, name, 200));
      // Under the name that it then has, too.
      CHECK(!bodies.intact(body, *changed, 200));
      body[i] ^= 1;
    }
    CHECK(!bodies.intact(body, name, 199));
    body.pop_back();
    CHECK(!bodies.intact(body, name, 200));
    CHECK(!Bodies::name_of(wire::ByteView(body).first(23)).has_value());
  }
}

}  // namespace godwit::load
