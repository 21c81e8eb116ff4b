#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/unit/load/example_report.hpp"

namespace godwit::load {

using Json = nlohmann::ordered_json;

TEST_SUITE("load/report_json") {
  TEST_CASE("the fields stand in their order, on one line") {
    const std::string text = to_json(example_report(5));
    CHECK(text.find('\n') == std::string::npos);
    const Json json = Json::parse(text);
    std::string names;
    for (const auto& [name, value] : json.items()) names += name + ' ';
    CHECK(names ==
          "scenario relay_version seconds accepted_per_s delivered_per_s delivered_bytes_per_s "
          "p50_us p99_us p999_us max_us accepted_p50_us accepted_p99_us accepted_p999_us "
          "accepted_max_us lost duplicated "
          "reordered corrupted late redelivered refused unanswered disconnects connections "
          "logins_per_s relay_cpu_s_per_million relay_rss_bytes relay_bytes_per_session "
          "relay_bytes_per_queued_envelope relay_store_bytes drain_seconds "
          "drain_relay_cpu_s_per_million client_cpu_s_per_million submitted accepted delivered "
          "unsent undelivered unconfirmed refused_by_code logins_refused_by_code command settings "
          "relay relay_log load_version machine started interrupted unchecked faults verdict ");
  }

  TEST_CASE("each figure is the report's") {
    Report report = failed_example_report(0);
    Counts& counts = report.counts;
    counts = {.submitted = 1,
              .accepted = 2,
              .delivered = 3,
              .redelivered = 4,
              .lost = 5,
              .duplicated = 6,
              .reordered = 7,
              .corrupted = 8,
              .late = 9,
              .refused = 10,
              .unanswered = 11,
              .undelivered = 12,
              .unconfirmed = 13,
              .unsent = 14,
              .disconnects = 15,
              .logins = 16};
    report.refused = {{"busy", 10}};
    const Json json = Json::parse(to_json(report));
    CHECK(json["scenario"] == "online");
    CHECK(json["relay_version"] == "0.1.0");
    CHECK(json["seconds"] == 45);
    CHECK(json["accepted_per_s"] == 10'003);
    CHECK(json["delivered_per_s"] == 9'998);
    CHECK(json["delivered_bytes_per_s"] == 2'559'488);
    CHECK(json["p50_us"] == report.delivery.quantile_us(0.5));
    CHECK(json["p99_us"] == report.delivery.quantile_us(0.99));
    CHECK(json["p999_us"] == report.delivery.quantile_us(0.999));
    CHECK(json["max_us"] == report.delivery.max_us());
    CHECK(json["accepted_p50_us"] == report.accepted.quantile_us(0.5));
    CHECK(json["accepted_p99_us"] == report.accepted.quantile_us(0.99));
    CHECK(json["accepted_p999_us"] == report.accepted.quantile_us(0.999));
    CHECK(json["accepted_max_us"] == report.accepted.max_us());
    std::vector<int> numbers;
    for (const char* name : {"submitted", "accepted", "delivered", "redelivered", "lost",
                             "duplicated", "reordered", "corrupted", "late", "refused",
                             "unanswered", "undelivered", "unconfirmed", "unsent", "disconnects"}) {
      numbers.push_back(json[name].get<int>());
    }
    CHECK(numbers == std::vector{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15});
    CHECK(json["refused_by_code"] == Json{{"busy", 10}});
    CHECK(json["logins_refused_by_code"].empty());
    CHECK(json["command"] == report.command);
    CHECK(json["settings"] ==
          Json{{"devices", "2000"}, {"rate", "10000"}, {"size", "256 B, some 4 KiB"}});
    CHECK(json["relay"] == "127.0.0.1:7443");
    CHECK(json["relay_log"] == "/tmp/relay.log");
    CHECK(json["load_version"] == "0.1.0");
    CHECK(json["machine"] == report.machine);
    CHECK(json["started"] == "2026-03-01T09:30:00Z");
    CHECK(json["connections"] == 2'000);
    CHECK(json["logins_per_s"] == 645);
    CHECK(json["relay_cpu_s_per_million"] == 61.5);
    CHECK(json["relay_rss_bytes"] == 60'000'000);
    CHECK(json["client_cpu_s_per_million"] == 40.25);
    CHECK(json["faults"] == report.faults);
    CHECK(json["verdict"] == "FAIL");
    CHECK(Json::parse(to_json(example_report(0)))["verdict"] == "PASS");
  }

  TEST_CASE("what was not checked is no PASS, and no FAIL by itself") {
    Report report = example_report(0);
    report.unchecked = {"3 not submitted in time"};
    CHECK(report.verdict() == Verdict::incomplete);
    const Json json = Json::parse(to_json(report));
    CHECK(json["verdict"] == "INCOMPLETE");
    CHECK(json["unchecked"] == report.unchecked);
    report.faults = {"1 lost"};
    CHECK(report.verdict() == Verdict::fail);
  }

  TEST_CASE("figures of the relay that are not known are null") {
    const Json json = Json::parse(to_json(Report{}));
    for (const char* name : {"relay_cpu_s_per_million", "relay_rss_bytes",
                             "relay_bytes_per_session", "relay_bytes_per_queued_envelope"}) {
      CAPTURE(name);
      REQUIRE(json.contains(name));
      CHECK(json[name].is_null());
    }
  }

  TEST_CASE("texts that are no UTF-8 are replaced, and quotes are kept") {
    Report report;
    report.scenario = "a\xff";
    report.faults = {"it said \"no\"\n"};
    const Json json = Json::parse(to_json(report));
    CHECK(json["scenario"] == "a\xef\xbf\xbd");
    CHECK(json["faults"][0] == "it said \"no\"\n");
  }
}

}  // namespace godwit::load
