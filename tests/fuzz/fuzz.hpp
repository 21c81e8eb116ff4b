// fuzz/fuzz: what the fuzz targets share: an input read as decisions, changes that an input asks
// for, and promises whose breach ends the process.
//
// A target is LLVMFuzzerTestOneInput in a file of its own. libFuzzer drives it (tools/fuzz), or
// replay.cpp does, once for each file of its corpus.
//
// The same input is the same run: an Input begins the system's source of randomness anew, as a
// stream that follows from its bytes. No two inputs share one, since libFuzzer learns from what it
// sees compared, sealed messages too: what it saw in one run opens nothing in another. Thread: one.
#pragma once

#include "schema/wire/bytes.hpp"

namespace godwit::fuzz {

// Bytes that decide. Behind their end every decision is 0, so that each input means something.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size);

  [[nodiscard]] bool empty() const { return left_.empty(); }
  [[nodiscard]] std::uint8_t byte() { return number<std::uint8_t>(); }
  template <std::unsigned_integral Int>
  [[nodiscard]] Int number() {
    std::array<std::uint8_t, sizeof(Int)> bytes{};
    const wire::ByteView part = up_to(sizeof(Int));
    std::copy(part.begin(), part.end(), bytes.begin());
    return wire::load_le<Int>(bytes);
  }
  // 0 to `below` - 1; 0 when `below` is.
  [[nodiscard]] std::size_t below(std::size_t below);
  [[nodiscard]] bool chance(std::uint8_t of_256) { return byte() < of_256; }
  // As many as the next two bytes say, at most `most`, and no more than there are.
  [[nodiscard]] wire::ByteView bytes(std::size_t most);
  // All that is left.
  [[nodiscard]] wire::ByteView rest() { return up_to(left_.size()); }

 private:
  [[nodiscard]] wire::ByteView up_to(std::size_t size);
  wire::ByteView left_;
};

// Flips, cuts, inserts and doubles bytes as the input says. True when they are not what they were.
[[nodiscard]] bool mutate(Input& in, wire::Bytes& bytes);

// Draws from that stream.
[[nodiscard]] std::uint64_t drawn();

// Ends the process with `promise` unless it holds.
void require(bool holds, const char* promise);

[[nodiscard]] inline wire::Bytes copy_of(wire::ByteView bytes) {
  return {bytes.begin(), bytes.end()};
}
[[nodiscard]] inline bool same(wire::ByteView left, wire::ByteView right) {
  return std::equal(left.begin(), left.end(), right.begin(), right.end());
}
[[nodiscard]] inline std::string_view text_of(wire::ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace godwit::fuzz
