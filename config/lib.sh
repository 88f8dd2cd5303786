# Shell functions shared by config/quickstart.sh, config/image/*.sh, tests/run.sh and the benches. Sourced by bash.
#
# Nothing here runs by itself. Whoever sources it has `set -euo pipefail` on.

# A failure inside $(...) is a failure too.
shopt -s inherit_errexit

VELUM_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VELUM_CACHE=${VELUM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/velum}
export CARGO_TARGET_DIR=${VELUM_TARGET_DIR:-$VELUM_CACHE/target}
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never}
# What the scripts build is built from nothing or not at all: incremental, the API alone took four minutes of processor time
# instead of one and a half, and the tree twice the disk. A cargo of one's own stays incremental, in a target of its own.
export CARGO_INCREMENTAL=${CARGO_INCREMENTAL:-0}
# Of a cloud, this file and its readers want the same bytes everywhere.
export LC_ALL=C.UTF-8

# ---- telling people ---------------------------------------------------------------------------------------------------

say() { printf '%s\n' "$*"; }
step() { printf '==> %s\n' "$*"; }
warn() { printf 'warning: %s\n' "$*" >&2; }
# One message that says what to do, and an end with nothing half done.
fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}
is_terminal() { [ -t 1 ] && [ "${CI:-}" != true ]; }
now_ms() { date +%s%3N; }

# ---- packages ---------------------------------------------------------------------------------------------------------

is_debian() { [ -r /etc/debian_version ] && command -v apt-get >/dev/null; }
# Whether we can become root without a question.
can_root() { [ "$(id -u)" = 0 ] || { command -v sudo >/dev/null && sudo -n true 2>/dev/null; }; }
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n --preserve-env=DEBIAN_FRONTEND "$@"; fi
}

missing_packages() {
  local package
  for package in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null)" = 'ii ' ] || printf '%s ' "$package"
  done
}

# apt with a wait for whoever else holds its lock, and one more try: mirrors hiccup.
apt() {
  export DEBIAN_FRONTEND=noninteractive
  local log=$VELUM_CACHE/apt.log
  mkdir -p "$VELUM_CACHE"
  as_root apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -y "$@" >>"$log" 2>&1 ||
    { sleep 5 && as_root apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -y "$@" >>"$log" 2>&1; } ||
    { tail -n 15 "$log" >&2; return 1; }
}

# ensure_packages PACKAGE...: installs what is missing, or says which packages to install.
ensure_packages() { ensure_packages_from '' "$@"; }

# ensure_packages_from SUITE PACKAGE...
ensure_packages_from() {
  local suite=$1 missing
  shift
  is_debian || fail "this needs Debian 12 (or its packages $*): install them and run again"
  missing=$(missing_packages "$@")
  [ -n "$missing" ] || return 0
  can_root || fail "these packages are missing and there is no root and no sudo to install them: run 'apt-get install ${suite:+-t $suite }$missing' as root, then run this again"
  step "installing $missing"
  apt_update
  # shellcheck disable=SC2086 # a list of names
  apt install --no-install-recommends ${suite:+-t "$suite"} $missing ||
    fail "could not install $missing: run 'apt-get install ${suite:+-t $suite }$missing' as root and see what it says, then run this again"
}

apt_update() {
  # Once a process tree is enough; package lists of the last six hours do as well.
  local stamp=/var/lib/apt/lists/velum-updated
  [ -z "${VELUM_APT_UPDATED:-}" ] || return 0
  if [ -z "$(find "$stamp" -mmin -360 2>/dev/null)" ]; then
    apt update || fail "apt-get update failed: is there a network, and a usable mirror in /etc/apt/sources.list.d?"
    as_root touch "$stamp"
  fi
  export VELUM_APT_UPDATED=1
}

# libvirt and QEMU come from bookworm-backports: qemu-utils of Debian's own images does, and it conflicts with bookworm's.
ensure_libvirt_packages() {
  local packages='libvirt-dev libvirt-daemon libvirt-daemon-driver-qemu libvirt-daemon-system libvirt-clients qemu-system-x86 qemu-utils qemu-block-extra dbus'
  # shellcheck disable=SC2086
  [ -n "$(missing_packages $packages)" ] || return 0
  local suite=
  if grep -q '^12' /etc/debian_version 2>/dev/null; then
    suite=bookworm-backports
    if ! grep -rqs bookworm-backports /etc/apt/sources.list /etc/apt/sources.list.d; then
      can_root || fail "libvirt is missing: enable bookworm-backports and install '$packages' as root, then run this again"
      echo 'deb http://deb.debian.org/debian bookworm-backports main' | as_root tee /etc/apt/sources.list.d/velum-backports.list >/dev/null
      as_root rm -f /var/lib/apt/lists/velum-updated
    fi
  fi
  # shellcheck disable=SC2086
  ensure_packages_from "$suite" $packages
}

# ---- toolchains -------------------------------------------------------------------------------------------------------

