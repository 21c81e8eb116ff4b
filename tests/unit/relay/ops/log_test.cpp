#include "relay/ops/log.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <pty.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <future>
#include <limits>
#include <memory>
#include <sstream>

#include "schema/net/descriptor.hpp"

namespace godwit::relay::ops {
namespace {

using namespace std::chrono_literals;

struct LogFixture {
  // 2026-11-20T12:00:00.123Z
  std::chrono::system_clock::time_point now{std::chrono::milliseconds{1'795'176'000'123}};
  std::ostringstream text;
  std::unique_ptr<Log> log = make(LogLevel::debug);

  std::unique_ptr<Log> make(LogLevel least) {
    return std::make_unique<Log>(least, text, [this] { return now; });
  }
  // What was written since the last call.
  std::string take() {
    auto taken = text.str();
    text.str({});
    return taken;
  }
};

// The standard error of this process, as long as it lives; what comes is read when it is asked for.
struct Unread {
  explicit Unread(bool terminal) {
    std::array<int, 2> ends{};
    if (terminal) {
      REQUIRE(::openpty(&ends[0], &ends[1], nullptr, nullptr, nullptr) == 0);
    } else {
      REQUIRE(::pipe(ends.data()) == 0);
    }
    out = godwit::net::Descriptor(ends[0]);
    in = godwit::net::Descriptor(ends[1]);
    REQUIRE(::fcntl(out.get(), F_SETFL, O_NONBLOCK) == 0);
    REQUIRE(::dup2(in.get(), STDERR_FILENO) >= 0);
  }
  ~Unread() { ::dup2(before.get(), STDERR_FILENO); }
  std::string read() const {
    std::string text;
    std::array<char, 4'096> part{};
    for (ssize_t size = 0; (size = ::read(out.get(), part.data(), part.size())) > 0;) {
      text.append(part.data(), static_cast<std::size_t>(size));
    }
    return text;
  }

