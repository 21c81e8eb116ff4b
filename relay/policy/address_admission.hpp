// policy/address_admission: what one address may do: begin handshakes, register users. Of IPv6 a
// customer has a /64 at least, so that counts as one address.
// Thread: any. Connections of one address land on several loops and share one budget; both
// questions are rare next to frames, so a mutex is the simplest thing that is right.
#pragma once

#include <mutex>
#include <string>

#include "relay/config.hpp"
#include "relay/policy/address_set.hpp"
#include "relay/policy/rate.hpp"

namespace godwit::relay::policy {

class AddressAdmission {
 public:
  AddressAdmission(const Config& config, AddressSet unlimited)
      : unlimited_(std::move(unlimited)),
        handshakes_({static_cast<double>(config.handshakes_per_s),
                     static_cast<double>(config.handshakes_burst)}),
        registrations_({static_cast<double>(config.registrations_per_hour) / 3600,
                        static_cast<double>(config.registrations_per_hour)}) {}

  [[nodiscard]] bool unlimited(const std::string& address) const {
    return unlimited_.contains(address);
  }
  // Zero when allowed, else when to try again.
  [[nodiscard]] std::chrono::milliseconds take_handshake(const std::string& address, Steady now) {
    const std::lock_guard lock(mutex_);
    return handshakes_.take(whose(address), now);
  }
  [[nodiscard]] std::chrono::milliseconds take_registration(const std::string& address,
                                                            Steady now) {
    const std::lock_guard lock(mutex_);
    return registrations_.take(whose(address), now);
  }

 private:
  // Zeros for what is no address, such as a socket of this machine.
  static std::string whose(const std::string& address) {
    const auto network = network_of(parse_numeric_address(address).value_or(NumericAddress{}));
    return {network.bytes.begin(), network.bytes.end()};
  }

  const AddressSet unlimited_;
  std::mutex mutex_;
  RateTable<std::string> handshakes_;     // guarded by mutex_
  RateTable<std::string> registrations_;  // guarded by mutex_
};

}  // namespace godwit::relay::policy
