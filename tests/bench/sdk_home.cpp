// bench/sdk_home: a home of 20,000 conversations and a million messages: how it opens, how fast its
// pages are, and what memory that takes.
//
// The home is written through core/history in large rounds, since a million encrypted deliveries
// would take minutes; its contacts have the size of real ones, and neither devices nor sessions. It
// is measured in processes of their own, so that what wrote it is in nobody's memory.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>

#include "client-sdk/src/core/history.hpp"
#include "godwit/client.hpp"
#include "schema/net/descriptor.hpp"
#include "schema/wire/hash.hpp"
#include "tests/bench/sdk_stage.hpp"
#include "tests/bench/stage.hpp"

namespace godwit::bench {
namespace {

using std::filesystem::path;

struct Size {
  explicit Size(const Plan& plan)
      : conversations(plan.pick<std::size_t>(20'000, 2'000)),
        messages(plan.pick<std::size_t>(1'000'000, 50'000)),
        in_the_big_one(messages / 10),
        queued(plan.pick<std::size_t>(10'000, 1'000)) {}
  std::size_t conversations, messages, in_the_big_one, queued;
};

constexpr const char* kBigOne = "contact-0";

// ---- Making -------------------------------------------------------------------------------------

class Writer {
 public:
  explicit Writer(const path& home) {
    auto made = store::Database::create({home, {}, wire::random_bytes});
    REQUIRE(made);
    database_ = std::make_unique<store::Database>(std::move(*made));
    const auto made_account = core::new_account(relay_address(), "owner");
    REQUIRE(made_account.ok());
    REQUIRE(core::Core::make_account(*database_, draw_, now(), *made_account).ok());
    round_ = std::make_unique<core::Round>(*database_, draw_);
    round_->now = now();
    const auto account = round_->load<core::AccountRecord>(core::name_bytes(core::kAccountName));
    REQUIRE(account);
    account_ = *account;
  }

  // `place`: of its first message among all `total`, a second apart and ending now.
  void conversation(std::size_t number, std::size_t messages, std::size_t place,
                    std::size_t total) {
    core::ContactRecord contact;
    draw_(contact.user.bytes);
    contact.name = "contact-" + std::to_string(number);
    contact.accepted = true;
    contact.list = account_.list;  // of the size of a real one
    round_->save(contact.user.view(), contact);
    round_->save(wire::as_bytes(contact.name), core::UserRef{contact.user});
    auto conversation = core::history::conversation_with(*round_, contact.user);
    wire::DeviceId device;
    draw_(device.bytes);
    for (std::size_t i = 0; i < messages; ++i) {
      core::MessageRecord message;
      draw_(message.id.bytes);
      message.outgoing = i % 2 == 0;
      message.sender = message.outgoing ? account_.user : contact.user;
      message.device = message.outgoing ? account_.device : device;
      message.hlc = (round_->wall() - 1'000 * (total - place - i)) << 16;
      message.text = "message " + std::to_string(i) + " of " + contact.name + ", and what else ";
      message.text.resize(80 + i % 40, '.');
      message.status = message.outgoing ? Status::delivered : Status::received;
      message.created = message.hlc >> 16;
      (void)core::history::add(*round_, conversation, message);
    }
    uncommitted_ += messages;
    if (uncommitted_ >= kPerCommit) commit();
  }

  void commit() {
    REQUIRE(round_->commit());
    (void)round_->take_events();
    uncommitted_ = 0;
  }

 private:
  static constexpr std::size_t kPerCommit = 100'000;

  // Quicker than the system's; what is read does not depend on it.
  std::mt19937_64 numbers_{1};
  crypto::Random draw_ = [this](std::span<std::uint8_t> out) {
    for (auto& byte : out) byte = static_cast<std::uint8_t>(numbers_());
  };
  std::unique_ptr<store::Database> database_;
  std::unique_ptr<core::Round> round_;
  core::AccountRecord account_;
  std::size_t uncommitted_ = 0;
};

void make_home(const path& home, const Size& size) {
  Writer writer(home);
  const std::size_t others = size.conversations - 1;
  std::size_t left = size.messages - size.in_the_big_one, place = 0;
  writer.conversation(0, size.in_the_big_one, place, size.messages);
  place += size.in_the_big_one;
  for (std::size_t i = 0; i < others; ++i) {
    const std::size_t messages = left / (others - i);
    writer.conversation(i + 1, messages, place, size.messages);
    place += messages;
    left -= messages;
  }
  writer.commit();
}

// ---- The file's pages in memory -----------------------------------------------------------------

void drop_from_cache(const path& file) {
  const net::Descriptor opened(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  REQUIRE(opened.is_open());
  REQUIRE(::fsync(opened.get()) == 0);
  REQUIRE(::posix_fadvise(opened.get(), 0, 0, POSIX_FADV_DONTNEED) == 0);
}

void read_into_cache(const path& file) {
  std::ifstream from(file, std::ios::binary);
  std::vector<char> block(1 << 20);
  while (from.read(block.data(), static_cast<std::streamsize>(block.size()))) {
  }
  REQUIRE(from.eof());
}

double cached_mebibytes(const path& file) {
  const net::Descriptor opened(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  const std::size_t size = std::filesystem::file_size(file);
  void* const map = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, opened.get(), 0);
  REQUIRE(map != MAP_FAILED);
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  std::vector<unsigned char> resident((size + page - 1) / page);
  REQUIRE(::mincore(map, size, resident.data()) == 0);
  REQUIRE(::munmap(map, size) == 0);
  const auto pages = std::ranges::count_if(resident, [](unsigned char of) { return of & 1; });
  return static_cast<double>(pages) * static_cast<double>(page) / (1024 * 1024);
}

// ---- Measuring ----------------------------------------------------------------------------------

// In MiB. RssAnon is the process's own; the map of the database is among RssFile, which the system
// takes back when it wants.
void print_memory(const std::string& when, bool barred = true) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    for (const std::string name : {"VmRSS:", "RssAnon:", "RssFile:"}) {
      if (!line.starts_with(name)) continue;
      const double mebibytes = std::strtod(line.c_str() + name.size(), nullptr) / 1024;
      const char* const kind = name == "VmRSS:"     ? "resident, all"
                               : name == "RssAnon:" ? "resident, private"
                                                    : "resident, files (the map)";
      print_row(when + ": " + kind, mebibytes, "MiB", barred && name == "RssAnon:" ? "30" : "");
    }
  }
}

template <class Call>
double microseconds(const Call& call) {
  const auto start = Clock::now();
  call();
  return seconds_since(start) * 1e6;
}

Client open_home(const path& home) {
  auto opened = Client::open({.home = home});
  REQUIRE_MESSAGE(opened.ok(), (opened.ok() ? "" : opened.error().message));
  return std::move(*opened);
}

void required(const Client& client, const PageRequest& page) {
  const auto got = client.conversations(page);
  REQUIRE(got.ok());
  REQUIRE(got->items.size() == page.limit);
}
void required(const Client& client, const ConversationId& which, const PageRequest& page) {
  const auto got = client.messages(which, page);
  REQUIRE(got.ok());
  REQUIRE(got->items.size() == page.limit);
}

template <class Call>
void print_times(const std::string& what, std::size_t calls, const std::string& bar,
                 const Call& call) {
  std::vector<double> times;
  for (std::size_t i = 0; i < calls; ++i) times.push_back(microseconds(call));
  print_row(what + ", p50", quantile(times, 0.5), "us", bar);
  print_row(what + ", p99", quantile(times, 0.99), "us");
}

ConversationId the_big_one(const Client& client) {
  const auto page = client.messages(kBigOne, {.limit = 1});
  REQUIRE(page.ok());
  return page->items.front().conversation;
}

void measure_pages(const path& home, const Size& size, const Plan& plan) {
  print_memory("before opening", false);
  const Client client = open_home(home);
  print_memory("opened");
  const ConversationId big = the_big_one(client);
  const PageRequest first{.limit = 50, .newest_first = true};
  required(client, first);
  required(client, big, first);
  print_memory("after both first pages");

  const auto at = [&](std::size_t offset) {
    return PageRequest{.limit = 50, .offset = offset, .newest_first = true};
  };
  const PageRequest middle = at(size.in_the_big_one / 2);
  const PageRequest middle_of_all = at(size.conversations / 2);
  PageRequest behind = first, behind_of_all = first;
  behind.cursor = client.messages(big, middle)->cursor;
  behind_of_all.cursor = client.conversations(middle_of_all)->cursor;
  const std::size_t calls = plan.pick<std::size_t>(5'000, 500);
  const std::size_t few = plan.pick<std::size_t>(100, 20);
  print_times("first page of conversations", calls, "1,000", [&] { required(client, first); });
  print_times("first page of a big conversation", calls, "1,000",
              [&] { required(client, big, first); });
  print_times("page from the middle of the conversations, by cursor", calls, "",
              [&] { required(client, behind_of_all); });
  print_times("page from the middle of a big conversation, by cursor", calls, "",
              [&] { required(client, big, behind); });
  print_times("page from the middle of the conversations, by offset", few, "",
              [&] { required(client, middle_of_all); });
  print_times("page from the middle of a big conversation, by offset", few, "",
              [&] { required(client, big, middle); });
  print_memory("after all pages");
}

void measure_start(const path& home) {
  std::vector<double> times;
  for (int i = 0; i < 9; ++i) {
    times.push_back(microseconds([&] { (void)open_home(home); }) / 1'000);
  }
  print_row("opening, file in the page cache, p50 of 9", median(times), "ms");
}

// Once a process: the next one would find what this one has read.
void measure_cold(const path& home) {
  const path file = home / "data.mdb";
  drop_from_cache(file);
  print_row("of the file in the page cache", cached_mebibytes(file), "MiB");
  std::optional<Client> client;
  const double opening = microseconds([&] { client.emplace(open_home(home)); });
  print_row("opening, file not in the page cache", opening / 1'000, "ms");
  const PageRequest first{.limit = 50, .newest_first = true};
  print_row("then the first page of conversations",
            microseconds([&] { required(*client, first); }) / 1'000, "ms");
  const ConversationId big = the_big_one(*client);
  print_row("then the first page of a big conversation",
            microseconds([&] { required(*client, big, first); }) / 1'000, "ms");
}

// To 100 people, while there is no connection.
void fill_outbox(const path& home, const Size& size) {
  Client client = open_home(home);
  constexpr std::size_t kBatch = 500;
  const auto start = Clock::now();
  for (std::size_t sent = 0; sent < size.queued; sent += kBatch) {
    std::vector<Outgoing> messages;
    for (std::size_t i = 0; i < kBatch; ++i) {
      messages.push_back({"contact-" + std::to_string(1 + i % 100), "until there is a way", {}});
    }
    REQUIRE(client.send(messages).ok());
  }
  print_row("send while offline, batches of 500",
            static_cast<double>(size.queued) / seconds_since(start), "messages/s");
}

void measure_queued(const path& home) {
  std::optional<Client> client;
  print_row("opening with the outbox, file in the page cache",
            microseconds([&] { client.emplace(open_home(home)); }) / 1'000, "ms");
  print_memory("opened with the outbox");
}

// Leaves the home as a process that is killed does.
void measure_killed(const path& home) {
  if (fork() == 0) {
    const Client client = open_home(home);
    std::_Exit(0);
  }
  REQUIRE(::wait(nullptr) > 0);
  print_row("opening after a kill, file in the page cache (every page is checked)",
            microseconds([&] { (void)open_home(home); }) / 1'000, "ms");
}

void in_own_process(const path& home, const char* what, const Plan& plan) {
  std::fflush(stdout);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::execl("/proc/self/exe", "bench_sdk", "--home", home.c_str(), "--measure", what,
            plan.quick ? "--quick" : nullptr, nullptr);
    std::_Exit(1);
  }
  int status = 1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(status == 0);
}

}  // namespace

void measure_home(const path& home, const std::string& what, const Plan& plan) {
  const Size size(plan);
  if (what != "cold" && what != "fill") read_into_cache(home / "data.mdb");
  if (what == "pages") measure_pages(home, size, plan);
  if (what == "start") measure_start(home);
  if (what == "cold") measure_cold(home);
  if (what == "fill") fill_outbox(home, size);
  if (what == "queued") measure_queued(home);
  if (what == "killed") measure_killed(home);
}

void bench_sdk_home(const Plan& plan) {
  const Size size(plan);
  const support::TemporaryDirectory directory{support::Medium::disk};
  const path home = directory.path() / "home";
  print_heading("A home of " + std::to_string(size.conversations) + " conversations and " +
                std::to_string(size.messages) + " messages, " +
                std::to_string(size.in_the_big_one) + " in one");
  const auto start = Clock::now();
  make_home(home, size);
  print_row("writing it", static_cast<double>(size.messages) / seconds_since(start), "messages/s");
  print_row("data.mdb",
            static_cast<double>(std::filesystem::file_size(home / "data.mdb")) / (1024 * 1024),
            "MiB");
  for (const char* const what : {"start", "pages", "killed", "cold", "cold", "cold"}) {
    in_own_process(home, what, plan);
  }
  print_heading("The same home with " + std::to_string(size.queued) + " messages in the outbox");
  for (const char* const what : {"fill", "queued", "cold"}) in_own_process(home, what, plan);
}

}  // namespace godwit::bench
