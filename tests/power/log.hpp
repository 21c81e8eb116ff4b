// power/log: a recording that several processes write to one file: each operation is one write at
// the file's end, so that their order is the system's.
// Thread: any number of them, and of processes.
#pragma once

#include "tests/power/recording.hpp"

namespace godwit::power {

class Log {
 public:
  explicit Log(const std::filesystem::path& file);  // made when it is not there
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  // A log that cannot be written ends the process: it would not tell all.
  void append(const Operation& operation) const;
  void append(Note note) const;

 private:
  int descriptor_;
};

[[nodiscard]] std::vector<Operation> read_log(const std::filesystem::path& file);

}  // namespace godwit::power
