// What a device's records say once they are opened: every table, and the packed sessions. A later
// version may have written them: every length is checked. What is read is written as something that
// reads alike, and of sessions there is one form.
// About: client-sdk/src/core/records.cpp client-sdk/src/core/pack.hpp
// About: client-sdk/src/crypto/packed.hpp
#include "client-sdk/src/core/records.hpp"
#include "client-sdk/src/crypto/session_set.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace godwit::fuzz {
namespace {

constexpr std::size_t kLaterFieldsMax = 93;  // bytes: those of SessionsRecord

template <class Record>
void read(wire::ByteView bytes) {
  Record record;
  core::Unpacker from(bytes);
  record.unpack(from);
  if (!from.done()) return;
  wire::Bytes packed;
  core::Packer to(packed);
  record.pack(to);
  require(packed.size() >= bytes.size() && packed.size() - bytes.size() <= kLaterFieldsMax,
          "a record takes the room that it took, and that of fields that came later");
  Record again;
  core::Unpacker from_packed(packed);
  again.unpack(from_packed);
  require(from_packed.done(), "what was read is written as what is read");
  wire::Bytes packed_again;
  core::Packer to_again(packed_again);
  again.pack(to_again);
  require(packed_again == packed, "it says the same");
}

template <class... Records>
void read_one(std::size_t which, wire::ByteView bytes) {
  std::size_t at = 0;
  ((at++ == which ? read<Records>(bytes) : void()), ...);
}

void read_sessions(wire::ByteView bytes) {
  const auto set = crypto::SessionSet::unpack(bytes);
  if (!set) return;
  wire::Bytes packed;
  set->pack(packed);
  require(same(packed, bytes), "of sessions there is one form");
  require(set->size() <= crypto::kReceiveOnlySessionsMax + 1, "sessions are bounded");
}

}  // namespace
}  // namespace godwit::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace godwit::fuzz;
  using namespace godwit::core;
  Input in(data, size);
  const std::size_t which = in.below(18);
  const auto bytes = in.rest();
  read_one<AccountRecord, SecretsRecord, CountersRecord, UpkeepRecord, PrekeyRecord, ContactRecord,
           DeviceRecord, SessionsRecord, ConversationRecord, MessagePlace, MessageRecord,
           OutboxRecord, SentRecord, EarlyRecord, SeenRecord, DeviceRef>(which, bytes);
  if (which == 16) read_sessions(bytes);
  if (which == 17) read<NoticeRecord>(bytes);
  return 0;
}
