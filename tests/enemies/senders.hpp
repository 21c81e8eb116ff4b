// enemies/senders: devices that submit at a rate that the answers do not change.
// Thread: the fleet's loop.
#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "tests/enemies/enemy.hpp"

namespace godwit::enemies {

class Senders {
 public:
  struct Manner {
    std::vector<support::Account> from;
    std::vector<support::Account> to;
    bool to_each = false;  // every submit names all of `to`, else one of them in turn
    std::size_t envelope_size = 1;
    double per_second = 1;                  // of each sender
    std::vector<wire::ErrorCode> may_meet;  // refusals that are right
  };

  Senders(support::Fleet& fleet, Work& work, Manner manner);

  // To be called again and again.
  void look();

 private:
  void submit(support::RawDevice& from);
  void answered(const wire::RelayFrame& frame);

  Work& work_;
  Manner manner_;
  std::vector<wire::Recipient> recipients_;  // of each submit in turn
  wire::Bytes envelope_;
  std::vector<std::unique_ptr<support::RawDevice>> devices_;
  std::chrono::steady_clock::time_point began_;
  std::uint64_t due_ = 0;  // of each, so far
  std::uint64_t unanswered_ = 0;
};

}  // namespace godwit::enemies
