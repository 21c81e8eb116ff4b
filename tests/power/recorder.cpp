#include "tests/power/recorder.hpp"

#include <mutex>

#include "tests/power/calls.hpp"

namespace godwit::power {
namespace {

// The calls belong to the process, and so does what they add to.
struct {
  std::mutex mutex;
  std::string directory;  // empty: nothing is recorded
  Recording recording;
} g_recorder;

Files files_in(const std::filesystem::path& directory) {
  Files files;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    const std::string name = entry.path().filename();
    if (name != kNotDurable) files[name] = content_of(entry.path());
  }
  return files;
}

}  // namespace

bool is_recorded(const std::filesystem::path& file) {
  const std::scoped_lock lock(g_recorder.mutex);
  return !g_recorder.directory.empty() && file.parent_path() == g_recorder.directory &&
         file.filename() != kNotDurable;
}

void keep(Operation operation) {
  const std::scoped_lock lock(g_recorder.mutex);
  g_recorder.recording.operations.push_back(std::move(operation));
}

void begin(const std::filesystem::path& directory) {
  const std::scoped_lock lock(g_recorder.mutex);
  g_recorder.recording = {files_in(directory), {}, {}};
  g_recorder.directory = std::filesystem::canonical(directory);
}

Recording end() {
  const std::scoped_lock lock(g_recorder.mutex);
  g_recorder.recording.after = files_in(g_recorder.directory);
  g_recorder.directory.clear();
  return std::move(g_recorder.recording);
}

void note(Note note) {
  Operation operation{.kind = Operation::Kind::note};
  operation.note = note;
  keep(std::move(operation));
}

}  // namespace godwit::power
