// store/applier: writes operations into one open transaction and keeps the counts of shared
// bodies in step with the log.
// Owns:    for the length of the transaction, one entry per shared body that it touches.
// Refuses: to begin or commit a transaction.
// Thread:  that of the transaction.
#pragma once

#include <unordered_map>
#include <unordered_set>

#include "relay/store/damage.hpp"
#include "relay/store/env.hpp"
#include "relay/store/records.hpp"

namespace godwit::relay::store {

// Keeps the raw bytes of a damaged record for a look, while there is room for them. The caller
// deletes it.
[[nodiscard]] Result<void> keep_in_quarantine(const Env& env, WriteTxn& txn, TableId table,
                                              wire::ByteView key, wire::ByteView raw);

class Applier {
 public:
  // `before` and `meta` as of the last commit; records are read there, as erase_each() does.
  Applier(const Env& env, WriteTxn& txn, const ReadTxn& before, Damage& damage,
          const MetaRecord& meta)
      : env_(env), txn_(txn), before_(before), damage_(damage), meta_(meta) {}

  [[nodiscard]] Result<void> put(const Put& put);
  // Gives `append` its position.
  [[nodiscard]] Result<void> append(Append& append);
  // Precondition: `positions` ascend. Those that are gone are fine.
  [[nodiscard]] Result<void> remove(std::span<const std::uint64_t> positions);
  // Moves the record away when it or its body is damaged indeed; one that is not there is lost. An
  // intact one stays: recovery finds it again, and nothing is lost.
  [[nodiscard]] Result<void> quarantine(std::uint64_t position);
  // Writes what was gathered: counts, bodies that nobody needs any more, the meta record.
  [[nodiscard]] Result<void> finish();
  // The meta record anew, also where nothing in it has changed.
  [[nodiscard]] Result<void> write_meta();

  // To be adopted when the transaction has committed.
  [[nodiscard]] const MetaRecord& meta() const { return meta_; }
  [[nodiscard]] std::uint64_t appended() const { return appended_; }

 private:
  struct Count {
    std::uint64_t stored = 0;  // as of the last commit
    std::uint64_t added = 0;
    std::uint64_t removed = 0;
    bool known = true;  // false: damaged; recovery counts again, until then the body stays
  };
  // Loaded from the table at the first use.
  [[nodiscard]] Result<Count*> count_of(std::uint64_t body_id);
  [[nodiscard]] Result<bool> is_intact(const LogRecord& record);
  [[nodiscard]] Result<void> write_count(std::uint64_t body_id, const Count& count);
  [[nodiscard]] Result<void> erase_body(std::uint64_t body_id);

  const Env& env_;
  WriteTxn& txn_;
  const ReadTxn& before_;
  Damage& damage_;
  MetaRecord meta_;
  std::uint64_t appended_ = 0;
  bool lost_some_ = false;
  std::unordered_map<std::uint64_t, Count> counts_;
  std::unordered_set<std::string> put_;  // small records that are not as before any more
  wire::Bytes record_;                   // scratch
};

}  // namespace godwit::relay::store
