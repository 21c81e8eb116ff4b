// Sealed records and wrapped keys of a device's database, and the file of those keys. They open as
// they were sealed, under their own table and key, or not at all.
// About: client-sdk/src/crypto/at_rest.cpp client-sdk/src/store/keyring.cpp
#include "client-sdk/src/crypto/at_rest.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "client-sdk/src/store/directory.hpp"
#include "client-sdk/src/store/keyring.hpp"
#include "schema/wire/hash.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace godwit::fuzz {
namespace {

using namespace crypto;

constexpr std::array<std::string_view, 2> kTables{"account", "secrets"};
constexpr std::uint32_t kKid = 7;

const RecordKeys& keys() {
  static const RecordKeys keys(wire::SecretKey{{1}}, kKid, kTables);
  return keys;
}

[[nodiscard]] std::optional<wire::Bytes> opened(std::size_t table, wire::ByteView key,
                                                wire::ByteView record) {
  if (kid_of(record) != kKid) return {};
  wire::Bytes out(record.size() - kRecordOverhead);
  if (!keys().open(out, table, key, record)) return {};
  return out;
}

// A record's key that no other run has.
wire::Bytes record_key(Input& in) {
  wire::Bytes key = copy_of(in.bytes(kRecordKeySizeMax - sizeof(std::uint64_t)));
  wire::append_le(key, drawn());
  return key;
}

void raw_record(Input& in) {
  const wire::Bytes key = record_key(in);
  const auto record = in.rest();
  if (const auto kid = kid_of(record)) {
    require(record.size() >= kRecordOverhead, "what names its key has room for a tag");
  }
  require(!opened(0, key, record), "nobody makes a record without the key");
}

void altered_record(Input& in) {
  const std::size_t table = in.below(2);
  const wire::Bytes key = record_key(in);
  const wire::Bytes plaintext = copy_of(in.bytes(4096));
  wire::Bytes record(plaintext.size() + kRecordOverhead);
  keys().seal(record, table, key, Nonce{in.byte()}, plaintext);
  require(kid_of(record) == kKid, "a record names its key");
  require(opened(table, key, record) == plaintext, "a record opens as it was sealed");
  require(!opened(1 - table, key, record), "a record belongs to its table");

  wire::Bytes other_key = key;
  const bool moved = mutate(in, other_key) && other_key.size() <= kRecordKeySizeMax;
  if (moved) require(!opened(table, other_key, record), "a record belongs to its key");
  if (mutate(in, record)) require(!opened(table, key, record), "an altered record does not open");
}

void altered_wrap(Input& in) {
  wire::SecretKey with;
  wire::random_bytes(with.bytes);
  wire::SecretKey key;
  const auto secret = in.bytes(32);
  std::copy(secret.begin(), secret.end(), key.bytes.begin());
  const wire::Bytes associated = copy_of(in.bytes(64));
  const Wrap wrapped = wrap(with, key, associated, wire::random_bytes);
  const auto unwrapped = unwrap(with, wrapped, associated);
  require(unwrapped && unwrapped->value() == key, "a key is unwrapped as it was wrapped");

  wire::Bytes bytes = copy_of(wrapped.view());
  if (mutate(in, bytes) && bytes.size() == kWrapSize) {
    require(!unwrap(with, Wrap::copy_of(bytes), associated), "an altered wrap does not open");
  }
  wire::Bytes elsewhere = associated;
  if (mutate(in, elsewhere)) {
    require(!unwrap(with, wrapped, elsewhere), "a wrap belongs to its place");
  }
}

// ---- The keyring --------------------------------------------------------------------------------

constexpr std::size_t kSlots = 4;  // two for the lasting key, two for those of sessions
constexpr std::size_t kSlotDistance = 4096;
constexpr std::size_t kStepsMax = 4;
constexpr std::size_t kEditsMax = 4;

using Slots = std::array<wire::Bytes, kSlots>;

bool is_main(std::size_t slot) {
  return slot < 2;
}
// Bytes of one that count.
std::size_t size_of(std::size_t slot) {
  return is_main(slot) ? 151 : 76;
}
bool is_empty(const wire::Bytes& slot) {
  return std::ranges::all_of(slot, [](std::uint8_t byte) { return byte == 0; });
}

// What a keyring went through: each slot as it ever stood, and what it opens to.
class KeyringLife {
 public:
  explicit KeyringLife(Input& in) : file_(::memfd_create("keyring", MFD_CLOEXEC)) {
    require(file_.is_open() && ::ftruncate(file_.get(), kSlots * kSlotDistance) == 0, "a file");
    for (auto& key : unlocks_) wire::random_bytes(key.bytes);
    auto ring = store::Keyring::create(handle(), &unlocks_[0], wire::random_bytes);
    require(ring.has_value(), "a keyring is made");
    dek_ = ring->lasting();
    std::size_t unlock = 0;
    keep(*ring, unlock);
    for (std::size_t steps = in.below(kStepsMax + 1); steps > 0; --steps) {
      if (in.chance(96)) {
        unlock = 1 - unlock;
        require(ring->rewrap(&unlocks_[unlock], wire::random_bytes).has_value(), "a rewrap");
      } else if (ring->retiring()) {
        require(ring->finish_rotation().has_value(), "the end of a rotation");
      } else {
        require(ring->begin_rotation(wire::random_bytes).has_value(), "a rotation");
      }
      keep(*ring, unlock);
    }
  }

