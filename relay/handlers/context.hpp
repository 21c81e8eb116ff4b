// handlers/context: all that a handler may do to the world. The shard implements it.
#pragma once

#include "relay/config.hpp"
#include "relay/session/session.hpp"

namespace godwit::relay::handlers {

using session::Continuation;
using session::Session;

class Context {
 public:
  virtual ~Context() = default;

  [[nodiscard]] virtual const Config& config() const = 0;
  [[nodiscard]] virtual Now now() const = 0;

  // Asks a slot. The answer comes to `then` with the session as it is by then; not at all when the
  // session has ended. Never calls back before it returns.
  virtual void call(Session& session, std::uint16_t slot, slot::Operation operation,
                    Continuation then) = 0;
  // The same for work that must come to its end whether the session lives or not.
  virtual void start(std::uint16_t slot, slot::Operation operation,
                     std::function<void(slot::Answer&)> then) = 0;
  // Nothing when it has ended.
  [[nodiscard]] virtual Session* find(session::SessionId session) = 0;
  // One recipient of a pending submit; the shard gathers the outcomes.
  virtual void enqueue(Session& session, std::uint32_t submit, slot::Enqueue operation) = 0;
  // The shard answers Done, or the refusal, to `request`.
  virtual void ack(Session& session, std::uint32_t request, slot::Ack operation) = 0;

  using ReplyBody = decltype(wire::RelayFrame::body);
  virtual void reply(Session& session, std::uint32_t request, ReplyBody body) = 0;
  virtual void refuse(Session& session, std::uint32_t request, wire::ErrorCode code,
                      std::chrono::milliseconds retry_after = {}) = 0;
  // Sends Closing and closes; the session takes no more frames.
  virtual void end(Session& session, wire::ErrorCode code) = 0;

  // The session is logged in: frames may now be as large as the protocol allows.
  virtual void welcome(Session& session, std::uint32_t request, const slot::AttachedAs& attached,
                       wire::ErrorCode name) = 0;

  // An id that no other shared body ever had.
  [[nodiscard]] virtual std::uint64_t next_body_id() = 0;

  // Zero when allowed, else when to try again.
  [[nodiscard]] virtual std::chrono::milliseconds take_registration(const Session& session) = 0;
  [[nodiscard]] virtual std::chrono::milliseconds take_submit(const Session& session,
                                                              std::size_t recipients) = 0;
  [[nodiscard]] virtual std::chrono::milliseconds take_lookups(const Session& session,
                                                               std::uint32_t tokens) = 0;
  [[nodiscard]] virtual std::chrono::milliseconds take_prekeys(const Session& session) = 0;
};

}  // namespace godwit::relay::handlers
