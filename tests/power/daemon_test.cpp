// The power goes while the real daemon serves people: whatever the disk then holds, the daemon
// starts on it and keeps what it promised before.
//
// Happy path: a relay with the interposer plays a load -> its log of calls and notes, and the file
// that came of it, are the recording -> each image is opened by a relay without the interposer.
// Failure: no two recordings are the same, so that of a failed check is kept, and named with the
// image. GODWIT_POWER_RECORDING=DIR records there, or plays what was recorded there;
// GODWIT_POWER_SEED draws another load, and other cuts.
#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdlib>
#include <exception>

#include "tests/power/daemon_check.hpp"
#include "tests/power/daemon_load.hpp"

namespace godwit::power {
namespace {

constexpr std::uint64_t kImages = 600;
constexpr std::uint64_t kThoroughEvery = 10;

// On a memory disk where there is one. Removed with everything in it, but for a recording of which
// a check failed, or that has a name of its own.
class Place {
 public:
  Place() {
    const std::filesystem::path memory = "/dev/shm";
    const auto parent =
        ::access(memory.c_str(), W_OK) == 0 ? memory : std::filesystem::temp_directory_path();
    auto name = (parent / "godwit-power-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
    const char* const given = std::getenv("GODWIT_POWER_RECORDING");
    recording_ = given == nullptr ? path_ / "recording" : std::filesystem::path(given);
    std::filesystem::create_directories(recording_);
    recording_ = std::filesystem::canonical(recording_);
  }
  ~Place() {
    std::error_code ignored;
    std::filesystem::remove_all(image(), ignored);
    if (std::uncaught_exceptions() == 0) std::filesystem::remove_all(path_, ignored);
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  [[nodiscard]] const std::filesystem::path& recording() const { return recording_; }
  [[nodiscard]] std::filesystem::path log() const { return recording_ / "calls"; }
  [[nodiscard]] std::filesystem::path relay() const { return recording_ / "relay"; }
  [[nodiscard]] std::filesystem::path image() const { return path_ / "image"; }

 private:
  std::filesystem::path path_;
  std::filesystem::path recording_;
};

void record(const Place& place) {
  const char* const seed = std::getenv("GODWIT_POWER_SEED");
  const Log log(place.log());
  support::RelayProcess::Options options;
  options.directory = place.relay();
  // Two loops, so that operations travel; a small file, since it is copied for each image. The port
  // is not written down: that of a recording may be another's when an image is opened.
  options.settings = {{"network.listen", "[\"127.0.0.1:0\"]"},
                      {"network.loops", "2"},
                      {"store.size_max", "\"64 MiB\""},
                      {"store.grow_step", "\"1 MiB\""},
                      {"store.reserve", "\"1 MiB\""}};
  options.environment = {{"LD_PRELOAD", GODWIT_POWER_INTERPOSER},
                         {"GODWIT_POWER_FILE", (place.relay() / "data.mdb").string()},
                         {"GODWIT_POWER_LOG", place.log().string()},
                         // A sanitizer's runtime wants to be the first that is loaded.
                         {"ASAN_OPTIONS", "verify_asan_link_order=0"}};
  support::RelayProcess relay(std::move(options));
  Load(relay, log, seed == nullptr ? 1 : std::stoull(seed)).play();
}

Recording read_recording(const Place& place) {
  Recording recording;
  for (const char* const name : {"key", "relay.toml"}) {
    recording.before[name] = content_of(place.relay() / name);
  }
  recording.operations = read_log(place.log());
  recording.after = recording.before;
  recording.after["data.mdb"] = content_of(place.relay() / "data.mdb");
  return recording;
}

}  // namespace

TEST_SUITE("power/daemon") {
  TEST_CASE("whatever a power loss leaves, the relay keeps what it promised") {
    const Place place;
    INFO("of GODWIT_POWER_RECORDING=", place.recording().string());
    if (!std::filesystem::exists(place.log())) record(place);
    const Recording recording = read_recording(place);
    REQUIRE(whole(recording));
    std::uint64_t opened = 0;
    const auto made = cut_everywhere(recording, place.image(), kImages,
                                     [&](const std::filesystem::path& image, Notes notes) {
                                       check_daemon(image, notes, ++opened % kThoroughEvery == 0);
                                     });
    CHECK(made > 0);
  }
}

}  // namespace godwit::power
