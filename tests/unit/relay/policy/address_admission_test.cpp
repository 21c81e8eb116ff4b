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

TEST_SUITE_END();

}  // namespace
}  // namespace godwit::relay::policy
