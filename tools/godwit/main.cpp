// main: the command line of godwit. It reads the arguments, calls one function of commands.hpp and
// returns the exit status.

#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <set>

#include "relay/nearest.hpp"
#include "schema/net/standard_descriptors.hpp"
#include "tools/godwit/commands.hpp"
#include "tools/godwit/passphrase.hpp"
#include "tools/godwit/text.hpp"

namespace godwit::cli {
namespace {

using Command = int (*)(const Arguments&, const Output&);

constexpr std::size_t kLimitMax = 1'000;
constexpr double kOffsetMax = 1e15;
constexpr double kSecondsMax = 365.0 * 24 * 3600;

// Says what may stand there; CLI11's own range prints its bounds as machine numbers.
CLI::Validator number(double from, double to, const char* words) {
  return {[=](const std::string& text) {
            double value = 0;
            const auto [end, error] =
                std::from_chars(text.data(), text.data() + text.size(), value);
            const bool good = error == std::errc() && end == text.data() + text.size() &&
                              value >= from && value <= to;
            return good ? std::string() : "\"" + text + "\" is not " + words;
          },
          ""};
}
CLI::Validator seconds() {
  return number(0, kSecondsMax, "a number of seconds");
}

constexpr auto kFooter = R"(A first conversation:
  godwit --home ~/.godwit init --relay godwit://KEY@HOST:PORT --name ann
  godwit --home ~/.godwit send bob "hello"
  godwit --home ~/.godwit sync
  godwit --home ~/.godwit chat bob

With GODWIT_HOME set, --home can be left out. An account made with --passphrase, or with
--passphrase-file, has no key file in its home, and wants one of the two each time; `godwit
passphrase` changes that.
`godwit COMMAND --help` tells more.
Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted.)";

// The command line, with the places its values go to.
class CommandLine {
 public:
  CommandLine() : app_("Godwit: end-to-end encrypted messages, from the terminal.", "godwit") {
    // Not -h: CLI11 would find it in a text like -hello. run() knows -h by itself.
    app_.set_help_flag("--help", "Print this help and exit");
    app_.set_version_flag("--version", std::string("godwit ") + GODWIT_VERSION);
    app_.require_subcommand(1);
    app_.fallthrough();
    app_.footer(kFooter);
    app_.add_option("--home", arguments_.home, "The directory of the account")
        ->envname("GODWIT_HOME")
        ->type_name("DIR");
    auto* const ask =
        app_.add_flag("--passphrase", passphrase_.ask, "Ask for the passphrase of the account");
    // The variable is not CLI11's: it would stand against --passphrase.
    app_.add_option("--passphrase-file", passphrase_.file,
                    "Read it from the first line of a file (Env:GODWIT_PASSPHRASE_FILE)")
        ->type_name("FILE")
        ->excludes(ask);
    add_account_commands();
    add_network_commands();
    add_local_commands();
  }

