// An operation in the log: its length, then its parts in the order in which they are declared; the
// name of the file after its own length, and the bytes up to the end.
#include "tests/power/log.hpp"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>

#include "schema/wire/bytes.hpp"

namespace godwit::power {
namespace {

using wire::append_le;

wire::Bytes encode(const Operation& operation) {
  wire::Bytes out;
  append_le(out, static_cast<std::uint8_t>(operation.kind));
  append_le(out, std::uint8_t{operation.durable});
  append_le(out, static_cast<std::uint8_t>(operation.file.size()));
  wire::append(out, wire::as_bytes(operation.file));
  append_le(out, operation.at);
  append_le(out, operation.size);
  append_le(out, operation.note.what);
  append_le(out, operation.note.number);
  wire::append(out, operation.bytes);
  return out;
}

template <class Int>
Int take(wire::ByteView& from) {
  const Int value = wire::load_le<Int>(from);
  from = from.subspan(sizeof(Int));
  return value;
}

Operation decode(wire::ByteView from) {
  Operation operation;
  operation.kind = static_cast<Operation::Kind>(take<std::uint8_t>(from));
  operation.durable = take<std::uint8_t>(from) != 0;
  const std::size_t name_size = take<std::uint8_t>(from);
  operation.file.assign(from.begin(), from.begin() + static_cast<std::ptrdiff_t>(name_size));
  from = from.subspan(name_size);
  operation.at = take<std::uint64_t>(from);
  operation.size = take<std::uint64_t>(from);
  operation.note.what = take<std::uint32_t>(from);
  operation.note.number = take<std::uint64_t>(from);
  operation.bytes.assign(from.begin(), from.end());
  return operation;
}

}  // namespace

Log::Log(const std::filesystem::path& file)
    : descriptor_(::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) {
  if (descriptor_ < 0) std::abort();
}

Log::~Log() {
  ::close(descriptor_);
}

void Log::append(const Operation& operation) const {
  const wire::Bytes encoded = encode(operation);
  wire::Bytes out;
  append_le(out, static_cast<std::uint32_t>(encoded.size()));
  wire::append(out, encoded);
  // Past the C library: nothing that stands in its place hears of the log.
  const auto written = ::syscall(SYS_write, descriptor_, out.data(), out.size());
  if (written != static_cast<long>(out.size())) std::abort();
}

void Log::append(Note note) const {
  Operation operation{.kind = Operation::Kind::note};
  operation.note = note;
  append(operation);
}

std::vector<Operation> read_log(const std::filesystem::path& file) {
  const wire::Bytes bytes = content_of(file);
  std::vector<Operation> operations;
  for (wire::ByteView left = bytes; !left.empty();) {
    const std::size_t size = take<std::uint32_t>(left);
    operations.push_back(decode(left.first(size)));
    left = left.subspan(size);
  }
  return operations;
}

}  // namespace godwit::power
