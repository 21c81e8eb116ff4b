#include "relay/commands.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <sstream>

#include "relay/advertise.hpp"
#include "relay/nearest.hpp"
#include "relay/ops/admin.hpp"
#include "relay/version.hpp"
#include "schema/wire/address.hpp"
#include "schema/wire/hash.hpp"
#include "tests/support/temporary_directory.hpp"
#include "tests/unit/relay/ops/asking.hpp"

namespace godwit::relay {
namespace {

using support::content_of;
using support::mode_of;
using support::put_file;
using support::TemporaryDirectory;

// A directory that does not exist yet, and what a command says about it.
struct Commands {
  Commands() { wire::init_crypto(); }

  TemporaryDirectory temporary;
  std::filesystem::path directory = temporary.path() / "relay";
  std::string dir = directory.string();
  std::ostringstream out_stream;
  std::ostringstream err_stream;

  int make(const std::string& listen = {}) {
    return init(directory, listen, out_stream, err_stream);
  }
  std::string out() { return take(out_stream); }
  std::string err() { return take(err_stream); }
  static std::string take(std::ostringstream& stream) {
    auto text = stream.str();
    stream.str({});
    return text;
  }
  void write_config(std::string_view text) { put_file(ops::config_file(directory), text); }
};

TEST_SUITE("relay/commands") {
  TEST_CASE_FIXTURE(Commands, "init makes a directory that runs, and prints its address") {
    REQUIRE(make("192.0.2.1:7700") == kExitOk);
    CHECK(mode_of(directory) == 0700);
    CHECK(mode_of(ops::key_file(directory)) == 0600);
    const auto address = out();
    REQUIRE(address.ends_with("@192.0.2.1:7700\n"));
    CHECK(err().empty());
    const auto parsed = wire::parse_address(address.substr(0, address.size() - 1));
    REQUIRE(parsed.has_value());
    const auto opened = open_directory(directory, err_stream);
    REQUIRE(opened.has_value());
    CHECK(opened->key.public_key == parsed->key);
    CHECK(opened->config.listen == std::vector<std::string>{"192.0.2.1:7700"});
  }

  TEST_CASE_FIXTURE(Commands, "init on all addresses prints a local one and says what to set") {
    REQUIRE(make() == kExitOk);
    CHECK(out().ends_with("@127.0.0.1:7700\n"));
    CHECK(err().find("note: this address works on this machine only; set `advertise` in " + dir +
                     "/relay.toml") == 0);
  }

  TEST_CASE_FIXTURE(Commands, "init never overwrites a relay") {
    REQUIRE(make("127.0.0.1:1") == kExitOk);
    const auto key = content_of(ops::key_file(directory));
    out();
    CHECK(make("127.0.0.1:2") == kExitFailed);
    CHECK(out().empty());
    CHECK(err().find(dir + " already holds a relay") != std::string::npos);
    CHECK(content_of(ops::key_file(directory)) == key);
    CHECK(content_of(ops::config_file(directory)).find("127.0.0.1:1") != std::string::npos);
  }

  TEST_CASE_FIXTURE(Commands, "init keeps a key that was restored from a backup") {
    REQUIRE(make("127.0.0.1:1") == kExitOk);
    const auto address = out();
    std::filesystem::remove(ops::config_file(directory));
    REQUIRE(make("127.0.0.1:1") == kExitOk);
    CHECK(out() == address);
    CHECK(err() == "note: kept the key that was in " + dir + "/key\n");
  }

  TEST_CASE_FIXTURE(Commands, "init refuses a wrong --listen as wrong usage and makes nothing") {
    CHECK(make("relay.example:7700") == kExitUsage);
    CHECK(err().find("godwit-relay: --listen: \"relay.example:7700\" is not HOST:PORT") == 0);
    CHECK_FALSE(std::filesystem::exists(directory));
  }

  TEST_CASE_FIXTURE(Commands, "the address follows advertise, else the first address listened on") {
    REQUIRE(make("[::1]:7700") == kExitOk);
    const auto address = out();
    REQUIRE(print_address(directory, out_stream, err_stream) == kExitOk);
    CHECK(out() == address);
    write_config("[network]\nadvertise = \"relay.example:443\"\nlisten = [\"0.0.0.0:0\"]\n");
    REQUIRE(print_address(directory, out_stream, err_stream) == kExitOk);
    CHECK(out().ends_with("@relay.example:443\n"));
    CHECK(err().empty());
  }

  TEST_CASE_FIXTURE(Commands, "with port 0 the address is asked of the running relay") {
    REQUIRE(make("127.0.0.1:0") == kExitOk);
    CHECK(out().ends_with("@127.0.0.1:0\n"));
    CHECK(err().find("godwit-relay address " + dir) != std::string::npos);
    CHECK(print_address(directory, out_stream, err_stream) == kExitFailed);
    CHECK(err() ==
          "godwit-relay: with port 0 the address is known only while the relay runs: no relay "
          "runs on " +
              dir + "; start it with: godwit-relay run " + dir + "\n");

    net::TestLoop test;
    ops::AdminSocket socket(test.loop, {{}, [] { return std::string("godwit://K@127.0.0.1:9"); }});
    REQUIRE(socket.listen(directory).has_value());
    CHECK(ops::ask_beside<int>(
              test, [&] { return print_address(directory, out_stream, err_stream); }) == kExitOk);
    CHECK(out() == "godwit://K@127.0.0.1:9\n");
  }

  TEST_CASE_FIXTURE(Commands, "check-config is content with what init wrote") {
    REQUIRE(make() == kExitOk);
    out();
    CHECK(check_config(directory, out_stream, err_stream) == kExitOk);
    CHECK(out() == dir + "/relay.toml: ok\n");
  }

  TEST_CASE_FIXTURE(Commands, "check-config tells each fault on a line with its place") {
    REQUIRE(make("127.0.0.1:1") == kExitOk);
    out();
    write_config("[network]\nloop = 1\n[log]\nlevel = 3\n");
    CHECK(check_config(directory, out_stream, err_stream) == kExitFailed);
    CHECK(out().empty());
    CHECK(err() == dir + "/relay.toml:2: network.loop: unknown key; did you mean loops?\n" + dir +
                       "/relay.toml:4: log.level: must be a text in quotes\n");
  }

  TEST_CASE_FIXTURE(Commands, "a directory without a relay is told with how to make one") {
    const auto expected = "godwit-relay: " + dir + " holds no relay (there is no " + dir +
                          "/relay.toml); make one with: godwit-relay init " + dir + "\n";
    CHECK(check_config(directory, out_stream, err_stream) == kExitFailed);
    CHECK(err() == expected);
    CHECK(print_address(directory, out_stream, err_stream) == kExitFailed);
    CHECK(err() == expected);
    CHECK_FALSE(open_directory(directory, err_stream).has_value());
    CHECK(err() == expected);
    CHECK_FALSE(std::filesystem::exists(directory));
  }

  TEST_CASE_FIXTURE(Commands, "a file in place of its directory is told with the directory") {
    REQUIRE(make("127.0.0.1:1") == kExitOk);
    CHECK(check_config(dir + "/relay.toml", out_stream, err_stream) == kExitFailed);
    CHECK(err() == "godwit-relay: " + dir +
                       "/relay.toml is a file; name the directory that it lies in: " + dir + "\n");
  }

  TEST_CASE_FIXTURE(Commands, "a relay does not run beside another one or with an open key") {
    REQUIRE(make("127.0.0.1:1") == kExitOk);
    {
      const auto running = open_directory(directory, err_stream);
      REQUIRE(running.has_value());
      CHECK_FALSE(open_directory(directory, err_stream).has_value());
      CHECK(err().find("godwit-relay: another relay runs on " + dir) == 0);
    }
    REQUIRE(chmod(ops::key_file(directory).c_str(), 0644) == 0);
    CHECK_FALSE(open_directory(directory, err_stream).has_value());
    CHECK(err().find("run: chmod 600 " + dir + "/key") != std::string::npos);
  }

  TEST_CASE_FIXTURE(Commands, "status shows a table, one line of JSON, or metrics") {
    std::filesystem::create_directory(directory);
    ops::Figures figures;
    figures.version = "1.2.3";
    figures.connections = 42;
    net::TestLoop test;
    ops::AdminSocket socket(test.loop, {[&] { return figures; }, {}});
    REQUIRE(socket.listen(directory).has_value());
    const auto ask = [&](StatusForm form) {
      return ops::ask_beside<int>(
          test, [&, form] { return print_status(directory, form, out_stream, err_stream); });
    };
    CHECK(ask(StatusForm::json) == kExitOk);
    CHECK(out() == ops::figures_json(figures) + "\n");
    CHECK(ask(StatusForm::table) == kExitOk);
    CHECK(out() == status_table(figures));
    CHECK(ask(StatusForm::metrics) == kExitOk);
    CHECK(out() == ops::figures_metrics(figures));
  }

  TEST_CASE_FIXTURE(Commands, "status without a running relay fails with how to start it") {
    CHECK(print_status(directory, StatusForm::table, out_stream, err_stream) == kExitFailed);
    CHECK(out().empty());
    CHECK(err() == "godwit-relay: no relay runs on " + dir + "; start it with: godwit-relay run " +
                       dir + "\n");
  }

  TEST_CASE("the table is aligned and has units") {
    ops::Figures figures;
    figures.version = "1.2.3";
    figures.uptime_s = 3 * 86'400 + 4 * 3'600 + 5;
    figures.resident_bytes = 1'023;
    figures.queued_envelopes = 7;
    figures.queued_bytes = 1'536;
    figures.store_bytes = std::uint64_t{5} << 30;
    figures.store_full = true;
    figures.expired_total = 3;
    figures.expiry_paused = true;
    const auto table = status_table(figures);
    CHECK(table.find("version          1.2.3\nup               3 d 4 h\n"
                     "memory           1023 B\n") == 0);
    CHECK(table.find("\nqueued           7 envelopes, 1.5 KiB\n") != std::string::npos);
    CHECK(
        table.find("\nstore            5.0 GiB on disk, 0 B used, 0 B reclaimable, FULL: the disk "
                   "has no room\n") != std::string::npos);
    figures.store_at_size_max = true;
    CHECK(status_table(figures).find(", FULL: at 80 % of size_max\n") != std::string::npos);
    CHECK(table.find("\nexpired          3, PAUSED: the clock has jumped\n") != std::string::npos);
    figures.uptime_s = 3'660;
    CHECK(status_table(figures).find("up               1 h 1 min\n") != std::string::npos);
    figures.uptime_s = 61;
    CHECK(status_table(figures).find("up               1 min 1 s\n") != std::string::npos);
    figures.uptime_s = 59;
    CHECK(status_table(figures).find("up               59 s\n") != std::string::npos);
  }
}

TEST_SUITE("relay/advertise") {
  TEST_CASE("a wildcard in any spelling becomes the loopback address of its family") {
    const Config config;
    CHECK(advertised_host_port(config, "0.0.0.0:7700") == "127.0.0.1:7700");
    CHECK(advertised_host_port(config, "[::]:7700") == "[::1]:7700");
    CHECK(advertised_host_port(config, "[0:0::0]:7700") == "[::1]:7700");
    CHECK(advertised_host_port(config, "192.0.2.1:7700") == "192.0.2.1:7700");
    CHECK(advertises_loopback_only(config));
  }

  TEST_CASE("what the operator advertises goes before what is listened on") {
    Config config;
    config.advertise = "relay.example:443";
    CHECK(advertised_host_port(config, "0.0.0.0:7700") == "relay.example:443");
    CHECK_FALSE(advertises_loopback_only(config));
    config.advertise.clear();
    config.listen = {"127.0.0.1:7700"};
    CHECK_FALSE(advertises_loopback_only(config));
  }
}

TEST_SUITE("relay/nearest") {
  TEST_CASE("a typing mistake finds the word that was meant") {
    const std::vector<std::string_view> words{"init", "run", "address", "check-config", "status"};
    CHECK(nearest("statsu", words) == "status");
    CHECK(nearest("adress", words) == "address");
    CHECK(nearest("rum", words) == "run");
    CHECK(nearest("check_config", words) == "check-config");
    CHECK(nearest("status", words) == "status");
  }

  TEST_CASE("a word that is near to none finds nothing") {
    const std::vector<std::string_view> words{"init", "run", "status"};
    CHECK_FALSE(nearest("frobnicate", words).has_value());
    CHECK_FALSE(nearest("", words).has_value());
    CHECK_FALSE(nearest("x", {}).has_value());
    CHECK_FALSE(nearest(std::string(100'000, 'a'), words).has_value());
  }
}

TEST_SUITE("relay/version") {
  TEST_CASE("the version is three numbers") {
    CHECK(std::count(version().begin(), version().end(), '.') == 2);
    CHECK(version().find_first_not_of("0123456789.") == std::string_view::npos);
  }
}

}  // namespace
}  // namespace godwit::relay
