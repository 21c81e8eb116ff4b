// A FlatBuffers bomb is a small frame that is much work: thousands of offsets that lead to one
// table, which the verifier walks each time. What is counted is the work, in CPU time of this
// thread beside that of the same verifier without our limits; a machine that is busy changes
// neither much.

#include <doctest/doctest.h>

#include <ctime>

#include "schema/wire/bytes.hpp"
#include "schema/wire/frame.hpp"
#include "schema/wire/limits.hpp"
#include "schema/wire/payload.hpp"
#include "tests/unit/wire/codec_support.hpp"

namespace godwit::test {
namespace {

constexpr double kRefusedWithin = 10;  // milliseconds of CPU time
constexpr std::size_t kMebibyte = 1 << 20;

// A reply whose bundles are one and the same, as often as `size` bytes have room for.
[[nodiscard]] FrameCopy bomb_of(std::size_t size) {
  Builder builder(size + 1024);
  const auto list = forged_list(builder);
  const fb::Id device;
  const auto seal = forged_key(builder);
  const auto prekey = forged_key(builder);
  const auto bundle = fb::CreateBundle(builder, &device, seal, prekey);
  const std::vector<flatbuffers::Offset<fb::Bundle>> bundles((size - 1024) / 4, bundle);
  return forged_relay_frame(builder, fb::CreatePrekeysDirect(builder, list, &bundles), 5);
}

[[nodiscard]] double cpu_milliseconds() {
  std::timespec now{};
  REQUIRE(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

// The least of several, so that what else the machine does is not counted.
template <class Work>
[[nodiscard]] double least_cost(const Work& work) {
  double least = 1e9;
  for (int i = 0; i < 5; ++i) {
    const double began = cpu_milliseconds();
    work();
    least = std::min(least, cpu_milliseconds() - began);
  }
  return least;
}

}  // namespace

TEST_SUITE("schema/wire/codec, bombs") {
  TEST_CASE("a bomb as large as a frame may be is refused in under 10 ms") {
    const FrameCopy bomb = bomb_of(wire::kFrameSizeMax);
    REQUIRE(bomb.view().size() <= wire::kFrameSizeMax);
    std::optional<wire::CodecError> refusal;
    const double refused = least_cost([&] { refusal = relay_refusal(bomb); });
    // Not out_of_bounds: that would be after all tables were walked.
    CHECK(refusal == wire::CodecError::malformed);

    bool passed = false;
    const double walked = least_cost([&] {
      flatbuffers::Verifier verifier(bomb.view().data(), bomb.view().size(), 64, 100'000'000);
      passed = verifier.VerifyBuffer<fb::RelayFrame>();
    });
    MESSAGE("refused in " << refused << " ms; without limits it takes " << walked << " ms");
    CHECK(passed);
    CHECK(refused < kRefusedWithin);
    CHECK(refused < walked / 10);  // or it would be no bomb
  }

  TEST_CASE("a bomb of 1 MiB is refused for its size, and none of it is kept") {
    const FrameCopy bomb = bomb_of(kMebibyte);
    REQUIRE(bomb.view().size() > kMebibyte - 1024);
    std::optional<wire::CodecError> refusal;
    const double refused = least_cost([&] { refusal = relay_refusal(bomb); });
    CHECK(refusal == wire::CodecError::out_of_bounds);
    CHECK(refused < kRefusedWithin);
    CHECK(wire::ParsedPayload::parse(bomb.view()).error() == wire::PayloadError::out_of_bounds);

    wire::Bytes stream;
    wire::append_le(stream, static_cast<std::uint32_t>(bomb.view().size()));
    wire::append(stream, bomb.view());
    wire::FrameAssembler frames;
    frames.set_size_max(wire::kFrameSizeMax);
    const double cut = least_cost([&] {
      const auto fed = frames.feed(stream, [](wire::ByteView) { return true; });
      REQUIRE_FALSE(fed.has_value());
    });
    MESSAGE("refused by its size in " << refused << " ms, by its header in " << cut << " ms");
    CHECK(frames.memory() == 0);
    CHECK(cut < kRefusedWithin);
  }
}

}  // namespace godwit::test
