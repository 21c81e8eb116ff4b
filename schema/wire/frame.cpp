#include "schema/wire/frame.hpp"

#include <algorithm>
#include <utility>

#include "schema/wire/bytes.hpp"

namespace godwit::wire {
namespace {

constexpr std::size_t kAlignment = 8;
static_assert(alignof(std::uint64_t) == kAlignment);

// Whole frames up to this size are aligned on the stack instead of the heap: that is nearly all
// of them, since the typical message has some hundred bytes.
constexpr std::size_t kStackFrameSizeMax = 4 * 1024;

bool is_aligned(const std::uint8_t* address) {
  return reinterpret_cast<std::uintptr_t>(address) % kAlignment == 0;
}

std::size_t words_for(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment;
}

}  // namespace

// A frame that lies whole in the input is never kept. A frame cut by the end of the input is, and
// only as many bytes as came: a size alone costs the peer who claims it, not us.
tl::expected<void, FrameError> FrameAssembler::feed(ByteView bytes, const OnFrame& on_frame) {
  while (!bytes.empty() && !stopped_) {
    if (!take_header(bytes)) return {};
    if (const auto checked = check_size(); !checked) return checked;
    const std::size_t missing = load_le<std::uint32_t>(header_) - filled_;
    const ByteView part = bytes.first(std::min(missing, bytes.size()));
    bytes = bytes.subspan(part.size());
    if (filled_ == 0 && part.size() == missing) {
      header_filled_ = 0;
      stopped_ = !deliver(part, on_frame);
      continue;
    }
    keep(part);
    if (part.size() == missing) stopped_ = !deliver_kept(on_frame);
  }
  return {};
}

// True when the header is complete.
bool FrameAssembler::take_header(ByteView& bytes) {
  const std::size_t part = std::min(kFrameHeaderSize - header_filled_, bytes.size());
  std::copy_n(bytes.begin(), part, header_.begin() + header_filled_);
  header_filled_ = static_cast<std::uint8_t>(header_filled_ + part);
  bytes = bytes.subspan(part);
  return header_filled_ == kFrameHeaderSize;
}

// Runs for each part of a frame, so an error comes back at every later feed.
tl::expected<void, FrameError> FrameAssembler::check_size() const {
  const std::size_t size = load_le<std::uint32_t>(header_);
  if (size > size_max_) return tl::unexpected(FrameError::too_large);
  if (size < kFrameSizeMin) return tl::unexpected(FrameError::too_small);
  return {};
}

void FrameAssembler::keep(ByteView part) {
  storage_.resize(words_for(filled_ + part.size()));
  std::ranges::copy(part, reinterpret_cast<std::uint8_t*>(storage_.data()) + filled_);
  filled_ += part.size();
}

bool FrameAssembler::deliver(ByteView body, const OnFrame& on_frame) {
  if (is_aligned(body.data())) return on_frame(body);
  if (body.size() <= kStackFrameSizeMax) {
    alignas(kAlignment) std::array<std::uint8_t, kStackFrameSizeMax> aligned;
    std::ranges::copy(body, aligned.begin());
    return on_frame(ByteView(aligned).first(body.size()));
  }
  const auto words = std::make_unique_for_overwrite<std::uint64_t[]>(words_for(body.size()));
  auto* aligned = reinterpret_cast<std::uint8_t*>(words.get());
  std::ranges::copy(body, aligned);
  return on_frame(ByteView(aligned, body.size()));
}

// The frame leaves the assembler before its owner sees it; its memory is freed afterwards.
bool FrameAssembler::deliver_kept(const OnFrame& on_frame) {
  const std::vector<std::uint64_t> words = std::exchange(storage_, {});
  const std::size_t size = std::exchange(filled_, 0);
  header_filled_ = 0;
  return on_frame(ByteView(reinterpret_cast<const std::uint8_t*>(words.data()), size));
}

}  // namespace godwit::wire
