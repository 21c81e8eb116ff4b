// load/stage: where a part of a load hears when to begin its next phase, so that all parts are in
// step: at once when it is the only one, else when the last of them has arrived.
// Thread:  that of the part.
#pragma once

#include "tools/load/chaos.hpp"
#include "tools/load/meter.hpp"

namespace godwit::load {

class Stage {
 public:
  virtual ~Stage() = default;
  // The part is done with what came before. `seconds`: how long the phase will take, for the line
  // of progress; 0: unknown.
  virtual void arrive(Phase phase, double seconds) = 0;
  // Whether the phase that it arrived at has begun.
  [[nodiscard]] virtual bool begun() = 0;
  // Called every few milliseconds.
  virtual void tick(Clock::time_point now) = 0;
};

// A run of one part, in this process: the meter reads its tally as it stands.
class OnlyStage final : public Stage {
 public:
  OnlyStage(Meter& meter, Chaos& chaos) : meter_(meter), chaos_(chaos) {}
  void arrive(Phase phase, double seconds) override {
    meter_.begin(phase, seconds);
    chaos_.enter(phase);
  }
  [[nodiscard]] bool begun() override { return true; }
  void tick(Clock::time_point now) override {
    if (meter_.due(now)) meter_.sample();
    chaos_.tick(now);
  }

 private:
  Meter& meter_;
  Chaos& chaos_;
};

}  // namespace godwit::load
