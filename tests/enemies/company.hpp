// enemies/company: hostile clients that stand all at once, each of which comes again when it has
// ended.
// Thread: the loop's.
#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "tests/enemies/enemy.hpp"
#include "tests/support/hostile_client.hpp"

namespace godwit::enemies {

class Company {
 public:
  struct Manner {
    std::size_t size = 1;
    std::size_t addresses = 1;
    std::chrono::milliseconds comes_again{1'000};  // after it came the last time, at the earliest
    std::function<support::Plan(std::size_t place)> plan;
  };

  Company(net::Loop& loop, Work& work, Manner manner);

  // To be called again and again.
  void look();

 private:
  struct Place {
    std::unique_ptr<support::HostileClient> client;
    std::chrono::steady_clock::time_point since;
  };
  void come(Place& place, std::size_t index, std::chrono::steady_clock::time_point now);

  net::Loop& loop_;
  Work& work_;
  Manner manner_;
  std::vector<Place> places_;
};

}  // namespace godwit::enemies
