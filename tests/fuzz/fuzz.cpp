#include "tests/fuzz/fuzz.hpp"

#include <sodium.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "schema/wire/hash.hpp"
#include "tests/sim/draws.hpp"

// A finding ends the process, whoever drives the target. A sanitizer reads these when it begins.
extern "C" {
const char* __asan_default_options() {
  return "abort_on_error=1";
}
const char* __ubsan_default_options() {
  return "abort_on_error=1:halt_on_error=1:print_stacktrace=1";
}
}

namespace godwit::fuzz {
namespace {

// What libsodium draws from in place of the system.
sim::Draws stream(1);

const char* name_of_stream() {
  return "fixed";
}
std::uint32_t draw_number() {
  return static_cast<std::uint32_t>(stream.next());
}
void draw_bytes(void* to, std::size_t size) {
  stream.fill({static_cast<std::uint8_t*>(to), size});
}

void fix_randomness(wire::ByteView input) {
  static randombytes_implementation fixed{.implementation_name = name_of_stream,
                                          .random = draw_number,
                                          .stir = nullptr,
                                          .uniform = nullptr,
                                          .buf = draw_bytes,
                                          .close = nullptr};
  [[maybe_unused]] static const bool done = [] {
    const bool set = randombytes_set_implementation(&fixed) == 0;
    require(set, "libsodium takes another source of randomness");
    wire::init_crypto();
    return true;
  }();
  stream = sim::Draws(wire::siphash({}, input));
}

wire::Bytes joined(wire::ByteView first, wire::ByteView second, wire::ByteView third) {
  wire::Bytes all = copy_of(first);
  wire::append(all, second);
  wire::append(all, third);
  return all;
}

}  // namespace

Input::Input(const std::uint8_t* data, std::size_t size) : left_(data, size) {
  fix_randomness(left_);
}

std::size_t Input::below(std::size_t below) {
  if (below <= 1) return 0;
  if (below <= 0x100) return byte() % below;
  return number<std::uint32_t>() % below;
}

wire::ByteView Input::bytes(std::size_t most) {
  return up_to(std::min<std::size_t>(number<std::uint16_t>(), most));
}

wire::ByteView Input::up_to(std::size_t size) {
  const wire::ByteView part = left_.first(std::min(size, left_.size()));
  left_ = left_.subspan(part.size());
  return part;
}

bool mutate(Input& in, wire::Bytes& bytes) {
  const wire::Bytes before = bytes;
  for (std::size_t changes = 1 + in.below(4); changes > 0; --changes) {
    const wire::Bytes now = bytes;
    const wire::ByteView all = now;
    const std::size_t at = in.below(now.size() + 1);
    const std::size_t size = in.below(std::min<std::size_t>(now.size() - at, 0xff) + 1);
    switch (in.below(6)) {
      case 0:
        if (at < now.size()) bytes[at] ^= static_cast<std::uint8_t>(1U << in.below(8));
        break;
      case 1:
        if (at < now.size()) bytes[at] = in.byte();
        break;
      case 2:
        bytes.resize(at);
        break;
      case 3:
        bytes = joined(all.first(at), in.bytes(0xff), all.subspan(at));
        break;
      case 4:
        bytes = joined(all.first(at), {}, all.subspan(at + size));
        break;
      default:
        bytes = joined(all.first(at + size), all.subspan(at, size), all.subspan(at + size));
    }
  }
  return bytes != before;
}

std::uint64_t drawn() {
  return stream.next();
}

void require(bool holds, const char* promise) {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %s\n", promise);
  std::abort();
}

}  // namespace godwit::fuzz
