// sim/watch: sees every frame between devices and relay. An oracle of its own: when the relay says
// *accepted*, the envelope is on its disk or the device has acknowledged it (P1); when it confirms
// an ack, the envelope is gone (P4). And the relay's lies, where a plan has them. Owns:    what it
// remembers of the frames, the hash of all of them. Thread:  one.
#pragma once

#include <functional>
#include <map>
#include <set>

#include "tests/sim/world.hpp"

namespace godwit::sim {

class Watch final : public Wiretap {
 public:
  using Tell = std::function<void(const std::string&)>;
  Watch(World& world, Draws draws, Tell tell, Tell wrong)
      : world_(world), draws_(draws), tell_(std::move(tell)), wrong_(std::move(wrong)) {}

  // Frames are told one by one; else only the acts.
  void set_verbose(bool verbose) { verbose_ = verbose; }
  void set_lying(bool lying);
  // So many envelopes were lost, which only later messages bring to light.
  [[nodiscard]] std::uint64_t taken() const { return taken_; }
  // Something came in that no honest relay sends.
  [[nodiscard]] bool forged_something() const { return forged_something_; }
  // Of every frame, in order, with its time: the run, in one number.
  [[nodiscard]] std::uint64_t hash() const { return hash_; }

  [[nodiscard]] bool on_up(Home& home, wire::ByteView frame) override;
  [[nodiscard]] std::vector<wire::Bytes> on_down(Home& home, wire::Bytes frame) override;

 private:
  using Hash = std::uint64_t;  // of an envelope
  struct Submitted {
    wire::RequestId request;
    std::vector<std::pair<wire::DeviceId, Hash>> envelopes;  // in the order of the recipients
  };

  void note(Home& home, bool up, wire::ByteView frame, const std::string& what);
  void on_submitted(Home& home, std::uint32_t request, const wire::Submitted& reply);
  [[nodiscard]] std::vector<wire::Bytes> lie(Home& home, wire::Bytes frame,
                                             const wire::RelayFrame& parsed);
  void forge_ack(Home& home, std::uint32_t number);
  void acknowledge(Home& home, std::uint32_t request, const wire::Ack& ack);
  void on_done(Home& home, std::uint32_t request);

  World& world_;
  Draws draws_;
  Tell tell_, wrong_;
  bool verbose_ = false;
  bool lying_ = false;
  std::uint64_t taken_ = 0;
  bool forged_something_ = false;
  Hash hash_ = 0;

  struct Seen {  // of one home
    wire::DeviceId device;
    std::map<std::uint32_t, Submitted> submits;       // by request of the connection
    std::map<std::uint32_t, Hash> delivered;          // by number of the connection
    std::map<std::uint32_t, std::vector<Hash>> acks;  // by request of the connection
    std::set<Hash> acknowledged;
    std::optional<wire::Bytes> held_back;  // a frame that the next one overtakes
    std::vector<wire::Bytes> earlier;
  };
  std::map<std::pair<wire::DeviceId, Hash>, wire::RequestId> requests_;
  std::map<std::string, Seen> seen_;  // by the name of the home: the same order in every run
};

}  // namespace godwit::sim
