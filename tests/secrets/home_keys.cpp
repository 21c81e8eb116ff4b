#include "tests/secrets/home_keys.hpp"

#include <stdexcept>

#include "client-sdk/src/core/round.hpp"
#include "client-sdk/src/crypto/hkdf.hpp"
#include "client-sdk/src/crypto/packed.hpp"
#include "client-sdk/src/crypto/session.hpp"
#include "client-sdk/src/crypto/x3dh.hpp"
#include "client-sdk/src/store/directory.hpp"
#include "client-sdk/src/store/keyring.hpp"
#include "client-sdk/src/store/seal.hpp"

namespace godwit::secrets {
namespace {

void need(bool met, const char* what) {
  if (!met) throw std::runtime_error(what);
}

void add(std::vector<Secret>& to, std::string name, wire::ByteView bytes) {
  to.push_back({std::move(name), wire::Bytes(bytes.begin(), bytes.end())});
}

// Walks the bytes that crypto::SessionSet packs, as crypto/session_set, session and ratchet lay
// them out, and takes the secret ones.
class PackedSessions {
 public:
  PackedSessions(wire::ByteView bytes, std::vector<Secret>& to) : rest_(bytes), to_(to) {
    skip(4);
    for (std::uint8_t count = number<std::uint8_t>(); count > 0; --count) session();
  }

 private:
  wire::ByteView take(std::size_t size) {
    need(rest_.size() >= size, "a session has another form than this test knows");
    const wire::ByteView taken = rest_.first(size);
    rest_ = rest_.subspan(size);
    return taken;
  }
  void skip(std::size_t size) { (void)take(size); }
  template <class Int>
  Int number() {
    return wire::load_le<Int>(take(sizeof(Int)));
  }
  void secret(const char* name) { add(to_, name, take(wire::SecretKey::kSize)); }

  void session() {
    skip(8 + 2);  // since when; who began it, and whether it was answered
    need(crypto::take_prekey_header(rest_).has_value(), "a session without its header");
    skip(11 + 2 * 48 + 32);  // the associated data
    secret("session: frames out");
    secret("session: frames in");
    const auto flags = number<std::uint8_t>();
    secret("session: root");
    secret("session: ratchet secret");
    skip(wire::Key::kSize + 4);
    secret("session: next sending header key");
    secret("session: next receiving header key");
    for (const unsigned flag : {1U, 2U}) {
      if ((flags & flag) == 0) continue;
      secret(flag == 1 ? "session: sending header key" : "session: receiving header key");
      secret(flag == 1 ? "session: sending chain" : "session: receiving chain");
      skip(4);
    }
    for (auto chains = number<std::uint32_t>(); chains > 0; --chains) {
      secret("session: header key of a chain with skipped messages");
      for (auto keys = number<std::uint32_t>(); keys > 0; --keys) {
        skip(4);
        secret("session: key of a skipped message");
      }
    }
  }

  wire::ByteView rest_;
  std::vector<Secret>& to_;
};

void add_dek(std::vector<Secret>& to, const std::string& name, const wire::SecretKey& dek) {
  add(to, name, dek.view());
  add(to, name + "'s wrapping key", crypto::wrap_key_of(dek).value().view());
  for (const std::string_view use : {"rec", "name"}) {
    for (const std::string_view table : store::kTableNames) {
      wire::Bytes label = wire::label(use);
      label.push_back(static_cast<std::uint8_t>(table.size()));
      wire::append(label, wire::as_bytes(table));
      wire::SecretKey key;
      crypto::hkdf_sha512(key.bytes, {}, dek.view(), {label});
      add(to, name + "'s key for " + std::string(table), key.view());
    }
  }
}

void add_database(const std::filesystem::path& home, const std::optional<std::string>& passphrase,
                  std::vector<Secret>& to) {
  auto directory = store::Directory::open(home);
  need(directory.has_value(), "the home is in use, or none");
  std::optional<crypto::Secret> key;
  store::Unlock unlock;
  if (passphrase) {
    add(to, "the passphrase", wire::as_bytes(*passphrase));
    unlock = std::string_view(*passphrase);
  } else {
    auto read = directory->read_key();
    need(read.has_value(), "no key file");
    key = std::move(*read);
    unlock = &key->value();
    add(to, "the key file", key->value().view());
    add(to, "what the key file wraps with", crypto::kek_of_key(key->value()).wrap.value().view());
  }
  auto file = directory->open_keyring();
  need(file.has_value(), "no keyring");
  const auto keyring = store::Keyring::open(std::move(*file), unlock);
  need(keyring.has_value(), "the keyring does not open");
  add_dek(to, "the data key", keyring->lasting());
  add_dek(to, "the session data key", *keyring->session().dek);
}

}  // namespace

std::vector<Secret> HomeKeys::all() const {
  std::vector<Secret> every = account;
  every.insert(every.end(), sessions.begin(), sessions.end());
  every.insert(every.end(), database.begin(), database.end());
  return every;
}

HomeKeys keys_of_home(const std::filesystem::path& home,
                      const std::optional<std::string>& passphrase) {
  wire::init_crypto();
  HomeKeys keys;
  add_database(home, passphrase, keys.database);
  auto database = store::Database::open(
      {.directory = home, .passphrase = passphrase, .random = wire::random_bytes});
  need(database.has_value(), "the database does not open");
  const auto txn = database->read();
  need(txn.has_value(), "the database cannot be read");
  const core::View view(*txn);
  const auto secrets = view.load<core::SecretsRecord>(core::name_bytes(core::kSecretsName));
  need(secrets.has_value(), "no account");
  add(keys.account, "root key", secrets->root.view());
  add(keys.account, "list key", secrets->list.view());
  add(keys.account, "identity key", secrets->identity.view());
  add(keys.account, "transport key", secrets->transport.view());
  add(keys.account, "key of message ids", secrets->idempotency.view());
  const auto identity = crypto::SigningKey::from_seed(secrets->identity);
  add(keys.account, "identity key for agreements", crypto::dh_secret_of(identity).value().view());
  view.each<core::PrekeyRecord>([&](const core::PrekeyRecord& prekey) {
    add(keys.account, "secret half of a prekey", prekey.secret.view());
  });
  view.each<core::SessionsRecord>(
      [&](const core::SessionsRecord& record) { PackedSessions(record.packed, keys.sessions); });
  return keys;
}

}  // namespace godwit::secrets
