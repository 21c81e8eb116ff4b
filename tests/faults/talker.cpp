// A program with the SDK, as an app is one: it makes an account unless there is one, closes its
// home and opens it again, sends so many messages, and stays until all of them are read and as many
// of the peer's have come. What it shows is written to its output, a line each:
//   sent TEXT, received TEXT, status ID STATUS, told WORDS
// and at its end how many descriptors it has left open:
//   left NUMBER
// Exit status: 0 done, 3 the home could not be opened, 4 the disk failed later, 6 not done in time.
// It ends at the first failure of the disk; with `stays` it waits until the library has mended it.
#include <dirent.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <godwit/client.hpp>
#include <optional>
#include <string>
#include <thread>

namespace godwit::faults {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

constexpr auto kPatience = 30s;
constexpr auto kSettle = 10s;
constexpr std::uint32_t kBatch = 10;

struct Talk {
  std::string home, relay, name, peer;
  std::uint32_t messages = 0;
  bool stays = false;
};

// With opendir(), whose own call is not one that can be made to fail.
int descriptors() {
  DIR* const directory = ::opendir("/proc/self/fd");
  int count = 0;
  while (directory != nullptr && ::readdir(directory) != nullptr) ++count;
  ::closedir(directory);
  return count;
}

void show(const char* what, const std::string& words) {
  std::printf("%s %s\n", what, words.c_str());
  std::fflush(stdout);
}

class Talker {
 public:
  explicit Talker(Talk talk) : talk_(std::move(talk)) {}

  int run() {
    if (!open() || !register_it()) return status_;
    client_.reset();
    if (!open()) return status_;
    if (auto connected = client_->connect(); !connected) return fail(connected.error(), 4);
    while (!done()) {
      if (status_ != 0) return status_;
      if (steady_clock::now() > limit_) return 6;
      say();
      listen();
    }
    // What it has read is yet to be told to the peer.
    if (auto settled = client_->wait_settled(kSettle); !settled) {
      return fail(settled.error(), settled.error().code == ErrorCode::timed_out ? 6 : 4);
    }
    return status_;
  }

 private:
  [[nodiscard]] bool open() {
    auto opened = Client::open({.home = talk_.home});
    if (!opened && opened.error().code == ErrorCode::no_account) {
      opened = Client::create({.home = talk_.home}, talk_.relay, talk_.name);
    }
    if (!opened) return fail(opened.error(), 3), false;
    client_.emplace(std::move(*opened));
    return true;
  }

  [[nodiscard]] bool register_it() {
    if (auto connected = client_->connect(); !connected) return fail(connected.error(), 4), false;
    while (status_ == 0) {
      if (client_->wait_registered(100ms)) return true;
      listen();
      if (steady_clock::now() > limit_) status_ = 6;
    }
    return false;
  }

  int fail(const Error& error, int status) {
    show("told", std::string(to_string(error.code)) + ": " + error.message);
    const bool of_the_disk = error.code == ErrorCode::storage || error.code == ErrorCode::disk_full;
    if (!talk_.stays || !of_the_disk || status == 3) status_ = status;
    return status;
  }

  // Again from the first after a restart: a key sends one message, however often it is used.
  void say() {
    if (next_ == talk_.messages) return;
    std::vector<Outgoing> batch;
    for (std::uint32_t i = next_; i < std::min(talk_.messages, next_ + kBatch); ++i) {
      batch.push_back({talk_.peer, talk_.name + " says " + std::to_string(i),
                       "key " + std::to_string(i)});
    }
    if (const auto sent = client_->send(std::span<const Outgoing>(batch)); !sent) {
      fail(sent.error(), 4);
      std::this_thread::sleep_for(10ms);
      return;
    }
    for (const Outgoing& one : batch) show("sent", one.text);
    next_ += static_cast<std::uint32_t>(batch.size());
  }

  void listen() {
    if (!client_->wait_event(5ms)) return;
    bool news = false;
    while (const auto event = client_->next_event()) {
      if (event->kind == EventKind::storage_failed) {
        fail({ErrorCode::storage, event->detail}, 4);
      } else if (event->kind == EventKind::status_changed) {
        show("status", event->message.hex() + " " + std::string(to_string(event->status)));
      } else if (event->kind == EventKind::message_received) {
        if (const auto message = client_->message(event->message)) show("received", message->text);
        news = true;
      }
    }
    if (news) (void)client_->mark_read(talk_.peer);
  }

  [[nodiscard]] bool done() {
    if (next_ < talk_.messages) return false;
    const auto page = client_->messages(talk_.peer, {.limit = 1'000});
    if (!page) return false;
    std::uint32_t received = 0, read = 0;
    for (const Message& message : page->items) {
      received += !message.outgoing;
      read += message.outgoing && message.status == Status::read;
    }
    // What came before a restart may not have been shown.
    if (received == talk_.messages) (void)client_->mark_read(talk_.peer);
    return received == talk_.messages && read == talk_.messages;
  }

  const Talk talk_;
  const steady_clock::time_point limit_ = steady_clock::now() + kPatience;
  std::optional<Client> client_;
  std::uint32_t next_ = 0;
  int status_ = 0;
};

int talk(Talk options) {
  const auto before = descriptors();
  const int status = Talker(std::move(options)).run();
  show("left", std::to_string(descriptors() - before));
  return status;
}

}  // namespace
}  // namespace godwit::faults

int main(int argc, char** argv) {
  if (argc < 6) {
    std::fputs("usage: fault_talker HOME RELAY NAME PEER MESSAGES [stays]\n", stderr);
    return 2;
  }
  return godwit::faults::talk({.home = argv[1],
                               .relay = argv[2],
                               .name = argv[3],
                               .peer = argv[4],
                               .messages = static_cast<std::uint32_t>(std::atoi(argv[5])),
                               .stays = argc > 6});
}
