// Secrets that are known are looked for where they must not be: in the relay's memory, log and
// files, in a client's memory after it was closed, in what a core image of a running client holds.
// The secrets are read from the clients' homes with the homes' own keys; the processes are real.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "client-sdk/src/crypto/recovery_code.hpp"
#include "schema/wire/address.hpp"
#include "schema/wire/bytes.hpp"
#include "tests/secrets/home_keys.hpp"
#include "tests/secrets/passphrase.hpp"
#include "tests/support/relay_process.hpp"

namespace godwit::secrets {
namespace {

namespace fs = std::filesystem;
using Names = std::set<std::string>;  // of secrets that were found, or are to be

// A talker.cpp. It ends with its input.
class Talker {
 public:
  Talker() {
    int input[2], output[2];
    REQUIRE((::pipe2(input, O_CLOEXEC) == 0 && ::pipe2(output, O_CLOEXEC) == 0));
    pid_ = ::fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      ::dup2(input[0], STDIN_FILENO);
      ::dup2(output[1], STDOUT_FILENO);
      ::execl(GODWIT_SECRETS_TALKER, "secrets_talker", nullptr);
      ::_exit(127);
    }
    ::close(input[0]);
    ::close(output[1]);
    to_ = ::fdopen(input[1], "w");
    from_ = ::fdopen(output[0], "r");
  }
  ~Talker() {
    std::fclose(to_);
    std::fclose(from_);
    ::waitpid(pid_, nullptr, 0);
  }
  Talker(const Talker&) = delete;
  Talker& operator=(const Talker&) = delete;