  int run(int argc, char** argv) {
    const bool json = std::find(argv, argv + argc, std::string_view("--json")) != argv + argc;
    if (const auto what = unknown_command(argc, argv); !what.empty()) {
      const auto mistyped = unknown_option(argc, argv);  // whose value is taken for a command
      return usage(mistyped.empty() ? what : mistyped, json);
    }
    try {
      app_.parse(words_of(argc, argv));
    } catch (const CLI::Success& help_or_version) {
      return app_.exit(help_or_version);
    } catch (const CLI::ParseError& error) {
      const bool missing = dynamic_cast<const CLI::RequiredError*>(&error) != nullptr;
      const auto mistyped = missing ? unknown_option(argc, argv) : std::string();
      return usage(mistyped.empty() ? explained(error) : mistyped, json);
    }
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody sets a variable while this program runs.
    const char* const file = std::getenv("GODWIT_PASSPHRASE_FILE");
    if (!passphrase_.ask && passphrase_.file.empty() && file != nullptr) passphrase_.file = file;
    for (const auto& [command, function] : commands_) {
      if (!command->parsed()) continue;
      if (arguments_.home.empty() && function != print_completion) {
        return usage("no --home: name the directory of the account, or set GODWIT_HOME", json);
      }
      const Output out(arguments_.json);
      if (function != print_completion) {
        if (is_of_a_relay()) {
          return out.fail({ErrorCode::no_account,
                           arguments_.home + " is the directory of a relay, and no home; name " +
                               "another --home"});
        }
        passphrase_.is_new = (function == init || function == recover) && !has_keyring();
        auto passphrase = take_passphrase(passphrase_);
        if (!passphrase) return out.fail(passphrase.error());
        arguments_.passphrase = *std::move(passphrase);
      }
      if (function == change_passphrase) {
        new_passphrase_.ask = !no_passphrase_ && new_passphrase_.file.empty();
        auto passphrase = take_passphrase(new_passphrase_);
        if (!passphrase) return out.fail(passphrase.error());
        arguments_.new_passphrase = *std::move(passphrase);
      }
      const int status = function(arguments_, out);
      if (!std::cout.flush()) {
        std::cerr << "godwit: stdout cannot be written; is its disk full?\n";
        return kExitFailed;
      }
      return status;
    }
    return kExitUsage;
  }

 private:
  CLI::App& add(const char* name, Command function, const char* description,
                const char* footer = "") {
    auto* const command = app_.add_subcommand(name, description);
    command->fallthrough();
    command->footer(footer);
    if (function != print_completion) {
      command->add_flag("--json", arguments_.json, "One JSON object a line on stdout");
    }
    commands_.emplace_back(command, function);
    return *command;
  }

  void add_relay(CLI::App& command) {
    command.add_option("--relay", arguments_.relay, "The relay's address")
        ->required()
        ->type_name("godwit://KEY@HOST:PORT");
  }
  void add_peer(CLI::App& command) {
    command.add_option("NAME", arguments_.name, "The name of the other one")
        ->required()
        ->type_name("");
  }
  void add_message(CLI::App& command) {
    command
        .add_option("MESSAGE-ID", arguments_.message,
                    "32 hex digits, as `send` and `messages --json` print them")
        ->required()
        ->type_name("");
  }
  void add_page(CLI::App& command) {
    command.add_option("--limit", arguments_.page.limit, "At most so many (default 50)")
        ->type_name("N")
        ->check(number(1, kLimitMax, "a number from 1 to 1000"));
    auto* const offset =
        command.add_option("--offset", arguments_.page.offset, "Leave out so many first")
            ->type_name("N")
            ->check(number(0, kOffsetMax, "a number of things to leave out"));
    command
        .add_option("--cursor", arguments_.page.cursor, "Go on where the page of this cursor ended")
        ->type_name("C")
        ->excludes(offset);
  }

  void add_account_commands() {
    auto& init_command =
        add("init", init, "Make an account and register it",
            "The relay's operator gives you its address (`godwit-relay address DIR`).\n"
            "Was it cut off, or the name taken? Run it again.");
    add_relay(init_command);
    init_command.add_option("--name", arguments_.name, "Your name: 2 to 32 of a-z 0-9 . _ -")
        ->required()
        ->type_name("NAME");
    add_relay(add("recover", recover,
                  "Bring an account back with its recovery code, on this device",
                  "Reads the code from stdin. Earlier devices of the account are shut out.\n"
                  "  godwit --home NEW recover --relay ADDRESS < code.txt"));
    auto& passphrase_command =
        add("passphrase", change_passphrase, "Change, give or take away the passphrase",
            "Asks for the new one twice, and with --passphrase for the present one before.\n"
            "  godwit --passphrase passphrase          another one\n"
            "  godwit passphrase                       one instead of the key file\n"
            "  godwit --passphrase passphrase --none   a key file instead of it\n"
            "Copies of the home that were made before still open with what they had.");
    auto* const none =
        passphrase_command.add_flag("--none", no_passphrase_, "Go back to a key file in the home");
    passphrase_command
        .add_option("--new-passphrase-file", new_passphrase_.file,
                    "Read the new one from the first line of a file")
        ->type_name("FILE")
        ->excludes(none);
  }

