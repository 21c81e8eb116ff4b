// ops/figures: what `status` shows, and how programs get it. Each loop keeps its own counters; the
// server adds them up.
// Thread: a Counters belongs to one loop, which alone writes it; anyone may read the atomics.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace godwit::relay::ops {

// A counter with one writer: no locked instruction on the hot path.
class Counter {
 public:
  void add(std::uint64_t n = 1) { value_.store(get() + n, std::memory_order_relaxed); }
  void subtract(std::uint64_t n = 1) { value_.store(get() - n, std::memory_order_relaxed); }
  void set(std::uint64_t n) { value_.store(n, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

struct Counters {
  Counter sessions;          // now: logged in
  Counter hellos_waiting;    // now: connections whose handshake has not had its turn
  Counter users;             // now: records in the directory
  Counter devices;           // now: devices in their lists
  Counter queued_envelopes;  // now: not yet acknowledged, staged ones included
  Counter queued_bytes;
  Counter accepted_total;    // outcomes `ok` given to senders, duplicates not counted
  Counter delivered_total;   // pushes, repeated ones included
  Counter acked_total;       // envelopes acknowledged by their device
  Counter elided_total;      // acknowledged before they reached the disk
  Counter refused_total;     // refusals of every kind, outcomes included
  Counter expired_total;
  Counter expiry_paused;     // now: 1 when the wall clock has jumped, and nothing expires
  Counter duplicates_total;  // submits answered from the queue or the window
  Counter handshakes_total;
  Counter logins_total;
  Counter closed_by_relay_total;  // protocol errors, deadlines, overfull write queues
};

// The sum over loops, the store's figures, and the process: the fields of `status --json`.
struct Figures {
  std::string version;
  std::uint64_t connections = 0, hellos_waiting = 0;
  std::uint64_t sessions = 0, users = 0, devices = 0;
  std::uint64_t queued_envelopes = 0, queued_bytes = 0;
  std::uint64_t accepted_total = 0, delivered_total = 0, acked_total = 0, elided_total = 0;
  std::uint64_t stored_total = 0, refused_total = 0, expired_total = 0, quarantined_total = 0;
  std::uint64_t duplicates_total = 0, handshakes_total = 0, logins_total = 0;
  std::uint64_t closed_by_relay_total = 0;
  std::uint64_t commits_total = 0;
  std::uint64_t store_bytes = 0, store_used_bytes = 0, store_reclaimable_bytes = 0;
  bool store_full = false, store_at_size_max = false, expiry_paused = false;
  std::uint64_t store_generation = 0;
  std::string store_id;  // 32 hex
  std::uint64_t uptime_s = 0;
  std::uint64_t resident_bytes = 0;
};

// One line, without its end: every field of Figures under its own name.
[[nodiscard]] std::string figures_json(const Figures& figures);
// Nothing when a field is missing or of another type: the relay is of another version.
[[nodiscard]] std::optional<Figures> parse_figures(std::string_view json);
// Prometheus' text format, version 0.0.4: the same names behind godwit_relay_; the texts are labels
// of godwit_relay_info.
[[nodiscard]] std::string figures_metrics(const Figures& figures);

}  // namespace godwit::relay::ops
