// Redis streams in RESP 2. A mailbox is a stream; its owner blocks in XREAD and takes out with
// XDEL what it has, both in one write. A message to the group goes over the wire once: a script
// puts it into the stream of each member, since a shared stream would not know who has what.
#include <charconv>
#include <deque>

#include "tests/bench/peers/device.hpp"

namespace godwit::bench::peers {
namespace {

constexpr std::string_view kEnd = "\r\n";
constexpr std::uint64_t kReadCount = 100;  // of one XREAD
constexpr std::string_view kAddToAll =
    "for i = 1, ARGV[1] do redis.call('XADD', 'm' .. i, '*', 'b', ARGV[2]) end return 'all'";

void append_bulk(wire::Bytes& to, wire::ByteView bytes) {
  to.push_back('$');
  append_number(to, bytes.size());
  append(to, kEnd);
  append(to, bytes);
  append(to, kEnd);
}

void append_bulk(wire::Bytes& to, std::string_view text) {
  append_bulk(to, {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

void append_array(wire::Bytes& to, std::size_t count) {
  to.push_back('*');
  append_number(to, count);
  append(to, kEnd);
}

// Reads values one after the other; `whole` is false once it has met the end of the input.
struct Reader {
  wire::ByteView input;
  std::size_t at = 0;
  bool whole = true;

  struct Value {
    char type = 0;
    std::int64_t number = 0;  // of an integer; items of an array; -1: null
    std::string_view text;    // of a string or an error
  };

  Value next() {
    const auto text = text_of(input);
    const auto end = text.find(kEnd, at);
    if (end == std::string_view::npos) return stop();
    Value value{text[at], 0, text.substr(at + 1, end - at - 1)};
    if (value.type == ':' || value.type == '*' || value.type == '$') {
      std::from_chars(value.text.data(), value.text.data() + value.text.size(), value.number);
    }
    at = end + kEnd.size();
    if (value.type != '$' || value.number < 0) return value;
    const auto size = static_cast<std::size_t>(value.number);
    if (text.size() - at < size + kEnd.size()) return stop();
    value.text = text.substr(at, size);
    at += size + kEnd.size();
    return value;
  }

  Value stop() {
    whole = false;
    return {};
  }

  // Over one reply with all that is in it.
  void skip() {
    for (std::int64_t left = 1; whole && left > 0; --left) {
      const Value value = next();
      if (value.type == '*' && value.number > 0) left += value.number;
    }
  }
};

class RedisDevice final : public Device {
 public:
  using Device::Device;

  void publish(std::uint32_t mailbox, wire::ByteView body, std::uint16_t token) override {
    wire::Bytes& to = out();
    append_array(to, 5);
    append_bulk(to, "XADD");
    append_bulk(to, stream_of(mailbox));
    append_bulk(to, "*");
    append_bulk(to, "b");
    append_bulk(to, body);
    tokens_.push_back(token);
  }

  void publish_to_group(std::uint32_t members, wire::ByteView body, std::uint16_t token) override {
    wire::Bytes& to = out();
    append_array(to, 5);
    append_bulk(to, "EVAL");
    append_bulk(to, kAddToAll);
    append_bulk(to, "0");
    append_bulk(to, std::to_string(members));
    append_bulk(to, body);
    tokens_.push_back(token);
  }

  void settle() override {
    settling_ = true;
    settle_if_done();
  }

 private:
  static std::string stream_of(std::uint32_t mailbox) { return "m" + std::to_string(mailbox); }

  void greet() override {
    wire::Bytes& to = out();
    append_array(to, 1);
    append_bulk(to, "PING");
    deletes_unanswered_ = 0;
  }

  void read_on() {
    wire::Bytes& to = out();
    append_array(to, 8);
    append_bulk(to, "XREAD");
    append_bulk(to, "COUNT");
    append_bulk(to, std::to_string(kReadCount));
    append_bulk(to, "BLOCK");
    append_bulk(to, "0");
    append_bulk(to, "STREAMS");
    append_bulk(to, stream_of(number()));
    append_bulk(to, last_id_);
  }

  std::size_t take(wire::ByteView input) override {
    Reader reader{input};
    for (;;) {
      const std::size_t begin = reader.at;
      reader.skip();
      if (!reader.whole) return begin;
      handle(input.subspan(begin, reader.at - begin));
    }
  }

  void handle(wire::ByteView reply) {
    Reader reader{reply};
    const auto value = reader.next();
    if (value.type == '+') return handle_pong();
    if (value.type == '$' && !tokens_.empty()) return handle_added();
    if (value.type == ':') {
      --deletes_unanswered_;
      return settle_if_done();
    }
    if (value.type == '*' && value.number == 1) return handle_entries(reader);
    host().fail("redis answered: " + std::string(text_of(reply)));
  }

  void handle_pong() {
    if (role() != Role::sender && role() != Role::owner) read_on();
    host().on_ready(*this);
  }

  void handle_added() {
    const std::uint16_t token = tokens_.front();
    tokens_.pop_front();
    host().on_accepted(*this, token);
  }

  // What is inside of the outer array: [stream, [[id, [field, value]], ...]].
  void handle_entries(Reader reader) {
    reader.next();
    reader.next();
    const auto count = static_cast<std::size_t>(reader.next().number);
    wire::Bytes& to = out();
    append_array(to, 2 + count);
    append_bulk(to, "XDEL");
    append_bulk(to, stream_of(number()));
    for (std::size_t i = 0; i < count; ++i) {
      reader.next();
      const auto id = reader.next().text;
      append_bulk(to, id);
      last_id_ = id;
      reader.next();
      reader.next();
      const auto body = reader.next().text;
      host().on_message(*this, {reinterpret_cast<const std::uint8_t*>(body.data()), body.size()});
    }
    ++deletes_unanswered_;
    read_on();
  }

  void settle_if_done() {
    if (!settling_ || deletes_unanswered_ > 0) return;
    settling_ = false;
    host().on_settled(*this);
  }

  std::deque<std::uint16_t> tokens_;  // of publishes, in the order of their replies
  std::string last_id_ = "0";
  std::size_t deletes_unanswered_ = 0;
  bool settling_ = false;
};

}  // namespace

std::unique_ptr<Device> make_redis_device(Host& host, std::uint32_t number) {
  return std::make_unique<RedisDevice>(host, number);
}

}  // namespace godwit::bench::peers
