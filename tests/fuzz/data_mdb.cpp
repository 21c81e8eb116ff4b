// A device's data.mdb of which any field was altered, many of them so that they fit together. The
// look at it before LMDB maps it refuses it, or LMDB can work on it: read all of it, write to it
// and commit, open it again. LMDB itself would end the process.
// About: client-sdk/src/store/lmdb_check.cpp
#include <fcntl.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "client-sdk/src/store/backend.hpp"
#include "client-sdk/src/store/lmdb_backend.hpp"
#include "tests/fuzz/fuzz.hpp"
#include "tests/support/temporary_directory.hpp"

namespace godwit::fuzz {
namespace {

using store::Table;
using wire::store_le;

constexpr std::size_t kPageSize = 4096;
constexpr std::size_t kPageHeader = 16;
constexpr std::size_t kEditsMax = 8;
constexpr std::array kTables{Table::account, Table::messages};

std::filesystem::path data_of(const std::filesystem::path& directory) {
  return directory / "data.mdb";
}

wire::Bytes read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

wire::Bytes key_of(std::uint32_t number) {
  wire::Bytes key(12);
  store_le(key.data() + 4, number);
  return key;
}

// One commit for each size: so many records, of which those before grow, shrink or leave.
wire::Bytes made(const std::vector<std::pair<std::uint32_t, std::size_t>>& commits) {
  const support::TemporaryDirectory directory{support::Medium::memory};
  auto backend = store::LmdbBackend::create(directory.path());
  require(backend.has_value(), "a new file");
  for (const auto& [count, size] : commits) {
    auto txn = (*backend)->begin_write();
    require(txn.has_value(), "a transaction");
    for (const Table table : kTables) {
      for (std::uint32_t i = 0; i < count; ++i) {
        const wire::Bytes value(i == 3 ? 10 * size : size, static_cast<std::uint8_t>(i));
        require((*txn)->put(table, key_of(i), value).has_value(), "a record");
        require((*txn)->erase(table, key_of(2 * i + count)).has_value(), "a record less");
      }
    }
    require((*txn)->commit().has_value(), "a commit");
  }
  auto bytes = read_file(data_of(directory.path()));
  while (!bytes.empty() && bytes.back() == 0) bytes.pop_back();
  bytes.resize((bytes.size() + kPageSize - 1) / kPageSize * kPageSize);
  return bytes;
}

const wire::Bytes& some_file(Input& in) {
  static const std::array files{made({{1, 20}}), made({{40, 90}, {10, 20}, {12, 500}}),
                                made({{120, 200}, {60, 900}, {8, 30}, {4, 30}})};
  return files[in.below(files.size())];
}

// In the place of `was`: a little more or less, a number of a page, or any.
std::uint64_t other(Input& in, std::uint64_t was, std::size_t pages) {
  switch (in.below(4)) {
    case 0:
      return was + in.byte() - 128;
    case 1:
      return in.below(pages + 2);
    case 2:
      return in.byte();
    default:
      return in.number<std::uint64_t>();
  }
}

void edit(Input& in, wire::Bytes& file, std::size_t at, std::size_t size) {
  if (at + size > file.size()) return;
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < size; ++i) value |= std::uint64_t{file[at + i]} << (8 * i);
  value = other(in, value, file.size() / kPageSize);
  for (std::size_t i = 0; i < size; ++i) file[at + i] = static_cast<std::uint8_t>(value >> (8 * i));
}

// A field of a page as LMDB lays it out: its header, a pointer to a node, the header of a node.
void edit_page(Input& in, wire::Bytes& file) {
  struct Field {
    std::size_t at, size;
  };
  constexpr std::array kHeader{Field{0, 8}, Field{8, 2}, Field{10, 2},
                               Field{12, 2}, Field{14, 2}, Field{12, 4}};
  constexpr std::array kNode{Field{0, 2}, Field{2, 2}, Field{4, 2}, Field{6, 2}, Field{0, 4}};
  const std::size_t page = in.below(file.size() / kPageSize) * kPageSize;
  const std::size_t pointer = page + kPageHeader + 2 * in.below(32);
  const std::size_t node =
      page + wire::load_le<std::uint16_t>(wire::ByteView(file).subspan(pointer));
  switch (in.below(5)) {
    case 0: {
      const Field field = kHeader[in.below(kHeader.size())];
      return edit(in, file, page + field.at, field.size);
    }
    case 1:
      return edit(in, file, pointer, 2);
    case 2: {
      const Field field = kNode[in.below(kNode.size())];
      return edit(in, file, node + field.at, field.size);
    }
    case 3:  // of a list of free pages, or the place of a long value
      return edit(in, file, node + 8 + 8 * in.below(8), 8);
    default:
      return edit(in, file, page + in.below(kPageSize), 1 + in.below(8));
  }
}

// Of one meta page or, alike, of both: LMDB takes the newer.
void edit_meta(Input& in, wire::Bytes& file) {
  struct Field {
    std::size_t at, size;
  };
  constexpr std::size_t kTree = 48;
  constexpr std::size_t kTrees = kPageHeader + 24;
  constexpr std::array kFields{Field{0, 4}, Field{4, 2}, Field{6, 2}, Field{8, 8},
                               Field{16, 8}, Field{24, 8}, Field{32, 8}, Field{40, 8}};
  const Field field = kFields[in.below(kFields.size())];
  const std::size_t place = in.below(4);
  const std::size_t at = place < 2 ? kTrees + place * kTree + field.at
                                   : kTrees + 2 * kTree + 8 * (place - 2);  // last page, txn
  const std::size_t which = in.below(3);
  Input same = in;
  if (which != 1) edit(in, file, at, place < 2 ? field.size : 8);
  if (which != 0) edit(same, file, kPageSize + at, place < 2 ? field.size : 8);
}

// Everything that a store does. Errors are answers; only the end of the process is none. True: all
// was written.
bool use(const std::filesystem::path& directory) {
  const auto backend = store::LmdbBackend::open(directory, false);
  if (!backend) return false;
  const auto look = [](wire::ByteView key, wire::ByteView value) {
    volatile std::uint8_t all = 0;
    for (const auto bytes : {key, value}) {
      for (const std::uint8_t byte : bytes) all = all ^ byte;
    }
    return true;
  };
  for (std::uint32_t round = 0; round < 3; ++round) {
    if (const auto txn = (*backend)->begin_read()) {
      for (const auto order : {store::ReadTxn::Order::ascending,
                               store::ReadTxn::Order::descending}) {
        for (const Table table : kTables) {
          const bool up = order == store::ReadTxn::Order::ascending;
          static_cast<void>((*txn)->scan(table, wire::Bytes(up ? 0 : 32, 0xff), order, look));
        }
      }
    }
    const auto txn = (*backend)->begin_write();
    if (!txn) return false;
    bool whole = true;
    for (std::uint32_t i = 0; i < 24 && whole; ++i) {
      const wire::Bytes value(i % 8 == 5 ? 6'000 : 40 + 100 * round);
      whole = (*txn)->put(kTables[i % 2], key_of(3 * i + round), value).has_value() &&
              (*txn)->erase(kTables[(i + 1) % 2], key_of(2 * i)).has_value();
    }
    if (!whole || !(*txn)->commit()) return false;
  }
  return true;
}

}  // namespace
}  // namespace godwit::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace godwit::fuzz;
  static const godwit::support::TemporaryDirectory directory{godwit::support::Medium::memory};
  Input in(data, size);
  godwit::wire::Bytes file = some_file(in);
  for (std::size_t edits = in.below(kEditsMax + 1); edits > 0; --edits) {
    in.chance(64) ? edit_meta(in, file) : edit_page(in, file);
  }
  if (in.chance(16)) file.resize(in.below(file.size() + 1));
  {
    std::ofstream out(data_of(directory.path()), std::ios::binary | std::ios::trunc);
    const auto text = text_of(file);
    out.write(text.data(), static_cast<std::streamsize>(text.size()));
  }
  if (use(directory.path())) {
    require(godwit::store::LmdbBackend::open(directory.path(), false).has_value(),
            "what was taken, and written to, is taken again");
  }
  return 0;
}
