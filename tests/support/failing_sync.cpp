// support/failing_sync: preloaded into the relay: fdatasync fails as soon as the file that
// GODWIT_FAIL_SYNC names is there.
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

extern "C" int fdatasync(int descriptor) {
  const char* const file = std::getenv("GODWIT_FAIL_SYNC");
  if (file == nullptr || ::access(file, F_OK) != 0) return ::fsync(descriptor);
  errno = EIO;
  return -1;
}
