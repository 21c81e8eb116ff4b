// fuzz/dispatch_requests: requests that an input asks for: of five devices of three users, with
// lists, names, keys and envelopes that fit together often enough to get far.
// Thread: one.
#pragma once

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "schema/wire/codec.hpp"
#include "tests/fuzz/fuzz.hpp"
#include "tests/support/raw_device.hpp"

namespace godwit::fuzz {

using support::Account;

// Users 1 to 3; the first has several devices over time, and the lists that say so.
struct People {
  std::vector<Account> accounts;
  std::vector<wire::SignedList> lists;
  std::array<std::string_view, 5> names{"anna", "Anna", "b.o_b", "x", "a name"};

  People() {
    accounts.push_back(Account::from_seed(1, 3));
    lists.push_back(accounts[0].list);
    lists.push_back(support::next_list(1, lists[0], std::array<std::uint32_t, 2>{0, 1}));
    lists.push_back(support::next_list(1, lists[1], std::array<std::uint32_t, 1>{0}));
    lists.push_back(support::recovered_list(1, &lists[1], 2));
    accounts.push_back(Account::of_device(1, 1, lists[1], 3));
    accounts.push_back(Account::of_device(1, 2, lists[3], 3));
    for (const std::uint64_t seed : {2U, 3U}) {
      accounts.push_back(Account::from_seed(seed, 3));
      lists.push_back(accounts.back().list);
    }
  }
};

inline const People& people() {
  static const People people;
  return people;
}

class Requests {
 public:
  using Body = decltype(wire::Request::body);

  explicit Requests(Input& in) : in_(in) {}

  const Account& someone() { return people().accounts[in_.below(people().accounts.size())]; }
  // Lives until the next call.
  wire::ByteView some_frame() { return frame_of(some_body()); }
  wire::ByteView frame_of(const Body& body) {
    return encoder_.encode(wire::Request{in_.byte(), body});
  }

 private:
  wire::SignedListView some_list() {
    return people().lists[in_.below(people().lists.size())].view();
  }
  std::optional<std::string_view> some_name() {
    if (in_.chance(64)) return {};
    return people().names[in_.below(people().names.size())];
  }
  std::optional<wire::SignedKey> some_key(const wire::SignedKey& key) {
    if (in_.chance(128)) return {};
    wire::SignedKey some = key;
    if (in_.chance(32)) some.key.bytes[0] ^= 1;
    return some;
  }

  Body some_body() {
    const Account& one = someone();
    const Account& other = someone();
    switch (in_.below(12)) {
      case 0:
        return wire::Login{in_.chance(16) ? in_.number<std::uint16_t>() : std::uint16_t{1},
                           one.user, one.device};
      case 1:
        return wire::Register{
            1, one.device, some_list(), one.seal_key, other.signed_prekey, some_name()};
      case 2:
        if (in_.chance(192)) return wire::PutDevices{some_list(), other.version};
        return wire::PutDevices{some_list(), {in_.byte(), in_.byte()}};
      case 3: {
        wire::PutKeys keys{some_key(one.seal_key), some_key(one.signed_prekey), one.one_time};
        for (auto& key : keys.one_time) key.id += 3 * in_.byte();
        std::ranges::sort(keys.one_time, {}, &wire::OneTimeKey::id);
        const auto same_id = [](const auto& a, const auto& b) { return a.id == b.id; };
        keys.one_time.erase(std::unique(keys.one_time.begin(), keys.one_time.end(), same_id),
                            keys.one_time.end());
        return keys;
      }
      case 4: {
        const auto name = some_name();
        if (name) return wire::GetUser{{}, name};
        return wire::GetUser{one.user, {}};
      }
      case 5:
        if (in_.chance(128)) return wire::GetPrekeys{one.user, {}};
        return wire::GetPrekeys{one.user, {one.device, other.device}};
      case 6:
        return wire::SetName{some_name()};
      case 7:
      case 8:
        return some_ack();
      case 9:
        return wire::Ping{};
      default:
        return some_submit();
    }
  }

  wire::Ack some_ack() {
    wire::Ack ack;
    // Numbers beyond the window are refused.
    if (in_.chance(160))
      ack.upto = static_cast<std::uint32_t>(in_.below(in_.chance(16) ? 256 : 10));
    for (std::size_t count = in_.below(4); count > 0; --count) ack.numbers.push_back(in_.byte());
    return ack;
  }

  wire::Submit some_submit() {
    if (!made_.empty() && in_.chance(80)) return made_[in_.below(made_.size())].first;
    wire::Submit submit;
    submit.request_id.bytes[0] = in_.chance(16) ? 1 : static_cast<std::uint8_t>(made_.size());
    submit.ttl_s = in_.chance(32) ? in_.byte() : 0;
    const std::size_t mask = 1 + in_.below(31);
    wire::Bytes body(in_.chance(16) ? 4'000 : 1 + in_.below(64));
    body[0] = static_cast<std::uint8_t>(made_.size());
    submit.bodies = {body};  // of which the bytes stay where they are
    for (std::size_t i = 0; i < people().accounts.size(); ++i) {
      if ((mask >> i & 1) == 0) continue;
      const Account& to = people().accounts[i];
      submit.recipients.push_back({to.user, to.device, to.version, 0});
      if (in_.chance(16)) submit.recipients.back().list.seq += 1 + in_.byte();
    }
    std::ranges::sort(submit.recipients, {}, &wire::Recipient::device);
    made_.emplace_back(submit, std::move(body));
    return submit;
  }

  Input& in_;
  wire::Encoder encoder_;
  std::vector<std::pair<wire::Submit, wire::Bytes>> made_;  // with the body that it has a view of
};

}  // namespace godwit::fuzz
