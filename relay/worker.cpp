#include "relay/worker.hpp"

#include <cassert>
#include <ctime>

namespace godwit::relay {

using session::SessionId;

constexpr std::chrono::milliseconds kTick = 1'000ms / kTicksPerSecond;

// The store as the slot engine sees it.
class Worker::StoreRecords final : public slot::Records {
 public:
  StoreRecords(const store::Store& store, std::unique_ptr<store::Reader> reader)
      : store_(store), reader_(std::move(reader)) {}

  Found get(store::Table table, wire::ByteView key, wire::Bytes& value) override {
    return found(reader_->get(table, key, value));
  }
  void envelopes(std::span<const std::uint64_t> positions,
                 const std::function<void(std::size_t, Found, const store::RequestTag&,
                                          wire::ByteView)>& on_one) override {
    reader_->envelopes(positions, [&](std::size_t index, store::Reader::Found one,
                                      const store::Reader::Envelope& envelope) {
      on_one(index, found(one), envelope.request, envelope.bytes);
    });
  }
  std::optional<store::RequestTag> request_at(std::uint64_t position) override {
    return reader_->request_at(position);
  }
  [[nodiscard]] bool full() const override { return store_.full(); }

 private:
  static Found found(store::Reader::Found from) {
    switch (from) {
      case store::Reader::Found::yes:
        return Found::yes;
      case store::Reader::Found::no:
        return Found::no;
      case store::Reader::Found::damaged:
        break;
    }
    return Found::damaged;
  }

