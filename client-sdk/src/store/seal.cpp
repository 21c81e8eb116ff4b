#include "client-sdk/src/store/seal.hpp"

#include "schema/wire/hash.hpp"

namespace godwit::store {

Opened::~Opened() {
  wipe();
}

std::span<std::uint8_t> Opened::room(std::size_t size) {
  if (size > bytes_.capacity()) {
    wipe();  // growing would leave the old bytes behind
    bytes_ = wire::Bytes(std::max<std::size_t>(2 * size, 1024));
  }
  return std::span(bytes_).first(size);
}

void Opened::wipe() {
  wire::wipe(bytes_);
}

KeySet::KeySet(std::shared_ptr<const crypto::RecordKeys> lasting, crypto::RecordKeys session,
               std::optional<crypto::RecordKeys> retiring)
    : lasting_(std::move(lasting)), session_(std::move(session)), retiring_(std::move(retiring)) {}

const crypto::RecordKeys& KeySet::sealing(Table table) const {
  const bool of_session = std::ranges::find(kSessionTables, table) != kSessionTables.end();
  return of_session ? session_ : *lasting_;
}

const crypto::RecordKeys* KeySet::opening(Table table, wire::ByteView record) const {
  const auto kid = crypto::kid_of(record);
  if (!kid) return nullptr;
  const crypto::RecordKeys& now = sealing(table);
  if (*kid == now.kid()) return &now;
  return retiring_ && &now == &session_ && *kid == retiring_->kid() ? &*retiring_ : nullptr;
}

}  // namespace godwit::store
