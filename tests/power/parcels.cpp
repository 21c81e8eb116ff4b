#include "tests/power/parcels.hpp"

#include <algorithm>
#include <random>

#include "schema/wire/bytes.hpp"
#include "schema/wire/hash.hpp"

namespace godwit::power {
namespace {

constexpr std::size_t kSizeMin = 100;
constexpr std::size_t kShortMax = 700;
constexpr std::size_t kSizeMax = 9'000;

}  // namespace

const support::Account& account_of(std::uint32_t user) {
  static const auto accounts = [] {
    wire::init_crypto();
    std::vector<support::Account> all;
    for (std::uint32_t i = 0; i < kUsers; ++i) all.push_back(support::Account::from_seed(i + 1));
    return all;
  }();
  return accounts[user];
}

wire::Recipient recipient_of(std::uint32_t receiver) {
  const support::Account& account = account_of(kSenders + receiver);
  return {account.user, account.device, account.version, 0};
}

wire::Bytes bytes_of(std::uint64_t envelope) {
  std::mt19937_64 random(envelope);
  const std::size_t longest = random() % 4 == 0 ? kSizeMax : kShortMax;
  const std::size_t size = kSizeMin + random() % (longest - kSizeMin + 1);
  wire::Bytes bytes;
  bytes.reserve(size + sizeof envelope);
  wire::append_le(bytes, envelope);
  while (bytes.size() < size) wire::append_le(bytes, random());
  bytes.resize(size);
  return bytes;
}

wire::RequestId request_id_of(std::uint64_t envelope) {
  wire::RequestId id;
  wire::store_le(id.bytes.data(), envelope);
  return id;
}

std::optional<std::uint64_t> parse_envelope(wire::ByteView bytes) {
  if (bytes.size() < kSizeMin) return {};
  const auto envelope = wire::load_le<std::uint64_t>(bytes);
  if (!std::ranges::equal(bytes, bytes_of(envelope))) return {};
  return envelope;
}

}  // namespace godwit::power
