// Happy path: connect() -> the round's end sends message 1 -> the relay's answer completes the
// handshake -> on_connected -> each send() is collected in the channel -> the round's end seals
// what was collected and writes it once -> each frame read is parsed and goes to its reply or
// callback.
// Failure: whatever ends the connection comes to close(), once. The channel may be on the stack
// then (the frame that made a callback reset the connection), so it lives until the round's end.
#include "tests/support/raw_device.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

#include "schema/wire/hash.hpp"
#include "schema/wire/x25519.hpp"

namespace godwit::support {
namespace {

// The requests without a reply. Ids only rise, so the table is sorted as it grows: a look-up is a
// binary search, and what was answered is swept out when it is half of all.
class AskedTable {
 public:
  void add(std::uint32_t id, RawDevice::Reply on_reply) {
    asked_.push_back({id, false, std::move(on_reply)});
  }

  // Nothing when `id` was not asked, or answered before.
  [[nodiscard]] std::optional<RawDevice::Reply> take(std::uint32_t id) {
    const auto found = std::ranges::lower_bound(asked_, id, {}, &Asked::id);
    if (found == asked_.end() || found->id != id || found->answered) return {};
    RawDevice::Reply on_reply = std::move(found->on_reply);
    found->answered = true;
    ++answered_;
    if (answered_ == asked_.size() || (answered_ >= kSweepMin && answered_ * 2 > asked_.size())) {
      std::erase_if(asked_, [](const Asked& one) { return one.answered; });
      answered_ = 0;
    }
    return on_reply;
  }

 private:
  static constexpr std::size_t kSweepMin = 32;
  struct Asked {
    std::uint32_t id;
    bool answered;
    RawDevice::Reply on_reply;
  };
  std::vector<Asked> asked_;
  std::size_t answered_ = 0;
};

std::string describe(wire::ChannelError error) {
  switch (error) {
    case wire::ChannelError::bad_handshake:
      return "the handshake failed";
    case wire::ChannelError::bad_record:
      return "a record does not authenticate";
    case wire::ChannelError::frame_too_large:
      return "a frame is too large";
    case wire::ChannelError::frame_too_small:
      return "a frame is too small";
    case wire::ChannelError::stopped:
      return "stopped";
  }
  return "the channel failed";
}

}  // namespace

// One connection, from connect() to on_closed.
struct RawDevice::Live {
  explicit Live(wire::Channel made) : channel(std::move(made)) {}

