// bench/relay: what queues cost the real daemon on this machine, over loopback, with its encryption
// on; what godwit-load measures is not measured here again.
// Prints Markdown tables; see README.md beside this file. Figures, never a verdict on time: the
// exit status is 1 only when something is wrong, such as an envelope lost or out of order.
//
// The support code reports through doctest; here it does so without a test, and a failure ends
// the run by the exception that doctest throws, so that the relay and its directory go as well.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdio>
#include <iostream>

#include "tests/bench/cases.hpp"
#include "tests/bench/stage.hpp"

namespace {

using namespace godwit;

struct Case {
  const char* name;
  void (*run)(const bench::Plan&);
};

constexpr std::array kCases{
    Case{"enqueue", bench::bench_enqueue},
    Case{"backlog", bench::bench_backlog},
    Case{"million", bench::bench_million},
};

void on_failed(const doctest::AssertData& data) {
  std::fprintf(stderr, "%s:%d: %s\n", data.m_file, data.m_line, data.m_decomp.c_str());
  const auto* const* const contexts = doctest::IReporter::get_active_contexts();
  for (int i = 0; i < doctest::IReporter::get_num_active_contexts(); ++i) {
    contexts[i]->stringify(&std::cerr);
    std::cerr << "\n";
  }
}

int run(const bench::Plan& plan, const std::vector<std::string>& only) {
  doctest::Context context;
  context.setAsDefaultForAssertsOutOfTestCases();
  context.setAssertHandler(on_failed);
  net::prepare_descriptors(65'536);
  bench::print_machine();
  for (const Case& one : kCases) {
    if (!only.empty() && std::ranges::find(only, one.name) == only.end()) continue;
    const auto start = bench::Clock::now();
    try {
      one.run(plan);
    } catch (const doctest::detail::TestFailureException&) {
      std::fprintf(stderr, "%s failed\n", one.name);
      return 1;
    } catch (const support::RelayFailure& failure) {
      std::fprintf(stderr, "%s failed: %s\n", one.name, failure.what());
      return 1;
    }
    std::fprintf(stderr, "%s took %.1f s\n", one.name, bench::seconds_since(start));
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> names;
  for (const Case& one : kCases) names.emplace_back(one.name);
  bench::Plan plan;
  std::vector<std::string> only;
  CLI::App app("Measures the relay on this machine and prints Markdown tables.");
  app.add_flag("--quick", plan.quick, "Smaller counts: does it run, and what is the magnitude.");
  app.add_option("--only", only, "Only these cases.")->check(CLI::IsMember(names));
  CLI11_PARSE(app, argc, argv);
  return run(plan, only);
}
