// Noise vectors of three other implementations: each message as its writer makes it, and as its
// reader takes it from the file, so that neither of our ends can lean on the other's mistake.
#include <doctest/doctest.h>

#include <algorithm>

#include "schema/wire/noise_handshake.hpp"
#include "schema/wire/x25519.hpp"
#include "tests/vectors/vector_files.hpp"

using namespace godwit::vectors;
using namespace godwit::wire;

namespace {

std::optional<NoisePattern> pattern_of(const std::string& protocol_name) {
  if (protocol_name == "Noise_X_25519_ChaChaPoly_BLAKE2b") return NoisePattern::X;
  if (protocol_name == "Noise_IK_25519_ChaChaPoly_BLAKE2b") return NoisePattern::IK;
  if (protocol_name == "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2b") return NoisePattern::IKpsk2;
  return {};
}

KeyPair pair_of(const Json& secret) {
  return key_pair_of(fixed_from_hex<SecretKey>(secret));
}

// `end`: "init" or "resp", as the keys of the file begin.
HandshakeConfig config_of(const Json& vector, NoisePattern pattern, const std::string& end,
                          ByteView prologue) {
  HandshakeConfig config;
  config.pattern = pattern;
  config.role = end == "init" ? NoiseRole::initiator : NoiseRole::responder;
  config.prologue = prologue;
  config.own = pair_of(vector.at(end + "_static"));
  if (config.role == NoiseRole::initiator) {
    config.remote_static = fixed_from_hex<Key>(vector.at("init_remote_static"));
  }
  if (pattern == NoisePattern::IKpsk2) {
    config.psk = fixed_from_hex<SecretKey>(vector.at(end + "_psks").at(0));
  }
  if (vector.contains(end + "_ephemeral")) {
    config.ephemeral = pair_of(vector.at(end + "_ephemeral"));
  }
  return config;
}

void check_handshake_message(HandshakeState& writer, HandshakeState& reader, const Json& message) {
  const Bytes payload = from_hex(message.at("payload"));
  const Bytes ciphertext = from_hex(message.at("ciphertext"));
  Bytes written;
  REQUIRE(writer.write(payload, written));
  CHECK(written == ciphertext);
  const auto read = reader.read(ciphertext);
  REQUIRE(read);
  CHECK(*read == payload);
}

void check_transport_message(CipherState& writer, CipherState& reader, const Json& message) {
  const Bytes payload = from_hex(message.at("payload"));
  const Bytes ciphertext = from_hex(message.at("ciphertext"));
  Bytes sealed(payload.size() + kNoiseTagSize);
  REQUIRE(writer.seal(sealed, {}, payload));
  CHECK(sealed == ciphertext);
  Bytes opened(payload.size());
  REQUIRE(reader.open(opened, {}, ciphertext));
  CHECK(opened == payload);
}

void check_vector(const Json& vector, NoisePattern pattern) {
  const Bytes initiator_prologue = from_hex(vector.at("init_prologue"));
  const Bytes responder_prologue = from_hex(vector.at("resp_prologue"));
  HandshakeState initiator(config_of(vector, pattern, "init", initiator_prologue));
  HandshakeState responder(config_of(vector, pattern, "resp", responder_prologue));

  const Json& messages = vector.at("messages");
  std::size_t next = 0;
  while (!initiator.complete()) {
    const bool from_initiator = initiator.writes_next();
    check_handshake_message(from_initiator ? initiator : responder,
                            from_initiator ? responder : initiator, messages.at(next++));
  }
  REQUIRE(responder.complete());
  CHECK(initiator.hash() == responder.hash());
  CHECK(responder.remote_static() == pair_of(vector.at("init_static")).public_key);
  if (vector.contains("handshake_hash")) {
    CHECK(std::ranges::equal(initiator.hash(), from_hex(vector.at("handshake_hash"))));
  }

  auto initiator_ciphers = initiator.split();
  auto responder_ciphers = responder.split();
  REQUIRE(next < messages.size());
  for (; next < messages.size(); ++next) {
    if (pattern == NoisePattern::X || next % 2 == 0) {
      check_transport_message(initiator_ciphers.send, responder_ciphers.receive, messages.at(next));
    } else {
      check_transport_message(responder_ciphers.send, initiator_ciphers.receive, messages.at(next));
    }
  }
}

std::size_t check_noise(const Json& file) {
  std::size_t checked = 0;
  for (const Json& vector : file.at("vectors")) {
    const auto name = vector.at("protocol_name").get<std::string>();
    const auto pattern = pattern_of(name);
    if (!pattern) continue;
    INFO("protocol: " << name);
    check_vector(vector, *pattern);
    ++checked;
  }
  return checked;
}

}  // namespace

TEST_SUITE_BEGIN("vectors/noise");

TEST_CASE("both roles speak what cacophony speaks") {
  check_file("noise_cacophony.json", check_noise);
}

TEST_CASE("both roles speak what snow speaks") {
  check_file("noise_snow.json", check_noise);
}

TEST_CASE("both roles speak what noise-c speaks") {
  check_file("noise_noisec.json", check_noise);
}

TEST_SUITE_END();
