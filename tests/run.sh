#!/usr/bin/env bash
# Runs the tests: `bash tests/run.sh [SUITE]`. Without a name: all of them, real ones included.
#
#   quick            fmt, clippy, house, unit
#   all              quick, then every real suite below
#   build            only builds what the real suites run
#   fmt clippy house unit deny
#   quickstart       config/quickstart.sh with a real guest (libvirt)
#   NAME             a suite: tests/{e2e,reliability}/src/bin/NAME.rs or tests/e2e/NAME.sh (further arguments are passed on);
#                    kill-loop, servers and simulate take --release-size
#   accept …         a bench: the same as tests/bench/run.sh NAME
#
# It installs what is missing where it can, and starts and stops libvirtd, databases and servers itself. The last line is one
# JSON object; the exit status follows its "ok". Logs are kept in $VELUM_LOGS (default: target directory, `logs/`).
set -euo pipefail
cd "$(dirname "$0")/.."
. config/lib.sh
export CI=${CI:-true}
# Build the whole workspace with its tests wherever something of it is built: once, with one set of features.
export VELUM_WHOLE=yes
# What went wrong is said in words; frames only bury them. VELUM_BACKTRACE=1 shows them all the same.
export RUST_BACKTRACE=${VELUM_BACKTRACE:-0}

LOGS=${VELUM_LOGS:-$CARGO_TARGET_DIR/logs}
# Suites keep more there than their own output.
export VELUM_LOGS=$LOGS
RUN=$(mktemp -d /tmp/velum-run.XXXXXX)
# The server's and the hypervisor's users pass through.
chmod 711 "$RUN"
# A cold target directory of one commit is about 8 GiB.
TARGET_LIMIT_GIB=20
# One suite that hangs must not eat the others' time; the longest take some minutes on 2 cores.
SUITE_LIMIT_S=${VELUM_SUITE_LIMIT_S:-1200}
# What builds everything from nothing: half an hour on 2 slow cores, wasmtime's compiler for the most part.
BUILD_LIMIT_S=${VELUM_BUILD_LIMIT_S:-3300}

cleanup() {
  local status=$?
  trap - EXIT INT TERM
  local home
  # A quickstart that was ended half-way.
  for home in "$RUN/real" "$RUN/sim"; do
    if [ -d "$home/run" ]; then VELUM_HOME=$home bash config/quickstart.sh --stop >/dev/null || true; fi
  done
  stop_libvirt "$RUN" || true
  rm -rf "$RUN"
  # Whatever could not run says so.
  [ "$is_told" = yes ] || printf '{"name":"%s","value":%s,"unit":"exit status","at_most":0,"aim":0,"ok":false,"why":"it could not run: see above"}\n' "$asked" "$status"
  exit $status
}
is_told=no
asked=${1:-all}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# ---- what is needed ---------------------------------------------------------------------------------------------------

prepare() {
  mkdir -p "$LOGS" "$CARGO_TARGET_DIR"
  prune_target $TARGET_LIMIT_GIB
  ensure_packages jq git pkg-config gcc libc6-dev curl ca-certificates
  ensure_rust yes
  ensure_libvirt_packages
  # A database, a reader of seeds that is not ours, networks and a file system of the suites' own, a recorder of writes.
  ensure_packages postgresql xorriso iproute2 e2fsprogs strace
  # A storage array of the suites' own: iSCSI targets in user space. (QEMU's side of it, qemu-block-extra, comes with libvirt.)
  ensure_packages tgt
  ensure_wasm_target yes
  ensure_tool cargo-nextest
}

# ensure_tool NAME: a cargo subcommand, built from its release when it is absent (nextest: about 6 minutes on 2 cores).
ensure_tool() {
  command -v "$1" >/dev/null && return 0
  step "building $1"
  CARGO_TARGET_DIR=$CARGO_TARGET_DIR/tools cargo install --locked --quiet "$1" || fail "could not install $1: run 'cargo install --locked $1' and see what it says"
  rm -rf "$CARGO_TARGET_DIR/tools"
}

# ---- suites -----------------------------------------------------------------------------------------------------------

