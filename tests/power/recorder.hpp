// power/recorder: keeps in memory what this process does to the files of one directory.
// Thread: all of it from any thread; one recording at a time.
#pragma once

#include <string_view>

#include "tests/power/recording.hpp"

namespace godwit::power {

// LMDB makes it anew at each start, from nothing or from whatever is there.
inline constexpr std::string_view kNotDurable = "lock.mdb";

void begin(const std::filesystem::path& directory);
[[nodiscard]] Recording end();

// Between the two.
void note(Note note);

}  // namespace godwit::power
