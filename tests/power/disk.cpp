// For each cut: what was durable, and upon it one of
//   seed 0  nothing of the rest             seed 2  files grown, their new bytes zeros
//   seed 1  all of the rest                 seed 3 and up  sectors by the seed, also of the
//                                           write that was under way
#include "tests/power/disk.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <random>

namespace godwit::power {
namespace {

using Kind = Operation::Kind;

enum Seed : std::uint64_t { kLost = 0, kAll = 1, kGrown = 2, kFirstRandom = 3 };

// Bytes past the end of `bytes` are zeros: a file grows by more than is written.
struct File {
  wire::Bytes bytes;
  std::uint64_t size = 0;

  void grow(std::uint64_t to) { size = std::max(size, to); }
  void write(std::uint64_t at, wire::ByteView what) {
    if (bytes.size() < at + what.size()) bytes.resize(at + what.size());
    std::ranges::copy(what, bytes.begin() + static_cast<std::ptrdiff_t>(at));
    grow(at + what.size());
  }
};
using Disk = std::map<std::string, File>;

void apply(const Operation& operation, Disk& disk) {
  File& file = disk[operation.file];
  if (operation.kind == Kind::grow) {
    file.grow(operation.size);
  } else {
    file.write(operation.at, operation.bytes);
  }
}

// A share of the sectors, which is drawn too: a disk may have come to nearly all or nearly none.
class Draw {
 public:
  Draw(std::uint64_t cut, std::uint64_t seed)
      : random_(cut * 1'000'003 + seed), share_(random_() % 257) {}
  [[nodiscard]] bool operator()() { return random_() % 256 < share_; }

 private:
  std::mt19937_64 random_;
  std::uint64_t share_;
};

void apply_some(const Operation& operation, Draw& draw, Disk& disk) {
  if (operation.kind == Kind::grow) {
    if (draw()) apply(operation, disk);
    return;
  }
  File& file = disk[operation.file];
  for (std::size_t done = 0; done < operation.bytes.size();) {
    const std::uint64_t at = operation.at + done;
    const std::size_t size =
        std::min<std::size_t>(kSectorSize - at % kSectorSize, operation.bytes.size() - done);
    if (draw()) file.write(at, wire::ByteView(operation.bytes).subspan(done, size));
    done += size;
  }
}

// Goes through a recording and knows what is durable at each point of it.
class Walk {
 public:
  explicit Walk(const Recording& recording) : recording_(&recording) {
    for (const auto& [name, bytes] : recording.before) durable_[name] = {bytes, bytes.size()};
  }

  [[nodiscard]] bool at_end() const { return next_ == recording_->operations.size(); }
  [[nodiscard]] Notes notes() const { return notes_; }
  // A cut between two notes is the one after them: no disk knows of notes.
  [[nodiscard]] bool at_cut() const { return at_end() || next().kind != Kind::note; }
  // Nothing else than what is durable can be there.
  [[nodiscard]] bool settled() const { return pending_.empty() && !under_way(); }
  void step();
  [[nodiscard]] Disk disk(std::uint64_t cut, std::uint64_t seed) const;

 private:
  [[nodiscard]] const Operation& next() const { return recording_->operations[next_]; }
  [[nodiscard]] bool under_way() const { return !at_end() && next().kind != Kind::sync; }

