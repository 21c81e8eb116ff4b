// A backend of which one call fails, for tests that try each call in turn. A commit that fails has
// changed nothing.
#pragma once

#include "client-sdk/src/store/backend.hpp"

namespace godwit::store {

struct Fault {
  int calls_left = -1;  // before the call that fails; negative: none will
  bool happened = false;
  std::size_t calls = 0;  // all there were

  [[nodiscard]] bool is_due() {
    ++calls;
    if (calls_left < 0 || calls_left-- > 0) return false;
    happened = true;
    return true;
  }
};

class FailingBackend final : public Backend {
 public:
  FailingBackend(std::unique_ptr<Backend> whole, Fault& fault)
      : whole_(std::move(whole)), fault_(fault) {}

  Result<std::unique_ptr<BackendTxn>> begin_read() override {
    if (fault_.is_due()) return tl::unexpected(StoreError::io);
    return wrapped(whole_->begin_read());
  }
  Result<std::unique_ptr<BackendTxn>> begin_write() override {
    if (fault_.is_due()) return tl::unexpected(StoreError::io);
    return wrapped(whole_->begin_write());
  }

 private:
  class Txn final : public BackendTxn {
   public:
    Txn(std::unique_ptr<BackendTxn> whole, Fault& fault)
        : whole_(std::move(whole)), fault_(fault) {}

    Result<std::optional<wire::ByteView>> get(Table table, wire::ByteView key) override {
      if (fault_.is_due()) return tl::unexpected(StoreError::io);
      return whole_->get(table, key);
    }
    Result<void> put(Table table, wire::ByteView key, wire::ByteView value) override {
      if (fault_.is_due()) return tl::unexpected(StoreError::io);
      return whole_->put(table, key, value);
    }
    Result<void> erase(Table table, wire::ByteView key) override {
      if (fault_.is_due()) return tl::unexpected(StoreError::io);
      return whole_->erase(table, key);
    }
    // It fails where the scan would end: some records have been seen.
    Result<void> scan(Table table, wire::ByteView from, ReadTxn::Order order,
                      const Visit& visit) override {
      const auto scanned = whole_->scan(table, from, order, visit);
      if (fault_.is_due()) return tl::unexpected(StoreError::io);
      return scanned;
    }
    Result<void> commit() override {
      if (fault_.is_due()) return tl::unexpected(StoreError::io);
      return whole_->commit();
    }

   private:
    std::unique_ptr<BackendTxn> whole_;
    Fault& fault_;
  };

  Result<std::unique_ptr<BackendTxn>> wrapped(Result<std::unique_ptr<BackendTxn>> txn) {
    if (!txn) return tl::unexpected(txn.error());
    return std::make_unique<Txn>(std::move(*txn), fault_);
  }

  std::unique_ptr<Backend> whole_;
  Fault& fault_;
};

}  // namespace godwit::store
