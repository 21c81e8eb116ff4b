// A device list, and the keys that devices sign. Of a body that parses there is one form; nothing
// verifies that its owners did not sign; what verifies is what a list promises.
// About: schema/wire/identity.cpp client-sdk/src/crypto/keys.cpp
#include <algorithm>
#include <functional>
#include <set>

#include "client-sdk/src/crypto/keys.hpp"
#include "tests/fuzz/fuzz.hpp"
#include "tests/support/fixed_random.hpp"

namespace godwit::fuzz {
namespace {

using namespace crypto;

constexpr std::size_t kDevices = 3;

struct Owner {
  test::FixedRandom random{"owner"};
  RootKey root{SigningKey::draw(std::ref(random))};
  ListKey list_key{SigningKey::draw(std::ref(random))};
  std::vector<DeviceKeys> devices;
  wire::SignedList list;

  Owner() {
    std::vector<SignedDevice> signed_devices;
    for (std::size_t i = 0; i < kDevices; ++i) {
      devices.push_back(DeviceKeys::draw(std::ref(random)));
      signed_devices.push_back(devices[i].sign_device(root.user_id(), 1'700'000'000, {1}));
    }
    list = make_first_list(root, list_key, signed_devices).value();
  }
};

const Owner& owner() {
  static const Owner one;
  return one;
}

// Where in a body the number of its devices stands; then their entries.
std::size_t count_place() {
  return wire::label("devs").size() + 16 + 4 + 8 + 32;
}

// The signatures stand behind each record: u16 size | record | signature 64.
void read_body(wire::ByteView body) {
  const auto list = wire::parse_device_list(body);
  if (!list) return;
  std::vector<wire::Signature> signatures;
  std::size_t at = count_place() + 1;
  for (std::size_t i = 0; i < list->devices.size(); ++i) {
    at += 2u + wire::load_le<std::uint16_t>(body.subspan(at));
    signatures.push_back(wire::Signature::copy_of(body.subspan(at, 64)));
    at += 64;
  }
  require(same(wire::list_body(*list, signatures), body), "a list has one form");
}

void check_verified(const wire::SignedList& signed_list, const wire::DeviceList& list) {
  require(list.user == wire::user_id_of(signed_list.root), "a user is the hash of a root key");
  require(!list.devices.empty() && list.devices.size() <= wire::kDevicesMax, "devices are bounded");
  std::set<wire::DeviceId> ids;
  for (const wire::DeviceRecord& device : list.devices) {
    require(device.id == wire::device_id_of(device.identity), "a device is the hash of its key");
    require(ids.insert(device.id).second, "no device stands twice");
    require(dh_public_of(device.identity).has_value(), "an identity can be agreed with");
    require(!device.suites.empty() && device.suites.size() <= wire::kSuitesMax,
            "suites are bounded");
    require(
        std::ranges::adjacent_find(device.suites, std::greater_equal<>()) == device.suites.end(),
        "suites ascend");
  }
  read_body(signed_list.body);
}

// A body of which no signature is looked at, as the own store reads it.
void altered_body(Input& in) {
  wire::Bytes body = owner().list.body;
  static_cast<void>(mutate(in, body));
  read_body(body);
}

// A list as it travels, with changes on the way.
void altered_on_the_way(Input& in) {
  wire::SignedList list = owner().list;
  wire::Bytes all;
  for (const auto part : {list.root.view(), list.list_key.view(), list.delegation.view(),
                          list.signature.view(), wire::ByteView(list.body)}) {
    wire::append(all, part);
  }
  const bool changed = mutate(in, all);
  if (all.size() < 32 + 32 + 64 + 64) return;
  const wire::ByteView bytes = all;
  list = {wire::Key::copy_of(bytes), wire::Key::copy_of(bytes.subspan(32)),
          wire::Signature::copy_of(bytes.subspan(64)), copy_of(bytes.subspan(192)),
          wire::Signature::copy_of(bytes.subspan(128))};
  require(wire::verify_device_list(list.view()).has_value() == !changed,
          "a list verifies as it was signed, and not otherwise");
}

// A list that the user's own keys sign, whatever is in it.
void signed_by_a_liar(Input& in) {
  wire::SignedList list = owner().list;
  static_cast<void>(mutate(in, list.body));
  list.signature = owner().list_key.sign(list.body);
  const auto verified = wire::verify_device_list(list.view());
  require(!verified || list.body.size() <= wire::kListBodySizeMax, "a list has at most its size");
  if (verified) check_verified(list, *verified);
}

// The same, where each device signed its own record too, of whatever keys and numbers.
void made_by_a_liar(Input& in) {
  std::vector<SignedDevice> devices;
  for (std::size_t count = 1 + in.below(kDevices); count > 0; --count) {
    const DeviceKeys& keys = owner().devices[in.below(kDevices)];
    wire::DeviceRecord record = keys.sign_device(owner().root.user_id(), 0, {1}).record;
    record.created = in.number<std::uint64_t>();
    record.suites = copy_of(in.bytes(wire::kSuitesMax));
    if (record.suites.empty()) record.suites = {1};
    if (in.chance(64)) {
      const auto key = in.bytes(32);
      std::copy(key.begin(), key.end(), record.transport.bytes.begin());
    }
    const wire::Bytes bytes =
        wire::signed_device_bytes(owner().root.user_id(), wire::device_record_bytes(record));
    devices.push_back({record, keys.identity().sign(bytes)});
  }
  const auto list = make_first_list(owner().root, owner().list_key, devices);
  if (!list) return;
  const auto verified = wire::verify_device_list(list->view());
  require(verified.has_value(), "what was made as a list verifies");
  check_verified(*list, *verified);
}

// The same with records of whatever form, which nothing of ours would make.
void odd_records_of_a_liar(Input& in) {
  const wire::UserId user = owner().root.user_id();
  const auto count = static_cast<std::uint8_t>(1 + in.below(kDevices));
  wire::SignedList list = owner().list;
  list.body.resize(count_place());
  wire::append_le(list.body, count);
  for (std::size_t i = 0; i < count; ++i) {
    const DeviceKeys& keys = owner().devices[in.below(kDevices)];
    wire::Bytes record = wire::device_record_bytes(keys.sign_device(user, 0, {1}).record);
    if (in.chance(192)) static_cast<void>(mutate(in, record));
    wire::append_le(list.body, static_cast<std::uint16_t>(record.size()));
    wire::append(list.body, record);
    wire::append(list.body, keys.identity().sign(wire::signed_device_bytes(user, record)).view());
  }
  list.signature = owner().list_key.sign(list.body);
  if (const auto verified = wire::verify_device_list(list.view())) check_verified(list, *verified);
}

void altered_key(Input& in) {
  const auto kind = in.chance(128) ? wire::SignedKeyKind::prekey : wire::SignedKeyKind::seal;
  const auto other =
      kind == wire::SignedKeyKind::seal ? wire::SignedKeyKind::prekey : wire::SignedKeyKind::seal;
  const DeviceKeys& keys = owner().devices[0];
  const wire::UserId user = owner().root.user_id();
  wire::SignedKey key = keys.sign_key(kind, user, in.number<std::uint32_t>(), {1, 2},
                                      owner().devices[1].transport().public_key());
  const auto verifies = [&](wire::SignedKeyKind as) {
    return wire::verify_signed_key(as, user, keys.identity().public_key(), key).has_value();
  };
  require(verifies(kind), "a key verifies as it was signed");
  require(!verifies(other), "a key of one kind is none of the other");
  switch (in.below(4)) {
    case 0:
      key.id ^= 1U << in.below(32);
      break;
    case 1:
      key.expires ^= std::uint64_t{1} << in.below(64);
      break;
    case 2:
      key.key.bytes[in.below(32)] ^= static_cast<std::uint8_t>(1U << in.below(8));
      break;
    default:
      key.signature.bytes[in.below(64)] ^= static_cast<std::uint8_t>(1U << in.below(8));
  }
  require(!verifies(kind), "a key that was altered does not verify");
}

}  // namespace
}  // namespace godwit::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace godwit::fuzz;
  Input in(data, size);
  switch (in.below(5)) {
    case 0:
      in.chance(128) ? altered_body(in) : odd_records_of_a_liar(in);
      break;
    case 1:
      altered_on_the_way(in);
      break;
    case 2:
      signed_by_a_liar(in);
      break;
    case 3:
      made_by_a_liar(in);
      break;
    default:
      altered_key(in);
  }
  return 0;
}
