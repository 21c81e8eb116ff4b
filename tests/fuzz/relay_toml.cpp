// relay.toml. A file that is taken is written as one that is taken and says the same; one that is
// refused is refused with its faults.
// About: relay/config.cpp relay/quantity.cpp relay/nearest.cpp
#include "relay/config.hpp"
#include "tests/fuzz/fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace godwit;
  fuzz::Input in(data, size);
  const auto config = relay::parse_config(fuzz::text_of(in.rest()));
  if (!config) {
    fuzz::require(!config.error().empty(), "a refusal names a fault");
    for (const auto& fault : config.error()) {
      fuzz::require(!fault.what.empty(), "a fault says what it is");
    }
    return 0;
  }
  const std::string written = relay::config_text(*config);
  const auto again = relay::parse_config(written);
  fuzz::require(again.has_value(), "what was read is written as what is read");
  fuzz::require(relay::config_text(*again) == written, "it says the same");
  static_cast<void>(config->wire_limits());
  return 0;
}