version_at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }
rust_version() { { "${1:-cargo}" --version 2>/dev/null || echo 'cargo 0'; } | awk '{print $2}'; }

# ensure_rust MAY_INSTALL(yes|no): a cargo that is new enough is first in PATH, or a message says what to install.
ensure_rust() {
  local wanted
  wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$VELUM_ROOT/Cargo.toml")
  [ -d "$HOME/.cargo/bin" ] && PATH=$HOME/.cargo/bin:$PATH
  if ! version_at_least "$wanted" "$(rust_version)"; then
    [ "$1" = yes ] || fail "a Rust toolchain of at least $wanted is needed: install it with rustup (https://rustup.rs) or, on Debian 12, 'apt-get install rustc-web cargo-web', then run this again"
    ensure_packages rustc-web cargo-web
    PATH=/usr/bin:$PATH
    version_at_least "$wanted" "$(rust_version)" || fail "cargo $(rust_version) is older than $wanted: install a newer one with rustup (https://rustup.rs)"
  fi
  command -v cc >/dev/null || {
    [ "$1" = yes ] || fail "a C compiler is needed (SQLite is built in): install 'gcc' or 'clang', then run this again"
    ensure_packages gcc libc6-dev
  }
}

# ensure_wasm_target MAY_INSTALL(yes|no): the target that plugins are built for. rustup's is tried with a time limit, for its
# server was seen to hang; then Debian's own compiler builds the standard library from its packaged source.
ensure_wasm_target() {
  local sysroot
  sysroot=$(rustc --print sysroot)
  [ -d "$sysroot/lib/rustlib/wasm32-unknown-unknown/lib" ] && return 0
  if command -v rustup >/dev/null; then
    step 'adding the target wasm32-unknown-unknown'
    timeout 180 rustup target add wasm32-unknown-unknown >/dev/null 2>&1 || true
    [ -d "$sysroot/lib/rustlib/wasm32-unknown-unknown/lib" ] && return 0
  fi
  [ -z "$(missing_packages rustc-web cargo-web rust-web-src lld-19)" ] && return 0
  [ "$1" = yes ] || can_root || fail "the Rust target wasm32-unknown-unknown is missing: run 'rustup target add wasm32-unknown-unknown', or install 'rustc-web cargo-web rust-web-src lld-19', then run this again"
  ensure_packages rustc-web cargo-web rust-web-src lld-19
}

