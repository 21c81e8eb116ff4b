#include "client-sdk/src/crypto/sequence.hpp"

#include <doctest/doctest.h>

#include "tests/unit/client-sdk/crypto/peers.hpp"

namespace godwit::crypto {

TEST_SUITE("client-sdk/src/crypto/sequence") {
  TEST_CASE("padding goes to the next step and comes off again") {
    struct Case {
      std::size_t size;
      std::size_t padded;
    };
    const Case cases[] = {{0, 256},        {1, 256},         {254, 256},      {255, 256},
                          {256, 512},      {257, 512},       {3'839, 3'840},  {3'840, 4'096},
                          {4'095, 4'096},  {4'096, 8'192},   {4'097, 8'192},  {8'191, 8'192},
                          {8'192, 12'288}, {65'535, 65'536}, {65'536, 69'632}};
    for (const Case& each : cases) {
      INFO("size: " << each.size);
      const wire::Bytes plaintext(each.size, 0x80);  // looks like the padding's own mark
      wire::Bytes padded = pad(plaintext);
      CHECK(padded.size() == each.padded);
      CHECK(unpad(padded));
      CHECK(padded == plaintext);
    }
  }

  TEST_CASE("every length keeps its bytes, and shows its step only") {
    std::size_t before = 0;
    for (std::size_t size = 0; size <= 9'000; ++size) {
      const wire::Bytes plaintext(size, 0);
      wire::Bytes padded = pad(plaintext);
      CHECK(padded.size() > size);
      CHECK(padded.size() % (padded.size() <= 4'096 ? 256 : 4'096) == 0);
      CHECK(padded.size() >= before);
      before = padded.size();
      CHECK(unpad(padded));
      CHECK(padded.size() == size);
    }
  }

  TEST_CASE("what was not padded by us is refused and stays as it is") {
    const auto refused = [](wire::Bytes bytes) {
      const wire::Bytes before = bytes;
      CHECK_FALSE(unpad(bytes));
      CHECK(bytes == before);
    };
    refused({});
    refused(wire::Bytes(256, 0));       // no mark
    refused(wire::Bytes(256, 1));       // another mark
    refused(wire::Bytes(255, 0x80));    // no step
    refused(wire::Bytes(4'352, 0x80));  // a small step in a large message
    wire::Bytes far = pad(wire::Bytes(10, 1));
    far.resize(512);  // the mark is not in the last step
    refused(far);
  }

  TEST_CASE("the chain shows a payload that was changed, dropped, swapped or cut elsewhere") {
    const wire::Hash32 zeros;
    const auto of = [&](std::initializer_list<std::string_view> payloads) {
      wire::Hash32 hash = zeros;
      for (const std::string_view payload : payloads) {
        hash = chain(hash, wire::as_bytes(payload));
      }
      return hash;
    };
    const wire::Hash32 whole = of({"one", "two"});
    CHECK(whole == of({"one", "two"}));
    CHECK(whole != of({"one", "twp"}));
    CHECK(whole != of({"two"}));
    CHECK(whole != of({"two", "one"}));
    CHECK(whole != of({"on", "etwo"}));
    CHECK(whole != of({"one", "two", ""}));
  }
}

}  // namespace godwit::crypto
