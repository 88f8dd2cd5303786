//! Tokens, who owns which shard, which servers there are, the components of plugins, and the marks of running stores.

use super::batch;
use crate::db::{Mark, Statement};

/// Answers the number in a store's mark. It writes, so that it waits for a transaction of that store which is still open
/// on a connection that was lost, whether it finds the row or makes it; and on SQLite it takes the place in the log where a
/// transaction of unknown fate would lie.
pub(crate) const READ_MARK: Statement = Statement::common(
    "look whether the last transaction became durable",
    "INSERT INTO writer_mark (id, seq, marked_at) VALUES ($1, 0, $2)
     ON CONFLICT (id) DO UPDATE SET marked_at = excluded.marked_at RETURNING seq",
);
pub(crate) const EXPIRE_MARKS: Statement = Statement::common(
    "delete the marks of stores that are gone",
    "DELETE FROM writer_mark WHERE marked_at <= $1",
);

/// Writes a mark: whose, the number, when.
pub(crate) const WRITE_MARK: &str = "INSERT INTO writer_mark (id, seq, marked_at) VALUES ($1, $2, $3)
     ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, marked_at = excluded.marked_at";

/// The same for PostgreSQL, where it goes to the database together with the BEGIN before it, which saves a way there and back;
/// such a message takes no values, and these are an id and numbers.
pub(crate) fn write_mark(mark: &Mark) -> String {
    let id = format!("'{}'", mark.writer);
    WRITE_MARK
        .replace("$1", &id)
        .replace("$2", &mark.seq.to_string())
        .replace("$3", &mark.at.micros().to_string())
}

pub(crate) const INSERT_TOKEN: Statement = Statement::common(
    "insert into token",
    "INSERT INTO token (id, name, hash, project, created_at) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT DO NOTHING RETURNING id",
);
pub(crate) const SHARDS_HELD: Statement = Statement::common(
    "read who owns the shards",
    "SELECT id, epoch, holder, renewals FROM shard WHERE retired = 0 ORDER BY id",
);
pub(crate) const TAKE_OVER: Statement = Statement::common(
    "take over shards",
    "UPDATE shard SET epoch = epoch + 1, renewals = renewals + 1, holder = $1, lease_until = $2 WHERE retired = 0
     RETURNING id, epoch",
);
// Whoever claims has seen the row stand still: if it has moved on meanwhile, nothing is claimed.
batch!(CLAIM, "claim shards", { id id, epoch int, renewals int },
    "UPDATE shard SET epoch = shard.epoch + 1, renewals = shard.renewals + 1, holder = $2 FROM r
     WHERE shard.id = r.id AND shard.epoch = r.epoch AND shard.renewals = r.renewals AND shard.retired = 0
     RETURNING shard.id, shard.epoch");
batch!(RENEW, "renew leases", { id id, epoch int },
    "UPDATE shard SET renewals = shard.renewals + 1, lease_until = $2 FROM r
     WHERE shard.id = r.id AND shard.epoch = r.epoch AND shard.retired = 0 RETURNING shard.id");
batch!(RELEASE, "release shards", { id id, epoch int },
    "UPDATE shard SET holder = '', renewals = shard.renewals + 1, lease_until = 0 FROM r
     WHERE shard.id = r.id AND shard.epoch = r.epoch RETURNING shard.id");
batch!(EPOCHS_NOW, "read the epochs of shards", { id id },
    "SELECT s.id, s.epoch, s.retired FROM r JOIN shard s ON s.id = r.id");

pub(crate) const SERVERS: Statement = Statement::common(
    "read the servers",
    "SELECT id, address, renewals FROM server ORDER BY id",
);
pub(crate) const SIGN_IN: Statement = Statement::common(
    "sign in as a server",
    "INSERT INTO server (id, address, renewals) VALUES ($1, $2, 1)
     ON CONFLICT (id) DO UPDATE SET address = excluded.address, renewals = server.renewals + 1 RETURNING renewals",
);
pub(crate) const SIGN_OUT: Statement = Statement::common(
    "sign a server out",
    "DELETE FROM server WHERE id = $1 RETURNING id",
);

/// Those between two ids, of which the second is found with [`EXPIRED_DECISIONS`]; what an instance was last placed by stays for as
/// long as it is there.
pub(crate) const FORGET_DECISIONS: Statement = Statement::common(
    "forget old decisions",
    "DELETE FROM decision WHERE id > $1 AND id <= $2 AND NOT EXISTS
        (SELECT 1 FROM instance i WHERE i.id = decision.instance AND i.decision = decision.id)",
);
/// The last of the next thousand: as many as a transaction deletes without others waiting for long.
pub(crate) const EXPIRED_DECISIONS: Statement = Statement::common(
    "look for old decisions",
    "SELECT id FROM (SELECT id FROM decision WHERE id > $1 AND id < $2 ORDER BY id LIMIT 1000) AS next
     ORDER BY id DESC LIMIT 1",
);

pub(crate) const KEEP_BLOB: Statement = Statement::common(
    "keep a component",
    "INSERT INTO plugin_blob (digest, component, manifest) VALUES ($1, $2, $3)
     ON CONFLICT (digest) DO UPDATE SET component = excluded.component, manifest = excluded.manifest RETURNING digest",
);
pub(crate) const BLOB: Statement = Statement::common(
    "read a component",
    "SELECT component, manifest FROM plugin_blob WHERE digest = $1",
);
pub(crate) const HAS_BLOB: Statement = Statement::common(
    "look for a component",
    "SELECT digest FROM plugin_blob WHERE digest = $1",
);
// A blob whose plugin's row is there stays.
pub(crate) const FORGET_BLOB: Statement = Statement::common(
    "forget a component",
    "DELETE FROM plugin_blob WHERE digest = $1
     AND NOT EXISTS (SELECT 1 FROM plugin WHERE plugin.digest = plugin_blob.digest) RETURNING digest",
);

/// Every statement of this file.
#[cfg(test)]
pub(crate) const ALL: &[&Statement] = &[
    &READ_MARK,
    &EXPIRE_MARKS,
    &FORGET_DECISIONS,
    &EXPIRED_DECISIONS,
    &INSERT_TOKEN,
    &SHARDS_HELD,
    &TAKE_OVER,
    &CLAIM,
    &RENEW,
    &RELEASE,
    &EPOCHS_NOW,
    &SERVERS,
    &SIGN_IN,
    &SIGN_OUT,
    &KEEP_BLOB,
    &BLOB,
    &HAS_BLOB,
    &FORGET_BLOB,
];
