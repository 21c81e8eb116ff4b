#include "tests/sim/ledger.hpp"

namespace godwit::sim {

int rank(Status status) {
  switch (status) {
    case Status::queued:
      return 0;
    case Status::sent:
      return 1;
    case Status::delivered:
      return 2;
    case Status::read:
      return 3;
    case Status::failed:
    case Status::received:
      break;
  }
  return -1;
}

bool Ledger::attempt(const std::string& text, std::size_t by, std::size_t to) {
  return attempts_.try_emplace(text, Attempt{by, to, {}}).second;
}

std::string Ledger::is_one(Attempt& attempt, const std::string& text, const MessageId& id) {
  if (!attempt.id) attempt.id = id;
  return *attempt.id == id ? "" : text + " has become two messages";
}

std::string Ledger::wrote(Wrote wrote) {
  std::string problem = is_one(attempts_.at(wrote.text), wrote.text, wrote.id);
  by_id_.emplace(wrote.id, wrote_.size());
  wrote_.push_back(std::move(wrote));
  return problem;
}

const Wrote* Ledger::find(const MessageId& id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &wrote_[found->second];
}

std::string Ledger::received(const std::string& home, std::size_t person, std::size_t from,
                             const Message& message) {
  const auto attempt = attempts_.find(message.text);
  if (attempt == attempts_.end()) return home + " shows what nobody wrote: " + message.text;
  if (attempt->second.to != person) return message.text + " came to somebody else, at " + home;
  if (attempt->second.by != from) return message.text + " came as from somebody else, at " + home;
  if (!received_.emplace(home, message.id).second) return message.text + " came twice at " + home;
  return is_one(attempt->second, message.text, message.id);
}

std::string Ledger::told(const std::string& home, const MessageId& id, Status status) {
  const auto [known, first] = told_.emplace(std::pair(home, id), status);
  const Status before = std::exchange(known->second, status);
  const Wrote* const wrote = find(id);
  const std::string text = wrote == nullptr ? id.hex() : wrote->text;
  const bool gives_up = status == Status::failed && wrote != nullptr && wrote->may_fail;
  if (!first && rank(status) < rank(before) && !(gives_up && before == Status::sent)) {
    return text + " fell from " + std::string(to_string(before)) + " to " +
           std::string(to_string(status));
  }
  if (status == Status::read && wrote != nullptr && !looked_at_.contains(id)) {
    return text + " is said to be read, and nobody has looked at it";
  }
  return {};
}

std::optional<Status> Ledger::last_told(const std::string& home, const MessageId& id) const {
  const auto known = told_.find({home, id});
  return known == told_.end() ? std::nullopt : std::optional(known->second);
}

void Ledger::looked(const std::vector<Message>& messages) {
  for (const Message& message : messages) {
    if (!message.outgoing) looked_at_.insert(message.id);
  }
}

}  // namespace godwit::sim