  const Recording* recording_;
  std::size_t next_ = 0;
  Disk durable_;
  std::vector<const Operation*> pending_;  // in order
  std::vector<Note> notes_;
};

void Walk::step() {
  const Operation& operation = next();
  ++next_;
  switch (operation.kind) {
    case Kind::note:
      notes_.push_back(operation.note);
      return;
    case Kind::sync: {
      const auto synced = [&](const Operation* one) { return one->file == operation.file; };
      for (const Operation* const one : pending_) {
        if (synced(one)) apply(*one, durable_);
      }
      std::erase_if(pending_, synced);
      return;
    }
    case Kind::write:
    case Kind::grow:
      durable_.try_emplace(operation.file);
      if (operation.durable) {
        apply(operation, durable_);
      } else {
        pending_.push_back(&operation);
      }
  }
}

Disk Walk::disk(std::uint64_t cut, std::uint64_t seed) const {
  Disk disk = durable_;
  if (seed == kLost) return disk;
  Draw draw(cut, seed);
  for (const Operation* const one : pending_) {
    if (seed == kAll) {
      apply(*one, disk);
    } else if (seed == kGrown) {
      const std::uint64_t end = one->kind == Kind::grow ? one->size : one->at + one->bytes.size();
      disk[one->file].grow(end);
    } else {
      apply_some(*one, draw, disk);
    }
  }
  if (seed >= kFirstRandom && under_way()) apply_some(next(), draw, disk);
  return disk;
}

void put_on_disk(const Disk& disk, const std::filesystem::path& directory) {
  std::filesystem::remove_all(directory);
  std::filesystem::create_directory(directory);
  for (const auto& [name, file] : disk) {
    const auto path = directory / name;
    std::ofstream stream(path, std::ios::binary);
    stream.write(reinterpret_cast<const char*>(file.bytes.data()),
                 static_cast<std::streamsize>(file.bytes.size()));
    REQUIRE(stream.flush().good());
    std::filesystem::resize_file(path, file.size);
    // A key among them is not for others to read.
    std::filesystem::permissions(
        path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  }
}

std::optional<std::string> setting(const char* name) {
  const char* const value = std::getenv(name);
  if (value == nullptr) return {};
  return value;
}

// CUT/SEED
std::uint64_t cut_of(const std::string& replay) {
  return std::stoull(replay);
}
std::uint64_t seed_of(const std::string& replay) {
  return std::stoull(replay.substr(replay.find('/') + 1));
}

// Where to begin among `stride` cuts: elsewhere in each run, or by GODWIT_POWER_SEED.
std::uint64_t draw_phase(std::uint64_t stride) {
  const auto seed = setting("GODWIT_POWER_SEED");
  return (seed ? std::stoull(*seed) : std::random_device()()) % stride;
}

std::uint64_t cuts_of(const Recording& recording) {
  std::uint64_t cuts = 1;
  for (Walk walk(recording); !walk.at_end(); walk.step()) cuts += walk.at_cut() ? 1 : 0;
  return cuts;
}

}  // namespace

Promised promised_by(Notes notes) {
  Promised promised;
  for (const Note& note : notes) {
    (note.what == kAcked ? promised.acked : promised.begun) = note.number;
  }
  return promised;
}

bool whole(const Recording& recording) {
  Disk disk;
  for (const auto& [name, bytes] : recording.before) disk[name] = {bytes, bytes.size()};
  for (const Operation& one : recording.operations) {
    if (one.kind == Kind::write || one.kind == Kind::grow) apply(one, disk);
  }
  Files files;
  for (auto& [name, file] : disk) {
    file.bytes.resize(file.size);
    files[name] = std::move(file.bytes);
  }
  return files == recording.after;
}

std::uint64_t cut_everywhere(const Recording& recording, const std::filesystem::path& image,
                             std::uint64_t images, const Check& check) {
  if (const auto wanted = setting("GODWIT_POWER_IMAGES")) images = std::stoull(*wanted);
  const auto replay = setting("GODWIT_POWER_REPLAY");
  const std::uint64_t cuts = cuts_of(recording);
  // At each cut the first seeds, and one that is random at least.
  const std::uint64_t seeds = std::max<std::uint64_t>(images / cuts, kFirstRandom + 1);
  const std::uint64_t stride = std::max<std::uint64_t>(cuts * seeds / std::max(images, seeds), 1);
  const std::uint64_t phase = draw_phase(stride);

  std::uint64_t made = 0;
  const auto make = [&](const Walk& walk, std::uint64_t cut, std::uint64_t seed) {
    const std::string name = std::to_string(cut) + '/' + std::to_string(seed);
    INFO("GODWIT_POWER_REPLAY=", name, " makes this image again");
    put_on_disk(walk.disk(cut, seed), image);
    check(image, walk.notes());
    ++made;
  };
  std::uint64_t cut = 0;
  for (Walk walk(recording);; walk.step()) {
    if (walk.at_cut()) {
      if (replay) {
        if (cut == cut_of(*replay)) make(walk, cut, seed_of(*replay));
      } else if (cut % stride == phase) {
        const std::uint64_t here = walk.settled() ? 1 : seeds;
        for (std::uint64_t seed = 0; seed < here; ++seed) make(walk, cut, seed);
      }
      ++cut;
    }
    if (walk.at_end()) break;
  }
  MESSAGE(made, " images, at one in ", stride, " of ", cuts, " cuts, from number ", phase,
          "; seeds 0 to ", seeds - 1);
  return made;
}

}  // namespace godwit::power
