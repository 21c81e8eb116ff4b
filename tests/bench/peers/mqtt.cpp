// MQTT 3.1.1 at QoS 1. A mailbox is a topic and a session that outlives its connection
// (clean_session 0); the group is one topic.
#include "tests/bench/peers/device.hpp"

namespace godwit::bench::peers {
namespace {

constexpr std::uint8_t kConnect = 0x10;
constexpr std::uint8_t kConnected = 0x20;
constexpr std::uint8_t kPublish = 0x30;
constexpr std::uint8_t kPublishAck = 0x40;
constexpr std::uint8_t kSubscribe = 0x82;
constexpr std::uint8_t kSubscribed = 0x90;
constexpr std::uint8_t kPing = 0xc0;
constexpr std::uint8_t kPong = 0xd0;
constexpr std::uint8_t kQos1 = 0x02;  // in the first byte of a publish
constexpr std::uint8_t kProtocolLevel = 4;
constexpr std::uint8_t kCleanSession = 0x02;

// Big-endian, as all numbers of MQTT.
void append_u16(wire::Bytes& to, std::size_t value) {
  to.push_back(static_cast<std::uint8_t>(value >> 8));
  to.push_back(static_cast<std::uint8_t>(value));
}

std::uint16_t u16_at(wire::ByteView bytes, std::size_t at) {
  return static_cast<std::uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

void append_string(wire::Bytes& to, std::string_view text) {
  append_u16(to, text.size());
  append(to, text);
}

void append_header(wire::Bytes& to, std::uint8_t type, std::size_t size) {
  to.push_back(type);
  for (; size >= 0x80; size >>= 7) to.push_back(static_cast<std::uint8_t>(size | 0x80));
  to.push_back(static_cast<std::uint8_t>(size));
}

class MqttDevice final : public Device {
 public:
  using Device::Device;

  void publish(std::uint32_t mailbox, wire::ByteView body, std::uint16_t token) override {
    publish_to(topic_of(mailbox), body, token);
  }
  void publish_to_group(std::uint32_t /*members*/, wire::ByteView body,
                        std::uint16_t token) override {
    publish_to(kGroup, body, token);
  }
  void settle() override { append_header(out(), kPing, 0); }

 private:
  static constexpr std::string_view kGroup = "g";

  static std::string topic_of(std::uint32_t mailbox) { return "m" + std::to_string(mailbox); }

  // A packet id is the token and one, since 0 is not an id.
  void publish_to(std::string_view topic, wire::ByteView body, std::uint16_t token) {
    wire::Bytes& to = out();
    append_header(to, kPublish | kQos1, 2 + topic.size() + 2 + body.size());
    append_string(to, topic);
    append_u16(to, token + std::size_t{1});
    append(to, body);
  }

  void greet() override {
    const std::string name = "d" + std::to_string(number());
    wire::Bytes& to = out();
    append_header(to, kConnect, 10 + 2 + name.size());
    append_string(to, "MQTT");
    to.push_back(kProtocolLevel);
    to.push_back(role() == Role::sender ? kCleanSession : 0);
    append_u16(to, 0);  // no keep-alive
    append_string(to, name);
  }

  void subscribe() {
    const std::string topic = role() == Role::member ? std::string(kGroup) : topic_of(number());
    wire::Bytes& to = out();
    append_header(to, kSubscribe, 2 + 2 + topic.size() + 1);
    append_u16(to, 1);
    append_string(to, topic);
    to.push_back(1);  // QoS
  }

  std::size_t take(wire::ByteView input) override {
    std::size_t taken = 0;
    for (;;) {
      const auto rest = input.subspan(taken);
      std::size_t size = 0;
      std::size_t at = 1;
      for (unsigned shift = 0;; shift += 7) {
        if (at >= rest.size()) return taken;
        size |= (rest[at] & std::size_t{0x7f}) << shift;
        if ((rest[at++] & 0x80) == 0) break;
      }
      if (rest.size() - at < size) return taken;
      handle(rest[0], rest.subspan(at, size));
      taken += at + size;
    }
  }

  void handle(std::uint8_t type, wire::ByteView content) {
    if ((type & 0xf0) == kPublish && (type & kQos1) != 0) return handle_publish(content);
    if (type == kPublishAck) return host().on_accepted(*this, u16_at(content, 0) - 1U);
    if (type == kPong) return host().on_settled(*this);
    if (type == kSubscribed && content.back() == 1) return host().on_ready(*this);
    if (type == kConnected && content[1] == 0) {
      const bool has_session = content[0] == 1;  // and with it, its subscription
      if (role() == Role::sender || has_session) return host().on_ready(*this);
      return subscribe();
    }
    host().fail("mosquitto answered with packet " + std::to_string(type));
  }

  void handle_publish(wire::ByteView content) {
    const std::size_t id_at = std::size_t{2} + u16_at(content, 0);
    wire::Bytes& to = out();
    append_header(to, kPublishAck, 2);
    append(to, content.subspan(id_at, 2));
    host().on_message(*this, content.subspan(id_at + 2));
  }
};

}  // namespace

std::unique_ptr<Device> make_mqtt_device(Host& host, std::uint32_t number) {
  return std::make_unique<MqttDevice>(host, number);
}

}  // namespace godwit::bench::peers