  const store::Store& store_;
  std::unique_ptr<store::Reader> reader_;
};

tl::expected<std::unique_ptr<Worker>, std::string> Worker::create(std::uint32_t index,
                                                                  std::uint32_t loops,
                                                                  Shared& shared) {
  auto loop = godwit::net::Loop::open();
  if (!loop) {
    return tl::unexpected("no loop for connections: " + godwit::net::describe(loop.error()) +
                          "; raise the limit of open files (ulimit -n) or lower network.loops");
  }
  auto reader = store::Reader::open(shared.store);
  if (!reader) return tl::unexpected(reader.error().detail);
  return std::unique_ptr<Worker>(
      new Worker(index, loops, shared, *std::move(loop), std::move(*reader)));
}

Worker::Worker(std::uint32_t index, std::uint32_t loops, Shared& shared, godwit::net::Loop loop,
               std::unique_ptr<store::Reader> reader)
    : index_(index),
      shared_(shared),
      loop_(std::move(loop)),
      records_(std::make_unique<StoreRecords>(shared.store, std::move(reader))),
      shard_(std::make_unique<Shard>(ShardOptions{index, loops, &shared.config, shared.hash_key},
                                     *this, *records_, shared.admission, counters_)),
      secrets_(shared.key, kStaticSecretsMax, shared.hash_key),
      recent_hellos_(kRecentHellosMax, shared.hash_key),
      messages_(loop_, kInboxMax,
                [this](std::vector<Message>& messages) {
                  const Now current = now();
                  for (Message& message : messages) shard_->on_message(message, current);
                }),
      commits_(loop_, kInboxMax,
               [this](std::vector<std::unique_ptr<store::Batch>>& batches) {
                 for (auto& batch : batches) shard_->on_committed(std::move(batch), now());
               }),
      accepted_(loop_, kInboxMax,
                [this](std::vector<int>& descriptors) {
                  for (const int descriptor : descriptors) on_accepted(descriptor);
                }),
      stop_requested_(loop_, [this] { begin_stop(); }),
      tick_(loop_, [this] { on_tick(); }),
      go_on_(loop_, [] {}),  // on_round_end does the rest here too
      wake_(loop_, [this] { waking_at_.reset(); }) {  // on_round_end does the rest
  loop_.on_round_end([this] { on_round_end(); });
  tick_.start(kTick, kTick);
}

Worker::~Worker() = default;

void Worker::run() { loop_.run(); }

// The wall clock serves what is counted in seconds: the kernel's last tick is near enough, and
// costs no look at the hardware.
Now Worker::now() const {
  timespec wall{};
  ::clock_gettime(CLOCK_REALTIME_COARSE, &wall);
  const auto wall_ms = std::chrono::seconds(wall.tv_sec) / 1ms + wall.tv_nsec / 1'000'000;
  return {std::chrono::steady_clock::now(), static_cast<std::uint64_t>(wall_ms)};
}

// ---- From other threads -------------------------------------------------------------------------

void Worker::adopt(int descriptor) { accepted_.post_always(descriptor); }

void Worker::committed(std::unique_ptr<store::Batch> batch) {
  commits_.post_always(std::move(batch));
}

void Worker::stop() { stop_requested_.wake(); }

// ---- Connections --------------------------------------------------------------------------------

void Worker::on_accepted(int descriptor) {
  auto stream = godwit::net::Stream::adopt(loop_, descriptor);
  if (!stream || stopping_since_) {
    --shared_.connections;
    if (!stream) return;
    stream->reset();
    return;
  }
  auto connection = std::make_unique<net::Connection>(*this, std::move(*stream), secrets_,
                                                      now().steady, shared_.config.window_bytes);
  net::Connection& added = *connection;
  added.read_at_most(kReadOfLimitedMax);
  added.id = connections_.add(std::move(connection));
}

bool Worker::on_hello(net::Connection& connection, const net::HelloMark& mark) {
  if (recent_hellos_.seen(mark)) return false;
  hellos_.push_back(connection.id);
  counters_.hellos_waiting.add();
  return true;
}

void Worker::on_established(net::Connection& connection, const wire::Key& peer, Now now) {
  std::string address = connection.peer_address();
  const bool unlimited = shared_.admission.unlimited(address);
  if (unlimited) connection.read_at_most(kReadOfUnlimitedMax);
  connection.session = shard_->on_established(peer, std::move(address), unlimited, now);
  const std::uint32_t index = index_of(connection.session);
  if (index >= by_session_.size()) by_session_.resize(index + 1);
  by_session_[index] = &connection;
}

void Worker::on_frame(net::Connection& connection, wire::ByteView body, Now now) {
  shard_->on_frame(connection.session, body, now);
}

void Worker::on_ended(net::Connection& connection, std::string_view reason) {
  if (reason != "closed_by_peer" && connection.finished() == Steady{}) tell_ended(reason);
  if (find(connection.session) == &connection) {
    by_session_[index_of(connection.session)] = nullptr;
    shard_->on_closed(connection.session, now());
  }
  ended_.push_back(connection.id);
}

// That a relay which stops ends everybody is no news.
void Worker::tell_ended(std::string_view reason) {
  if (stopping_since_) return;
  shared_.log.info("connection_ended", {{"reason", reason}});
  counters_.closed_by_relay_total.add();
}

void Worker::on_output(net::Connection& connection) {
  if (connection.output_due) return;
  connection.output_due = true;
  output_due_.push_back(&connection);
}

void Worker::on_waiting_output(net::Connection& connection) {
  connection.leaves_by = now().steady + kFrameWaitMax;
  output_waiting_.push_back({connection.leaves_by, connection.id});
}

wire::Bytes Worker::lend_buffer() {
  if (spare_.empty()) return {};
  wire::Bytes buffer = std::move(spare_.back());
  spare_.pop_back();
  return buffer;
}

void Worker::take_back(wire::Bytes buffer) {
  const bool worth_it = buffer.capacity() > 0 && buffer.capacity() <= kSpareBufferSizeMax;
  if (worth_it && spare_.size() < kSpareBuffersMax) spare_.push_back(std::move(buffer));
}

net::Connection* Worker::find(SessionId session) {
  const std::uint32_t index = index_of(session);
  net::Connection* const connection = index < by_session_.size() ? by_session_[index] : nullptr;
  return connection != nullptr && connection->session == session ? connection : nullptr;
}

// ---- Host ---------------------------------------------------------------------------------------

void Worker::send(SessionId session, wire::ByteView frame_body, Leaves leaves) {
  if (net::Connection* connection = find(session)) {
    connection->send(frame_body, leaves == Leaves::with_the_next);
  }
}

void Worker::lift_frame_limit(SessionId session) {
  if (net::Connection* connection = find(session)) connection->lift_frame_limit();
}

void Worker::close(SessionId session, wire::ErrorCode why) {
  net::Connection* connection = find(session);
  if (connection == nullptr) return;
  tell_ended(wire::name_of(why));
  by_session_[index_of(session)] = nullptr;  // the shard has let go of it
  connection->finish(now().steady);
}

void Worker::pause(SessionId session, bool paused) {
  if (net::Connection* connection = find(session)) connection->pause(paused);
}

bool Worker::post(std::uint32_t loop, Message& message) {
  return shared_.worker(loop).messages_.post(message);
}

void Worker::post_always(std::uint32_t loop, Message message) {
  shared_.worker(loop).messages_.post_always(std::move(message));
}

void Worker::commit(std::unique_ptr<store::Batch> batch) {
  shared_.commit(index_, std::move(batch));
}

void Worker::wake_at(Steady when) {
  if (waking_at_ && *waking_at_ <= when) return;
  waking_at_ = when;
  const auto delay = std::chrono::ceil<std::chrono::milliseconds>(when - now().steady);
  wake_.start(std::max(delay, 0ms));
}

Host::StoreIdentity Worker::store_identity() const {
  const store::Identity identity = shared_.store.identity();
  return {identity.id, identity.generation, identity.boot};
}

// ---- Time ---------------------------------------------------------------------------------------

void Worker::on_round_end() {
  const Now current = now();
  shard_->on_round_end(current);
  flush_waiting(current.steady);
  // By index: flushing may end a connection, and that may make others due.
  for (std::size_t i = 0; i < output_due_.size(); ++i) {
    net::Connection& connection = *output_due_[i];
    connection.output_due = false;
    connection.leaves_by = {};
    connection.flush();
  }
  output_due_.clear();
  do_what_can_wait();
  if (stopping_since_ && idle()) loop_.stop();
}

// After all that is live in this round, for no longer than that took, nor than kCanWaitMax, though
// a little at least: a thousand who come or go at once make each other wait, and the messages of
// those who are here hardly.
void Worker::do_what_can_wait() {
  const auto nothing_waits = [this] { return hellos_.empty() && ended_.empty(); };
  if (nothing_waits()) return;
  Steady current = std::chrono::steady_clock::now();
  const Steady until =
      waited_since_ ? current + std::min<Steady::duration>(current - *waited_since_, kCanWaitMax)
                    : current;
  do {
    for (std::size_t i = 0; i < kClosesAtOnce && !ended_.empty(); ++i) close_first();
    if (!hellos_.empty()) answer_first();
    current = std::chrono::steady_clock::now();
  } while (!nothing_waits() && current < until);
  waited_since_.reset();
  if (nothing_waits()) return;
  waited_since_ = current;
  go_on_.start(0ms);
}

void Worker::close_first() {
  if (connections_.erase(ended_.front())) --shared_.connections;
  ended_.pop_front();
}

void Worker::answer_first() {
  net::Connection* const connection = connections_.find(hellos_.front());
  hellos_.pop_front();
  counters_.hellos_waiting.subtract();
  if (connection != nullptr) connection->answer_hello();  // else it ended meanwhile
}

// What waited long enough for a frame to leave with joins those to flush now.
void Worker::flush_waiting(Steady now) {
  for (; !output_waiting_.empty() && output_waiting_.front().leaves_by <= now;
       output_waiting_.pop_front()) {
    net::Connection* const connection = connections_.find(output_waiting_.front().connection);
    if (connection == nullptr) continue;
    if (connection->leaves_by == output_waiting_.front().leaves_by) on_output(*connection);
  }
  if (!output_waiting_.empty()) wake_at(output_waiting_.front().leaves_by);
}

// A part of the connections each time: thousands that came together end their time together.
void Worker::on_tick() {
  const Now current = now();
  const std::size_t part = ticks_++ % kTicksPerSecond;
  connections_.for_each_of(part, kTicksPerSecond, [&](net::Connection& connection) {
    connection.check_deadlines(current.steady);
  });
  if (part == 0) shard_->on_tick(current);
  if (index_ == 0) tell_state();
}

// What an operator has to know without asking for it.
void Worker::tell_state() {
  const bool paused = counters_.expiry_paused.get() > 0;
  if (paused != std::exchange(expiry_paused_, paused)) {
    if (paused) {
      shared_.log.warning("clock_jumped", {{"nothing_expires_for_s", shared_.config.ttl_max_s}});
    } else {
      shared_.log.info("clock_trusted");
    }
  }
  const bool full = shared_.store.full();
  if (full != std::exchange(store_full_, full)) {
    if (full) {
      const bool at_size_max = shared_.store.figures().at_size_max;
      shared_.log.warning("store_full", {{"reached", at_size_max ? "size_max" : "disk"},
                                         {"accepts", "acks and deletes only"}});
    } else {
      shared_.log.info("store_has_room");
    }
  }
}

void Worker::begin_stop() {
  if (stopping_since_) return;
  stopping_since_ = now().steady;
  shard_->on_shutdown(now());
  connections_.for_each([](net::Connection& connection) {
    if (!connection.established()) connection.end("shutdown");
  });
}

// Everything that was taken in is on the disk, and the peers had a moment to read their farewell. A
// disk that takes nothing keeps nobody for ever: what is not on it was accepted from nobody.
bool Worker::idle() const {
  const auto waited = now().steady - *stopping_since_;
  if (waited > kStopDeadline) return true;
  return shard_->idle() && (connections_.empty() || waited > kFarewellMax);
}

}  // namespace godwit::relay
