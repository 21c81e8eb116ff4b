// platform: all that a client takes from the machine it runs on: time, randomness, a disk, a way to
// the relay, and waiting. native_platform() is the machine itself; the world of godwit/testing.hpp
// is another one, in memory.
// Refuses: to call a speaker while an engine calls it, since that holds locks; but for wait(), once
//          it has given up its lock, and for the destructor of a link.
// Thread:  any, unless the platform says otherwise.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>

#include "client-sdk/src/speaker.hpp"
#include "client-sdk/src/store/database.hpp"
#include "godwit/client.hpp"
#include "schema/wire/address.hpp"

namespace godwit {

// Connects a speaker to its relay, and again when that ends, until it is destroyed or the speaker
// gives up. Its destructor sends what waits, ends the connection, tells the speaker of that, and
// returns when no exchange is under way or will come.
class RelayLink {
 public:
  virtual ~RelayLink() = default;
  virtual void wake() = 0;  // an exchange is due; any thread, never calls back from inside
};

class Platform {
 public:
  virtual ~Platform() = default;

  [[nodiscard]] virtual core::Now now() const = 0;
  // For the keys and nonces of one home; of cryptographic quality where the platform is a real one.
  [[nodiscard]] virtual crypto::Random random(const Options& options) = 0;

  [[nodiscard]] virtual store::Result<store::Database> create_database(const Options& options,
                                                                       crypto::Random random) = 0;
  [[nodiscard]] virtual store::Result<store::Database> open_database(const Options& options,
                                                                     crypto::Random random) = 0;

  // `speaker` outlives the link. An error is a sentence for the app's user.
  [[nodiscard]] virtual Result<std::unique_ptr<RelayLink>> link(const Options& options,
                                                                const wire::RelayAddress& relay,
                                                                Speaker& speaker) = 0;

  // Waits, with `lock` given up meanwhile, until `changed` was notified or something else may have
  // happened; false when `until` (a point of now().steady) has passed. Callers look again.
  [[nodiscard]] virtual bool wait(std::unique_lock<std::mutex>& lock,
                                  std::condition_variable& changed,
                                  std::chrono::milliseconds until) = 0;
};

[[nodiscard]] std::shared_ptr<Platform> native_platform();

}  // namespace godwit
