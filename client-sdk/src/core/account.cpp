#include "client-sdk/src/core/account.hpp"

#include "client-sdk/src/crypto/sealed.hpp"
#include "schema/wire/hash.hpp"

namespace godwit::core {
namespace {

constexpr std::uint8_t kSuite = 1;  // the one this version speaks

template <class Id>
Id keyed_hash(const wire::SecretKey& key, std::string_view use, wire::ByteView value) {
  Id id;
  wire::blake2b(id.bytes, {wire::label(use), key.view(), value});
  return id;
}

}  // namespace

wire::ListHash hash_of_list(wire::ByteView body) {
  return wire::ListHash::copy_of(wire::sha512_32(body).view().first(wire::ListHash::kSize));
}

void LocalAccount::make(Round& round, const NewAccount& from) {
  AccountRecord record;
  record.relay = wire::format_address(from.relay);
  record.recovering = from.root.has_value();
  record.name = from.name;
  SecretsRecord secrets;
  secrets.has_root = true;
  secrets.root = from.root ? from.root->value() : crypto::Secret::draw(round.random).value();
  secrets.list = crypto::Secret::draw(round.random).value();
  secrets.identity = crypto::Secret::draw(round.random).value();
  secrets.transport = crypto::Secret::draw(round.random).value();
  // From the root, so that an app's key means the same message after a recovery.
  secrets.idempotency = keyed_hash<wire::SecretKey>(secrets.root, "idempotency", {});

  const crypto::RootKey root_key(crypto::SigningKey::from_seed(secrets.root));
  record.user = root_key.user_id();
  LocalAccount account(std::move(record), secrets);
  const auto list = crypto::make_first_list(
      root_key, crypto::ListKey(crypto::SigningKey::from_seed(secrets.list)),
      std::array{account.device_.sign_device(account.record.user, round.wall() / 1000, {kSuite})});
  assert(list);
  account.record.list = *list;
  round.save(name_bytes(kSecretsName), secrets);
  account.save(round);
}

LocalAccount::LocalAccount(AccountRecord account, const SecretsRecord& secrets)
    : record(std::move(account)),
      device_(crypto::SigningKey::from_seed(secrets.identity),
              crypto::DhKey::from_secret(secrets.transport)),
      identity_dh_(crypto::dh_key_of(device_.identity())),
      list_seed_(secrets.list),
      idempotency_(secrets.idempotency) {
  if (secrets.has_root) root_seed_.emplace(secrets.root);
  record.device = device_.device_id();
  read_list();
}

std::optional<LocalAccount> LocalAccount::load(const View& view) {
  auto record = view.load<AccountRecord>(name_bytes(kAccountName));
  const auto secrets = view.load<SecretsRecord>(name_bytes(kSecretsName));
  if (!record || !secrets) return std::nullopt;
  return LocalAccount(std::move(*record), *secrets);
}

void LocalAccount::read_list() {
  const auto list = wire::parse_device_list(record.list.body);
  if (!list) return;  // only before the first list is made
  list_version_ = list->version;
  list_hash_ = hash_of_list(record.list.body);
}

std::optional<wire::SecretKey> LocalAccount::root_seed() const {
  if (!root_seed_) return std::nullopt;
  return root_seed_->value();
}

void LocalAccount::take_list(Round& round, wire::SignedList list) {
  record.list = std::move(list);
  read_list();
  save(round);
}

bool LocalAccount::rebuild_list(Round& round, const wire::SignedListView& before,
                                std::uint32_t gen_min) {
  const auto verified = wire::verify_device_list(before);
  if (!verified || verified->user != record.user || !root_seed_) return false;
  const crypto::RootKey root(crypto::SigningKey::from_seed(root_seed_->value()));
  auto list = crypto::make_recovered_list(
      root, crypto::ListKey(crypto::SigningKey::from_seed(list_seed_.value())),
      wire::SignedList::copy_of(before),
      std::array{device_.sign_device(record.user, round.wall() / 1000, {kSuite})}, gen_min);
  if (!list) return false;
  take_list(round, std::move(*list));
  return true;
}

wire::MessageId LocalAccount::message_id_of(std::string_view key, std::string_view text) const {
  std::array<std::uint8_t, 2> size{};
  wire::store_le(size.data(), static_cast<std::uint16_t>(key.size()));
  wire::MessageId id;
  wire::blake2b(id.bytes, {wire::label("message"), idempotency_.value().view(), size,
                           wire::as_bytes(key), wire::as_bytes(text)});
  return id;
}

wire::FixedBytes<struct BlindTag, 16> LocalAccount::blind(wire::ByteView value) const {
  return keyed_hash<wire::FixedBytes<struct BlindTag, 16>>(idempotency_.value(), "blind", value);
}

}  // namespace godwit::core
