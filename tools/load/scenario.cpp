#include "tools/load/scenario.hpp"

#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <functional>
#include <limits>
#include <sstream>

#include "relay/nearest.hpp"

namespace godwit::load {
namespace {

using Done = tl::expected<void, std::string>;

template <class Number>
bool read_number(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

// "256", "64-1024", or several of them with weights: "64-128:3,4096:1".
bool read_sizes(std::string_view text, std::vector<PayloadSize>& sizes) {
  sizes.clear();
  while (true) {
    const auto comma = text.find(',');
    std::string_view one = text.substr(0, comma);
    PayloadSize size;
    if (const auto colon = one.find(':'); colon != std::string_view::npos) {
      if (!read_number(one.substr(colon + 1), size.weight) || size.weight == 0) return false;
      one = one.substr(0, colon);
    }
    const auto dash = one.find('-');
    if (!read_number(one.substr(0, dash), size.from)) return false;
    size.to = size.from;
    if (dash != std::string_view::npos && !read_number(one.substr(dash + 1), size.to)) return false;
    sizes.push_back(size);
    if (comma == std::string_view::npos) return true;
    text = text.substr(comma + 1);
  }
}

std::string sizes_text(const std::vector<PayloadSize>& sizes) {
  std::string text;
  for (const PayloadSize& size : sizes) {
    if (!text.empty()) text += ",";
    text += std::to_string(size.from);
    if (size.to != size.from) text += "-" + std::to_string(size.to);
    if (size.weight != 1 || sizes.size() > 1) text += ":" + std::to_string(size.weight);
  }
  return text;
}

// As few digits as say it, and no exponent, which a whole number could not have.
std::string number_text(double value) {
  std::array<char, 400> text{};  // of the greatest double
  const auto written =
      std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  return {text.data(), written.ptr};
}

// One field: how it is read, how it is written, and what may stand there.
struct Field {
  std::string_view key;
  std::string_view words;  // behind "must be"
  std::function<bool(Scenario&, std::string_view)> read;
  std::function<std::string(const Scenario&)> write;
};

template <class Number>
Field number(std::string_view key, Number Scenario::*member, double from, double to,
             std::string_view words) {
  return {key, words,
          [=](Scenario& scenario, std::string_view text) {
            Number value{};
            if (!read_number(text, value)) return false;
            const auto amount = static_cast<double>(value);
            if (!(amount >= from && amount <= to)) return false;  // nor what is not a number
            scenario.*member = value;
            return true;
          },
          [=](const Scenario& scenario) { return number_text(double(scenario.*member)); }};
}

Field whole(std::string_view key, std::uint64_t Scenario::*member, std::string_view words) {
  return {key, words,
          [=](Scenario& scenario, std::string_view text) {
            return read_number(text, scenario.*member);
          },
          [=](const Scenario& scenario) { return std::to_string(scenario.*member); }};
}

Field sizes(std::string_view key, std::vector<PayloadSize> Scenario::*member) {
  return {
      key, "bytes, \"FROM-TO\", or several with weights such as \"64-256:9,4096:1\"",
      [=](Scenario& scenario, std::string_view text) { return read_sizes(text, scenario.*member); },
      [=](const Scenario& scenario) { return sizes_text(scenario.*member); }};
}

Field truth(std::string_view key, bool Scenario::*member) {
  return {key, "true or false",
          [=](Scenario& scenario, std::string_view text) {
            scenario.*member = text == "true";
            return text == "true" || text == "false";
          },
          [=](const Scenario& scenario) { return scenario.*member ? "true" : "false"; }};
}

const std::vector<Field>& fields() {
  constexpr auto kSeconds = "a number of seconds, at most 604800 (a week)";
  static const std::vector<Field> all{
      number("processes", &Scenario::processes, 1, kProcessesMax, "1 to 64"),
      number("pairs", &Scenario::pairs, 0, kPairsMax, "a number, at most 1000000"),
      number("group", &Scenario::group, 1, 1'024, "1 to 1024"),
      number("senders", &Scenario::senders, 0, kPairsMax, "a number, at most 1000000"),
      number("window", &Scenario::window, 1, kWindowMax, "1 to 1024"),
      number("rate", &Scenario::rate, 0, 10e6, "submits per second, at most 10000000"),
      sizes("payload", &Scenario::payload),
      number("media_share", &Scenario::media_share, 0, 1, "a share, 0 to 1"),
      sizes("media", &Scenario::media),
      number("away", &Scenario::away, 0, 1, "a share, 0 to 1"),
      truth("drain_at_random", &Scenario::drain_at_random),
      number("sessions", &Scenario::sessions, 0, kDevicesMax, "a number, at most 1000000"),
      number("churn", &Scenario::churn, 0, 100'000, "logins per second, at most 100000"),
      whole("messages", &Scenario::messages, "a number of messages"),
      number("seconds", &Scenario::seconds, 0.1, kSecondsMax, kSeconds),
      number("warm_up", &Scenario::warm_up, 0, kSecondsMax, kSeconds),
      number("settle", &Scenario::settle, 0.1, kSecondsMax, kSeconds),
      number("late_ms", &Scenario::late_ms, 0, 1e9, "a number of milliseconds"),
      whole("late_max", &Scenario::late_max, "a number of messages"),
      whole("refused_max", &Scenario::refused_max, "a number of messages"),
      whole("seed", &Scenario::seed, "a number"),
      truth("e2ee", &Scenario::e2ee),
      number("kill_every", &Scenario::kill_every, 0, kSecondsMax, kSeconds),
  };
  return all;
}

// SplitMix64: numbers that look drawn and are the same each time.
std::uint64_t mixed(std::uint64_t value) {
  value += 0x9e37'79b9'7f4a'7c15;
  value = (value ^ (value >> 30)) * 0xbf58'476d'1ce4'e5b9;
  value = (value ^ (value >> 27)) * 0x94d0'49bb'1331'11eb;
  return value ^ (value >> 31);
}

std::string text_of(const toml::node& node) {
  if (const auto* const text = node.as_string()) return text->get();
  std::ostringstream written;
  node.visit([&](const auto& value) { written << value; });
  return written.str();
}

}  // namespace

std::vector<std::string_view> preset_names() {
  return {"online", "offline", "idle", "fanout", "churn", "mixed"};
}

std::optional<Scenario> preset(std::string_view name) {
  Scenario made;
  made.name = name;
  if (name == "online") return made;
  if (name == "offline") {
    made.pairs = 200;
    made.senders = 20;
    made.window = 4;
    made.away = 1;
    made.messages = 1'000;
    made.seconds = 120;
    made.warm_up = 0;
    return made;
  }
  if (name == "idle") {
    made.pairs = 1;
    made.rate = 100;
    made.sessions = 1'000;
    made.seconds = 5;
    return made;
  }
  if (name == "fanout") {
    made.pairs = 1;
    made.group = 200;
    made.window = 8;
    return made;
  }
  if (name == "churn") {
    made.rate = 5'000;
    made.sessions = 1'000;
    made.churn = 500;
    return made;
  }
  if (name == "mixed") {
    made.pairs = 200;
    made.rate = 5'000;
    made.payload = {{64, 512, 10}, {1'024, 4'096, 1}};
    made.media_share = 0.01;
    made.away = 0.2;
    made.sessions = 500;
    made.churn = 50;
    return made;
  }
  return std::nullopt;
}

Done set(Scenario& scenario, std::string_view key, std::string_view value) {
  const auto found = std::ranges::find(fields(), key, &Field::key);
  if (found != fields().end()) {
    if (found->read(scenario, value)) return {};
    return tl::unexpected("\"" + std::string(value) + "\" does not fit " + std::string(key) +
                          ": it must be " + std::string(found->words));
  }
  std::vector<std::string_view> keys;
  for (const Field& field : fields()) keys.push_back(field.key);
  std::string why = "there is no setting \"" + std::string(key) + "\"";
  // The flag of this name is the only one whose key is another.
  const auto meant =
      key == "chaos" ? std::optional<std::string_view>("kill_every") : relay::nearest(key, keys);
  if (meant) {
    why += "; did you mean \"" + std::string(*meant) + "\"?";
  }
  return tl::unexpected(std::move(why));
}

tl::expected<Scenario, std::string> parse_scenario(std::string_view text, std::string name) {
  toml::table table;
  try {
    table = toml::parse(text);
  } catch (const toml::parse_error& error) {
    return tl::unexpected("line " + std::to_string(error.source().begin.line) + ": " +
                          std::string(error.description()));
  }
  const std::string base = table["base"].value_or(std::string("online"));
  std::optional<Scenario> scenario = preset(base);
  if (!scenario) return tl::unexpected("base = \"" + base + "\" is no scenario of the box");
  scenario->name = std::move(name);
  for (const auto& [key, node] : table) {
    const std::string at = "line " + std::to_string(node.source().begin.line) + ": ";
    if (key == "base") continue;
    if (key == "name" && node.is_string()) {
      scenario->name = text_of(node);
    } else if (key == "relay" && node.is_table()) {
      for (const auto& [setting, value] : *node.as_table()) {
        std::ostringstream written;
        value.visit([&](const auto& one) { written << one; });
        scenario->relay_settings.emplace_back(std::string(setting.str()), written.str());
      }
    } else if (auto done = set(*scenario, key.str(), text_of(node)); !done) {
      return tl::unexpected(at + done.error());
    }
  }
  return *std::move(scenario);
}

std::uint64_t devices_of(const Scenario& scenario) {
  const std::uint32_t senders = scenario.senders != 0 ? scenario.senders : scenario.pairs;
  return std::uint64_t{scenario.pairs} * scenario.group + scenario.sessions + senders;
}

Done check(const Scenario& s) {
  const auto wrong = [](std::string why) { return tl::unexpected(std::move(why)); };
  if (s.pairs == 0 && s.sessions == 0)
    return wrong("there is nothing to do: no pairs, no sessions");
  if (s.pairs == 0 && s.messages > 0) return wrong("messages are those of pairs: there are none");
  if (s.churn > 0 && s.sessions == 0) return wrong("churn needs sessions that come and go");
  if (s.senders > s.pairs) return wrong("more senders than pairs");
  if (s.away > 0 && s.messages == 0 && s.rate == 0) {
    return wrong("recipients that are away take all that comes: say how many messages, or a rate");
  }
  if (s.drain_at_random && s.away == 0) {
    return wrong("nobody comes back in any order: drain_at_random needs recipients that are away");
  }
  if (s.late_max > 0 && s.late_ms == 0) return wrong("late_max needs late_ms: nothing is late");
  const auto fits = [](const PayloadSize& size) {
    return size.from >= kPayloadMin && size.from <= size.to && size.to <= 72 * 1024;
  };
  if (!std::ranges::all_of(s.payload, fits)) {
    return wrong("a payload has 32 bytes to 72 KiB, the smaller number first");
  }
  if (!std::ranges::all_of(s.media, fits)) {
    return wrong("a medium has 32 bytes to 72 KiB, the smaller number first");
  }
  const std::uint32_t with_flows = processes_with_flows(s);
  if (with_flows > (with_flows < s.processes ? s.pairs : std::max(s.pairs, s.sessions))) {
    return wrong("more processes than pairs or sessions: one of them would have nothing to do");
  }
  if (s.senders > 0 && s.senders < std::min(with_flows, s.pairs)) {
    return wrong("fewer senders than processes: a sender is in one of them");
  }
  if (devices_of(s) > kDevicesMax) return wrong("more than 1000000 devices");
  if (s.e2ee && (s.group > 1 || s.away > 0 || s.sessions > 0 || s.senders > 0 || s.pairs > 500)) {
    return wrong("--e2ee takes pairs that are online, each with a sender of its own, at most 500");
  }
  const auto is_text = [](const PayloadSize& size) { return size.to <= kTextMax; };
  if (s.e2ee && !(std::ranges::all_of(s.payload, is_text) && std::ranges::all_of(s.media, is_text)))
    return wrong("--e2ee sends texts, of at most 64 KiB");
  return {};
}

std::vector<std::pair<std::string, std::string>> settings_of(const Scenario& scenario) {
  std::vector<std::pair<std::string, std::string>> all;
  for (const Field& field : fields()) all.emplace_back(field.key, field.write(scenario));
  for (const auto& [key, value] : scenario.relay_settings) all.emplace_back("relay " + key, value);
  return all;
}

Scenario part_of(const Scenario& whole, std::uint32_t index) {
  Scenario part = whole;
  part.processes = 1;
  if (whole.processes == 1) return part;
  const std::uint32_t with_flows = processes_with_flows(whole);
  const auto share = [](std::uint32_t all, std::uint32_t processes, std::uint32_t number) {
    return number >= processes ? 0 : all / processes + (number < all % processes ? 1 : 0);
  };
  const auto of_flows = [&](std::uint32_t all) { return share(all, with_flows, index); };
  const auto in_proportion = [](double amount, std::uint32_t some, std::uint32_t all) {
    return all == 0 ? 0 : amount * some / all;
  };
  part.pairs = of_flows(whole.pairs);
  part.senders = of_flows(whole.senders);
  part.sessions = with_flows == whole.processes ? share(whole.sessions, whole.processes, index)
                  : index == with_flows         ? whole.sessions
                                                : 0;
  part.rate = in_proportion(whole.rate, part.pairs, whole.pairs);
  part.churn = in_proportion(whole.churn, part.sessions, whole.sessions);
  part.away = in_proportion(1, of_flows(flows_away(whole)), part.pairs);
  // Drawn anew, so that it is not the next seed of somebody who counts them.
  if (index > 0) part.seed = mixed(whole.seed + index);
  return part;
}

std::uint32_t processes_with_flows(const Scenario& scenario) {
  const bool crowd_apart = scenario.processes > 1 && scenario.churn > 0 && scenario.pairs > 0;
  return crowd_apart ? scenario.processes - 1 : scenario.processes;
}

std::uint32_t flows_away(const Scenario& scenario) {
  return static_cast<std::uint32_t>(std::lround(scenario.away * scenario.pairs));
}

std::uint32_t size_of(const Scenario& scenario, std::uint32_t flow, std::uint64_t number) {
  const std::uint64_t drawn = mixed(mixed(scenario.seed ^ flow) ^ number);
  // A number of its own says whether it is media; the upper 53 bits are a double from 0 to 1.
  const bool is_media = static_cast<double>(mixed(drawn) >> 11) * 0x1p-53 < scenario.media_share;
  const auto& sizes = is_media ? scenario.media : scenario.payload;
  std::uint64_t weights = 0;
  for (const PayloadSize& size : sizes) weights += size.weight;
  std::uint64_t at = drawn % weights;
  for (const PayloadSize& size : sizes) {
    if (at < size.weight) {
      return size.from + static_cast<std::uint32_t>((drawn >> 32) % (size.to - size.from + 1ULL));
    }
    at -= size.weight;
  }
  return sizes.front().from;
}

}  // namespace godwit::load
