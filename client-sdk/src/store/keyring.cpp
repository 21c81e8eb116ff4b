// Opening: read both main slots, unlock the one that the caller's key fits, zero the other; then
// unwrap the session slots and zero what is none.
// Failure: no slot that is whole: damaged. Whole ones, but the commitment is another: wrong_key.

#include "client-sdk/src/store/keyring.hpp"

#include <algorithm>

#include "client-sdk/src/store/directory.hpp"
#include "schema/wire/bytes.hpp"
#include "schema/wire/hash.hpp"

namespace godwit::store {
namespace {

using crypto::Kek;
using crypto::Secret;
using crypto::Wrap;
using tl::unexpected;
using wire::Bytes;
using wire::ByteView;

enum class Kind : std::uint8_t { passphrase = 1, key_file = 2 };

constexpr std::size_t kSlotDistance = 4096;
constexpr std::size_t kFirstSession = 2;  // the place of slot A
constexpr std::size_t kMainHeaderSize = 2 + 1 + crypto::Salt::kSize + 4 + 8 + wire::Hash32::kSize;
constexpr std::size_t kChecksumSize = 16;
constexpr std::size_t kMainSize = kMainHeaderSize + Wrap::kSize + kChecksumSize;
constexpr std::size_t kSessionSize = 4 + Wrap::kSize;
constexpr std::size_t kSlotSize = std::max(kMainSize, kSessionSize);  // what zeroing covers

struct MainSlot {
  std::uint16_t version = 0;
  std::uint8_t kind = 0;
  crypto::Salt salt;
  crypto::PasswordCost cost;
  wire::Hash32 commitment;
};

[[nodiscard]] Bytes header_of(const MainSlot& slot) {
  Bytes out;
  out.reserve(kMainSize);
  wire::append_le(out, slot.version);
  out.push_back(slot.kind);
  wire::append(out, slot.salt.view());
  wire::append_le(out, slot.cost.passes);
  wire::append_le(out, slot.cost.memory);
  wire::append(out, slot.commitment.view());
  return out;
}

[[nodiscard]] MainSlot slot_of(ByteView header) {
  MainSlot slot{.version = wire::load_le<std::uint16_t>(header),
                .kind = header[2],
                .salt = crypto::Salt::copy_of(header.subspan(3, 16)),
                .cost = {.passes = wire::load_le<std::uint32_t>(header.subspan(19)),
                         .memory = wire::load_le<std::uint64_t>(header.subspan(23))},
                .commitment = wire::Hash32::copy_of(header.subspan(31, 32))};
  return slot;
}

[[nodiscard]] std::array<std::uint8_t, kChecksumSize> checksum_of(ByteView bytes) {
  std::array<std::uint8_t, kChecksumSize> sum;
  wire::blake2b(sum, {bytes});
  return sum;
}

[[nodiscard]] bool is_empty(ByteView slot) {
  return std::ranges::all_of(slot, [](std::uint8_t byte) { return byte == 0; });
}

[[nodiscard]] bool is_whole(ByteView slot) {
  const ByteView body = slot.first(kMainSize - kChecksumSize);
  return std::ranges::equal(checksum_of(body), slot.last(kChecksumSize));
}

[[nodiscard]] Bytes associated_of(std::string_view label, ByteView header) {
  Bytes out = wire::label(label);
  wire::append(out, header);
  return out;
}

[[nodiscard]] Bytes session_header(std::uint32_t kid) {
  Bytes out;
  wire::append_le(out, kid);
  return out;
}

// The key that the caller's passphrase or key file makes for this slot.
[[nodiscard]] Result<Kek> kek_for(const MainSlot& slot, const Unlock& unlock) {
  if (const auto* key = std::get_if<const wire::SecretKey*>(&unlock)) {
    if (slot.kind != static_cast<std::uint8_t>(Kind::key_file)) {
      return unexpected(StoreError::wrong_key);
    }
    return crypto::kek_of_key(**key);
  }
  if (slot.kind != static_cast<std::uint8_t>(Kind::passphrase)) {
    return unexpected(StoreError::wrong_key);
  }
  auto kek = crypto::kek_of_passphrase(std::get<std::string_view>(unlock), slot.salt, slot.cost);
  if (!kek) return unexpected(StoreError::io);  // there is not enough memory
  return std::move(*kek);
}

// The DEK of one main slot.
[[nodiscard]] Result<Secret> unlock_main(ByteView bytes, const Unlock& unlock) {
  const MainSlot slot = slot_of(bytes);
  if (slot.version > kDataVersion) return unexpected(StoreError::newer);
  auto kek = kek_for(slot, unlock);
  if (!kek) return unexpected(kek.error());
  if (!wire::equal_in_constant_time(kek->commitment.view(), slot.commitment.view())) {
    return unexpected(StoreError::wrong_key);
  }
  const auto wrapped = Wrap::copy_of(bytes.subspan(kMainHeaderSize, Wrap::kSize));
  auto dek = crypto::unwrap(kek->wrap.value(), wrapped,
                            associated_of("dek", bytes.first(kMainHeaderSize)));
  if (!dek) return unexpected(StoreError::damaged);
  return std::move(*dek);
}

}  // namespace

Result<Keyring> Keyring::create(net::Descriptor file, const Unlock& unlock,
                                const crypto::Random& random) {
  Keyring ring(std::move(file));
  random(ring.keys_[0].bytes);
  auto written = write_synced(ring.file_.get(), 0, Bytes(4 * kSlotDistance));
  if (written) written = ring.write_session(0, kFirstSessionKid, random);
  if (written) written = ring.write_main(0, unlock, random);
  if (!written) return unexpected(written.error());
  return ring;
}

Result<Keyring> Keyring::open(net::Descriptor file, const Unlock& unlock) {
  Keyring ring(std::move(file));
  auto read = ring.read_main(unlock);
  if (read) read = ring.read_sessions();
  if (!read) return unexpected(read.error());
  return ring;
}

std::optional<Keyring::SessionKey> Keyring::retiring() const {
  const std::size_t other = 1 - newest_;
  if (slots_[other].kid == 0) return {};
  return SessionKey{slots_[other].kid, &keys_[1 + other]};
}

Result<void> Keyring::begin_rotation(const crypto::Random& random) {
  const std::size_t other = 1 - newest_;
  const auto written = write_session(other, slots_[newest_].kid + 1, random);
  if (written) newest_ = other;
  return written;
}

Result<void> Keyring::finish_rotation() {
  const std::size_t other = 1 - newest_;
  const auto zeroed = zero(kFirstSession + other);
  if (!zeroed) return zeroed;
  slots_[other].kid = 0;
  wire::wipe(keys_[1 + other].bytes);
  return {};
}

Result<void> Keyring::rewrap(const Unlock& unlock, const crypto::Random& random) {
  const std::size_t old = main_;
  if (const auto written = write_main(1 - old, unlock, random); !written) return written;
  return zero(old);
}

Result<void> Keyring::write_main(std::size_t slot, const Unlock& unlock,
                                 const crypto::Random& random) {
  MainSlot made;
  made.version = kDataVersion;
  if (std::holds_alternative<std::string_view>(unlock)) {
    made.kind = static_cast<std::uint8_t>(Kind::passphrase);
    made.cost = crypto::kPasswordCost;
    random(made.salt.bytes);
  } else {
    made.kind = static_cast<std::uint8_t>(Kind::key_file);
  }
  const auto kek = kek_for(made, unlock);
  if (!kek) return unexpected(kek.error());
  made.commitment = kek->commitment;

  Bytes bytes = header_of(made);
  const Wrap wrapped =
      crypto::wrap(kek->wrap.value(), lasting(), associated_of("dek", bytes), random);
  wire::append(bytes, wrapped.view());
  wire::append(bytes, checksum_of(bytes));
  if (const auto done = write_synced(file_.get(), slot * kSlotDistance, bytes); !done) return done;
  main_ = slot;
  return {};
}

Result<void> Keyring::write_session(std::size_t slot, std::uint32_t kid,
                                    const crypto::Random& random) {
  wire::SecretKey& dek = keys_[1 + slot];
  random(dek.bytes);
  Bytes bytes = session_header(kid);
  const Wrap wrapped = crypto::wrap(crypto::wrap_key_of(lasting()).value(), dek,
                                    associated_of("session", bytes), random);
  wire::append(bytes, wrapped.view());
  const std::size_t place = (kFirstSession + slot) * kSlotDistance;
  if (const auto done = write_synced(file_.get(), place, bytes); !done) return done;
  slots_[slot].kid = kid;
  return {};
}

Result<void> Keyring::zero(std::size_t place) {
  return write_synced(file_.get(), place * kSlotDistance, Bytes(kSlotSize));
}

Result<void> Keyring::read_main(const Unlock& unlock) {
  StoreError error = StoreError::damaged;
  for (const std::size_t slot : {0U, 1U}) {
    const auto bytes = read_at(file_.get(), slot * kSlotDistance, kMainSize);
    if (!bytes) return unexpected(bytes.error());
    if (is_empty(*bytes) || !is_whole(*bytes)) continue;
    const auto dek = unlock_main(*bytes, unlock);
    if (!dek) {
      error = dek.error();
      continue;
    }
    keys_[0] = dek->value();
    main_ = slot;
    // What stands in the other slot was not finished: a new wrap half written, or an old one that
    // its successor's writer did not come to zero.
    const auto other = read_at(file_.get(), (1 - slot) * kSlotDistance, kMainSize);
    if (!other) return unexpected(other.error());
    return is_empty(*other) ? Result<void>{} : zero(1 - slot);
  }
  return unexpected(error);
}

Result<void> Keyring::read_sessions() {
  const Secret with = crypto::wrap_key_of(lasting());
  std::array<bool, 2> spoiled{};
  for (const std::size_t slot : {0U, 1U}) {
    const std::size_t place = (kFirstSession + slot) * kSlotDistance;
    const auto bytes = read_at(file_.get(), place, kSessionSize);
    if (!bytes) return unexpected(bytes.error());
    const auto dek = crypto::unwrap(with.value(), Wrap::copy_of(ByteView(*bytes).subspan(4)),
                                    associated_of("session", ByteView(*bytes).first(4)));
    spoiled[slot] = !dek && !is_empty(*bytes);
    if (!dek) continue;
    slots_[slot].kid = wire::load_le<std::uint32_t>(*bytes);
    keys_[1 + slot] = dek->value();
  }
  newest_ = slots_[1].kid > slots_[0].kid ? 1 : 0;
  if (slots_[newest_].kid == 0) return unexpected(StoreError::damaged);
  // A torn slot beside a whole one holds nothing: either its key was never used, or nothing is
  // sealed with it any more.
  for (const std::size_t slot : {0U, 1U}) {
    if (!spoiled[slot]) continue;
    if (const auto zeroed = zero(kFirstSession + slot); !zeroed) return zeroed;
  }
  return {};
}

}  // namespace godwit::store
