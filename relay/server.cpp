// Start:    open the store -> recover the queues into the shards -> start the writer -> listen ->
//           ready.
// Stop:     no more connections -> each worker ends its sessions and writes what is staged -> the
//           writer commits the rest -> the store closes.
// Failure:  what cannot be opened is one line and exit 1. A failed commit ends the process at
//           once: nothing is acknowledged any more, and nobody knows what is on the disk.
#include "relay/server.hpp"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <system_error>
#include <thread>

#include "relay/advertise.hpp"
#include "relay/ops/admin.hpp"
#include "relay/ops/signals.hpp"
#include "relay/slot/directory.hpp"
#include "relay/slot/slot_of.hpp"
#include "relay/version.hpp"
#include "relay/worker.hpp"
#include "schema/wire/bytes.hpp"
#include "schema/wire/address.hpp"

namespace godwit::relay {
namespace {

class Server {
 public:
  explicit Server(ServerOptions options)
      : options_(std::move(options)),
        log_(options_.log),
        started_(std::chrono::steady_clock::now()) {}

  int run();

 private:
  using Outcome = tl::expected<void, std::string>;

  [[nodiscard]] Outcome open_store();
  [[nodiscard]] Outcome make_workers();
  [[nodiscard]] Outcome recover();
  [[nodiscard]] Outcome start_writer();
  [[nodiscard]] Outcome listen();
  void keep_to_descriptors();
  [[nodiscard]] Outcome begin_threads(std::vector<std::jthread>& threads);
  void on_accept(int descriptor);
  void stop();
  [[nodiscard]] ops::Figures figures() const;
  [[nodiscard]] std::string address() const;

