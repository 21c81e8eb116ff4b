// bench/sdk_rates: messages per second through a core over a home on a real disk, and what of it is
// the cryptography of the messages themselves.
#include <doctest/doctest.h>

#include <algorithm>

#include "client-sdk/src/crypto/sealed.hpp"
#include "client-sdk/src/crypto/sequence.hpp"
#include "client-sdk/src/crypto/session.hpp"
#include "schema/wire/hash.hpp"
#include "tests/bench/sdk_stage.hpp"
#include "tests/bench/stage.hpp"

namespace godwit::bench {
namespace {

constexpr std::size_t kRuns = 5;
constexpr std::size_t kTextSize = 100;

std::vector<std::string> texts_of(std::size_t count, std::size_t first) {
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < count; ++i) {
    std::string text = "message " + std::to_string(first + i) + " ";
    text.resize(kTextSize, '.');
    texts.push_back(std::move(text));
  }
  return texts;
}

struct Run {
  std::size_t messages = 0;
  Spent first;  // the round that encrypts or decrypts
  Spent rest;   // all others of the device, until both sides have nothing left to say
};

void print_rates(const std::string& what, const std::string& rest, const std::vector<Run>& runs,
                 const std::string& bar) {
  const auto over = [&](auto figure) {
    std::vector<double> values;
    for (const Run& run : runs) values.push_back(figure(run, static_cast<double>(run.messages)));
    return median(std::move(values));
  };
  print_row(what + ": rate", over([](const Run& r, double n) { return n / r.first.wall_s; }),
            "messages/s", bar);
  print_row(what + ": processor",
            over([](const Run& r, double n) { return r.first.cpu_s * 1e6 / n; }),
            "CPU-s per million");
  print_row(what + ", " + rest + ": rate",
            over([](const Run& r, double n) { return n / (r.first.wall_s + r.rest.wall_s); }),
            "messages/s");
  print_row(what + ", " + rest + ": processor",
            over([](const Run& r, double n) { return (r.first.cpu_s + r.rest.cpu_s) * 1e6 / n; }),
            "CPU-s per million");
}

// Two people who have talked before: contacts, an answered session, names known.
struct Pair {
  Pair() : device(relay, "device", directory.path() / "home"), peer(relay, "peer") {
    Spent ignored;
    device.send(ignored, "peer", {"hello"});
    settle(device, ignored, peer);
    peer.send(ignored, "device", {"hello yourself"});
    settle(device, ignored, peer);
    REQUIRE(device.settled());
    REQUIRE(device.received == 1);
  }
  support::TemporaryDirectory directory{support::Medium::disk};
  EagerRelay relay;
  Side device;
  Side peer;
};

Run send_run(Pair& pair, std::size_t messages, std::size_t batch) {
  Run run{messages, {}, {}};
  const std::size_t before = pair.device.delivered;
  for (std::size_t sent = 0; sent < messages; sent += batch) {
    pair.device.send(run.first, "peer", texts_of(batch, sent));
    settle(pair.device, run.rest, pair.peer);
  }
  REQUIRE(pair.device.delivered == before + messages);
  return run;
}

Run receive_run(Pair& pair, std::size_t messages, std::size_t batch) {
  Run run{messages, {}, {}};
  Spent ignored;
  const std::size_t before = pair.device.received;
  for (std::size_t sent = 0; sent < messages; sent += batch) {
    pair.peer.send(ignored, "device", texts_of(batch, sent));
    REQUIRE(pair.device.waiting.size() >= batch);
    (void)pair.device.take_all(run.first);
    settle(pair.device, run.rest, pair.peer);
  }
  REQUIRE(pair.device.received == before + messages);
  return run;
}

template <class One>
std::vector<Run> runs_of(const One& one) {
  std::vector<Run> runs;
  for (std::size_t i = 0; i < kRuns; ++i) runs.push_back(one());
  return runs;
}

// What one Diffie-Hellman costs: a message needs two to be sealed, one to be opened.
double x25519_us() {
  constexpr std::size_t kTimes = crypto::StaticDh::kPairsMax;
  const auto own = crypto::DhKey::draw(wire::random_bytes);
  std::vector<wire::Key> peers;
  for (std::size_t i = 0; i < kTimes; ++i) {
    peers.push_back(crypto::DhKey::draw(wire::random_bytes).public_key());
  }
  crypto::StaticDh kept;
  Spent spent;
  {
    const Timed timed(spent);
    for (const auto& peer : peers) REQUIRE(kept.of(own, peer));
  }
  return per_million(spent.cpu_s, kTimes);
}

// Two ends of a session without anything around them.
class Ends {
 public:
  Ends()
      : alice_(crypto::DeviceKeys::draw(wire::random_bytes)),
        bob_(crypto::DeviceKeys::draw(wire::random_bytes)),
        prekey_(crypto::DhKey::draw(wire::random_bytes)),
        seal_key_(crypto::DhKey::draw(wire::random_bytes)),
        alice_dh_(crypto::dh_key_of(alice_.identity())),
        bob_dh_(crypto::dh_key_of(bob_.identity())),
        alice_side_(make_alice()),
        bob_side_(make_bob()) {
    Spent ignored;
    pass(ignored, ignored);
    reply();
  }

