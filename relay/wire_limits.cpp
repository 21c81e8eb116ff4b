// What of the settings Welcome carries; apart from reading and writing them, so that the path of a
// message knows nothing of files.
#include "relay/config.hpp"
#include "relay/limits.hpp"
#include "schema/wire/limits.hpp"

namespace godwit::relay {

wire::Limits Config::wire_limits() const {
  return {
      .frame_size_max = static_cast<std::uint32_t>(wire::kFrameSizeMax),
      .envelope_size_max = envelope_size_max,
      .text_size_max = text_size_max,
      .media_size_max = media_size_max,
      .group_members_max = group_members_max,
      .devices_max = devices_max,
      .ttl_default_s = ttl_default_s,
      .ttl_max_s = ttl_max_s,
      .mailbox_envelopes_max = mailbox_envelopes_max,
      .mailbox_bytes_max = mailbox_bytes_max,
      .window_envelopes = window_envelopes,
      .window_bytes = window_bytes,
      .submits_in_flight_max = submits_in_flight_max,
      .submits_per_s = submits_per_s,
      .submits_burst = submits_burst,
      .one_time_keys_max = kOneTimeKeysMax,
  };
}

}  // namespace godwit::relay
