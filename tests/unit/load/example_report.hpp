// load/example_report: a report such as a run makes, for what shows reports.
#pragma once

#include "tools/load/report.hpp"

namespace godwit::load {

// A run that passed, with `samples` seconds of curves, events and all figures of the relay.
[[nodiscard]] Report example_report(std::size_t samples);

// The same run as a failed one: envelopes lost and duplicated, a connection that ended.
[[nodiscard]] Report failed_example_report(std::size_t samples);

}  // namespace godwit::load
