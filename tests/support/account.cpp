// Each key comes from a stream of its own, named by its owner and its use, so that a device's keys
// do not depend on how many other devices or one-time keys were made before.
#include <cassert>

#include "schema/wire/bytes.hpp"
#include "schema/wire/hash.hpp"
#include "tests/support/fixed_random.hpp"
#include "tests/support/raw_device.hpp"

namespace godwit::support {
namespace {

// Times are fixed, or the same seed would not give the same bytes. The end lies beyond any clock
// that a test sets.
constexpr crypto::Validity kValidity{.created = 1'700'000'000, .expires = 4'000'000'000};
constexpr std::uint8_t kSuite = 1;

test::FixedRandom stream_for(std::string_view use, std::uint64_t seed, std::uint32_t index) {
  wire::Bytes name(use.begin(), use.end());
  wire::append_le(name, seed);
  wire::append_le(name, index);
  return test::FixedRandom(std::move(name));
}

crypto::RootKey root_of(std::uint64_t seed) {
  return crypto::RootKey(crypto::SigningKey::draw(stream_for("root", seed, 0)));
}

// Index 0 is the list key of from_seed(); the others are of devices that recovered the account.
crypto::ListKey list_key_of(std::uint64_t seed, std::uint32_t index = 0) {
  return crypto::ListKey(crypto::SigningKey::draw(stream_for("list", seed, index)));
}

crypto::DeviceKeys device_of(std::uint64_t seed, std::uint32_t index) {
  auto random = stream_for("device", seed, index);
  return crypto::DeviceKeys::draw(std::ref(random));
}

crypto::SignedDevice signed_device_of(std::uint64_t seed, std::uint32_t index) {
  return device_of(seed, index).sign_device(root_of(seed).user_id(), kValidity.created, {kSuite});
}

}  // namespace

wire::SignedList next_list(std::uint64_t seed, const wire::SignedList& previous,
                           std::span<const std::uint32_t> devices) {
  auto list = wire::parse_device_list(previous.body);
  assert(list && "`previous` is a list of this seed");
  ++list->version.seq;
  list->previous = wire::sha512_32(previous.body);
  list->devices.clear();
  std::vector<wire::Signature> signatures;
  for (const std::uint32_t index : devices) {
    crypto::SignedDevice entry = signed_device_of(seed, index);
    list->devices.push_back(std::move(entry.record));
    signatures.push_back(entry.signature);
  }
  wire::SignedList next = previous;
  next.body = wire::list_body(*list, signatures);
  next.signature = list_key_of(seed).sign(next.body);
  assert(wire::verify_device_list(next.view()) && "no index stands twice");
  return next;
}

wire::SignedList recovered_list(std::uint64_t seed, const wire::SignedList* previous,
                                std::uint32_t device) {
  const std::array devices{signed_device_of(seed, device)};
  const crypto::ListKey fresh = list_key_of(seed, device + 1);
  auto list = previous == nullptr
                  ? crypto::make_first_list(root_of(seed), fresh, devices)
                  : crypto::make_recovered_list(root_of(seed), fresh, *previous, devices);
  assert(list && "`previous` is a list of this seed");
  return *std::move(list);
}

Account Account::from_seed(std::uint64_t seed, std::size_t one_time_keys) {
  const std::array devices{signed_device_of(seed, 0)};
  auto list = crypto::make_first_list(root_of(seed), list_key_of(seed), devices);
  assert(list);
  return of_device(seed, 0, *std::move(list), one_time_keys);
}

Account Account::of_device(std::uint64_t seed, std::uint32_t index, wire::SignedList list,
                           std::size_t one_time_keys) {
  const auto parsed = wire::parse_device_list(list.body);
  assert(parsed);
  const crypto::DeviceKeys keys = device_of(seed, index);
  auto random = stream_for("prekeys", seed, index);
  const auto sign = [&](wire::SignedKeyKind kind) {
    const auto key = crypto::DhKey::draw(std::ref(random)).public_key();
    return keys.sign_key(kind, parsed->user, 1, kValidity, key);
  };
  Account account;
  account.user = parsed->user;
  account.device = keys.device_id();
  account.transport = keys.transport().pair();
  account.version = parsed->version;
  account.list = std::move(list);
  account.seal_key = sign(wire::SignedKeyKind::seal);
  account.signed_prekey = sign(wire::SignedKeyKind::prekey);
  const auto count = static_cast<std::uint32_t>(one_time_keys);
  for (std::uint32_t id = 1; id <= count; ++id) {
    account.one_time.push_back({id, crypto::DhKey::draw(std::ref(random)).public_key()});
  }
  return account;
}

}  // namespace godwit::support
