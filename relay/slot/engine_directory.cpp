// The slot operations that are about who exists and who is attached, and not about envelopes.
#include <algorithm>
#include <cassert>

#include "relay/slot/engine.hpp"
#include "relay/slot/slot_of.hpp"

namespace godwit::relay::slot {

using wire::ErrorCode;

void Engine::answer(const Origin& origin, Answer answer, bool wait_for_commit, Effects& effects) {
  AnswerTo reply{origin, std::move(answer)};
  if (wait_for_commit) {
    journal_.after_commit(std::move(reply));
  } else {
    effects.push_back(std::move(reply));
  }
}

void Engine::on(const Origin& origin, Attach& operation, Now, Effects& effects) {
  const Directory::Known* user = directory_.known(operation.user);
  const Directory::Device* device = user == nullptr ? nullptr : user->find(operation.device);
  const bool pending = directory_.pending(operation.user);  // the list that says no
  if (device == nullptr) {
    return answer(origin, Simple{ErrorCode::unknown_device, 0}, pending, effects);
  }
  if (device->transport != operation.transport) {
    return answer(origin, Simple{ErrorCode::unauthorized, 0}, pending, effects);
  }
  AttachedAs attached;
  attached.list = user->version;
  attached.one_time_keys_left = prekeys_.one_time_left(operation.user, operation.device);
  if (auto record = directory_.load(operation.user)) attached.name = std::move(record->name);

  Mailbox& mailbox = mailboxes_.at(operation.device);
  if (mailbox.attachment) {  // half-dead, or a clone: the newcomer wins, and both are told
    attached.replaced = true;
    end_session(mailbox, ErrorCode::replaced, effects);
  }
  deliver_.attach(mailbox, origin.loop, origin.session);
  counters_.sessions.add();
  counters_.logins_total.add();
  answer(origin, attached, false, effects);
  stand_in_line(mailbox);
}

void Engine::on(const Origin& origin, Detach& operation, Now, Effects&) {
  Mailbox* mailbox = mailboxes_.find(operation.device);
  if (mailbox == nullptr || !mailbox->attachment) return;
  if (mailbox->attachment->session != origin.session || mailbox->attachment->loop != origin.loop) {
    return;  // replaced meanwhile
  }
  detach(*mailbox);
  mailboxes_.release_if_idle(*mailbox);
}

void Engine::end_session(Mailbox& mailbox, ErrorCode code, Effects& effects) {
  if (!mailbox.attachment) return;
  Notice notice{mailbox.attachment->loop, mailbox.attachment->session, wire::Closing{code, 0}};
  if (code == ErrorCode::replaced) {
    effects.push_back(notice);
  } else {  // a device list says so, which counts when it is on the disk: nobody comes back from it
    journal_.after_commit(notice);
  }
  detach(mailbox);
}

void Engine::detach(Mailbox& mailbox) {
  mailbox.attachment.reset();
  counters_.sessions.subtract();
  // Nobody will ack what is held: it goes to the disk now, in its order.
  NodeIndex first = mailbox.tail;
  if (first == kNoNode) return;
  while (mailboxes_.node(first).prev != kNoNode &&
         !mailboxes_.node(mailboxes_.node(first).prev).stored()) {
    first = mailboxes_.node(first).prev;
  }
  for (NodeIndex at = first; at != kNoNode; at = mailboxes_.node(at).next) {
    const Node& node = mailboxes_.node(at);
    if (node.stored()) continue;
    if (stage_.at(node.staged_index()).state == delivery::Staged::State::held) {
      stage_.hold(node.staged_index(), Steady{});
    }
  }
}

void Engine::on(const Origin& origin, std::unique_ptr<PutUser>& operation, Now now,
                Effects& effects) {
  const wire::UserId user = operation->parsed.user;
  const Directory::Put put = directory_.put(*operation);
  if (put.code == ErrorCode::conflict && !operation->expected) {
    // Who has lost all but the root key learns here which list to follow.
    GetUser held{user};
    return on(origin, held, now, effects);
  }
  if (put.code != ErrorCode::ok) {
    return answer(origin, Simple{put.code, retry_after_ms(put.code)}, false, effects);
  }
  if (operation->keys) {
    const ErrorCode keys = prekeys_.put(user, operation->device, operation->keys->seal_key,
                                        operation->keys->signed_prekey, {});
    assert(keys == ErrorCode::ok);  // a pair, and no one-time keys: nothing to refuse
    (void)keys;
  }
  if (put.new_user) counters_.users.add();
  counters_.devices.add(put.added.size());
  counters_.devices.subtract(put.removed.size());
  for (const wire::DeviceId& device : put.removed) purge(user, device, effects);
  for (const wire::DeviceId& device : put.rekeyed) {
    // A session that proved the old key ends; the one that changed it may go on.
    Mailbox* mailbox = mailboxes_.find(device);
    if (mailbox == nullptr || !mailbox->attachment) continue;
    const bool its_own = mailbox->attachment->session == origin.session &&
                         mailbox->attachment->loop == origin.loop;
    if (its_own) continue;
    end_session(*mailbox, ErrorCode::unauthorized, effects);
    mailboxes_.release_if_idle(*mailbox);
  }
  answer(origin, Simple{}, true, effects);
}

// A device that left the list: its mail, its keys and its session go.
void Engine::purge(const wire::UserId& user, const wire::DeviceId& device, Effects& effects) {
  prekeys_.remove(user, device);
  Mailbox* mailbox = mailboxes_.find(device);
  if (mailbox == nullptr) return;
  end_session(*mailbox, ErrorCode::removed, effects);
  while (mailbox->head != kNoNode) {
    drop(*mailbox, mailbox->head, ErrorCode::unknown_device, effects);
  }
  mailboxes_.release_if_idle(*mailbox);
}

void Engine::on(const Origin& origin, PutKeys& operation, Now, Effects& effects) {
  // The session has looked at the list, but it may be another by now.
  const Directory::Known* user = directory_.known(operation.user);
  if (user == nullptr || user->find(operation.device) == nullptr) {
    const ErrorCode gone = user == nullptr ? ErrorCode::not_found : ErrorCode::removed;
    return answer(origin, Simple{gone, 0}, directory_.pending(operation.user), effects);
  }
  const ErrorCode code = prekeys_.put(operation.user, operation.device, operation.seal_key,
                                      operation.signed_prekey, operation.one_time);
  answer(origin, Simple{code, retry_after_ms(code)}, code == ErrorCode::ok, effects);
}

void Engine::on(const Origin& origin, GetUser& operation, Now, Effects& effects) {
  std::optional<UserRecord> record = directory_.load(operation.user);
  if (!record) return answer(origin, Simple{ErrorCode::not_found, 0}, false, effects);
  answer(origin,
         FoundUser{std::make_shared<const wire::SignedList>(std::move(record->list)),
                   std::move(record->name)},
         directory_.pending(operation.user), effects);
}

void Engine::on(const Origin& origin, GetPrekeys& operation, Now now, Effects& effects) {
  std::optional<UserRecord> record = directory_.load(operation.user);
  const Directory::Known* known = directory_.known(operation.user);
  if (!record || known == nullptr) {
    return answer(origin, Simple{ErrorCode::not_found, 0}, false, effects);
  }
  FoundPrekeys found{std::make_shared<const wire::SignedList>(std::move(record->list)), {}};
  bool handed_out = false;
  for (const Directory::Device& device : known->devices) {
    const auto& wanted = operation.devices;
    if (!wanted.empty() && std::find(wanted.begin(), wanted.end(), device.id) == wanted.end()) {
      continue;
    }
    // A rate is of keys that are given, so what has none to give is not asked for its rate.
    const bool pops =
        prekeys_.one_time_left(operation.user, device.id) > 0 && may_pop(operation, now);
    auto bundle = prekeys_.bundle(operation.user, device.id, pops);
    if (!bundle) continue;
    if (bundle->one_time) {
      handed_out = true;
      const std::uint32_t left = prekeys_.one_time_left(operation.user, device.id);
      const Mailbox* mailbox = mailboxes_.find(device.id);
      if ((left == kOneTimeKeysLow || left == 0) && mailbox != nullptr && mailbox->attachment) {
        effects.push_back(Notice{mailbox->attachment->loop, mailbox->attachment->session,
                                 wire::KeysLow{left}});
      }
    }
    found.bundles.push_back(*bundle);
  }
  answer(origin, std::move(found), handed_out || directory_.pending(operation.user), effects);
}

// Past a rate only the signed prekey is given: one attacker cannot use up the keys of the others.
bool Engine::may_pop(const GetPrekeys& operation, Now now) {
  if (operation.limited) {
    wire::DeviceId pair = operation.requester;
    for (std::size_t i = 0; i < pair.bytes.size(); ++i) pair.bytes[i] ^= operation.user.bytes[i];
    if (prekey_pair_pops_.take(pair, now.steady).count() > 0) return false;
  }
  return prekey_pops_.take(operation.user, now.steady).count() == 0;
}

// ---- Names --------------------------------------------------------------------------------------

void Engine::on(const Origin& origin, BeginNaming& operation, Now, Effects& effects) {
  if (!directory_.begin_naming(operation.user)) {
    return answer(origin, Simple{ErrorCode::busy, 0}, false, effects);
  }
  const std::optional<UserRecord> record = directory_.load(operation.user);
  if (!record) return answer(origin, Simple{ErrorCode::not_found, 0}, false, effects);
  answer(origin, PreviousName{record->name}, directory_.pending(operation.user), effects);
}

void Engine::on(const Origin& origin, ClaimName& operation, Now, Effects& effects) {
  const auto holder = directory_.claim_name(operation);
  const bool pending = directory_.name_pending(operation.name);
  if (holder) return answer(origin, FoundName{*holder}, pending, effects);
  answer(origin, Simple{}, pending, effects);
}

void Engine::on(const Origin& origin, SetUserName& operation, Now, Effects& effects) {
  const ErrorCode code =
      directory_.set_user_name(operation) ? ErrorCode::ok : ErrorCode::not_found;
  answer(origin, Simple{code, 0}, directory_.pending(operation.user), effects);
}

void Engine::on(const Origin& origin, ReleaseName& operation, Now, Effects& effects) {
  directory_.release_name(operation);
  answer(origin, Simple{}, directory_.name_pending(operation.name), effects);
}

void Engine::on(const Origin& origin, EndNaming& operation, Now, Effects& effects) {
  directory_.end_naming(operation.user);
  answer(origin, Simple{}, false, effects);
}

void Engine::on(const Origin& origin, ResolveName& operation, Now, Effects& effects) {
  const auto user = directory_.resolve_name(operation.name);
  if (!user) return answer(origin, Simple{ErrorCode::not_found, 0}, false, effects);
  answer(origin, FoundName{*user}, directory_.name_pending(operation.name), effects);
}

}  // namespace godwit::relay::slot
