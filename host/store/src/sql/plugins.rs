//! Plugins, the words behind them, and how versions take each other's place: publishers, names, activations, policies with
//! their versions and shadows.

use super::{batch, insert, update};
use crate::db::Statement;

insert!(INSERT_PUBLISHER, "publisher", { id id, name text, description text, generation int, created_at int });
update!(UPDATE_PUBLISHER, "publisher", { description text });
insert!(INSERT_PUBLISHER_KEY, "publisher_key", {
    id id, publisher id, key_id text, public_key text, added_by text, created_at int
});
// Once: who revokes a revoked key changes nothing of what was said then.
batch!(REVOKE_KEY, "revoke keys of publishers", { id id, revoked_at int, revoked_by text, reason text },
    "UPDATE publisher_key SET revoked_at = r.revoked_at, revoked_by = r.revoked_by, reason = r.reason FROM r
     WHERE publisher_key.id = r.id AND publisher_key.revoked_at IS NULL RETURNING publisher_key.id");

insert!(INSERT_PLUGIN, "plugin", {
    id id, digest text, name text, version text, world text, manifest text, grants text, origin text, allowed_by text,
    signed_by id, imports text, exports text, size_bytes int, created_at int
});
// A name that is new, and one that is as it was read.
batch!(NEW_NAME, "keep whose the name of a plugin is",
    { plugin id, name text, holder text, publisher id, highest text, digest text },
    "INSERT INTO plugin_name (name, plugin, holder, publisher, highest, digest)
     SELECT r.name, r.plugin, r.holder, r.publisher, r.highest, r.digest FROM r WHERE true
     ON CONFLICT DO NOTHING RETURNING plugin");
batch!(RAISE_NAME, "keep the highest version of a plugin",
    { plugin id, name text, holder text, publisher id, highest text, digest text, was_holder text, was_publisher id,
      was_highest text },
    "UPDATE plugin_name SET plugin = r.plugin, holder = r.holder, publisher = r.publisher, highest = r.highest,
        digest = r.digest FROM r
     WHERE plugin_name.name = r.name AND plugin_name.holder = r.was_holder
        AND (plugin_name.publisher = r.was_publisher OR (plugin_name.publisher IS NULL AND r.was_publisher IS NULL))
        AND (plugin_name.highest = r.was_highest OR (plugin_name.highest IS NULL AND r.was_highest IS NULL))
     RETURNING plugin_name.plugin");

insert!(INSERT_ACTIVATION, "plugin_active", {
    id id, zone id, name text, digest text, previous text, generation int, caller text, changed_at int
});
update!(UPDATE_ACTIVATION, "plugin_active", { digest text, previous text, caller text, changed_at int });

/// What was driven by another component until now, if an operation is under way that was accepted before: it keeps that. A
/// clock that another server was ahead of does not make it lose it: `until` is later than every such operation.
macro_rules! keep_before {
    ($name:ident, $table:literal, $column:literal) => {
        batch!($name, concat!("keep what operations of ", $table, " began with"),
            { id id, generation int, digest text },
            "INSERT INTO plugin_before (place, until, shard, digest)
             SELECT t.id, CASE WHEN n.newest >= CAST($2 AS BIGINT) THEN n.newest + 1 ELSE CAST($2 AS BIGINT) END,
                z.shard, t.", $column, "
             FROM r JOIN ", $table, " t ON t.id = r.id AND t.generation = r.generation AND t.", $column, " <> r.digest
             JOIN zone z ON z.id = t.zone
             JOIN (SELECT o.shard AS shard, MAX(o.created_at) AS newest FROM operation o
                WHERE o.state IN ('running', 'undoing', 'parked') GROUP BY o.shard) AS n ON n.shard = z.shard
             WHERE true ON CONFLICT DO NOTHING");
    };
}
keep_before!(KEEP_DRIVER, "compute_host", "driver");
keep_before!(KEEP_PROVIDER, "storage_pool", "provider");
// The oldest operation of each shard once: looked for row by row, many rows and many operations are their product.
pub(crate) const FORGET_BEFORE: Statement = Statement::common(
    "forget what no operation keeps any more",
    "DELETE FROM plugin_before WHERE (place, until) NOT IN (SELECT b.place, b.until FROM plugin_before b
        JOIN (SELECT o.shard AS shard, MIN(o.created_at) AS oldest FROM operation o
            WHERE o.state IN ('running', 'undoing', 'parked') GROUP BY o.shard) AS n
            ON n.shard = b.shard AND n.oldest < b.until)",
);

insert!(INSERT_POLICY, "policy", {
    id id, name text, digest text, config text, fallback text, generation int, since int, cause text, created_at int
});
update!(UPDATE_POLICY, "policy", {
    name text, digest text, config text, fallback text, since int, cause text
});
insert!(INSERT_POLICY_VERSION, "policy_version", {
    policy id, generation int, digest text, config text, fallback text, cause text, reason text, caller text,
    created_at int
});
batch!(EXPIRE_POLICY_VERSIONS, "forget old generations of policies", { policy id, oldest int },
    "DELETE FROM policy_version WHERE EXISTS (SELECT 1 FROM r
        WHERE r.policy = policy_version.policy AND policy_version.generation < r.oldest)");
insert!(BEGIN_SHADOW, "policy_shadow", {
    id id, policy id, digest text, config text, caller text, started_at int
});
batch!(END_SHADOW, "end shadows of policies", { id id },
    "DELETE FROM policy_shadow WHERE id IN (SELECT id FROM r) RETURNING id");
// A shadow that ended meanwhile counts no more.
batch!(COUNT_SHADOW, "keep what shadows were counted", { shadow id, run id, counts text },
    "INSERT INTO policy_shadow_count (shadow, run, counts)
     SELECT r.shadow, r.run, r.counts FROM r JOIN policy_shadow s ON s.id = r.shadow WHERE true
     ON CONFLICT (shadow, run) DO UPDATE SET counts = excluded.counts RETURNING shadow");

pub(crate) const KEYS: Statement = Statement::common(
    "read the keys of a publisher",
    "SELECT id, publisher, key_id, public_key, added_by, created_at, revoked_at, revoked_by, reason
     FROM publisher_key WHERE publisher = $1 ORDER BY created_at, id",
);
pub(crate) const KEY: Statement = Statement::common(
    "read a key by what signatures call it",
    "SELECT id, publisher, key_id, public_key, added_by, created_at, revoked_at, revoked_by, reason
     FROM publisher_key WHERE key_id = $1",
);
pub(crate) const NAME: Statement = Statement::common(
    "read whose the name of a plugin is",
    "SELECT name, holder, publisher, highest, digest FROM plugin_name WHERE name = $1",
);
batch!(USES, "count what uses plugins", { digest text },
    "SELECT r.digest,
        (SELECT COUNT(*) FROM compute_host h WHERE h.driver = r.digest),
        (SELECT COUNT(*) FROM storage_pool s WHERE s.provider = r.digest),
        (SELECT COUNT(*) FROM policy p WHERE p.digest = r.digest),
        (SELECT COUNT(*) FROM policy_shadow s WHERE s.digest = r.digest),
        (SELECT COUNT(*) FROM operation o WHERE o.state IN ('running', 'undoing', 'parked') AND EXISTS
            (SELECT 1 FROM plugin_before b
             WHERE b.digest = r.digest AND b.shard = o.shard AND o.created_at < b.until))
     FROM r");
batch!(ACTIVE_IN, "read where plugins are active", { digest text },
    "SELECT a.digest, a.zone FROM r JOIN plugin_active a ON a.digest = r.digest ORDER BY a.digest, a.zone");
pub(crate) const ACTIVATION: Statement = Statement::common(
    "read which version of a plugin a zone uses",
    "SELECT id, zone, name, digest, previous, generation, caller, changed_at FROM plugin_active
     WHERE zone = $1 AND name = $2",
);
pub(crate) const BEFORE: Statement = Statement::common(
    "read what a place was driven by at a time",
    "SELECT digest FROM plugin_before WHERE place = $1 AND until > $2 ORDER BY until LIMIT 1",
);
pub(crate) const VERSIONS: Statement = Statement::common(
    "read the generations of a policy",
    "SELECT policy, generation, digest, config, fallback, cause, reason, caller, created_at FROM policy_version
     WHERE policy = $1 ORDER BY generation DESC",
);
pub(crate) const SHADOWS: Statement = Statement::common(
    "read the shadows of policies",
    "SELECT id, policy, digest, config, caller, started_at FROM policy_shadow ORDER BY id",
);
pub(crate) const SHADOW_OF: Statement = Statement::common(
    "read the shadow of a policy",
    "SELECT id, policy, digest, config, caller, started_at FROM policy_shadow WHERE policy = $1",
);
pub(crate) const SHADOW_COUNTS: Statement = Statement::common(
    "read what a shadow was counted",
    "SELECT run, counts FROM policy_shadow_count WHERE shadow = $1 ORDER BY run",
);

// What nobody uses harms nobody: it can be removed whenever somebody looks.
pub(crate) const REVOKED: Statement = Statement::common(
    "count plugins in use whose key was revoked",
    "SELECT COUNT(*) FROM plugin p JOIN publisher_key k ON k.id = p.signed_by
     WHERE k.revoked_at IS NOT NULL AND (EXISTS (SELECT 1 FROM compute_host h WHERE h.driver = p.digest)
        OR EXISTS (SELECT 1 FROM storage_pool s WHERE s.provider = p.digest)
        OR EXISTS (SELECT 1 FROM policy o WHERE o.digest = p.digest))",
);

/// Every statement of this file.
#[cfg(test)]
pub(crate) const ALL: &[&Statement] = &[
    &INSERT_PUBLISHER,
    &UPDATE_PUBLISHER,
    &INSERT_PUBLISHER_KEY,
    &REVOKE_KEY,
    &INSERT_PLUGIN,
    &NEW_NAME,
    &RAISE_NAME,
    &INSERT_ACTIVATION,
    &UPDATE_ACTIVATION,
    &KEEP_DRIVER,
    &KEEP_PROVIDER,
    &FORGET_BEFORE,
    &INSERT_POLICY,
    &UPDATE_POLICY,
    &INSERT_POLICY_VERSION,
    &EXPIRE_POLICY_VERSIONS,
    &BEGIN_SHADOW,
    &END_SHADOW,
    &COUNT_SHADOW,
    &KEYS,
    &KEY,
    &NAME,
    &USES,
    &ACTIVE_IN,
    &ACTIVATION,
    &BEFORE,
    &VERSIONS,
    &SHADOWS,
    &SHADOW_OF,
    &SHADOW_COUNTS,
    &REVOKED,
];
