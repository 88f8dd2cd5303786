# A Linux guest on this machine. Sourced by quickstart.sh.

quickstart_real() {
  local guest=guest-1 accel image
  { is_debian && can_root; } || {
    # One message, before anything is touched.
    is_debian || fail "this needs Debian 12: 'bash config/quickstart.sh --sim 1000' runs on any Linux with a Rust toolchain and a C compiler"
    fail "this needs root, or sudo without a question, for libvirt and velum-node: run it as root. 'bash config/quickstart.sh --sim 1000' needs neither"
  }
  step 'looking at what is installed'
  ensure_packages gcc libc6-dev pkg-config ca-certificates iproute2
  ensure_libvirt_packages
  ensure_rust yes
  build_for_tests
  step 'building the guest image'
  image=$(bash "$VELUM_ROOT/config/image/build.sh")
  open_home "$REAL_HOME" real
  start_libvirt "$VQ/run"
  step 'trying whether a guest boots under KVM'
  accel=$(bash "$VELUM_ROOT/config/image/probe-kvm.sh")
  say "    $accel"
  case "$accel" in yes*) accel=kvm ;; *) accel=tcg ;; esac
  derive_network
  start_node
  start_server
  make_cloud "$image" "$accel"
  make_guest "$guest"
  show_guest "$guest"
}

# Two homes on one machine get two bridges and two networks.
derive_network() {
  local number
  number=$(printf '%s' "$VQ" | cksum | cut -d ' ' -f 1)
  VQ_BRIDGE=vlq$(printf '%05x' $((number % 1048576)))
  VQ_NET=10.77.$((number % 254 + 1))
  printf '%s\n' "$VQ_BRIDGE" >"$VQ/run/bridge"
}

start_node() {
  VQ_SOCKET=$VQ/run/node.sock
  if restart_if_new velum-node; then
    step 'starting velum-node'
    local become=()
    [ "$(id -u)" = 0 ] || become=(sudo -n)
    as_root mkdir -p "$VQ/node" "$VQ/pool" "$VQ/images"
    launch velum-node "${become[@]}" "$VQ/bin/velum-node" --socket "$VQ_SOCKET" --state "$VQ/node" --group "$(id -gn "$VQ_USER")" \
      --libvirt-uri-allow qemu:///system --directory-allow "$VQ"
    wait_until 20 test -S "$VQ_SOCKET" || fail "velum-node does not come up; its log, $VQ/log/velum-node.log, ends with:
$(tail -n 5 "$VQ/log/velum-node.log")"
  fi
}

# Zone, pod, cluster, this machine, pool, image store, addresses, network, offerings, template, policy.
make_cloud() {
  local image=$1 accel=$2 node=unix:$VQ_SOCKET zone pod cluster network policy
  step 'making the cloud through the API'
  policy=$(ensure policy packing --plugin placement-best-fit)
  zone=$(ensure zone zone-1 --policy "$policy")
  VQ_WITHIN="--zone $zone"
  pod=$(ensure pod pod-1 --zone "$zone" --cidr 172.31.77.0/24 --gateway 172.31.77.1)
  ensure_range --pod "$pod" 172.31.77.10 172.31.77.50
  cluster=$(ensure cluster cluster-1 --pod "$pod" --driver hypervisor-libvirt --cpu-overcommit 4)
  VQ_HOST=$(uname -n | tr -c 'A-Za-z0-9.\n-' '-' | sed 's/^[^A-Za-z0-9]*//' | cut -c 1-63)
  ensure compute-host "${VQ_HOST:=this-host}" --cluster "$cluster" --node "$node" \
    --config "{\"uri\":\"qemu:///system\",\"accel\":\"$accel\"}" >/dev/null
  ensure storage-pool pool-1 --zone "$zone" --provider storage-dir --node "$node" --config "{\"directory\":\"$VQ/pool\"}" >/dev/null
  ensure image-store images-1 --zone "$zone" --node "$node" --directory "$VQ/images" >/dev/null
  VQ_WITHIN=
  VQ_NET_OFFERING=$(ensure network-offering shared)
  VQ_OFFERING=$(ensure compute-offering tiny --vcpus 1 --memory 256MiB)
  ensure disk-offering small --size 1GiB >/dev/null
  VQ_WITHIN="--zone $zone"
  network=$(ensure network guests --zone "$zone" --offering "$VQ_NET_OFFERING" --cidr "$VQ_NET.0/24" --gateway "$VQ_NET.1" \
    --link node-bridge --link-name "$VQ_BRIDGE")
  ensure_range --network "$network" "$VQ_NET.10" "$VQ_NET.99"
  step 'registering the template'
  VQ_TEMPLATE=$(ensure_template "$zone" "$image" qcow2)
  VQ_ZONE=$zone
  VQ_NETWORK=$network
}