  godwit::net::Descriptor before{::dup(STDERR_FILENO)};
  godwit::net::Descriptor out, in;
};

std::size_t lines_of(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

TEST_SUITE("relay/ops/log") {
  TEST_CASE_FIXTURE(LogFixture, "an event is one line: time in UTC, level, name, fields") {
    log->info("started", {{"loops", 2}, {"durable", true}, {"store", "db"}});
    CHECK(take() == "2026-11-20T12:00:00.123Z info started loops=2 durable=true store=db\n");
    log->warning("store_full");
    CHECK(take() == "2026-11-20T12:00:00.123Z warning store_full\n");
    log->error("failed", {{"low", std::numeric_limits<std::int64_t>::min()},
                          {"high", std::numeric_limits<std::uint64_t>::max()}});
    CHECK(take() ==
          "2026-11-20T12:00:00.123Z error failed low=-9223372036854775808 "
          "high=18446744073709551615\n");
    log->debug("detail", {{"text", std::string("plain")}});
    CHECK(take() == "2026-11-20T12:00:00.123Z debug detail text=plain\n");
  }

  TEST_CASE_FIXTURE(LogFixture,
                    "no value can end its line, pass for a field or command a terminal") {
    log->info("event", {{"a", "two words"},
                        {"b", "x=1"},
                        {"c", "1\n2"},
                        {"d", "\x1b[31m"},
                        {"e", "say \"hi\" \\"},
                        {"f", ""},
                        {"g", "\xc3\xa9"},
                        {"h", "{} %s"}});
    CHECK(take() ==
          "2026-11-20T12:00:00.123Z info event a=\"two words\" b=\"x=1\" c=\"1\\x0a2\" "
          "d=\"\\x1b[31m\" e=\"say \\\"hi\\\" \\\\\" f=\"\" g=\"\\xc3\\xa9\" h=\"{} %s\"\n");
  }

  TEST_CASE_FIXTURE(LogFixture, "a long value is cut off and marked") {
    log->info("event", {{"text", std::string(kLogValueSizeMax, 'a')}});
    CHECK(take().ends_with("text=" + std::string(kLogValueSizeMax, 'a') + "\n"));
    log->info("event", {{"text", std::string(kLogValueSizeMax + 1, 'a')}});
    CHECK(take().ends_with("text=\"" + std::string(kLogValueSizeMax, 'a') + "...\"\n"));
  }

  TEST_CASE_FIXTURE(LogFixture, "what is below the level is not written and uses up no share") {
    log = make(LogLevel::warning);
    for (int i = 0; i < 100; ++i) log->info("event");
    CHECK(take().empty());
    log->warning("event");
    CHECK(lines_of(take()) == 1);
  }

  TEST_CASE_FIXTURE(LogFixture, "an event beyond its share of a second is counted, not written") {
    for (int i = 0; i < 1'000; ++i) log->warning("bad_handshake");
    CHECK(lines_of(take()) == kLogLinesPerSecond);
    now += 999ms;
    log->warning("bad_handshake");
    CHECK(take().empty());
    now += 1ms;
    log->warning("bad_handshake", {{"next", true}});
    CHECK(take() ==
          "2026-11-20T12:00:01.123Z warning bad_handshake suppressed=991\n"
          "2026-11-20T12:00:01.123Z warning bad_handshake next=true\n");
    now += 10s;
    log->warning("bad_handshake");
    CHECK(lines_of(take()) == 1);
  }

  TEST_CASE_FIXTURE(LogFixture, "one event's flood leaves the others their lines") {
    for (int i = 0; i < 1'000; ++i) log->warning("bad_handshake");
    take();
    log->info("stopping");
    CHECK(take() == "2026-11-20T12:00:00.123Z info stopping\n");
  }

  TEST_CASE_FIXTURE(LogFixture, "a count that is due comes with the next line of any event") {
    for (std::uint64_t i = 0; i < kLogLinesPerSecond + 3; ++i) log->warning("flood");
    take();
    now += 1s;
    log->info("other");
    CHECK(take() ==
          "2026-11-20T12:00:01.123Z warning flood suppressed=3\n"
          "2026-11-20T12:00:01.123Z info other\n");
  }

  TEST_CASE_FIXTURE(LogFixture, "a log that ends tells the counts that are due") {
    for (std::uint64_t i = 0; i < kLogLinesPerSecond + 2; ++i) log->error("flood");
    take();
    log.reset();
    CHECK(take() == "2026-11-20T12:00:00.123Z error flood suppressed=2\n");
  }

  TEST_CASE_FIXTURE(LogFixture, "a clock that is set back silences nothing") {
    for (std::uint64_t i = 0; i < kLogLinesPerSecond; ++i) log->info("event");
    take();
    now -= 1h;
    log->info("event");
    CHECK(lines_of(take()) == 1);
  }

  TEST_CASE("a standard error that nobody reads halts nobody, and what was left out is counted") {
    bool terminal = false;
    SUBCASE("a pipe") {}
    SUBCASE("a terminal") { terminal = true; }
    const Unread unread(terminal);
    auto log = std::make_unique<Log>(LogLevel::info);
    // More than either holds.
    const std::string text(kLogValueSizeMax, 'a');
    const auto logged = std::async(std::launch::async, [&] {
      for (int i = 0; i < 500; ++i) log->info("event_" + std::to_string(i % 50), {{"text", text}});
    });
    CHECK(logged.wait_for(5s) == std::future_status::ready);
    while (logged.wait_for(1ms) != std::future_status::ready) (void)unread.read();
    (void)unread.read();
    log->info("read");
    CHECK(unread.read().find(" info read") != std::string::npos);
    log.reset();
    CHECK(unread.read().find(" suppressed=") != std::string::npos);
  }

  TEST_CASE("the levels of relay.toml are known") {
    CHECK(parse_log_level("debug") == LogLevel::debug);
    CHECK(parse_log_level("info") == LogLevel::info);
    CHECK(parse_log_level("warning") == LogLevel::warning);
    CHECK(parse_log_level("error") == LogLevel::error);
  }
}

}  // namespace
}  // namespace godwit::relay::ops
