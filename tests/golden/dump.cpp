#include "tests/golden/dump.hpp"

namespace godwit::test {
namespace {

using namespace wire;  // the values below are all of its types

class Dump {
 public:
  [[nodiscard]] std::string take() { return std::move(out_); }

  template <class... Values>
  void operator()(std::string_view name, const Values&... values) {
    out_.append(name).push_back('(');
    (put(values), ...);
    out_.push_back(')');
  }

 private:
  void put(std::uint64_t value) { out_.append(std::to_string(value)).push_back(' '); }
  void put(ErrorCode code) { out_.append(name_of(code)).push_back(' '); }
  void put(ByteView bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    for (const std::uint8_t byte : bytes) {
      out_.push_back(digits[byte >> 4]);
      out_.push_back(digits[byte & 15]);
    }
    out_.push_back(' ');
  }
  template <class Tag, std::size_t Size>
  void put(const FixedBytes<Tag, Size>& bytes) {
    put(bytes.view());
  }
  void put(std::string_view text) { put(as_bytes(text)); }
  template <class Value>
  void put(const std::optional<Value>& value) {
    if (value) {
      put(*value);
    } else {
      out_.append("none ");
    }
  }
  template <class Value>
  void put(const std::vector<Value>& values) {
    out_.push_back('[');
    for (const Value& value : values) put(value);
    out_.push_back(']');
  }

  void put(const ListVersion& from) { (*this)("version", from.gen, from.seq); }
  void put(const SignedListView& from) {
    (*this)("list", from.root, from.list_key, from.delegation, from.body, from.signature);
  }
  void put(const SignedKey& from) {
    (*this)("key", from.id, from.created, from.expires, from.key, from.signature);
  }
  void put(const OneTimeKey& from) { (*this)("one_time", from.id, from.key); }
  void put(const Recipient& from) {
    (*this)("recipient", from.user, from.device, from.list, from.body);
  }
  void put(const Bundle& from) {
    (*this)("bundle", from.device, from.seal_key, from.signed_prekey, from.one_time);
  }
  void put(const Outcome& from) { (*this)("outcome", from.code, from.list, from.retry_after_ms); }
  void put(const Limits& from) {
    (*this)("limits", from.frame_size_max, from.envelope_size_max, from.text_size_max,
            from.media_size_max, from.group_members_max, from.devices_max, from.ttl_default_s,
            from.ttl_max_s, from.mailbox_envelopes_max, from.mailbox_bytes_max,
            from.window_envelopes, from.window_bytes, from.submits_in_flight_max,
            from.submits_per_s, from.submits_burst, from.one_time_keys_max);
  }

  std::string out_;
};

void dump(Dump& to, const Login& from) {
  to("login", from.version, from.user, from.device);
}
void dump(Dump& to, const Register& from) {
  to("register", from.version, from.device, from.list, from.seal_key, from.signed_prekey,
     from.name);
}
void dump(Dump& to, const PutDevices& from) {
  to("put_devices", from.list, from.expected);
}
void dump(Dump& to, const PutKeys& from) {
  to("put_keys", from.seal_key, from.signed_prekey, from.one_time);
}
void dump(Dump& to, const GetUser& from) {
  to("get_user", from.user, from.name);
}
void dump(Dump& to, const GetPrekeys& from) {
  to("get_prekeys", from.user, from.devices);
}
void dump(Dump& to, const SetName& from) {
  to("set_name", from.name);
}
void dump(Dump& to, const Submit& from) {
  to("submit", from.request_id, from.ttl_s, from.recipients, from.bodies);
}
void dump(Dump& to, const Ack& from) {
  to("ack", from.upto, from.numbers);
}
void dump(Dump& to, const Ping&) {
  to("ping");
}

void dump(Dump& to, const Refused& from) {
  to("refused", from.code, from.retry_after_ms);
}
void dump(Dump& to, const Welcome& from) {
  to("welcome", from.version, from.store_id, from.store_generation, from.relay_time_ms, from.list,
     from.one_time_keys_left, from.name, from.limits, from.replaced, from.own_name);
}
void dump(Dump& to, const Done&) {
  to("done");
}
void dump(Dump& to, const User& from) {
  to("user", from.list);
}
void dump(Dump& to, const Prekeys& from) {
  to("prekeys", from.list, from.bundles);
}
void dump(Dump& to, const Submitted& from) {
  to("submitted", from.outcomes, from.lists);
}
void dump(Dump& to, const Deliver& from) {
  to("deliver", from.number, from.envelope);
}
void dump(Dump& to, const CaughtUp&) {
  to("caught_up");
}
void dump(Dump& to, const KeysLow& from) {
  to("keys_low", from.one_time_keys_left);
}
void dump(Dump& to, const Closing& from) {
  to("closing", from.code, from.retry_after_ms);
}

template <class Body>
[[nodiscard]] std::string text_of_frame(std::uint32_t number, const Body& body) {
  Dump to;
  to("frame", number);
  std::visit([&](const auto& value) { dump(to, value); }, body);
  return to.take();
}

}  // namespace

std::string text_of(const Request& request) {
  return text_of_frame(request.id, request.body);
}

std::string text_of(const RelayFrame& frame) {
  return text_of_frame(frame.request, frame.body);
}

}  // namespace godwit::test
