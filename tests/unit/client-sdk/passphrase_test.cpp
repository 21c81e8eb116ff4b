// What opens a home, and how that is changed: a whole Client over this machine's disk, and no
// relay.
#include <doctest/doctest.h>

#include "godwit/client.hpp"
#include "schema/wire/address.hpp"
#include "schema/wire/hash.hpp"
#include "schema/wire/x25519.hpp"
#include "tests/support/temporary_directory.hpp"

namespace godwit {
namespace {

using Passphrase = std::optional<std::string>;

const Passphrase kKeyFile;
const Passphrase kFirst = "open sesame";
const Passphrase kSecond = "open barley";

std::string relay() {
  wire::init_crypto();
  const auto key = wire::key_pair_of(wire::SecretKey{{7}}).public_key;
  return wire::format_address({key, "127.0.0.1:1"});
}

// A home with one message in it, opened by a key file.
struct Home {
  Home() {
    auto client = Client::create(options(kKeyFile), relay(), "alice");
    REQUIRE(client.ok());
    REQUIRE(client->send({.to = "bob", .text = "still here"}).ok());
  }
  [[nodiscard]] Options options(const Passphrase& passphrase) const {
    return {.home = path, .passphrase = passphrase};
  }
  // Nothing when it went well.
  [[nodiscard]] std::optional<ErrorCode> change(const Passphrase& from,
                                                const Passphrase& to) const {
    const auto changed = Client::change_passphrase(options(from), to);
    return changed ? std::nullopt : std::optional(changed.error().code);
  }
  // The text of the message, or why there is none to be had.
  [[nodiscard]] std::string opened_with(const Passphrase& passphrase) const {
    const auto client = Client::open(options(passphrase));
    if (!client) return std::string(to_string(client.error().code));
    const auto page = client->messages("bob", {});
    return page && page->items.size() == 1 ? page->items[0].text : "no message";
  }
  [[nodiscard]] bool has_key_file() const { return std::filesystem::exists(path / "key"); }

  support::TemporaryDirectory directory;
  std::filesystem::path path = directory.path() / "home";
};

}  // namespace

TEST_SUITE("client-sdk/passphrase") {
  TEST_CASE("a passphrase is given, changed and taken away; what opened the home then does not") {
    const Home home;
    REQUIRE(home.has_key_file());
    const auto key = support::content_of(home.path / "key");
    CHECK(home.change(kKeyFile, kFirst) == std::nullopt);
    CHECK_FALSE(home.has_key_file());
    CHECK(home.opened_with(kFirst) == "still here");
    CHECK(home.opened_with(kKeyFile) == "wrong_key");
    support::put_file(home.path / "key", key);  // from a copy
    CHECK(home.opened_with(kKeyFile) == "wrong_key");

    CHECK(home.change(kFirst, kSecond) == std::nullopt);
    CHECK(home.opened_with(kFirst) == "wrong_key");
    CHECK(home.opened_with(kSecond) == "still here");

    CHECK(home.change(kSecond, kKeyFile) == std::nullopt);
    CHECK(home.has_key_file());
    CHECK(home.opened_with(kSecond) == "wrong_key");
    CHECK(home.opened_with(kKeyFile) == "still here");
  }

  TEST_CASE(
      "what is refused changes nothing: no passphrase that fits, an empty one, a home in use") {
    const Home home;
    CHECK(home.change(kFirst, kSecond) == ErrorCode::wrong_key);
    CHECK(home.change(kKeyFile, "") == ErrorCode::invalid_argument);
    {
      const auto client = Client::open(home.options(kKeyFile));
      REQUIRE(client.ok());
      CHECK(home.change(kKeyFile, kFirst) == ErrorCode::home_in_use);
    }
    CHECK(home.opened_with(kKeyFile) == "still here");
    CHECK(Client::change_passphrase({.home = home.path / "none"}, kFirst).error().code ==
          ErrorCode::no_account);
    CHECK_FALSE(std::filesystem::exists(home.path / "none"));
  }

  TEST_CASE("no home is made with an empty passphrase") {
    const support::TemporaryDirectory directory;
    const Options empty{.home = directory.path() / "home", .passphrase = ""};
    CHECK(Client::create(empty, relay(), "alice").error().code == ErrorCode::invalid_argument);
    CHECK(Client::recover(empty, relay(), "any").error().code == ErrorCode::invalid_argument);
    CHECK_FALSE(std::filesystem::exists(empty.home));
  }
}

}  // namespace godwit
