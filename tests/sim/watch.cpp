#include "tests/sim/watch.hpp"

#include "schema/wire/codec.hpp"
#include "schema/wire/hash.hpp"

namespace godwit::sim {
namespace {

constexpr wire::SipKey kHashKey{2};
constexpr std::size_t kEarlierMax = 8;
constexpr std::uint32_t kNobodysRequest = 0xffff'fff0;  // so that the answer means nothing

std::uint64_t hash_of(wire::ByteView bytes) {
  return wire::siphash(kHashKey, bytes);
}

wire::Bytes encoded(const wire::RelayFrame& frame) {
  wire::Encoder encoder;
  const wire::ByteView bytes = encoder.encode(frame);
  return {bytes.begin(), bytes.end()};
}

std::string kind_of(const wire::Request& request) {
  constexpr std::array kNames{"Login",      "Register", "PutDevices", "PutKeys", "GetUser",
                              "GetPrekeys", "SetName",  "Submit",     "Ack",     "Ping"};
  return kNames[request.body.index()];
}

std::string kind_of(const wire::RelayFrame& frame) {
  constexpr std::array kNames{"Refused",   "Welcome", "Done",     "User",    "Prekeys",
                              "Submitted", "Deliver", "CaughtUp", "KeysLow", "Closing"};
  std::string name = kNames[frame.body.index()];
  if (const auto* refused = std::get_if<wire::Refused>(&frame.body)) {
    name += " " + std::string(wire::name_of(refused->code));
  }
  if (const auto* closing = std::get_if<wire::Closing>(&frame.body)) {
    name += " " + std::string(wire::name_of(closing->code));
  }
  if (const auto* deliver = std::get_if<wire::Deliver>(&frame.body)) {
    name += " " + std::to_string(deliver->number);
  }
  return name;
}

}  // namespace

void Watch::set_lying(bool lying) {
  lying_ = lying;
  if (lying) return;
  for (auto& [name, seen] : seen_) seen.held_back.reset();
}

void Watch::note(Home& home, bool up, wire::ByteView frame, const std::string& what) {
  const auto now = static_cast<std::uint64_t>(world_.agenda.now().count());
  const std::array<std::uint64_t, 4> words{hash_, now, up ? 1u : 0u, hash_of(frame)};
  hash_ = hash_of({reinterpret_cast<const std::uint8_t*>(words.data()), sizeof words});
  const bool idle = what == "Ping" || what == "Done";
  if (verbose_ && !idle)
    tell_((up ? "  " + home.name() + " > " : "  " + home.name() + " < ") + what);
}

// ---- What devices send --------------------------------------------------------------------------

bool Watch::on_up(Home& home, wire::ByteView frame) {
  const auto request = wire::parse_request(frame);
  if (!request) {
    wrong_(home.name() + " sends what the relay's codec refuses");
    return true;
  }
  note(home, true, frame, verbose_ ? kind_of(*request) : "");
  Seen& seen = seen_[home.name()];
  if (const auto* login = std::get_if<wire::Login>(&request->body)) seen.device = login->device;
  if (const auto* enlist = std::get_if<wire::Register>(&request->body)) {
    seen.device = enlist->device;
  }
  if (const auto* ack = std::get_if<wire::Ack>(&request->body))
    acknowledge(home, request->id, *ack);
  const auto* const submit = std::get_if<wire::Submit>(&request->body);
  if (submit == nullptr) return true;
  Submitted& known = seen.submits[request->id];
  known.request = submit->request_id;
  known.envelopes.clear();
  for (const auto& recipient : submit->recipients) {
    const Hash envelope = hash_of(submit->bodies[recipient.body]);
    known.envelopes.emplace_back(recipient.device, envelope);
    requests_[{recipient.device, envelope}] = submit->request_id;
  }
  if (!lying_ || !draws_.chance(6)) return true;
  // *Accepted*, and nobody will ever hear of it.
  tell_("the relay accepts and forgets a message of " + home.name());
  ++taken_;
  wire::Submitted reply;
  reply.outcomes.resize(submit->recipients.size());
  home.inject(encoded({request->id, std::move(reply)}));
  return false;
}

void Watch::acknowledge(Home& home, std::uint32_t request, const wire::Ack& ack) {
  Seen& seen = seen_[home.name()];
  auto& envelopes = seen.acks[request];
  envelopes.clear();
  std::erase_if(seen.delivered, [&](const auto& one) {
    const auto& [number, envelope] = one;
    const bool listed = std::ranges::find(ack.numbers, number) != ack.numbers.end();
    if (number > ack.upto && !listed) return false;
    seen.acknowledged.insert(envelope);
    envelopes.push_back(envelope);
    return true;
  });
}

// ---- What the relay sends -----------------------------------------------------------------------

std::vector<wire::Bytes> Watch::on_down(Home& home, wire::Bytes frame) {
  std::vector<wire::Bytes> frames;
  const auto parsed = wire::parse_relay_frame(frame);
  if (!parsed) {
    wrong_("the relay sends what the devices' codec refuses");
    return frames;
  }
  note(home, false, frame, verbose_ ? kind_of(*parsed) : "");
  if (const auto* reply = std::get_if<wire::Submitted>(&parsed->body)) {
    on_submitted(home, parsed->request, *reply);
  }
  if (std::holds_alternative<wire::Done>(parsed->body)) on_done(home, parsed->request);
  if (std::holds_alternative<wire::Welcome>(parsed->body)) {  // numbers begin anew
    seen_[home.name()].delivered.clear();
    seen_[home.name()].acks.clear();
  }
  if (const auto* deliver = std::get_if<wire::Deliver>(&parsed->body)) {
    seen_[home.name()].delivered[deliver->number] = hash_of(deliver->envelope);
  }
  if (lying_) return lie(home, std::move(frame), *parsed);
  frames.push_back(std::move(frame));
  return frames;
}

// P1: accepted means durable.
void Watch::on_submitted(Home& home, std::uint32_t request, const wire::Submitted& reply) {
  const auto& submits = seen_[home.name()].submits;
  const auto found = submits.find(request);
  if (found == submits.end()) return wrong_("the relay answers a submit that nobody made");
  const Submitted& submit = found->second;
  if (reply.outcomes.size() != submit.envelopes.size()) {
    return wrong_("the relay answers for other recipients than it was asked about");
  }
  for (std::size_t i = 0; i < reply.outcomes.size(); ++i) {
    if (reply.outcomes[i].code != wire::ErrorCode::ok) continue;
    const auto& [device, envelope] = submit.envelopes[i];
    const bool there = std::ranges::any_of(seen_, [&](const auto& one) {
      return one.second.device == device && one.second.acknowledged.contains(envelope);
    });
    if (there || world_.relay.disk().holds(device, submit.request)) continue;
    wrong_("the relay says accepted to " + home.name() +
           ", and has the envelope neither on its disk nor from the device that it has it");
  }
}

// P4: gone after ack. A retry that came after a restart, or after the record had rotted, may have
// brought it back, which the device will not show twice; so only of relays that met neither.
void Watch::on_done(Home& home, std::uint32_t request) {
  Seen& seen = seen_[home.name()];
  const auto acked = seen.acks.extract(request);
  if (!acked || lying_ || world_.relay.crashes() > 0 || world_.relay.disk().rotted()) return;
  for (const Hash envelope : acked.mapped()) {
    const auto known = requests_.find({seen.device, envelope});
    if (known == requests_.end()) continue;  // from before this world began
    // Refused after it was pushed, sent again, and pushed again under another number: that one is
    // still to be acknowledged, or its ack to be confirmed.
    const bool again =
        std::ranges::any_of(seen.delivered,
                            [&](const auto& one) { return one.second == envelope; }) ||
        std::ranges::any_of(seen.acks, [&](const auto& one) {
          return std::ranges::find(one.second, envelope) != one.second.end();
        });
    if (again) continue;
    if (!world_.relay.disk().holds(seen.device, known->second)) continue;
    wrong_("the relay confirms an ack of " + home.name() + ", and still has the envelope");
  }
}

// ---- Lies ---------------------------------------------------------------------------------------

void Watch::forge_ack(Home& home, std::uint32_t number) {
  wire::Encoder encoder;
  wire::Ack ack;
  ack.numbers = {number};
  const wire::ByteView frame = encoder.encode(wire::Request{kNobodysRequest, std::move(ack)});
  home.forge({frame.begin(), frame.end()});
  Seen& seen = seen_[home.name()];
  if (const auto known = seen.delivered.find(number); known != seen.delivered.end()) {
    seen.acknowledged.insert(known->second);  // as the relay has it
  }
}

std::vector<wire::Bytes> Watch::lie(Home& home, wire::Bytes frame, const wire::RelayFrame& parsed) {
  std::vector<wire::Bytes> frames;
  const auto* const deliver = std::get_if<wire::Deliver>(&parsed.body);
  if (deliver == nullptr) {
    frames.push_back(std::move(frame));
    return frames;
  }
  const auto say = [&](const std::string& what) {
    tell_("the relay " + what + " a message for " + home.name());
  };
  Seen& seen = seen_[home.name()];
  if (seen.earlier.size() < kEarlierMax) seen.earlier.push_back(frame);
  if (auto held = std::exchange(seen.held_back, std::nullopt)) {
    say("swaps");
    frames.push_back(std::move(frame));
    frames.push_back(*std::move(held));
    return frames;
  }
  switch (draws_.below(20)) {
    case 0:
      say("holds back");  // until the next connection
      return frames;
    case 1:
      say("drops");
      ++taken_;
      forge_ack(home, deliver->number);
      return frames;
    case 2:
      say("doubles");
      frames.push_back(frame);
      break;
    case 3:
      seen.held_back = std::move(frame);
      return frames;
    case 4:
      say("flips a bit of");
      ++taken_;
      forged_something_ = true;
      {
        wire::Bytes envelope(deliver->envelope.begin(), deliver->envelope.end());
        envelope[draws_.below(envelope.size())] ^= static_cast<std::uint8_t>(1u << draws_.below(8));
        frames.push_back(encoded({0, wire::Deliver{deliver->number, envelope}}));
      }
      return frames;
    case 5: {
      // Another's, or an older one, under the number of this one.
      const auto at =
          std::next(seen_.begin(), static_cast<std::ptrdiff_t>(draws_.below(seen_.size())));
      const auto& theirs = at->second.earlier;
      if (theirs.empty()) break;
      say("puts another in the place of");
      ++taken_;
      forged_something_ = forged_something_ || at->first != home.name();
      const auto& other = theirs[draws_.below(theirs.size())];
      const auto old = wire::parse_relay_frame(other);
      const auto envelope = std::get<wire::Deliver>(old->body).envelope;
      frames.push_back(encoded({0, wire::Deliver{deliver->number, envelope}}));
      return frames;
    }
    default:
      break;
  }
  frames.push_back(std::move(frame));
  return frames;
}

}  // namespace godwit::sim
