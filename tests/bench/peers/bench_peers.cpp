// bench/peers: the loads of the relay's benchmark, against a broker that runs on this machine.
// Figures, never a verdict on time: the exit status is 1 only when a message was lost, doubled or
// out of order, or the run could not be done. tools/bench starts the brokers and makes the tables.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "tests/bench/peers/stage.hpp"

namespace {

using namespace godwit::bench::peers;

const std::map<std::string, void (*)(Stage&)> kCases{
    {"pairs", run_pairs},
    {"offline", run_offline},
    {"fanout", run_fan_out},
    {"idle", run_idle},
};

nlohmann::json to_json(const Stage& stage) {
  const auto& [options, result] = std::tie(stage.options, stage.result);
  nlohmann::json json{{"peer", options.peer},    {"case", options.load_case},
                      {"lost", result.lost},     {"reordered", result.reordered},
                      {"errors", result.errors}, {"relay_rss_bytes", stage.broker_peak_bytes()}};
  const auto add = [&json](const char* name, const std::optional<double>& value) {
    if (value) json[name] = *value;
  };
  if (options.load_case != "idle") json["window"] = options.window;
  if (options.load_case == "pairs" || options.load_case == "offline") {
    json["pairs"] = options.pairs;
  }
  if (options.load_case == "pairs" || options.load_case == "fanout") {
    json["seconds"] = options.seconds;
  }
  add("accepted_per_s", result.accepted_per_s);
  add("delivered_per_s", result.delivered_per_s);
  add("logins_per_s", result.logins_per_s);
  add("relay_cpu_s_per_million", result.relay_cpu_s_per_million);
  add("client_cpu_s_per_million", result.client_cpu_s_per_million);
  add("relay_bytes_per_session", result.relay_bytes_per_session);
  add("relay_bytes_per_queued_envelope", result.relay_bytes_per_queued_envelope);
  const auto add_latency = [&json](const std::string& name, const godwit::load::Histogram& it) {
    if (it.count() == 0) return;
    json[name + "p50_us"] = it.quantile_us(0.5);
    json[name + "p99_us"] = it.quantile_us(0.99);
    json[name + "p999_us"] = it.quantile_us(0.999);
  };
  add_latency("", result.delivery);
  add_latency("accepted_", result.accepted);
  return json;
}

int run(const Options& options) {
  godwit::net::prepare_descriptors(65'536);
  Stage stage(options);
  kCases.at(options.load_case)(stage);
  std::printf("%s\n", to_json(stage).dump().c_str());
  const Result& result = stage.result;
  return result.lost + result.reordered + result.errors == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  bool json = false;
  CLI::App app("Measures another broker; the last line of standard output is a JSON object.");
  app.add_option("--peer", options.peer)
      ->required()
      ->check(CLI::IsMember({"mosquitto", "nats", "redis"}));
  app.add_option("--address", options.address, "HOST:PORT of the broker.")->required();
  app.add_option("--pid", options.pid, "Process of the broker.")->required();
  app.add_option("--case", options.load_case)->required()->check(CLI::IsMember(kCases));
  app.add_option("--pairs", options.pairs, "Pairs, or mailboxes of `offline`.")
      ->check(CLI::Range(1, 19'000));
  app.add_option("--window", options.window, "Messages under way for each sender.")
      ->check(CLI::Range(1, 10'000));
  app.add_option("--payload", options.payload, "Bytes of a message.")
      ->check(CLI::Range(kBodySizeMin, std::size_t{1} << 20));
  app.add_option("--seconds", options.seconds, "Measured time.")->check(CLI::Range(0.1, 600.0));
  app.add_option("--warm-up", options.warm_up, "Seconds before it.")->check(CLI::Range(0.0, 60.0));
  app.add_option("--rate", options.rate, "Messages per second of all pairs; 0: what is possible.")
      ->check(CLI::Range(0.0, 1e7));
  app.add_option("--messages", options.messages, "Messages for each mailbox of `offline`.")
      ->check(CLI::Range(1, 1'000'000));
  app.add_option("--order", options.order, "In which the owners of the mailboxes come.")
      ->check(CLI::IsMember({"in", "random"}));
  app.add_option("--group", options.group, "Members of `fanout`.")->check(CLI::Range(1, 19'000));
  app.add_option("--sessions", options.sessions, "Connections of `idle`.")
      ->check(CLI::Range(2, 19'900));
  app.add_flag("--json", json, "As godwit-load has it; this program says nothing else anyway.");
  CLI11_PARSE(app, argc, argv);
  return run(options);
}
