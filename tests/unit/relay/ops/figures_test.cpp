#include "relay/ops/figures.hpp"

#include <doctest/doctest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <tuple>

namespace godwit::relay::ops {
namespace {

// Every field has a value of its own.
Figures sample_figures() {
  Figures f;
  f.version = "1.2.3";
  std::uint64_t next = 1;
  for (auto* field : {&f.connections,
                      &f.hellos_waiting,
                      &f.sessions,
                      &f.users,
                      &f.devices,
                      &f.queued_envelopes,
                      &f.queued_bytes,
                      &f.accepted_total,
                      &f.delivered_total,
                      &f.acked_total,
                      &f.elided_total,
                      &f.stored_total,
                      &f.refused_total,
                      &f.expired_total,
                      &f.quarantined_total,
                      &f.duplicates_total,
                      &f.handshakes_total,
                      &f.logins_total,
                      &f.closed_by_relay_total,
                      &f.commits_total,
                      &f.store_bytes,
                      &f.store_used_bytes,
                      &f.store_reclaimable_bytes,
                      &f.store_generation,
                      &f.uptime_s}) {
    *field = next++;
  }
  f.resident_bytes = UINT64_MAX;
  f.store_full = f.store_at_size_max = true;
  f.expiry_paused = true;
  f.store_id = "000102030405060708090a0b0c0d0e0f";
  return f;
}

// Fails to compile when a field is added, so that the checks below cannot forget it.
constexpr std::size_t kFiguresFields = 31;
auto fields_of(const Figures& figures) {
  const auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa, ab,
               ac, ad, ae] = figures;
  return std::tie(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa,
                  ab, ac, ad, ae);
}

}  // namespace

TEST_SUITE("relay/ops/figures") {
  TEST_CASE("every figure is in the JSON under its own name and read back") {
    const auto json = nlohmann::json::parse(figures_json(sample_figures()));
    CHECK(json.size() == kFiguresFields);
    CHECK(json.at("version") == "1.2.3");
    CHECK(json.at("connections") == 1);
    CHECK(json.at("store_full") == true);
    CHECK(json.at("expiry_paused") == true);
    CHECK(json.at("resident_bytes") == UINT64_MAX);
    const auto read = parse_figures(figures_json(sample_figures()));
    REQUIRE(read.has_value());
    CHECK(fields_of(*read) == fields_of(sample_figures()));
  }

  TEST_CASE("every figure is a metric of its type; the texts are labels of one") {
    Figures figures = sample_figures();
    figures.version = "1.2\"3";
    std::istringstream text(figures_metrics(figures));
    std::map<std::string, std::string> helps, types, values;
    std::string line;
    while (std::getline(text, line)) {
      std::istringstream words(line);
      std::string first, second, name, type;
      words >> first >> second;
      if (first != "#") {
        CHECK(types.contains(first.substr(0, first.find('{'))));  // its type comes first
        values[first] = second;
        continue;
      }
      words >> name >> type;
      CHECK((second == "HELP" ? helps : types).emplace(name, type).second);
    }
    CHECK(helps.size() == types.size());
    CHECK(values.at("godwit_relay_uptime_seconds") == std::to_string(figures.uptime_s));
    CHECK(values.size() == kFiguresFields - 1);  // the two texts are one
    CHECK(values.at("godwit_relay_info{version=\"1.2\\\"3\",store_id=\"" + figures.store_id +
                    "\"}") == "1");
    CHECK(values.at("godwit_relay_resident_bytes") == std::to_string(UINT64_MAX));
    CHECK(values.at("godwit_relay_store_full") == "1");
    CHECK(types.at("godwit_relay_connections") == "gauge");
    CHECK(types.at("godwit_relay_accepted_total") == "counter");
  }

  TEST_CASE("the JSON is one line, whatever a text holds") {
    Figures figures;
    figures.version = "a\nb\xff";
    const auto line = figures_json(figures);
    CHECK(line.find('\n') == std::string::npos);
    CHECK(parse_figures(line)->version == "a\nb\xef\xbf\xbd");
  }

  TEST_CASE("JSON with a field missing or of another type is not taken for figures") {
    auto json = nlohmann::json::parse(figures_json(sample_figures()));
    json["users"] = -1;
    CHECK_FALSE(parse_figures(json.dump()).has_value());
    json["users"] = "3";
    CHECK_FALSE(parse_figures(json.dump()).has_value());
    json.erase("users");
    CHECK_FALSE(parse_figures(json.dump()).has_value());
    json["users"] = 3;
    CHECK(parse_figures(json.dump()).has_value());
    CHECK_FALSE(parse_figures("[]").has_value());
    CHECK_FALSE(parse_figures("{").has_value());
  }
}

}  // namespace godwit::relay::ops
