#include "relay/policy/address_set.hpp"

#include <doctest/doctest.h>

namespace godwit::relay::policy {
namespace {

AddressSet set_of(const std::vector<std::string>& networks) {
  auto set = AddressSet::parse(networks);
  REQUIRE(set.has_value());
  return *std::move(set);
}

TEST_SUITE("relay/policy/address_set") {
  TEST_CASE("a network holds its first and its last address and not their neighbours") {
    const auto set = set_of({"10.16.0.0/12", "2001:db8:8000::/33"});
    CHECK(set.contains("10.16.0.0"));
    CHECK(set.contains("10.31.255.255"));
    CHECK_FALSE(set.contains("10.15.255.255"));
    CHECK_FALSE(set.contains("10.32.0.0"));
    CHECK(set.contains("2001:db8:8000::"));
    CHECK(set.contains("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"));
    CHECK_FALSE(set.contains("2001:db8:7fff:ffff:ffff:ffff:ffff:ffff"));
    CHECK_FALSE(set.contains("2001:db9::"));
  }

  TEST_CASE("an address without a prefix stands for itself alone") {
    const auto set = set_of({"192.0.2.7", "::1"});
    CHECK(set.contains("192.0.2.7"));
    CHECK_FALSE(set.contains("192.0.2.6"));
    CHECK(set.contains("::1"));
    CHECK_FALSE(set.contains("::2"));
    CHECK_FALSE(set.contains("::"));
  }

  TEST_CASE("an IPv4 address and its mapped IPv6 form are one") {
    const auto set = set_of({"127.0.0.0/8"});
    CHECK(set.contains("127.0.0.1"));
    CHECK(set.contains("::ffff:127.0.0.1"));
    CHECK_FALSE(set.contains("::ffff:126.0.0.1"));
    CHECK_FALSE(set.contains("::127.0.0.1"));
    CHECK(set_of({"::ffff:10.0.0.0/104"}).contains("10.1.2.3"));
    CHECK(set_of({"::ffff:0.0.0.0/96"}).contains("203.0.113.1"));
  }

  TEST_CASE("all of IPv6 holds no IPv4 address, and the other way round") {
    CHECK(set_of({"::/0"}).contains("2001:db8::1"));
    CHECK_FALSE(set_of({"::/0"}).contains("192.0.2.1"));
    CHECK_FALSE(set_of({"::/0"}).contains("::ffff:192.0.2.1"));
    CHECK(set_of({"0.0.0.0/0"}).contains("192.0.2.1"));
    CHECK_FALSE(set_of({"0.0.0.0/0"}).contains("2001:db8::1"));
  }

  TEST_CASE("the zone of a link-local address does not matter") {
    CHECK(set_of({"fe80::/10"}).contains("fe80::1%eth0"));
  }

  TEST_CASE("an empty set and a text that is no address hold nothing") {
    CHECK_FALSE(AddressSet().contains("127.0.0.1"));
    const auto set = set_of({"0.0.0.0/0", "::/0"});
    for (const std::string_view bad :
         {"", "localhost", "127.0.0", "127.0.0.1 ", "127.0.0.256", "127.0.0.1%lo", "::g"}) {
      CAPTURE(bad);
      CHECK_FALSE(set.contains(bad));
    }
    CHECK_FALSE(set.contains(std::string_view("127.0.0.1\0", 10)));
  }

  TEST_CASE("a text that is no network is refused with what is wrong") {
    const auto reason = [](const std::string& text) {
      const auto set = AddressSet::parse({"10.0.0.0/8", text});
      REQUIRE_FALSE(set.has_value());
      return set.error();
    };
    CHECK(reason("10.0.0.0/33") == "\"10.0.0.0/33\" needs a prefix length from 0 to 32");
    CHECK(reason("::/129") == "\"::/129\" needs a prefix length from 0 to 128");
    CHECK(reason("10.0.0.0/") == "\"10.0.0.0/\" needs a prefix length from 0 to 32");
    CHECK(reason("10.0.0.0/-1").find("needs a prefix length") != std::string::npos);
    CHECK(reason("example.org/8").find("is not a network such as") != std::string::npos);
    CHECK(reason("fe80::1%eth0").find("is not a network such as") != std::string::npos);
    CHECK(reason("10.1.2.3/8") ==
          "\"10.1.2.3/8\" has bits beyond its prefix; did you mean \"10.0.0.0/8\"?");
    CHECK(reason("2001:db8::1/64") ==
          "\"2001:db8::1/64\" has bits beyond its prefix; did you mean \"2001:db8::/64\"?");
  }
}

}  // namespace
}  // namespace godwit::relay::policy
