// page_sample: writes a report page to standard output: page_sample pass|interrupted|fail|empty
// SAMPLES.
#include <cstdlib>
#include <iostream>
#include <string_view>

#include "tests/unit/load/example_report.hpp"

int main(int argc, char** argv) {
  using namespace godwit::load;
  if (argc != 3) return EXIT_FAILURE;
  const std::string_view kind = argv[1];
  const std::size_t samples = std::strtoul(argv[2], nullptr, 10);
  Report report;
  if (kind == "pass" || kind == "interrupted") report = example_report(samples);
  report.interrupted = kind == "interrupted";
  if (kind == "fail") report = failed_example_report(samples);
  std::cout << to_page(report);
  return std::cout.flush() ? EXIT_SUCCESS : EXIT_FAILURE;
}
