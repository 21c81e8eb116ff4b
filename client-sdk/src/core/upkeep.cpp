#include "client-sdk/src/core/upkeep.hpp"

#include <algorithm>

namespace godwit::core {
namespace {

constexpr std::uint64_t kSecond = 1000;

std::array<std::uint8_t, 1> name_of(PrekeyKind kind) {
  return {static_cast<std::uint8_t>(kind)};
}

void store_secret(Round& round, PrekeyKind kind, std::uint32_t id, const crypto::DhKey& key) {
  PrekeyRecord record;
  record.secret = key.secret();
  record.key = key.public_key();
  record.created = round.wall();
  round.save(name_of(kind), order_bytes(id), record);
}

std::optional<crypto::DhKey> secret_of(const View& view, PrekeyKind kind, std::uint32_t id) {
  const auto record = view.load<PrekeyRecord>(name_of(kind), order_bytes(id));
  if (!record) return std::nullopt;
  return crypto::DhKey::from_secret(record->secret);
}

void mark_replaced(Round& round, Milliseconds now, PrekeyKind kind, std::uint32_t id) {
  auto record = round.load<PrekeyRecord>(name_of(kind), order_bytes(id));
  if (!record) return;
  record->replaced = now;
  round.save(name_of(kind), order_bytes(id), *record);
}

wire::SignedKey make_signed(Round& round, const LocalAccount& account, PrekeyKind kind,
                            std::uint32_t id) {
  const bool seal = kind == PrekeyKind::seal;
  const auto key = crypto::DhKey::draw(round.random);
  store_secret(round, kind, id, key);
  const std::uint64_t created = round.wall() / kSecond;
  const auto life = static_cast<Milliseconds>((seal ? kSealKeyLife : kSignedPrekeyLife).count());
  return account.device().sign_key(seal ? wire::SignedKeyKind::seal : wire::SignedKeyKind::prekey,
                                   account.record.user, id, {created, created + life / kSecond},
                                   key.public_key());
}

bool is_due(const Round& round, const wire::SignedKey& key, milliseconds age) {
  return is_over(key.created * kSecond, age, round.wall());
}

}  // namespace

void Upkeep::make_first(Round& round, const LocalAccount& account) {
  Upkeep upkeep;
  upkeep.record_.session_key_at = round.wall();
  upkeep.record_.signed_prekey = make_signed(round, account, PrekeyKind::signed_prekey, 1);
  upkeep.record_.seal_key = make_signed(round, account, PrekeyKind::seal, 1);
  upkeep.save(round);
}

void Upkeep::load(const View& view) {
  if (auto record = view.load<UpkeepRecord>(name_bytes(kUpkeepName))) record_ = *record;
}

void Upkeep::forget_put(Round& round) {
  record_.put = false;
  // Those that were out may have been given away: fresh ones take their place.
  record_.one_time_put = record_.one_time_last;
  next_top_up_ = {};
  save(round);
}

void Upkeep::put_again(Round& round) {
  record_.put = false;
  save(round);
}

void Upkeep::signed_keys_put(Round& round) {
  record_.put = true;
  save(round);
}

void Upkeep::renew(Round& round, const LocalAccount& account, Milliseconds relay_time) {
  const Milliseconds now = std::max(round.wall(), relay_time);
  if (is_due(round, record_.signed_prekey, kSignedPrekeyAge)) {
    mark_replaced(round, now, PrekeyKind::signed_prekey, record_.signed_prekey.id);
    record_.signed_prekey =
        make_signed(round, account, PrekeyKind::signed_prekey, record_.signed_prekey.id + 1);
    record_.put = false;
  }
  if (is_due(round, record_.seal_key, kSealKeyAge)) {
    mark_replaced(round, now, PrekeyKind::seal, record_.seal_key.id);
    record_.seal_key = make_signed(round, account, PrekeyKind::seal, record_.seal_key.id + 1);
    record_.put = false;
  }
  save(round);
}

void Upkeep::tend(Round& round, const LocalAccount& account, Requests& requests,
                  Milliseconds relay_time, std::optional<std::uint32_t> left) {
  renew(round, account, relay_time);
  const std::uint32_t on_the_way = record_.one_time_last - record_.one_time_put;
  const bool low = left && on_the_way <= kOneTimeKeysLow && *left <= kOneTimeKeysLow - on_the_way;
  if (low && next_top_up_ <= round.now.steady) {
    next_top_up_ = round.now.steady + kTopUpInterval;
    for (std::uint32_t have = *left + on_the_way; have < kOneTimeKeysFull; ++have) {
      const auto key = crypto::DhKey::draw(round.random);
      const std::uint32_t id = ++record_.one_time_last;
      store_secret(round, PrekeyKind::one_time, id, key);
      if (id > kOneTimeKeysKept) burn_one_time_key(round, id - kOneTimeKeysKept);
    }
  }
  save(round);
  if (putting_ || all_put()) return;
  wire::PutKeys put;
  KeysPut asked;
  if (!record_.put) {
    put.seal_key = record_.seal_key;
    put.signed_prekey = record_.signed_prekey;
    asked.signed_prekey = record_.signed_prekey.id;
    asked.seal_key = record_.seal_key.id;
  }
  for (std::uint32_t id = record_.one_time_put + 1;
       id <= record_.one_time_last && put.one_time.size() < wire::kOneTimeKeysPerRequestMax; ++id) {
    const auto record = round.load<PrekeyRecord>(name_of(PrekeyKind::one_time), order_bytes(id));
    if (record) put.one_time.push_back({id, record->key});
    asked.one_time_upto = id;
  }
  putting_ = true;
  requests.ask(round, std::move(put), asked);
}

void Upkeep::on_put(Round& round, const KeysPut& put) {
  putting_ = false;
  record_.put |=
      put.signed_prekey == record_.signed_prekey.id && put.seal_key == record_.seal_key.id;
  if (put.one_time_upto > record_.one_time_put) record_.one_time_put = put.one_time_upto;
  save(round);
}

bool Upkeep::session_key_due(Now now) const {
  const auto wall = static_cast<Milliseconds>(now.wall.count());
  return is_over(record_.session_key_at, kSessionKeyAge, wall);
}

// Between rounds: a transaction begun here would be open until the next one, perhaps another
// thread's, and LMDB's belong to the thread that began them.
void Upkeep::on_session_key_replaced(Now now) {
  record_.session_key_at = static_cast<Milliseconds>(now.wall.count());
  noted_ = true;
}

void Upkeep::flush(Round& round) {
  if (std::exchange(noted_, false)) save(round);
}

bool Upkeep::all_put() const {
  return record_.put && record_.one_time_put == record_.one_time_last;
}

void Upkeep::sweep(Round& round, Milliseconds relay_time) {
  const Milliseconds now = std::min(round.wall(), relay_time);
  for (const PrekeyKind kind : {PrekeyKind::signed_prekey, PrekeyKind::seal}) {
    std::vector<wire::Bytes> gone;
    round.scan(Table::prekeys, name_of(kind), {}, store::ReadTxn::Order::ascending,
               [&](wire::ByteView suffix, std::optional<wire::ByteView> value) {
                 const auto record = value ? View::parse<PrekeyRecord>(*value) : std::nullopt;
                 const auto kept = static_cast<Milliseconds>(kRetain.count());
                 if (record && record->replaced != 0 && record->replaced + kept < now) {
                   gone.emplace_back(suffix.begin(), suffix.end());
                 }
                 return true;
               });
    for (const auto& suffix : gone) round.erase(Table::prekeys, name_of(kind), suffix);
    if (!gone.empty()) seal_secrets_.clear();
  }
}

const crypto::DhKey* Upkeep::seal_secret(const View& view, std::uint32_t id) {
  if (const auto found = seal_secrets_.find(id); found != seal_secrets_.end()) {
    return &found->second;
  }
  auto key = secret_of(view, PrekeyKind::seal, id);
  if (!key) return nullptr;
  return &seal_secrets_.emplace(id, std::move(*key)).first->second;
}

crypto::PrekeySource Upkeep::source(Round& round) {
  return {[&round](std::uint32_t id) { return secret_of(round, PrekeyKind::signed_prekey, id); },
          [&round](std::uint32_t id) { return secret_of(round, PrekeyKind::one_time, id); },
          {}};
}

void Upkeep::burn_one_time_key(Round& round, std::uint32_t id) {
  round.erase(Table::prekeys, name_of(PrekeyKind::one_time), order_bytes(id));
}

}  // namespace godwit::core
