# What tools/quickstart and tools/test share: the packages and the build directories. Sourced by
# them, under `set -euo pipefail`; defines functions and root, and does nothing by itself.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Everything that the build needs beyond Debian's base system. ccache is used when it is there.
packages=(
  doctest-dev
  flatbuffers-compiler
  g++
  libcli11-dev
  libexpected-dev
  libflatbuffers-dev
  libjs-chart.js
  liblmdb-dev
  libsodium-dev
  libspdlog-dev
  libtomlplusplus-dev
  libuv1-dev
  meson
  ninja-build
  nlohmann-json3-dev
  pkg-config
)

# What tools/test --full needs besides. Without valgrind the build skips one test.
packages_of_full=(
  clang-tidy
  valgrind
)

say() { printf '%s\n' "$*"; }
fail() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

missing_packages() {
  local package status
  for package in "${packages[@]}"; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || status=
    [[ $status == installed ]] || say "$package"
  done
}

is_debian_12() {
  [[ -r /etc/os-release ]] && (. /etc/os-release && [[ ${ID-} == debian && ${VERSION_ID-} == 12 ]])
}

# What Debian 12 has; older ones have not been tried.
print_needed() {
  cat >&2 <<'END'
This is not Debian 12, so nothing is installed by itself. Needed, with the oldest version tried:
  g++ 12 or clang 14, meson 1.0, ninja 1.11, pkg-config 1.8, flatc and FlatBuffers 2.0.8,
  libuv 1.44, libsodium 1.0.18, LMDB 0.9.24, doctest 2.4, toml++ 3.3, CLI11 2.1, spdlog 1.10,
  tl::expected 1.0, nlohmann-json 3.11, Chart.js 3.9 (as Debian's libjs-chart.js puts it)
and for tools/test --full: clang-tidy 14, valgrind 3.19
When they are installed, say so: GODWIT_PACKAGES=ready, before this same command.
END
}

as_root() {
  if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

apt_get() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 "$@"
}

install_packages() {
  apt_get install --yes --no-install-recommends "$@" >"$log" 2>&1
}

# Installs what is missing. The system's package lists are fetched when there are none, or when
# they turn out to be too old to install from.
ensure_packages() {
  [[ ${GODWIT_PACKAGES-} != ready ]] || return 0
  is_debian_12 || { print_needed; exit 1; }
  local missing log
  mapfile -t missing < <(missing_packages)
  ((${#missing[@]} > 0)) || return 0
  say "installing ${#missing[@]} packages: ${missing[*]}"
  # Asked here: what apt-get says goes into a log.
  ((EUID == 0)) || command -v sudo >/dev/null ||
    fail "installing packages needs root or sudo; as root: apt-get install ${missing[*]}"
  log=$(mktemp)
  if ! compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null || ! install_packages "${missing[@]}"
  then
    apt_get update >"$log" 2>&1 && install_packages "${missing[@]}" ||
      { cat "$log" >&2; rm -f "$log"; fail "the packages could not be installed; see above"; }
  fi
  rm -f "$log"
}

# Programs that stand where the directory has a folder: it was made from another state of the tree.
has_stale_layout() {
  local program
  while read -r program; do
    [[ ! -d $1/$program ]] || return 0
  done < <(ninja -C "$1" -t targets all | sed -n 's/: cpp_LINKER.*$//p')
  return 1
}

# configure DIR OPTION...: makes a build directory, or brings an old one up to these options. One
# that meson cannot bring up to date is made anew.
configure() {
  local directory=$1 log=$1.log
  shift
  if [[ -e $directory/build.ninja ]]; then
    if meson setup --reconfigure "$@" "$directory" "$root" >"$log" 2>&1 &&
      ! has_stale_layout "$directory"; then
      rm -f "$log"
      return 0
    fi
    say "making $(basename "$directory") anew"
  fi
  rm -rf "$directory"
  if ! meson setup "$@" "$directory" "$root" >"$log" 2>&1; then
    cat "$log" >&2
    rm -f "$log"
    return 1
  fi
  rm -f "$log"
}

# build DIR TARGET...: one job per core, so that memory stays bounded; prints only what fails.
build() {
  local directory=$1 log=$1.log status=0
  shift
  ninja -C "$directory" -j "$(nproc)" "$@" >"$log" 2>&1 || status=1
  ((status == 0)) || cat "$log" >&2
  rm -f "$log"
  return "$status"
}
