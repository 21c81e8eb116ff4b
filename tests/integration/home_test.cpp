// What lies in the home of somebody who has chatted: nothing that tells, and nothing that a damaged
// file takes down with it.
#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <godwit/client.hpp>

#include "client-sdk/src/crypto/recovery_code.hpp"
#include "schema/wire/address.hpp"
#include "schema/wire/bytes.hpp"
#include "tests/support/relay_process.hpp"

namespace godwit::integration {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

const std::string kText = "the cellar door stands open at nine";
const std::string kAnswer = "then bring the green lantern along";

// Two people who have written to each other and read it; their homes are closed.
struct Chat {
  Chat()
      : relay({.directory = directory.path() / "relay",
               .settings = {},
               .binary = {},
               .environment = {}}) {
    Client alice = join("alice-of-the-lake"), bob = join("bob-of-the-hill");
    user = alice.account().user;
    device = alice.account().device;
    code = *alice.recovery_code();
    for (int i = 0; i < 30; ++i) say(alice, bob, "alice-of-the-lake", "bob-of-the-hill", kText);
    say(bob, alice, "bob-of-the-hill", "alice-of-the-lake", kAnswer);
    REQUIRE(alice.wait_settled(10s).ok());
    REQUIRE(bob.wait_settled(10s).ok());
  }
  Client join(const std::string& name) {
    auto client = Client::create({.home = home(name)}, wire::format_address(relay.address()), name);
    REQUIRE(client.ok());
    REQUIRE(client->connect().ok());
    REQUIRE(client->wait_registered(10s).ok());
    return std::move(*client);
  }
  static void say(Client& from, Client& to, const char* own_name, const char* name,
                  const std::string& text) {
    auto sent = from.send({.to = name, .text = text, .key = {}});
    REQUIRE(sent.ok());
    const auto until = std::chrono::steady_clock::now() + 10s;
    while (!to.message(sent->id) && std::chrono::steady_clock::now() < until) {
      (void)to.wait_event(100ms);
      while (to.next_event()) {
      }
    }
    REQUIRE(to.message(sent->id).ok());
    REQUIRE(to.wait_settled(10s).ok());
    REQUIRE(to.mark_read(own_name).ok());
  }
  [[nodiscard]] fs::path home(const std::string& name) const { return directory.path() / name; }
  [[nodiscard]] fs::path alice() const { return home("alice-of-the-lake"); }

