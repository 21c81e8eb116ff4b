// fuzz/replay: puts every file of a folder, or each file that is named, through one target. In
// place of libFuzzer, so that a corpus is a test with any compiler.
//   fuzz_NAME PATH...
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

namespace fs = std::filesystem;

std::string current;  // the file whose bytes are under way

// Says which file it was, and leaves the rest to the system.
void on_end(int signal) {
  for (const std::string_view text :
       {std::string_view("ended by "), std::string_view(current), std::string_view("\n")}) {
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
  }
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

std::vector<fs::path> files_of(const fs::path& path) {
  if (!fs::is_directory(path)) return {path};
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(path)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

// In a block of exactly its size, so that a sanitizer sees a read behind its end.
void replay(const fs::path& file) {
  current = file.string();
  std::ifstream stream(file, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(stream), {}};
  const auto block = std::make_unique<std::uint8_t[]>(bytes.size());
  std::copy(bytes.begin(), bytes.end(), block.get());
  LLVMFuzzerTestOneInput(block.get(), bytes.size());
}

}  // namespace

int main(int count, char** arguments) {
  for (const int signal : {SIGABRT, SIGFPE, SIGILL, SIGSEGV}) std::signal(signal, on_end);
  std::size_t replayed = 0;
  for (int i = 1; i < count; ++i) {
    if (!fs::exists(arguments[i])) {
      std::fprintf(stderr, "%s is not there\n", arguments[i]);
      return 1;
    }
    for (const fs::path& file : files_of(arguments[i])) {
      replay(file);
      ++replayed;
    }
  }
  std::printf("%s: %zu inputs\n", fs::path(arguments[0]).filename().c_str(), replayed);
  return replayed > 0 ? 0 : 1;
}