  void add_network_commands() {
    auto& send_command =
        add("send", send, "Send a message",
            "Offline the message waits in the home, and the next `godwit sync` sends it.\n"
            "Put -- before a text that begins with a dash: godwit send bob -- \"- no\"");
    add_peer(send_command);
    send_command.add_option("TEXT", arguments_.text, "What to say")->required()->type_name("");
    send_command
        .add_option("--key", arguments_.key,
                    "Idempotency key: the same key and text make one message, however often")
        ->type_name("KEY");
    send_command.add_flag("--no-wait", arguments_.no_wait, "Only queue it; do not connect");
    send_command
        .add_option("--timeout", arguments_.timeout_s, "Wait so long for the relay (default 10)")
        ->type_name("SECONDS")
        ->check(seconds());
    add("sync", sync, "Send what waits and receive what is there")
        .add_option("--for", arguments_.for_s, "Keep receiving so long")
        ->type_name("SECONDS")
        ->check(seconds());
    add_peer(add("chat", chat, "Talk with somebody, live",
                 "Enter sends, Page Up shows older messages, Ctrl-C or Ctrl-D leaves.\n"
                 "Ticks: … queued, ✓ at the relay, ✓✓ delivered, coloured when read.\n"
                 "In a pipe each line of stdin is a message: echo hi | godwit chat bob"));
  }

  void add_local_commands() {
    add_page(add("conversations", list_conversations, "List the conversations, newest first"));
    auto& messages_command =
        add("messages", list_messages, "List the newest messages with somebody, the newest last",
            "--offset and --cursor go back to older ones. With --from-start they go on to newer\n"
            "ones, and the cursor of the last page goes on with what is written later.");
    add_peer(messages_command);
    add_page(messages_command);
    messages_command.add_flag("--from-start", arguments_.from_start,
                              "Begin with the first message instead of the newest");
    add_peer(add("read", mark_read, "Mark a conversation as read",
                 "The other one learns of it with the next `godwit sync`."));
    add_message(add("status", print_status, "How far a message has come, when, and by whom"));
    add_message(add("explain", print_explanation,
                    "The timeline of a message, and the step that it waits on"));
    add("contacts", list_contacts, "List whom this account knows, and who of them is blocked");
    add_peer(
        add("safety-number", print_safety_number,
            "Print the digits by which both know that nobody sits between",
            "Both sides print the same sixty digits, unless somebody does. Compare them where\n"
            "nobody can change them: side by side, or on the telephone. There are some once a\n"
            "message has gone or come."));
    add_peer(add("accept", accept, "Take somebody who wrote for a contact",
                 "Needed after `godwit strangers requests` only, and not for whom you write to."));
    add("strangers", set_policy, "Say what becomes of who writes and is no contact",
        "open: who writes is a contact at once. So it is until you say otherwise.\n"
        "requests: their messages stand apart, and nothing is confirmed to them, until\n"
        "`godwit accept NAME`, or until you write to them.")
        .add_option("POLICY", arguments_.policy, "open or requests")
        ->required()
        ->type_name("")
        ->check(CLI::IsMember(std::set<std::string>(kPolicies.begin(), kPolicies.end())));
    add_peer(add("block", block, "Show nothing more of somebody, and confirm nothing",
                 "They are not told: what they send stays at one tick. What still waits for them "
                 "fails."));
    add_peer(add("unblock", unblock, "Hear of somebody again who was blocked",
                 "What they sent meanwhile comes with a `godwit sync`, if their device still has "
                 "it."));
    add("completion", print_completion, "Print a completion script",
        "bash: source <(godwit completion bash)\nzsh:  source <(godwit completion zsh)")
        .add_option("SHELL", arguments_.shell, "bash or zsh")
        ->required()
        ->type_name("")
        ->check(CLI::IsMember({"bash", "zsh"}));
  }

  int usage(std::string what, bool json) const {
    // CLI11 puts some of its messages on several lines.
    std::replace(what.begin(), what.end(), '\n', ' ');
    return Output(json).fail("usage", what + "; see: godwit --help", kExitUsage);
  }

