// core/core_state: the parts of a core and how they know each other.
#pragma once

#include "client-sdk/src/core/login.hpp"
#include "client-sdk/src/core/reads.hpp"

namespace godwit::core {

struct Core::State {
  State(store::Database& database_in, crypto::Random random, LocalAccount account_in)
      : database(database_in),
        round(database_in, std::move(random)),
        account(std::move(account_in)),
        user(account.record.user) {}

  store::Database& database;
  Round round;
  LocalAccount account;
  const wire::UserId user;
  Peers peers;
  Requests requests;
  HybridClock clock;
  Upkeep upkeep;
  Sealer sealer{account};
  Outbox outbox{account, peers, sealer, requests};
  Receipts receipts{peers, sealer, outbox, requests};
  Inbox inbox{account, peers, sealer, outbox, receipts, requests, upkeep, clock};
  Login login{account, requests, outbox, receipts, upkeep, clock};
  milliseconds last_sent{};   // of Now::steady, as the next two
  milliseconds last_heard{};  // a whole frame
  milliseconds next_upkeep{};

  void on_answer(const wire::RelayFrame& frame);
  void pass(const Asked& asked, const wire::RelayFrame& frame);
  void pass_user(const UserAsked& asked, const wire::User* user, const wire::Refused* refused);
  void put_again(milliseconds retry_after);
  void tend(Now now);
  // When a relay that owes an answer is taken for gone.
  [[nodiscard]] std::optional<milliseconds> patience_over() const;
  [[nodiscard]] std::optional<Found> sent_before(const Outgoing& message) const;
  [[nodiscard]] Result<void> check(const Outgoing& message) const;
  [[nodiscard]] Sent send_one(const Outgoing& message);
  [[nodiscard]] ConversationRecord conversation_to(const std::string& name);
};

}  // namespace godwit::core
