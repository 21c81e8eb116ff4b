#include "tests/support/enrol.hpp"

#include "tests/support/hostile_client.hpp"
#include "tests/support/relay_process.hpp"

namespace godwit::support {

using namespace std::chrono_literals;

Account enrolled(Fleet& fleet, std::uint64_t seed) {
  RawDevice device(fleet, Account::from_seed(seed));
  bool welcome = false;
  device.connect();
  device.register_user({}, [&](const wire::RelayFrame& frame) {
    welcome = std::holds_alternative<wire::Welcome>(frame.body);
  });
  if (!fleet.run_until([&] { return welcome; }, 30s)) throw RelayFailure("no registration");
  Account account = device.account();
  device.reset();
  return account;
}

wire::Bytes record_login(const wire::RelayAddress& relay, const Account& account) {
  wire::Bytes written;
  Plan plan;
  plan.stage = Plan::Stage::welcome;
  plan.transport = account.transport;
  plan.user = account.user;
  plan.device = account.device;
  plan.after = Plan::After::reset;
  const auto verdict = HostileCrowd(relay).run(
      {}, [&](std::size_t, std::size_t) { return plan; },
      [&](const Seen& seen) {
        written = seen.written;
        return seen.welcomed ? "" : seen.describe();
      });
  if (verdict.wrong > 0) throw RelayFailure("no login: " + verdict.first_wrong);
  return written;
}

}  // namespace godwit::support
