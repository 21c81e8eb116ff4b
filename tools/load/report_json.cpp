// load/report_json: a report as one JSON object, for scripts and for the page.
#include <nlohmann/json.hpp>

#include "tools/load/report.hpp"

namespace godwit::load {

namespace {

using Json = nlohmann::ordered_json;

template <typename T>
Json nullable(const std::optional<T>& figure) {
  return figure ? Json(*figure) : Json(nullptr);
}

// Of nothing that came there is no latency.
Json latency(const Histogram& all, double figure_us) {
  return all.count() > 0 ? Json(figure_us) : Json(nullptr);
}

Json settings_of(const Report& report) {
  Json settings = Json::object();
  for (const auto& [name, value] : report.settings) settings[name] = value;
  return settings;
}

}  // namespace

std::string_view name_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::pass:
      return "PASS";
    case Verdict::fail:
      return "FAIL";
    case Verdict::incomplete:
      break;
  }
  return "INCOMPLETE";
}

Verdict Report::verdict() const {
  if (!faults.empty()) return Verdict::fail;
  return unchecked.empty() ? Verdict::pass : Verdict::incomplete;
}

std::string to_json(const Report& report) {
  const Counts& counts = report.counts;
  const Json json = {
      {"scenario", report.scenario},
      {"relay_version", report.relay_version},
      {"seconds", report.seconds},
      {"accepted_per_s", report.accepted_per_s},
      {"delivered_per_s", report.delivered_per_s},
      {"delivered_bytes_per_s", report.delivered_bytes_per_s},
      {"p50_us", latency(report.delivery, report.delivery.quantile_us(0.5))},
      {"p99_us", latency(report.delivery, report.delivery.quantile_us(0.99))},
      {"p999_us", latency(report.delivery, report.delivery.quantile_us(0.999))},
      {"max_us", latency(report.delivery, report.delivery.max_us())},
      {"accepted_p50_us", latency(report.accepted, report.accepted.quantile_us(0.5))},
      {"accepted_p99_us", latency(report.accepted, report.accepted.quantile_us(0.99))},
      {"accepted_p999_us", latency(report.accepted, report.accepted.quantile_us(0.999))},
      {"accepted_max_us", latency(report.accepted, report.accepted.max_us())},
      {"lost", counts.lost},
      {"duplicated", counts.duplicated},
      {"reordered", counts.reordered},
      {"corrupted", counts.corrupted},
      {"late", counts.late},
      {"redelivered", counts.redelivered},
      {"refused", counts.refused},
      {"unanswered", counts.unanswered},
      {"disconnects", counts.disconnects},
      {"connections", report.connections},
      {"logins_per_s", report.logins_per_s},
      {"relay_cpu_s_per_million", nullable(report.relay_cpu_s_per_million)},
      {"relay_rss_bytes", nullable(report.relay_rss_bytes)},
      {"relay_bytes_per_session", nullable(report.relay_bytes_per_session)},
      {"relay_bytes_per_queued_envelope", nullable(report.relay_bytes_per_queued_envelope)},
      {"relay_store_bytes", nullable(report.relay_store_bytes)},
      {"drain_seconds", nullable(report.drain_seconds)},
      {"drain_relay_cpu_s_per_million", nullable(report.drain_relay_cpu_s_per_million)},
      {"client_cpu_s_per_million", nullable(report.client_cpu_s_per_million)},
      {"submitted", counts.submitted},
      {"accepted", counts.accepted},
      {"delivered", counts.delivered},
      {"unsent", counts.unsent},
      {"undelivered", counts.undelivered},
      {"unconfirmed", counts.unconfirmed},
      {"refused_by_code", report.refused},
      {"logins_refused_by_code", report.logins_refused},
      {"command", report.command},
      {"settings", settings_of(report)},
      {"relay", report.relay},
      {"relay_log", report.relay_log},
      {"load_version", report.load_version},
      {"machine", report.machine},
      {"started", report.started},
      {"interrupted", report.interrupted},
      {"unchecked", report.unchecked},
      {"faults", report.faults},
      {"verdict", name_of(report.verdict())},
  };
  // Names and faults come from outside: bytes that are no UTF-8 must not end the run.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace godwit::load
