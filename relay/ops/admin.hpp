// ops/admin: the socket DIR/admin.sock, where an operator's command asks the running relay.
//
// The client sends one line, `status` or `address`; the relay answers one line of JSON and closes:
// {"version":"0.1.0","connections":3,...}, {"address":"godwit://..."} or {"error":"..."}.
//
// Owns:    at most kAdminClientsMax clients, kAdminRequestSizeMax bytes and a deadline each.
// Refuses: to change anything: it only tells.
// Thread:  AdminSocket the loop's; the ask_* functions block and have no loop.
// Trust:   mode 0600: the user that runs the relay, who may still send anything.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "relay/ops/directory.hpp"
#include "relay/ops/figures.hpp"
#include "schema/net/local.hpp"
#include "schema/net/timer.hpp"

namespace godwit::relay::ops {

inline constexpr std::size_t kAdminClientsMax = 16;         // those beyond are hung up on
inline constexpr std::size_t kAdminRequestSizeMax = 64;     // bytes, with the line's end
inline constexpr std::size_t kAdminAnswerSizeMax = 65'536;  // what a client reads at most
inline constexpr std::chrono::seconds kAdminDeadline{5};    // of either side, for all of it

struct AdminAnswers {
  std::function<Figures()> figures;
  std::function<std::string()> address;  // godwit://KEY@HOST:PORT with the port in use
};

class AdminSocket {
 public:
  AdminSocket(net::Loop& loop, AdminAnswers answers,
              std::chrono::milliseconds deadline = kAdminDeadline);
  ~AdminSocket();
  // The callbacks of its clients point here.
  AdminSocket(const AdminSocket&) = delete;
  AdminSocket& operator=(const AdminSocket&) = delete;

  // Precondition: the caller holds the DirectoryLock, so that a socket file that is already there
  // is one that a dead relay left. The file goes when this object does.
  [[nodiscard]] tl::expected<void, std::string> listen(const path& directory);

  [[nodiscard]] std::size_t clients() const { return clients_.size(); }

 private:
  struct Client {
    net::Stream stream;
    net::Timer deadline;
    std::string request;
  };
  using ClientId = std::uint64_t;

  void on_accept(net::Stream stream);
  void on_read(ClientId id, wire::ByteView bytes);
  [[nodiscard]] std::string answer(std::string_view command) const;

  net::Loop& loop_;
  AdminAnswers answers_;
  std::chrono::milliseconds deadline_;
  path file_;  // empty: not listening
  std::optional<net::LocalListener> listener_;
  std::map<ClientId, Client> clients_;
  ClientId next_client_ = 0;
};

// The command's side. The error is one line that says what to do.
[[nodiscard]] tl::expected<Figures, std::string> ask_status(
    const path& directory, std::chrono::milliseconds timeout = kAdminDeadline);
[[nodiscard]] tl::expected<std::string, std::string> ask_address(
    const path& directory, std::chrono::milliseconds timeout = kAdminDeadline);

}  // namespace godwit::relay::ops