  void tell(const std::string& line) {
    std::fprintf(to_, "%s\n", line.c_str());
    std::fflush(to_);
  }
  std::string answer() {
    std::string line;
    for (int c = std::fgetc(from_); c != '\n' && c != EOF; c = std::fgetc(from_)) {
      line.push_back(static_cast<char>(c));
    }
    return line;
  }
  std::string ask(const std::string& line) {
    tell(line);
    return answer();
  }
  void obey(const std::string& line) { CHECK_MESSAGE(ask(line) == "ok", line); }

  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
  std::FILE* to_ = nullptr;
  std::FILE* from_ = nullptr;
};

const std::string kHello = "the boat leaves from the old pier at dawn";
const std::string kAnswer = "I will bring the maps and a lantern along";

std::vector<Secret> texts() {
  std::vector<Secret> all;
  for (const std::string& text : {kHello, kAnswer}) {
    all.push_back({"the text \"" + text + '"', wire::Bytes(text.begin(), text.end())});
  }
  return all;
}

std::vector<Secret> operator+(std::vector<Secret> left, const std::vector<Secret>& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

// So that a failed check says what it found.
std::string listed(const Names& names) {
  std::string all;
  for (const std::string& name : names) all += (all.empty() ? "" : ", ") + name;
  return all;
}

struct Stage {
  explicit Stage(const std::string& locked = {})
      : relay({.directory = directory.path() / "relay",
               .settings = {{"log.level", "\"debug\""}},
               .binary = {},
               .environment = {}}) {
    const std::string address = wire::format_address(relay.address());
    alice.obey("create " + home("alice").string() + " " + address + " alice " + locked);
    bob.obey("create " + home("bob").string() + " " + address + " bob");
  }
  [[nodiscard]] fs::path home(const char* name) const { return directory.path() / name; }

  static void say(Talker& from, const char* name, Talker& to, const char* to_name,
                  const std::string& text) {
    from.tell(std::string("say ") + to_name + " " + text);
    to.tell(std::string("hear ") + name + " " + text);
    CHECK(to.answer() == "ok");
    CHECK(from.answer() == "ok");
  }
  void talk() {
    say(alice, "alice", bob, "bob", kHello);
    say(bob, "bob", alice, "alice", kAnswer);
    say(alice, "alice", bob, "bob", kAnswer);
  }
  // A copy, as a thief of the disk has it: it can be read while the home is in use.
  [[nodiscard]] HomeKeys keys_of_copy(const char* name,
                                      const std::optional<std::string>& with = {}) const {
    const support::TemporaryDirectory copy{support::Medium::disk};
    fs::copy(home(name), copy.path() / "home");
    return keys_of_home(copy.path() / "home", with);
  }

  support::TemporaryDirectory directory{support::Medium::disk};
  support::RelayProcess relay;
  Talker alice, bob;
};

}  // namespace

TEST_SUITE("tests/secrets/canary") {
  TEST_CASE("the search finds what is there: in memory, in its dumped pages, in a file") {
    Stage stage;
    stage.talk();
    const HomeKeys keys = stage.keys_of_copy("alice");
    CHECK(keys.account.size() > 100);
    CHECK(keys.sessions.size() >= 10);
    CHECK(keys.database.size() > 70);
    // A client that runs works with its keys; those of the database lie apart, and are not dumped.
    const Names everywhere = found_in_memory(stage.alice.pid(), Pages::all, keys.all());
    CHECK(everywhere.contains("identity key"));
    CHECK(everywhere.contains("session: root"));
    CHECK(everywhere.contains("the data key"));
    CHECK(everywhere.contains("the session data key's key for sessions"));
    CHECK(found_in_memory(stage.alice.pid(), Pages::dumped, keys.account).contains("identity key"));
    CHECK(listed(found_in_files(stage.home("alice"), keys.database)) == "the key file");
    CHECK_FALSE(found_in_memory(stage.alice.pid(), Pages::all, texts()).empty());
  }

  TEST_CASE("a relay holds no text and no client's key: in memory, in its log, in its files") {
    Stage stage;
    stage.talk();
    const std::vector<Secret> secrets =
        texts() + stage.keys_of_copy("alice").all() + stage.keys_of_copy("bob").all();
    CHECK(listed(found_in_memory(stage.relay.pid(), Pages::all, secrets)) == "");
    CHECK(listed(found_in_files(stage.directory.path() / "relay", secrets)) == "");
    // Its own key it has, and in no line of its log.
    std::ifstream file(stage.directory.path() / "relay" / "key", std::ios::binary);
    const std::string own{std::istreambuf_iterator<char>(file), {}};
    const auto key = wire::parse_base64url(std::string_view(own).substr(0, 43));
    REQUIRE(key.has_value());
    const std::vector<Secret> relay_key{{"the relay's key", *key}};
    CHECK(found_in_memory(stage.relay.pid(), Pages::all, relay_key).size() == 1);
    const fs::path log = stage.directory.path() / "relay" / "log";
    CHECK(fs::file_size(log) > 0);
    CHECK(listed(found_in_files(log, relay_key)) == "");
  }

  TEST_CASE("no file of a home holds a key or a text in clear, but for its key file") {
    Stage stage;
    stage.talk();
    stage.alice.obey("close");
    const auto secrets = texts() + keys_of_home(stage.home("alice")).all();
    CHECK(listed(found_in_files(stage.home("alice"), secrets)) == "the key file");
  }

  TEST_CASE("a core image of a running client holds no key of its database") {
    Stage stage;
    stage.talk();
    const HomeKeys keys = stage.keys_of_copy("alice");
    CHECK(listed(found_in_memory(stage.alice.pid(), Pages::dumped, keys.database)) == "");
  }

  TEST_CASE("a running client has forgotten the keys that its sessions have left behind") {
    Stage stage;
    stage.talk();
    const HomeKeys before = stage.keys_of_copy("alice");
    stage.talk();
    stage.talk();
    const HomeKeys after = stage.keys_of_copy("alice");
    std::vector<Secret> left;
    for (const Secret& old : before.sessions) {
      const auto same = [&](const Secret& key) { return key.bytes == old.bytes; };
      if (std::ranges::none_of(after.sessions, same)) left.push_back(old);
    }
    CHECK(left.size() >= 6);
    CHECK(listed(found_in_memory(stage.alice.pid(), Pages::all, left)) == "");
  }

  TEST_CASE("a client that is closed leaves no key in its process") {
    Stage stage;
    stage.talk();
    stage.alice.obey("close");
    const auto made = keys_of_home(stage.home("alice")).all();
    CHECK(listed(found_in_memory(stage.alice.pid(), Pages::all, made)) == "");
    // The same of a home that was there before.
    stage.alice.obey("open " + stage.home("alice").string());
    stage.talk();
    stage.alice.obey("close");
    const auto opened = keys_of_home(stage.home("alice")).all();
    CHECK(listed(found_in_memory(stage.alice.pid(), Pages::all, opened)) == "");
  }

  TEST_CASE("a client that was recovered and closed leaves no key in its process") {
    Stage stage;
    stage.talk();
    stage.alice.obey("close");
    const HomeKeys old = keys_of_home(stage.home("alice"));
    const std::string code =
        crypto::format_recovery_code(wire::SecretKey::copy_of(old.account.front().bytes));
    Talker again;
    again.obey("recover " + stage.home("again").string() + " " +
               wire::format_address(stage.relay.address()) + " " + code);
    again.obey("close");
    const HomeKeys keys = keys_of_home(stage.home("again"));
    CHECK(keys.account.front().bytes == old.account.front().bytes);
    CHECK(listed(found_in_memory(again.pid(), Pages::all, keys.all())) == "");
  }

  TEST_CASE("a passphrase is not kept beyond its client, nor in what a core image holds") {
    Stage stage("locked");
    stage.talk();
    const std::string typed = passphrase();
    const std::vector<Secret> secret{{"the passphrase", wire::Bytes(typed.begin(), typed.end())}};
    stage.alice.obey("close");
    CHECK(listed(found_in_memory(stage.alice.pid(), Pages::all, secret)) == "");
    const auto keys = keys_of_home(stage.home("alice"), typed).all();
    CHECK(listed(found_in_memory(stage.alice.pid(), Pages::all, keys)) == "");
    CHECK(listed(found_in_files(stage.home("alice"), keys)) == "");
  }

  TEST_CASE("a passphrase that a home is given is not kept, nor is a key of the home") {
    Stage stage;
    stage.talk();
    stage.alice.obey("close");
    const HomeKeys before = keys_of_home(stage.home("alice"));
    stage.alice.obey("lock " + stage.home("alice").string());
    const std::string typed = passphrase();
    const std::vector<Secret> secret{{"the passphrase", wire::Bytes(typed.begin(), typed.end())}};
    const auto secrets = secret + before.all();
    CHECK(listed(found_in_files(stage.home("alice"), secrets)) == "");
    const auto after = keys_of_home(stage.home("alice"), typed).all();
    CHECK(listed(found_in_memory(stage.alice.pid(), Pages::all, secrets + after)) == "");
  }

  TEST_CASE("what the library says when a home does not open names no secret") {
    Stage stage("locked");
    stage.alice.obey("close");
    const std::string typed = passphrase();
    for (const std::string& line : {"open " + stage.home("alice").string(),
                                    "open " + (stage.directory.path() / "none").string()}) {
      const std::string told = stage.alice.ask(line);
      CHECK(told != "ok");
      for (const Secret& secret : keys_of_home(stage.home("alice"), typed).all()) {
        CHECK(told.find(wire::to_hex(secret.bytes)) == std::string::npos);
        CHECK(told.find(std::string(secret.bytes.begin(), secret.bytes.end())) ==
              std::string::npos);
      }
    }
  }
}

}  // namespace godwit::secrets
