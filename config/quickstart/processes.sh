# The processes of a quickstart: where their files lie, how each starts, how all stop. Sourced by quickstart.sh.

# Who the server runs as: never root.
server_user() {
  if [ "$(id -u)" = 0 ] && [ "$1" = real ]; then printf 'velum\n'; else id -un; fi
}

# open_home DIRECTORY MODE: makes the directories and chooses the ports, once.
open_home() {
  VQ=$1
  VQ_MODE=$2
  VQ_USER=$(server_user "$VQ_MODE")
  if [ "$VQ_USER" = velum ] && ! getent passwd velum >/dev/null; then
    step 'adding the user velum, which the server runs as'
    useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin velum
  fi
  if ! mkdir -p "$VQ" 2>/dev/null; then
    as_root mkdir -p "$VQ"
    as_root chown "$(id -u):$(id -g)" "$VQ"
  fi
  # Each kind of quickstart has a home of its own: the other one's cloud is not its own.
  if [ -s "$VQ/run/mode" ] && [ "$(mode_of "$VQ")" != "$VQ_MODE" ]; then
    fail "$VQ holds a $(mode_of "$VQ") cloud: choose another VELUM_HOME, or stop that one (VELUM_HOME=$VQ bash config/quickstart.sh --stop) and remove $VQ"
  fi
  [ -w "$VQ" ] || fail "$VQ belongs to somebody else: run this as the user who ran it first, or set VELUM_HOME"
  # The hypervisor's user passes through to the pool's files.
  chmod 711 "$VQ"
  mkdir -p "$VQ/bin" "$VQ/run" "$VQ/log" "$VQ/data" "$VQ/plugins"
  chmod 755 "$VQ/bin" "$VQ/run" "$VQ/plugins"
  chmod 700 "$VQ/data"
  [ "$VQ_USER" = "$(id -un)" ] || chown "$VQ_USER:$VQ_USER" "$VQ/data"
  printf '%s\n' "$VQ_MODE" >"$VQ/run/mode"
  VQ_PORT=$(port_for server "$([ "$VQ_MODE" = sim ] && echo 7072 || echo 7070)")
  VQ_API=http://127.0.0.1:$VQ_PORT
}

# port_for NAME WANTED: the port of last time; the first time the wanted one, or a free one.
port_for() {
  local file=$VQ/run/$1.port
  if ! [ -s "$file" ]; then
    if (exec 3<>"/dev/tcp/127.0.0.1/$2") 2>/dev/null; then free_port >"$file"; else printf '%s\n' "$2" >"$file"; fi
  fi
  cat "$file"
}

# install_program NAME: a copy that the server's user can run. Answers 1 when it was the same already.
install_program() {
  local from to
  from=$(bin_directory)/$1
  to=$VQ/bin/$1
  cmp -s "$from" "$to" && return 1
  install -m 755 "$from" "$to.new"
  mv "$to.new" "$to"
}

