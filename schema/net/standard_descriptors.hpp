// net/standard_descriptors: 0, 1 and 2 are what all take them for, whoever began the program.
// Thread: main's, before there are others.
#pragma once

#include <fcntl.h>
#include <unistd.h>

namespace godwit::net {

// Opens /dev/null for each of them that is closed, so that no file or socket of ours gets its
// number, and with it what is meant for a person. First thing in main().
inline void keep_standard_descriptors() {
  for (int number = STDIN_FILENO; number <= STDERR_FILENO; ++number) {
    // The lowest number that is free is the one that is taken.
    if (::fcntl(number, F_GETFD) == -1) static_cast<void>(::open("/dev/null", O_RDWR));
  }
}

}  // namespace godwit::net