make_guest() {
  local guest=$1 id state
  id=$(velum instance list --name "$guest" --zone "$VQ_ZONE" -o json | fields id | head -n 1)
  if [ -z "$id" ]; then
    step "creating the instance $guest"
    marker="quickstart-$(head -c 6 /dev/urandom | od -An -tx1 | tr -d ' \n')"
    printf '%s\n' "$marker" >"$VQ/run/marker"
    id=$(velum instance create "$guest" --zone "$VQ_ZONE" --offering "$VQ_OFFERING" --template "$VQ_TEMPLATE" --network "$VQ_NETWORK" \
      --user-data "#!/bin/sh
echo $marker > /run/velum/marker" -o json | field id)
    [ -n "$id" ] || fail "could not create the instance $guest"
    follow instance-create "$id"
    return
  fi
  state=$(velum instance show "$id" -o json | field state)
  case "$state" in
  stopped)
    step "starting the instance $guest, which is there"
    velum instance start "$id" -o json >/dev/null
    follow instance-start "$id"
    ;;
  creating) follow instance-create "$id" ;;
  starting) follow instance-start "$id" ;;
  running) step "the instance $guest runs already" ;;
  *) fail "the instance $guest is $state: see '$VQ/bin/velum operation list'" ;;
  esac
}

# The guest says who it is on its console; its web page says the same on its address.
show_guest() {
  local guest=$1 view ip marker expected policy
  view=$(velum instance show "$guest" -o json)
  ip=$(sed -n '/^  "addresses"/,/^  \]/s/^    "\([0-9.]*\)".*/\1/p' <<<"$view" | head -n 1)
  marker=$(cat "$VQ/run/marker")
  expected="VELUM GUEST UP host=$guest ip=$ip marker=$marker"
  step "waiting for the guest's console to say: $expected"
  wait_until 240 console_says "$guest" "$expected" || fail "the guest's console does not say it. It ends with:
$(tail -n 20 "$VQ/log/guest-serial.log")"
  grep -a 'VELUM GUEST' "$VQ/log/guest-serial.log" | sed 's/^/    /'
  step "asking the guest's web server: http://$ip/"
  wait_until 60 page_says "$ip" "marker=$marker" || fail "the guest does not answer HTTP on $ip"
  http_get "http://$ip/" | sed -n 's/^<p>\(.*\)<\/p>/    \1/p'
  step 'why it is where it is'
  velum instance why "$guest" | sed 's/^/    /'
  policy=$(velum instance why "$guest" -o json | sed -n '/^  "policy"/,/^  }/s/^    "name": "\(.*\)",/\1/p')
  where_things_are
  say "VELUM QUICKSTART OK guest=$guest ip=$ip host=$VQ_HOST policy=$policy"
}
console_says() {
  velum instance console-log "$1" >"$VQ/log/guest-serial.log" 2>/dev/null && grep -aqF "$2" "$VQ/log/guest-serial.log"
}
page_says() { http_get "http://$1/" | grep -aqF "$2"; }

# Guests would run on without us: that is what they do when a control plane goes away. A person who stops means them too.
stop_guests() {
  local id
  for id in $(velum instance list --state running -o json | fields id); do
    step "stopping the instance $(velum instance show "$id" -o json | field name)"
    velum instance stop "$id" --wait -o json >/dev/null
  done
}
