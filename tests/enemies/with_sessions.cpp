// Enemies that get as far as a handshake, or have accounts: they go slowly in each state, take what
// is theirs slowly, or not at all, or again and again, or write more than anybody wants to read.
#include <chrono>

#include "relay/config.hpp"
#include "relay/limits.hpp"
#include "schema/wire/bytes.hpp"
#include "schema/wire/codec.hpp"
#include "schema/wire/hash.hpp"
#include "schema/wire/limits.hpp"
#include "tests/enemies/company.hpp"
#include "tests/enemies/enemy.hpp"
#include "tests/enemies/senders.hpp"
#include "tests/support/enrol.hpp"

namespace godwit::enemies {
namespace {

using support::Plan;
using wire::ErrorCode;
using Stage = Plan::Stage;
using After = Plan::After;
using namespace std::chrono_literals;

constexpr auto kLook = 10ms;
constexpr auto kForEver = std::chrono::hours(1);
constexpr auto kDrip = 200ms;
constexpr std::size_t kSlow = 400;  // connections; a hundred of an address
constexpr std::size_t kPinging = 100;
constexpr std::size_t kAddresses = 4;
constexpr std::size_t kEach = 16 * 1024;  // bytes that a slow one may cost: a session, ciphers
constexpr int kSmallBuffer = 16 * 1024;   // so that what is not read waits at the relay
constexpr std::size_t kMailboxBytes = 16 * kMebibyte;
constexpr std::size_t kMailSize = 64 * 1024;
constexpr std::size_t kTextSize = 512;  // of an envelope
constexpr std::uint64_t kCrowdSeed = 10'000;

// Runs `looks` until the time is over.
void look_until_over(Work& work, support::Fleet& fleet, const std::function<void()>& looks) {
  net::Timer tick(fleet.loop(), looks);
  tick.start(0ms, kLook);
  (void)fleet.run_until([&] { return work.over(); }, kForEver);
}

// ---- Slow in each state ------------------------------------------------------------------------

using Slow = std::function<Plan(const Ground&, std::size_t place)>;

// `deadline`: the relay ends what takes longer, and says why.
Enemy slow_in(std::string name, std::string does, std::size_t size, std::size_t each,
              std::chrono::seconds deadline, std::string reason, Slow slow) {
  Enemy enemy;
  enemy.name = std::move(name);
  enemy.does = std::move(does);
  enemy.memory_max = size * each;
  enemy.attack = [size, slow = std::move(slow)](Work& work) {
    support::Fleet fleet(work.ground().relay);
    Company company(fleet.loop(), work,
                    {.size = size, .addresses = kAddresses, .plan = [&](std::size_t place) {
                       return slow(work.ground(), place);
                     }});
    look_until_over(work, fleet, [&] { company.look(); });
  };
  enemy.judge = [size](const Watched& watched, Problems& problems) {
    if (watched.done.tried < size) problems.push_back("not all of them came");
  };
  enemy.acts_within = deadline;
  enemy.acted = [size](const Watched& watched) { return ended_by_relay(watched) >= size; };
  enemy.log_says = "connection_ended reason=" + std::move(reason);
  return enemy;
}

Plan drips_its_handshake(const Ground& ground, std::size_t) {
  Plan plan;
  plan.raw = ground.first_message;
  plan.drip = kDrip;  // twenty seconds for the whole of it
  plan.after = After::stay;
  return plan;
}

// The second record never ends.
wire::Bytes endless_record() {
  wire::Bytes record(1'000, 0x5a);
  record[0] = 0x03;
  record[1] = 0xe8;
  return record;
}

Plan drips_its_login(const Ground& ground, std::size_t place) {
  Plan plan = plan_of(ground.attackers[place % kAttackers], Stage::handshaken, After::stay);
  // A frame that is as long as it may be before a login, of which the first bytes come.
  plan.plaintext = support::framed(wire::Bytes(64, 0x5a), wire::kFrameSizeMaxBeforeLogin);
  plan.raw = endless_record();
  plan.drip = kDrip;
  return plan;
}

// The answers to half a MiB of Pings are as long, and nobody reads them.
Plan pings_without_a_login(const Ground& ground, std::size_t place) {
  Plan plan = plan_of(ground.attackers[place % kAttackers], Stage::handshaken, After::stay);
  wire::Encoder encoder;
  const wire::Bytes ping = support::framed(encoder.encode(wire::Request{1, wire::Ping{}}));
  while (plan.plaintext.size() < kMebibyte / 2) wire::append(plan.plaintext, ping);
  plan.receive_buffer = kSmallBuffer;
  plan.reads_every = kForEver;
  return plan;
}

Plan drips_a_frame(const Ground& ground, std::size_t place) {
  Plan plan = plan_of(ground.attackers[place], Stage::welcome, After::stay);
  // Nearly all of the longest frame there is: the relay has to keep it.
  plan.plaintext =
      support::framed(wire::Bytes(wire::kFrameSizeMax - 1'024, 0x5a), wire::kFrameSizeMax);
  plan.raw = endless_record();
  plan.drip = kDrip;
  return plan;
}

std::vector<Enemy> slow_ones() {
  std::vector<Enemy> all;
  all.push_back(slow_in("slow-handshake", "400 that send a byte of their handshake in 200 ms",
                        kSlow, kEach, relay::kHandshakeDeadline, "handshake_timeout",
                        drips_its_handshake));
  all.push_back(slow_in("slow-login", "400 that send a byte of their login in 200 ms", kSlow,
                        kEach + wire::kFrameSizeMaxBeforeLogin, relay::kHandshakeDeadline,
                        "handshake_timeout", drips_its_login));
  all.push_back(slow_in("pings-without-a-login",
                        "100 that send half a MiB of Pings before a login, and read nothing",
                        kPinging, kEach, 1s, "unauthorized", pings_without_a_login));
  all.push_back(slow_in("slow-frame", "16 devices with half a MiB of a frame that never ends",
                        kAttackers, kEach + 2 * wire::kFrameSizeMax, relay::kIdleDeadline,
                        "timeout", drips_a_frame));
  return all;
}

// ---- Mail that is not taken, or too much of it -------------------------------------------------

// Fills the mailbox of each attacker to the brim: the last envelope is refused.
void fill_mailboxes(Ground& ground, support::Fleet& fleet) {
  support::RawDevice sender(fleet, ground.absent);
  sender.connect();
  sender.login();
  const wire::Bytes text(kMailSize, 0x5a);
  for (const support::Account& attacker : ground.attackers) {
    std::size_t answered = 0;
    std::size_t full = 0;
    constexpr std::size_t kMails = kMailboxBytes / kMailSize + 1;
    for (std::size_t i = 0; i < kMails; ++i) {
      wire::RequestId request;
      wire::random_bytes(request.bytes);
      sender.submit(attacker, request, text, [&](const wire::RelayFrame& frame) {
        const auto* reply = std::get_if<wire::Submitted>(&frame.body);
        ++answered;
        full += reply != nullptr && reply->outcomes.front().code == ErrorCode::mailbox_full;
      });
    }
    const bool all = fleet.run_until([&] { return answered == kMails; }, 60s);
    if (!all || full != 1) throw support::RelayFailure("a mailbox does not fill as it must");
  }
}

Enemy with_full_mailboxes(std::string name, std::string does) {
  Enemy enemy;
  enemy.name = std::move(name);
  enemy.does = std::move(does);
  enemy.settings = {{"limits.mailbox_bytes_max", std::to_string(kMailboxBytes)}};
  enemy.prepare = fill_mailboxes;
  const relay::Config config;
  enemy.memory_max = kAttackers * (relay::kWriteQueueMaxBytes + config.window_bytes);
  return enemy;
}

// Is told why it is ended behind a window of mail, of which it reads nothing, and never closes.
Enemy slow_farewell() {
  Enemy enemy = with_full_mailboxes("slow-farewell",
                                    "16 devices that are ended, and neither read that nor close");
  enemy.attack = [](Work& work) {
    support::Fleet fleet(work.ground().relay);
    Company company(fleet.loop(), work, {.size = kAttackers, .plan = [&](std::size_t place) {
                                           Plan plan = plan_of(work.ground().attackers[place],
                                                               Stage::welcome, After::stay);
                                           plan.plaintext = support::framed(wire::Bytes(64, 0x5a));
                                           plan.receive_buffer = kSmallBuffer;
                                           plan.reads_every = kForEver;
                                           return plan;
                                         }});
    look_until_over(work, fleet, [&] { company.look(); });
  };
  enemy.judge = [](const Watched& watched, Problems& problems) {
    if (watched.done.tried < kAttackers) problems.push_back("not all of them came");
  };
  enemy.acts_within = 5s;  // that long it may take to read its farewell
  enemy.acted = [](const Watched& watched) {
    return ended_by_relay(watched) >= kAttackers && watched.last.figures.connections < kAttackers;
  };
  enemy.log_says = "connection_ended reason=bad_request";
  return enemy;
}

Enemy slow_readers() {
  Enemy enemy =
      with_full_mailboxes("slow-readers", "16 devices that read their full mailboxes at 64 KiB/s");
  enemy.attack = [](Work& work) {
    support::Fleet fleet(work.ground().relay);
    Company company(fleet.loop(), work, {.size = kAttackers, .plan = [&](std::size_t place) {
                                           Plan plan = plan_of(work.ground().attackers[place],
                                                               Stage::welcome, After::stay);
                                           plan.receive_buffer = kSmallBuffer;
                                           plan.reads_every = 250ms;
                                           plan.acks = true;
                                           return plan;
                                         }});
    look_until_over(work, fleet, [&] { company.look(); });
  };
  enemy.judge = [](const Watched& watched, Problems& problems) {
    if (watched.done.ended > 0) problems.push_back("who reads slowly was ended");
  };
  enemy.acted = [](const Watched& watched) {
    return watched.last.figures.queued_bytes + kMailSize < watched.before.figures.queued_bytes;
  };
  return enemy;
}

Enemy acks_nothing() {
  Enemy enemy = with_full_mailboxes(
      "acks-nothing", "16 devices that read and never acknowledge; 200 submits/s to them");
  enemy.attack = [](Work& work) {
    support::Fleet fleet(work.ground().relay);
    fleet.set_from(address_of(1));
    Company company(fleet.loop(), work, {.size = kAttackers, .plan = [&](std::size_t place) {
                                           return plan_of(work.ground().attackers[place],
                                                          Stage::welcome, After::stay);
                                         }});
    Senders senders(fleet, work,
                    {.from = {work.ground().absent},
                     .to = work.ground().attackers,
                     .envelope_size = kMailSize,
                     .per_second = 200,
                     .may_meet = {ErrorCode::mailbox_full, ErrorCode::rate_limited}});
    look_until_over(work, fleet, [&] {
      company.look();
      senders.look();
    });
  };
  enemy.judge = [](const Watched& watched, Problems& problems) {
    const auto over = watched.queued_bytes_peak > kAttackers * kMailboxBytes + kMebibyte;
    if (over || watched.done.taken > 0) problems.push_back("a full mailbox took more");
  };
  enemy.acted = [](const Watched& watched) {
    return watched.last.figures.refused_total > watched.before.figures.refused_total;
  };
  return enemy;
}

Enemy logs_in_again() {
  Enemy enemy = with_full_mailboxes(
      "logs-in-again", "16 devices that log in to a full mailbox and reset, 160 times a second");
  enemy.attack = [](Work& work) {
    support::Fleet fleet(work.ground().relay);
    Company company(fleet.loop(), work,
                    {.size = kAttackers,
                     .addresses = kAddresses,
                     .comes_again = 100ms,
                     .plan = [&](std::size_t place) {
                       return plan_of(work.ground().attackers[place], Stage::welcome,
                                      After::reset);
                     }});
    look_until_over(work, fleet, [&] { company.look(); });
  };
  enemy.judge = [](const Watched& watched, Problems& problems) {
    const auto logins = watched.after.figures.logins_total - watched.before.figures.logins_total;
    if (logins + kAttackers < watched.done.tried) problems.push_back("not all of them logged in");
  };
  return enemy;
}

// Of one device, to one recipient each.
double submits_allowed(const Watched& watched) {
  const relay::Config config;
  return config.submits_burst + (watched.seconds + 2) * config.submits_per_s;
}

Enemy flood_of_one() {
  Enemy enemy;
  enemy.name = "floods-one-mailbox";
  enemy.does = "a device that submits 1,000 envelopes/s of 72 KiB to one of the honest";
  enemy.strange_mail = true;
  enemy.memory_max = relay::kStagedBytesMax + relay::kWriteQueueMaxBytes;
  enemy.attack = [](Work& work) {
    support::Fleet fleet(work.ground().relay);
    fleet.set_from(address_of(0));
    Senders senders(fleet, work,
                    {.from = {work.ground().attackers.front()},
                     .to = {work.ground().victim},
                     .envelope_size = wire::kEnvelopeSizeMax,
                     .per_second = 1'000,
                     .may_meet = {ErrorCode::rate_limited}});
    look_until_over(work, fleet, [&] { senders.look(); });
  };
  enemy.judge = [](const Watched& watched, Problems& problems) {
    if (static_cast<double>(watched.done.taken) > submits_allowed(watched)) {
      problems.push_back(std::to_string(watched.done.taken) + " envelopes were taken in");
    }
  };
  return enemy;
}

// Each of its submits is a thousand envelopes for the relay.
Enemy flood_of_many() {
  Enemy enemy;
  enemy.name = "floods-a-crowd";
  enemy.does = "a device that submits 100 times a second to 1,024 recipients at once";
  enemy.memory_max = relay::kStagedBytesMax + relay::kWriteQueueMaxBytes;
  enemy.prepare = [](Ground& ground, support::Fleet& fleet) {
    for (std::size_t i = 0; i < wire::kRecipientsMax; ++i) {
      ground.crowd.push_back(support::enrolled(fleet, kCrowdSeed + i));
    }
  };
  enemy.attack = [](Work& work) {
    support::Fleet fleet(work.ground().relay);
    fleet.set_from(address_of(0));
    Senders senders(fleet, work,
                    {.from = {work.ground().attackers.front()},
                     .to = work.ground().crowd,
                     .to_each = true,
                     .envelope_size = kTextSize,
                     .per_second = 100,
                     .may_meet = {ErrorCode::rate_limited}});
    look_until_over(work, fleet, [&] { senders.look(); });
  };
  enemy.judge = [](const Watched& watched, Problems& problems) {
    const double tokens = static_cast<double>(wire::kRecipientsMax / relay::kRecipientsPerToken);
    if (static_cast<double>(watched.done.taken) > submits_allowed(watched) / tokens + 1) {
      problems.push_back(std::to_string(watched.done.taken) + " submits to all were taken in");
    }
  };
  return enemy;
}

}  // namespace

std::vector<Enemy> enemies_with_sessions() {
  std::vector<Enemy> all = slow_ones();
  all.push_back(slow_farewell());
  all.push_back(slow_readers());
  all.push_back(acks_nothing());
  all.push_back(logs_in_again());
  all.push_back(flood_of_one());
  all.push_back(flood_of_many());
  return all;
}

}  // namespace godwit::enemies
