// The machine itself: its clocks, its random source, homes that are directories, and a connection
// with a thread of its own.
#include <system_error>
#include <thread>

#include "client-sdk/src/connection.hpp"
#include "client-sdk/src/platform.hpp"
#include "schema/wire/hash.hpp"

namespace godwit {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using std::chrono::system_clock;

// Owns: the connection, its loop and its thread.
class NativeLink final : public RelayLink {
 public:
  NativeLink(net::Loop loop, const wire::RelayAddress& relay, Speaker& speaker)
      : loop_(std::move(loop)),
        connection_(loop_, relay, wire::random_bytes, speaker, Connection::Times{}) {}
  ~NativeLink() override {
    if (!thread_.joinable()) return;
    connection_.stop();
    thread_.join();
  }

  [[nodiscard]] Result<void> start() {
    try {
      thread_ = std::thread([this] {
        connection_.start();
        loop_.run();
      });
    } catch (const std::system_error&) {  // the only way in which std::thread says it
      return Error{ErrorCode::offline, "no thread could be started; end some and try again"};
    }
    return {};
  }
  void wake() override { connection_.wake(); }

 private:
  net::Loop loop_;
  Connection connection_;
  std::thread thread_;
};

class NativePlatform final : public Platform {
 public:
  [[nodiscard]] core::Now now() const override {
    const auto since = [](auto time) {
      return std::chrono::duration_cast<milliseconds>(time.time_since_epoch());
    };
    return {since(system_clock::now()), since(steady_clock::now())};
  }
  [[nodiscard]] crypto::Random random(const Options& /*options*/) override {
    return wire::random_bytes;
  }

  [[nodiscard]] store::Result<store::Database> create_database(const Options& options,
                                                               crypto::Random random) override {
    return store::Database::create(of_home(options, std::move(random)));
  }
  [[nodiscard]] store::Result<store::Database> open_database(const Options& options,
                                                             crypto::Random random) override {
    return store::Database::open(of_home(options, std::move(random)));
  }

  [[nodiscard]] Result<std::unique_ptr<RelayLink>> link(const Options& /*options*/,
                                                        const wire::RelayAddress& relay,
                                                        Speaker& speaker) override {
    auto loop = net::Loop::open();
    if (!loop) {
      return Error{ErrorCode::offline, "out of file descriptors; close some and try again"};
    }
    auto link = std::make_unique<NativeLink>(*std::move(loop), relay, speaker);
    if (auto started = link->start(); !started) return started.error();
    return std::unique_ptr<RelayLink>(std::move(link));
  }

  [[nodiscard]] bool wait(std::unique_lock<std::mutex>& lock, std::condition_variable& changed,
                          milliseconds until) override {
    return changed.wait_until(lock, steady_clock::time_point{until}) == std::cv_status::no_timeout;
  }

 private:
  static store::OpenOptions of_home(const Options& options, crypto::Random random) {
    return {
        .directory = options.home, .passphrase = options.passphrase, .random = std::move(random)};
  }
};

}  // namespace

std::shared_ptr<Platform> native_platform() {
  return std::make_shared<NativePlatform>();
}

}  // namespace godwit
