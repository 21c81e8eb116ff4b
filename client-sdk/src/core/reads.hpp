// core/reads: what an app asks to see, out of a snapshot. When the database fails on the way, what
// comes out is of no worth: the caller looks at View::failed().
// Thread: any; each call works on its own View.
#pragma once

#include "client-sdk/src/core/history.hpp"

namespace godwit::core::reads {

// A name is one that a contact has, one that waits to be looked up, or the 32 hex digits of a user.
[[nodiscard]] std::optional<wire::UserId> user_of(const View& view, std::string_view name);
[[nodiscard]] Result<LocalConversation> conversation_of(const View& view, std::string_view name);
// Why nobody is called so here: nobody can be, or nobody is.
[[nodiscard]] Error no_such_name(std::string_view name);
// What a user is called; its id in hex when it has no name.
[[nodiscard]] std::string name_of(const View& view, const wire::UserId& user);

[[nodiscard]] Result<Page<Conversation>> conversations(const View& view, const PageRequest& page);
[[nodiscard]] Result<Page<Message>> messages(const View& view, const LocalConversation& which,
                                             const PageRequest& page);
[[nodiscard]] Result<Message> message(const View& view, const MessageId& id);
[[nodiscard]] Result<MessageStatus> status(const View& view, const MessageId& id);
[[nodiscard]] Result<Explanation> explain(const View& view, const MessageId& id);
void kept_events(const View& view, std::vector<Event>& into);
[[nodiscard]] Result<std::vector<Contact>> contacts(const View& view);

}  // namespace godwit::core::reads
