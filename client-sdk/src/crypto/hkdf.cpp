#include "client-sdk/src/crypto/hkdf.hpp"

#include <sodium.h>

#include <algorithm>
#include <cassert>

#include "schema/wire/hash.hpp"

namespace godwit::crypto {
namespace {

using wire::ByteView;

static_assert(kHmacSize == crypto_auth_hmacsha512_BYTES);

// The multi-part form, since the other takes keys of 32 bytes only. Its functions return an error
// by their type, but none of them has one.
class Hmac {
 public:
  explicit Hmac(ByteView key) {
    // libsodium wants an address, even for no key.
    static constexpr std::uint8_t kNone = 0;
    ok(crypto_auth_hmacsha512_init(&state_, key.empty() ? &kNone : key.data(), key.size()));
  }
  Hmac(const Hmac&) = delete;
  Hmac& operator=(const Hmac&) = delete;
  ~Hmac() { sodium_memzero(&state_, sizeof state_); }

  void add(ByteView part) { ok(crypto_auth_hmacsha512_update(&state_, part.data(), part.size())); }
  void add(std::initializer_list<ByteView> parts) {
    for (const ByteView part : parts) add(part);
  }
  void finish(std::span<std::uint8_t> out) {
    assert(out.size() <= kHmacSize);
    std::array<std::uint8_t, kHmacSize> tag;
    ok(crypto_auth_hmacsha512_final(&state_, tag.data()));
    std::copy_n(tag.begin(), out.size(), out.begin());
    wire::wipe(tag);
  }

 private:
  static void ok(int result) {
    assert(result == 0);
    static_cast<void>(result);
  }
  crypto_auth_hmacsha512_state state_;
};

}  // namespace

void hmac_sha512(std::span<std::uint8_t> out, ByteView key, std::initializer_list<ByteView> parts) {
  Hmac hmac(key);
  hmac.add(parts);
  hmac.finish(out);
}

void hkdf_sha512(std::span<std::uint8_t> out, ByteView salt, ByteView ikm,
                 std::initializer_list<ByteView> info) {
  assert(out.size() <= 255 * kHmacSize);
  // HMAC fills a short key up with zeros, so an empty salt needs no case of its own.
  std::array<std::uint8_t, kHmacSize> extracted;
  hmac_sha512(extracted, salt, {ikm});
  ByteView before;
  for (std::uint8_t block = 1; !out.empty(); ++block) {
    const auto filled = out.first(std::min(out.size(), kHmacSize));
    Hmac hmac(extracted);
    hmac.add(before);
    hmac.add(info);
    hmac.add({&block, 1});
    hmac.finish(filled);
    before = filled;
    out = out.subspan(filled.size());
  }
  wire::wipe(extracted);
}

}  // namespace godwit::crypto
