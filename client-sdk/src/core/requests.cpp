#include "client-sdk/src/core/requests.hpp"

namespace godwit::core {

std::optional<Asked> Requests::answered(std::uint32_t id) {
  const auto found = waiting_.find(id);
  if (found == waiting_.end()) return std::nullopt;
  Asked asked = std::move(found->second.asked);
  waiting_.erase(found);
  return asked;
}

std::vector<Asked> Requests::abandon() {
  std::vector<Asked> all;
  for (auto& [id, waiting] : waiting_) all.push_back(std::move(waiting.asked));
  waiting_.clear();
  last_id_ = 0;
  return all;
}

std::optional<milliseconds> Requests::oldest() const {
  std::optional<milliseconds> since;
  for (const auto& [id, waiting] : waiting_) {
    if (!since || waiting.since < *since) since = waiting.since;
  }
  return since;
}

}  // namespace godwit::core
