#include "schema/wire/noise_symmetric.hpp"

#include <algorithm>
#include <cassert>

#include "schema/wire/hash.hpp"

namespace godwit::wire {
namespace {

constexpr std::size_t kBlockSize = 128;  // of BLAKE2b

// The HKDF of Noise, with `Count` outputs; wiped when it dies.
template <std::size_t Count>
struct Derived {
  std::array<NoiseHash, Count> outputs;

  Derived(const NoiseHash& chaining_key, ByteView input) {
    NoiseHash extracted = hmac_blake2b(chaining_key, input);
    ByteView previous;
    for (std::size_t i = 0; i < Count; ++i) {
      const std::array<std::uint8_t, 1> counter{static_cast<std::uint8_t>(i + 1)};
      outputs[i] = hmac_blake2b(extracted, previous, counter);
      previous = outputs[i];
    }
    wipe(extracted);
  }
  Derived(const Derived&) = delete;
  Derived& operator=(const Derived&) = delete;
  ~Derived() {
    for (NoiseHash& output : outputs) wipe(output);
  }
};

CipherState cipher_of(const NoiseHash& output) {
  SecretKey key = SecretKey::copy_of(ByteView(output).first(SecretKey::kSize));
  CipherState cipher(key);
  wipe(key.bytes);
  return cipher;
}

}  // namespace

NoiseHash hmac_blake2b(ByteView key, ByteView data, ByteView more) {
  assert(key.size() <= kBlockSize);
  std::array<std::uint8_t, kBlockSize> inner_pad{};
  std::ranges::copy(key, inner_pad.begin());
  std::array<std::uint8_t, kBlockSize> outer_pad = inner_pad;
  for (std::uint8_t& byte : inner_pad) byte ^= 0x36;
  for (std::uint8_t& byte : outer_pad) byte ^= 0x5c;

  NoiseHash inner;
  blake2b(inner, {inner_pad, data, more});
  NoiseHash outer;
  blake2b(outer, {outer_pad, inner});
  wipe(inner_pad);
  wipe(outer_pad);
  wipe(inner);
  return outer;
}

SymmetricState::SymmetricState(std::string_view protocol_name) {
  assert(protocol_name.size() <= kNoiseHashSize);
  std::ranges::copy(as_bytes(protocol_name), hash_.begin());
  chaining_key_ = hash_;
}

SymmetricState::~SymmetricState() {
  wipe(chaining_key_);
  wipe(hash_);
}

void SymmetricState::mix_hash(ByteView data) {
  const NoiseHash previous = hash_;
  blake2b(hash_, {previous, data});
}

void SymmetricState::mix_key(ByteView input) {
  const Derived<2> derived(chaining_key_, input);
  chaining_key_ = derived.outputs[0];
  cipher_ = cipher_of(derived.outputs[1]);
}

void SymmetricState::mix_key_and_hash(ByteView input) {
  const Derived<3> derived(chaining_key_, input);
  chaining_key_ = derived.outputs[0];
  mix_hash(derived.outputs[1]);
  cipher_ = cipher_of(derived.outputs[2]);
}

tl::expected<void, CipherError> SymmetricState::seal_and_hash(std::span<std::uint8_t> out,
                                                              ByteView plaintext) {
  assert(cipher_);
  const auto sealed = cipher_->seal(out, hash_, plaintext);
  if (sealed) mix_hash(out);
  return sealed;
}

tl::expected<void, CipherError> SymmetricState::open_and_hash(std::span<std::uint8_t> out,
                                                              ByteView ciphertext) {
  assert(cipher_);
  const auto opened = cipher_->open(out, hash_, ciphertext);
  if (opened) mix_hash(ciphertext);
  return opened;
}

SymmetricState::Pair SymmetricState::split() const {
  const Derived<2> derived(chaining_key_, {});
  return {cipher_of(derived.outputs[0]), cipher_of(derived.outputs[1])};
}

}  // namespace godwit::wire
