#!/usr/bin/env bash
# `config/quickstart.sh --sim 1000` against a cloud of its own, then what must hold of the velumd that it leaves: its memory
# with every first-party plugin installed, and the time from its start to ready with components compiled before.
set -euo pipefail
cd "$(dirname "$0")/../.."
. config/lib.sh
. config/quickstart/processes.sh

HOSTS=1000
INSTANCES=500
RSS_AT_MOST_MIB=250
READY_AT_MOST_MS=2000
# The median of them counts: one may fall into another program's second.
STARTS=3

VQ=${VELUM_RUN:+$VELUM_RUN/sim}
VQ=${VQ:-$(mktemp -d /tmp/velum-sim.XXXXXX)}
export VELUM_HOME=$VQ
LOGS=${VELUM_LOGS:-$CARGO_TARGET_DIR/logs}/quickstart-sim

stop() {
  local status=$?
  trap - EXIT INT TERM
  mkdir -p "$LOGS"
  cp -r "$VQ"/log/. "$LOGS/" 2>/dev/null || true
  bash config/quickstart.sh --stop || status=1
  # The last line is the result.
  cat "$VQ/run/line" 2>/dev/null || true
  rm -rf "$VQ"
  exit $status
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# memory FIELD: of the server's, MiB, rounded up.
memory() { awk -v field="$1:" '$1 == field {print int(($2 + 1023) / 1024)}' "/proc/$(process_of "$VQ/run/velumd.pid")/status"; }

# start_ms: starts velumd as the quickstart does and prints after how many milliseconds it was ready.
start_ms() {
  local began deadline
  began=$(now_ms)
  deadline=$((began + 60000))
  launch velumd "$VQ/bin/velumd" --config "$VQ/velumd.toml"
  until [ "$(http_status "$VQ_API/readyz")" = 200 ]; do
    runs velumd && [ "$(now_ms)" -lt $deadline ] || fail "velumd does not come up again: $(tail -n 5 "$VQ/log/velumd.log")"
    sleep 0.01
  done
  printf '%s\n' $(($(now_ms) - began))
}

count() { velum "$@" --limit 100000 -o json | jq 'length'; }
velum() { "$VQ/bin/velum" "$@"; }

main() {
  local rss peak plugins wanted running compiled ready=() readies restarted_rss
  bash config/quickstart.sh --sim $HOSTS
  VQ_API=http://127.0.0.1:$(cat "$VQ/run/server.port")
  export VELUM_SERVER=$VQ_API VELUM_TOKEN
  VELUM_TOKEN=$(cat "$VQ/data/admin.token")
  rss=$(memory VmRSS)
  peak=$(memory VmHWM)
  plugins=$(count plugin list)
  wanted=$(find plugins -mindepth 2 -maxdepth 2 -name plugin.toml | wc -l)

  step "starting velumd again, $STARTS times, on what the run left"
  touch "$VQ/run/before"
  for _ in $(seq $STARTS); do
    stop_process "$VQ/run/velumd.pid" 40
    ready+=("$(start_ms)")
  done
  # What is compiled anew is written anew.
  compiled=$(find "$VQ/data/plugins" -type f -newer "$VQ/run/before" | wc -l)
  running=$(count instance list --state running)
  restarted_rss=$(memory VmRSS)
  readies=$(printf '%s\n' "${ready[@]}" | sort -n | jq -cs .)
  jq -nc --argjson rss "$rss" --argjson rss_at_most $RSS_AT_MOST_MIB --argjson peak "$peak" --argjson restarted "$restarted_rss" \
    --argjson readies "$readies" --argjson ready_at_most $READY_AT_MOST_MS --argjson hosts $HOSTS \
    --argjson running "$running" --argjson instances $INSTANCES --argjson plugins "$plugins" --argjson wanted "$wanted" \
    --argjson compiled "$compiled" --arg rate "$(cat "$VQ/run/rate")" --arg profile "${VELUM_PROFILE:-dev}" \
    '($readies | .[length / 2 | floor]) as $ready |
     {name: "quickstart-sim", value: $rss, unit: "MiB", at_most: $rss_at_most, aim: $rss_at_most,
      ok: ($rss <= $rss_at_most and $ready <= $ready_at_most and $plugins == $wanted and $compiled == 0 and $running == $instances),
      rss_mib: $rss, rss_peak_mib: $peak, rss_restarted_mib: $restarted, rss_at_most_mib: $rss_at_most,
      ready_ms: $ready, ready_ms_each: $readies, ready_at_most_ms: $ready_at_most,
      plugins: $plugins, plugins_wanted: $wanted, components_compiled_again: $compiled,
      hosts: $hosts, running: $running, rate: $rate, profile: $profile}' >"$VQ/run/line"
  jq -e .ok "$VQ/run/line" >/dev/null
}
main