  // The slots of different times side by side, as whoever has copies of the file can put them;
  // then altered ones.
  [[nodiscard]] Slots as_found(Input& in) const {
    Slots slots = times_.back();
    for (std::size_t edits = in.below(kEditsMax + 1); edits > 0; --edits) {
      const std::size_t to = in.below(kSlots);
      if (in.chance(128)) {
        slots[to] = times_[in.below(times_.size())][in.below(kSlots)];
      } else {
        (void)mutate(in, slots[to]);
      }
      slots[to].resize(size_of(to));
      if (is_main(to) && in.chance(128)) write_checksum(slots[to]);
    }
    return slots;
  }

  // Opens it with one of the two keys that ever opened it, and once more.
  void judge(const Slots& slots, std::size_t unlock) {
    for (std::size_t slot = 0; slot < kSlots; ++slot) {
      require(store::write_synced(file_.get(), slot * kSlotDistance, slots[slot]).has_value(),
              "a slot");
    }
    const auto opens = [&](std::size_t slot) {
      const auto main = mains_.find(slots[slot]);
      return is_main(slot) ? main != mains_.end() && main->second == unlock
                           : sessions_.contains(slots[slot]);
    };
    const bool main = opens(0) || opens(1);
    const bool session = opens(2) || opens(3);
    for (int round = 0; round < 2; ++round) {
      const auto ring = store::Keyring::open(handle(), &unlocks_[unlock]);
      require(ring.has_value() == (main && session),
              "a keyring opens when one slot of each kind is as it was written, and only then");
      if (!ring) return;
      require(ring->lasting() == dek_, "the lasting key is the one that was made");
      std::uint32_t newest = 0;
      for (const std::size_t slot : {2U, 3U}) {
        if (opens(slot)) newest = std::max(newest, sessions_.at(slots[slot]));
      }
      require(ring->session().kid == newest, "the newest session key seals");
      require(*ring->session().dek == deks_.at(newest), "a session key stands under its number");
    }
    const Slots after = read();
    require(is_empty(after[0]) || is_empty(after[1]),
            "nothing else that opens the lasting key is left");
    for (const std::size_t slot : {2U, 3U}) {
      require(opens(slot) || is_empty(after[slot]), "a spoiled slot is emptied");
    }
  }

 private:
  [[nodiscard]] net::Descriptor handle() const { return net::Descriptor(::dup(file_.get())); }

  [[nodiscard]] Slots read() const {
    Slots slots;
    for (std::size_t slot = 0; slot < kSlots; ++slot) {
      slots[slot] = *store::read_at(file_.get(), slot * kSlotDistance, size_of(slot));
    }
    return slots;
  }

  void keep(const store::Keyring& ring, std::size_t unlock) {
    const Slots now = read();
    for (std::size_t slot = 0; slot < kSlots; ++slot) {
      if (is_empty(now[slot])) continue;
      if (is_main(slot)) mains_.emplace(now[slot], unlock);
      if (!is_main(slot)) sessions_.emplace(now[slot], ring.session().kid);
    }
    deks_.emplace(ring.session().kid, *ring.session().dek);
    times_.push_back(now);
  }

  static void write_checksum(wire::Bytes& slot) {
    constexpr std::size_t kChecksumAt = 135;
    std::array<std::uint8_t, 16> sum;
    wire::blake2b(sum, {wire::ByteView(slot).first(kChecksumAt)});
    std::ranges::copy(sum, slot.begin() + kChecksumAt);
  }

  net::Descriptor file_;
  std::array<wire::SecretKey, 2> unlocks_;  // as of two key files
  wire::SecretKey dek_;
  std::map<std::uint32_t, wire::SecretKey> deks_;
  std::map<wire::Bytes, std::size_t> mains_;       // which of the two opens it
  std::map<wire::Bytes, std::uint32_t> sessions_;  // its number
  std::vector<Slots> times_;
};

void altered_keyring(Input& in) {
  KeyringLife life(in);
  const std::size_t unlock = in.below(2);
  life.judge(life.as_found(in), unlock);
}

}  // namespace
}  // namespace godwit::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace godwit::fuzz;
  Input in(data, size);
  switch (in.below(4)) {
    case 0:
      raw_record(in);
      break;
    case 1:
      altered_record(in);
      break;
    case 2:
      altered_keyring(in);
      break;
    default:
      altered_wrap(in);
  }
  return 0;
}
