#include <doctest/doctest.h>

#include <array>
#include <set>

#include "tests/support/raw_device.hpp"

namespace godwit::support {
namespace {

TEST_SUITE("tests/support/account") {
  TEST_CASE("the same seed gives the same account, another seed another one") {
    const auto first = Account::from_seed(7, 3);
    const auto again = Account::from_seed(7, 3);
    CHECK(first.user == again.user);
    CHECK(first.device == again.device);
    CHECK(first.transport.secret == again.transport.secret);
    CHECK(first.list.body == again.list.body);
    CHECK(first.list.signature == again.list.signature);
    CHECK(first.seal_key.signature == again.seal_key.signature);
    CHECK(first.one_time.back().key == again.one_time.back().key);

    const auto other = Account::from_seed(8);
    CHECK(first.user != other.user);
    CHECK(first.device != other.device);
    CHECK(first.transport.public_key != other.transport.public_key);
  }

  TEST_CASE("what a relay verifies of an account verifies") {
    const auto account = Account::from_seed(1, 5);
    const auto list = wire::verify_device_list(account.list.view());
    REQUIRE(list);
    CHECK(list->user == account.user);
    CHECK(list->version == account.version);
    const auto* const device = list->find(account.device);
    REQUIRE(device != nullptr);
    CHECK(device->transport == account.transport.public_key);
    using wire::SignedKeyKind;
    CHECK(wire::verify_signed_key(SignedKeyKind::seal, account.user, device->identity,
                                  account.seal_key));
    CHECK(wire::verify_signed_key(SignedKeyKind::prekey, account.user, device->identity,
                                  account.signed_prekey));
    std::set<std::uint32_t> ids;
    for (const auto& key : account.one_time) ids.insert(key.id);
    CHECK(ids == std::set<std::uint32_t>{1, 2, 3, 4, 5});
  }

  TEST_CASE("a second device belongs to the list that follows") {
    const auto first = Account::from_seed(1);
    const auto list = next_list(1, first.list, std::array<std::uint32_t, 2>{0, 1});
    const auto second = Account::of_device(1, 1, list);
    const auto verified = wire::verify_device_list(list.view());
    REQUIRE(verified);
    CHECK(second.version == wire::ListVersion{1, 2});
    CHECK(second.user == first.user);
    CHECK(second.device != first.device);
    CHECK(verified->find(first.device) != nullptr);
    REQUIRE(verified->find(second.device) != nullptr);
    CHECK(verified->find(second.device)->transport == second.transport.public_key);
  }
}

}  // namespace
}  // namespace godwit::support
