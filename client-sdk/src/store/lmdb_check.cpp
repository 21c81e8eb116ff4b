// Happy path: map the file read-only, take the newest meta page as LMDB does, walk the tree of
// records and the tree of free pages, and read the lists of free pages. Each page is met once:
// LMDB would write into one that is met twice.
// Failure: the first thing that is not as LMDB writes it.

#include "client-sdk/src/store/lmdb_check.hpp"

#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <bit>

#include "schema/wire/bytes.hpp"

namespace godwit::store {
namespace {

using tl::unexpected;
using wire::ByteView;
using wire::load_le;

// Numbers in pages have the size of a pointer where the file was made.
static_assert(sizeof(void*) == 8, "the format of LMDB's file is another on a 32-bit system");

constexpr std::size_t kPageHeader = 16;  // number u64 | pad u16 | flags u16 | lower u16 | upper u16
constexpr std::size_t kNodeHeader = 8;   // low u16 | high u16 | flags u16 | key size u16
constexpr std::size_t kMetaSize = 136;
constexpr std::size_t kTreeSize = 48;
constexpr std::size_t kPageSizeMin = 512;
constexpr std::size_t kPageSizeMax = 65'536;
constexpr std::uint32_t kMagic = 0xbeefc0de;
constexpr std::uint32_t kVersion = 1;
constexpr std::uint64_t kMetaPages = 2;
constexpr std::uint64_t kNoRoot = ~std::uint64_t{0};
constexpr std::uint64_t kTxnMax = ~std::uint64_t{0} / 2;  // there must be a next one
constexpr std::size_t kKeySizeMax = 511;
constexpr std::size_t kDepthMax = 32;  // of a cursor
constexpr std::size_t kIntegerKeySize = 8;

enum PageFlags : std::uint16_t { kBranch = 1, kLeaf = 2, kOverflow = 4, kMeta = 8 };
constexpr std::uint16_t kBigData = 1;         // the value of this node has pages of its own
constexpr std::uint16_t kIntegerKeys = 0x08;  // the tree of free pages

struct Tree {
  std::uint32_t pad = 0;
  std::uint16_t flags = 0;
  std::uint16_t depth = 0;
  std::uint64_t branches = 0;
  std::uint64_t leaves = 0;
  std::uint64_t overflows = 0;
  std::uint64_t entries = 0;
  std::uint64_t root = 0;
};

struct Meta {
  Tree free;  // its pad is the page size
  Tree main;
  std::uint64_t last_page = 0;
  std::uint64_t txn = 0;
};

[[nodiscard]] Tree tree_of(ByteView from) {
  return {.pad = load_le<std::uint32_t>(from),
          .flags = load_le<std::uint16_t>(from.subspan(4)),
          .depth = load_le<std::uint16_t>(from.subspan(6)),
          .branches = load_le<std::uint64_t>(from.subspan(8)),
          .leaves = load_le<std::uint64_t>(from.subspan(16)),
          .overflows = load_le<std::uint64_t>(from.subspan(24)),
          .entries = load_le<std::uint64_t>(from.subspan(32)),
          .root = load_le<std::uint64_t>(from.subspan(40))};
}

// Nothing when LMDB would not take the page for a meta page.
[[nodiscard]] std::optional<Meta> meta_of(ByteView page) {
  const ByteView meta = page.subspan(kPageHeader, kMetaSize);
  if (load_le<std::uint16_t>(page.subspan(10)) != kMeta) return {};
  if (load_le<std::uint32_t>(meta) != kMagic) return {};
  if (load_le<std::uint32_t>(meta.subspan(4)) != kVersion) return {};
  return Meta{.free = tree_of(meta.subspan(24)),
              .main = tree_of(meta.subspan(24 + kTreeSize)),
              .last_page = load_le<std::uint64_t>(meta.subspan(24 + 2 * kTreeSize)),
              .txn = load_le<std::uint64_t>(meta.subspan(32 + 2 * kTreeSize))};
}

class Mapping {
 public:
  Mapping(int file, std::size_t size) : size_(size) {
    void* const at = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file, 0);
    if (at != MAP_FAILED) at_ = static_cast<const std::uint8_t*>(at);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() {
    if (at_ != nullptr) ::munmap(const_cast<std::uint8_t*>(at_), size_);
  }
  [[nodiscard]] bool is_there() const { return at_ != nullptr; }
  [[nodiscard]] ByteView bytes() const { return {at_, size_}; }

 private:
  const std::uint8_t* at_ = nullptr;
  std::size_t size_;
};

// Walks trees. Every function answers whether all is as LMDB writes it.
class Walk {
 public:
  Walk(ByteView file, std::size_t page_size, const Meta& meta)
      : file_(file), page_size_(page_size), txn_(meta.txn), met_(meta.last_page + 1) {
    met_[0] = met_[1] = true;
  }

