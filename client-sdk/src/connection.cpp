// Happy path: start() -> begin() -> on_resolved() -> try_next_address() -> on_connected() ->
// on_read() collects frames -> end_of_round() hands them over, sends what comes back, and so on.
//
// Failure: whatever goes wrong before the handshake is complete calls fail(), which goes on with
// the next address of the relay. What ends the last of them, or a connection, calls end(), which
// notes the reason. The end of the round tells the speaker, takes the socket down and sets the
// timer of the next attempt.
#include "client-sdk/src/connection.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "schema/net/address.hpp"
#include "schema/wire/codec.hpp"
#include "schema/wire/hash.hpp"

namespace godwit {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kDelayFirst{1'000};
constexpr milliseconds kDelayMax = std::chrono::minutes{5};
constexpr std::size_t kQueuedMax = 1024 * 1024;  // bytes that the kernel has not taken

// Bodies of frames at 8-byte aligned places, since their views are parsed where they lie.
class FrameBatch {
 public:
  void add(wire::ByteView body) {
    sizes_.push_back(body.size());
    const std::size_t at = words_.size();
    words_.resize(at + words_for(body.size()));
    std::memcpy(words_.data() + at, body.data(), body.size());
  }
  template <class Visit>
  void each(const Visit& visit) const {
    const std::uint64_t* at = words_.data();
    for (const std::size_t size : sizes_) {
      visit(wire::ByteView{reinterpret_cast<const std::uint8_t*>(at), size});
      at += words_for(size);
    }
  }
  // An idle connection keeps no buffer.
  void clear() {
    sizes_ = {};
    words_ = {};
  }

 private:
  static std::size_t words_for(std::size_t bytes) { return (bytes + 7) / 8; }
  std::vector<std::size_t> sizes_;
  std::vector<std::uint64_t> words_;
};

bool is_welcome(wire::ByteView body) {
  const auto frame = wire::parse_relay_frame(body);
  return frame && std::holds_alternative<wire::Welcome>(frame->body);
}

}  // namespace

milliseconds reconnect_delay(std::uint32_t attempt, std::uint64_t random) {
  constexpr std::uint32_t kDoublings = 9;  // more than from the first to the longest
  const auto longest = std::min(kDelayMax, kDelayFirst * (1 << std::min(attempt, kDoublings)));
  const auto choices = static_cast<std::uint64_t>(longest.count()) + 1;
  return milliseconds{static_cast<milliseconds::rep>(random % choices)};
}

struct Connection::Live {
  Live(wire::Channel made, net::Stream connecting)
      : channel(std::move(made)), stream(std::move(connecting)) {}