suite_fmt() { cargo fmt --all --check; }

# One selection of packages and targets for everything that is built for tests: with another one, cargo unifies the features
# of the dependencies differently and builds them again.
suite_clippy() {
  # What ships must not unwrap; what tests may, and says so where it does.
  cargo clippy --locked --workspace --all-targets -- -D warnings
}

suite_house() { cargo nextest run --locked --profile ci --workspace -E 'package(velum-house)'; }

suite_unit() {
  build_for_tests
  # Tests that want whole programs beside them find them here.
  VELUM_BIN=$(bin_directory) VELUM_PLUGINS=$CARGO_TARGET_DIR/plugins \
    cargo nextest run --locked --profile ci --workspace -E 'not package(velum-house)'
  # nextest does not run the examples in the documentation.
  cargo test --locked --quiet --workspace --doc
}

suite_build() { build_for_tests; }

suite_deny() {
  ensure_tool cargo-deny
  cargo deny --config .deny.toml check licenses bans sources
  if compgen -G "$HOME/.cargo/advisory-dbs/*" >/dev/null; then
    cargo deny --offline --config .deny.toml check advisories
  else
    say 'advisories were not checked: there is no advisory database on this machine'
  fi
}

# In a home of its own, so that it never touches what a person runs on the same machine. (--sim: tests/e2e/quickstart-sim.sh)
quickstart_real() {
  local home=$RUN/real status=0
  export VELUM_HOME=$home
  bash config/quickstart.sh || status=$?
  # The guest's serial log is kept with the run.
  mkdir -p "$LOGS/quickstart"
  cp -r "$home"/log/. "$LOGS/quickstart/" 2>/dev/null || true
  bash config/quickstart.sh --stop || status=$?
  unset VELUM_HOME
  return $status
}
suite_quickstart() { quickstart_real && ensure_no_domains; }

# Whoever leaves a running domain behind has not cleaned up.
ensure_no_domains() {
  local left
  left=$(virsh -c qemu:///system list --name 2>/dev/null | grep -c . || true)
  [ "$left" = 0 ] || { say "$left domains are still running"; return 1; }
}

# ---- running them -----------------------------------------------------------------------------------------------------

quick_suites='fmt clippy house unit'

real_suites() {
  local file
  for file in tests/reliability/src/bin/*.rs tests/e2e/src/bin/*.rs tests/e2e/*.sh; do
    [ -e "$file" ] || continue
    file=${file##*/}
    printf '%s ' "${file%.*}"
  done
  printf 'quickstart'
}

benches() { sed -n 's/^\([a-z-]*\))$/\1/p' tests/bench/run.sh | tr '\n' ' '; }

# dispatch SUITE ARGUMENT...
dispatch() {
  local suite=$1
  shift
  if declare -F "suite_${suite//-/_}" >/dev/null; then
    "suite_${suite//-/_}" "$@"
  elif [ -e "tests/e2e/src/bin/$suite.rs" ]; then
    run_bin velum-e2e "$suite" "$@"
  elif [ -e "tests/reliability/src/bin/$suite.rs" ]; then
    # Threads that hand each other one call at a time need not interrupt each other at every row: it takes a seventh longer without.
    RUN_UNDER='chrt --batch 0' run_bin velum-reliability "$suite" "$@"
  elif [ -e "tests/e2e/$suite.sh" ]; then
    bash "tests/e2e/$suite.sh" "$@"
  else
    bash tests/bench/run.sh "$suite" "$@"
  fi
}

needs_libvirt() {
  case "$1" in
  quickstart) true ;;
  *) grep -qs 'qemu:///system' "tests/e2e/src/bin/$1.rs" "tests/e2e/$1.sh" ;;
  esac
}

# limit_of SUITE ARGUMENT...: seconds; none for what takes hours.
limit_of() {
  case " $* " in *' --release-size '*) printf 0 && return ;; esac
  # A bench builds what it measures.
  case " $(benches) " in *" $1 "*) printf '%s' $((BUILD_LIMIT_S + SUITE_LIMIT_S)) && return ;; esac
  case "$1" in
  clippy | house | unit | build) printf '%s' "$BUILD_LIMIT_S" ;;
  *) printf '%s' "$SUITE_LIMIT_S" ;;
  esac
}