  std::string explained(const CLI::ParseError& error) const {
    std::string what = shorten(error.what(), 200);
    const std::string dash = "put -- before a text that begins with a dash";
    if (what.starts_with("TEXT ")) return what + "; " + dash;
    if (dynamic_cast<const CLI::ExtrasError*>(&error) == nullptr) return what;
    if (app_.got_subcommand("send")) return what + "; quote a text of several words, " + dash;
    const bool option = what.find(": -") != std::string::npos;
    return option ? what : what + "; a home is named so: godwit --home DIR COMMAND";
  }

  // Last word first, as CLI11 wants it.
  static std::vector<std::string> words_of(int argc, char** argv) {
    std::vector<std::string> words(argv + 1, argv + argc);
    std::replace(words.begin(), std::find(words.begin(), words.end(), "--"), std::string("-h"),
                 std::string("--help"));
    std::reverse(words.begin(), words.end());
    return words;
  }

  // The command that is mistyped; CLI11 would call it an extra argument.
  std::string unknown_command(int argc, char** argv) const {
    std::vector<std::string_view> names;
    for (const auto& [command, function] : commands_) names.push_back(command->get_name());
    for (int i = 1; i < argc; ++i) {
      const std::string_view word = argv[i];
      if (word == "--home" || word == "--passphrase-file") {
        ++i;
        continue;
      }
      if (word.empty() || word.front() == '-') continue;
      if (std::find(names.begin(), names.end(), word) != names.end()) return {};
      const auto hint = relay::nearest(word, names);
      return "unknown command \"" + std::string(word) + "\"" +
             (hint ? "; did you mean " + std::string(*hint) + "?" : "");
    }
    return {};
  }

  // The option that is mistyped; CLI11 would miss the one that was meant.
  std::string unknown_option(int argc, char** argv) const {
    std::vector<const CLI::App*> apps{&app_};
    const bool known = !app_.get_subcommands().empty();
    for (const auto& [command, function] : commands_) {
      if (command->parsed() || !known) apps.push_back(command);
    }
    std::vector<std::string> names;
    for (const CLI::App* const app : apps) {
      for (const CLI::Option* const option : app->get_options()) {
        for (const auto& name : option->get_lnames()) names.push_back("--" + name);
      }
    }
    const std::vector<std::string_view> all(names.begin(), names.end());
    for (int i = 1; i < argc && std::string_view(argv[i]) != "--"; ++i) {
      std::string_view word = argv[i];
      word = word.substr(0, word.find('='));
      if (!word.starts_with("--") || std::ranges::find(all, word) != all.end()) continue;
      const auto hint = relay::nearest(word, all);
      return "unknown option " + std::string(word) +
             (hint ? "; did you mean " + std::string(*hint) + "?" : "");
    }
    return {};
  }

  [[nodiscard]] bool home_has(const char* file) const {
    std::error_code ignored;
    return std::filesystem::exists(std::filesystem::path(arguments_.home) / file, ignored);
  }
  [[nodiscard]] bool has_keyring() const { return home_has("keyring"); }
  // It has a `key` and a `data.mdb` too, and looked like a damaged home.
  [[nodiscard]] bool is_of_a_relay() const { return home_has("relay.toml") && !has_keyring(); }

  Arguments arguments_;
  PassphraseWish passphrase_;
  PassphraseWish new_passphrase_{
      .is_new = true, .question = "new passphrase: ", .file_option = "--new-passphrase-file"};
  bool no_passphrase_ = false;
  CLI::App app_;
  std::vector<std::pair<CLI::App*, Command>> commands_;
};

}  // namespace
}  // namespace godwit::cli

int main(int argc, char** argv) {
  godwit::net::keep_standard_descriptors();
  // Keys are in memory: none is to end in a file.
  const rlimit none{};
  setrlimit(RLIMIT_CORE, &none);
  godwit::cli::use_utf8();
  return godwit::cli::CommandLine().run(argc, argv);
}
