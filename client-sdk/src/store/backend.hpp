// store/backend: where sealed bytes lie. LMDB on a device; memory in simulations, where a crash is
// a dropped transaction.
// Refuses: to know keys, tables' meaning or records.
#pragma once

#include "client-sdk/src/store/database.hpp"

namespace godwit::store {

class BackendTxn {
 public:
  virtual ~BackendTxn() = default;  // without commit(): nothing happened
  // The view lives until the next call that writes, or the end of the transaction.
  [[nodiscard]] virtual Result<std::optional<wire::ByteView>> get(Table table,
                                                                  wire::ByteView key) = 0;
  [[nodiscard]] virtual Result<void> put(Table table, wire::ByteView key, wire::ByteView value) = 0;
  [[nodiscard]] virtual Result<void> erase(Table table, wire::ByteView key) = 0;
  // From the first key >= `from` upwards, or (descending) from the last key <= `from` downwards,
  // until the visitor returns false. The visitor does not write.
  using Visit = std::function<bool(wire::ByteView key, wire::ByteView value)>;
  [[nodiscard]] virtual Result<void> scan(Table table, wire::ByteView from, ReadTxn::Order order,
                                          const Visit& visit) = 0;
  [[nodiscard]] virtual Result<void> commit() = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;
  [[nodiscard]] virtual Result<std::unique_ptr<BackendTxn>> begin_read() = 0;
  [[nodiscard]] virtual Result<std::unique_ptr<BackendTxn>> begin_write() = 0;
};

}  // namespace godwit::store
