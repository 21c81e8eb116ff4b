#include "schema/net/local.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <optional>
#include <string>

#include "schema/net/descriptor.hpp"
#include "tests/support/temporary_directory.hpp"
#include "tests/unit/net/test_loop.hpp"

namespace godwit::net {
namespace {

using support::TemporaryDirectory;

// Asks and answers once over `path`.
void check_conversation(const std::string& path) {
  TestLoop test;
  std::optional<Stream> server;
  std::string question;
  bool is_closed = false;
  auto listener = LocalListener::listen(test.loop, path, [&](Stream stream) {
    CHECK(stream.peer_address() == "local");
    server.emplace(std::move(stream));
    server->start({[&](wire::ByteView bytes) {
                     question.append(bytes.begin(), bytes.end());
                     server->write({'y', 'e', 's'});
                     server->shutdown();
                   },
                   [&](NetError) { is_closed = true; },
                   {}});
  });
  REQUIRE(listener);
  const auto connected = connect_local(path);
  REQUIRE(connected);
  const Descriptor client(*connected);
  REQUIRE(::send(client.get(), "up?", 3, MSG_NOSIGNAL) == 3);
  test.run_until([&] { return is_closed; });
  CHECK(question == "up?");
  std::array<char, 16> answer{};
  REQUIRE(::recv(client.get(), answer.data(), answer.size(), MSG_WAITALL) == 3);
  CHECK(std::string(answer.data()) == "yes");
}

TEST_SUITE("schema/net/local") {
  TEST_CASE("a question over a local socket is answered") {
    const TemporaryDirectory directory;
    check_conversation((directory.path() / "admin.sock").string());
  }

  TEST_CASE("a path longer than sun_path works at both ends, and leaves no descriptor") {
    const TemporaryDirectory directory;
    const auto deep = directory.path() / std::string(100, 'a') / std::string(200, 'b');
    std::filesystem::create_directories(deep);
    const auto before = open_descriptors();
    check_conversation((deep / "admin.sock").string());
    CHECK(open_descriptors() == before);
  }

  TEST_CASE("the socket file is open to its owner only") {
    const TemporaryDirectory directory;
    const std::string path = (directory.path() / "admin.sock").string();
    TestLoop test;
    const mode_t mask = umask(0);
    auto listener = LocalListener::listen(test.loop, path, [](Stream) {});
    umask(mask);
    REQUIRE(listener);
    struct stat found {};
    REQUIRE(stat(path.c_str(), &found) == 0);
    CHECK((found.st_mode & 0777U) == 0600U);
  }

  TEST_CASE("a file that exists is in use, and stays") {
    const TemporaryDirectory directory;
    const std::string path = (directory.path() / "admin.sock").string();
    TestLoop test;
    {
      auto first = LocalListener::listen(test.loop, path, [](Stream) {});
      REQUIRE(first);
    }
    const auto second = LocalListener::listen(test.loop, path, [](Stream) {});
    REQUIRE_FALSE(second);
    CHECK(second.error() == NetError::address_in_use);
    const auto client = connect_local(path);  // the file is stale: nobody is behind it
    REQUIRE_FALSE(client);
    CHECK(client.error() == NetError::refused);
  }

  TEST_CASE("a missing file is refused, a path that cannot be is invalid") {
    const TemporaryDirectory directory;
    const std::string longest(110, 'n');
    const auto in = [&](const std::string& name) { return (directory.path() / name).string(); };
    const auto error_of = [](const std::string& path) { return connect_local(path).error(); };
    CHECK(error_of(in("none.sock")) == NetError::refused);
    CHECK(error_of(in(std::string(150, 'd')) + "/none.sock") == NetError::refused);
    CHECK(error_of(in(longest)) == NetError::address_invalid);
    CHECK(error_of(longest) == NetError::address_invalid);
    CHECK(error_of("") == NetError::address_invalid);
    CHECK(error_of(std::string("\0abstract", 9)) == NetError::address_invalid);
    TestLoop test;
    const std::string deep = in(std::string(150, 'd')) + "/such.sock";
    for (const std::string& path : {in("no/such.sock"), deep}) {
      const auto listener = LocalListener::listen(test.loop, path, [](Stream) {});
      REQUIRE_FALSE(listener);
      CHECK(listener.error() == NetError::address_invalid);
    }
  }
}

}  // namespace
}  // namespace godwit::net