  ServerOptions options_;
  ops::Log& log_;
  const std::chrono::steady_clock::time_point started_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<policy::AddressAdmission> admission_;
  std::unique_ptr<Shared> shared_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<store::Writer> writer_;
  std::vector<godwit::net::Listener> listeners_;
  std::unique_ptr<ops::AdminSocket> admin_;
  std::size_t next_worker_ = 0;
};

// Zero when the system does not say.
std::uint64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t total_pages = 0;
  std::uint64_t resident_pages = 0;
  if (!(statm >> total_pages >> resident_pages)) return 0;
  return resident_pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

std::string in_words(const store::Failure& failure) {
  if (failure.error != store::StoreError::not_a_store) return failure.detail;
  return failure.detail +
         "; data.mdb is damaged or no relay's: check the disk, move data.mdb away and start again; "
         "devices register again then, and send again what was not delivered";
}

Server::Outcome Server::open_store() {
  store::Options options;
  options.directory = options_.directory;
  options.size_max = options_.config.store_size_max;
  options.grow_step = options_.config.store_grow_step;
  options.reserve = options_.config.store_reserve;
  options.loops = options_.config.loops;
  auto store = store::Store::open(options);
  if (!store) return tl::unexpected(in_words(store.error()));
  store_ = std::move(*store);
  return {};
}

Server::Outcome Server::make_workers() {
  auto unlimited = policy::AddressSet::parse(options_.config.unlimited_from);
  if (!unlimited) return tl::unexpected(unlimited.error());
  admission_ = std::make_unique<policy::AddressAdmission>(options_.config, std::move(*unlimited));
  shared_.reset(new Shared{
      .config = options_.config,
      .key = options_.key,
      .store = *store_,
      .admission = *admission_,
      .log = log_,
      .commit =
          [this](std::uint32_t loop, std::unique_ptr<store::Batch> batch) {
            writer_->submit(loop, std::move(batch));
          },
      .worker = [this](std::uint32_t loop) -> Worker& { return *workers_[loop]; },
  });
  wire::random_bytes(shared_->hash_key);
  const std::uint32_t loops = options_.config.loops;
  for (std::uint32_t index = 0; index < loops; ++index) {
    auto worker = Worker::create(index, loops, *shared_);
    if (!worker) return tl::unexpected(worker.error());
    workers_.push_back(std::move(*worker));
  }
  return {};
}

Server::Outcome Server::recover() {
  const auto began = std::chrono::steady_clock::now();
  const auto loops = static_cast<std::uint32_t>(workers_.size());
  std::uint64_t envelopes = 0;
  // What came while the clock was years ahead goes no later than what comes now.
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto last = std::chrono::duration_cast<std::chrono::seconds>(now).count() +
                    std::int64_t{options_.config.ttl_max_s};
  const auto expires_max = static_cast<std::uint32_t>(std::clamp<std::int64_t>(last, 0, ~0U));
  const auto recovered = store_->recover([&](const store::Recovered& one) {
    ++envelopes;
    workers_[slot::loop_of(one.slot, loops)]->engine().restore(
        one.device, one.request, one.position, one.size, std::min(one.expires, expires_max));
  });
  if (!recovered) return tl::unexpected(in_words(recovered.error()));
  workers_[0]->own_counters().users.add(store_->count(store::Table::users));
  store_->each(store::Table::users, [this](wire::ByteView value) {
    workers_[0]->own_counters().devices.add(slot::devices_of(value));
  });
  const auto took = std::chrono::steady_clock::now() - began;
  log_.info("recovered",
            {{"envelopes", envelopes},
             {"quarantined", store_->figures().quarantined},
             {"ms", std::chrono::duration_cast<std::chrono::milliseconds>(took).count()}});
  return {};
}

Server::Outcome Server::start_writer() {
  auto writer = store::Writer::start(
      *store_,
      [this](std::uint32_t loop, std::unique_ptr<store::Batch> batch) {
        workers_[loop]->committed(std::move(batch));
      },
      [this](const store::Failure& failure) {
        log_.error("commit_failed", {{"what", failure.detail}});
        if (ops::stderr_takes_a_line()) {
          std::fprintf(
              stderr,
              "godwit-relay: the store cannot be written: %s; the relay has stopped so that "
              "nothing is accepted that is not on the disk; check the disk, then start it "
              "again\n",
              failure.detail.c_str());
        }
        std::_Exit(1);
      });
  if (!writer) return tl::unexpected(in_words(writer.error()));
  writer_ = std::move(*writer);
  return {};
}

Server::Outcome Server::listen() {
  for (const std::string& address : options_.config.listen) {
    auto listener = godwit::net::Listener::listen(
        workers_[0]->loop(), address, {}, [this](int descriptor) { on_accept(descriptor); });
    if (!listener) {
      return tl::unexpected("cannot listen on " + address + ": " +
                            godwit::net::describe(listener.error()) +
                            "; change network.listen in " +
                            ops::config_file(options_.directory).string());
    }
    listeners_.push_back(std::move(*listener));
  }
  admin_ = std::make_unique<ops::AdminSocket>(
      workers_[0]->loop(),
      ops::AdminAnswers{[this] { return figures(); }, [this] { return address(); }});
  return admin_->listen(options_.directory);
}

// The first worker runs in this thread.
Server::Outcome Server::begin_threads(std::vector<std::jthread>& threads) {
  try {
    for (std::size_t i = 1; i < workers_.size(); ++i) {
      threads.emplace_back([worker = workers_[i].get()] { worker->run(); });
    }
  } catch (const std::system_error& error) {  // the only way in which std::jthread says it
    return tl::unexpected(std::string("no thread for connections: ") + error.what() +
                          "; raise the limit of processes (ulimit -u) or lower network.loops");
  }
  return {};
}

// One address is told by the kernel before anything is read: the cheapest place to refuse.
void Server::on_accept(int descriptor) {
  const std::string peer = godwit::net::peer_address_of(descriptor);
  const bool over_cap = shared_->connections >= options_.config.connections_max;
  const bool over_rate =
      !admission_->unlimited(peer) &&
      admission_->take_handshake(peer, std::chrono::steady_clock::now()).count() > 0;
  if (over_cap || over_rate) {
    log_.info("connection_refused", {{"reason", over_cap ? "connections_max" : "handshake_rate"}});
    workers_[0]->own_counters().refused_total.add();
    ::close(descriptor);
    return;
  }
  ++shared_->connections;
  workers_[next_worker_++ % workers_.size()]->adopt(descriptor);
}

// Without a descriptor for itself the relay could neither open its store's files nor be asked for
// its status: connections leave it some.
void Server::keep_to_descriptors() {
  std::uint32_t& most = options_.config.connections_max;
  const std::uint64_t own = kOwnDescriptorsMax + kDescriptorsPerLoop * options_.config.loops;
  const auto limit = godwit::net::prepare_descriptors(most + own);
  if (limit == 0 || limit >= most + own) return;
  const std::uint64_t left = limit - std::min(limit / 2, own);
  log_.warning("few_descriptors", {{"limit", limit}, {"connections_max", most}, {"uses", left}});
  most = static_cast<std::uint32_t>(left);
}

int Server::run() {
  if (options_.config.loops == 0) {
    // The writer is a thread too, and so is whatever else the machine does.
    options_.config.loops = std::max(2U, std::thread::hardware_concurrency()) - 1;
  }
  keep_to_descriptors();
  const auto fail = [](const Outcome& outcome) {
    std::fprintf(stderr, "godwit-relay: %s\n", outcome.error().c_str());
    return 1;
  };
  for (const auto step : {&Server::open_store, &Server::make_workers, &Server::recover,
                          &Server::start_writer, &Server::listen}) {
    if (const Outcome outcome = (this->*step)(); !outcome) return fail(outcome);
  }

  {
    ops::Signals signals(
        workers_[0]->loop(), [this] { stop(); },
        [this] { log_.info("hangup_ignored", {{"settings", "restart to apply"}}); });
    std::vector<std::jthread> threads;
    if (const Outcome begun = begin_threads(threads); !begun) {
      stop();  // those that were begun
      return fail(begun);
    }
    log_.info("started", {{"version", version()},
                          {"loops", static_cast<std::uint64_t>(workers_.size())}});
    if (options_.on_ready) options_.on_ready(address());
    workers_[0]->run();
  }
  admin_.reset();
  listeners_.clear();
  if (!writer_->stop(kStopDeadline)) {  // commits what is left
    log_.error("disk_does_not_answer", {{"waited_s", kStopDeadline.count()}});
    std::_Exit(1);
  }
  log_.info("stopped");
  return 0;
}

void Server::stop() {
  log_.info("stopping");
  listeners_.clear();
  for (const auto& worker : workers_) worker->stop();
}

std::string Server::address() const {
  return wire::format_address(
      {options_.key.public_key,
       advertised_host_port(options_.config, listeners_.empty() ? options_.config.listen[0]
                                                                : listeners_[0].address())});
}

ops::Figures Server::figures() const {
  ops::Figures sum;
  sum.version = version();
  sum.connections = shared_->connections;
  for (const auto& worker : workers_) {
    const ops::Counters& one = worker->counters();
    sum.sessions += one.sessions.get();
    sum.hellos_waiting += one.hellos_waiting.get();
    sum.users += one.users.get();
    sum.devices += one.devices.get();
    sum.queued_envelopes += one.queued_envelopes.get();
    sum.queued_bytes += one.queued_bytes.get();
    sum.accepted_total += one.accepted_total.get();
    sum.delivered_total += one.delivered_total.get();
    sum.acked_total += one.acked_total.get();
    sum.elided_total += one.elided_total.get();
    sum.refused_total += one.refused_total.get();
    sum.expired_total += one.expired_total.get();
    sum.expiry_paused |= one.expiry_paused.get() > 0;
    sum.duplicates_total += one.duplicates_total.get();
    sum.handshakes_total += one.handshakes_total.get();
    sum.logins_total += one.logins_total.get();
    sum.closed_by_relay_total += one.closed_by_relay_total.get();
  }
  const store::Figures stored = store_->figures();
  sum.stored_total = stored.stored;
  sum.quarantined_total = stored.quarantined;
  sum.commits_total = stored.commits;
  sum.store_bytes = stored.file_bytes;
  sum.store_used_bytes = stored.used_bytes;
  sum.store_reclaimable_bytes = stored.reclaimable_bytes;
  sum.store_full = stored.full;
  sum.store_at_size_max = stored.at_size_max;
  sum.store_generation = store_->identity().generation;
  sum.store_id = wire::to_hex(store_->identity().id.view());
  sum.uptime_s = static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(
                                                std::chrono::steady_clock::now() - started_)
                                                .count());
  sum.resident_bytes = resident_bytes();
  return sum;
}

}  // namespace

int run_server(ServerOptions options) {
  std::signal(SIGXFSZ, SIG_IGN);  // a limit on files is met as a full disk is
  ops::tell_of_sigbus();
  return Server(std::move(options)).run();
}

}  // namespace godwit::relay
