-- Whose word a plugin is, what it was granted, and how one version takes another's place.

-- Who makes plugins.
CREATE TABLE publisher (
    id BLOB PRIMARY KEY NOT NULL,
    name TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL,
    generation INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What publishers sign with. A revoked key stays: what it signed names it.
CREATE TABLE publisher_key (
    id BLOB PRIMARY KEY NOT NULL,
    publisher BLOB NOT NULL REFERENCES publisher (id) ON DELETE CASCADE,
    key_id TEXT NOT NULL UNIQUE,
    public_key TEXT NOT NULL,
    added_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER,
    revoked_by TEXT,
    reason TEXT,
    CHECK ((revoked_at IS NULL) = (revoked_by IS NULL) AND (revoked_at IS NULL) = (reason IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX publisher_key_publisher ON publisher_key (publisher);

-- What was granted of what is asked for; of plugins that are here already, all of it.
ALTER TABLE plugin ADD COLUMN grants TEXT NOT NULL DEFAULT '{}';
UPDATE plugin SET grants = COALESCE(json_extract(manifest, '$.capabilities'), '{}');
ALTER TABLE plugin ADD COLUMN origin TEXT NOT NULL DEFAULT 'unsigned'
    CHECK (origin IN ('directory', 'unsigned', 'signed'));
ALTER TABLE plugin ADD COLUMN allowed_by TEXT NOT NULL DEFAULT '';
ALTER TABLE plugin ADD COLUMN signed_by BLOB REFERENCES publisher_key (id) ON DELETE RESTRICT
    CHECK ((signed_by IS NOT NULL) = (origin = 'signed'));

-- Whose a plugin's name is, and the highest version of it that was ever signed: both outlast the plugin's rows.
CREATE TABLE plugin_name (
    name TEXT PRIMARY KEY NOT NULL,
    plugin BLOB NOT NULL,
    holder TEXT NOT NULL CHECK (holder IN ('operator', 'nobody', 'publisher')),
    publisher BLOB REFERENCES publisher (id) ON DELETE RESTRICT,
    highest TEXT,
    digest TEXT,
    CHECK ((holder = 'publisher') = (publisher IS NOT NULL) AND (highest IS NULL) = (digest IS NULL))
) STRICT, WITHOUT ROWID;
INSERT INTO plugin_name (name, plugin, holder)
    SELECT p.name, p.id, 'nobody' FROM plugin p
    WHERE p.id = (SELECT o.id FROM plugin o WHERE o.name = p.name ORDER BY o.created_at DESC, o.id LIMIT 1);

-- Which version of a plugin a zone uses, and the one before: where a rollback leads.
CREATE TABLE plugin_active (
    id BLOB PRIMARY KEY NOT NULL,
    zone BLOB NOT NULL REFERENCES zone (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    digest TEXT NOT NULL REFERENCES plugin (digest) ON DELETE RESTRICT,
    previous TEXT,
    generation INTEGER NOT NULL,
    caller TEXT NOT NULL,
    changed_at INTEGER NOT NULL,
    UNIQUE (zone, name)
) STRICT, WITHOUT ROWID;
INSERT INTO plugin_active (id, zone, name, digest, previous, generation, caller, changed_at)
    SELECT randomblob(16), u.zone, u.name, u.digest, NULL, 1, '', u.created_at FROM (
        SELECT h.zone AS zone, p.name AS name, p.digest AS digest, p.created_at AS created_at,
            ROW_NUMBER() OVER (PARTITION BY h.zone, p.name ORDER BY p.created_at DESC, p.digest) AS place
        FROM compute_host h JOIN plugin p ON p.digest = h.driver
        UNION ALL
        SELECT s.zone, p.name, p.digest, p.created_at,
            ROW_NUMBER() OVER (PARTITION BY s.zone, p.name ORDER BY p.created_at DESC, p.digest)
        FROM storage_pool s JOIN plugin p ON p.digest = s.provider
    ) AS u WHERE u.place = 1;

-- What a compute host or pool was driven by until it went over to another version, for as long as an operation is under way
-- that was accepted before.
CREATE TABLE plugin_before (
    place BLOB NOT NULL,
    until INTEGER NOT NULL,
    shard BLOB NOT NULL,
    digest TEXT NOT NULL REFERENCES plugin (digest) ON DELETE RESTRICT,
    PRIMARY KEY (place, until)
) STRICT, WITHOUT ROWID;
CREATE INDEX plugin_before_digest ON plugin_before (digest);

-- Since when a policy has its component and configuration, and how it came to them.
ALTER TABLE policy ADD COLUMN since INTEGER NOT NULL DEFAULT 0;
UPDATE policy SET since = created_at;
ALTER TABLE policy ADD COLUMN cause TEXT NOT NULL DEFAULT 'created';

-- The generations of policies. What an older one was made of may be gone.
CREATE TABLE policy_version (
    policy BLOB NOT NULL REFERENCES policy (id) ON DELETE CASCADE,
    generation INTEGER NOT NULL,
    digest TEXT NOT NULL,
    config TEXT NOT NULL,
    fallback TEXT NOT NULL,
    cause TEXT NOT NULL,
    reason TEXT NOT NULL,
    caller TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (policy, generation)
) STRICT, WITHOUT ROWID;
INSERT INTO policy_version (policy, generation, digest, config, fallback, cause, reason, caller, created_at)
    SELECT id, generation, digest, config, fallback, 'created', '', '', created_at FROM policy;

-- What sees a policy's asks and decides nothing. One a policy; each beginning has counts of its own.
CREATE TABLE policy_shadow (
    id BLOB PRIMARY KEY NOT NULL,
    policy BLOB NOT NULL UNIQUE REFERENCES policy (id) ON DELETE CASCADE,
    digest TEXT NOT NULL REFERENCES plugin (digest) ON DELETE RESTRICT,
    config TEXT NOT NULL,
    caller TEXT NOT NULL,
    started_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What each run of a server counted of a shadow. They add up.
CREATE TABLE policy_shadow_count (
    shadow BLOB NOT NULL REFERENCES policy_shadow (id) ON DELETE CASCADE,
    run BLOB NOT NULL,
    counts TEXT NOT NULL,
    PRIMARY KEY (shadow, run)
) STRICT, WITHOUT ROWID;
