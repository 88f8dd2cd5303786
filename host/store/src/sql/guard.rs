//! What is looked at before a batch may change anything, and what is written of it beside its rows: epochs, idempotency
//! keys, operations, locks, decisions, events.

use super::{batch, insert};
use crate::db::{Bound, Kind, Statement};

/// Writers hold the row of their shard for the transaction, so that a takeover waits for them.
pub(crate) const EPOCHS: Statement = Statement {
    does: "check the epochs of shards",
    sqlite: "WITH r AS (SELECT unhex(value->>'id') AS id FROM jsonb_each($1))
        SELECT id, epoch FROM shard WHERE id IN (SELECT id FROM r)",
    postgres: "WITH r AS (SELECT (value->>'id')::uuid AS id FROM jsonb_array_elements($1::jsonb))
        SELECT id, epoch FROM shard WHERE id IN (SELECT id FROM r) ORDER BY id FOR SHARE",
    bound: Some(Bound {
        columns: &["id"],
        kinds: &[Kind::Id],
        tail: "SELECT id, epoch FROM shard WHERE id IN (SELECT id FROM r)",
        postgres: Some("SELECT id, epoch FROM shard WHERE id IN (SELECT id FROM r) ORDER BY id FOR SHARE"),
    }),
};
batch!(KNOWN_KEYS, "look up idempotency keys", { token id, key text },
    "SELECT i.token, i.key, i.request_hash, i.status, i.location, i.etag, i.body
     FROM r JOIN idempotency i ON i.token = r.token AND i.key = r.key WHERE i.expires_at > $2");
batch!(INSERT_KEY, "insert into idempotency",
    { token id, key text, request_hash bytes, status int, location text, etag text, body text, expires_at int },
    "INSERT INTO idempotency (token, key, request_hash, status, location, etag, body, expires_at)
     SELECT token, key, request_hash, status, location, etag, body, expires_at FROM r WHERE true
     ON CONFLICT (token, key) DO UPDATE SET request_hash = excluded.request_hash, status = excluded.status,
        location = excluded.location, etag = excluded.etag, body = excluded.body, expires_at = excluded.expires_at
     WHERE idempotency.expires_at <= $2 RETURNING token, key");
pub(crate) const EXPIRE_KEYS: Statement = Statement::common(
    "delete expired idempotency keys",
    "DELETE FROM idempotency WHERE (token, key) IN
        (SELECT token, key FROM idempotency WHERE expires_at <= $1 ORDER BY expires_at LIMIT 1000)",
);

insert!(INSERT_OPERATION, "operation", {
    id id, kind text, version int, shard id, epoch int, project id, subject_kind text, subject id, state text,
    params text, journal text, progress int, note text, error text, caller text, due_at int, cancel_requested int,
    generation int, created_at int, ended_at int
});
batch!(UPDATE_OPERATION, "update operation", {
        id id, seen int, epoch int, version int, state text, params text, journal text, progress int, note text,
        error text, due_at int, ended_at int
    },
    "UPDATE operation SET epoch = r.epoch, version = r.version, state = r.state, params = r.params,
        journal = r.journal, progress = r.progress, note = r.note, error = r.error, due_at = r.due_at,
        ended_at = r.ended_at, generation = operation.generation + 1
     FROM r WHERE operation.id = r.id AND operation.generation = r.seen RETURNING operation.id");
// A parked one is of a new generation then: an operator's verb that read it before does not bring it back to life.
batch!(REQUEST_CANCEL, "ask operations to stop", { id id },
    "UPDATE operation SET cancel_requested = 1,
        generation = operation.generation + CASE WHEN operation.state = 'parked' THEN 1 ELSE 0 END
     FROM r WHERE operation.id = r.id");
batch!(LOCK_HOLDERS, "look who holds locks", { subject id },
    "SELECT l.subject, l.operation, o.state FROM r JOIN subject_lock l ON l.subject = r.subject
     JOIN operation o ON o.id = l.operation");
batch!(INSERT_LOCK, "insert into subject_lock", { subject id, subject_kind text, operation id },
    "INSERT INTO subject_lock (subject, subject_kind, operation)
     SELECT subject, subject_kind, operation FROM r WHERE true
     ON CONFLICT (subject) DO UPDATE SET operation = excluded.operation RETURNING subject");
batch!(RELEASE_LOCKS, "delete from subject_lock", { operation id },
    "DELETE FROM subject_lock WHERE operation IN (SELECT operation FROM r)");

insert!(INSERT_DECISION, "decision", { id id, project id, zone id, instance id, body text, placed int });
batch!(NUMBER_EVENTS, "number events", { id id, count int },
    "UPDATE shard SET next_seq = shard.next_seq + r.count FROM r WHERE shard.id = r.id
     RETURNING shard.id, shard.epoch, shard.next_seq");
batch!(INSERT_EVENT, "insert into event", {
        shard id, epoch int, seq int, at int, kind text, project id, collection text, resource id, operation id,
        caller text, data text
    },
    "INSERT INTO event (shard, epoch, seq, at, kind, project, collection, resource, operation, caller, data)
     SELECT shard, epoch, seq, at, kind, project, collection, resource, operation, caller, data FROM r");

/// Every statement of this file.
#[cfg(test)]
pub(crate) const ALL: &[&Statement] = &[
    &EPOCHS,
    &KNOWN_KEYS,
    &INSERT_KEY,
    &EXPIRE_KEYS,
    &INSERT_OPERATION,
    &UPDATE_OPERATION,
    &REQUEST_CANCEL,
    &LOCK_HOLDERS,
    &INSERT_LOCK,
    &RELEASE_LOCKS,
    &INSERT_DECISION,
    &NUMBER_EVENTS,
    &INSERT_EVENT,
];