  wire::Channel channel;
  std::optional<net::Stream> stream;  // gone as soon as the connection has ended
  std::string failed;                 // connect() could not even begin; the round's end says so
  AskedTable asked;
  std::uint32_t last_request = 0;
  std::optional<wire::ErrorCode> closing;  // what the relay gave as the reason
  bool announced = false;                  // on_connected was called
};

// ---- RawDevice: the connection ----------------------------------------------------------------

RawDevice::RawDevice(Fleet& fleet, Account account) : fleet_(fleet), account_(std::move(account)) {}

RawDevice::~RawDevice() {
  if (live_) let_go();
  // Not erased: a callback of another device may be the one that destroys this one, from the walk
  // over that list.
  if (due_) std::ranges::replace(fleet_.due_, this, nullptr);
}

void RawDevice::connect() {
  assert(!live_ && "one connection at a time");
  live_ = std::make_unique<Live>(
      wire::Channel::initiator(account_.transport, fleet_.relay_.key, {}, {},
                               [this](const wire::Key& relay) { return static_secret(relay); }));
  auto stream = net::Stream::connect(
      fleet_.loop_, fleet_.relay_.host_port,
      [this](tl::expected<void, net::NetError> connected) {
        if (!connected) close(net::describe(connected.error()));
      },
      fleet_.from_);
  if (stream) {
    live_->stream.emplace(*std::move(stream));
    start(*live_);
  } else {
    live_->failed = net::describe(stream.error());
  }
  due();
}

std::optional<wire::SecretKey> RawDevice::static_secret(const wire::Key& relay) {
  if (!static_secret_ || static_secret_->first != relay) {
    wire::SecretKey shared;
    if (!wire::diffie_hellman(shared, account_.transport.secret, relay)) return {};
    static_secret_.emplace(relay, shared);
  }
  return static_secret_->second;
}

void RawDevice::start(Live& live) {
  live.stream->start({
      .on_read = [this, &live](wire::ByteView bytes) { on_read(live, bytes); },
      .on_closed =
          [this, &live](net::NetError error) {
            close(live.closing ? "the relay closed: " + std::string(wire::name_of(*live.closing))
                               : net::describe(error));
          },
      .on_drained = {},
  });
}

void RawDevice::disconnect() {
  if (!live_ || !live_->stream) return;
  flush();
  if (live_) live_->stream->shutdown();
}

void RawDevice::reset() {
  if (!live_) return;
  if (live_->stream) live_->stream->reset();
  close("reset by this device");
}

bool RawDevice::connected() const {
  return live_ && live_->channel.established();
}

void RawDevice::let_go() {
  live_->stream.reset();
  fleet_.ended_.push_back(std::move(live_));
}

void RawDevice::close(const std::string& reason) {
  let_go();
  if (callbacks_.on_closed) callbacks_.on_closed(*this, reason);
}

// ---- RawDevice: reading -----------------------------------------------------------------------

void RawDevice::on_read(Live& live, wire::ByteView bytes) {
  const auto received = live.channel.receive(bytes, [this, &live](wire::ByteView body) {
    on_frame(live, body);
    return live_.get() == &live;
  });
  if (live_.get() != &live) return;  // a callback ended it
  if (!received) return close(describe(received.error()));
  announce(live);
}

// Message 2 may come with frames behind it in one read: on_connected is still the first.
void RawDevice::announce(Live& live) {
  if (live.announced || !live.channel.established()) return;
  live.announced = true;
  due();  // frames that waited for the handshake
  if (callbacks_.on_connected) callbacks_.on_connected(*this);
}

void RawDevice::on_frame(Live& live, wire::ByteView body) {
  announce(live);
  if (live_.get() != &live) return;
  const auto frame = wire::parse_relay_frame(body);
  if (!frame) return close("the relay sent a frame that does not parse");
  if (const auto* deliver = std::get_if<wire::Deliver>(&frame->body)) {
    if (callbacks_.on_deliver) callbacks_.on_deliver(*this, *deliver);
    return;
  }
  if (std::holds_alternative<wire::CaughtUp>(frame->body)) {
    if (callbacks_.on_caught_up) callbacks_.on_caught_up(*this);
    return;
  }
  if (std::holds_alternative<wire::Welcome>(frame->body)) {
    live.channel.frames().set_size_max(wire::kFrameSizeMax);
  }
  if (const auto* closing = std::get_if<wire::Closing>(&frame->body)) live.closing = closing->code;
  if (auto on_reply = live.asked.take(frame->request)) {
    if (*on_reply) (*on_reply)(*frame);
  } else if (callbacks_.on_event) {
    callbacks_.on_event(*this, *frame);
  }
}

// ---- RawDevice: sending -----------------------------------------------------------------------

std::uint32_t RawDevice::send(decltype(wire::Request::body) body, Reply on_reply) {
  wire::Request request{0, std::move(body)};
  return ask(request, std::move(on_reply));
}

std::uint32_t RawDevice::ask(wire::Request& request, Reply on_reply) {
  if (!live_) return 0;
  request.id = ++live_->last_request;
  if (live_->channel.pending() == 0) live_->channel.lend(std::exchange(fleet_.spare_, {}));
  live_->channel.send(fleet_.encoder_.encode(request));
  live_->asked.add(request.id, std::move(on_reply));
  due();
  return request.id;
}

void RawDevice::login(Reply on_reply) {
  send(wire::Login{wire::kProtocolVersion, account_.user, account_.device}, std::move(on_reply));
}

void RawDevice::register_user(std::optional<std::string> name, Reply on_reply) {
  send(wire::Register{.version = wire::kProtocolVersion,
                      .device = account_.device,
                      .list = account_.list.view(),
                      .seal_key = account_.seal_key,
                      .signed_prekey = account_.signed_prekey,
                      .name = name},
       std::move(on_reply));
}

void RawDevice::submit(const Account& to, const wire::RequestId& request_id,
                       wire::ByteView envelope, Reply on_reply, std::uint32_t ttl_s) {
  const wire::Recipient one{to.user, to.device, to.version, 0};
  submit({&one, 1}, request_id, envelope, std::move(on_reply), ttl_s);
}

void RawDevice::submit(std::span<const wire::Recipient> to, const wire::RequestId& request_id,
                       wire::ByteView envelope, Reply on_reply, std::uint32_t ttl_s) {
  auto& submit = std::get<wire::Submit>(fleet_.submit_.body);
  submit.request_id = request_id;
  submit.ttl_s = ttl_s;
  submit.recipients.assign(to.begin(), to.end());
  submit.bodies.front() = envelope;
  ask(fleet_.submit_, std::move(on_reply));
}

void RawDevice::ack(std::uint32_t upto, Reply on_reply) {
  send(wire::Ack{upto, {}}, std::move(on_reply));
}

void RawDevice::send_raw(wire::Bytes bytes) {
  if (live_ && live_->stream) live_->stream->write(std::move(bytes));
}

void RawDevice::send_frame_body(wire::ByteView body) {
  if (!live_) return;
  live_->channel.send(body);
  due();
}

void RawDevice::due() {
  if (std::exchange(due_, true)) return;
  fleet_.due_.push_back(this);
}

void RawDevice::flush() {
  if (!live_) return;
  if (!live_->stream) return close(live_->failed);
  if (!live_->channel.has_output()) return;
  wire::Bytes out;
  live_->channel.flush(out);
  if (out.empty()) return close("the relay's key is none that a handshake can be made with");
  fleet_.spare_ = live_->stream->write(std::move(out));
}

// ---- Fleet ------------------------------------------------------------------------------------

Fleet::Fleet(wire::RelayAddress relay) : relay_(std::move(relay)) {
  wire::init_crypto();
  wire::Submit submit;
  submit.bodies.resize(1);
  submit_.body = std::move(submit);
  loop_.on_round_end([this] { flush_all(); });
}

Fleet::~Fleet() = default;

bool Fleet::run_until(const std::function<bool()>& done, std::chrono::seconds limit) {
  bool expired = false;
  net::Timer timer(loop_, [&] { expired = true; });
  timer.start(limit);
  // Not left to the first round: it would wait for events after what this does.
  flush_all();
  while (!done()) {
    if (expired) return false;
    loop_.run_once();
  }
  return true;
}

void Fleet::flush_all() {
  // By index: a flush may fail, and its on_closed make others due.
  for (std::size_t i = 0; i < due_.size(); ++i) {
    RawDevice* const device = due_[i];
    if (device == nullptr) continue;
    device->due_ = false;
    device->flush();
  }
  due_.clear();
  ended_.clear();
}

}  // namespace godwit::support
