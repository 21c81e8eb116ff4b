// The sealed record of the device's database, against the vector of the design's model.

#include "client-sdk/src/crypto/at_rest.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "schema/wire/hash.hpp"
#include "tests/vectors/vector_files.hpp"

using namespace godwit;
using namespace godwit::vectors;

TEST_SUITE_BEGIN("vectors/at_rest");

TEST_CASE("a record is sealed to the bytes of the vector, and opens again") {
  wire::init_crypto();
  check_file("design_kat.json", [](const Json& file) {
    const Json& vector = file.at("record");
    const auto table = vector.at("table").get<std::string>();
    const std::string_view tables[] = {"another", table};
    const crypto::RecordKeys keys(fixed_from_hex<wire::SecretKey>(vector.at("dek")),
                                  vector.at("kid").get<std::uint32_t>(), tables);
    const wire::Bytes key = from_hex(vector.at("key"));
    const wire::Bytes value = from_hex(vector.at("value"));
    crypto::Nonce nonce;
    std::ranges::copy(from_hex(vector.at("nonce")), nonce.begin());

    wire::Bytes record(value.size() + crypto::kRecordOverhead);
    keys.seal(record, 1, key, nonce, value);
    CHECK(record == from_hex(vector.at("record")));

    wire::Bytes opened(value.size());
    REQUIRE(crypto::kid_of(record) == keys.kid());
    CHECK(keys.open(opened, 1, key, record));
    CHECK(opened == value);
    CHECK_FALSE(keys.open(opened, 0, key, record));  // another table
    return std::size_t{1};
  });
}

TEST_SUITE_END();