  [[nodiscard]] bool tree(const Tree& expected, bool of_free_pages) {
    of_free_pages_ = of_free_pages;
    freed_by_ = 0;
    found_ = Tree{};
    if (expected.flags != (of_free_pages ? kIntegerKeys : 0)) return false;
    if (expected.depth > kDepthMax || (expected.root == kNoRoot) != (expected.depth == 0)) {
      return false;
    }
    if (expected.root != kNoRoot && !subtree(expected.root, expected.depth)) return false;
    return found_.branches == expected.branches && found_.leaves == expected.leaves &&
           found_.overflows == expected.overflows && found_.entries == expected.entries;
  }

  // Once both trees were walked: what is free is no page of either.
  [[nodiscard]] bool free_lists() {
    return std::ranges::all_of(free_lists_, [this](ByteView list) { return free_list(list); });
  }

 private:
  struct Node {
    std::size_t at = 0;
    std::size_t size = 0;
  };

  [[nodiscard]] ByteView bytes_of(std::uint64_t number) const {
    return file_.subspan(number * page_size_, page_size_);
  }

  [[nodiscard]] bool meet(std::uint64_t number) {
    if (number >= met_.size() || met_[number]) return false;
    met_[number] = true;
    return true;
  }

  // `height`: 1 for a leaf.
  [[nodiscard]] bool subtree(std::uint64_t number, std::size_t height) {
    if (!meet(number)) return false;
    const ByteView page = bytes_of(number);
    const bool is_leaf = height == 1;
    if (load_le<std::uint64_t>(page) != number) return false;
    if (load_le<std::uint16_t>(page.subspan(10)) != (is_leaf ? kLeaf : kBranch)) return false;
    const std::size_t lower = load_le<std::uint16_t>(page.subspan(12));
    const std::size_t upper = load_le<std::uint16_t>(page.subspan(14));
    if (lower % 2 != 0 || lower < kPageHeader || lower > upper || upper > page_size_) return false;
    const std::size_t count = (lower - kPageHeader) / 2;
    if (count < (is_leaf ? 1U : 2U)) return false;

    (is_leaf ? found_.leaves : found_.branches) += 1;
    if (is_leaf) found_.entries += count;
    if (!nodes_fill(page, upper, count, is_leaf)) return false;
    for (std::size_t i = 0; i < count; ++i) {
      const ByteView node = page.subspan(load_le<std::uint16_t>(page.subspan(kPageHeader + 2 * i)));
      const bool is_first_child = !is_leaf && i == 0;  // its key is not looked at
      if (of_free_pages_ && !is_first_child && !ascends(node, is_leaf)) return false;
      if (!(is_leaf ? value(node) : subtree(child_of(node), height - 1))) return false;
    }
    return true;
  }

  // The keys of the tree of free pages are the transactions that freed them. Where they do not
  // ascend, LMDB takes a list twice.
  [[nodiscard]] bool ascends(ByteView node, bool is_leaf) {
    if (load_le<std::uint16_t>(node.subspan(6)) != kIntegerKeySize) return false;
    const auto txn = load_le<std::uint64_t>(node.subspan(kNodeHeader));
    // What a branch says of a child is at most the first key in it.
    if (txn <= freed_by_ || txn > txn_) return false;
    freed_by_ = is_leaf ? txn : txn - 1;
    return true;
  }

  // The nodes lie end to end from `upper` to the end of the page, in any order.
  [[nodiscard]] bool nodes_fill(ByteView page, std::size_t upper, std::size_t count, bool is_leaf) {
    nodes_.clear();
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t at = load_le<std::uint16_t>(page.subspan(kPageHeader + 2 * i));
      if (at < upper || at % 2 != 0 || at + kNodeHeader > page_size_) return false;
      const std::size_t size = size_of(page.subspan(at), is_leaf);
      if (size == 0) return false;
      nodes_.push_back({at, size + size % 2});
    }
    std::ranges::sort(nodes_, {}, &Node::at);
    std::size_t end = upper;
    for (const Node& node : nodes_) {
      if (node.at != end) return false;
      end += node.size;
    }
    return end == page_size_;
  }

  // 0 when there is no such node.
  [[nodiscard]] std::size_t size_of(ByteView node, bool is_leaf) const {
    const std::size_t key = load_le<std::uint16_t>(node.subspan(6));
    if (key > kKeySizeMax) return 0;
    if (!is_leaf) return kNodeHeader + key;
    const std::uint16_t flags = load_le<std::uint16_t>(node.subspan(4));
    if (key == 0 || (flags & ~kBigData) != 0) return 0;
    if (of_free_pages_ && key != kIntegerKeySize) return 0;
    return kNodeHeader + key + (flags == kBigData ? sizeof(std::uint64_t) : value_size_of(node));
  }

  [[nodiscard]] static std::uint64_t child_of(ByteView node) {
    return load_le<std::uint32_t>(node) |
           (std::uint64_t{load_le<std::uint16_t>(node.subspan(4))} << 32);
  }

