#include "tests/enemies/table.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace godwit::enemies {
namespace {

using Times = std::vector<std::chrono::microseconds>;

// What a 99th percentile may be under an enemy, as a multiple of what it was before.
constexpr double kSlowerMax = 2;

double quantile_ms(Times times, double share) {
  if (times.empty()) return std::nan("");
  const auto place = static_cast<std::size_t>(share * static_cast<double>(times.size() - 1));
  std::nth_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(place), times.end());
  return static_cast<double>(times[place].count()) / 1'000;
}

template <class Figure>
std::vector<double> of_each(std::span<const Round> rounds, const Figure& figure) {
  std::vector<double> figures;
  for (const Round& round : rounds) figures.push_back(static_cast<double>(figure(round)));
  std::ranges::sort(figures);
  return figures;
}

template <class Figure>
double median(std::span<const Round> rounds, const Figure& figure) {
  return of_each(rounds, figure)[rounds.size() / 2];
}

template <class Figure>
double largest(std::span<const Round> rounds, const Figure& figure) {
  return of_each(rounds, figure).back();
}

double p99(std::span<const Round> rounds, While Round::*when) {
  return median(rounds,
                [&](const Round& one) { return quantile_ms((one.*when).pair.times, 0.99); });
}

template <class Part>
std::string p50_p99(std::span<const Round> rounds, While Round::*when, Part While::*part) {
  const auto of = [&](double share) {
    return median(rounds,
                  [&](const Round& one) { return quantile_ms((one.*when.*part).times, share); });
  };
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%.2f/%.2f", of(0.5), of(0.99));
  return text.data();
}

std::string slower_in_words(std::span<const Round> rounds) {
  const double slower = p99(rounds, &Round::during) / p99(rounds, &Round::before);
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), slower <= kSlowerMax ? "%.1fx" : "MISSED: %.1fx", slower);
  return text.data();
}

double mebibytes(std::uint64_t bytes) {
  return static_cast<double>(bytes) / static_cast<double>(kMebibyte);
}

double percent(std::span<const Round> rounds, While Round::*when) {
  return 100 * median(rounds, [&](const Round& one) { return (one.*when).processor; });
}

const char* verdict(std::span<const Round> rounds) {
  const auto all = [&](const auto& holds) { return std::ranges::all_of(rounds, holds); };
  if (!all([](auto& one) { return one.problems.empty(); })) return "FAILED";
  return all([](auto& one) { return one.deadline_judged; }) ? "ok" : "ok, its deadline not judged";
}

}  // namespace

void print_head() {
  std::printf(
      "| enemy | tried | honest p50/p99 ms before | during | after | p99 | slowest ms | "
      "newcomers p50/p99 ms before | during | relay's processor %% before/during | "
      "memory MiB before/peak/after | descriptors before/peak/after | refused | verdict |\n"
      "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n");
  std::fflush(stdout);
}

void print_row(const std::string& enemy, std::span<const Round> rounds) {
  const auto seen = [&](const auto& figure) {
    return median(rounds, [&](const Round& one) { return figure(one.watched); });
  };
  const auto peak = [&](const auto& figure) {
    return largest(rounds, [&](const Round& one) { return figure(one.watched); });
  };
  std::printf(
      "| %s | %.0f | %s | %s | %s | %s | %.0f | %s | %s | %.0f/%.0f | %.1f/%.1f/%.1f | "
      "%.0f/%.0f/%.0f | %.0f | %s |\n",
      enemy.c_str(), seen([](auto& one) { return one.done.tried; }),
      p50_p99(rounds, &Round::before, &While::pair).c_str(),
      p50_p99(rounds, &Round::during, &While::pair).c_str(),
      p50_p99(rounds, &Round::after, &While::pair).c_str(), slower_in_words(rounds).c_str(),
      largest(rounds, [](auto& one) { return one.during.pair.slowest.count(); }),
      p50_p99(rounds, &Round::before, &While::newcomers).c_str(),
      p50_p99(rounds, &Round::during, &While::newcomers).c_str(), percent(rounds, &Round::before),
      percent(rounds, &Round::during), seen([](auto& one) { return mebibytes(one.before.memory); }),
      peak([](auto& one) { return mebibytes(one.memory_peak); }),
      seen([](auto& one) { return mebibytes(one.after.memory); }),
      seen([](auto& one) { return one.before.descriptors; }),
      peak([](auto& one) { return one.descriptors_peak; }),
      seen([](auto& one) { return one.after.descriptors; }), seen([](auto& one) {
        return one.after.figures.refused_total - one.before.figures.refused_total;
      }),
      verdict(rounds));
  for (const Round& round : rounds) {
    for (const auto& problem : round.problems) std::printf("    %s\n", problem.c_str());
  }
  std::fflush(stdout);
}

}  // namespace godwit::enemies
