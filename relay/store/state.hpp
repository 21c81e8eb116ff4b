// store/state: what Store, Reader and Writer share.
// Thread: `meta` and `space` belong to the opener until the writer starts, then to the writer; the
//         atomics and `damage` to anyone.
#pragma once

#include <atomic>

#include "relay/store/damage.hpp"
#include "relay/store/env.hpp"
#include "relay/store/records.hpp"
#include "relay/store/space.hpp"

namespace godwit::relay::store {

struct Store::State {
  State(std::unique_ptr<Env> opened, const Options& options)
      : env(std::move(opened)), space(*env, options) {}

  // After each commit: the meta record is now `committed`, and the figures follow.
  [[nodiscard]] Result<void> adopt(const MetaRecord& committed) {
    meta = committed;
    generation = committed.identity.generation;
    ++commits;
    return refresh();
  }

  [[nodiscard]] Result<void> refresh() {
    if (auto looked = space.look(); !looked) return looked;
    const Survey& survey = space.survey();
    file_bytes = env->file_pages() * env->page_size();
    used_bytes = survey.used * env->page_size();
    reclaimable_bytes = (survey.end - std::min(survey.end, survey.used)) * env->page_size();
    return {};
  }

  void set_full(bool now) {
    at_size_max = now && space.map_refused();
    full = now;
  }

  std::unique_ptr<Env> env;
  Space space;
  MetaRecord meta;
  Identity opened_as;  // never changes after open(); the generation of now is below
  Damage damage;

  std::atomic<std::uint64_t> generation{0};
  std::atomic<std::uint64_t> file_bytes{0};
  std::atomic<std::uint64_t> used_bytes{0};
  std::atomic<std::uint64_t> reclaimable_bytes{0};
  std::atomic<std::uint64_t> commits{0};
  std::atomic<std::uint64_t> stored{0};
  std::atomic<bool> full{false};
  std::atomic<bool> at_size_max{false};
};

}  // namespace godwit::relay::store
