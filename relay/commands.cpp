#include "relay/commands.hpp"

#include <array>
#include <cstdio>
#include <ostream>
#include <utility>
#include <vector>

#include "relay/advertise.hpp"
#include "relay/ops/admin.hpp"
#include "relay/store/limits.hpp"
#include "schema/wire/address.hpp"
#include "schema/wire/hash.hpp"
#include "schema/wire/x25519.hpp"

namespace godwit::relay {
namespace {

using std::filesystem::path;

constexpr mode_t kConfigMode = 0644;  // its directory is 0700, and it holds no secret

int fail(std::ostream& err, const std::string& what) {
  err << "godwit-relay: " << what << '\n';
  return kExitFailed;
}

bool is_there(const path& file) {
  std::error_code error;
  return std::filesystem::exists(file, error);
}

// The settings of a directory that holds a relay; else every fault goes to `err`.
std::optional<Config> load_config(const path& directory, std::ostream& err) {
  const auto file = ops::config_file(directory);
  std::error_code unseen;
  if (std::filesystem::is_regular_file(directory, unseen)) {
    const path parent = directory.has_parent_path() ? directory.parent_path() : path(".");
    fail(err,
         directory.string() + " is a file; name the directory that it lies in: " + parent.string());
    return {};
  }
  if (!std::filesystem::exists(file, unseen)) {
    fail(err, unseen ? file.string() + ": " + unseen.message() +
                           "; do this as the user that the relay belongs to"
                     : directory.string() + " holds no relay (there is no " + file.string() +
                           "); make one with: godwit-relay init " + directory.string());
    return {};
  }
  auto config = read_config(file);
  if (config) return *std::move(config);
  for (const auto& fault : config.error()) {
    err << file.string() << ':';
    if (fault.line != 0) err << fault.line << ':';
    err << ' ' << fault.key << ": " << fault.what << '\n';
  }
  return {};
}

// The key of the directory, made when there is none.
tl::expected<wire::Key, std::string> keep_or_make_key(const path& directory, std::ostream& err) {
  if (is_there(ops::key_file(directory))) {
    const auto kept = ops::read_key(directory);
    if (!kept) return tl::unexpected(kept.error());
    err << "note: kept the key that was in " << ops::key_file(directory).string() << '\n';
    return kept->public_key;
  }
  auto made = wire::random_key_pair();
  const auto written = ops::write_key(directory, made.secret);
  wire::wipe(made.secret.bytes);
  if (!written) return tl::unexpected(written.error());
  return made.public_key;
}

bool port_is_open(const Config& config) {
  return config.advertise.empty() && wire::parse_host_port(config.listen.front())->port == 0;
}

std::string address_text(const Config& config, const wire::Key& key) {
  return wire::format_address({key, advertised_host_port(config, config.listen.front())});
}

void note_loopback(const path& directory, const Config& config, std::ostream& err) {
  if (!advertises_loopback_only(config)) return;
  err << "note: this address works on this machine only; set `advertise` in "
      << ops::config_file(directory).string() << " to the HOST:PORT that clients reach\n";
}

struct TableUnit {
  double size;
  const char* name;
};

// "1.5 GiB"; below 1 KiB the exact number.
std::string bytes_text(std::uint64_t bytes) {
  constexpr std::array<TableUnit, 4> kUnits{
      {{1099511627776.0, "TiB"}, {1073741824.0, "GiB"}, {1048576.0, "MiB"}, {1024.0, "KiB"}}};
  for (const auto& unit : kUnits) {
    if (static_cast<double>(bytes) < unit.size) continue;
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.1f %s", static_cast<double>(bytes) / unit.size,
                  unit.name);
    return text.data();
  }
  return std::to_string(bytes) + " B";
}

std::string uptime_text(std::uint64_t seconds) {
  const auto days = seconds / 86'400;
  const auto hours = seconds / 3'600 % 24;
  const auto minutes = seconds / 60 % 60;
  if (days > 0) return std::to_string(days) + " d " + std::to_string(hours) + " h";
  if (hours > 0) return std::to_string(hours) + " h " + std::to_string(minutes) + " min";
  if (minutes > 0) {
    return std::to_string(minutes) + " min " + std::to_string(seconds % 60) + " s";
  }
  return std::to_string(seconds) + " s";
}

}  // namespace

