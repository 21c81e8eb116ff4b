#include "tools/load/people.hpp"

#include <poll.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace godwit::load {
namespace {

using namespace std::chrono_literals;

constexpr auto kPatience = 60s;       // with a relay that has let somebody in
constexpr auto kFirstPatience = 10s;  // and before
constexpr auto kSlice = 50ms;         // between looks at the rest of the run
constexpr auto kCallBackEvery = 1s;
constexpr double kCutShortPatience = 0.5;

// The text of a message: whose and which it is, and then letters that depend on that.
std::string text_of(std::uint32_t flow, std::uint64_t number, std::size_t size) {
  std::string text = std::to_string(flow) + " " + std::to_string(number) + " ";
  const std::size_t head = text.size();
  text.resize(std::max(size, head));
  for (std::size_t i = head; i < text.size(); ++i) {
    text[i] = static_cast<char>('a' + (number * 7 + flow + i * i) % 26);
  }
  return text;
}

std::optional<std::uint64_t> number_of(const std::string& text) {
  const auto space = text.find(' ');
  if (space == std::string::npos) return std::nullopt;
  std::uint64_t number = 0;
  const char* const from = text.data() + space + 1;
  const auto [end, error] = std::from_chars(from, text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  return number;
}

// True: the connection has ended, and was not missing before.
bool has_left(const godwit::Event& event, bool& away) {
  if (event.kind == EventKind::online) away = false;
  return event.kind == EventKind::offline && !std::exchange(away, true);
}

std::string key_of(const MessageId& id) {
  return {reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size()};
}

}  // namespace

People::People(const Scenario& scenario, std::string relay, std::filesystem::path directory,
               Tally& tally, Stage& stage)
    : scenario_(scenario),
      relay_(std::move(relay)),
      directory_(std::move(directory)),
      tally_(tally),
      stage_(stage) {}

std::vector<std::string> People::play() {
  const bool warm = scenario_.messages == 0 && scenario_.warm_up > 0;
  if (begin(Phase::enroll, 0) && make_pairs() &&
      (!warm || load(Phase::warm_up, scenario_.warm_up))) {
    (void)load(Phase::measure, scenario_.seconds);
  }
  settle();
  return std::move(faults_);
}

void People::settle() {
  (void)begin(Phase::settle, scenario_.settle);
  for (Pair& pair : pairs_) {
    const std::uint64_t due = pair.judge.made() + pair.due.size();
    (void)pair.judge.withdraw_unsent(scenario_.messages > 0 ? scenario_.messages : due);
  }
  const bool cut_short = interrupted();
  Settling settling(cut_short ? kCutShortPatience : scenario_.settle, Clock::now());
  while (!quiet() && !settling.over(Clock::now()) && interrupted() == cut_short) {
    round();
    settling.look(tally_.counts, 0, Clock::now());  // the SDK keeps its acks to itself
  }
  const bool stalled = !quiet() && settling.still(Clock::now());
  if (interrupted()) return;  // what was under way is not judged
  for (Pair& pair : pairs_) pair.judge.close();
  if (!stalled) return;
  if (auto stall = stall_of(tally_.counts, scenario_)) faults_.push_back(*std::move(stall));
}

bool People::begin(Phase phase, double seconds) {
  stage_.arrive(phase, seconds);
  while (!stage_.begun() && !interrupted()) round();
  return !interrupted();
}

// Accounts have names of this run, so that it can be played on a relay that has seen another one.
bool People::make_pairs() {
  const auto person = [&](const std::string& name) -> Result<Client> {
    Options options;
    options.home = directory_ / name;
    auto client = Client::create(options, relay_, name);
    if (!client) return client;
    if (auto done = client->connect(); !done) return done.error();
    if (auto done = log_in(*client); !done) return done.error();
    ++tally_.counts.logins;
    ++tally_.connections;
    return client;
  };
  for (std::uint32_t i = 0; i < scenario_.pairs && !interrupted(); ++i) {
    const std::string suffix = std::to_string(scenario_.seed) + "-" + std::to_string(i);
    auto writer = person("w" + suffix);
    auto reader = writer ? person("r" + suffix) : writer.error();
    if (!reader) {
      if (interrupted()) return false;
      faults_.push_back("pair " + std::to_string(i) +
                        " could not begin: " + reader.error().message);
      return false;
    }
    pairs_.emplace_back(i, *std::move(writer), *std::move(reader), "r" + suffix, tally_.counts);
    stage_.tick(Clock::now());
  }
  return !interrupted();
}

// In slices: the rest of the run is looked after, and it can be interrupted.
Result<void> People::log_in(Client& client) {
  const auto until =
      Clock::now() + (tally_.counts.logins == 0 ? Clock::duration(kFirstPatience) : kPatience);
  while (true) {
    auto in = client.wait_registered(kSlice);
    const bool waits = !in && (in.error().code == ErrorCode::timed_out ||
                               in.error().code == ErrorCode::offline);
    if (!waits || interrupted() || Clock::now() >= until) return in;
    stage_.tick(Clock::now());
  }
}

bool People::load(Phase phase, double seconds) {
  if (!begin(phase, seconds)) return false;
  loading_ = true;
  load_began_ = Clock::now();
  paced_ = 0;
  const auto limit = load_began_ + span(seconds);
  const auto all_sent = [&] {
    return scenario_.messages > 0 && quiet() && std::ranges::all_of(pairs_, [&](const Pair& pair) {
             return pair.judge.made() >= scenario_.messages;
           });
  };
  while (Clock::now() < limit && !interrupted() && !all_sent()) round();
  loading_ = false;
  return !interrupted();
}

void People::round() {
  const auto now = Clock::now();
  stage_.tick(now);
  call_back(now);
  if (loading_ && scenario_.rate > 0) pace();
  bool any = false;
  for (Pair& pair : pairs_) {
    any = take_events(pair) || any;
    write(pair);
  }
  if (!any) wait();
}

// A client waits longer from loss to loss, up to minutes, and begins anew after a login that held
// for one. That is longer than `settle`, and no fault of a relay that is back.
void People::call_back(Clock::time_point now) {
  if (now - called_back_ < kCallBackEvery) return;
  called_back_ = now;
  for (Pair& pair : pairs_) {
    if (pair.writer_away) (void)pair.writer.connect();
    if (pair.reader_away) (void)pair.reader.connect();
  }
}

void People::wait() {
  std::vector<pollfd> all;
  for (const Pair& pair : pairs_) {
    all.push_back({pair.writer.descriptor(), POLLIN, 0});
    all.push_back({pair.reader.descriptor(), POLLIN, 0});
  }
  (void)::poll(all.data(), all.size(), 1);
}

bool People::take_events(Pair& pair) {
  bool any = false;
  while (const auto event = pair.reader.next_event()) {
    any = true;
    (void)has_left(*event, pair.reader_away);
    if (event->kind != EventKind::message_received) continue;
    const auto message = pair.reader.message(event->message);
    on_text(pair, message ? message->text : "");
  }
  while (const auto event = pair.writer.next_event()) {
    any = true;
    if (has_left(*event, pair.writer_away)) ++tally_.counts.disconnects;
    if (event->kind != EventKind::status_changed || event->status == Status::queued) continue;
    const auto found = pair.numbers.find(key_of(event->message));
    if (found == pair.numbers.end()) continue;  // a later status of it
    const std::uint64_t number = found->second;
    const auto due = pair.judge.due(number);
    const bool failed = event->status == Status::failed;
    if (!failed && due) tally_.accepted.record(Clock::now() - *due);
    pair.numbers.erase(found);
    --tally_.in_flight;
    pair.judge.answered(number, 0, !failed);
  }
  return any;
}

void People::on_text(Pair& pair, const std::string& text) {
  const auto number = number_of(text);
  if (!number || text != text_of(pair.index, *number, text.size()) ||
      text.size() < size_of(scenario_, pair.index, *number)) {
    ++tally_.counts.corrupted;
    return;
  }
  const auto due = pair.judge.due(*number);
  if (pair.judge.delivered(*number, 0) != Flow::Came::first) return;
  tally_.counts.delivered_bytes += text.size();
  if (!due) return;  // it was said to have failed before it came
  // The SDK shows each message once: on whatever connection, a second one is a duplicate.
  const auto took = Clock::now() - *due;
  tally_.delivery.record(took);
  if (scenario_.late_ms > 0 && took > std::chrono::milliseconds(scenario_.late_ms)) {
    ++tally_.counts.late;
  }
}

std::size_t People::room(const Pair& pair) const {
  if (!loading_) return 0;
  std::uint64_t room =
      scenario_.rate > 0
          ? pair.due.size()
          : scenario_.window - std::min<std::uint64_t>(scenario_.window, pair.judge.under_way());
  if (scenario_.messages > 0) {
    room =
        std::min(room, scenario_.messages - std::min(scenario_.messages, pair.judge.made()));
  }
  return static_cast<std::size_t>(std::min<std::uint64_t>(room, kWindowMax));
}

// All that the pair may send now, in one transaction of its home.
void People::write(Pair& pair) {
  const std::size_t count = room(pair);
  if (count == 0) return;
  std::vector<Outgoing> messages;
  std::vector<std::uint64_t> numbers;
  for (std::size_t i = 0; i < count; ++i) {
    numbers.push_back(pair.judge.next(scenario_.rate > 0 ? pair.due[i] : Clock::now()));
    pair.judge.sent(numbers.back());
    const std::uint32_t size = size_of(scenario_, pair.index, numbers.back());
    messages.push_back({pair.reader_name, text_of(pair.index, numbers.back(), size)});
  }
  if (scenario_.rate > 0) {
    pair.due.erase(pair.due.begin(), pair.due.begin() + static_cast<std::ptrdiff_t>(count));
  }
  const auto sent = pair.writer.send(messages);
  for (std::size_t i = 0; i < count; ++i) {
    if (!sent) {
      pair.judge.answered(numbers[i], 0, false);
      continue;
    }
    ++tally_.in_flight;
    pair.numbers.emplace(key_of((*sent)[i].id), numbers[i]);
  }
}

void People::pace() {
  const double passed = std::chrono::duration<double>(Clock::now() - load_began_).count();
  const auto due = 1 + static_cast<std::uint64_t>(passed * scenario_.rate);
  for (; paced_ < due; ++paced_) {
    auto pair = std::next(pairs_.begin(), static_cast<std::ptrdiff_t>(paced_ % pairs_.size()));
    pair->due.push_back(load_began_ + span(static_cast<double>(paced_) / scenario_.rate));
  }
}

bool People::quiet() const {
  return std::ranges::all_of(pairs_, [](const Pair& pair) { return pair.judge.under_way() == 0; });
}

}  // namespace godwit::load
