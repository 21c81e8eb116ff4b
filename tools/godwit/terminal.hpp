// terminal: the whole screen, for as long as this lives. Keys come one by one; what was there
// before comes back at the end, also when the program crashes or is told to quit (Ctrl-\).
// Owns:   the state of the terminal; one of these at a time.
// Thread: the main one.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace godwit::cli {

class Terminal {
 public:
  // Both ends are a terminal that can move its cursor.
  [[nodiscard]] static bool is_there();

  Terminal();
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  // Gives the terminal back for as long as the program is stopped (Ctrl-Z), and takes it again.
  void stop_here();

  struct Size {
    std::size_t columns = 80;
    std::size_t rows = 24;
  };
  [[nodiscard]] Size size() const;
  // The rows from the top, no wider and no more than the size; the cursor counts from 0.
  void draw(const std::vector<std::string>& rows, std::size_t cursor_row,
            std::size_t cursor_column) const;

 private:
  void take() const;
};

}  // namespace godwit::cli