int init(const path& directory, const std::string& listen, std::ostream& out, std::ostream& err) {
  Config config;
  if (!listen.empty()) config.listen = {listen};
  if (const auto checked = parse_config(config_text(config)); !checked) {
    err << "godwit-relay: --listen: " << checked.error().front().what << '\n';
    return kExitUsage;
  }
  if (auto made = ops::prepare_directory(directory); !made) return fail(err, made.error());
  // Before the lock, whose file a home has too.
  if (is_there(directory / "keyring")) {
    return fail(err, directory.string() + " is the home of a client; name another directory");
  }
  // Held until the end, so that two of us cannot both find the directory empty.
  const auto lock = ops::DirectoryLock::acquire(directory);
  if (!lock) return fail(err, lock.error());
  const auto file = ops::config_file(directory);
  if (is_there(file)) {
    return fail(err, directory.string() +
                         " already holds a relay; start it with: godwit-relay "
                         "run " +
                         directory.string() + ", or name another directory");
  }
  const auto key = keep_or_make_key(directory, err);
  if (!key) return fail(err, key.error());
  // Last, since its presence says that the directory is complete.
  if (auto written = ops::write_atomically(file, config_text(config), kConfigMode); !written) {
    return fail(err, written.error());
  }
  out << address_text(config, *key) << '\n';
  if (port_is_open(config)) {
    err << "note: port 0 becomes a free port at each start; ask for the address in use with: "
           "godwit-relay address "
        << directory.string() << '\n';
  }
  note_loopback(directory, config, err);
  return kExitOk;
}

int print_address(const path& directory, std::ostream& out, std::ostream& err) {
  const auto config = load_config(directory, err);
  if (!config) return kExitFailed;
  if (port_is_open(*config)) {
    const auto address = ops::ask_address(directory);
    if (!address) {
      return fail(err,
                  "with port 0 the address is known only while the relay runs: " + address.error());
    }
    out << *address << '\n';
    return kExitOk;
  }
  const auto key = ops::read_key(directory);
  if (!key) return fail(err, key.error());
  out << address_text(*config, key->public_key) << '\n';
  note_loopback(directory, *config, err);
  return kExitOk;
}

int check_config(const path& directory, std::ostream& out, std::ostream& err) {
  if (!load_config(directory, err)) return kExitFailed;
  out << ops::config_file(directory).string() << ": ok\n";
  return kExitOk;
}

int print_status(const path& directory, StatusForm form, std::ostream& out, std::ostream& err) {
  const auto figures = ops::ask_status(directory);
  if (!figures) return fail(err, figures.error());
  switch (form) {
    case StatusForm::table:
      out << status_table(*figures);
      break;
    case StatusForm::json:
      out << ops::figures_json(*figures) << '\n';
      break;
    case StatusForm::metrics:
      out << ops::figures_metrics(*figures);
      break;
  }
  return kExitOk;
}

std::string status_table(const ops::Figures& figures) {
  std::string full;
  if (figures.store_full) {
    full = figures.store_at_size_max
               ? ", FULL: at " + std::to_string(store::kMapPercentMax) + " % of size_max"
               : ", FULL: the disk has no room";
  }
  const auto number = [](std::uint64_t value) { return std::to_string(value); };
  const std::vector<std::pair<std::string, std::string>> rows{
      {"version", figures.version},
      {"up", uptime_text(figures.uptime_s)},
      {"memory", bytes_text(figures.resident_bytes)},
      {"", ""},
      {"connections", number(figures.connections)},
      {"sessions", number(figures.sessions) + " logged in"},
      {"users", number(figures.users)},
      {"devices", number(figures.devices)},
      {"handshakes",
       number(figures.handshakes_total) + ", " + number(figures.hellos_waiting) + " waiting"},
      {"logins", number(figures.logins_total)},
      {"closed by relay", number(figures.closed_by_relay_total)},
      {"", ""},
      {"queued",
       number(figures.queued_envelopes) + " envelopes, " + bytes_text(figures.queued_bytes)},
      {"accepted", number(figures.accepted_total)},
      {"delivered", number(figures.delivered_total) + " pushes"},
      {"acknowledged", number(figures.acked_total) + ", " + number(figures.elided_total) +
                           " before they reached the disk"},
      {"stored", number(figures.stored_total)},
      {"refused", number(figures.refused_total)},
      {"duplicates", number(figures.duplicates_total)},
      {"expired", number(figures.expired_total) +
                      (figures.expiry_paused ? ", PAUSED: the clock has jumped" : "")},
      {"quarantined", number(figures.quarantined_total)},
      {"", ""},
      {"store", bytes_text(figures.store_bytes) + " on disk, " +
                    bytes_text(figures.store_used_bytes) + " used, " +
                    bytes_text(figures.store_reclaimable_bytes) + " reclaimable" + full},
      {"commits", number(figures.commits_total)},
      {"store id", figures.store_id + ", generation " + number(figures.store_generation)},
  };
  constexpr std::size_t kLabelWidth = 17;
  std::string table;
  for (const auto& [label, value] : rows) {
    if (!label.empty()) {
      table += label;
      table.append(kLabelWidth - label.size(), ' ');
      table += value;
    }
    table += '\n';
  }
  return table;
}

std::optional<OpenedDirectory> open_directory(const path& directory, std::ostream& err) {
  auto config = load_config(directory, err);
  if (!config) return {};
  auto lock = ops::DirectoryLock::acquire(directory);
  if (!lock) {
    fail(err, lock.error());
    return {};
  }
  const auto key = ops::read_key(directory);
  if (!key) {
    fail(err, key.error());
    return {};
  }
  return OpenedDirectory{*std::move(lock), *std::move(config), *key};
}

}  // namespace godwit::relay
