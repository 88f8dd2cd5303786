# Many simulated compute hosts and 500 instances on them. Sourced by quickstart.sh.

VQ_INSTANCES=500
# Requests at a time: most of the time each waits.
VQ_AT_ONCE=32

quickstart_sim() {
  local hosts=$1 zone
  step 'looking at what is installed'
  ensure_rust no
  ensure_wasm_target no
  step "building ($(bin_directory))"
  cargo_build -p velum-server -p velum-sim -p velum-cli
  build_plugins no
  open_home "$SIM_HOME" sim
  start_sim "$hosts"
  start_server
  export VQ VQ_SIM
  export -f velum
  head -c 1048576 /dev/zero >"$VQ/blank.raw"
  for zone in 1 2; do make_zone "$zone" "$hosts"; done
  make_instances
  show_cloud
}

start_sim() {
  local port file=$VQ/run/hosts
  if [ -s "$file" ] && [ "$(cat "$file")" != "$1" ]; then
    fail "there are $(cat "$file") simulated compute hosts in $VQ already: run it with --sim $(cat "$file"), or remove that directory after --stop"
  fi
  printf '%s\n' "$1" >"$file"
  port=$(port_for velum-sim 7071)
  VQ_SIM=http://127.0.0.1:$port
  # Another build of it does not replace one that runs: its state is the far side's.
  if ! runs velum-sim; then
    install_program velum-sim || true
    step "starting velum-sim on $VQ_SIM"
    launch velum-sim "$VQ/bin/velum-sim" --listen "127.0.0.1:$port" --hosts "$1" --zones 2 --latency-ms 20 --state-file "$VQ/sim.json"
    wait_until 20 sim_answers || fail "velum-sim does not come up: see $VQ/log/velum-sim.log"
  fi
}
sim_answers() { [ "$(http_status "$VQ_SIM/sim/stats")" = 200 ]; }

# make_zone NUMBER HOSTS-IN-ALL
make_zone() {
  local n=$1 zone pod cluster network policy count
  count=$((($2 + 2 - n) / 2))
  step "zone-$n: $count compute hosts"
  VQ_WITHIN=
  policy=$(ensure policy spreading --plugin placement-spread)
  zone=$(ensure zone "zone-$n" --policy "$policy")
  VQ_WITHIN="--zone $zone"
  pod=$(ensure pod "pod-$n" --zone "$zone" --cidr "172.$((15 + n)).0.0/16" --gateway "172.$((15 + n)).0.1")
  ensure_range --pod "$pod" "172.$((15 + n)).1.0" "172.$((15 + n)).100.255"
  cluster=$(ensure cluster "cluster-$n" --pod "$pod" --driver hypervisor-sim --cpu-overcommit 4)
  register_hosts "$n" "$zone" "$cluster" "$count"
  ensure storage-pool "pool-$n" --zone "$zone" --provider storage-sim --endpoint "$VQ_SIM" --config "{\"pool\":\"z$n-p1\"}" >/dev/null
  ensure image-store "images-$n" --zone "$zone" --endpoint "$VQ_SIM" >/dev/null
  VQ_WITHIN=
  local offering
  offering=$(ensure network-offering shared)
  ensure compute-offering small --vcpus 1 --memory 512MiB >/dev/null
  VQ_WITHIN="--zone $zone"
  network=$(ensure network "guests-$n" --zone "$zone" --offering "$offering" --cidr "10.$n.0.0/16" --gateway "10.$n.0.1" --link simulated --link-name "sim$n")
  ensure_range --network "$network" "10.$n.1.0" "10.$n.200.255"
  ensure_template "$zone" "$VQ/blank.raw" raw >/dev/null
}

