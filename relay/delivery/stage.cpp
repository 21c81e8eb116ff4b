#include "relay/delivery/stage.hpp"

#include <cassert>

#include "relay/limits.hpp"

namespace godwit::relay::delivery {
namespace {

std::size_t room_of(const Staged& staged) {
  return staged.body->bytes.size() + kStagedOverhead;
}

}  // namespace

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
  bytes_ += room_of(staged);
  staged_[index] = std::move(staged);
  staged_[index].state = Staged::State::held;
  return index;
}

void Stage::hold(StagedIndex index, Steady until) {
  assert(staged_[index].state == Staged::State::held);
  holds_.push({until, ++order_, index, ++generations_[index]});  // an earlier hold goes stale
}

void Stage::free(StagedIndex index) {
  assert(staged_[index].state != Staged::State::free);
  bytes_ -= room_of(staged_[index]);
  staged_[index] = {};
  ++generations_[index];
  free_.push_back(index);
}

bool Stage::stale(const Hold& hold) const {
  return generations_[hold.index] != hold.generation ||
         staged_[hold.index].state != Staged::State::held;
}

void Stage::take_due(Steady now, std::vector<StagedIndex>& due) {
  while (!holds_.empty() && (stale(holds_.top()) || holds_.top().until <= now)) {
    const Hold hold = holds_.top();
    holds_.pop();
    if (stale(hold)) continue;
    staged_[hold.index].state = Staged::State::handed;
    due.push_back(hold.index);
  }
}

std::optional<Steady> Stage::next_due() {
  while (!holds_.empty() && stale(holds_.top())) holds_.pop();
  if (holds_.empty()) return std::nullopt;
  return holds_.top().until;
}

}  // namespace godwit::relay::delivery
