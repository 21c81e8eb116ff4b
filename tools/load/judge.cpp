#include "tools/load/judge.hpp"

#include <algorithm>
#include <cassert>
#include <sstream>
#include <utility>

namespace godwit::load {

Flow::Flow(std::uint32_t recipients, Counts& counts) : counts_(counts), recipients_(recipients) {}

std::uint64_t Flow::next(Clock::time_point due) {
  const auto recipients = static_cast<std::uint32_t>(recipients_.size());
  open_.push_back({due, recipients, recipients});
  return made() - 1;
}

void Flow::sent(std::uint64_t number) {
  if (was_sent(number)) return;
  counts_.submitted += (number + 1 - sent_) * recipients_.size();
  sent_ = number + 1;
}

std::uint64_t Flow::withdraw_unsent(std::uint64_t due) {
  const std::uint64_t count = made() - sent_;
  counts_.unsent += (std::max(due, made()) - sent_) * recipients_.size();
  open_.resize(open_.size() - count);
  return count;
}

void Flow::submitted_again(std::uint64_t number) {
  again_.insert(number);
}

bool Flow::came(const Recipient& recipient, std::uint64_t number) const {
  return number < recipient.next && !recipient.missing.contains(number) &&
         !recipient.refused.contains(number);
}

void Flow::answered(std::uint64_t number, std::uint32_t recipient, bool accepted) {
  if (number < first_) return;
  Open& open = open_[number - first_];
  if (open.answers_left == 0) return;
  --open.answers_left;
  if (accepted) {
    ++counts_.accepted;
  } else {
    ++counts_.refused;
    Recipient& at = recipients_[recipient];
    if (!came(at, number)) {
      at.refused.insert(number);
      at.missing.erase(number);
      --open.owed;
    }
  }
  note_if_complete(open);
}

Flow::Came Flow::delivered(std::uint64_t number, std::uint32_t recipient) {
  if (!was_sent(number) || recipient >= recipients_.size()) {
    ++counts_.corrupted;
    return Came::never_sent;
  }
  Recipient& at = recipients_[recipient];
  const bool refused = at.refused.contains(number);
  const std::uint64_t here = std::exchange(at.here, std::max(at.here, number + 1));
  if (number < at.next && !at.missing.contains(number) && !refused) {
    const bool twice = number >= at.connected || !at.again_here.insert(number).second;
    const bool promised = number < at.confirmed || twice;
    const bool submitted_once = !again_.contains(number);
    if (promised && submitted_once) {
      ++counts_.duplicated;
    } else {
      ++counts_.redelivered;
      if (number < here && submitted_once) ++counts_.reordered;
    }
    return Came::again;
  }
  if (number < at.next) {
    // What was refused may have been on its way already; only what was skipped is out of order.
    if (at.missing.erase(number) > 0) ++counts_.reordered;
  } else {
    for (std::uint64_t skipped = at.next; skipped < number; ++skipped) {
      if (!at.refused.contains(skipped)) at.missing.insert(skipped);
    }
    at.next = number + 1;
  }
  ++counts_.delivered;
  if (at.refused.erase(number) > 0) return Came::first;  // nobody was owed it any more
  Open& open = open_[number - first_];
  --open.owed;
  note_if_complete(open);
  return Came::first;
}

void Flow::confirmed(std::uint64_t number, std::uint32_t recipient) {
  Recipient& at = recipients_[recipient];
  at.confirmed = std::max(at.confirmed, number + 1);
}

void Flow::reconnected(std::uint32_t recipient) {
  Recipient& at = recipients_[recipient];
  at.connected = at.next;
  at.here = 0;
  at.again_here.clear();
}

void Flow::logging_in(std::uint32_t recipient) {
  const auto unanswered =
      std::ranges::find_if(open_, [](const Open& open) { return open.answers_left > 0; });
  recipients_[recipient].answered_at_login =
      first_ + static_cast<std::uint64_t>(unanswered - open_.begin());
}

void Flow::caught_up(std::uint32_t recipient) {
  Recipient& at = recipients_[recipient];
  at.caught_up = at.answered_at_login;
}

std::optional<Clock::time_point> Flow::due(std::uint64_t number) const {
  if (number < first_ || number >= made()) return std::nullopt;
  return open_[number - first_].due;
}

std::vector<std::uint64_t> Flow::unanswered() const {
  std::vector<std::uint64_t> numbers;
  for (std::size_t i = 0; i < open_.size(); ++i) {
    if (open_[i].answers_left > 0) numbers.push_back(first_ + i);
  }
  return numbers;
}

void Flow::note_if_complete(const Open& open) {
  if (open.answers_left > 0 || open.owed > 0) return;
  ++complete_;
  while (!open_.empty() && open_.front().answers_left == 0 && open_.front().owed == 0) {
    open_.pop_front();
    ++first_;
  }
}

bool Flow::is_lost(const Recipient& recipient, std::uint64_t number) const {
  return recipient.missing.contains(number) || number < recipient.caught_up;
}

void Flow::close() {
  for (std::uint64_t number = first_; number < sent_; ++number) {
    const Open& open = open_[number - first_];
    counts_.unanswered += open.answers_left;
    if (open.answers_left > 0 || open.owed == 0) continue;
    for (const Recipient& at : recipients_) {
      if (came(at, number) || at.refused.contains(number)) continue;
      ++(is_lost(at, number) ? counts_.lost : counts_.undelivered);
    }
  }
}

void Settling::look(const Counts& counts, std::uint64_t unconfirmed, Clock::time_point now) {
  const std::pair progress(counts.accepted + counts.refused + counts.delivered + counts.redelivered,
                           unconfirmed);
  if (std::exchange(seen_, progress) != progress) moved_ = now;
}

void Unconfirmed::came(std::uint32_t delivery, std::optional<std::uint64_t> number) {
  waiting_.push_back({delivery, number});
}

std::optional<std::uint64_t> Unconfirmed::confirm(std::uint32_t upto) {
  std::optional<std::uint64_t> newest;
  while (!waiting_.empty() && waiting_.front().delivery <= upto) {
    const auto number = waiting_.front().number;
    if (number && (!newest || *number > *newest)) newest = number;
    waiting_.pop_front();
  }
  return newest;
}

namespace {

// " (mailbox_full 3, busy 1)"; empty when no code is known.
std::string codes_of(const ByCode& counts) {
  std::string text;
  for (const auto& [code, count] : counts) {
    text += (text.empty() ? " (" : ", ") + code + " " + std::to_string(count);
  }
  return text.empty() ? text : text + ")";
}

}  // namespace

std::vector<std::string> faults_of(const Report& report, const Scenario& scenario) {
  const Counts& counts = report.counts;
  std::vector<std::string> faults;
  const auto say = [&](std::uint64_t count, std::uint64_t allowed, std::string_view words) {
    if (count <= allowed) return;
    faults.push_back(std::to_string(count) + " " + std::string(words));
    if (allowed > 0) faults.back() += " (" + std::to_string(allowed) + " are allowed)";
  };
  say(counts.lost, 0, "lost: accepted by the relay, and left out of what it delivered");
  say(counts.duplicated, 0, "duplicated: delivered again although acknowledged");
  say(counts.reordered, 0, "reordered: delivered after a later one of the same sender");
  say(counts.corrupted, 0, "corrupted: not the bytes that were sent, or not to this device");
  say(counts.late, scenario.late_max, "late: delivered after more than the time that was set");
  say(counts.refused, scenario.refused_max, "refused by the relay" + codes_of(report.refused));
  std::uint64_t logins_refused = 0;
  for (const auto& [code, count] : report.logins_refused) logins_refused += count;
  say(logins_refused, 0, "logins refused by the relay" + codes_of(report.logins_refused));
  if (scenario.kill_every <= 0) say(counts.disconnects, 0, "connections ended unasked");
  if (scenario.pairs > 0 && counts.accepted == 0) faults.push_back("not one envelope was accepted");
  return faults;
}

std::optional<std::string> stall_of(const Counts& counts, const Scenario& scenario) {
  if (counts.unanswered + counts.undelivered + counts.unconfirmed == 0) return std::nullopt;
  std::ostringstream words;
  words << "the relay stood still: nothing was answered, delivered or confirmed for "
        << scenario.settle << " s, though " << counts.unanswered << " submits had no answer, "
        << counts.undelivered << " accepted envelopes were not delivered and the acks of "
        << counts.unconfirmed << " were not confirmed";
  return words.str();
}

std::vector<std::string> unchecked_of(const Report& report, const Scenario& scenario) {
  const Counts& counts = report.counts;
  std::vector<std::string> unchecked;
  if (report.seconds <= 0) {
    unchecked.emplace_back("nothing was measured: the run was over before its measured time began");
  } else if (scenario.pairs > 0 && report.accepted_per_s <= 0) {
    unchecked.emplace_back("nothing was measured: no envelope was accepted in the measured time");
  }
  const bool killed =
      std::ranges::any_of(report.events, [](const auto& event) { return event.what == kKilled; });
  if (scenario.kill_every > 0 && !killed) {
    unchecked.emplace_back("the relay was never killed: the run was over before");
  }
  if (report.interrupted) return unchecked;
  const auto say = [&](std::uint64_t count, std::string_view words) {
    if (count > 0) unchecked.push_back(std::to_string(count) + " " + std::string(words));
  };
  say(counts.unsent, "not submitted in time, though they were due");
  say(counts.unanswered, "submitted, but not answered when the time was over");
  say(counts.undelivered,
      "accepted, but not delivered when the time was over: they may still be in the relay's queue");
  say(counts.unconfirmed,
      "acknowledged, but the acks were not confirmed when the time was over: they may come again");
  return unchecked;
}

}  // namespace godwit::load
