#!/usr/bin/env bash
# Walks through sdk/README.md as a new user would: the very commands of each language, in an empty folder outside of the
# repository, against a simulated cloud of its own, up to a decision that names the new policy. What is printed is a transcript.
# With names of languages (rust python javascript) as arguments, only those.
set -euo pipefail
cd "$(dirname "$0")/../.."
. config/lib.sh
. config/quickstart/processes.sh
. config/quickstart/cloud.sh
. config/quickstart/sim.sh

HOSTS=40
# From an idea to a decision: a person reads and types meanwhile, so the machine's share is to be small.
SECONDS_AT_MOST=300

VQ=${VELUM_RUN:+$VELUM_RUN/sdk}
VQ=${VQ:-$(mktemp -d /tmp/velum-sdk.XXXXXX)}
WALK=$(mktemp -d /tmp/velum-walk.XXXXXX)
LOGS=${VELUM_LOGS:-$CARGO_TARGET_DIR/logs}/sdk-walk
README=$PWD/sdk/README.md

stop() {
  local status=$?
  trap - EXIT INT TERM
  mkdir -p "$LOGS"
  cp -r "$VQ"/log/. "$LOGS/" 2>/dev/null || true
  cp "$WALK"/*.transcript "$LOGS/" 2>/dev/null || true
  stop_process "$VQ/run/velumd.pid" 20
  stop_process "$VQ/run/velum-sim.pid"
  # The last line is the result.
  cat "$WALK/line" 2>/dev/null || true
  rm -rf "$VQ" "$WALK"
  exit $status
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# ensure_tools: what the walks say that a user has.
ensure_tools() {
  ensure_wasm_target yes
  python3 -c 'import ensurepip' 2>/dev/null || ensure_packages python3-venv
  command -v node >/dev/null || ensure_packages nodejs npm
}

# commands_of HEADING KIND: what stands in the blocks of this kind below a heading of the README.
commands_of() {
  awk -v heading="## $1" -v fence="\`\`\`$2" '
    /^## / {inside = ($0 == heading)}
    inside && /^```/ {if (block) {block = 0} else if ($0 == fence) {block = 1}; next}
    inside && block {sub(/ +#.*/, ""); print}' "$README"
}

# walk HEADING POLICY INSTANCE: runs its commands one after another, each shown before what it says.
walk() {
  local heading=$1 policy=$2 instance=$3 name began script transcript
  name=$(tr '[:upper:]' '[:lower:]' <<<"$heading")
  transcript=$WALK/$name.transcript
  script=$WALK/$name.sh
  mkdir -p "$WALK/$name"
  # PS4 makes of -x what a person sees on a terminal.
  { printf 'set -eu\nPS4="$ "\nset -x\n' && commands_of "$heading" sh; } >"$script"
  [ "$(commands_of "$heading" sh | grep -c .)" -ge 8 ] || fail "sdk/README.md has no walk below '## $heading'"
  began=$(now_ms)
  if ! (cd "$WALK/$name" && walk_environment && bash "$script") >"$transcript" 2>&1 </dev/null; then
    cat "$transcript"
    fail "the walk in $heading ended early"
  fi
  printf '%s\n' $(($(now_ms) - began)) >"$WALK/$name.ms"
  cat "$transcript"
  velum instance why "$instance" -o json >"$WALK/$name.json"
  jq -e --arg policy "$policy" '.policy.name == $policy and .policy.failed == null and .winner != null' "$WALK/$name.json" >/dev/null ||
    fail "the decision on $instance does not name the policy $policy: $(jq -c .policy "$WALK/$name.json")"
}

# walk_environment: a user's: the command line in PATH, and nothing of this repository but what was built is kept for the next run.
walk_environment() {
  export PATH=$VQ/bin:$PATH CARGO_TARGET_DIR=$CARGO_TARGET_DIR/sdk-walk
  unset CARGO_BUILD_RUSTFLAGS RUSTFLAGS
}

# bundle: the commands of "Giving it to others", in the folder where the walk in Rust was.
bundle() {
  local script=$WALK/bundle.sh
  { printf 'set -eu\nPS4="$ "\nset -x\n' && commands_of 'Giving it to others' 'sh bundle'; } >"$script"
  (cd "$WALK/rust" && walk_environment && bash "$script") 2>&1 | tee "$WALK/bundle.transcript"
  cmp "$WALK/rust/back.velum" "$WALK/rust/coolest/coolest-0.1.0.velum" || fail 'what was pulled is not what was published'
}

# drivers: the other skeletons in Rust pass their own tests and become components.
drivers() {
  local world
  for world in hypervisor-driver storage-provider; do
    (cd "$WALK" && walk_environment && velum plugin new "my-$world" --world "$world" && cd "my-$world" && cargo test --quiet && velum plugin build) \
      2>&1 | tee "$WALK/$world.transcript"
    [ -s "$WALK/my-$world/my-$world.wasm" ] || fail "the skeleton of $world does not build"
  done
}

libraries() {
  (cd sdk/python && PYTHONDONTWRITEBYTECODE=1 python3 -m unittest discover --quiet tests)
  (cd sdk/js && node --test)
}

main() {
  local languages=${*:-rust python javascript} language slowest
  ensure_tools
  open_home "$VQ" sim
  start_sim $HOSTS
  start_server
  head -c 1048576 /dev/zero >"$VQ/blank.raw"
  make_zone 1 $HOSTS
  step 'the libraries of Python and JavaScript'
  libraries
  for language in $languages; do
    step "sdk/README.md in $language"
    case "$language" in
    rust)
      walk Rust cool in-the-cool
      step 'a bundle, signed and published'
      bundle
      step 'skeletons of drivers and providers'
      drivers
      ;;
    python) walk Python thrift by-python ;;
    javascript) walk JavaScript sparing by-javascript ;;
    *) fail "there is no walk in '$language': rust, python, javascript" ;;
    esac
  done
  slowest=$(sort -n "$WALK"/*.ms | tail -n 1)
  for language in $languages; do
    jq -c --arg language "$language" --argjson ms "$(cat "$WALK/$language.ms")" \
      '{key: $language, value: {seconds: ($ms / 1000), policy: .policy.name, digest: .policy.digest, compute_host: .winner.compute_host_name, score: .winner.score}}' \
      "$WALK/$language.json"
  done | jq -cs --argjson slowest "$slowest" --argjson at_most $SECONDS_AT_MOST \
    '{name: "sdk-walk", value: ($slowest / 1000), unit: "s", at_most: $at_most, aim: $at_most, ok: ($slowest / 1000 <= $at_most), walks: from_entries}' >"$WALK/line"
  jq -e .ok "$WALK/line" >/dev/null
}
main "$@"
