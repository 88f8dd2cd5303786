#!/usr/bin/env bash
# What PostgreSQL gives when every VM is a commit of its own: a guarded update of one of $HOSTS compute hosts and a row of the VM, as
# two statements in a transaction and as one statement, by 1 to 64 clients of pgbench, $T seconds each. One JSON line a case.
#
# PGHOST, PGPORT and PGUSER say which server; its database `bench` is for this alone.
set -euo pipefail
: "${PGHOST:?}" "${PGPORT:?}" "${PGUSER:?}"
HOSTS=${HOSTS:-100000} T=${T:-8}
scripts=$(mktemp -d /tmp/pg-ceiling.XXXXXX)
trap 'rm -rf "$scripts"' EXIT

sql() { psql -qX -v ON_ERROR_STOP=1 -d bench "$@" >/dev/null; }

sql <<SQL
SET client_min_messages = warning;
DROP TABLE IF EXISTS host, vm;
CREATE TABLE host (id int PRIMARY KEY, cpu bigint, mem bigint, disk bigint, gen int NOT NULL DEFAULT 0) WITH (fillfactor = 70);
CREATE TABLE vm (id bigserial PRIMARY KEY, uuid uuid NOT NULL, host int NOT NULL, cpu int, mem int, disk int);
INSERT INTO host SELECT g, 1000000000, 1000000000000, 1000000000000 FROM generate_series(0, $HOSTS - 1) g;
SQL
sql -c 'VACUUM ANALYZE'

cat >"$scripts/two-statements.sql" <<SQL
\\set h random(0, $HOSTS - 1)
BEGIN;
UPDATE host SET cpu = cpu - 2, mem = mem - 4096, disk = disk - 20, gen = gen + 1
  WHERE id = :h AND cpu >= 2 AND mem >= 4096 AND disk >= 20;
INSERT INTO vm (uuid, host, cpu, mem, disk) VALUES (gen_random_uuid(), :h, 2, 4096, 20);
COMMIT;
SQL
cat >"$scripts/one-statement.sql" <<SQL
\\set h random(0, $HOSTS - 1)
WITH u AS (UPDATE host SET cpu = cpu - 2, mem = mem - 4096, disk = disk - 20, gen = gen + 1
  WHERE id = :h AND cpu >= 2 AND mem >= 4096 AND disk >= 20 RETURNING id)
INSERT INTO vm (uuid, host, cpu, mem, disk) SELECT gen_random_uuid(), id, 2, 4096, 20 FROM u;
SQL

# run CASE CLIENTS
run() {
  local said tps latency
  sql -c 'TRUNCATE vm' -c 'VACUUM host' -c 'CHECKPOINT'
  said=$(pgbench -n -M prepared -c "$2" -j 1 -T "$T" -f "$scripts/$1.sql" bench 2>&1) || { printf '%s\n' "$said" >&2; return 1; }
  tps=$(awk '/^tps/ {print $3}' <<<"$said")
  latency=$(awk '/^latency average/ {print $4}' <<<"$said")
  printf '{"case":"%s","clients":%d,"vms_per_s":%.0f,"latency_avg_ms":%s}\n' "$1" "$2" "$tps" "$latency"
}

for clients in 1 8 32; do run two-statements $clients; done
for clients in 1 8 32 64; do run one-statement $clients; done
