// client: the public API over the engine. Each call is one round or one read.
#include "godwit/client.hpp"

#include "client-sdk/src/engine.hpp"

namespace godwit {
namespace {

Result<void> check_passphrase(const std::optional<std::string>& passphrase) {
  if (!passphrase || !passphrase->empty()) return {};
  return Error{ErrorCode::invalid_argument, "an empty passphrase protects nothing; choose another"};
}

}  // namespace

struct Client::State {
  std::unique_ptr<Engine> engine;

  [[nodiscard]] static Result<Client> over(Result<std::unique_ptr<Engine>> opened) {
    if (!opened) return opened.error();
    return Client(std::unique_ptr<State>(new State{*std::move(opened)}));
  }
  [[nodiscard]] static Result<Client> with(const Options& options,
                                           const Result<core::NewAccount>& account) {
    if (!account) return account.error();
    if (auto protects = check_passphrase(options.passphrase); !protects) return protects.error();
    return over(Engine::create(options, *account));
  }
};

Client::Client(std::unique_ptr<State> state) : state_(std::move(state)) {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

Result<Client> Client::create(const Options& options, std::string_view relay,
                              std::string_view name) {
  return State::with(options, core::new_account(relay, name));
}

Result<Client> Client::recover(const Options& options, std::string_view relay,
                               std::string_view code) {
  return State::with(options, core::recovered_account(relay, code));
}

Result<Client> Client::open(const Options& options) {
  return State::over(Engine::open(options));
}

Result<void> Client::change_passphrase(const Options& options,
                                       const std::optional<std::string>& next) {
  if (auto protects = check_passphrase(next); !protects) return protects.error();
  return Engine::change_passphrase(options, next);
}

Result<void> Client::connect() {
  return state_->engine->connect();
}
void Client::disconnect() {
  state_->engine->disconnect();
}

// ---- The account --------------------------------------------------------------------------------

Account Client::account() const {
  return state_->engine->account();
}

Result<std::string> Client::recovery_code() const {
  return state_->engine->read_core<std::string>(
      [](const auto& core) { return core.recovery_code(); });
}

Result<void> Client::set_name(std::string_view name) {
  return state_->engine->set_name(name);
}

Result<void> Client::set_contact_policy(ContactPolicy policy) {
  return state_->engine->change<void>(
      [&](core::Core& core, core::Now now) { return core.set_contact_policy(policy, now); });
}

// ---- Messages -----------------------------------------------------------------------------------

Result<Sent> Client::send(const Outgoing& message) {
  auto sent = send(std::span(&message, 1));
  if (!sent) return sent.error();
  return sent->front();
}

Result<std::vector<Sent>> Client::send(std::span<const Outgoing> messages) {
  return state_->engine->change<std::vector<Sent>>(
      [&](core::Core& core, core::Now now) { return core.send(messages, now); });
}

Result<void> Client::mark_read(std::string_view name, std::uint64_t arrival) {
  const auto conversation = state_->engine->read<ConversationId>(
      [&](const auto& core) { return core.conversation_of(name); });
  if (!conversation) return conversation.error();
  return mark_read(*conversation, arrival);
}

Result<void> Client::mark_read(const ConversationId& conversation, std::uint64_t arrival) {
  return state_->engine->change<void>(
      [&](core::Core& core, core::Now now) { return core.mark_read(conversation, arrival, now); });
}

Result<void> Client::set_typing(std::string_view name, bool active) {
  return state_->engine->change<void>(
      [&](core::Core& core, core::Now now) { return core.set_typing(name, active, now); });
}

Result<Page<Conversation>> Client::conversations(const PageRequest& page) const {
  return state_->engine->read<Page<Conversation>>(
      [&](const auto& core) { return core.conversations(page); });
}

Result<Page<Message>> Client::messages(std::string_view name, const PageRequest& page) const {
  return state_->engine->read<Page<Message>>([&](const auto& core) -> Result<Page<Message>> {
    const auto conversation = core.conversation_of(name);
    if (!conversation) return conversation.error();
    return core.messages(*conversation, page);
  });
}

Result<Page<Message>> Client::messages(const ConversationId& conversation,
                                       const PageRequest& page) const {
  return state_->engine->read<Page<Message>>(
      [&](const auto& core) { return core.messages(conversation, page); });
}

Result<Message> Client::message(const MessageId& id) const {
  return state_->engine->read<Message>([&](const auto& core) { return core.message(id); });
}

Result<MessageStatus> Client::status(const MessageId& id) const {
  return state_->engine->read<MessageStatus>([&](const auto& core) { return core.status(id); });
}

Result<std::size_t> Client::waiting() const {
  return state_->engine->read_core<std::size_t>([](const auto& core) { return core.waiting(); });
}

Result<Explanation> Client::explain(const MessageId& id) const {
  return state_->engine->read_core<Explanation>([&](const auto& core) { return core.explain(id); });
}

// ---- Contacts -----------------------------------------------------------------------------------

Result<std::vector<Contact>> Client::contacts() const {
  return state_->engine->read<std::vector<Contact>>(
      [](const auto& core) { return core.contacts(); });
}

Result<std::string> Client::safety_number(std::string_view name) const {
  return state_->engine->read<std::string>(
      [&](const auto& core) { return core.safety_number(name); });
}

Result<void> Client::accept(std::string_view name) {
  return state_->engine->change<void>(
      [&](core::Core& core, core::Now now) { return core.accept(name, now); });
}

Result<void> Client::block(std::string_view name, bool blocked) {
  return state_->engine->change<void>(
      [&](core::Core& core, core::Now now) { return core.block(name, blocked, now); });
}

// ---- Events and waiting -------------------------------------------------------------------------

std::optional<Event> Client::next_event() {
  return state_->engine->next_event();
}
int Client::descriptor() const {
  return state_->engine->descriptor();
}
bool Client::wait_event(std::chrono::milliseconds timeout) {
  return state_->engine->wait_event(timeout);
}

Result<void> Client::wait_registered(std::chrono::milliseconds timeout) {
  return state_->engine->wait_registered(timeout);
}

Result<Status> Client::wait_accepted(const MessageId& id, std::chrono::milliseconds timeout) {
  return state_->engine->wait_accepted(id, timeout);
}

Result<void> Client::wait_settled(std::chrono::milliseconds timeout) {
  return state_->engine->wait_settled(timeout);
}

}  // namespace godwit
