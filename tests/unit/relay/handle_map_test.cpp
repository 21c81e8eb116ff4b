// handle_map: a handle finds its value for as long as it is there, and nothing afterwards.
#include "relay/handle_map.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <random>

namespace godwit::relay {
namespace {

TEST_SUITE("relay/handle_map") {
  TEST_CASE("no handle is 0, and 0 finds nothing") {
    HandleMap<int> map;
    CHECK(map.find(0) == nullptr);
    const Handle first = map.add(std::make_unique<int>(1));
    CHECK(first != 0);
    CHECK(map.find(0) == nullptr);
    CHECK_FALSE(map.erase(0));
    CHECK(map.find(first) != nullptr);
  }

  TEST_CASE("a handle of what was erased finds nothing, also when its place is used again") {
    HandleMap<int> map;
    const Handle old = map.add(std::make_unique<int>(1));
    CHECK(map.erase(old));
    CHECK(map.empty());
    const Handle fresh = map.add(std::make_unique<int>(2));
    REQUIRE(index_of(fresh) == index_of(old));
    CHECK(map.find(old) == nullptr);
    CHECK_FALSE(map.erase(old));
    CHECK(*map.find(fresh) == 2);
  }

  TEST_CASE("it does what a std::map does, and addresses stay") {
    HandleMap<int> map;
    std::map<Handle, int*> expected;
    std::vector<Handle> erased;
    std::mt19937 random(7);
    for (int i = 0; i < 20'000; ++i) {
      if (expected.empty() || random() % 3 != 0) {
        const Handle handle = map.add(std::make_unique<int>(i));
        REQUIRE(expected.emplace(handle, map.find(handle)).second);
      } else {
        const auto victim = std::next(expected.begin(), random() % expected.size());
        REQUIRE(map.erase(victim->first));
        erased.push_back(victim->first);
        expected.erase(victim);
      }
    }
    for (const auto& [handle, address] : expected) REQUIRE(map.find(handle) == address);
    for (const Handle handle : erased) REQUIRE(map.find(handle) == nullptr);
    std::size_t visited = 0;
    map.for_each([&](const int&) { ++visited; });
    CHECK(visited == expected.size());
    std::map<const int*, int> by_parts;
    for (std::size_t part = 0; part < 10; ++part) {
      map.for_each_of(part, 10, [&](const int& value) { ++by_parts[&value]; });
    }
    CHECK(by_parts.size() == expected.size());
    for (const auto& [value, visits] : by_parts) REQUIRE(visits == 1);
    std::vector<std::uint32_t> indices;
    for (const auto& [handle, address] : expected) indices.push_back(index_of(handle));
    std::ranges::sort(indices);
    CHECK(std::ranges::adjacent_find(indices) == indices.end());
  }
}

}  // namespace
}  // namespace godwit::relay
