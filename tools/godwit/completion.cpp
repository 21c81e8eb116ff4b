// completion: the scripts that make a shell complete commands, options and directories.
#include <iostream>

#include "tools/godwit/commands.hpp"

namespace godwit::cli {
namespace {

constexpr std::string_view kBash = R"SCRIPT(# godwit, for bash: source <(godwit completion bash)
_godwit() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command= i
  local commands="init recover passphrase send sync conversations messages read status explain"
  commands+=" contacts safety-number accept strangers block unblock chat completion"
  for ((i = 1; i < COMP_CWORD; ++i)); do
    case ${COMP_WORDS[i]} in
      --home | --passphrase-file) ((++i)) ;;
      -*) ;;
      *) command=${COMP_WORDS[i]}; break ;;
    esac
  done
  COMPREPLY=()
  if [[ $before == --home ]]; then
    mapfile -t COMPREPLY < <(compgen -d -- "$word")
    return
  fi
  if [[ $before == --passphrase-file || $before == --new-passphrase-file ]]; then
    mapfile -t COMPREPLY < <(compgen -f -- "$word")
    return
  fi
  local options="--home --passphrase --passphrase-file --json --help"
  case $command in
    '') options="$commands --home --passphrase --passphrase-file --help --version" ;;
    init) options+=" --relay --name" ;;
    recover) options+=" --relay" ;;
    passphrase) options+=" --new-passphrase-file --none" ;;
    send) options+=" --key --no-wait --timeout" ;;
    sync) options+=" --for" ;;
    conversations) options+=" --limit --offset --cursor" ;;
    messages) options+=" --limit --offset --cursor --from-start" ;;
    strangers) options="open requests" ;;
    completion) options="bash zsh" ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
}
complete -F _godwit godwit
)SCRIPT";

constexpr std::string_view kZsh = R"SCRIPT(#compdef godwit
# godwit, for zsh: source <(godwit completion zsh)
_godwit() {
  local -a commands
  commands=(
    'init:make an account and register it'
    'recover:bring an account back with its recovery code'
    'passphrase:change, give or take away the passphrase'
    'send:send a message'
    'sync:send what waits and receive'
    'conversations:list the conversations'
    'messages:list the messages with somebody'
    'read:mark a conversation as read'
    'status:how far a message has come'
    'explain:the timeline of a message'
    'contacts:list whom this account knows'
    'safety-number:digits by which both know that nobody sits between'
    'accept:take somebody who wrote for a contact'
    'strangers:what becomes of who writes and is no contact'
    'block:show nothing more of somebody'
    'unblock:hear of somebody again'
    'chat:talk with somebody, live'
    'completion:print a completion script'
  )
  _arguments -C '--home[the directory of the account]:directory:_files -/' \
    '--passphrase[ask for it]' '--passphrase-file[its first line]:file:_files' \
    '--help[help]' '--version[the version]' '1:command:->command' '*::argument:->argument'
  case $state in
    command) _describe command commands ;;
    argument)
      case $words[1] in
        init) _arguments '--relay[its address]:address:' '--name[your name]:name:' '--json' ;;
        recover) _arguments '--relay[its address]:address:' '--json' ;;
        passphrase) _arguments '--new-passphrase-file[its first line]:file:_files' \
          '--none[back to a key file]' '--json' ;;
        send) _arguments '--key[idempotency key]:key:' '--no-wait' '--timeout[seconds]:seconds:' \
          '--json' ;;
        sync) _arguments '--for[seconds]:seconds:' '--json' ;;
        conversations) _arguments '--limit[items]:items:' '--offset[items]:items:' \
          '--cursor[cursor]:cursor:' '--json' ;;
        messages) _arguments '--limit[items]:items:' '--offset[items]:items:' \
          '--cursor[cursor]:cursor:' '--from-start[the first ones]' '--json' ;;
        strangers) _values policy open requests ;;
        completion) _values shell bash zsh ;;
        *) _arguments '--json' ;;
      esac ;;
  esac
}
compdef _godwit godwit
)SCRIPT";

}  // namespace

int print_completion(const Arguments& arguments, const Output&) {
  std::cout << (arguments.shell == "zsh" ? kZsh : kBash);
  return kExitOk;
}

}  // namespace godwit::cli
