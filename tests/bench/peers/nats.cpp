// NATS JetStream. A mailbox is a subject of one of some streams on disk, with a durable push
// consumer and explicit acks. A publish has a reply subject, on which the PubAck comes. What was
// acknowledged is deleted.
//
// As it is fastest here: a message costs a look at each consumer of its stream, so one stream for
// 2,000 mailboxes would carry a tenth of the rate. Consumers keep their state in memory, since a
// work queue itself knows what is left; on disk, each takes several fsyncs to make. An idle device
// has none: it belongs to the mailbox, not to the session.
#include <algorithm>
#include <array>
#include <charconv>

#include "tests/bench/peers/device.hpp"

namespace godwit::bench::peers {
namespace {

constexpr std::string_view kEnd = "\r\n";
constexpr std::uint32_t kMailStreams = 200;
constexpr const char* kGroup = "g";
constexpr std::string_view kDeliverSid = "1";
constexpr std::string_view kAcceptedSid = "2";
constexpr std::string_view kAnswerSid = "3";  // of the JetStream API

class NatsDevice final : public Device {
 public:
  using Device::Device;

  void publish(std::uint32_t mailbox, wire::ByteView body, std::uint16_t token) override {
    publish_to(subject_of(mailbox), body, token);
  }
  void publish_to_group(std::uint32_t /*members*/, wire::ByteView body,
                        std::uint16_t token) override {
    publish_to(kGroup, body, token);
  }
  // The broker deletes what was acknowledged a moment later, on another thread.
  void settle() override {
    settling_ = true;
    append(out(), "PING\r\n");
  }

 private:
  static std::string stream_of(std::uint32_t mailbox) {
    return "mail" + std::to_string(mailbox % kMailStreams);
  }
  static std::string subject_of(std::uint32_t mailbox) {
    return "m." + std::to_string(mailbox % kMailStreams) + "." + std::to_string(mailbox);
  }
  [[nodiscard]] std::string name() const { return std::to_string(number()); }
  [[nodiscard]] std::string deliver_subject() const { return "d." + name(); }

  void publish_to(std::string_view subject, wire::ByteView body, std::uint16_t token) {
    wire::Bytes& to = out();
    append(to, "PUB ");
    append(to, subject);
    append(to, " a.");
    append(to, name());
    append(to, ".");
    append_number(to, token);
    append(to, " ");
    append_number(to, body.size());
    append(to, kEnd);
    append(to, body);
    append(to, kEnd);
  }

  void subscribe(std::string_view subject, std::string_view sid) {
    wire::Bytes& to = out();
    append(to, "SUB ");
    append(to, subject);
    append(to, " ");
    append(to, sid);
    append(to, kEnd);
  }

  void ask(std::string_view subject, std::string_view request) {
    wire::Bytes& to = out();
    append(to, "PUB $JS.API.");
    append(to, subject);
    append(to, " i." + name() + " ");
    append_number(to, request.size());
    append(to, kEnd);
    append(to, request);
    append(to, kEnd);
    ++answers_awaited_;
  }

  void greet() override {
    append(out(), R"(CONNECT {"verbose":false,"pedantic":false,"protocol":1})"
                  "\r\n");
    if (role() == Role::sender) subscribe("a." + name() + ".*", kAcceptedSid);
    subscribe("i." + name(), kAnswerSid);
    if (number() == 0) ask_for_streams();
    if (role() != Role::sender && role() != Role::idle && !has_mailbox_) ask_for_consumer();
    if (answers_awaited_ == 0) become_ready();
  }

  // The first device makes what all share. A work queue deletes at the first ack, and a subject
  // of it has one consumer; what is sent to a group waits for all of its members.
  void ask_for_streams() {
    for (std::uint32_t i = 0; i < kMailStreams; ++i) {
      ask_for_stream("mail" + std::to_string(i), "m." + std::to_string(i) + ".*", "workqueue");
    }
    ask_for_stream("group", kGroup, "interest");
  }

  void ask_for_stream(const std::string& stream, const std::string& subject,
                      const std::string& retention) {
    ask("STREAM.CREATE." + stream, R"({"name":")" + stream + R"(","subjects":[")" + subject +
                                       R"("],"storage":"file","num_replicas":1,"retention":")" +
                                       retention + R"("})");
  }

  void ask_for_consumer() {
    const bool member = role() == Role::member;
    const std::string stream = member ? "group" : stream_of(number());
    const std::string filter = member ? kGroup : subject_of(number());
    ask("CONSUMER.DURABLE.CREATE." + stream + ".c" + name(),
        R"({"stream_name":")" + stream + R"(","config":{"durable_name":"c)" + name() +
            R"(","deliver_subject":")" + deliver_subject() + R"(","filter_subject":")" + filter +
            R"(","ack_policy":"explicit","deliver_policy":"all","replay_policy":"instant",)"
            R"("mem_storage":true,"max_ack_pending":-1}})");
    has_mailbox_ = true;
  }

  // The pong comes when all before it has been read.
  void become_ready() {
    if (role() != Role::sender && role() != Role::owner) {
      subscribe(deliver_subject(), kDeliverSid);
    }
    append(out(), "PING\r\n");
  }

  std::size_t take(wire::ByteView input) override {
    const auto text = text_of(input);
    std::size_t taken = 0;
    for (;;) {
      const auto end = text.find(kEnd, taken);
      if (end == std::string_view::npos) return taken;
      const auto line = text.substr(taken, end - taken);
      const std::size_t begin = end + kEnd.size();
      if (!line.starts_with("MSG ")) {
        handle(line);
        taken = begin;
        continue;
      }
      std::size_t size = 0;
      const auto size_at = line.rfind(' ') + 1;
      std::from_chars(line.data() + size_at, line.data() + line.size(), size);
      if (text.size() - begin < size + kEnd.size()) return taken;
      handle_message(line, input.subspan(begin, size));
      taken = begin + size + kEnd.size();
    }
  }

  void handle(std::string_view line) {
    if (line.starts_with("INFO ")) return;
    if (line == "PING") return append(out(), "PONG\r\n");
    if (line != "PONG") return host().fail("nats-server said: " + std::string(line));
    if (!settling_) return host().on_ready(*this);
    settling_ = false;
    host().on_settled(*this);
  }

  // MSG subject sid [reply] size
  void handle_message(std::string_view line, wire::ByteView body) {
    std::array<std::string_view, 5> words;
    for (auto& word : words) {
      word = line.substr(0, line.find(' '));
      line.remove_prefix(std::min(line.size(), word.size() + 1));
    }
    const auto [verb, subject, sid, reply, size] = words;
    if (sid == kDeliverSid) {
      wire::Bytes& to = out();
      append(to, "PUB ");
      append(to, reply);
      append(to, " 0\r\n\r\n");  // nothing said is an ack
      return host().on_message(*this, body);
    }
    if (text_of(body).find("\"error\"") != std::string_view::npos) {
      return host().fail("nats-server answered: " + std::string(text_of(body)));
    }
    if (sid == kAnswerSid) {
      if (--answers_awaited_ == 0) become_ready();
      return;
    }
    std::uint32_t token = 0;
    const auto token_at = subject.rfind('.') + 1;
    std::from_chars(subject.data() + token_at, subject.data() + subject.size(), token);
    host().on_accepted(*this, token);
  }

  std::size_t answers_awaited_ = 0;
  bool has_mailbox_ = false;
  bool settling_ = false;
};

}  // namespace

std::unique_ptr<Device> make_nats_device(Host& host, std::uint32_t number) {
  return std::make_unique<NatsDevice>(host, number);
}

}  // namespace godwit::bench::peers