register_hosts() {
  local n=$1 zone=$2 cluster=$3 count=$4 i
  velum compute-host list --zone "$zone" --limit 100000 -o json | fields name | sort >"$VQ/run/known-$n"
  for i in $(seq -f "z$n-h%04g" 1 "$count"); do printf '%s\n' "$i"; done | sort | comm -23 - "$VQ/run/known-$n" >"$VQ/run/wanted-$n"
  in_parallel "compute hosts" "$VQ/run/wanted-$n" compute-host create %NAME% --cluster "$cluster" --endpoint "$VQ_SIM" --config '{"host":"%NAME%"}'
}

# in_parallel WHAT FILE ARGUMENT...: runs the command line for each line of FILE, `%NAME%` being the line. Shows how far it is.
in_parallel() {
  local what=$1 file=$2 total log=$VQ/log/parallel.log
  shift 2
  total=$(wc -l <"$file")
  [ "$total" -gt 0 ] || return 0
  : >"$log"
  xargs -a "$file" -P $VQ_AT_ONCE -I %NAME% sh -c '"$@" >/dev/null 2>"$0.$$" && echo ok || { echo "failed: $(tr "\n" " " <"$0.$$")"; }; rm -f "$0.$$"' \
    "$VQ/run/error" "$VQ/bin/velum" "$@" -o json </dev/null >>"$log" &
  local worker=$!
  while kill -0 $worker 2>/dev/null; do
    sleep 2
    printf '    %s of %s %s\n' "$(wc -l <"$log")" "$total" "$what"
  done
  wait $worker || true
  if grep -q failed "$log"; then
    fail "$(grep -c failed "$log") of $total $what could not be made; the first: $(grep -m 1 failed "$log")"
  fi
}

make_instances() {
  local n half=$((VQ_INSTANCES / 2)) began ended made
  velum instance list --limit 100000 -o json | fields name | sort >"$VQ/run/known"
  : >"$VQ/run/made"
  began=$(now_ms)
  for n in 1 2; do
    for i in $(seq -f "vm-$n-%03g" 1 $half); do printf '%s\n' "$i"; done | sort | comm -23 - "$VQ/run/known" >"$VQ/run/wanted"
    cat "$VQ/run/wanted" >>"$VQ/run/made"
    local zone template network offering
    VQ_WITHIN=
    zone=$(ensure zone "zone-$n")
    VQ_WITHIN="--zone $zone"
    template=$(velum template list --name blank --zone "$zone" -o json | fields id | head -n 1)
    network=$(ensure network "guests-$n")
    VQ_WITHIN=
    offering=$(ensure compute-offering small)
    in_parallel "instances in zone-$n" "$VQ/run/wanted" instance create %NAME% --wait --zone "$zone" --offering "$offering" \
      --template "$template" --network "$network"
  done
  wait_until 120 all_run || fail "of $VQ_INSTANCES instances $(running) run"
  ended=$(now_ms)
  made=$(wc -l <"$VQ/run/made")
  if [ "$made" -gt 0 ]; then
    awk -v made="$made" -v ms=$((ended - began)) 'BEGIN {printf "%.1f/s\n", made * 1000 / ms}' >"$VQ/run/rate"
  fi
}
running() { velum instance list --state running --limit 100000 -o json | fields id | wc -l; }
all_run() { [ "$(running)" -ge $VQ_INSTANCES ]; }

show_cloud() {
  local some=vm-1-001 hosts rss policy
  step "why $some is where it is"
  velum instance why "$some" | sed 's/^/    /'
  policy=$(velum instance why "$some" -o json | sed -n '/^  "policy"/,/^  }/s/^    "name": "\(.*\)",/\1/p')
  hosts=$(velum compute-host list --limit 100000 -o json | fields id | wc -l)
  rss=$(awk '/^VmRSS/ {printf "%dMiB", $2 / 1024}' "/proc/$(process_of "$VQ/run/velumd.pid")/status")
  where_things_are
  say "VELUM QUICKSTART OK hosts=$hosts instances=$(running) rate=$(cat "$VQ/run/rate") rss=$rss policy=$policy"
}
