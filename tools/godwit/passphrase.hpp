// passphrase: of a home that has one instead of a key file. From a file, or typed at the terminal
// without being shown; never from the command line, which every process of the machine can read.
// Thread: the main one, before there are others.
#pragma once

#include <optional>
#include <string>

#include "godwit/error.hpp"

namespace godwit::cli {

struct PassphraseWish {
  bool ask = false;
  std::string file = {};  // its first line
  bool is_new = false;    // asked for twice, since a mistyped one locks its home for good
  const char* question = "passphrase: ";
  const char* file_option = "--passphrase-file";  // what else there is where there is no terminal
};

// Nothing when none is wished for. Never empty.
[[nodiscard]] Result<std::optional<std::string>> take_passphrase(const PassphraseWish& wish);

}  // namespace godwit::cli
