// secrets/passphrase: one that is nowhere in a program's own text: its letters are put together
// when they are asked for.
#pragma once

#include <string>

namespace godwit::secrets {

[[nodiscard]] inline std::string passphrase() {
  // Long enough to lie on the heap, and to have two pieces to be found by.
  volatile char step = 7;
  std::string made(40, '\0');
  char letter = 'a';
  for (char& one : made) {
    one = letter;
    letter = static_cast<char>('a' + (letter - 'a' + step) % 26);
  }
  return made;
}

}  // namespace godwit::secrets
