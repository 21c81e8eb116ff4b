// names: the public enums as words, for logs and for programs: they never change.
#include "godwit/error.hpp"
#include "godwit/events.hpp"
#include "godwit/types.hpp"

namespace godwit {

std::string_view to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_argument:
      return "invalid_argument";
    case ErrorCode::not_found:
      return "not_found";
    case ErrorCode::key_conflict:
      return "key_conflict";
    case ErrorCode::home_in_use:
      return "home_in_use";
    case ErrorCode::home_exists:
      return "home_exists";
    case ErrorCode::no_account:
      return "no_account";
    case ErrorCode::wrong_key:
      return "wrong_key";
    case ErrorCode::damaged:
      return "damaged";
    case ErrorCode::newer_version:
      return "newer_version";
    case ErrorCode::disk_full:
      return "disk_full";
    case ErrorCode::storage:
      return "storage";
    case ErrorCode::offline:
      return "offline";
    case ErrorCode::timed_out:
      return "timed_out";
    case ErrorCode::name_taken:
      return "name_taken";
    case ErrorCode::refused:
      return "refused";
    case ErrorCode::replaced:
      return "replaced";
    case ErrorCode::removed:
      return "removed";
    case ErrorCode::outbox_full:
      return "outbox_full";
  }
  return "unknown";
}

std::string_view to_string(Status status) {
  switch (status) {
    case Status::queued:
      return "queued";
    case Status::sent:
      return "sent";
    case Status::delivered:
      return "delivered";
    case Status::read:
      return "read";
    case Status::failed:
      return "failed";
    case Status::received:
      return "received";
  }
  return "unknown";
}

std::string_view to_string(EventKind kind) {
  switch (kind) {
    case EventKind::message_received:
      return "message_received";
    case EventKind::status_changed:
      return "status_changed";
    case EventKind::expired:
      return "expired";
    case EventKind::conversation_added:
      return "conversation_added";
    case EventKind::typing:
      return "typing";
    case EventKind::online:
      return "online";
    case EventKind::offline:
      return "offline";
    case EventKind::caught_up:
      return "caught_up";
    case EventKind::registered:
      return "registered";
    case EventKind::name_taken:
      return "name_taken";
    case EventKind::contact_added:
      return "contact_added";
    case EventKind::devices_changed:
      return "devices_changed";
    case EventKind::list_refused:
      return "list_refused";
    case EventKind::equivocation:
      return "equivocation";
    case EventKind::prekey_refused:
      return "prekey_refused";
    case EventKind::name_moved:
      return "name_moved";
    case EventKind::gap:
      return "gap";
    case EventKind::gap_closed:
      return "gap_closed";
    case EventKind::chain_broken:
      return "chain_broken";
    case EventKind::undecryptable:
      return "undecryptable";
    case EventKind::stale_prekey:
      return "stale_prekey";
    case EventKind::late_clock:
      return "late_clock";
    case EventKind::replaced:
      return "replaced";
    case EventKind::removed:
      return "removed";
    case EventKind::store_changed:
      return "store_changed";
    case EventKind::storage_failed:
      return "storage_failed";
    case EventKind::damaged_record:
      return "damaged_record";
    case EventKind::events_lost:
      return "events_lost";
  }
  return "unknown";
}

}  // namespace godwit