  [[nodiscard]] static std::size_t value_size_of(ByteView node) {
    return load_le<std::uint32_t>(node);
  }

  // Precondition: the node lies in its page.
  [[nodiscard]] bool value(ByteView node) {
    const std::size_t size = value_size_of(node);
    ByteView place = node.subspan(kNodeHeader + load_le<std::uint16_t>(node.subspan(6)));
    if (load_le<std::uint16_t>(node.subspan(4)) == kBigData) {
      const auto first = load_le<std::uint64_t>(place);
      if (!run(first, size)) return false;
      place = file_.subspan(first * page_size_ + kPageHeader);
    }
    if (of_free_pages_) free_lists_.push_back(place.first(size));
    return true;
  }

  // The pages of one long value.
  [[nodiscard]] bool run(std::uint64_t first, std::size_t value_size) {
    if (!meet(first)) return false;
    const ByteView page = bytes_of(first);
    const std::uint64_t count = load_le<std::uint32_t>(page.subspan(12));
    const std::uint64_t needed = (kPageHeader + value_size + page_size_ - 1) / page_size_;
    if (load_le<std::uint64_t>(page) != first || count < needed) return false;
    if (load_le<std::uint16_t>(page.subspan(10)) != kOverflow) return false;
    for (std::uint64_t i = 1; i < count; ++i) {
      if (!meet(first + i)) return false;
    }
    found_.overflows += count;
    return true;
  }

  // count u64 | page u64 ..., descending
  [[nodiscard]] bool free_list(ByteView list) {
    if (list.size() < sizeof(std::uint64_t)) return false;
    const auto count = load_le<std::uint64_t>(list);
    list = list.subspan(sizeof count);
    if (count > list.size() / sizeof(std::uint64_t)) return false;
    std::uint64_t above = kNoRoot;
    for (std::uint64_t i = 0; i < count; ++i) {
      const auto number = load_le<std::uint64_t>(list.subspan(i * sizeof(std::uint64_t)));
      if (number >= above || !meet(number)) return false;
      above = number;
    }
    return true;
  }

  ByteView file_;
  std::size_t page_size_;
  std::uint64_t txn_;  // the newest
  std::vector<bool> met_;
  bool of_free_pages_ = false;
  std::uint64_t freed_by_ = 0;  // the key that was met last
  Tree found_;
  std::vector<Node> nodes_;  // of the page at hand
  std::vector<ByteView> free_lists_;
};

// The page size that LMDB will believe: that of the first meta page.
[[nodiscard]] Result<std::size_t> page_size_of(ByteView file) {
  if (file.size() < kPageSizeMin) return unexpected(StoreError::truncated);
  const auto first = meta_of(file);
  if (!first) return unexpected(StoreError::damaged);
  const std::size_t size = first->free.pad;
  if (!std::has_single_bit(size) || size < kPageSizeMin || size > kPageSizeMax) {
    return unexpected(StoreError::damaged);
  }
  if (file.size() < kMetaPages * size) return unexpected(StoreError::truncated);
  return size;
}

[[nodiscard]] Result<Meta> newest_meta_of(ByteView file, std::size_t page_size) {
  const auto first = meta_of(file);
  const auto second = meta_of(file.subspan(page_size));
  if (!first || !second || second->free.pad != page_size) return unexpected(StoreError::damaged);
  const bool is_second = second->txn > first->txn;
  const Meta newest = is_second ? *second : *first;
  if (newest.last_page + 1 < kMetaPages) return unexpected(StoreError::damaged);
  // A commit writes the meta page of its number's parity; at another the next would overwrite it.
  if (newest.txn % 2 != (is_second ? 1 : 0)) return unexpected(StoreError::damaged);
  if (newest.txn > kTxnMax) return unexpected(StoreError::damaged);
  return newest;
}

}  // namespace

Result<void> check_lmdb_file(int file, bool whole) {
  struct stat status {};
  if (::fstat(file, &status) != 0) return unexpected(StoreError::io);
  if (status.st_size == 0) return unexpected(StoreError::truncated);
  const Mapping mapping(file, static_cast<std::size_t>(status.st_size));
  if (!mapping.is_there()) return unexpected(StoreError::io);
  const auto page_size = page_size_of(mapping.bytes());
  if (!page_size) return unexpected(page_size.error());
  const auto meta = newest_meta_of(mapping.bytes(), *page_size);
  if (!meta) return unexpected(meta.error());
  if (meta->last_page >= mapping.bytes().size() / *page_size) {
    return unexpected(StoreError::truncated);
  }
  if (!whole) return {};
  Walk walk(mapping.bytes(), *page_size, *meta);
  if (!walk.tree(meta->main, false) || !walk.tree(meta->free, true) || !walk.free_lists()) {
    return unexpected(StoreError::damaged);
  }
  return {};
}

}  // namespace godwit::store