  support::TemporaryDirectory directory{support::Medium::disk};
  support::RelayProcess relay;
  UserId user;
  DeviceId device;
  std::string code;
};

std::string contents(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void overwrite(const fs::path& file, const std::string& with) {
  std::ofstream(file, std::ios::binary | std::ios::trunc) << with;
}

// As it is, in hex and in base64url: the ways in which a program might have written it.
std::vector<std::string> spellings(wire::ByteView bytes) {
  std::string upper = wire::to_hex(bytes);
  std::ranges::transform(upper, upper.begin(),
                         [](char c) { return static_cast<char>(std::toupper(c)); });
  return {std::string(bytes.begin(), bytes.end()), wire::to_hex(bytes), upper,
          wire::base64url(bytes)};
}

std::vector<std::string> places_of(const fs::path& home, wire::ByteView secret) {
  std::vector<std::string> places;
  for (const auto& entry : fs::directory_iterator(home)) {
    const std::string file = contents(entry.path());
    for (const std::string& spelling : spellings(secret)) {
      if (file.find(spelling) != std::string::npos) places.push_back(entry.path().filename());
    }
  }
  return places;
}

std::size_t readable(Client& client) {
  const auto page = client.messages("bob-of-the-hill", {.limit = 100});
  return page ? page->items.size() : 0;
}

}  // namespace

TEST_SUITE("client-sdk/home") {
  TEST_CASE("no file of a home tells a text, a name, a user, a device or a key") {
    Chat chat;
    const auto seed = crypto::parse_recovery_code(chat.code);
    REQUIRE(seed);
    const std::string address = wire::format_address(chat.relay.address());
    const std::vector<std::pair<const char*, wire::ByteView>> secrets{
        {"a text", wire::as_bytes(kText)},
        {"part of a text", wire::as_bytes("cellar door")},
        {"an answer", wire::as_bytes(kAnswer)},
        {"the own name", wire::as_bytes("alice-of-the-lake")},
        {"a contact's name", wire::as_bytes("bob-of-the-hill")},
        {"the user id", chat.user.bytes},
        {"the device id", chat.device.bytes},
        {"the root key", seed->bytes},
        {"the recovery code", wire::as_bytes(chat.code)},
        {"the relay's address", wire::as_bytes(address)},
    };
    for (const auto& [what, bytes] : secrets) {
      CHECK_MESSAGE(places_of(chat.alice(), bytes).empty(), what);
    }
    // The search finds what is there.
    overwrite(chat.alice() / "planted", "x" + wire::to_hex(chat.user.bytes) + kText);
    CHECK(places_of(chat.alice(), chat.user.bytes) == std::vector<std::string>{"planted"});
    CHECK(places_of(chat.alice(), wire::as_bytes(kText)) == std::vector<std::string>{"planted"});
  }

  TEST_CASE("another key file is a clear error, and the right one opens the home again") {
    Chat chat;
    const std::string right = contents(chat.alice() / "key");
    REQUIRE(right.size() == 32);
    overwrite(chat.alice() / "key", std::string(32, 'k'));
    const auto refused = Client::open({.home = chat.alice()});
    REQUIRE(!refused.ok());
    CHECK(refused.error().code == ErrorCode::wrong_key);
    overwrite(chat.alice() / "key", right);
    auto opened = Client::open({.home = chat.alice()});
    REQUIRE(opened.ok());
    CHECK(readable(*opened) == 31);
  }

  TEST_CASE("a passphrase that does not fit is a clear error") {
    Chat chat;
    const auto refused = Client::open({.home = chat.alice(), .passphrase = "wrong"});
    REQUIRE(!refused.ok());
    CHECK(refused.error().code == ErrorCode::wrong_key);
  }

  TEST_CASE("a database that is cut short is a clear error") {
    Chat chat;
    const fs::path file = chat.alice() / "data.mdb";
    const std::string whole = contents(file);
    for (const std::size_t size : {std::size_t{0}, std::size_t{100}, std::size_t{4096},
                                   std::size_t{8192}, std::size_t{20'000}}) {
      overwrite(file, whole.substr(0, size));
      const auto refused = Client::open({.home = chat.alice()});
      REQUIRE(!refused.ok());
      CHECK_MESSAGE(refused.error().code == ErrorCode::damaged, size);
    }
  }

  TEST_CASE("flipped bytes take down the records they are in, and no others") {
    Chat chat;
    const fs::path file = chat.alice() / "data.mdb";
    const std::string whole = contents(file), keyring = contents(chat.alice() / "keyring");
    std::size_t opened_times = 0, refused_times = 0, hidden_times = 0;
    for (std::size_t at = 8192 + 57; at < whole.size(); at += 2531) {
      std::string flipped = whole;
      flipped[at] = static_cast<char>(flipped[at] ^ 0x10);
      overwrite(file, flipped);
      overwrite(chat.alice() / "keyring", keyring);
      auto client = Client::open({.home = chat.alice()});
      if (!client) {  // in the account itself, or in the structure of the file
        ++refused_times;
        CHECK(client.error().code == ErrorCode::damaged);
        continue;
      }
      ++opened_times;
      // A record that names the conversation hides all of it; any other, at most its page.
      hidden_times += readable(*client) < 25;
    }
    CHECK(opened_times > 4 * refused_times);
    CHECK(hidden_times * 50 < opened_times);
    MESSAGE(opened_times << " opened, " << refused_times << " refused, " << hidden_times
                         << " hid the conversation");
    overwrite(file, whole);
    overwrite(chat.alice() / "keyring", keyring);
    auto client = Client::open({.home = chat.alice()});
    REQUIRE(client.ok());
    CHECK(readable(*client) == 31);
  }

  TEST_CASE("a second process is told that the home is in use") {
    Chat chat;
    auto first = Client::open({.home = chat.alice()});
    REQUIRE(first.ok());
    const auto second = Client::open({.home = chat.alice()});
    REQUIRE(!second.ok());
    CHECK(second.error().code == ErrorCode::home_in_use);
  }
}

}  // namespace godwit::integration
