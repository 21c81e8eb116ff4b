// power/calls: stands in the place of the C library's calls that change files, for this program and
// the libraries that it loads, and so hears LMDB too.
//
// LMDB writes its meta page through a second descriptor with O_DSYNC: such a write is durable when
// it returns. What a map changes is not heard, nor any call that no store makes; whole() tells when
// something was missed.
//
// Thread: all of it from any thread; the two below are never called at the same time.
#pragma once

#include "tests/power/recording.hpp"

namespace godwit::power {

// Whoever links the calls says what is heard and where it goes:
[[nodiscard]] bool is_recorded(const std::filesystem::path& file);
void keep(Operation operation);

}  // namespace godwit::power