  wire::Channel channel;
  net::Stream stream;
  FrameBatch batch;
  bool connected = false;                             // the handshake may begin
  bool announced = false;                             // the speaker knows that it is connected
  bool welcomed = false;                              // the frames may be large
  std::optional<steady_clock::time_point> logged_in;  // since when
};

Connection::Connection(net::Loop& loop, wire::RelayAddress relay, crypto::Random random,
                       Speaker& speaker, Times times)
    : loop_(loop),
      relay_(std::move(relay)),
      random_(std::move(random)),
      speaker_(speaker),
      times_(times),
      waker_(loop, [this] { due_ = true; }),
      exchange_timer_(loop, [this] { due_ = true; }),
      attempt_timer_(loop, [this] { on_deadline(); }),
      retry_timer_(loop, [this] { begin(); }) {
  loop_.on_round_end([this] { end_of_round(); });
}

Connection::~Connection() {
  loop_.on_round_end({});
}

void Connection::start() {
  begin();
}

void Connection::wake() {
  waker_.wake();
}

void Connection::stop() {
  stopping_ = true;
  waker_.wake();
}

// ---- An attempt ---------------------------------------------------------------------------------

void Connection::begin() {
  link_ = {};
  due_ = true;  // also when nothing happens yet: the speaker may have a deadline
  if (net::parse_address(relay_.host_port)) {
    return on_resolved(std::vector<std::string>{relay_.host_port});
  }
  const auto where = wire::parse_host_port(relay_.host_port);
  attempt_timer_.start(times_.connect);
  resolver_.emplace(loop_, where->host, where->port, [this](net::Resolver::Resolved resolved) {
    resolver_.reset();
    on_resolved(std::move(resolved));
  });
}

void Connection::on_resolved(net::Resolver::Resolved resolved) {
  if (!resolved) return end(place() + " cannot be found: " + resolved.error());
  addresses_ = *std::move(resolved);
  try_next_address();
}

void Connection::try_next_address() {
  const std::string address = addresses_.front();
  addresses_.erase(addresses_.begin());
  auto keys = speaker_.transport_keys();
  if (!keys) return end(keys.error().message);
  auto channel = wire::Channel::initiator(*keys, relay_.key);
  wire::wipe(keys->secret.bytes);
  wire::Bytes hello;
  channel.flush(hello);
  if (hello.empty()) return end("the key in the relay's address is none; ask for the address anew");
  attempt_timer_.start(times_.connect);
  auto stream =
      net::Stream::connect(loop_, address, [this](auto connected) { on_connected(connected); });
  if (!stream) return on_connected(tl::unexpected(stream.error()));
  live_ = std::make_unique<Live>(std::move(channel), *std::move(stream));
  live_->stream.write(std::move(hello));
  live_->stream.start({
      .on_read = [this, live = live_.get()](wire::ByteView bytes) { on_read(*live, bytes); },
      .on_closed = [this, live = live_.get()](net::NetError error) { on_closed(*live, error); },
      .on_drained = [this] { due_ = true; },
  });
}

void Connection::on_connected(tl::expected<void, net::NetError> connected) {
  if (connected) {
    live_->connected = true;
    return attempt_timer_.start(times_.login);
  }
  fail(place() + " cannot be reached: " + net::describe(connected.error()));
}

// Whoever does not complete the handshake is not the relay, which may be at the next address.
void Connection::fail(std::string reason) {
  if (ended_ || addresses_.empty()) return end(std::move(reason));
  try_next_address();
}

void Connection::on_deadline() {
  if (!live_ || !live_->connected) {
    return on_connected(tl::unexpected(net::NetError::timed_out));
  }
  if (!live_->channel.established()) return fail(place() + " does not answer");
  renewing_ = live_->logged_in.has_value();
  end(renewing_ ? "the connection is old; a new one begins" : place() + " does not answer");
}

// ---- A connection -------------------------------------------------------------------------------

void Connection::on_read(Live& live, wire::ByteView bytes) {
  if (ended_) return;
  due_ = true;
  const auto received = live.channel.receive(bytes, [&live](wire::ByteView body) {
    // Welcome may come with larger frames behind it in one read, before anybody looks at it.
    if (!live.welcomed && is_welcome(body)) {
      live.welcomed = true;
      live.channel.frames().set_size_max(wire::kFrameSizeMax);
    }
    live.batch.add(body);
    return true;
  });
  if (received) return;
  if (!live.channel.established()) return fail(place() + " is not the one that its address names");
  end(place() + " broke the protocol, or somebody between");
}

void Connection::on_closed(Live& live, net::NetError error) {
  if (live.channel.established()) return end(place() + ": " + net::describe(error));
  fail(place() +
       " ended the handshake: it takes no more for now, or has another key than its address here");
}

// The first reason counts.
void Connection::end(std::string reason) {
  if (!ended_) ended_ = std::move(reason);
  due_ = true;
}

// ---- Rounds -------------------------------------------------------------------------------------

void Connection::end_of_round() {
  while (std::exchange(due_, false) && !stopped_) round();
}

void Connection::round() {
  const bool stopping = stopping_;
  Received received;
  std::vector<wire::RelayFrame> frames;
  if (live_ && live_->channel.established()) {
    received.connected = !std::exchange(live_->announced, true);
    if (!parse(frames)) end(place() + " sent a frame that does not parse");
    received.frames = frames;
    received.has_room = !ended_ && live_->stream.queued_bytes() < kQueuedMax;
  }
  // What the last frames say of the end is read before the end is told.
  const bool ends = ended_.has_value() && !received.connected && frames.empty();
  if (ends) received.ended = ended_;
  due_ = ended_.has_value() && !ends;

  ToSend to_send = speaker_.exchange(received);
  if (!ends || to_send.link.give_up || to_send.link.retry_after > milliseconds{}) {
    link_ = to_send.link;
  }
  if (live_) live_->batch.clear();
  if (ends) {
    wait_for_the_next();
  } else if (live_ && !ended_) {
    if (link_.logged_in && !live_->logged_in) {
      live_->logged_in = steady_clock::now();
      const auto spread = static_cast<std::uint64_t>(times_.age.count()) / 48 + 1;
      attempt_timer_.start(times_.age +
                           milliseconds{static_cast<milliseconds::rep>(draw() % spread)});
    }
    send(to_send.frames);
  }
  if (live_ && link_.close) {  // the relay's own word says more than the end of the stream
    ended_ = link_.reason;
    due_ = true;
  }
  if (to_send.deadline) {
    // One more, since the loop's clock is of the beginning of the round.
    exchange_timer_.start(
        *to_send.deadline -
        std::chrono::duration_cast<milliseconds>(steady_clock::now().time_since_epoch()) +
        milliseconds{1});
  } else {
    exchange_timer_.stop();
  }
  if (!stopping) return;
  if (live_ && !ends) return end("this program has disconnected");
  stopped_ = true;
  live_.reset();
  resolver_.reset();
  retry_timer_.stop();
  loop_.stop();
}

// False: one does not parse; those before it are there.
bool Connection::parse(std::vector<wire::RelayFrame>& frames) {
  bool good = true;
  live_->batch.each([&](wire::ByteView body) {
    if (!good) return;
    auto frame = wire::parse_relay_frame(body);
    if (!frame) {
      good = false;
      return;
    }
    frames.push_back(*std::move(frame));
  });
  return good;
}

void Connection::send(const std::vector<wire::Bytes>& frames) {
  for (const auto& frame : frames) live_->channel.send(frame);
  if (!live_->channel.has_output()) return;
  wire::Bytes out;
  live_->channel.flush(out);
  live_->stream.write(std::move(out));
}

void Connection::wait_for_the_next() {
  const bool held =
      live_ && live_->logged_in && steady_clock::now() - *live_->logged_in >= times_.held;
  if (held) failures_ = 0;
  live_.reset();
  resolver_.reset();
  addresses_.clear();
  ended_.reset();
  attempt_timer_.stop();
  if (link_.give_up) return;
  const bool renewing = std::exchange(renewing_, false);
  retry_timer_.start(renewing ? milliseconds{}
                              : reconnect_delay(failures_, draw()) + link_.retry_after);
  if (!renewing) ++failures_;
}

std::uint64_t Connection::draw() {
  std::uint64_t number = 0;
  random_({reinterpret_cast<std::uint8_t*>(&number), sizeof number});
  return number;
}

}  // namespace godwit
