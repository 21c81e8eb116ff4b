// server: wires a relay together and runs it: store, writer, one worker a core, listeners, admin
// socket, signals.
// Thread: run_server() takes the calling thread as the first worker's.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "relay/config.hpp"
#include "relay/ops/log.hpp"

namespace godwit::relay {

struct ServerOptions {
  std::filesystem::path directory;
  Config config;
  wire::KeyPair key;
  ops::Log& log;
  std::function<void(const std::string& address)> on_ready;
};

// Blocks until the relay was asked to stop, and gives the exit status. The caller holds the
// directory's lock. An error is one line on stderr.
int run_server(ServerOptions options);

}  // namespace godwit::relay
