// sim/ledger: what the people of a simulation have done and seen, kept outside of everything that
// is under test, and the judgements that need nothing else.
// Owns:    all of it.
// Thread:  one.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "godwit/client.hpp"

namespace godwit::sim {

struct Wrote {
  std::string home;  // on which device
  std::size_t by = 0, to = 0;
  std::string text;  // also its key; no two are alike
  MessageId id;
  std::optional<MessageId> behind;  // the last that its writer had there when it was written
  bool may_fail = false;            // it is longer than the operator wants
};

class Ledger {
 public:
  // ---- What happens. The sentence is what is wrong with it; empty: nothing.
  // Somebody is about to write this; whether it was done is not always known afterwards.
  // False: it is not the first time.
  bool attempt(const std::string& text, std::size_t by, std::size_t to);
  [[nodiscard]] std::string wrote(Wrote wrote);
  // It was not, for good: nobody may ever see it.
  void refused(const std::string& text) { attempts_.erase(text); }
  // A device shows a message that came in, for the first time as it says.
  [[nodiscard]] std::string received(const std::string& home, std::size_t person, std::size_t from,
                                     const Message& message);
  // A device tells its user how far a message has come.
  [[nodiscard]] std::string told(const std::string& home, const MessageId& id, Status status);
  // The person has looked at everything that this device had from `from`.
  void looked(const std::vector<Message>& messages);

  [[nodiscard]] const std::vector<Wrote>& all() const { return wrote_; }
  [[nodiscard]] const Wrote* find(const MessageId& id) const;
  [[nodiscard]] bool was_told_of(const std::string& home, const MessageId& id) const {
    return received_.contains({home, id});
  }
  // The last status that a device told of a message.
  [[nodiscard]] std::optional<Status> last_told(const std::string& home, const MessageId& id) const;

 private:
  struct Attempt {
    std::size_t by = 0, to = 0;
    std::optional<MessageId> id;  // once anybody has seen one
  };
  [[nodiscard]] std::string is_one(Attempt& attempt, const std::string& text, const MessageId& id);

  std::map<std::string, Attempt> attempts_;  // by text
  std::vector<Wrote> wrote_;
  std::map<MessageId, std::size_t> by_id_;
  std::set<std::pair<std::string, MessageId>> received_;
  std::set<MessageId> looked_at_;
  std::map<std::pair<std::string, MessageId>, Status> told_;
};

// How far along a status is; a failed message is nowhere.
[[nodiscard]] int rank(Status status);

}  // namespace godwit::sim
