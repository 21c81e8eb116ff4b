#include "tests/support/relay_process.hpp"

#include <doctest/doctest.h>

#include "relay/config.hpp"

namespace godwit::support {
namespace {

TEST_SUITE("tests/support/relay_process") {
  TEST_CASE("a setting is changed in its section, and nothing else is") {
    const std::string before = relay::config_text({});
    const std::string after = with_setting(before, "rates.submits_burst", "77");
    const auto config = relay::parse_config(after);
    REQUIRE(config);
    CHECK(config->submits_burst == 77);
    CHECK(with_setting(after, "rates.submits_burst",
                       std::to_string(relay::Config{}.submits_burst)) == before);
  }

  TEST_CASE("a setting or a section that is not there is added") {
    const std::string text = with_setting("[limits]\n", "limits.devices_max", "3");
    CHECK(text == "[limits]\ndevices_max = 3\n");
    CHECK(with_setting(text, "log.level", "\"error\"") ==
          "[limits]\ndevices_max = 3\n[log]\nlevel = \"error\"\n");
  }

  TEST_CASE("a key that begins like another is not taken for it") {
    const std::string text = with_setting("[a]\nkey_max = 1\n[b]\nkey = 2\n", "a.key", "9");
    CHECK(text == "[a]\nkey = 9\nkey_max = 1\n[b]\nkey = 2\n");
  }

  TEST_CASE("a temporary directory goes with everything in it") {
    std::filesystem::path path;
    {
      const TemporaryDirectory directory{Medium::disk};
      path = directory.path();
      REQUIRE(std::filesystem::create_directories(path / "a" / "b"));
    }
    CHECK_FALSE(std::filesystem::exists(path));
  }
}

}  // namespace
}  // namespace godwit::support
