// The stream that is cut into frames. However it comes in pieces, the frames are the same ones, and
// together with what is kept they are the stream.
// About: schema/wire/frame.cpp
#include "schema/wire/frame.hpp"

#include <optional>

#include "tests/fuzz/fuzz.hpp"

namespace godwit::fuzz {
namespace {

struct Outcome {
  std::vector<wire::Bytes> frames;
  std::optional<wire::FrameError> error;
  std::size_t buffered = 0;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

struct Reader {
  explicit Reader(std::size_t size_max) : size_max_(size_max) { frames_.set_size_max(size_max); }

  // False once the stream is broken.
  bool feed(wire::ByteView bytes) {
    const auto fed = frames_.feed(bytes, [&](wire::ByteView body) {
      require(reinterpret_cast<std::uintptr_t>(body.data()) % 8 == 0, "a frame is aligned");
      require(body.size() >= wire::kFrameSizeMin && body.size() <= size_max_,
              "a frame is within its bounds");
      outcome.frames.push_back(copy_of(body));
      return true;
    });
    if (!fed) outcome.error = fed.error();
    outcome.buffered = frames_.buffered();
    require(outcome.buffered < wire::kFrameHeaderSize + size_max_,
            "what is kept is no whole frame");
    return fed.has_value();
  }

  Outcome outcome;

 private:
  std::size_t size_max_;
  wire::FrameAssembler frames_;
};

void check_is_stream(const Outcome& outcome, wire::ByteView stream) {
  wire::Bytes again;
  for (const wire::Bytes& frame : outcome.frames) {
    wire::append_le(again, static_cast<std::uint32_t>(frame.size()));
    wire::append(again, frame);
  }
  require(again.size() + outcome.buffered <= stream.size(), "nothing is made up");
  require(same(again, stream.first(again.size())), "frames are the stream's bytes");
  if (!outcome.error) {
    require(again.size() + outcome.buffered == stream.size(), "nothing is lost");
  }
}

}  // namespace
}  // namespace godwit::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace godwit::fuzz;
  using namespace godwit;
  Input in(data, size);
  const std::size_t size_max = in.chance(128) ? wire::kFrameSizeMaxBeforeLogin : 64;
  const auto cuts = in.bytes(64);
  const wire::ByteView stream = in.rest();

  Reader whole(size_max);
  const bool good = whole.feed(stream);
  check_is_stream(whole.outcome, stream);

  Reader pieces(size_max);
  wire::ByteView left = stream;
  bool going_on = true;
  for (std::size_t i = 0; going_on && !left.empty(); ++i) {
    const std::size_t piece = cuts.empty() ? 1 : std::size_t{1} + cuts[i % cuts.size()];
    going_on = pieces.feed(left.first(std::min(piece, left.size())));
    left = left.subspan(std::min(piece, left.size()));
  }
  require(pieces.outcome == whole.outcome, "the frames do not depend on how the stream was cut");
  if (!good) require(!whole.feed({data, size}) || size == 0, "an error is final");
  return 0;
}
