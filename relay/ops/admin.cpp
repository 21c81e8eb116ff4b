// The relay: accept -> collect a line -> answer it -> shutdown -> forget the client when it is
// gone. A client that sends too much, or is not done by its deadline, is forgotten at once. The
// command: connect -> send a line -> read to the end -> parse.

#include "relay/ops/admin.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <utility>

namespace godwit::relay::ops {
namespace {

using Json = nlohmann::ordered_json;
using Steady = std::chrono::steady_clock;

constexpr std::string_view kStatus = "status";
constexpr std::string_view kAddress = "address";

std::string to_line(const Json& json) {
  // A text that is not UTF-8 becomes readable instead of becoming an exception.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// Milliseconds for poll(): zero when the deadline has passed.
int remaining(Steady::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Steady::now());
  return left.count() > 0 ? static_cast<int>(left.count()) : 0;
}

bool wait_for(int descriptor, short events, Steady::time_point deadline) {
  pollfd entry{descriptor, events, 0};
  for (;;) {
    const int ready = poll(&entry, 1, remaining(deadline));
    if (ready >= 0 || errno != EINTR) return ready > 0;
  }
}

// The request is far shorter than any socket buffer: it goes out whole or not at all.
bool send_line(int descriptor, std::string_view command) {
  const auto line = std::string(command) + "\n";
  const auto sent = send(descriptor, line.data(), line.size(), MSG_NOSIGNAL);
  return sent == static_cast<ssize_t>(line.size());
}

// Up to the end of the stream. Nothing when the deadline passes first, or it is too much.
std::optional<std::string> read_answer(int descriptor, Steady::time_point deadline) {
  std::string text;
  std::array<char, 4096> part{};
  while (text.size() <= kAdminAnswerSizeMax) {
    if (!wait_for(descriptor, POLLIN, deadline)) return {};
    const auto got = recv(descriptor, part.data(), part.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return {};
    if (got == 0) return text;
    text.append(part.data(), static_cast<std::size_t>(got));
  }
  return {};
}

tl::expected<Json, std::string> ask(const path& directory, std::string_view command,
                                    std::chrono::milliseconds timeout) {
  const auto deadline = Steady::now() + timeout;
  const auto silent = "the relay on " + directory.string() + " does not answer; see its log";
  const auto socket = net::connect_local(admin_socket(directory).string());
  if (!socket) {
    if (socket.error() == net::NetError::permission) {
      return tl::unexpected(admin_socket(directory).string() +
                            " may be opened by another user only; ask as the user that runs the "
                            "relay");
    }
    if (socket.error() == net::NetError::timed_out) return tl::unexpected(silent);
    return tl::unexpected("no relay runs on " + directory.string() +
                          "; start it with: godwit-relay run " + directory.string());
  }
  const File file(*socket);
  std::optional<std::string> text;
  if (send_line(file.get(), command)) text = read_answer(file.get(), deadline);
  if (!text || text->empty()) return tl::unexpected(silent);
  auto json = Json::parse(*text, nullptr, false);
  if (!json.is_object()) {
    return tl::unexpected("the relay on " + directory.string() + " answers what is no JSON object");
  }
  return json;
}

std::string other_version(const path& directory) {
  return "the relay on " + directory.string() +
         " is of another version than this command; use the godwit-relay that it was started with";
}

}  // namespace

AdminSocket::AdminSocket(net::Loop& loop, AdminAnswers answers, std::chrono::milliseconds deadline)
    : loop_(loop), answers_(std::move(answers)), deadline_(deadline) {}

AdminSocket::~AdminSocket() {
  if (!file_.empty()) unlink(file_.c_str());
}

tl::expected<void, std::string> AdminSocket::listen(const path& directory) {
  const auto file = admin_socket(directory);
  unlink(file.c_str());
  auto listener = net::LocalListener::listen(
      loop_, file.string(), [this](net::Stream stream) { on_accept(std::move(stream)); });
  if (!listener) {
    return tl::unexpected(file.string() + " cannot be opened: " + net::describe(listener.error()));
  }
  listener_ = std::move(*listener);
  file_ = file;
  return {};
}

void AdminSocket::on_accept(net::Stream stream) {
  if (clients_.size() >= kAdminClientsMax) return;
  const auto id = next_client_++;
  auto& client = clients_
                     .emplace(id, Client{std::move(stream),
                                         net::Timer(loop_, [this, id] { clients_.erase(id); }),
                                         {}})
                     .first->second;
  client.deadline.start(deadline_);
  client.stream.start({
      .on_read = [this, id](wire::ByteView bytes) { on_read(id, bytes); },
      .on_closed = [this, id](net::NetError) { clients_.erase(id); },
      .on_drained = {},
  });
}

void AdminSocket::on_read(ClientId id, wire::ByteView bytes) {
  auto& client = clients_.at(id);
  const auto room = kAdminRequestSizeMax - client.request.size();
  const auto taken = bytes.first(std::min(room, bytes.size()));
  client.request.append(taken.begin(), taken.end());
  const auto end = client.request.find('\n');
  if (end == std::string::npos) {
    if (client.request.size() == kAdminRequestSizeMax) clients_.erase(id);
    return;
  }
  client.stream.pause();  // whatever follows the line is not for us
  const auto line = answer(std::string_view(client.request).substr(0, end)) + "\n";
  client.stream.write(wire::Bytes(line.begin(), line.end()));
  client.stream.shutdown();
}

std::string AdminSocket::answer(std::string_view command) const {
  if (command == kStatus) return figures_json(answers_.figures());
  if (command == kAddress) return to_line({{"address", answers_.address()}});
  return to_line({{"error", "unknown command"}});
}

tl::expected<Figures, std::string> ask_status(const path& directory,
                                              std::chrono::milliseconds timeout) {
  const auto json = ask(directory, kStatus, timeout);
  if (!json) return tl::unexpected(json.error());
  auto figures = parse_figures(to_line(*json));
  if (!figures) return tl::unexpected(other_version(directory));
  return *std::move(figures);
}

tl::expected<std::string, std::string> ask_address(const path& directory,
                                                   std::chrono::milliseconds timeout) {
  const auto json = ask(directory, kAddress, timeout);
  if (!json) return tl::unexpected(json.error());
  const auto found = json->find("address");
  if (found == json->end() || !found->is_string()) return tl::unexpected(other_version(directory));
  return found->get<std::string>();
}

}  // namespace godwit::relay::ops
