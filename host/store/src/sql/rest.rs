//! Tokens and leases.

use super::batch;
use crate::db::Statement;

pub(crate) const INSERT_TOKEN: Statement = Statement::common(
    "insert into token",
    "INSERT INTO token (id, name, hash, project, created_at) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT DO NOTHING RETURNING id",
);
pub(crate) const LEASES: Statement = Statement::common(
    "read the leases of shards",
    "SELECT CAST(COALESCE(MAX(lease_until), 0) AS BIGINT) FROM shard WHERE retired = 0 AND holder <> $1",
);
pub(crate) const TAKE_OVER: Statement = Statement::common(
    "take over shards",
    "UPDATE shard SET epoch = epoch + 1, holder = $1, lease_until = $2 WHERE retired = 0 RETURNING id, epoch",
);
batch!(RENEW, "renew leases", { id id, epoch int },
    "UPDATE shard SET lease_until = $2 FROM r WHERE shard.id = r.id AND shard.epoch = r.epoch AND shard.retired = 0
     RETURNING shard.id");
batch!(EPOCHS_NOW, "read the epochs of shards", { id id },
    "SELECT s.id, s.epoch, s.retired FROM r JOIN shard s ON s.id = r.id");

/// Every statement of this file.
#[cfg(test)]
pub(crate) const ALL: &[&Statement] = &[&INSERT_TOKEN, &LEASES, &TAKE_OVER, &RENEW, &EPOCHS_NOW];
