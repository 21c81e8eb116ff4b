#include "client-sdk/src/crypto/sequence.hpp"

#include <sodium.h>

#include <cassert>
#include <limits>

#include "schema/wire/bytes.hpp"
#include "schema/wire/hash.hpp"

namespace godwit::crypto {
namespace {

constexpr std::size_t kSmallStep = 256;
constexpr std::size_t kLargeStep = 4'096;

// The step of a padded length; padding always adds a byte, so both ends see the same one.
std::size_t step_of(std::size_t padded_size) {
  return padded_size <= kLargeStep ? kSmallStep : kLargeStep;
}

}  // namespace

wire::Hash32 chain(const wire::Hash32& previous, wire::ByteView payload) {
  assert(payload.size() <= std::numeric_limits<std::uint32_t>::max());
  wire::Bytes size;
  wire::append_le(size, static_cast<std::uint32_t>(payload.size()));
  wire::Hash32 next;
  wire::blake2b(next.bytes, {wire::label("seq"), previous.view(), size, payload});
  return next;
}

wire::Bytes pad(wire::ByteView plaintext) {
  const std::size_t step = step_of(plaintext.size() + 1);
  wire::Bytes padded;
  padded.reserve(plaintext.size() + step);
  wire::append(padded, plaintext);
  padded.resize((plaintext.size() / step + 1) * step);
  std::size_t size = 0;
  [[maybe_unused]] const int failed =
      sodium_pad(&size, padded.data(), plaintext.size(), step, padded.size());
  assert(failed == 0 && size == padded.size());
  return padded;
}

bool unpad(wire::Bytes& padded) {
  const std::size_t step = step_of(padded.size());
  if (padded.empty() || padded.size() % step != 0) return false;
  std::size_t size = 0;
  if (sodium_unpad(&size, padded.data(), padded.size(), step) != 0) return false;
  padded.resize(size);
  return true;
}

}  // namespace godwit::crypto
