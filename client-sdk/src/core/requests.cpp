#include "client-sdk/src/core/requests.hpp"

namespace godwit::core {

std::optional<Asked> Requests::answered(std::uint32_t id) {
  const auto found = waiting_.find(id);
  if (found == waiting_.end()) return std::nullopt;
  Asked asked = std::move(found->second.asked);
  waiting_.erase(found);
  return asked;
}

void Requests::abandon() {
  waiting_.clear();
  last_id_ = 0;
}

std::optional<milliseconds> Requests::oldest() const {
  std::optional<milliseconds> since;
  for (const auto& [id, waiting] : waiting_) {
    if (!since || waiting.since < *since) since = waiting.since;
  }
  return since;
}

}  // namespace godwit::core
