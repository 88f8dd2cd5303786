# What both quickstarts make through the public API, with the command line. Sourced by quickstart.sh.

velum() { "$VQ/bin/velum" "$@"; }

# field NAME: a field of one object, out of the command line's JSON on standard input.
field() { sed -n "s/^  \"$1\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p" | head -n 1; }
# fields NAME: the same of each object of a list.
fields() { sed -n "s/^    \"$1\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p"; }

# ensure KIND NAME ARGUMENT...: prints the id of what has that name, made with these arguments if there is none.
# VQ_WITHIN narrows the search (`--zone zone-1`).
ensure() {
  local kind=$1 name=$2 id
  shift 2
  # shellcheck disable=SC2086 # options
  id=$(velum "$kind" list --name "$name" ${VQ_WITHIN:-} -o json | fields id | head -n 1)
  if [ -z "$id" ]; then
    id=$(velum "$kind" create "$name" "$@" -o json | field id)
    [ -n "$id" ] || fail "could not make the $kind $name"
    printf '    made the %s %s\n' "$kind" "$name" >&2
  fi
  printf '%s\n' "$id"
}

# ensure_range (--network|--pod) ID FIRST LAST
ensure_range() {
  [ -z "$(velum ip-range list "$1" "$2" -o json | fields id)" ] || return 0
  velum ip-range create "$3" "$4" "$1" "$2" -o json >/dev/null
  printf '    gave it the addresses %s to %s\n' "$3" "$4"
}

# operation_on SUBJECT: the newest operation of a list on standard input that is about it. Ids are ordered by time.
operation_on() {
  awk -v subject="\"$1\"" -F '[ ,]+' \
    '/^    "id":/ {id = $3} /^      "id":/ && $3 == subject && id > newest {newest = id} END {gsub("\"", "", newest); print newest}'
}

# follow KIND SUBJECT: shows the newest operation of that kind on a resource until it has ended; fails unless it is done.
follow() {
  local id view state percent note shown='' started
  started=$(date +%s)
  id=$(velum operation list --kind "$1" --limit 100000 -o json | operation_on "$2")
  [ -n "$id" ] || fail "there is no operation $1 on $2"
  while :; do
    view=$(velum operation show "$id" -o json)
    state=$(field state <<<"$view")
    percent=$(field progress_percent <<<"$view")
    note=$(sed -n 's/^  "note": "\(.*\)",$/\1/p' <<<"$view")
    if [ "$state $percent $note" != "$shown" ]; then
      printf '    %s %3s %%  %s%s\n' "$1" "$percent" "$state" "${note:+: $note}"
      shown="$state $percent $note"
    fi
    case "$state" in
    done)
      printf '    %s done in %s s\n' "$1" $(($(date +%s) - started))
      return 0
      ;;
    undone | parked) fail "the operation $1 ($id) is $state:
$(velum operation show "$id")" ;;
    esac
    sleep 0.3
  done
}

# ensure_template ZONE FILE FORMAT: prints its id once it is ready.
ensure_template() {
  local zone=$1 file=$2 name id state
  name=$(basename "${file%.*}")
  id=$(velum template list --name "$name" --zone "$zone" -o json | fields id | head -n 1)
  if [ -n "$id" ]; then
    state=$(velum template show "$id" -o json | field state)
    case "$state" in
    ready)
      printf '%s\n' "$id"
      return 0
      ;;
    failed)
      velum template delete "$id" --wait >/dev/null
      id=
      ;;
    esac
  fi
  id=$(velum template upload "$file" --zone "$zone" --format "$3" -o json | field id)
  follow template-register "$id" >&2
  printf '%s\n' "$id"
}

# where_things_are: what a person wants to know at the end.
where_things_are() {
  say
  say "  API          $VQ_API/v1/"
  say "  API docs     $VQ_API/docs (description: $VQ_API/openapi.json)"
  say "  admin token  $VQ/data/admin.token"
  say "  data         $VQ/data"
  say "  logs         $VQ/log"
  say "  command line export VELUM_SERVER=$VQ_API VELUM_TOKEN=\$(cat $VQ/data/admin.token); $VQ/bin/velum instance list"
  say "  stop         bash config/quickstart.sh --stop"
  say
}
