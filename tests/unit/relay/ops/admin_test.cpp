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

Figures some_figures() {
  Figures figures;
  figures.version = "1.2.3";
  figures.users = 42;
  return figures;
}

struct Served {
  explicit Served(std::chrono::milliseconds deadline = net::kTestPatience)
      : socket(test.loop, {some_figures, [] { return std::string("godwit://K@h:1"); }},
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
  TEST_CASE("a running relay tells its figures and its address") {
    Served served;
    const auto directory = served.directory.path();
    const auto figures = ask_beside<tl::expected<Figures, std::string>>(
        served.test, [&] { return ask_status(directory); });
    REQUIRE(figures.has_value());
    CHECK(figures_json(*figures) == figures_json(some_figures()));
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