  // A message of alice's: how long it took her, and him.
  void pass(Spent& sealing, Spent& opening) {
    wire::Bytes envelope;
    {
      const Timed timed(sealing);
      envelope = seal(alice_side_, bob_.device_id(), alice_dh_, alice_user_, alice_kept_);
    }
    const Timed timed(opening);
    open(envelope, bob_side_, bob_.device_id(), bob_kept_);
  }
  // The ratchet takes a step.
  void reply() {
    const auto envelope = seal(bob_side_, alice_.device_id(), bob_dh_, bob_user_, bob_kept_);
    open(envelope, alice_side_, alice_.device_id(), alice_kept_);
  }

 private:
  [[nodiscard]] crypto::Session make_alice() const {
    const wire::SignedKey bundle{1, 0, 0, prekey_.public_key(), {}};
    auto made = crypto::Session::initiate(alice_.identity(), alice_user_,
                                          {bob_user_, bob_.identity().public_key()}, bundle, {}, 1,
                                          wire::random_bytes);
    REQUIRE(made);
    return std::move(*made);
  }
  [[nodiscard]] crypto::Session make_bob() const {
    auto made = crypto::Session::respond(bob_.identity(), bob_user_,
                                         {alice_user_, alice_.identity().public_key()},
                                         alice_side_.header(), prekey_, nullptr);
    REQUIRE(made);
    return std::move(*made);
  }
  // One key to seal to serves both.
  [[nodiscard]] wire::Bytes seal(crypto::Session& session, const wire::DeviceId& to,
                                 const crypto::DhKey& own, const wire::UserId& own_user,
                                 crypto::StaticDh& kept) const {
    const wire::Bytes inner = session.encrypt(padded_, wire::random_bytes);
    auto sealed = crypto::seal({to, 1, seal_key_.public_key()}, own, own_user, inner,
                               wire::random_bytes, kept);
    REQUIRE(sealed);
    return std::move(*sealed);
  }
  void open(wire::ByteView envelope, crypto::Session& session, const wire::DeviceId& own,
            crypto::StaticDh& kept) const {
    const auto unsealed = crypto::unseal(envelope, own, seal_key_, kept);
    REQUIRE(unsealed);
    const auto inner = crypto::parse_inner(unsealed->inner);
    REQUIRE(inner);
    REQUIRE(session.decrypt(inner->ratchet, wire::random_bytes));
  }

  wire::UserId alice_user_{{1}}, bob_user_{{2}};
  wire::Bytes padded_ = crypto::pad(wire::Bytes(kTextSize + 60, 0x5a));
  crypto::DeviceKeys alice_, bob_;
  crypto::DhKey prekey_, seal_key_, alice_dh_, bob_dh_;
  crypto::StaticDh alice_kept_, bob_kept_;
  crypto::Session alice_side_, bob_side_;
};

}  // namespace

void bench_sdk_crypto(const Plan& plan) {
  const std::size_t messages = plan.pick<std::size_t>(20'000, 2'000);
  print_heading("Cryptography alone: session and sealed envelope, texts of 100 bytes");
  print_row("one X25519", x25519_us(), "CPU-us each");
  Ends ends;
  for (const std::size_t turn : {std::size_t{100}, std::size_t{1}}) {
    Spent sealing, opening;
    for (std::size_t i = 0; i < messages; ++i) {
      ends.pass(sealing, opening);
      if (i % turn == turn - 1) ends.reply();
    }
    const std::string after =
        turn == 1 ? ", an answer after each" : ", an answer after " + std::to_string(turn);
    print_row("encrypt and seal" + after, per_million(sealing.cpu_s, messages), "CPU-us each");
    print_row("unseal and decrypt" + after, per_million(opening.cpu_s, messages), "CPU-us each",
              turn == 1 ? "" : "35");
  }
}

void bench_sdk_rates(const Plan& plan) {
  for (const std::size_t batch : {std::size_t{1}, std::size_t{100}}) {
    const std::size_t messages =
        batch == 1 ? plan.pick<std::size_t>(500, 100) : plan.pick<std::size_t>(5'000, 1'000);
    print_heading("A core over a home on disk, batches of " + std::to_string(batch) +
                  " (one synced commit each); median of " + std::to_string(kRuns) + " runs");
    Pair pair;
    print_rates("send", "until delivered", runs_of([&] { return send_run(pair, messages, batch); }),
                "");
    print_rates("receive", "until its receipt is accepted",
                runs_of([&] { return receive_run(pair, messages, batch); }),
                batch == 1 ? "" : "12,000");
  }
}

}  // namespace godwit::bench
