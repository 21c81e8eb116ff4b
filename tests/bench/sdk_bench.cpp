// bench/sdk: what the client SDK does on this machine: cryptography, messages per second through a
// core over a real home, and pages, memory and start-up of a large home. Prints Markdown tables;
// see README.md beside this file. Figures, never a verdict on time.
//
// The support code reports through doctest; see relay_bench.cpp.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <sys/utsname.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "schema/wire/hash.hpp"
#include "tests/bench/sdk_stage.hpp"
#include "tests/bench/stage.hpp"

namespace {

using namespace godwit;

struct Case {
  const char* name;
  void (*run)(const bench::Plan&);
};

constexpr std::array kCases{
    Case{"crypto", bench::bench_sdk_crypto},
    Case{"rates", bench::bench_sdk_rates},
    Case{"home", bench::bench_sdk_home},
};

void on_failed(const doctest::AssertData& data) {
  std::fprintf(stderr, "%s:%d: %s\n", data.m_file, data.m_line, data.m_decomp.c_str());
}

void print_sdk_machine() {
  utsname system{};
  uname(&system);
  double load = 0;
  getloadavg(&load, 1);
  std::printf("%u processors, %s %s, compiler %s, load %.1f at the start\n",
              std::thread::hardware_concurrency(), system.sysname, system.release, __VERSION__,
              load);
}

// What `part` names is done, with failures told and nothing left behind.
template <class Part>
bool guarded(const std::string& part, const Part& run) {
  const auto start = bench::Clock::now();
  try {
    run();
  } catch (const doctest::detail::TestFailureException&) {
    std::fprintf(stderr, "%s failed\n", part.c_str());
    return false;
  }
  std::fprintf(stderr, "%s took %.1f s\n", part.c_str(), bench::seconds_since(start));
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> names, only;
  for (const Case& one : kCases) names.emplace_back(one.name);
  bench::Plan plan;
  std::string home, what;
  CLI::App app("Measures the client SDK on this machine and prints Markdown tables.");
  app.add_flag("--quick", plan.quick, "Smaller counts: does it run, and what is the magnitude.");
  app.add_option("--only", only, "Only these cases.")->check(CLI::IsMember(names));
  app.add_option("--home", home, "For the bench itself: the home that is measured.")->group("");
  app.add_option("--measure", what, "For the bench itself: what of it.")->group("");
  CLI11_PARSE(app, argc, argv);

  doctest::Context context;
  context.setAsDefaultForAssertsOutOfTestCases();
  context.setAssertHandler(on_failed);
  wire::init_crypto();
  if (!what.empty()) {
    return guarded(what, [&] { bench::measure_home(home, what, plan); }) ? 0 : 1;
  }
  print_sdk_machine();
  for (const Case& one : kCases) {
    if (!only.empty() && std::ranges::find(only, one.name) == only.end()) continue;
    if (!guarded(one.name, [&] { one.run(plan); })) return 1;
  }
  return 0;
}
