#include "relay/delivery/stage.hpp"

#include <algorithm>
#include <cassert>

#include "relay/limits.hpp"

namespace godwit::relay::delivery {
namespace {

// Stale holds that are not worth a look at all.
constexpr std::size_t kStaleMax = 1'024;

}  // namespace

void Stage::count_in(const store::Body& body) {
  bytes_ += kStagedOverhead;
  if (body.shared_id == 0 || ++shared_[body.shared_id] == 1) bytes_ += body.bytes.size();
}

void Stage::count_out(const store::Body& body) {
  bytes_ -= kStagedOverhead;
  if (body.shared_id != 0) {
    const auto shared = shared_.find(body.shared_id);
    if (--shared->second > 0) return;
    shared_.erase(shared);
  }
  bytes_ -= body.bytes.size();
}

StagedIndex Stage::add(Staged staged) {
  StagedIndex index = 0;
  if (free_.empty()) {
    index = static_cast<StagedIndex>(staged_.size());
    staged_.emplace_back();
    generations_.push_back(0);
  } else {
    index = free_.back();
    free_.pop_back();
  }
  count_in(*staged.body);
  staged_[index] = std::move(staged);
  staged_[index].state = Staged::State::held;
  ++held_;
  return index;
}

void Stage::hold(StagedIndex index, Steady until) {
  assert(staged_[index].state == Staged::State::held);
  // What is acknowledged leaves its hold behind, and while a commit is under way none is popped.
  if (holds_.size() > 2 * held_ + kStaleMax) {
    std::erase_if(holds_, [this](const Hold& hold) { return stale(hold); });
    std::ranges::make_heap(holds_, std::greater<>());
  }
  holds_.push_back({until, ++order_, index, ++generations_[index]});  // an earlier hold goes stale
  std::ranges::push_heap(holds_, std::greater<>());
}

void Stage::free(StagedIndex index) {
  Staged& staged = staged_[index];
  assert(staged.state != Staged::State::free);
  if (staged.state == Staged::State::held) --held_;
  count_out(*staged.body);
  staged = {};
  ++generations_[index];
  free_.push_back(index);
}

bool Stage::stale(const Hold& hold) const {
  return generations_[hold.index] != hold.generation ||
         staged_[hold.index].state != Staged::State::held;
}

Stage::Hold Stage::pop_hold() {
  std::ranges::pop_heap(holds_, std::greater<>());
  const Hold hold = holds_.back();
  holds_.pop_back();
  return hold;
}

void Stage::take_due(Steady now, std::vector<StagedIndex>& due) {
  while (!holds_.empty() && (stale(holds_.front()) || holds_.front().until <= now)) {
    const Hold hold = pop_hold();
    if (stale(hold)) continue;
    staged_[hold.index].state = Staged::State::handed;
    --held_;
    due.push_back(hold.index);
  }
}

std::optional<Steady> Stage::next_due() {
  while (!holds_.empty() && stale(holds_.front())) (void)pop_hold();
  if (holds_.empty()) return std::nullopt;
  return holds_.front().until;
}

}  // namespace godwit::relay::delivery
