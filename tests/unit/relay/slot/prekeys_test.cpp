// Keys on a disk that holds anything, behind a good checksum.
#include "relay/slot/prekeys.hpp"

#include <doctest/doctest.h>

#include "schema/wire/bytes.hpp"
#include "tests/support/memory_records.hpp"

namespace godwit::relay::slot {
namespace {

TEST_SUITE_BEGIN("relay/slot/prekeys");

const wire::UserId kUser{{1}};
const wire::DeviceId kDevice{{2}};

TEST_CASE("a record of keys that has another size reads as absent") {
  constexpr std::size_t kDeviceKeysSize = 2 * 116;
  for (std::size_t size = 0; size <= 4 + 3 * 36; ++size) {
    CAPTURE(size);
    test::MemoryRecords disk;
    Journal journal{disk};
    Prekeys prekeys{journal};
    wire::Bytes key(kUser.bytes.begin(), kUser.bytes.end());
    wire::append(key, kDevice.view());
    journal.put(store::Table::device_keys, key, wire::Bytes(kDeviceKeysSize));
    wire::Bytes record(size, 0xff);
    record.shrink_to_fit();
    journal.put(store::Table::one_time_keys, key, record);

    const std::uint32_t keys = size % 36 == 4 ? static_cast<std::uint32_t>(size / 36) : 0;
    CHECK(prekeys.one_time_left(kUser, kDevice) == keys);
    for (std::uint32_t i = 0; i <= keys; ++i) {
      const auto bundle = prekeys.bundle(kUser, kDevice, true);
      REQUIRE(bundle);
      CHECK(bundle->one_time.has_value() == (i < keys));
    }
    const wire::OneTimeKey added{~0U, {}};
    const bool is_whole = size % 36 == 4;  // and then its highest id is the highest there is
    CHECK(prekeys.put(kUser, kDevice, {}, {}, {&added, 1}) == wire::ErrorCode::ok);
    CHECK(prekeys.one_time_left(kUser, kDevice) == (is_whole ? 0 : 1));
  }
}

TEST_CASE("signed keys in a record of another size are no keys") {
  for (const std::size_t size : {0U, 1U, 116U, 231U, 233U}) {
    CAPTURE(size);
    test::MemoryRecords disk;
    Journal journal{disk};
    Prekeys prekeys{journal};
    wire::Bytes key(kUser.bytes.begin(), kUser.bytes.end());
    wire::append(key, kDevice.view());
    journal.put(store::Table::device_keys, key, wire::Bytes(size));
    CHECK_FALSE(prekeys.bundle(kUser, kDevice, true));
    const wire::SignedKey alone{};
    CHECK(prekeys.put(kUser, kDevice, alone, {}, {}) == wire::ErrorCode::bad_request);
  }
}

TEST_SUITE_END();

}  // namespace
}  // namespace godwit::relay::slot
