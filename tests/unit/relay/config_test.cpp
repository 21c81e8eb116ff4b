#include "relay/config.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "relay/limits.hpp"
#include "schema/wire/limits.hpp"
#include "tests/support/temporary_directory.hpp"

namespace godwit::relay {
namespace {

using support::put_file;
using support::TemporaryDirectory;

std::string to_text(const ConfigFault& fault) {
  return std::to_string(fault.line) + ": " + fault.key + ": " + fault.what;
}

std::vector<std::string> faults_of(std::string_view text) {
  const auto config = parse_config(text);
  std::vector<std::string> faults;
  if (!config) {
    std::transform(config.error().begin(), config.error().end(), std::back_inserter(faults),
                   to_text);
  }
  return faults;
}

// The one fault of a text.
std::string fault_of(std::string_view text) {
  const auto faults = faults_of(text);
  REQUIRE(faults.size() == 1);
  return faults.front();
}

Config config_of(std::string_view text) {
  auto config = parse_config(text);
  if (!config) FAIL(to_text(config.error().front()));
  return *std::move(config);
}

// Every setting differs from its default.
Config unusual_config() {
  Config c;
  c.listen = {"127.0.0.1:0", "[::1]:7701"};
  c.advertise = "relay.example.org:443";
  c.loops = 3;
  c.connections_max = 7;
  c.unlimited_from = {"10.0.0.0/8"};
  c.ttl_default_s = 90;
  c.ttl_max_s = 7'200;
  c.mailbox_envelopes_max = 11;
  c.mailbox_bytes_max = 1'234'567;
  c.envelope_size_max = 70'001;
  c.text_size_max = 60'000;
  c.media_size_max = 1'024;
  c.window_envelopes = 13;
  c.window_bytes = 100'000;
  c.group_members_max = 17;
  c.devices_max = 4;
  c.submits_in_flight_max = 19;
  c.submits_per_s = 23;
  c.submits_burst = 29;
  c.handshakes_per_s = 31;
  c.handshakes_burst = 37;
  c.registrations_per_hour = 41;
  c.store_size_max = std::uint64_t{5} << 40;
  c.store_grow_step = 3 << 20;
  c.store_reserve = 2 << 20;
  c.log_level = "debug";
  return c;
}

// Fails to compile when a setting is added, so that the checks below cannot forget it.
auto fields_of(const Config& config) {
  const auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z] =
      config;
  return std::tie(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z);
}

TEST_SUITE("relay/config") {
  TEST_CASE("an empty file gives the defaults") {
    CHECK(fields_of(config_of("")) == fields_of(Config{}));
    CHECK(fields_of(config_of("# nothing\n[limits]\n")) == fields_of(Config{}));
  }

  TEST_CASE("every setting that is written is read back, whatever its value") {
    const Config unusual = unusual_config();
    CHECK(fields_of(config_of(config_text(Config{}))) == fields_of(Config{}));
    CHECK(fields_of(config_of(config_text(unusual))) == fields_of(unusual));
  }

  TEST_CASE("the written file explains each setting with its default and range") {
    const auto text = config_text(unusual_config());
    CHECK(text.find("# How long an envelope waits for its device when the sender does not say.\n"
                    "# Default: \"30 days\". Range: 1 second to 45 days.\n"
                    "ttl_default = \"90 seconds\"\n") != std::string::npos);
    CHECK(text.find("\nsize_max = \"5 TiB\"\n") != std::string::npos);
    CHECK(text.find("\nlisten = [\"127.0.0.1:0\", \"[::1]:7701\"]\n") != std::string::npos);
    CHECK(text.find("# Default: 100. Range: 1 to 1000000.\nsubmits_per_s = 23\n") !=
          std::string::npos);
  }

  TEST_CASE("a size may be bytes or a text with a unit") {
    const auto store_size = [](const std::string& value) {
      return config_of("[store]\nsize_max = " + value).store_size_max;
    };
    CHECK(store_size("1073741824") == 1u << 30);
    CHECK(store_size("\"1073741824 bytes\"") == 1u << 30);
    CHECK(store_size("\"1048576 KiB\"") == 1u << 30);
    CHECK(store_size("\"1024MiB\"") == 1u << 30);
    CHECK(store_size("\"1 GiB\"") == 1u << 30);
    CHECK(store_size("\"2 TiB\"") == std::uint64_t{2} << 40);
  }

  TEST_CASE("a duration may be seconds or a text with a unit") {
    const auto ttl = [](const std::string& value) {
      return config_of("[limits]\nttl_default = " + value).ttl_default_s;
    };
    CHECK(ttl("86400") == 86'400);
    CHECK(ttl("\"1 day\"") == 86'400);
    CHECK(ttl("\"2 days\"") == 172'800);
    CHECK(ttl("\"3 hours\"") == 10'800);
    CHECK(ttl("\"5 minutes\"") == 300);
    CHECK(ttl("\"1 second\"") == 1);
  }

  TEST_CASE("a number that is no such number is refused with what is allowed") {
    for (const std::string value :
         {"\"64 MB\"", "\"64\"", "\"MiB\"", "\"-1 MiB\"", "\"64  MiB\"", "\"64 MiB \"",
          "\"99999999999 TiB\"", "\"1 day\"", "1.5", "true", "[1]", "-1"}) {
      CAPTURE(value);
      const auto fault = fault_of("[store]\ngrow_step = " + value);
      CHECK(fault.find("2: store.grow_step: must be a size from 1 MiB to 16 GiB, in bytes or as "
                       "\"16 MiB\"") == 0);
    }
    CHECK(fault_of("[rates]\nsubmits_per_s = \"100\"") ==
          "2: rates.submits_per_s: must be a number from 1 to 1000000; it is \"100\"");
  }

  TEST_CASE("a value one beyond its range is refused and the last within it is taken") {
    CHECK(config_of("[limits]\nttl_max = \"45 days\"").ttl_max_s == 45 * 86'400);
    CHECK(fault_of("[limits]\nttl_max = \"46 days\"") ==
          "2: limits.ttl_max: must be a duration from 1 second to 45 days, in seconds or as "
          "\"30 days\"; it is \"46 days\"");
    CHECK(fault_of("[limits]\nttl_max = 3888001").find("it is 3888001") != std::string::npos);
    CHECK(config_of("[network]\nloops = 0").loops == 0);
    CHECK(fault_of("[network]\nconnections_max = 0") ==
          "2: network.connections_max: must be a number from 1 to 1000000; it is 0");
    CHECK(config_of("[limits]\nenvelope_size_max = \"72 KiB\"").envelope_size_max ==
          wire::kEnvelopeSizeMax);
    CHECK(fault_of("[limits]\nenvelope_size_max = 73729").find("to 72 KiB") != std::string::npos);
  }

  TEST_CASE("an unknown key or section is a fault that says what was probably meant") {
    CHECK(fault_of("[limits]\n\nttl_defualt = 5") ==
          "3: limits.ttl_defualt: unknown key; did you mean ttl_default?");
    CHECK(fault_of("[limits]\nfrobnicate = 5") == "2: limits.frobnicate: unknown key");
    CHECK(fault_of("[limit]\nttl_max = 5") == "1: limit: unknown section; did you mean [limits]?");
    CHECK(fault_of("[plugins]") == "1: plugins: unknown section");
    CHECK(fault_of("[store]\nlisten = []") == "2: store.listen: belongs in the section [network]");
    CHECK(fault_of("listen = []") == "1: listen: belongs in the section [network]");
    CHECK(fault_of("log = \"info\"") == "1: log: must be a section, written [log]");
  }

  TEST_CASE("every fault is told, in the order of the file") {
    const auto faults = faults_of(
        "[rates]\n"
        "submits_burst = 0\n"
        "\n"
        "[network]\n"
        "listen = [\"0.0.0.0:7700\", \"nowhere\"]\n"
        "advertise = 5\n"
        "[log]\n"
        "level = \"loud\"\n");
    REQUIRE(faults.size() == 4);
    CHECK(faults[0].find("2: rates.submits_burst: must be a number") == 0);
    CHECK(faults[1].find("5: network.listen: \"nowhere\" is not HOST:PORT") == 0);
    CHECK(faults[2] == "6: network.advertise: must be a text in quotes");
    CHECK(faults[3] == "8: log.level: \"loud\" is none of debug, info, warning, error");
  }

  TEST_CASE("a syntax error is told with its line") {
    CHECK(fault_of("[limits]\nttl_max = \n").find("2: syntax: ") == 0);
    CHECK(fault_of("[limits]\nttl_max = 1\nttl_max = 2\n").find("3: syntax: ") == 0);
    CHECK(fault_of("\n\n\n[limits").find("4: syntax: ") == 0);
    CHECK(fault_of("a = \"\xff\"").find("1: syntax: ") == 0);
  }

  TEST_CASE("listen takes numeric addresses, advertise takes names too") {
    CHECK(config_of("[network]\nlisten = [\"[::]:0\"]").listen ==
          std::vector<std::string>{"[::]:0"});
    CHECK(config_of("[network]\nadvertise = \"relay.example:1\"").advertise == "relay.example:1");
    CHECK(config_of("[network]\nadvertise = \"\"").advertise.empty());
    for (const std::string bad :
         {"[]", "\"0.0.0.0:7700\"", "[\"relay.example:7700\"]", "[\"0.0.0.0\"]", "[\"::1:7700\"]",
          "[7700]", "[\"[::ffff:127.0.0.1]:7700\"]"}) {
      CAPTURE(bad);
      CHECK(fault_of("[network]\nlisten = " + bad).find("2: network.listen: ") == 0);
    }
    CHECK(fault_of("[network]\nadvertise = \"relay.example:0\"").find("is not HOST:PORT") !=
          std::string::npos);
  }

  TEST_CASE("no two entries of listen take the same port of the same address") {
    CHECK(fault_of("[network]\nlisten = [\n  \"127.0.0.1:7700\",\n  \"127.0.0.1:7700\",\n]") ==
          "4: network.listen: \"127.0.0.1:7700\" stands twice in the list");
    CHECK(fault_of("[network]\nlisten = [\"[::1]:7700\", \"[0:0::1]:7700\"]") ==
          "2: network.listen: \"[0:0::1]:7700\" stands twice in the list");
    CHECK(fault_of("[network]\nlisten = [\"0.0.0.0:7700\", \"127.0.0.1:7700\"]") ==
          "2: network.listen: \"127.0.0.1:7700\" is the same port as \"0.0.0.0:7700\", which is "
          "listened on already");
    CHECK(fault_of("[network]\nlisten = [\"[::1]:7700\", \"[::]:7700\"]")
              .find("2: network.listen: \"[::]:7700\" is the same port as \"[::1]:7700\"") == 0);
    for (const std::string good :
         {"\"127.0.0.1:0\", \"127.0.0.1:0\"", "\"0.0.0.0:7700\", \"[::]:7700\"",
          "\"127.0.0.1:7700\", \"127.0.0.2:7700\"", "\"127.0.0.1:7700\", \"127.0.0.1:7701\""}) {
      CAPTURE(good);
      CHECK(config_of("[network]\nlisten = [" + good + "]").listen.size() == 2);
    }
  }

  TEST_CASE("a list tells the line of the entry that is wrong") {
    CHECK(fault_of("[network]\nunlimited_from = [\n  \"::1\",\n  \"10.0.0.0/33\",\n]") ==
          "4: network.unlimited_from: \"10.0.0.0/33\" needs a prefix length from 0 to 32");
    CHECK(config_of("[network]\nunlimited_from = []").unlimited_from.empty());
  }

  TEST_CASE("settings that contradict each other are refused") {
    CHECK(fault_of("[limits]\nttl_max = \"7 days\"") ==
          "2: limits.ttl_default: is 30 days but must not exceed limits.ttl_max, which is 7 days");
    CHECK(fault_of("[limits]\nttl_max = 60\nttl_default = 61") ==
          "3: limits.ttl_default: is 61 seconds but must not exceed limits.ttl_max, which is "
          "1 minute");
    CHECK(faults_of("[limits]\nttl_max = 60\nttl_default = 60").empty());
    CHECK(fault_of("[limits]\nwindow_bytes = \"71 KiB\"") ==
          "2: limits.envelope_size_max: is 72 KiB but must not exceed limits.window_bytes, which "
          "is 71 KiB");
    CHECK(faults_of("[limits]\nwindow_bytes = \"72 KiB\"").empty());
    CHECK(fault_of("[limits]\nmailbox_bytes_max = 4096").find("limits.mailbox_bytes_max") !=
          std::string::npos);
    // More the store would cut without a word.
    CHECK(fault_of("[store]\nsize_max = \"20 MiB\"\ngrow_step = \"16 MiB\"\nreserve = \"3 MiB\"") ==
          "4: store.reserve: is 3 MiB but must not exceed a tenth of store.size_max, which is "
          "20 MiB");
    CHECK(faults_of("[store]\nsize_max = \"20 MiB\"\ngrow_step = \"16 MiB\"\nreserve = \"2 MiB\"")
              .empty());
    CHECK(fault_of("[store]\nsize_max = \"32 MiB\"\nreserve = \"1 MiB\"")
              .find("2: store.grow_step: ") == 0);
  }

  TEST_CASE("a text must fit its envelope, with all that stands around it") {
    const auto limits = [](const std::string& envelope, const std::string& text) {
      return faults_of("[limits]\nenvelope_size_max = " + envelope + "\ntext_size_max = " + text);
    };
    CHECK(fault_of("[limits]\nenvelope_size_max = \"64 KiB\"") ==
          "2: limits.text_size_max: is 64 KiB, in an envelope up to 69921 bytes, but "
          "limits.envelope_size_max is 64 KiB");
    CHECK(limits("69920", "65536").size() == 1);
    CHECK(limits("69921", "65536").empty());
    CHECK(limits("4096", "700").empty());  // the least that either may be
    CHECK(limits("4096", "4096").size() == 1);
    CHECK(limits("4384", "3798").size() == 1);  // padded in steps of 256 bytes, up to 4 KiB
    CHECK(limits("4385", "3798").empty());
    CHECK(limits("8480", "3799").size() == 1);  // and of 4 KiB from there
    CHECK(limits("8481", "3799").empty());
  }

  TEST_CASE("a file that cannot be read is one fault of the file as a whole") {
    const TemporaryDirectory directory;
    const auto missing = read_config(directory.path() / "relay.toml");
    REQUIRE_FALSE(missing.has_value());
    CHECK(to_text(missing.error().at(0)) == "0: file: cannot be read: No such file or directory");
    const auto folder = read_config(directory.path());
    REQUIRE_FALSE(folder.has_value());
    CHECK(to_text(folder.error().at(0)) == "0: file: cannot be read: Is a directory");
    put_file(directory.path() / "large", std::string((1 << 20) + 1, '#'));
    const auto large = read_config(directory.path() / "large");
    REQUIRE_FALSE(large.has_value());
    CHECK(to_text(large.error().at(0)) == "0: file: is larger than 1 MiB");
    put_file(directory.path() / "relay.toml", "[network]\nloops = 2\n");
    CHECK(read_config(directory.path() / "relay.toml")->loops == 2);
    put_file(directory.path() / "empty", "");
    CHECK(read_config(directory.path() / "empty").has_value());
  }

  TEST_CASE("what Welcome tells is what was configured") {
    const Config c = unusual_config();
    const auto limits = c.wire_limits();
    CHECK(limits.frame_size_max == wire::kFrameSizeMax);
    CHECK(limits.envelope_size_max == c.envelope_size_max);
    CHECK(limits.text_size_max == c.text_size_max);
    CHECK(limits.media_size_max == c.media_size_max);
    CHECK(limits.group_members_max == c.group_members_max);
    CHECK(limits.devices_max == c.devices_max);
    CHECK(limits.ttl_default_s == c.ttl_default_s);
    CHECK(limits.ttl_max_s == c.ttl_max_s);
    CHECK(limits.mailbox_envelopes_max == c.mailbox_envelopes_max);
    CHECK(limits.mailbox_bytes_max == c.mailbox_bytes_max);
    CHECK(limits.window_envelopes == c.window_envelopes);
    CHECK(limits.window_bytes == c.window_bytes);
    CHECK(limits.submits_in_flight_max == c.submits_in_flight_max);
    CHECK(limits.submits_per_s == c.submits_per_s);
    CHECK(limits.submits_burst == c.submits_burst);
    CHECK(limits.one_time_keys_max == kOneTimeKeysMax);
  }
}

}  // namespace
}  // namespace godwit::relay
