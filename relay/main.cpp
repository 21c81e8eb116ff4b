// main: the command line of godwit-relay. It reads the arguments, calls one function of
// commands.hpp, or opens the directory and runs the server on it, and returns the exit status.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <string>
#include <vector>

#include "relay/commands.hpp"
#include "relay/nearest.hpp"
#include "relay/ops/log.hpp"
#include "relay/server.hpp"
#include "relay/version.hpp"
#include "schema/net/standard_descriptors.hpp"
#include "schema/wire/hash.hpp"

namespace godwit::relay {
namespace {

struct Arguments {
  std::string directory;
  std::string listen;
  StatusForm status_form = StatusForm::table;
};

int usage_error(std::string what) {
  // CLI11 puts some of its messages on several lines.
  std::replace(what.begin(), what.end(), '\n', ' ');
  std::cerr << "godwit-relay: " << what << "; see: godwit-relay --help\n";
  return kExitUsage;
}

int run(const std::string& directory) {
  auto opened = open_directory(directory, std::cerr);
  if (!opened) return kExitFailed;
  ops::Log log(ops::parse_log_level(opened->config.log_level));
  return run_server({
      .directory = directory,
      .config = std::move(opened->config),
      .key = opened->key,
      .log = log,
      .on_ready = [](const std::string& address) { std::cout << "ready " << address << std::endl; },
  });
}

// A script would go on with half of what was printed, or nothing.
int printed(int status) {
  if (std::cout.flush() || status != kExitOk) return status;
  std::cerr << "godwit-relay: stdout cannot be written; is its disk full?\n";
  return kExitFailed;
}

// The command that is mistyped first of all arguments; CLI11 would call it an extra argument.
std::string unknown_command(const CLI::App& app, int argc, char** argv) {
  if (argc < 2) return {};
  const std::string word = argv[1];
  if (word.empty() || word.front() == '-') return {};
  std::vector<std::string_view> commands;
  for (const auto* command : app.get_subcommands({})) commands.push_back(command->get_name());
  if (std::find(commands.begin(), commands.end(), word) != commands.end()) return {};
  const auto hint = nearest(word, commands);
  return "unknown command \"" + word + "\"" +
         (hint ? "; did you mean " + std::string(*hint) + "?" : "");
}

int run_command(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("A relay for end-to-end encrypted messages.", "godwit-relay");
  app.set_version_flag("--version", "godwit-relay " + std::string(version()));
  app.require_subcommand(1);
  app.footer("Exit status: 0 done, 1 failed, 2 wrong usage.");
  const auto add = [&](const char* name, const char* description) {
    auto* const command = app.add_subcommand(name, description);
    command->add_option("DIR", arguments.directory, "The relay's data directory")->required();
    return command;
  };
  auto* const init_command = add("init", "Make a new relay in DIR and print its address.");
  init_command
      ->add_option("--listen", arguments.listen, "Where clients connect (default 0.0.0.0:7700)")
      ->type_name("HOST:PORT");
  const auto* const server_command =
      add("run", "Run the relay; prints `ready ADDRESS` when it accepts connections.");
  const auto* const address_command = add("address", "Print the address that clients use.");
  const auto* const check_command = add("check-config", "Say what is wrong with DIR/relay.toml.");
  auto* const status_command = add("status", "Show what the running relay does.");
  auto* const json = status_command->add_flag_callback(
      "--json", [&] { arguments.status_form = StatusForm::json; }, "One line of JSON");
  status_command
      ->add_flag_callback(
          "--metrics", [&] { arguments.status_form = StatusForm::metrics; },
          "Prometheus' text format")
      ->excludes(json);

  if (const auto what = unknown_command(app, argc, argv); !what.empty()) return usage_error(what);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help_or_version) {
    return app.exit(help_or_version);
  } catch (const CLI::ParseError& error) {
    return usage_error(error.what());
  }

  wire::init_crypto();
  const auto& directory = arguments.directory;
  if (server_command->parsed()) return run(directory);
  if (init_command->parsed()) {
    return printed(init(directory, arguments.listen, std::cout, std::cerr));
  }
  if (address_command->parsed()) return printed(print_address(directory, std::cout, std::cerr));
  if (check_command->parsed()) return printed(check_config(directory, std::cout, std::cerr));
  return printed(print_status(directory, arguments.status_form, std::cout, std::cerr));
}

}  // namespace
}  // namespace godwit::relay

int main(int argc, char** argv) {
  godwit::net::keep_standard_descriptors();
  return godwit::relay::run_command(argc, argv);
}
