// core/outbox: what is to reach others: encrypted, submitted, tried again, until it is accepted and
// delivered.
//
// An entry is waiting (the text stands in the history, nothing is encrypted), sealed (bodies and
// request id fixed: for a day a retry is the same bytes), accepted (kept until delivered, since a
// relay may lose its disk), perhaps expired (the relay keeps nothing for ever: encrypted anew when
// the device is heard from), and then gone. Each user is a lane: within it entries go out in the
// order of their numbers; a lane that is refused waits alone.
// Owns:    in memory one line per entry; bodies are in the database.
// Refuses: to give up: only what can never be sent (no such name, too large) fails.
// Spec:    schema/README.md, "Submit", "Retries"; the design of the states in client-sdk/README.md.
#pragma once

#include <set>

#include "client-sdk/src/core/history.hpp"
#include "client-sdk/src/core/peers.hpp"
#include "client-sdk/src/core/requests.hpp"
#include "client-sdk/src/core/sealer.hpp"

namespace godwit::core {

class Outbox {
 public:
  Outbox(const LocalAccount& account, Peers& peers, Sealer& sealer, Requests& requests)
      : account_(account), peers_(peers), sealer_(sealer), requests_(requests) {}

  void load(const View& view);
  [[nodiscard]] std::size_t size() const { return lines_.size(); }
  // Why the relay's operator would not have it, as far as the relay has said; empty: they would.
  [[nodiscard]] std::string too_long(std::string_view text) const;

  // ---- What goes in
  void add_text(Round& round, const ConversationRecord& conversation, const MessagePlace& place);
  // To one device. Like a text it gets its seq when its turn comes: so numbers go out in order.
  void add_control(Round& round, const Peer& peer, wire::Bytes payload);
  void add_resend(Round& round, const Peer& peer, std::uint64_t seq);
  // Of what will not be sent any more.
  static void make_tombstone(Peer& peer, std::uint64_t seq, SentRecord& sent);
  [[nodiscard]] bool control_under_way(const wire::DeviceId& device) const {
    return controls_.contains(device);
  }

  // ---- The connection
  void on_login(const wire::Limits& limits);
  void on_disconnected();
  // Sends what can be sent now.
  void pump(Round& round);
  // Asks for the keys of a device that something is owed to; not again before the answer. False:
  // there were none a moment ago.
  bool ask_prekeys(Round& round, const wire::UserId& user, const wire::DeviceId& device);

  // ---- Answers. `refused`: the code, where there is no other answer.
  void on_user(Round& round, const UserAsked& asked, const wire::User* user,
               const wire::Refused* refused);
  void on_prekeys(Round& round, const PrekeysAsked& asked, const wire::Prekeys* prekeys,
                  const wire::Refused* refused);
  void on_submitted(Round& round, const SubmitAsked& asked, const wire::Submitted& submitted);
  void on_submit_refused(Round& round, const SubmitAsked& asked, const wire::Refused& refused);

  // ---- News
  void on_delivered(Round& round, const wire::DeviceId& device, std::uint64_t number);
  void on_list_changed(Round& round, const wire::UserId& user);
  // What went under this number is not to be had any more: a text gets another one.
  void on_lost(Round& round, const Peer& peer, std::uint64_t seq);
  // The peer could not read these; they are encrypted anew.
  void on_undecryptable(Round& round, const wire::UserId& user, const wire::DeviceId& device,
                        const std::vector<wire::EnvelopeHash>& hashes);
  // Tells of what nobody fetched while the relay kept it. After all that waited for us has come: it
  // may say that something was delivered.
  void expire(Round& round, Milliseconds relay_time);
  // Something came from this device, so what expired for it goes out again.
  void on_heard(Round& round, const wire::UserId& user, const wire::DeviceId& device);
  // Asks for the lists of those for whom a text has waited at the relay for long.
  void look_after(Round& round);
  // The relay's store is another one: what was accepted and not delivered goes out again.
  void resend_accepted(Round& round);

  // Nothing left that could be sent before `horizon`.
  [[nodiscard]] bool idle(milliseconds now, milliseconds horizon) const;
  [[nodiscard]] std::optional<milliseconds> deadline() const;
  // For a person: what an entry waits on. `refusal`: of its last attempt; `ok`: there was none.
  [[nodiscard]] std::string waits_on(std::uint64_t number, wire::ErrorCode refusal) const;
  // Texts that the relay has not accepted.
  [[nodiscard]] std::size_t waiting() const;

 private:
  struct LaneKey {
    bool named = false;  // a conversation whose name has not been looked up
    std::array<std::uint8_t, 16> id{};
    friend auto operator<=>(const LaneKey&, const LaneKey&) = default;
  };
  struct Lane {
    LaneKey key;
    std::set<std::uint64_t> entries;
    std::set<std::uint64_t> unsent;  // neither in flight nor accepted
    std::set<std::uint64_t> expired;
    milliseconds retry_at{};  // of Now::steady
    milliseconds delay{};
    std::string why;  // it waits, for a person
    bool asking = false;
  };
  struct Line {
    LaneKey lane;
    OutboxRecord::Kind kind{};
    bool in_flight = false;
    Milliseconds expires = 0;               // at the relay, when it is there
    std::optional<wire::DeviceId> control;  // the device that a control entry goes to
  };
  enum class Step : std::uint8_t { went_on, waits, full };
  struct NoKeys {  // of a device: what came of asking
    milliseconds until{};
    bool patience = false;  // is asked for by the relay; else it has put none
    bool told = false;      // that those which it has put are of no use
  };

