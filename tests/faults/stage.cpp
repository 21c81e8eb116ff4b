#include "tests/faults/stage.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "schema/net/descriptor.hpp"

namespace godwit::faults {

std::string text_of(const Fault& fault) {
  std::string text(kCallNames[static_cast<std::size_t>(fault.call)]);
  for (const ErrorName& one : kErrorNames) {
    if (one.code == fault.error) text += ":" + std::string(one.name);
  }
  return text + ":" + std::to_string(fault.index) + (fault.lasting ? "+" : "");
}

int run_program(std::vector<std::string> arguments,
                const std::map<std::string, std::string>& environment,
                const std::filesystem::path& output, const std::function<void()>& meanwhile,
                std::chrono::seconds patience) {
  std::vector<std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    if (!environment.contains(text.substr(0, text.find('=')))) variables.push_back(text);
  }
  for (const auto& [name, value] : environment) variables.push_back(name + "=" + value);
  const auto raw = [](std::vector<std::string>& texts) {
    std::vector<char*> pointers;
    for (std::string& text : texts) pointers.push_back(text.data());
    pointers.push_back(nullptr);
    return pointers;
  };
  posix_spawn_file_actions_t actions;
  REQUIRE(::posix_spawn_file_actions_init(&actions) == 0);
  for (const int file : {STDOUT_FILENO, STDERR_FILENO}) {
    REQUIRE(::posix_spawn_file_actions_addopen(&actions, file, output.c_str(),
                                               O_WRONLY | O_CREAT | O_APPEND, 0600) == 0);
  }
  pid_t child = -1;
  REQUIRE(::posix_spawn(&child, arguments.front().c_str(), &actions, nullptr,
                        raw(arguments).data(), raw(variables).data()) == 0);
  ::posix_spawn_file_actions_destroy(&actions);
  const auto limit = std::chrono::steady_clock::now() + patience;
  int status = 0;
  while (::waitpid(child, &status, WNOHANG) == 0) {
    meanwhile();
    if (std::chrono::steady_clock::now() > limit) ::kill(child, SIGKILL);
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string with_name(std::string text, const std::string& what, const std::string& name) {
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what)) {
    text.replace(at, what.size(), name);
  }
  return text;
}

Counter::Counter(const std::filesystem::path& file) : file_(file) {
  const net::Descriptor opened(
      ::open(file.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  REQUIRE(opened.is_open());
  REQUIRE(::ftruncate(opened.get(), sizeof(Counts)) == 0);
  void* const mapped =
      ::mmap(nullptr, sizeof(Counts), PROT_READ | PROT_WRITE, MAP_SHARED, opened.get(), 0);
  REQUIRE(mapped != MAP_FAILED);
  counts_ = static_cast<Counts*>(mapped);
}

Counter::~Counter() {
  ::munmap(counts_, sizeof(Counts));
}

std::map<std::string, std::string> Counter::environment(const std::optional<Fault>& fault) const {
  const char* const asan = std::getenv("ASAN_OPTIONS");
  std::map<std::string, std::string> changes{
      {"LD_PRELOAD", GODWIT_FAULT_INTERPOSER},
      {"GODWIT_FAULT_COUNTS", file_.string()},
      // A sanitizer's runtime wants to be the first that is loaded.
      {"ASAN_OPTIONS", (asan == nullptr ? "" : asan + std::string(":")) +
                           "verify_asan_link_order=0"},
  };
  if (fault) changes["GODWIT_FAULT"] = text_of(*fault);
  return changes;
}

std::array<std::uint64_t, kCallNames.size()> Counter::calls() const {
  std::array<std::uint64_t, kCallNames.size()> all{};
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = counts_->calls[i].load();
  return all;
}

}  // namespace godwit::faults
