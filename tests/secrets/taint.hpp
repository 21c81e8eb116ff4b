// secrets/taint: secrets, as valgrind's memcheck follows them. A secret is marked as "undefined":
// whatever is computed from it is undefined too, and memcheck reports each branch and each address
// that depends on it. What the protocol makes public is marked as defined again: what this file
// names by hand, and what a function of libsodium hands out, in taint.cpp.
// Outside of valgrind all of it does nothing.
// Thread: one.
#pragma once

#include "schema/wire/types.hpp"
#include "tests/support/fixed_random.hpp"

namespace godwit::secrets {

void make_secret(wire::ByteView bytes);
void make_public(wire::ByteView bytes);

// Branches and addresses that depended on a secret, so far.
[[nodiscard]] unsigned findings();

// A reproducible stream in which every byte is a secret.
class SecretRandom {
 public:
  explicit SecretRandom(std::string_view seed) : random_(seed) {}
  void operator()(std::span<std::uint8_t> out) {
    random_(out);
    make_secret(out);
  }

 private:
  test::FixedRandom random_;
};

[[nodiscard]] inline wire::SecretKey secret_key(std::string_view seed) {
  wire::SecretKey key;
  SecretRandom random(seed);
  random(key.bytes);
  return key;
}

// What leaves the device: from here on the relay, or the disk, has it.
template <class Bytes>
[[nodiscard]] Bytes sent(Bytes bytes) {
  make_public(bytes);
  return bytes;
}

}  // namespace godwit::secrets
