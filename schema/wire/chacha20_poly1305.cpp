// Happy path of a short text: the key of Poly1305 and the stream for the text are consecutive
// blocks of one keystream, and are made by one call that is as long as the vector code of libsodium
// likes it: 256 bytes cost less than 192. Its own AEAD asks for the key and the text one after the
// other, and computes what is left over of each block by block; of a record of 330 bytes that is
// half of the time (tests/bench/README.md). A long text has little left over and is left to it.
#include "schema/wire/chacha20_poly1305.hpp"

#include <sodium.h>

#include <algorithm>
#include <cassert>

#include "schema/wire/bytes.hpp"
#include "schema/wire/hash.hpp"

namespace godwit::wire {
namespace {

static_assert(SecretKey::kSize == crypto_aead_chacha20poly1305_ietf_KEYBYTES);
static_assert(kAeadTagSize == crypto_aead_chacha20poly1305_ietf_ABYTES);
static_assert(sizeof(AeadNonce) == crypto_aead_chacha20poly1305_ietf_NPUBBYTES);

constexpr std::size_t kBlock = 64;    // of ChaCha20; the first one begins with Poly1305's key
constexpr std::size_t kStride = 256;  // four blocks, which vector code computes at once
constexpr std::size_t kStreamMax = 1024;
constexpr std::size_t kShortMax = kStreamMax - kBlock;

using Tag = std::array<std::uint8_t, kAeadTagSize>;

// The first block of the keystream, then `text` encrypted or decrypted. Wiped when it dies.
class Stream {
 public:
  Stream(const SecretKey& key, const AeadNonce& nonce, ByteView text)
      : size_(rounded(kBlock + text.size())) {
    assert(text.size() <= kShortMax);
    std::fill_n(bytes_.begin(), kBlock, std::uint8_t{0});
    const auto end = std::copy(text.begin(), text.end(), bytes_.begin() + kBlock);
    std::fill(end, bytes_.begin() + static_cast<std::ptrdiff_t>(size_), std::uint8_t{0});
    crypto_stream_chacha20_ietf_xor(bytes_.data(), bytes_.data(), size_, nonce.data(),
                                    key.bytes.data());
  }
  ~Stream() { wipe(std::span(bytes_).first(size_)); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  [[nodiscard]] const std::uint8_t* tag_key() const { return bytes_.data(); }
  void copy_text(std::span<std::uint8_t> out) const {
    std::copy_n(bytes_.begin() + kBlock, out.size(), out.begin());
  }

 private:
  // Up to two blocks are quicker one by one.
  static std::size_t rounded(std::size_t size) {
    return size <= 2 * kBlock ? size : (size + kStride - 1) / kStride * kStride;
  }

  std::size_t size_;
  std::array<std::uint8_t, kStreamMax> bytes_;
};

void update_padded(crypto_onetimeauth_poly1305_state& state, ByteView bytes) {
  constexpr Tag kZeros{};
  crypto_onetimeauth_poly1305_update(&state, bytes.data(), bytes.size());
  const std::size_t over = bytes.size() % kZeros.size();
  if (over != 0) crypto_onetimeauth_poly1305_update(&state, kZeros.data(), kZeros.size() - over);
}

Tag tag_of(const Stream& stream, ByteView ad, ByteView ciphertext) {
  crypto_onetimeauth_poly1305_state state;
  crypto_onetimeauth_poly1305_init(&state, stream.tag_key());
  if (!ad.empty()) update_padded(state, ad);
  update_padded(state, ciphertext);
  std::array<std::uint8_t, 16> sizes;
  store_le(sizes.data(), std::uint64_t{ad.size()});
  store_le(sizes.data() + 8, std::uint64_t{ciphertext.size()});
  crypto_onetimeauth_poly1305_update(&state, sizes.data(), sizes.size());
  Tag tag;
  crypto_onetimeauth_poly1305_final(&state, tag.data());  // wipes the state
  return tag;
}

}  // namespace

void chacha20_poly1305_seal(std::span<std::uint8_t> out, const SecretKey& key,
                            const AeadNonce& nonce, ByteView ad, ByteView plaintext) {
  assert(out.size() == plaintext.size() + kAeadTagSize);
  if (plaintext.size() > kShortMax) {
    [[maybe_unused]] const int failed = crypto_aead_chacha20poly1305_ietf_encrypt(
        out.data(), nullptr, plaintext.data(), plaintext.size(), ad.data(), ad.size(), nullptr,
        nonce.data(), key.bytes.data());
    assert(failed == 0);  // it fails for no input that fits into memory
    return;
  }
  const Stream stream(key, nonce, plaintext);
  const auto ciphertext = out.first(plaintext.size());
  stream.copy_text(ciphertext);
  const Tag tag = tag_of(stream, ad, ciphertext);
  std::copy(tag.begin(), tag.end(), out.last<kAeadTagSize>().begin());
}

bool chacha20_poly1305_open(std::span<std::uint8_t> out, const SecretKey& key,
                            const AeadNonce& nonce, ByteView ad, ByteView sealed) {
  assert(sealed.size() == out.size() + kAeadTagSize);
  if (out.size() > kShortMax) {
    return crypto_aead_chacha20poly1305_ietf_decrypt(out.data(), nullptr, nullptr, sealed.data(),
                                                     sealed.size(), ad.data(), ad.size(),
                                                     nonce.data(), key.bytes.data()) == 0;
  }
  const ByteView ciphertext = sealed.first(out.size());
  const Stream stream(key, nonce, ciphertext);
  if (!equal_in_constant_time(tag_of(stream, ad, ciphertext), sealed.last<kAeadTagSize>())) {
    std::fill(out.begin(), out.end(), std::uint8_t{0});
    return false;
  }
  stream.copy_text(out);
  return true;
}

}  // namespace godwit::wire
