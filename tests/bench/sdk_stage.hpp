// bench/sdk_stage: what the benchmarks of the client SDK share: cores whose rounds are timed, a
// relay that takes everything in at once, and the clocks.
//
// The relay is as fast as can be and in the same thread, outside the timed parts: what is measured
// is the device alone, from the parsed frame to the committed transaction. Figures, never a verdict
// on time. What is wrong (a refusal, a message that does not arrive) is one: it fails through
// doctest's REQUIRE, as the support code does. Thread: one.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "client-sdk/src/core/core.hpp"
#include "schema/wire/codec.hpp"
#include "tests/bench/cases.hpp"
#include "tests/support/memory_backend.hpp"

namespace godwit::bench {

// sdk_rates.cpp
void bench_sdk_crypto(const Plan& plan);
void bench_sdk_rates(const Plan& plan);
// sdk_home.cpp. The second is what a process of its own does over a home that the first has made.
void bench_sdk_home(const Plan& plan);
void measure_home(const std::filesystem::path& home, const std::string& what, const Plan& plan);

[[nodiscard]] core::Now now();
[[nodiscard]] std::string relay_address();  // where nobody listens

// Time and processor time of this thread, added up.
struct Spent {
  double wall_s = 0;
  double cpu_s = 0;
};
class Timed {
 public:
  explicit Timed(Spent& spent);
  ~Timed();
  Timed(const Timed&) = delete;
  Timed& operator=(const Timed&) = delete;

 private:
  Spent& spent_;
  Spent start_;
};

[[nodiscard]] double median(std::vector<double> values);

class EagerRelay;

// A client, and the frames that have reached it.
class Side {
 public:
  // On disk, every commit synced.
  Side(EagerRelay& relay, const std::string& name, const std::filesystem::path& home);
  // In memory: the other end, whose time does not count.
  Side(EagerRelay& relay, const std::string& name);
  Side(const Side&) = delete;  // the relay points here
  Side& operator=(const Side&) = delete;

  // One round: `input`, the commit, and what leaves after it. The relay's part is not timed.
  template <class Input>
  void round(Spent& spent, const Input& input) {
    {
      const Timed timed(spent);
      input(*core_);
      end_round();
    }
    hand_over();
  }
  // One round of all frames that wait. False: there was none.
  bool take_all(Spent& spent);
  void send(Spent& spent, const std::string& to, const std::vector<std::string>& texts);

  std::vector<wire::Bytes> waiting;
  std::size_t received = 0;   // texts
  std::size_t delivered = 0;  // own ones that a peer has confirmed
  [[nodiscard]] bool settled() const { return core_->settled(); }

 private:
  void begin(EagerRelay& relay, const std::string& name);
  void end_round();
  void hand_over();

  EagerRelay* relay_ = nullptr;
  test::MemoryBackend::Disk disk_;
  std::unique_ptr<store::Database> database_;
  std::unique_ptr<core::Core> core_;
  std::vector<wire::Bytes> leaving_;
};

// Knows who registered, hands out their keys, takes every envelope in and delivers it at once.
class EagerRelay {
 public:
  void on_frame(Side& from, wire::ByteView frame);

 private:
  struct Registered {
    Side* side = nullptr;
    wire::UserId user;
    wire::DeviceId device;
    std::string name;
    wire::SignedList list;
    wire::SignedKey seal_key, signed_prekey;
    std::uint32_t delivered = 0;  // the number of the last delivery
  };
  [[nodiscard]] Registered& of(const Side& side);
  void welcome(Registered& who, std::uint32_t request);
  void answer(Side& to, std::uint32_t request, decltype(wire::RelayFrame::body) body);
  void submit(Side& from, std::uint32_t request, const wire::Submit& submit);

  std::vector<Registered> users_;
  wire::Encoder encoder_;
};

// Frames move, untimed but for the first side's, until nothing does.
void settle(Side& timed, Spent& spent, Side& other);

}  // namespace godwit::bench
