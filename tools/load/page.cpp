// load/page: a report as one HTML page: the template, with the verdict and the data put in.
//
// The data goes in as JSON and is shown by the page's own script, as text. So nothing that a
// scenario or a relay says becomes markup, provided that the JSON cannot end its element.
#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <nlohmann/json.hpp>
#include <span>
#include <type_traits>

#include "tools/load/page_template.hpp"
#include "tools/load/report.hpp"

namespace godwit::load {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kPointsMax = 600;  // more than a chart has pixels for

// Several samples as one: rates are their mean, all else is the highest, so that no peak is hidden.
Sample merged(std::span<const Sample> group) {
  Sample all = group.back();
  const auto mean = [&](double Sample::*rate) {
    double sum = 0;
    for (const Sample& sample : group) sum += sample.*rate;
    all.*rate = sum / static_cast<double>(group.size());
  };
  const auto highest = [&](auto Sample::*figure) {
    for (const Sample& sample : group) all.*figure = std::max(all.*figure, sample.*figure);
  };
  for (const auto rate :
       {&Sample::accepted_per_s, &Sample::delivered_per_s, &Sample::logins_per_s}) {
    mean(rate);
  }
  for (const auto figure :
       {&Sample::p50_us, &Sample::p99_us, &Sample::accepted_p50_us, &Sample::accepted_p99_us,
        &Sample::relay_cpu, &Sample::relay_rss_bytes}) {
    highest(figure);
  }
  for (const auto figure :
       {&Sample::in_flight, &Sample::queued, &Sample::connections, &Sample::errors}) {
    highest(figure);
  }
  return all;
}

std::vector<Sample> thinned(const std::vector<Sample>& samples, std::size_t group_size) {
  std::vector<Sample> points;
  const std::span<const Sample> all(samples);
  for (std::size_t at = 0; at < all.size(); at += group_size) {
    points.push_back(merged(all.subspan(at, std::min(group_size, all.size() - at))));
  }
  return points;
}

// A column for each figure: half the size of an object for each sample.
Json columns(const std::vector<Sample>& samples) {
  const auto column = [&](auto Sample::*figure) {
    Json values = Json::array();
    for (const Sample& sample : samples) {
      if constexpr (std::is_same_v<decltype(figure), double Sample::*>) {
        values.push_back(std::round(sample.*figure * 1000) / 1000);
      } else {
        values.push_back(sample.*figure);
      }
    }
    return values;
  };
  return {
      {"at_s", column(&Sample::at_s)},
      {"accepted_per_s", column(&Sample::accepted_per_s)},
      {"delivered_per_s", column(&Sample::delivered_per_s)},
      {"logins_per_s", column(&Sample::logins_per_s)},
      {"p50_us", column(&Sample::p50_us)},
      {"p99_us", column(&Sample::p99_us)},
      {"accepted_p50_us", column(&Sample::accepted_p50_us)},
      {"accepted_p99_us", column(&Sample::accepted_p99_us)},
      {"in_flight", column(&Sample::in_flight)},
      {"queued", column(&Sample::queued)},
      {"connections", column(&Sample::connections)},
      {"errors", column(&Sample::errors)},
      {"relay_cpu", column(&Sample::relay_cpu)},
      {"relay_rss_bytes", column(&Sample::relay_rss_bytes)},
  };
}

Json phases_of(const std::vector<Sample>& samples) {
  Json phases = Json::array();
  double from_s = 0;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    if (i + 1 < samples.size() && samples[i + 1].phase == samples[i].phase) continue;
    phases.push_back({{"name", samples[i].phase}, {"from_s", from_s}, {"to_s", samples[i].at_s}});
    from_s = samples[i].at_s;
  }
  return phases;
}

Json events_of(const std::vector<Event>& events) {
  Json list = Json::array();
  for (const Event& event : events) list.push_back({{"at_s", event.at_s}, {"what", event.what}});
  return list;
}

Json latency_of(const Histogram& histogram) {
  constexpr std::array kShares{0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999, 1.0};
  Json quantiles = Json::array();
  for (const double share : kShares) {
    quantiles.push_back({{"share", share}, {"us", histogram.quantile_us(share)}});
  }
  Json buckets = Json::array();
  for (const Histogram::Bucket& bucket : histogram.buckets()) {
    buckets.push_back(Json::array({bucket.from_us, bucket.to_us, bucket.count}));
  }
  return {{"count", histogram.count()}, {"quantiles", quantiles}, {"buckets", buckets}};
}

Json settings_of(const Report& report) {
  Json settings = Json::array();
  for (const auto& [name, value] : report.settings) {
    settings.push_back({{"name", name}, {"value", value}});
  }
  return settings;
}

std::string data_of(const Report& report) {
  const std::size_t group_size =
      std::max<std::size_t>(1, (report.samples.size() + kPointsMax - 1) / kPointsMax);
  const Json data = {
      {"figures", Json::parse(to_json(report))},
      {"settings", settings_of(report)},
      {"relay", report.relay},
      {"load_version", report.load_version},
      {"machine", report.machine},
      {"started", report.started},
      {"logins", report.counts.logins},
      {"delivery", latency_of(report.delivery)},
      {"accepted", latency_of(report.accepted)},
      {"samples_per_point", group_size},
      {"samples", columns(thinned(report.samples, group_size))},
      {"phases", phases_of(report.samples)},
      {"events", events_of(report.events)},
  };
  return data.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void replace_all(std::string& text, std::string_view what, std::string_view with) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size()) {
    text.replace(at, what.size(), with);
  }
}

}  // namespace

std::string to_page(const Report& report) {
  // In JSON, `<` stands in texts alone; written like this it ends no script element.
  std::string data = data_of(report);
  replace_all(data, "<", "\\u003c");

  std::string page(page_template());
  replace_all(page, "@VERDICT@", name_of(report.verdict()));
  constexpr std::string_view kDataMark = "@DATA@";
  const std::size_t at = page.find(kDataMark);
  assert(at != std::string::npos);
  return page.replace(at, kDataMark.size(), data);
}

}  // namespace godwit::load
