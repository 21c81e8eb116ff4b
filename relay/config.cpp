// Reading: parse the file -> for each section and key that stands in it, find its row of the table,
// read the value, check its range -> check rows against each other. Faults are collected on the
// way, each with its line; a fault leaves the default in place, so that one mistake is told once.
// Writing: for each row, its comment, default, range and value.

#include "relay/config.hpp"

#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <system_error>
#include <variant>

#include "relay/nearest.hpp"
#include "relay/policy/address_set.hpp"
#include "relay/quantity.hpp"
#include "relay/store/limits.hpp"
#include "schema/wire/address.hpp"
#include "schema/wire/limits.hpp"

namespace godwit::relay {
namespace {

constexpr std::size_t kFileSizeMax = 1 << 20;
constexpr std::size_t kListSizeMax = 256;
constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::uint64_t kTiB = std::uint64_t{1} << 40;

// At most, around a text (schema/ENVELOPE.md): number, hash, time, id, list, the sender's name.
constexpr std::uint64_t kAroundText = 297;
// And around that, padded: the seal 117, the sender's id 16, a prekey header 56, the ratchet 100.
constexpr std::uint64_t kAroundPlaintext = 289;

// --- The table ---------------------------------------------------------------------------------

using Number32 = std::uint32_t Config::*;
using Number64 = std::uint64_t Config::*;
using Text = std::string Config::*;
using List = std::vector<std::string> Config::*;
using Check = std::string (*)(std::string_view);  // what is wrong, or empty
using CheckBeside = std::string (*)(std::string_view, std::string_view before);

struct Setting {
  std::string_view section;
  std::string_view key;
  std::variant<Number32, Number64, Text, List> member;
  std::string_view comment;
  // Of numbers, in the base unit; of lists, the number of entries.
  Unit unit = Unit::none;
  std::uint64_t min = 0;
  std::uint64_t max = 0;
  Check check = nullptr;               // of a text, and of each entry of a list
  CheckBeside check_beside = nullptr;  // of an entry beside each that stands before it

