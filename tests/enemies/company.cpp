#include "tests/enemies/company.hpp"

namespace godwit::enemies {

using std::chrono::steady_clock;

Company::Company(net::Loop& loop, Work& work, Manner manner)
    : loop_(loop), work_(work), manner_(std::move(manner)), places_(manner_.size) {}

void Company::look() {
  const auto now = steady_clock::now();
  for (std::size_t i = 0; i < places_.size(); ++i) {
    Place& place = places_[i];
    if (place.client) {
      if (!place.client->ended()) continue;
      work_.done.ended += place.client->seen().end == support::Seen::End::by_relay;
      place.client.reset();
    }
    const bool first = place.since == steady_clock::time_point{};
    if (first || now - place.since >= manner_.comes_again) come(place, i, now);
  }
}

void Company::come(Place& place, std::size_t index, steady_clock::time_point now) {
  ++work_.done.tried;
  place.since = now;
  place.client = std::make_unique<support::HostileClient>(
      loop_, work_.ground().relay, address_of(index % manner_.addresses), manner_.plan(index));
}

}  // namespace godwit::enemies
