// bench/cases: what is measured. Each makes its own relay, prints one table and leaves nothing.
#pragma once

#include <cstddef>

namespace godwit::bench {

struct Plan {
  bool quick = false;  // smaller counts: to see that it runs, and the order of magnitude

  template <class T>
  [[nodiscard]] T pick(T full, T small) const {
    return quick ? small : full;
  }
};

// queues.cpp: recipients that are away.
void bench_enqueue(const Plan& plan);
void bench_backlog(const Plan& plan);
void bench_million(const Plan& plan);

}  // namespace godwit::bench