# prune_target LIMIT_GIB: builds of many commits pile up; beyond the limit what is oldest goes first.
prune_target() {
  local limit_kib=$(($1 * 1024 * 1024)) used
  [ -d "$CARGO_TARGET_DIR" ] || return 0
  used=$(du -sk "$CARGO_TARGET_DIR" | cut -f 1)
  [ "$used" -gt "$limit_kib" ] || return 0
  step "$CARGO_TARGET_DIR holds $((used / 1048576)) GiB: removing what is old"
  local days
  for days in 14 7 3 1; do
    find "$CARGO_TARGET_DIR" -type f -mtime +"$days" -delete 2>/dev/null || true
    used=$(du -sk "$CARGO_TARGET_DIR" | cut -f 1)
    [ "$used" -gt "$limit_kib" ] || return 0
  done
  rm -rf "$CARGO_TARGET_DIR"/*/incremental
  used=$(du -sk "$CARGO_TARGET_DIR" | cut -f 1)
  [ "$used" -gt "$limit_kib" ] || return 0
  rm -rf "$CARGO_TARGET_DIR"
}

# ---- processes --------------------------------------------------------------------------------------------------------

# A process is known by its id and the tick it started at, so that a reused id is not taken for it.
started_at() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20; }
remember_process() { printf '%s %s\n' "$2" "$(started_at "$2")" >"$1"; }

# process_of FILE: prints the id if that very process still runs.
process_of() {
  local id tick
  [ -r "$1" ] || return 1
  read -r id tick <"$1" || return 1
  [ -n "${tick:-}" ] && [ "$(started_at "$id")" = "$tick" ] && [ "$(awk '/^State/ {print $2}' "/proc/$id/status" 2>/dev/null)" != Z ] && printf '%s\n' "$id"
}

# stop_process FILE [SECONDS]: asks it to end, then ends it; forgets it.
stop_process() {
  local id waited=0 limit=${2:-10}
  if id=$(process_of "$1"); then
    signal_process TERM "$id"
    while process_of "$1" >/dev/null && [ $waited -lt $((limit * 10)) ]; do
      sleep 0.1
      waited=$((waited + 1))
    done
    process_of "$1" >/dev/null && signal_process KILL "$id"
  fi
  rm -f "$1" 2>/dev/null || as_root rm -f "$1"
}
signal_process() { kill -"$1" "$2" 2>/dev/null || as_root kill -"$1" "$2" 2>/dev/null || true; }

# wait_until SECONDS COMMAND...: until it succeeds.
wait_until() {
  local deadline=$(($(date +%s) + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$(date +%s)" -lt $deadline ] || return 1
    sleep 0.2
  done
}

free_port() {
  local port
  for port in $(shuf -i 20000-30000 -n 50); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { printf '%s\n' "$port"; return 0; }
  done
  return 1
}

# ---- libvirt ----------------------------------------------------------------------------------------------------------

libvirt_answers() { virsh -c qemu:///system version; }

# start_libvirt DIRECTORY: if none answers, starts dbus, virtlogd and libvirtd and remembers in DIRECTORY what it started.
start_libvirt() {
  local directory=$1
  mkdir -p "$directory"
  libvirt_answers >/dev/null 2>&1 && return 0
  can_root || fail "no libvirtd answers on qemu:///system, and starting one needs root: start it, then run this again"
  step 'starting libvirt'
  as_root mkdir -p /run/dbus /run/libvirt /var/log/libvirt
  if ! [ -S /run/dbus/system_bus_socket ] || ! pgrep -x dbus-daemon >/dev/null; then
    as_root rm -f /run/dbus/pid
    as_root dbus-daemon --system --fork --nopidfile --print-pid 1 >"$directory/dbus.new"
    remember_process "$directory/dbus.pid" "$(cat "$directory/dbus.new")"
    rm -f "$directory/dbus.new"
  fi
  start_daemon "$directory" virtlogd
  start_daemon "$directory" libvirtd
  # One that was just ending counted as running, and is gone by now.
  wait_until 15 libvirt_answers || start_daemon "$directory" libvirtd
  wait_until 30 libvirt_answers || fail "libvirtd was started and does not answer: see its log, journal or 'libvirtd -v'"
}

# libvirt's daemons write their own pid file under /run.
start_daemon() {
  local directory=$1 name=$2
  [ -r "/run/$name.pid" ] && kill -0 "$(cat "/run/$name.pid")" 2>/dev/null && return 0
  # One that ended just now may still have the lock on the pid file.
  wait_until 10 as_root "$name" -d || fail "$name did not start: run '$name -v' as root to see why"
  wait_until 10 test -s "/run/$name.pid" || fail "$name did not start: run '$name -v' as root to see why"
  remember_process "$directory/$name.pid" "$(cat "/run/$name.pid")"
}

# stop_libvirt DIRECTORY: ends what start_libvirt started there, and nothing else.
stop_libvirt() {
  local name
  for name in libvirtd virtlogd dbus; do
    if [ -e "$1/$name.pid" ]; then stop_process "$1/$name.pid" 15; fi
  done
}

# ---- building ---------------------------------------------------------------------------------------------------------

# Where built programs lie: VELUM_PROFILE is `dev` (the default) or `release`.
bin_directory() {
  case "${VELUM_PROFILE:-dev}" in
  dev) printf '%s\n' "$CARGO_TARGET_DIR/debug" ;;
  *) printf '%s\n' "$CARGO_TARGET_DIR/$VELUM_PROFILE" ;;
  esac
}

# cargo_build ARGUMENT...: quiet but for warnings and errors, unless somebody watches. For the suites (VELUM_WHOLE=yes) it is
# always the whole workspace with its tests, for the benches (VELUM_WHOLE=programs) always all that they run, whatever is asked for:
# another selection would build the dependencies anew.
cargo_build() {
  local quiet=(--quiet)
  if is_terminal; then quiet=(); fi
  case "${VELUM_WHOLE:-}" in
  yes) set -- --workspace --all-targets ;;
  programs) set -- -p velum-server -p velum-sim -p velum-cli -p velum-bench ;;
  esac
  (cd "$VELUM_ROOT" && cargo build --locked "${quiet[@]}" --profile "${VELUM_PROFILE:-dev}" "$@")
}

# The first-party components, in $CARGO_TARGET_DIR/plugins.
build_plugins() {
  ensure_wasm_target "${1:-yes}"
  step 'building the first-party plugins'
  bash "$VELUM_ROOT/plugins/build.sh"
}

# What every real suite and bench runs: server, far side, command line, node, components. Without libvirt's headers the node
# is left out, and only what needs it fails.
build_for_tests() {
  ensure_rust yes
  local packages=(-p velum-server -p velum-sim -p velum-cli)
  if pkg-config --exists libvirt 2>/dev/null; then packages+=(-p velum-node); fi
  step "building the programs ($(bin_directory))"
  cargo_build "${packages[@]}"
  build_plugins yes
}

# run_bin PACKAGE PROGRAM ARGUMENT...: builds a suite or bench and runs it beside the programs; under the command RUN_UNDER, if
# that is set.
run_bin() {
  local package=$1 program=$2
  shift 2
  cargo_build -p "$package" --bin "$program"
  VELUM_BIN=$(bin_directory) VELUM_PLUGINS=$CARGO_TARGET_DIR/plugins ${RUN_UNDER:-} "$(bin_directory)/$program" "$@"
}
