#include "relay/ops/figures.hpp"

#include <array>
#include <nlohmann/json.hpp>
#include <utility>
#include <variant>

namespace godwit::relay::ops {
namespace {

using Json = nlohmann::ordered_json;

struct FigureField {
  const char* name;
  std::variant<std::uint64_t Figures::*, bool Figures::*, std::string Figures::*> member;
  const char* help;
};

constexpr std::array kFigureFields{
    FigureField{"version", &Figures::version, "Of the program."},
    FigureField{"uptime_s", &Figures::uptime_s, "Since the start."},
    FigureField{"connections", &Figures::connections, "Open now."},
    FigureField{"hellos_waiting", &Figures::hellos_waiting,
                "Connections whose handshake has not had its turn."},
    FigureField{"sessions", &Figures::sessions, "Devices logged in now."},
    FigureField{"users", &Figures::users, "Accounts in the directory."},
    FigureField{"devices", &Figures::devices, "Devices in the lists of all accounts."},
    FigureField{"queued_envelopes", &Figures::queued_envelopes, "Envelopes not yet acknowledged."},
    FigureField{"queued_bytes", &Figures::queued_bytes, "Bytes of envelopes not yet acknowledged."},
    FigureField{"accepted_total", &Figures::accepted_total,
                "Envelopes accepted, duplicates not counted."},
    FigureField{"delivered_total", &Figures::delivered_total,
                "Envelopes pushed to devices, repeated pushes included."},
    FigureField{"acked_total", &Figures::acked_total, "Envelopes acknowledged by their device."},
    FigureField{"elided_total", &Figures::elided_total,
                "Envelopes acknowledged before they reached the disk."},
    FigureField{"stored_total", &Figures::stored_total, "Envelopes written to the disk."},
    FigureField{"refused_total", &Figures::refused_total,
                "Envelopes, requests and connections refused."},
    FigureField{"expired_total", &Figures::expired_total, "Envelopes that nobody fetched in time."},
    FigureField{"expiry_paused", &Figures::expiry_paused,
                "1 when the clock has jumped and nothing expires."},
    FigureField{"quarantined_total", &Figures::quarantined_total, "Records found damaged."},
    FigureField{"duplicates_total", &Figures::duplicates_total,
                "Submits that had been accepted before."},
    FigureField{"handshakes_total", &Figures::handshakes_total, "Handshakes completed."},
    FigureField{"logins_total", &Figures::logins_total, "Logins."},
    FigureField{"closed_by_relay_total", &Figures::closed_by_relay_total,
                "Connections ended for protocol errors, deadlines or unread output."},
    FigureField{"commits_total", &Figures::commits_total, "Transactions on the disk."},
    FigureField{"store_bytes", &Figures::store_bytes, "Length of data.mdb."},
    FigureField{"store_used_bytes", &Figures::store_used_bytes, "Bytes of it in use."},
    FigureField{"store_reclaimable_bytes", &Figures::store_reclaimable_bytes,
                "Bytes of it that are free."},
    FigureField{"store_full", &Figures::store_full, "1 when the store takes no more envelopes."},
    FigureField{"store_at_size_max", &Figures::store_at_size_max,
                "1 when it is full by store.size_max, 0 when by the disk."},
    FigureField{"store_generation", &Figures::store_generation,
                "Rises when mail may have been lost."},
    FigureField{"store_id", &Figures::store_id, "Of this store; another one is another store."},
    FigureField{"resident_bytes", &Figures::resident_bytes, "Memory of the process."},
};

// A text that is not UTF-8 becomes readable instead of becoming an exception.
std::string written(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

bool read_field(const Json& value, std::uint64_t& to) {
  if (!value.is_number_unsigned()) return false;
  to = value.get<std::uint64_t>();
  return true;
}

bool read_field(const Json& value, bool& to) {
  if (!value.is_boolean()) return false;
  to = value.get<bool>();
  return true;
}

bool read_field(const Json& value, std::string& to) {
  if (!value.is_string()) return false;
  to = value.get_ref<const std::string&>();
  return true;
}

}  // namespace

std::string figures_json(const Figures& figures) {
  auto json = Json::object();
  for (const auto& field : kFigureFields) {
    std::visit([&](auto member) { json[field.name] = figures.*member; }, field.member);
  }
  return written(json);
}

std::optional<Figures> parse_figures(std::string_view text) {
  const auto json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return {};
  Figures figures;
  for (const auto& field : kFigureFields) {
    const auto found = json.find(field.name);
    if (found == json.end()) return {};
    const bool read =
        std::visit([&](auto member) { return read_field(*found, figures.*member); }, field.member);
    if (!read) return {};
  }
  return figures;
}

std::string figures_metrics(const Figures& figures) {
  std::string text;
  const auto add = [&](std::string name, std::string_view help, const std::string& value) {
    name = "godwit_relay_" + name;
    const char* const type = name.ends_with("_total") ? "counter" : "gauge";
    text += "# HELP " + name + " " + std::string(help) + "\n# TYPE " + name + " " + type + "\n" +
            name + value + "\n";
  };
  // A label is quoted as JSON quotes a text.
  add("info", "Version and store, as labels.",
      "{version=" + written(figures.version) + ",store_id=" + written(figures.store_id) + "} 1");
  for (const auto& field : kFigureFields) {
    std::uint64_t value = 0;
    if (const auto* const number = std::get_if<std::uint64_t Figures::*>(&field.member)) {
      value = figures.*(*number);
    } else if (const auto* const flag = std::get_if<bool Figures::*>(&field.member)) {
      value = figures.*(*flag) ? 1 : 0;
    } else {
      continue;  // a text
    }
    std::string name = field.name;
    if (name.ends_with("_s")) name += "econds";  // the unit in full, as is the custom there
    add(std::move(name), field.help, " " + std::to_string(value));
  }
  return text;
}

}  // namespace godwit::relay::ops