# run_suite SUITE ARGUMENT...: runs it under a time limit with its output shown and kept; appends its result to $RUN/results.
run_suite() {
  local suite=$1 began status=0 log=$LOGS/$1.log line
  shift
  began=$(date +%s)
  step "$suite"
  if needs_libvirt "$suite"; then start_libvirt "$RUN"; fi
  # In a shell of its own: `set -e` holds in it, and a limit can end it with all that it started.
  VELUM_RUN=$RUN timeout --signal=TERM --kill-after=30 "$(limit_of "$suite" "$@")" \
    bash tests/run.sh --inside "$suite" "$@" </dev/null 2>&1 | tee "$log" || status=${PIPESTATUS[0]}
  line=$(tail -n 1 "$log" | jq -c 'select(type == "object" and has("ok"))' 2>/dev/null || true)
  if [ -z "$line" ]; then
    line=$(jq -nc --arg name "$suite" '{name: $name, value: '"$status"', unit: "exit status", at_most: 0, aim: 0, ok: ('"$status"' == 0)}')
  fi
  jq -c --argjson status "$status" --argjson seconds $(($(date +%s) - began)) \
    '.ok = (.ok and $status == 0) | .seconds = $seconds' <<<"$line" >>"$RUN/results"
  [ "$(tail -n 1 "$RUN/results" | jq .ok)" = true ] || say "FAILED: $suite (exit status $status; log: $log)"
}

# The end of every failed suite's log once more, so that whoever sees only the end of a run sees why.
tell_failures() {
  local suite
  for suite in $(jq -r 'select(.ok | not) | .name' "$RUN/results"); do
    step "FAILED: $suite; the end of its log:"
    tail -n 12 "$LOGS/$suite.log" 2>/dev/null | cut -c 1-600
  done
}

machine() {
  printf '%s, %s cores, %s GiB' "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" "$(nproc)" \
    "$(awk '/^MemTotal/ {print int($2 / 1048576)}' /proc/meminfo)"
}

# One line for a set: how many of its suites failed, and each one's own line.
summary() {
  jq -sc --arg name "$1" --arg commit "$(git rev-parse --short HEAD 2>/dev/null || echo unknown)" --arg machine "$(machine)" \
    --argjson seconds $(($(date +%s) - started)) \
    '{name: $name, value: (map(select(.ok | not)) | length), unit: "failed suites", at_most: 0, aim: 0, ok: all(.[]; .ok),
      suites: (map({(.name): .}) | add), seconds: $seconds, commit: $commit, machine: $machine}' "$RUN/results"
}

main() {
  local suite=${1:-all} suites
  started=$(date +%s)
  [ $# -eq 0 ] || shift
  case "$suite" in
  --inside)
    # The second half of run_suite: nothing to set up, nothing to clean up.
    trap - EXIT
    rm -rf "$RUN"
    RUN=$VELUM_RUN
    dispatch "$@"
    return
    ;;
  quick) suites=$quick_suites ;;
  all) suites="$quick_suites build $(real_suites)" ;;
  *)
    case " $quick_suites build deny $(real_suites) $(benches) " in
    *" $suite "*) suites=$suite ;;
    *) fail "there is no suite '$suite'; there are: quick all $quick_suites build deny $(real_suites) $(benches)" ;;
    esac
    ;;
  esac
  prepare
  # The benches build what they measure.
  case " $quick_suites deny build all quick $(benches) " in
  *" $suite "*) ;;
  *) VELUM_RUN=$RUN bash tests/run.sh --inside build </dev/null ;;
  esac
  for name in $suites; do run_suite "$name" "$@"; done
  is_told=yes
  tell_failures
  if [ "$suite" = "$suites" ]; then
    tail -n 1 "$RUN/results"
  else
    summary "$suite"
  fi
  [ "$(jq -s 'all(.[]; .ok)' "$RUN/results")" = true ]
}
main "$@"
