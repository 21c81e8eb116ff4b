#include "relay/policy/address_admission.hpp"

#include <doctest/doctest.h>

namespace godwit::relay::policy {
namespace {

using namespace std::chrono_literals;

TEST_SUITE_BEGIN("relay/policy/address_admission");

constexpr Steady kStart = Steady{} + 1h;

TEST_CASE("handshakes and registrations of an address are counted apart, each address for itself") {
  Config config;
  config.handshakes_per_s = 10;
  config.handshakes_burst = 2;
  config.registrations_per_hour = 3;
  AddressAdmission admission(config, {});
  for (int i = 0; i < 2; ++i) CHECK(admission.take_handshake("10.0.0.1", kStart) == 0ms);
  CHECK(admission.take_handshake("10.0.0.1", kStart) > 0ms);
  CHECK(admission.take_handshake("10.0.0.2", kStart) == 0ms);
  CHECK(admission.take_handshake("10.0.0.1", kStart + 100ms) == 0ms);
  for (int i = 0; i < 3; ++i) CHECK(admission.take_registration("10.0.0.1", kStart) == 0ms);
  const auto wait = admission.take_registration("10.0.0.1", kStart);
  CHECK(wait > 19min);
  CHECK(wait < 21min);
  CHECK(admission.take_registration("10.0.0.1", kStart + 20min + 1s) == 0ms);
}

TEST_CASE("a network of IPv6 addresses, which one customer has, is one address") {
  Config config;
  config.handshakes_burst = 1;
  AddressAdmission admission(config, {});
  const auto first = [&](const char* address) {
    return admission.take_handshake(address, kStart) == 0ms;
  };
  CHECK(first("2001:db8:0:1::1"));
  CHECK_FALSE(first("2001:db8:0:1:ffff:ffff:ffff:ffff"));
  CHECK(first("2001:db8:0:2::1"));
  CHECK(first("192.0.2.1"));
  CHECK(first("192.0.2.2"));
  CHECK_FALSE(first("::ffff:192.0.2.1"));  // as a socket of both families tells the same
  CHECK(first("::ffff:192.0.2.3"));
  CHECK(first("local"));
}

TEST_SUITE_END();

}  // namespace
}  // namespace godwit::relay::policy
