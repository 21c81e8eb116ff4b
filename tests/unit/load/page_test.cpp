#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <regex>

#include "tests/unit/load/example_report.hpp"

namespace godwit::load {

namespace {

using Json = nlohmann::ordered_json;

// The data as a browser reads it: up to what ends the element.
Json data_in(const std::string& page) {
  constexpr std::string_view kOpening = "<script type=\"application/json\" id=\"data\">";
  const std::size_t at = page.find(kOpening);
  REQUIRE(at != std::string::npos);
  const std::size_t from = at + kOpening.size();
  const std::size_t end = page.find("</script", from);
  REQUIRE(end != std::string::npos);
  return Json::parse(page.substr(from, end - from), nullptr, false);
}

// What makes a browser fetch something.
bool loads_something(const std::string& page) {
  static const std::regex kLoads(
      R"((\s(src|href|action|srcset)\s*=\s*["'])|@import|<link|<base|\burl\(\s*["']?(https?:)?//)",
      std::regex::icase);
  return std::regex_search(page, kLoads);
}

}  // namespace

TEST_SUITE("load/page") {
  TEST_CASE("a page loads nothing: no file, no address") {
    CHECK_FALSE(loads_something(to_page(example_report(60))));
    CHECK(to_page(example_report(60)).find("default-src 'none'") != std::string::npos);
  }

  TEST_CASE("what looks for loads finds them") {
    CHECK(loads_something("<script src=\"https://example.org/a.js\">"));
    CHECK(loads_something("<a href='x'>"));
    CHECK(loads_something("<link rel=x>"));
    CHECK(loads_something("background: url(//example.org/a.png)"));
  }

  TEST_CASE("the verdict stands in the page's markup") {
    const std::string passed = to_page(example_report(3));
    CHECK(passed.find("<h1>PASS</h1>") != std::string::npos);
    CHECK(passed.find("<body class=\"PASS\">") != std::string::npos);
    const std::string failed = to_page(failed_example_report(3));
    CHECK(failed.find("<h1>FAIL</h1>") != std::string::npos);
    CHECK(failed.find("<h1>PASS</h1>") == std::string::npos);
    Report open = example_report(3);
    open.unchecked = {"3 not submitted in time"};
    CHECK(to_page(open).find("<h1>INCOMPLETE</h1>") != std::string::npos);
  }

  TEST_CASE("that a run was interrupted stands on its page") {
    Report report = example_report(3);
    report.interrupted = true;
    const std::string page = to_page(report);
    CHECK(data_in(page)["figures"]["interrupted"] == true);
    CHECK(page.find("<p id=\"interrupted\" hidden>The run was interrupted: what was still under "
                    "way is not judged.</p>") != std::string::npos);
    CHECK(page.find("at('interrupted').hidden = !figures.interrupted;") != std::string::npos);
  }

  TEST_CASE("texts from outside do not break out of the data") {
    const std::string hostile = "</script><b>@DATA@@VERDICT@<!--<script>\"\\\xff";
    Report report = example_report(2);
    report.scenario = hostile;
    report.faults = {hostile};
    report.settings = {{hostile, hostile}};
    report.events = {{1, hostile}};
    report.machine = report.relay = report.relay_version = report.relay_log = hostile;
    const std::string page = to_page(report);
    CHECK(page.find("</script><b>") == std::string::npos);
    CHECK(page.find("<!--<script>") == std::string::npos);
    const Json data = data_in(page);
    REQUIRE(data.is_object());
    const std::string kept = "</script><b>@DATA@@VERDICT@<!--<script>\"\\\xef\xbf\xbd";
    CHECK(data["figures"]["scenario"] == kept);
    CHECK(data["figures"]["faults"][0] == kept);
    CHECK(data["events"][0]["what"] == kept);
  }

  TEST_CASE("an hour of samples becomes at most 600 points, and no peak is hidden") {
    Report report = example_report(3'600);
    report.samples[1'234].p99_us = 9e6;
    report.samples[1'235].queued = 77'777;
    const Json data = data_in(to_page(report));
    const Json& samples = data["samples"];
    CHECK(samples["at_s"].size() == 600);
    CHECK(samples["at_s"].back() == 3'600);
    const auto has = [&](const char* name, double value) {
      return std::find(samples[name].begin(), samples[name].end(), value) != samples[name].end();
    };
    CHECK(has("p99_us", 9e6));
    CHECK(has("queued", 77'777));
    double mean = 0;
    for (std::size_t i = 1'200; i < 1'206; ++i) mean += report.samples[i].accepted_per_s / 6;
    CHECK(samples["accepted_per_s"][200].get<double>() == doctest::Approx(mean));
    CHECK(data["samples_per_point"] == 6);
  }

  TEST_CASE("600 samples stay as they are, 601 are thinned") {
    CHECK(data_in(to_page(example_report(600)))["samples"]["at_s"].size() == 600);
    CHECK(data_in(to_page(example_report(601)))["samples"]["at_s"].size() == 301);
  }

  TEST_CASE("phases are exact and follow each other, also when samples are thinned") {
    const Json phases = data_in(to_page(example_report(3'600)))["phases"];
    REQUIRE(phases.size() == 4);
    CHECK(phases[0] == Json{{"name", "log in"}, {"from_s", 0.0}, {"to_s", 360.0}});
    CHECK(phases[2] == Json{{"name", "measure"}, {"from_s", 720.0}, {"to_s", 3'420.0}});
  }

  TEST_CASE("a report with nothing in it makes a page") {
    const Json data = data_in(to_page(Report{}));
    REQUIRE(data.is_object());
    CHECK(data["samples"]["at_s"].empty());
    CHECK(data["phases"].empty());
  }
}

}  // namespace godwit::load
