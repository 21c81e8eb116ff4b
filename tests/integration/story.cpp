#include "tests/integration/story.hpp"

namespace godwit::integration {
namespace {

struct Copy {
  Answer& answer;

  void operator()(const wire::Refused& body) const {
    answer.code = body.code;
    answer.retry_after_ms = body.retry_after_ms;
  }
  void operator()(const wire::Welcome& body) const { answer.welcome = body; }
  void operator()(const wire::Done&) const { answer.done = true; }
  void operator()(const wire::User& body) const {
    add(body.list);
    answer.list = wire::SignedList::copy_of(body.list);
  }
  void operator()(const wire::Prekeys& body) const {
    add(body.list);
    answer.bundles = body.bundles;
  }
  void operator()(const wire::Submitted& body) const {
    answer.outcomes = body.outcomes;
    for (const auto& list : body.lists) add(list);
  }
  template <class Event>
  void operator()(const Event&) const {
    FAIL("an event came as a reply");
  }

 private:
  void add(const wire::SignedListView& list) const {
    answer.lists.emplace_back(list.body.begin(), list.body.end());
  }
};

}  // namespace

Answer Answer::copy_of(const wire::RelayFrame& frame) {
  Answer answer;
  std::visit(Copy{answer}, frame.body);
  return answer;
}

Device::Device(Story& story, Account account)
    : story_(story), raw_(story.fleet, std::move(account)) {
  support::RawDevice::Callbacks calls;
  calls.on_deliver = [this](support::RawDevice& raw, const wire::Deliver& deliver) {
    inbox.push_back({deliver.number, {deliver.envelope.begin(), deliver.envelope.end()}});
    if (acks) raw.ack(deliver.number);
  };
  calls.on_caught_up = [this](support::RawDevice&) {
    CHECK_FALSE(caught_up_after);
    caught_up_after = inbox.size();
  };
  calls.on_event = [this](support::RawDevice&, const wire::RelayFrame& frame) {
    if (const auto* low = std::get_if<wire::KeysLow>(&frame.body)) {
      keys_low.push_back(low->one_time_keys_left);
    } else if (const auto* end = std::get_if<wire::Closing>(&frame.body)) {
      closing = end->code;
    } else {
      FAIL_CHECK("a reply to nothing that was asked");
    }
  };
  calls.on_closed = [this](support::RawDevice&, const std::string&) { closed = true; };
  raw_.set_callbacks(std::move(calls));
}

std::vector<std::string> Device::texts() const {
  std::vector<std::string> all;
  for (const Envelope& one : inbox) all.push_back(one.text);
  return all;
}

void Device::connect() {
  inbox.clear();
  caught_up_after.reset();
  keys_low.clear();
  closing.reset();
  closed = false;
  raw_.connect();
  story_.run_until([this] { return raw_.connected() || closed; });
  REQUIRE_FALSE(closed);
}

void Device::disconnect() {
  const auto sessions = story_.relay.status().sessions;
  raw_.disconnect();
  await_closed();
  story_.await_status([&](const auto& figures) { return figures.sessions < sessions; });
}

void Device::await_closed() {
  story_.run_until([this] { return closed; });
}

void Device::await_texts(std::size_t count) {
  story_.run_until([&] { return inbox.size() >= count; });
  CHECK(inbox.size() == count);
}

Answer Device::await(const std::function<void(support::RawDevice::Reply)>& send) {
  std::optional<Answer> answer;
  send([&](const wire::RelayFrame& frame) { answer = Answer::copy_of(frame); });
  story_.run_until([&] { return answer || closed; });
  REQUIRE_MESSAGE(answer, "the connection ended before the answer");
  return *answer;
}

Answer Device::ask(decltype(wire::Request::body) body) {
  return await([&](auto reply) { raw_.send(std::move(body), std::move(reply)); });
}

Answer Device::login() {
  return await([&](auto reply) { raw_.login(std::move(reply)); });
}

Answer Device::register_user(std::optional<std::string> name) {
  return await([&](auto reply) { raw_.register_user(std::move(name), std::move(reply)); });
}

Answer Device::submit(const Account& to, std::uint64_t id, const std::string& text,
                      std::uint32_t ttl_s) {
  return await([&](auto reply) {
    raw_.submit(to, request_id(id), wire::as_bytes(text), std::move(reply), ttl_s);
  });
}

void Device::join() {
  connect();
  REQUIRE(register_user().welcome);
  story_.run_until([this] { return caught_up_after.has_value(); });
}

void Device::come_back() {
  connect();
  REQUIRE(login().welcome);
  story_.run_until([this] { return caught_up_after.has_value(); });
}

void Story::await(const std::function<bool()>& holds) {
  constexpr std::chrono::milliseconds kInterval{5};
  bool held = holds();
  net::Timer again(fleet.loop(), [&] { held = holds(); });
  again.start(kInterval, kInterval);
  run_until([&] { return held; });
}

void Story::await_status(const std::function<bool(const relay::ops::Figures&)>& holds) {
  await([&] { return holds(relay.status()); });
}

void Story::await_log(const std::string& words) {
  await([&] { return relay.log().find(words) != std::string::npos; });
}

}  // namespace godwit::integration
