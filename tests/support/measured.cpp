#include "tests/support/measured.hpp"

#include <algorithm>
#include <thread>

namespace godwit::support {
namespace {

using std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto kSettleLimit = 20s;  // the relay gives a peer five seconds to read its farewell
constexpr auto kPause = 20ms;       // a question's own descriptor closes meanwhile
constexpr int kQuietTimes = 5;      // in a row, when it is not known how many descriptors are right

}  // namespace

Measured measure(const RelayProcess& relay) {
  Measured measured;
  measured.figures = relay.status();
  std::this_thread::sleep_for(kPause);
  measured.descriptors = relay.descriptors();
  measured.memory = relay.private_bytes();
  measured.cpu_s = relay.cpu_seconds();
  return measured;
}

Measured settle(const RelayProcess& relay, std::size_t sessions,
                std::optional<std::size_t> descriptors) {
  const auto limit = steady_clock::now() + kSettleLimit;
  Measured measured;
  std::size_t least = ~std::size_t{0};
  for (int quiet = 0; steady_clock::now() < limit;) {
    measured = measure(relay);
    least = std::min(least, measured.descriptors);
    const bool alone =
        measured.figures.connections == sessions && measured.figures.sessions == sessions;
    quiet = alone && measured.descriptors <= descriptors.value_or(least) ? quiet + 1 : 0;
    if (quiet >= (descriptors ? 1 : kQuietTimes)) break;
  }
  return measured;
}

}  // namespace godwit::support