  [[nodiscard]] std::string name() const { return std::string(section) + "." + std::string(key); }
};

std::string quoted(std::string_view text) {
  return "\"" + std::string(text) + "\"";
}

std::string check_listen(std::string_view text) {
  const auto where = wire::parse_host_port(text);
  const auto host = where ? policy::parse_numeric_address(where->host) : std::nullopt;
  if (!host) {
    return quoted(text) + " is not HOST:PORT with a numeric host, such as \"0.0.0.0:7700\" or " +
           "\"[::]:7700\"";
  }
  if (!host->is_ipv4() || where->host.find(':') == std::string::npos) return {};
  return quoted(text) + " is an IPv4 address in IPv6 notation; write it as in \"127.0.0.1:7700\"";
}

// Two sockets cannot have one port of one address; 0.0.0.0 and :: are all of their family.
std::string check_listen_beside(std::string_view text, std::string_view before) {
  const auto where = wire::parse_host_port(text);
  const auto there = wire::parse_host_port(before);
  if (!where || !there || where->port != there->port || where->port == 0) return {};
  const auto host = policy::parse_numeric_address(where->host);
  const auto other = policy::parse_numeric_address(there->host);
  if (!host || !other || host->is_ipv4() != other->is_ipv4()) return {};
  const auto any = *policy::parse_numeric_address(host->is_ipv4() ? "0.0.0.0" : "::");
  if (host == other) return quoted(text) + " stands twice in the list";
  if (host != any && other != any) return {};
  return quoted(text) + " is the same port as " + quoted(before) + ", which is listened on already";
}

std::string check_advertise(std::string_view text) {
  if (text.empty()) return {};
  const auto where = wire::parse_host_port(text);
  if (where && where->port != 0) return {};
  return "\"" + std::string(text) + "\" is not HOST:PORT, such as \"relay.example.org:7700\"";
}

std::string check_network(std::string_view text) {
  const auto network = policy::parse_network(text);
  return network ? std::string() : network.error();
}

std::string check_level(std::string_view text) {
  constexpr std::array<std::string_view, 4> kLevels{"debug", "info", "warning", "error"};
  if (std::find(kLevels.begin(), kLevels.end(), text) != kLevels.end()) return {};
  return "\"" + std::string(text) + "\" is none of debug, info, warning, error";
}

const std::vector<Setting>& settings() {
  constexpr std::uint32_t kMax32 = 1'000'000;
  constexpr std::uint64_t kDay = 86'400;
  static const std::vector<Setting> table{
      {"network", "listen", &Config::listen,
       "Where clients connect: one or more HOST:PORT with a numeric host.\n"
       "Port 0 takes a free one; the line `ready` says which.",
       Unit::none, 1, 16, check_listen, check_listen_beside},
      {"network", "advertise", &Config::advertise,
       "The HOST:PORT that clients are told, when it is not the first of `listen`:\n"
       "the public name of this machine.",
       Unit::none, 0, 0, check_advertise},
      {"network", "loops", &Config::loops,
       "Threads that serve connections. 0: one fewer than there are cores, at least one.",
       Unit::none, 0, 256},
      {"network", "connections_max", &Config::connections_max,
       "Connections at a time; those beyond are closed at once.", Unit::none, 1, kMax32},
      {"network", "unlimited_from", &Config::unlimited_from,
       "Networks whose clients are under no rate limit.", Unit::none, 0, kListSizeMax,
       check_network},

      {"limits", "ttl_default", &Config::ttl_default_s,
       "How long an envelope waits for its device when the sender does not say.", Unit::seconds, 1,
       45 * kDay},
      {"limits", "ttl_max", &Config::ttl_max_s, "The longest a sender may ask for.", Unit::seconds,
       1, 45 * kDay},
      {"limits", "mailbox_envelopes_max", &Config::mailbox_envelopes_max,
       "Envelopes that wait for one device; then senders are refused. When half of it is used\n"
       "each sender may add an eighth, so that one alone does not fill it.",
       Unit::none, 1, 10'000'000},
      {"limits", "mailbox_bytes_max", &Config::mailbox_bytes_max,
       "Bytes that wait for one device; then senders are refused.", Unit::bytes, 4096, kTiB},
      {"limits", "envelope_size_max", &Config::envelope_size_max, "One envelope, encrypted.",
       Unit::bytes, 4096, wire::kEnvelopeSizeMax},
      {"limits", "text_size_max", &Config::text_size_max,
       "One text message; told to clients, who keep to it. Encrypted it has up to 5 KiB more,\n"
       "which `envelope_size_max` must have room for.",
       Unit::bytes, 700, 64 * 1024},
      {"limits", "media_size_max", &Config::media_size_max,
       "One picture, video or file; told to clients.", Unit::bytes, 0, 1024 * kMiB},
      {"limits", "window_envelopes", &Config::window_envelopes,
       "Envelopes on their way to a device before it must acknowledge.", Unit::none, 1,
       wire::kAckNumbersMax},
      {"limits", "window_bytes", &Config::window_bytes, "The same in bytes.", Unit::bytes, 4096,
       64 * kMiB},
      {"limits", "group_members_max", &Config::group_members_max, "Members of a group.", Unit::none,
       2, wire::kRecipientsMax},
      {"limits", "devices_max", &Config::devices_max, "Devices of a user.", Unit::none, 1,
       wire::kDevicesMax},
      {"limits", "submits_in_flight_max", &Config::submits_in_flight_max,
       "Submits of one device that wait for an answer.", Unit::none, 1, 65'536},

      {"rates", "submits_per_s", &Config::submits_per_s,
       "Submits per second and device; to many, each 16 recipients count as one.", Unit::none, 1,
       kMax32},
      {"rates", "submits_burst", &Config::submits_burst, "Submits at once, after a pause.",
       Unit::none, 1, kMax32},
      {"rates", "handshakes_per_s", &Config::handshakes_per_s,
       "New connections per second and address (of IPv6: a /64).", Unit::none, 1, kMax32},
      {"rates", "handshakes_burst", &Config::handshakes_burst,
       "New connections at once, after a pause.", Unit::none, 1, kMax32},
      {"rates", "registrations_per_hour", &Config::registrations_per_hour,
       "New users and devices per hour and address (of IPv6: a /64).", Unit::none, 1, kMax32},

      {"store", "size_max", &Config::store_size_max,
       "How large the store may grow on disk; then senders are refused.", Unit::bytes, 16 * kMiB,
       16 * kTiB},
      {"store", "grow_step", &Config::store_grow_step, "It grows by this much at a time.",
       Unit::bytes, kMiB, 16'384 * kMiB},
      {"store", "reserve", &Config::store_reserve,
       "Kept free in a full store, so that acknowledging and expiring still work; at most a tenth\n"
       "of `size_max`.",
       Unit::bytes, kMiB, 1024 * kMiB},

      {"log", "level", &Config::log_level, "The least that is logged: debug, info, warning, error.",
       Unit::none, 0, 0, check_level},
  };
  return table;
}

// --- Reading -----------------------------------------------------------------------------------

std::string expectation(const Setting& setting) {
  const auto range = " from " + format_number(setting.min, setting.unit) + " to " +
                     format_number(setting.max, setting.unit);
  switch (setting.unit) {
    case Unit::bytes:
      return "must be a size" + range + ", in bytes or as \"16 MiB\"";
    case Unit::seconds:
      return "must be a duration" + range + ", in seconds or as \"30 days\"";
    case Unit::none:
      break;
  }
  return "must be a number" + range;
}

std::uint32_t line_of(const toml::node& node) {
  return node.source().begin.line;
}

class Reader {
 public:
  void read(const toml::table& file) {
    for (const auto& [name, node] : file) read_section(name.str(), name.source().begin.line, node);
    check_together();
  }

  Config config;
  std::vector<ConfigFault> faults;

 private:
  void fault(std::uint32_t line, std::string key, std::string what) {
    faults.push_back({line, std::move(key), std::move(what)});
  }

  void read_section(std::string_view section, std::uint32_t line, const toml::node& node) {
    std::vector<std::string_view> sections;
    for (const auto& setting : settings()) sections.push_back(setting.section);
    const bool known = std::find(sections.begin(), sections.end(), section) != sections.end();
    const auto* const table = node.as_table();
    if (known && table) {
      for (const auto& [key, value] : *table) {
        read_key(section, key.str(), key.source().begin.line, value);
      }
    } else if (known) {
      fault(line, std::string(section),
            "must be a section, written [" + std::string(section) + "]");
    } else if (table) {
      const auto hint = nearest(section, sections);
      fault(line, std::string(section),
            "unknown section" + (hint ? "; did you mean [" + std::string(*hint) + "]?" : ""));
    } else {
      unknown_key({}, section, line);
    }
  }

  void read_key(std::string_view section, std::string_view key, std::uint32_t line,
                const toml::node& value) {
    const auto& table = settings();
    const auto setting = std::find_if(table.begin(), table.end(), [&](const Setting& row) {
      return row.section == section && row.key == key;
    });
    if (setting == table.end()) return unknown_key(section, key, line);
    lines_[setting->name()] = line;
    if (const auto* number = std::get_if<Number32>(&setting->member)) {
      if (const auto read = read_number(*setting, value)) {
        config.** number = static_cast<std::uint32_t>(*read);  // the range of the row fits
      }
    } else if (const auto* large = std::get_if<Number64>(&setting->member)) {
      if (const auto read = read_number(*setting, value)) config.** large = *read;
    } else if (const auto* text = std::get_if<Text>(&setting->member)) {
      if (auto read = read_text(*setting, value)) config.** text = *std::move(read);
    } else {
      read_list(*setting, value);
    }
  }

  void unknown_key(std::string_view section, std::string_view key, std::uint32_t line) {
    std::vector<std::string_view> here;
    std::string_view elsewhere;
    for (const auto& setting : settings()) {
      if (setting.section == section) here.push_back(setting.key);
      if (setting.key == key) elsewhere = setting.section;
    }
    const auto name =
        section.empty() ? std::string(key) : std::string(section) + "." + std::string(key);
    if (!elsewhere.empty()) {
      return fault(line, name, "belongs in the section [" + std::string(elsewhere) + "]");
    }
    const auto hint = nearest(key, here);
    fault(line, name, "unknown key" + (hint ? "; did you mean " + std::string(*hint) + "?" : ""));
  }

  std::optional<std::uint64_t> read_number(const Setting& setting, const toml::node& value) {
    std::optional<std::uint64_t> number;
    std::string written;
    if (const auto* integer = value.as_integer()) {
      written = std::to_string(integer->get());
      if (integer->get() >= 0) number = static_cast<std::uint64_t>(integer->get());
    } else if (const auto* text = value.as_string()) {
      written = "\"" + text->get() + "\"";
      number = parse_quantity(text->get(), setting.unit);
    }
    if (number && *number >= setting.min && *number <= setting.max) return number;
    const auto is = written.empty() ? std::string() : "; it is " + written;
    fault(line_of(value), setting.name(), expectation(setting) + is);
    return {};
  }

  std::optional<std::string> read_text(const Setting& setting, const toml::node& value) {
    const auto* const text = value.as_string();
    if (!text) {
      fault(line_of(value), setting.name(), "must be a text in quotes");
      return {};
    }
    if (auto what = setting.check(text->get()); !what.empty()) {
      fault(line_of(value), setting.name(), std::move(what));
      return {};
    }
    return text->get();
  }

  void read_list(const Setting& setting, const toml::node& value) {
    const auto* const array = value.as_array();
    if (!array || array->size() < setting.min || array->size() > setting.max) {
      return fault(line_of(value), setting.name(),
                   "must be a list of " + std::to_string(setting.min) + " to " +
                       std::to_string(setting.max) + " texts, such as [\"...\", \"...\"]");
    }
    std::vector<std::string> entries;
    for (const auto& node : *array) {
      auto entry = read_text(setting, node);
      if (entry && stands_apart(setting, *entry, entries, line_of(node))) {
        entries.push_back(*std::move(entry));
      }
    }
    if (entries.size() == array->size())
      config.*std::get<List>(setting.member) = std::move(entries);
  }

  bool stands_apart(const Setting& setting, std::string_view entry,
                    const std::vector<std::string>& before, std::uint32_t line) {
    if (setting.check_beside == nullptr) return true;
    for (const auto& other : before) {
      auto what = setting.check_beside(entry, other);
      if (what.empty()) continue;
      fault(line, setting.name(), std::move(what));
      return false;
    }
    return true;
  }

  // Of two settings of which one stands in the file, or both.
  std::uint32_t line_of_first(const char* one, const char* other) {
    return lines_.count(one) ? lines_[one] : lines_[other];
  }

  // `low` must not exceed `high`; the fault stands where one of them does.
  void check_order(const char* low, std::uint64_t low_value, const char* high,
                   std::uint64_t high_value, Unit unit) {
    if (low_value <= high_value) return;
    fault(line_of_first(low, high), low,
          "is " + format_number(low_value, unit) + " but must not exceed " + high + ", which is " +
              format_number(high_value, unit));
  }

  // Clients keep to the one, and the relay to the other: what fits the first alone fails for good.
  void check_text_fits() {
    const std::uint64_t needed = envelope_size_of(config.text_size_max);
    if (needed <= config.envelope_size_max) return;
    fault(line_of_first("limits.text_size_max", "limits.envelope_size_max"), "limits.text_size_max",
          "is " + format_number(config.text_size_max, Unit::bytes) + ", in an envelope up to " +
              format_number(needed, Unit::bytes) + ", but limits.envelope_size_max is " +
              format_number(config.envelope_size_max, Unit::bytes));
  }

  void check_together() {
    const Config& c = config;
    check_order("limits.ttl_default", c.ttl_default_s, "limits.ttl_max", c.ttl_max_s,
                Unit::seconds);
    check_text_fits();
    check_order("limits.envelope_size_max", c.envelope_size_max, "limits.window_bytes",
                c.window_bytes, Unit::bytes);
    check_order("limits.envelope_size_max", c.envelope_size_max, "limits.mailbox_bytes_max",
                c.mailbox_bytes_max, Unit::bytes);
    check_order("store.grow_step", c.store_grow_step, "store.size_max", c.store_size_max,
                Unit::bytes);
    // The store would take no more of what it is given.
    if (c.store_reserve > c.store_size_max / store::kReservePart) {
      fault(line_of_first("store.reserve", "store.size_max"), "store.reserve",
            "is " + format_number(c.store_reserve, Unit::bytes) +
                " but must not exceed a tenth of store.size_max, which is " +
                format_number(c.store_size_max, Unit::bytes));
    }
  }

  std::map<std::string, std::uint32_t> lines_;  // where each setting of the file stands
};

tl::expected<std::string, ConfigFault> read_text_file(const std::filesystem::path& file) {
  errno = 0;
  std::ifstream stream(file, std::ios::binary);
  std::string text(kFileSizeMax + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!stream.is_open() || stream.bad() || (stream.gcount() == 0 && errno != 0)) {
    const std::string reason = std::generic_category().message(errno != 0 ? errno : EIO);
    return tl::unexpected(ConfigFault{0, "file", "cannot be read: " + reason});
  }
  text.resize(static_cast<std::size_t>(stream.gcount()));
  if (text.size() > kFileSizeMax) {
    return tl::unexpected(ConfigFault{0, "file", "is larger than 1 MiB"});
  }
  return text;
}

// toml++ as packaged throws; nothing of it leaves this function.
tl::expected<toml::table, ConfigFault> parse_toml(std::string_view text) {
  try {
    return toml::parse(text);
  } catch (const toml::parse_error& error) {
    return tl::unexpected(
        ConfigFault{error.source().begin.line, "syntax", std::string(error.description())});
  }
}

// --- Writing -----------------------------------------------------------------------------------

std::string toml_text(std::string_view text) {
  std::ostringstream out;
  const toml::value<std::string> value{std::string(text)};
  out << toml::toml_formatter(value, toml::format_flags::none);  // always in double quotes
  return out.str();
}

std::string value_text(const Setting& setting, const Config& config) {
  const auto number_text = [&](std::uint64_t number) {
    const auto text = format_number(number, setting.unit);
    return setting.unit == Unit::none ? text : toml_text(text);
  };
  if (const auto* number = std::get_if<Number32>(&setting.member)) {
    return number_text(config.**number);
  }
  if (const auto* large = std::get_if<Number64>(&setting.member)) {
    return number_text(config.**large);
  }
  if (const auto* text = std::get_if<Text>(&setting.member)) return toml_text(config.**text);
  std::string list;
  for (const auto& entry : config.*std::get<List>(setting.member)) {
    list += (list.empty() ? "" : ", ") + toml_text(entry);
  }
  return "[" + list + "]";
}

std::string range_text(const Setting& setting) {
  const bool number = std::holds_alternative<Number32>(setting.member) ||
                      std::holds_alternative<Number64>(setting.member);
  if (!number) return {};
  return " Range: " + format_number(setting.min, setting.unit) + " to " +
         format_number(setting.max, setting.unit) + ".";
}

}  // namespace

tl::expected<Config, std::vector<ConfigFault>> read_config(const std::filesystem::path& file) {
  const auto text = read_text_file(file);
  if (!text) return tl::unexpected(std::vector{text.error()});
  return parse_config(*text);
}

tl::expected<Config, std::vector<ConfigFault>> parse_config(std::string_view text) {
  const auto table = parse_toml(text);
  if (!table) return tl::unexpected(std::vector{table.error()});
  Reader reader;
  reader.read(*table);
  if (reader.faults.empty()) return std::move(reader.config);
  // toml++ hands out keys in their alphabetic order; an operator reads from top to bottom.
  std::stable_sort(reader.faults.begin(), reader.faults.end(),
                   [](const auto& left, const auto& right) { return left.line < right.line; });
  return tl::unexpected(std::move(reader.faults));
}

std::uint64_t envelope_size_of(std::uint64_t text_size) {
  const std::uint64_t plaintext = text_size + kAroundText;
  const std::uint64_t step = plaintext < 4096 ? 256 : 4096;  // of the padding: a byte at least
  return (plaintext / step + 1) * step + kAroundPlaintext;
}

std::string config_text(const Config& config) {
  std::string text =
      "# The settings of this relay, each with what it is, its default and its range.\n"
      "# The file is read once, at start; `godwit-relay check-config DIR` says what is wrong.\n\n";
  std::string_view section;
  for (const auto& setting : settings()) {
    if (setting.section != section) {
      section = setting.section;
      text += "[" + std::string(section) + "]\n";
    }
    std::string comment(setting.comment);
    for (auto at = comment.find('\n'); at != std::string::npos; at = comment.find('\n', at + 3)) {
      comment.replace(at, 1, "\n# ");
    }
    text += "# " + comment + "\n# Default: " + value_text(setting, Config{}) + "." +
            range_text(setting) + "\n";
    text += std::string(setting.key) + " = " + value_text(setting, config) + "\n\n";
  }
  text.pop_back();  // the blank line after the last setting
  return text;
}

}  // namespace godwit::relay
