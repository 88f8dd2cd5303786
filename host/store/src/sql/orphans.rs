//! What no row owns, and what once had a row.

use super::batch;
use crate::db::Statement;

batch!(INSERT_TOMBSTONE, "record what had a row", { kind text, object id, peer id },
    "INSERT INTO tombstone (kind, object, peer, removed_at)
     SELECT r.kind, r.object, r.peer, CAST($2 AS BIGINT) FROM r WHERE true
     ON CONFLICT (kind, object, peer) DO UPDATE SET removed_at = excluded.removed_at");
pub(crate) const EXPIRE_TOMBSTONES: Statement = Statement::common(
    "forget what had a row long ago",
    "DELETE FROM tombstone WHERE (kind, object, peer) IN
        (SELECT kind, object, peer FROM tombstone WHERE removed_at <= $1 ORDER BY removed_at LIMIT 1000)",
);
batch!(SEE_ORPHAN, "record what no row owns",
    { id id, kind text, compute_host id, storage_pool id, object id, peer id, name text, generation int,
      removed_at int, first_seen int, last_seen int, observations int, reported int },
    "INSERT INTO orphan (id, kind, compute_host, storage_pool, object, peer, name, generation, removed_at, first_seen,
        last_seen, observations, reported)
     SELECT r.id, r.kind, r.compute_host, r.storage_pool, r.object, r.peer, r.name, r.generation, r.removed_at,
        r.first_seen, r.last_seen, r.observations, r.reported FROM r
     WHERE EXISTS (SELECT 1 FROM compute_host h WHERE h.id = r.compute_host)
        OR EXISTS (SELECT 1 FROM storage_pool p WHERE p.id = r.storage_pool)
     ON CONFLICT (id) DO UPDATE SET name = excluded.name, generation = excluded.generation,
        removed_at = excluded.removed_at, last_seen = excluded.last_seen, observations = excluded.observations,
        reported = excluded.reported
     RETURNING id");
batch!(FORGET_ORPHAN, "forget what no row owned", { id id },
    "DELETE FROM orphan WHERE id IN (SELECT id FROM r) RETURNING id");

/// Every statement of this file.
#[cfg(test)]
pub(crate) const ALL: &[&Statement] = &[&INSERT_TOMBSTONE, &EXPIRE_TOMBSTONES, &SEE_ORPHAN, &FORGET_ORPHAN];
