// The relay's wall clock jumps ten years, and back when the attack is over. That ends the life of
// no mail, neither of what waited nor of what is taken in meanwhile.
#include <thread>

#include "tests/enemies/enemy.hpp"

namespace godwit::enemies {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::seconds kTenYears = std::chrono::hours(24) * 3'652;
constexpr std::size_t kMail = 100;
constexpr std::size_t kUnderWayMax = 50;  // between the honest pair, which goes on talking

// Mail for who is not there.
void put_mail(Ground& ground, support::Fleet& fleet) {
  support::RawDevice sender(fleet, ground.attackers.front());
  std::size_t accepted = 0;
  sender.connect();
  sender.login();
  for (std::size_t i = 0; i < kMail; ++i) {
    const wire::Bytes text(8, static_cast<std::uint8_t>(i));
    sender.submit(ground.absent, wire::RequestId::copy_of(wire::Bytes(16, text.front())), text,
                  [&](const wire::RelayFrame& frame) {
                    const auto* reply = std::get_if<wire::Submitted>(&frame.body);
                    accepted +=
                        reply != nullptr && reply->outcomes.front().code == wire::ErrorCode::ok;
                  });
  }
  if (!fleet.run_until([&] { return accepted == kMail; }, 30s)) {
    throw support::RelayFailure("no mail for who is not there");
  }
}

Enemy jumping(std::string name, std::string does, std::chrono::seconds by) {
  Enemy enemy;
  enemy.name = std::move(name);
  enemy.does = std::move(does);
  enemy.memory_max = 0;
  enemy.prepare = put_mail;
  enemy.attack = [by](Work& work) {
    work.ground().clock->set_ahead(by);
    while (!work.over()) std::this_thread::sleep_for(10ms);
    work.ground().clock->set_ahead(0s);
  };
  enemy.judge = [](const Watched& watched, Problems& problems) {
    const auto& figures = watched.after.figures;
    if (figures.queued_envelopes < kMail || figures.queued_envelopes > kMail + kUnderWayMax) {
      problems.push_back(std::to_string(figures.queued_envelopes) + " envelopes wait, not " +
                         std::to_string(kMail));
    }
    if (watched.before.figures.expired_total != figures.expired_total) {
      problems.push_back("mail has expired");
    }
  };
  enemy.acted = [](const Watched& watched) { return watched.last.figures.expiry_paused; };
  enemy.log_says = "warning clock_jumped nothing_expires_for_s=3888000";
  return enemy;
}

}  // namespace

std::vector<Enemy> enemies_of_the_clock() {
  std::vector<Enemy> all;
  all.push_back(
      jumping("clock-forwards", "the clock jumps ten years ahead, and back", kTenYears));
  all.push_back(jumping("clock-backwards", "the clock jumps ten years back, and ahead again",
                        -kTenYears));
  return all;
}

}  // namespace godwit::enemies
