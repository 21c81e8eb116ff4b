// core/pack: how the fields of a record lie in its bytes: little-endian integers, byte strings
// behind a u32 length. The database's version is the version of all of them.
#pragma once

#include <optional>
#include <string>

#include "schema/wire/bytes.hpp"
#include "schema/wire/types.hpp"

namespace godwit::core {

class Packer {
 public:
  explicit Packer(wire::Bytes& to) : to_(to) {}
  template <std::unsigned_integral Int>
  Packer& number(Int value) {
    wire::append_le(to_, value);
    return *this;
  }
  Packer& flag(bool value) { return number<std::uint8_t>(value ? 1 : 0); }
  template <class Tag, std::size_t Size>
  Packer& fixed(const wire::FixedBytes<Tag, Size>& value) {
    wire::append(to_, value.view());
    return *this;
  }
  Packer& bytes(wire::ByteView value) {
    number(static_cast<std::uint32_t>(value.size()));
    wire::append(to_, value);
    return *this;
  }
  // For secrets, ahead of them: bytes that grow leave a copy behind.
  void room(std::size_t size) { to_.reserve(to_.size() + size); }
  Packer& text(std::string_view value) { return bytes(wire::as_bytes(value)); }

 private:
  wire::Bytes& to_;
};

// Every read checks the length; after a failure everything reads as zero and ok() is false.
class Unpacker {
 public:
  explicit Unpacker(wire::ByteView from) : from_(from) {}
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool done() const { return ok_ && from_.empty(); }
  // Fields that came later stand at the end: a record without them was written before.
  [[nodiscard]] bool more() const { return ok_ && !from_.empty(); }

  template <std::unsigned_integral Int>
  Unpacker& number(Int& value) {
    const wire::ByteView part = take(sizeof value);
    value = ok_ ? wire::load_le<Int>(part) : Int{0};
    return *this;
  }
  Unpacker& flag(bool& value) {
    std::uint8_t byte = 0;
    number(byte);
    value = byte != 0;
    return *this;
  }
  template <class Enum>
  Unpacker& choice(Enum& value) {
    std::uint8_t byte = 0;
    number(byte);
    value = static_cast<Enum>(byte);
    return *this;
  }
  template <class Tag, std::size_t Size>
  Unpacker& fixed(wire::FixedBytes<Tag, Size>& value) {
    const wire::ByteView part = take(Size);
    if (ok_) value = wire::FixedBytes<Tag, Size>::copy_of(part);
    return *this;
  }
  Unpacker& bytes(wire::Bytes& value) {
    const wire::ByteView part = counted();
    value.assign(part.begin(), part.end());
    return *this;
  }
  Unpacker& text(std::string& value) {
    const wire::ByteView part = counted();
    value.assign(reinterpret_cast<const char*>(part.data()), part.size());
    return *this;
  }
  // How many items follow; each takes at least `least` bytes, so a count cannot ask for the world.
  [[nodiscard]] std::uint32_t count(std::size_t least) {
    std::uint32_t items = 0;
    number(items);
    if (!ok_ || items > from_.size() / least) ok_ = false;
    return ok_ ? items : 0;
  }

 private:
  wire::ByteView take(std::size_t size) {
    if (!ok_ || from_.size() < size) {
      ok_ = false;
      return {};
    }
    const wire::ByteView part = from_.first(size);
    from_ = from_.subspan(size);
    return part;
  }
  wire::ByteView counted() {
    std::uint32_t size = 0;
    number(size);
    return take(size);
  }

  wire::ByteView from_;
  bool ok_ = true;
};

}  // namespace godwit::core
