//! The authority of the cloud, and the machines that join it.

use super::batch;
use crate::db::Statement;

// The first server's stays: what it signed is out there.
batch!(KEEP_AUTHORITY, "keep the authority", { certificate bytes, key bytes, created_at int },
    "INSERT INTO authority (name, certificate, key, created_at)
     SELECT 'nodes', r.certificate, r.key, r.created_at FROM r WHERE true ON CONFLICT DO NOTHING");
pub(crate) const AUTHORITY: Statement = Statement::common(
    "read the authority",
    "SELECT certificate, key, created_at FROM authority WHERE name = 'nodes'",
);

super::insert!(INSERT_NODE_TOKEN, "node_token", {
    id id, hash bytes, created_by text, created_at int, expires_at int,
});
pub(crate) const EXPIRE_NODE_TOKENS: Statement = Statement::common(
    "forget tokens that ended long ago",
    "DELETE FROM node_token WHERE id IN
        (SELECT id FROM node_token WHERE expires_at <= $1 ORDER BY expires_at LIMIT 1000)",
);
// A key that joined before has the id that it had: one that was given another meanwhile is not answered.
batch!(ENROL_NODE, "insert into node", { id id, key_hash bytes, address text, enrolled_at int, expires_at int },
    "INSERT INTO node (id, key_hash, address, enrolled_at, expires_at)
     SELECT r.id, r.key_hash, r.address, r.enrolled_at, r.expires_at FROM r WHERE true
     ON CONFLICT (key_hash) DO UPDATE SET address = excluded.address, enrolled_at = excluded.enrolled_at,
        expires_at = excluded.expires_at WHERE node.id = excluded.id
     RETURNING id");
// Once, and in time.
batch!(USE_NODE_TOKEN, "use a node token", { id id, node id, used_at int },
    "UPDATE node_token SET used_at = r.used_at, node = r.node FROM r
     WHERE node_token.id = r.id AND node_token.used_at IS NULL AND node_token.expires_at > r.used_at
     RETURNING node_token.id");

pub(crate) const NODE_TOKEN: Statement = Statement::common(
    "read a node token",
    "SELECT id, hash, created_by, created_at, expires_at, used_at FROM node_token WHERE hash = $1",
);
pub(crate) const NODE_OF_KEY: Statement = Statement::common(
    "look for a node by its key",
    "SELECT id FROM node WHERE key_hash = $1",
);

/// Every statement of this file.
#[cfg(test)]
pub(crate) const ALL: &[&Statement] = &[
    &KEEP_AUTHORITY,
    &AUTHORITY,
    &INSERT_NODE_TOKEN,
    &EXPIRE_NODE_TOKENS,
    &ENROL_NODE,
    &USE_NODE_TOKEN,
    &NODE_TOKEN,
    &NODE_OF_KEY,
];