# A name and version stands for one component for ever: another build of the same version does not replace it.
install_plugins() {
  local file name
  for file in "$CARGO_TARGET_DIR"/plugins/*.wasm; do
    [ -e "$file" ] || fail "there are no components in $CARGO_TARGET_DIR/plugins: did plugins/build.sh fail?"
    name=$(basename "$file" .wasm)
    if [ "$(version_of "$VQ/plugins/$name.toml")" != "$(version_of "${file%.wasm}.toml")" ]; then
      install -m 644 "$file" "${file%.wasm}.toml" "$VQ/plugins/"
    fi
  done
}
version_of() { sed -n '/^version *=/p' "$1" 2>/dev/null | head -n 1; }

# launch NAME COMMAND...: in a session of its own, its output in a log of its own.
launch() {
  local name=$1
  shift
  setsid "$@" </dev/null >>"$VQ/log/$name.log" 2>&1 &
  remember_process "$VQ/run/$name.pid" $!
}

runs() { process_of "$VQ/run/$1.pid" >/dev/null; }

# restart_if_new NAME: installs the program, stops what runs of an older one, and says whether it is to be started.
restart_if_new() {
  if install_program "$1" && runs "$1"; then
    step "restarting $1: it was built anew"
    stop_process "$VQ/run/$1.pid"
  fi
  ! runs "$1"
}

plugins_digest() { find "$VQ/plugins" -type f | sort | xargs -r cat | sha256sum; }

start_server() {
  local plugins_before
  plugins_before=$(plugins_digest)
  install_plugins
  # Components are installed at start; newer ones are a reason to start again.
  if runs velumd && [ "$plugins_before" != "$(plugins_digest)" ]; then stop_process "$VQ/run/velumd.pid"; fi
  if restart_if_new velumd; then
    step "starting velumd on $VQ_API"
    cat >"$VQ/velumd.toml" <<TOML
data = "$VQ/data"
listen = "127.0.0.1:$VQ_PORT"
plugins.directory = "$VQ/plugins"
# A cloud to try plugins in: what nobody signed is taken.
plugins.unsigned = "allow"
TOML
    chmod 644 "$VQ/velumd.toml"
    local become=()
    [ "$VQ_USER" = "$(id -un)" ] || become=(setpriv --reuid "$VQ_USER" --regid "$VQ_USER" --init-groups)
    launch velumd "${become[@]}" "$VQ/bin/velumd" --config "$VQ/velumd.toml"
    # The first start compiles the components.
    wait_for_server 180 || fail "velumd does not come up; its log, $VQ/log/velumd.log, ends with:
$(tail -n 5 "$VQ/log/velumd.log")"
  fi
  install_program velum || true
  export VELUM_SERVER=$VQ_API
  VELUM_TOKEN=$(cat "$VQ/data/admin.token" 2>/dev/null || as_root cat "$VQ/data/admin.token")
  export VELUM_TOKEN
}
# wait_for_server SECONDS: until it is ready; no longer than it runs.
wait_for_server() {
  local deadline=$(($(date +%s) + $1))
  until server_is_ready; do
    runs velumd && [ "$(date +%s)" -lt $deadline ] || return 1
    sleep 0.2
  done
}
server_is_ready() { runs velumd && [ "$(http_status "$VQ_API/readyz")" = 200 ]; }

# http_get URL / http_status URL: without any program that might be missing.
http_get() {
  local rest=${1#http://} host port path
  host=${rest%%/*}
  path=/${rest#*/}
  [ "$path" != "/$rest" ] || path=/
  port=${host#*:}
  [ "$port" != "$host" ] || port=80
  timeout 5 bash -c 'exec 3<>"/dev/tcp/$0/$1" && printf "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n" "$2" "$0" >&3 && cat <&3' \
    "${host%:*}" "$port" "$path" 2>/dev/null
}
http_status() { http_get "$1" | sed -n '1s/^HTTP[^ ]* \([0-9]*\).*/\1/p'; }

stop_all() {
  local home=$1
  open_home_for_stop "$home"
  if runs velumd && [ "$VQ_MODE" = real ]; then stop_guests || warn 'not every guest could be stopped'; fi
  local name
  for name in velumd velum-node velum-sim; do
    if runs "$name"; then step "stopping $name"; fi
    stop_process "$VQ/run/$name.pid" 40
  done
  if [ -s "$VQ/run/bridge" ]; then
    as_root ip link delete "$(cat "$VQ/run/bridge")" type bridge 2>/dev/null || true
  fi
  stop_libvirt "$VQ/run"
}

# mode_of HOME: which quickstart made it.
mode_of() { cat "$1/run/mode" 2>/dev/null || echo real; }

open_home_for_stop() {
  VQ=$1
  VQ_MODE=$(mode_of "$VQ")
  export VELUM_SERVER=http://127.0.0.1:$(cat "$VQ/run/server.port" 2>/dev/null || echo 1)
  VELUM_TOKEN=$(cat "$VQ/data/admin.token" 2>/dev/null || as_root cat "$VQ/data/admin.token" 2>/dev/null || true)
  export VELUM_TOKEN
}
