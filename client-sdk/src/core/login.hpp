// core/login: how a connection becomes a session: log in, register where the relay does not know
// us, bring device lists into step. And how it ends.
// Owns:    what the connection is to do next (Core::Link).
// Spec:    schema/README.md, "Sessions", "Register", "Welcome", "Closing".
#pragma once

#include "client-sdk/src/core/inbox.hpp"

namespace godwit::core {

class Login {
 public:
  Login(LocalAccount& account, Requests& requests, Outbox& outbox, Receipts& receipts,
        Upkeep& upkeep, HybridClock& clock)
      : account_(account),
        requests_(requests),
        outbox_(outbox),
        receipts_(receipts),
        upkeep_(upkeep),
        clock_(clock) {}

  void start(Round& round);
  void on_welcome(Round& round, const wire::Welcome& welcome, bool registered_now);
  void on_refused(Round& round, const wire::Refused& refused, bool registering);
  // Register was answered with the list that the relay holds.
  void on_conflict(Round& round, const wire::User& user);
  // The relay holds a later list of ours.
  void on_own_list(Round& round, const wire::User& user);
  void on_name_put(Round& round, const NamePut& put, const wire::Refused* refused);
  void on_closing(Round& round, const wire::Closing& closing);
  void on_disconnected(Round& round);

  void close(std::string reason, milliseconds retry_after = {});
  [[nodiscard]] const Core::Link& link() const { return link_; }
  [[nodiscard]] bool caught_up() const { return caught_up_; }
  void on_caught_up(Round& round);
  // Asks again for the name that the relay was too busy to give.
  void pump(Round& round);
  [[nodiscard]] std::optional<milliseconds> deadline() const { return name_again_at_; }

 private:
  void log_in(Round& round);
  void enlist(Round& round);  // Register
  void ask_name(Round& round, const std::string& name);
  // The one that was asked for; else the one we have.
  [[nodiscard]] const std::string& due_name() const;
  // False: the connection is to end, since the relay sends us round in a circle.
  [[nodiscard]] bool may_try();
  void give_up(Round& round, EventKind kind, std::string reason);
  // This login was ended by one of an earlier connection of ours, which came late.
  [[nodiscard]] bool overtaken(const Round& round) const;
  // Ours, valid, and the one we have or a later one; else that is told, and nothing.
  [[nodiscard]] std::optional<wire::DeviceList> own_list(Round& round,
                                                         const wire::SignedListView& list) const;

  LocalAccount& account_;
  Requests& requests_;
  Outbox& outbox_;
  Receipts& receipts_;
  Upkeep& upkeep_;
  HybridClock& clock_;
  Core::Link link_;
  bool caught_up_ = false;
  int attempts_ = 0;                           // Logins and Registers of this connection
  std::string registering_;                    // the name in the last Register
  std::optional<milliseconds> name_again_at_;  // steady clock, as the next two
  std::optional<milliseconds> began_;          // this connection
  std::optional<milliseconds> earlier_;        // the one before, unless it was itself replaced
  bool replaced_ = false;                      // this connection was
};

}  // namespace godwit::core
