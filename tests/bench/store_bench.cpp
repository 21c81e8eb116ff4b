// bench/store: what the relay's store does on this machine: appends and removes per second through
// the writer, time of a commit, processor time, the file's size over put and delete rounds, and
// the rate at which a start reads the log. Figures, never a verdict.
//
// Usage: bench_store [records] [envelope bytes] [appends per batch] [directory]
#include <sys/resource.h>
#include <sys/utsname.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "relay/store/store.hpp"

namespace {

using namespace godwit;
using namespace godwit::relay::store;
using Clock = std::chrono::steady_clock;

constexpr std::uint32_t kLoops = 2;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto to_seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return to_seconds(usage.ru_utime) + to_seconds(usage.ru_stime);
}

template <class T>
T required(tl::expected<T, Failure> result) {
  if (result) return std::move(*result);
  std::fprintf(stderr, "%s\n", result.error().detail.c_str());
  std::exit(1);
}

// Two loops' worth of batches under way, as in the relay; the positions come back.
class Pump {
 public:
  explicit Pump(Store& store)
      : writer_(required(Writer::start(
            store,
            [this](std::uint32_t loop, std::unique_ptr<Batch> batch) {
              const std::scoped_lock lock(mutex_);
              back_[loop] = std::move(batch);
              changed_.notify_one();
            },
            [](const Failure& failure) {
              std::fprintf(stderr, "fatal: %s\n", failure.detail.c_str());
              std::exit(1);
            }))) {}

  // Sends what `make` returns until it returns an empty batch; `take` sees each one come back.
  template <class Make, class Take>
  void run(Make&& make, Take&& take) {
    std::uint32_t under_way = 0;
    for (std::uint32_t loop = 0; loop < kLoops; ++loop) under_way += send(loop, make());
    while (under_way > 0) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return back_[0] != nullptr || back_[1] != nullptr; });
      const std::uint32_t loop = back_[0] != nullptr ? 0 : 1;
      const std::unique_ptr<Batch> batch = std::exchange(back_[loop], nullptr);
      lock.unlock();
      take(*batch);
      if (!send(loop, make())) --under_way;
    }
  }

 private:
  [[nodiscard]] bool send(std::uint32_t loop, Batch batch) {
    if (batch.empty()) return false;
    writer_->submit(loop, std::make_unique<Batch>(std::move(batch)));
    return true;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::array<std::unique_ptr<Batch>, kLoops> back_;
  std::unique_ptr<Writer> writer_;
};

void report(const char* what, std::size_t count, double elapsed, double cpu,
            std::uint64_t commits) {
  const auto n = static_cast<double>(count);
  std::printf("%-28s %10.0f /s   commit %6.2f ms   %6.2f CPU-s per million   (%zu in %.2f s)\n",
              what, n / elapsed,
              1e3 * elapsed / static_cast<double>(std::max<std::uint64_t>(commits, 1)),
              cpu * 1e6 / n, count, elapsed);
}

struct Plan {
  std::size_t records;
  std::size_t size;
  std::size_t batch;
};

Batch next_appends(const Plan& plan, std::size_t& made) {
  Batch batch;
  for (; batch.appends.size() < plan.batch && made < plan.records; ++made) {
    Append append;
    append.slot = static_cast<std::uint16_t>(made % 4096);
    append.device.bytes[0] = static_cast<std::uint8_t>(made);
    append.request.bytes[1] = static_cast<std::uint8_t>(made >> 8);
    append.expires = 2'000'000'000;
    append.body = std::make_shared<const Body>(Body{0, wire::Bytes(plan.size, 0x5a)});
    batch.appends.push_back(std::move(append));
  }
  return batch;
}

std::vector<std::uint64_t> append_all(Store& store, Pump& pump, const Plan& plan,
                                      const char* name) {
  std::vector<std::uint64_t> positions;
  std::size_t made = 0;
  const std::uint64_t commits = store.figures().commits;
  const double cpu = cpu_seconds();
  const auto start = Clock::now();
  pump.run([&] { return next_appends(plan, made); },
           [&](const Batch& batch) {
             for (const Append& append : batch.appends) positions.push_back(append.position);
           });
  if (name != nullptr) {
    report(name, plan.records, seconds_since(start), cpu_seconds() - cpu,
           store.figures().commits - commits);
  }
  return positions;
}

