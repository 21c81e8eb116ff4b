#include "relay/slot/journal.hpp"

#include <cassert>
#include <iterator>

namespace godwit::relay::slot {

std::string Journal::overlay_key(store::Table table, wire::ByteView key) {
  std::string joined;
  joined.reserve(1 + key.size());
  joined.push_back(static_cast<char>(table));
  joined.append(key.begin(), key.end());
  return joined;
}

std::optional<wire::Bytes> Journal::get(store::Table table, wire::ByteView key) {
  if (!overlay_.empty()) {
    const auto found = overlay_.find(overlay_key(table, key));
    if (found != overlay_.end()) return found->second.value;
  }
  wire::Bytes value;
  if (records_.get(table, key, value) != Records::Found::yes) return std::nullopt;
  return value;
}

bool Journal::pending(store::Table table, wire::ByteView key) const {
  return !overlay_.empty() && overlay_.contains(overlay_key(table, key));
}

void Journal::put(store::Table table, wire::Bytes key, std::optional<wire::Bytes> value) {
  overlay_[overlay_key(table, key)] = {value, gathering_number_};
  gathering_->puts.push_back({table, std::move(key), std::move(value)});
}

std::unique_ptr<store::Batch> Journal::take() {
  assert(!under_way_);
  under_way_ = true;
  waiting_under_way_ = std::move(waiting_);
  waiting_.clear();
  ++gathering_number_;
  return std::exchange(gathering_, new_batch());
}

void Journal::committed(Effects& effects) {
  assert(under_way_);
  under_way_ = false;
  std::move(waiting_under_way_.begin(), waiting_under_way_.end(), std::back_inserter(effects));
  waiting_under_way_.clear();
  // A record put again since then belongs to the batch that gathers and stays.
  std::erase_if(overlay_, [this](const auto& entry) {
    return entry.second.batch < gathering_number_;
  });
}

}  // namespace godwit::relay::slot
