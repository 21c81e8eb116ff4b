// sim/apart: work in a process of its own. Whatever ends it there, a failed assertion or a
// sanitizer, the run goes on.
// Thread:  none but the caller's: the child has no other.
#pragma once

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace godwit::sim {

// The status as waitpid() has it; 0 when `work` came to its end and returned 0. What else it has
// found out it leaves in a file or in memory that both share.
template <class Work>
[[nodiscard]] int apart(const Work& work) {
  std::fflush(nullptr);  // or the child would print it once more
  const pid_t child = fork();
  if (child == 0) {
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) std::exit(2);
    std::exit(work());
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) {
    std::perror("sim: a process for the seeds");
    std::exit(2);
  }
  return status;
}

inline std::string why_ended(int status) {
  if (WIFSIGNALED(status)) return "its process ended: " + std::string(strsignal(WTERMSIG(status)));
  return "its process ended with " + std::to_string(WEXITSTATUS(status));
}

}  // namespace godwit::sim