void remove_all(Store& store, Pump& pump, const Plan& plan,
                const std::vector<std::uint64_t>& positions, const char* name) {
  std::size_t removed = 0;
  const auto next = [&] {
    Batch batch;
    const std::size_t now = std::min(plan.batch, positions.size() - removed);
    const auto from = positions.begin() + static_cast<std::ptrdiff_t>(removed);
    batch.removes.assign(from, from + static_cast<std::ptrdiff_t>(now));
    removed += now;
    return batch;
  };
  const std::uint64_t commits = store.figures().commits;
  const double cpu = cpu_seconds();
  const auto start = Clock::now();
  pump.run(next, [](const Batch&) {});
  if (name != nullptr) {
    report(name, positions.size(), seconds_since(start), cpu_seconds() - cpu,
           store.figures().commits - commits);
  }
}

double mebibytes(std::uint64_t bytes) {
  return static_cast<double>(bytes) / (1024 * 1024);
}

void measure_recovery(const Options& options, std::size_t records) {
  auto store = required(Store::open(options));
  std::uint64_t seen = 0;
  std::uint64_t bytes = 0;
  const double cpu = cpu_seconds();
  const auto start = Clock::now();
  const auto done = store->recover([&](const Recovered& one) {
    ++seen;
    bytes += one.size;
  });
  const double elapsed = seconds_since(start);
  if (!done || seen != records) std::exit(1);
  std::printf("%-28s %10.0f /s   %6.2f s   %8.0f MiB/s   %6.2f CPU-s per million\n", "recover()",
              static_cast<double>(seen) / elapsed, elapsed, mebibytes(bytes) / elapsed,
              (cpu_seconds() - cpu) * 1e6 / static_cast<double>(seen));
}

}  // namespace

int main(int argc, char** argv) {
  const auto number = [&](int at, std::size_t otherwise) -> std::size_t {
    return argc > at ? std::strtoull(argv[at], nullptr, 10) : otherwise;
  };
  const Plan plan{number(1, 1'000'000), number(2, 300), std::max<std::size_t>(number(3, 1'024), 1)};
  std::string directory = argc > 4 ? argv[4] : std::filesystem::temp_directory_path().string();
  directory += "/godwit-bench-XXXXXX";
  if (plan.records == 0 || mkdtemp(directory.data()) == nullptr) return 1;

  utsname machine{};
  uname(&machine);
  std::printf(
      "%s %s, %u processors; %zu envelopes of %zu bytes, %zu a batch, %u batches under way\n",
      machine.sysname, machine.release, std::thread::hardware_concurrency(), plan.records,
      plan.size, plan.batch, kLoops);
  Options options;
  options.directory = directory;
  options.loops = kLoops;
  std::vector<std::uint64_t> positions;
  {
    auto store = required(Store::open(options));
    Pump pump(*store);
    positions = append_all(*store, pump, plan, "appends, fsynced");
    std::printf(
        "%-28s %10.1f bytes on disk per envelope\n", "",
        static_cast<double>(store->figures().used_bytes) / static_cast<double>(plan.records));
  }
  measure_recovery(options, plan.records);
  {
    auto store = required(Store::open(options));
    Pump pump(*store);
    remove_all(*store, pump, plan, positions, "removes in order, fsynced");
    Plan round = plan;
    round.records = std::max<std::size_t>(plan.records / 20, 1);
    for (int n = 1; n <= 10; ++n) {
      remove_all(*store, pump, round, append_all(*store, pump, round, nullptr), nullptr);
      if (n == 1 || n == 10) {
        std::printf("after %2d put/delete rounds     file %.0f MiB, of it %.1f MiB in use\n", n,
                    mebibytes(store->figures().file_bytes), mebibytes(store->figures().used_bytes));
      }
    }
  }
  std::filesystem::remove_all(directory);
  return 0;
}
