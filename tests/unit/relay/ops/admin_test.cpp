#include "relay/ops/admin.hpp"

#include <doctest/doctest.h>
#include <sys/socket.h>

#include <array>
#include <nlohmann/json.hpp>
#include <vector>

#include "tests/support/temporary_directory.hpp"
#include "tests/unit/relay/ops/asking.hpp"

namespace godwit::relay::ops {
namespace {

using support::mode_of;
using support::put_file;
using support::TemporaryDirectory;

using namespace std::chrono_literals;

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

struct Served {
  explicit Served(std::chrono::milliseconds deadline = net::kTestPatience)
      : socket(test.loop, {sample_figures, [] { return std::string("godwit://K@h:1"); }},
               deadline) {
    REQUIRE(socket.listen(directory.path()).has_value());
  }

  // A connection that the socket has seen.
  File connect() {
    const auto before = socket.clients();
    File file = connect_unseen();
    test.run_until([&] { return socket.clients() > before; });
    return file;
  }
  File connect_unseen() {
    const auto descriptor = net::connect_local(admin_socket(directory.path()).string());
    REQUIRE(descriptor.has_value());
    return File(*descriptor);
  }
  std::string read_to_end(const File& file) {
    return ask_beside<std::string>(test, [&file] {
      std::string text;
      std::array<char, 4096> part{};
      for (;;) {
        const auto got = recv(file.get(), part.data(), part.size(), 0);
        if (got <= 0) return text;
        text.append(part.data(), static_cast<std::size_t>(got));
      }
    });
  }

  TemporaryDirectory directory;
  net::TestLoop test;
  AdminSocket socket;
};

void send_text(const File& file, std::string_view text) {
  REQUIRE(send(file.get(), text.data(), text.size(), MSG_NOSIGNAL) ==
          static_cast<ssize_t>(text.size()));
}

TEST_SUITE("relay/ops/admin") {
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

  TEST_CASE("a running relay tells its figures and its address") {
    Served served;
    const auto directory = served.directory.path();
    const auto figures = ask_beside<tl::expected<Figures, std::string>>(
        served.test, [&] { return ask_status(directory); });
    REQUIRE(figures.has_value());
    CHECK(fields_of(*figures) == fields_of(sample_figures()));
    const auto address = ask_beside<tl::expected<std::string, std::string>>(
        served.test, [&] { return ask_address(directory); });
    CHECK(address == "godwit://K@h:1");
    served.test.run_until([&] { return served.socket.clients() == 0; });
  }

  TEST_CASE("a request may come in pieces, and what follows its line is ignored") {
    Served served;
    const auto file = served.connect();
    send_text(file, "addr");
    served.test.settle();
    send_text(file, "ess\nstatus\n");
    CHECK(served.read_to_end(file) == "{\"address\":\"godwit://K@h:1\"}\n");
  }

  TEST_CASE("an unknown command is answered with an error") {
    Served served;
    const auto file = served.connect();
    send_text(file, "reboot\n");
    CHECK(served.read_to_end(file) == "{\"error\":\"unknown command\"}\n");
  }

  TEST_CASE("a request without an end is cut off at its bound") {
    Served served;
    const auto file = served.connect();
    send_text(file, std::string(kAdminRequestSizeMax - 1, 'x'));
    served.test.settle();
    CHECK(served.socket.clients() == 1);
    send_text(file, "x");
    served.test.run_until([&] { return served.socket.clients() == 0; });
    CHECK(served.read_to_end(file).empty());
  }

  TEST_CASE("a client that says nothing is hung up on at its deadline") {
    Served served(1ms);
    const auto file = served.connect_unseen();
    CHECK(served.read_to_end(file).empty());
    CHECK(served.socket.clients() == 0);
  }

  TEST_CASE("clients beyond the bound are hung up on, and the place of one that leaves is free") {
    Served served;
    std::vector<File> files;
    while (files.size() < kAdminClientsMax) files.push_back(served.connect());
    const auto beyond = served.connect_unseen();
    CHECK(served.read_to_end(beyond).empty());
    CHECK(served.socket.clients() == kAdminClientsMax);
    files.pop_back();
    served.test.run_until([&] { return served.socket.clients() < kAdminClientsMax; });
    const auto next = served.connect();
    send_text(next, "address\n");
    CHECK(served.read_to_end(next) == "{\"address\":\"godwit://K@h:1\"}\n");
  }

  TEST_CASE("the socket is for its owner alone, replaces a stale one and leaves no file") {
    const TemporaryDirectory directory;
    put_file(admin_socket(directory.path()), "what a crash left");
    {
      net::TestLoop test;
      AdminSocket socket(test.loop, {});
      REQUIRE(socket.listen(directory.path()).has_value());
      CHECK(mode_of(admin_socket(directory.path())) == 0600);
    }
    CHECK_FALSE(std::filesystem::exists(admin_socket(directory.path())));
  }

  TEST_CASE("without a running relay the question says how to start one") {
    const TemporaryDirectory directory;
    const auto start = "no relay runs on " + directory.path().string() +
                       "; start it with: godwit-relay run " + directory.path().string();
    CHECK(ask_status(directory.path()).error() == start);
    put_file(admin_socket(directory.path()), "no socket");
    CHECK(ask_address(directory.path()).error() == start);
  }

  TEST_CASE("a relay that hangs is given up on") {
    Served served;  // whose loop does not run
    CHECK(ask_status(served.directory.path(), 1ms).error() ==
          "the relay on " + served.directory.path().string() + " does not answer; see its log");
  }

  TEST_CASE("of a relay that hangs it is told however often it was asked") {
    Served served;
    const auto told =
        "the relay on " + served.directory.path().string() + " does not answer; see its log";
    for (int i = 0; i < 30; ++i) CHECK(ask_status(served.directory.path(), 1ms).error() == told);
  }

  TEST_CASE("an answer that is no figures is told as a relay of another version") {
    const TemporaryDirectory directory;
    net::TestLoop test;
    std::vector<net::Stream> streams;
    auto listener = net::LocalListener::listen(
        test.loop, admin_socket(directory.path()).string(), [&](net::Stream stream) {
          const auto line = wire::as_bytes("{\"version\":\"9\"}\n");
          stream.write(wire::Bytes(line.begin(), line.end()));
          stream.shutdown();
          streams.push_back(std::move(stream));
        });
    REQUIRE(listener.has_value());
    const auto figures = ask_beside<tl::expected<Figures, std::string>>(
        test, [&] { return ask_status(directory.path()); });
    REQUIRE_FALSE(figures.has_value());
    CHECK(figures.error().find("is of another version") != std::string::npos);
  }
}

}  // namespace
}  // namespace godwit::relay::ops