  // What is waited for after such an answer.
  [[nodiscard]] static std::string room_for(wire::ErrorCode refusal);
  static LaneKey lane_key(const OutboxRecord& entry);
  static LaneKey lane_of(const wire::UserId& user) { return {false, user.bytes}; }
  [[nodiscard]] static std::optional<OutboxRecord> entry(const View& view, std::uint64_t number);
  void store(Round& round, const OutboxRecord& record);
  void enlist(const OutboxRecord& record);
  void insert(Round& round, OutboxRecord& record);
  void drop(Round& round, std::uint64_t number);

  [[nodiscard]] Step step(Round& round, const LaneKey& key, Lane& lane);
  [[nodiscard]] bool ask_name(Round& round, Lane& lane, const OutboxRecord& record);
  void ask_list(Round& round, Lane& lane, const wire::UserId& user);  // none known, or too old
  // Makes the bodies. False: not now, or never.
  [[nodiscard]] bool seal(Round& round, Lane& lane, const ContactRecord& contact,
                          OutboxRecord& record);
  [[nodiscard]] bool seal_text(Round& round, Lane& lane, const ContactRecord& contact,
                               OutboxRecord& record);
  [[nodiscard]] bool seal_control(Round& round, Lane& lane, OutboxRecord& record);
  void add_to_device(Round& round, const Peer& peer, OutboxRecord record, std::uint64_t seq);
  [[nodiscard]] bool reach(Round& round, Lane& lane, const ContactRecord& contact);
  // Null: they may be asked for.
  [[nodiscard]] const NoKeys* no_keys(const wire::DeviceId& device, milliseconds now) const;
  // Newer keys of a device that could be used as it is. False: there were none a moment ago.
  [[nodiscard]] bool await_keys(Round& round, Lane& lane, const Peer& peer);
  void get_prekeys(Round& round, const wire::UserId& user,
                   const std::vector<wire::DeviceId>& devices);
  [[nodiscard]] Step submit(Round& round, const ContactRecord& contact, OutboxRecord& record);
  void landed(Round& round, OutboxRecord& record);
  void fail(Round& round, std::uint64_t number, const std::string& why);  // for good
  void give_up_on_blocked(Round& round, OutboxRecord& record);
  void hold(Round& round, Lane& lane, milliseconds least, std::string why);
  void wake(const LaneKey& key);
  void set_asking(Lane& lane, bool asking, std::string why = {});
  void release(Lane& lane);  // no longer held
  void return_to_lane(std::uint64_t number);
  // Whose name was asked for; nothing when no text waits for it any more.
  [[nodiscard]] std::optional<LocalConversation> conversation_of(Round& round,
                                                                 const UserAsked& asked) const;
  void name_resolved(Round& round, const UserAsked& asked, const wire::User& user);
  void name_refused(Round& round, const UserAsked& asked, const wire::Refused& refused);
  void find_unheard(Round& round);
  bool refuse_bundle(Round& round, const ContactRecord& contact, const wire::Bundle& bundle,
                     std::string why);
  [[nodiscard]] bool take_bundle(Round& round, const ContactRecord& contact,
                                 const wire::Bundle& bundle);
  // The targets that the list does not have any more leave. True: the entry changed.
  [[nodiscard]] bool follow_list(OutboxRecord& record, const wire::DeviceList& list);
  void apply_outcome(Round& round, Lane& lane, OutboxRecord& record, const wire::DeviceId& device,
                     const wire::Outcome& outcome, const wire::Submitted& submitted);

  const LocalAccount& account_;
  Peers& peers_;
  Sealer& sealer_;
  Requests& requests_;

  bool logged_in_ = false;
  wire::Limits limits_;
  std::size_t text_size_max_ = wire::kTextSizeMax;
  std::size_t in_flight_ = 0;
  std::size_t bytes_in_flight_ = 0;
  std::unordered_map<std::uint64_t, Line> lines_;
  std::map<LaneKey, Lane> lanes_;
  // A lane with something to do is ready, held until a time, or asking.
  std::set<LaneKey> ready_;
  std::set<std::pair<milliseconds, LaneKey>> held_;
  std::size_t asking_ = 0;
  LaneKey last_;                            // lanes take turns
  std::multiset<wire::DeviceId> controls_;  // a device for each entry that goes to it
  bool list_changed_ = false;               // by an outcome that is being applied
  std::set<wire::DeviceId> keys_asked_;     // whose bundles are on the way
  std::map<wire::DeviceId, NoKeys> no_keys_;
  std::vector<wire::UserId> unheard_;  // whose lists are to be asked for,
  milliseconds unheard_at_{};          // not before this time of Now::steady
};

}  // namespace godwit::core
