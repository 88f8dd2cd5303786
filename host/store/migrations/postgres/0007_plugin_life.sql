-- Whose word a plugin is, what it was granted, and how one version takes another's place.

-- Who makes plugins.
CREATE TABLE publisher (
    id UUID PRIMARY KEY NOT NULL,
    name TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL,
    generation BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

-- What publishers sign with. A revoked key stays: what it signed names it.
CREATE TABLE publisher_key (
    id UUID PRIMARY KEY NOT NULL,
    publisher UUID NOT NULL REFERENCES publisher (id) ON DELETE CASCADE,
    key_id TEXT NOT NULL UNIQUE,
    public_key TEXT NOT NULL,
    added_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    revoked_at BIGINT,
    revoked_by TEXT,
    reason TEXT,
    CHECK ((revoked_at IS NULL) = (revoked_by IS NULL) AND (revoked_at IS NULL) = (reason IS NULL))
);
CREATE INDEX publisher_key_publisher ON publisher_key (publisher);

-- What was granted of what is asked for; of plugins that are here already, all of it.
ALTER TABLE plugin ADD COLUMN grants TEXT NOT NULL DEFAULT '{}';
UPDATE plugin SET grants = COALESCE(CAST(CAST(manifest AS JSONB) -> 'capabilities' AS TEXT), '{}');
ALTER TABLE plugin ADD COLUMN origin TEXT NOT NULL DEFAULT 'unsigned'
    CHECK (origin IN ('directory', 'unsigned', 'signed'));
ALTER TABLE plugin ADD COLUMN allowed_by TEXT NOT NULL DEFAULT '';
ALTER TABLE plugin ADD COLUMN signed_by UUID REFERENCES publisher_key (id) ON DELETE RESTRICT
    CHECK ((signed_by IS NOT NULL) = (origin = 'signed'));

-- Whose a plugin's name is, and the highest version of it that was ever signed: both outlast the plugin's rows.
CREATE TABLE plugin_name (
    name TEXT PRIMARY KEY NOT NULL,
    plugin UUID NOT NULL,
    holder TEXT NOT NULL CHECK (holder IN ('operator', 'nobody', 'publisher')),
    publisher UUID REFERENCES publisher (id) ON DELETE RESTRICT,
    highest TEXT,
    digest TEXT,
    CHECK ((holder = 'publisher') = (publisher IS NOT NULL) AND (highest IS NULL) = (digest IS NULL))
);
INSERT INTO plugin_name (name, plugin, holder)
    SELECT p.name, p.id, 'nobody' FROM plugin p
    WHERE p.id = (SELECT o.id FROM plugin o WHERE o.name = p.name ORDER BY o.created_at DESC, o.id LIMIT 1);

-- Which version of a plugin a zone uses, and the one before: where a rollback leads.
CREATE TABLE plugin_active (
    id UUID PRIMARY KEY NOT NULL,
    zone UUID NOT NULL REFERENCES zone (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    digest TEXT NOT NULL REFERENCES plugin (digest) ON DELETE RESTRICT,
    previous TEXT,
    generation BIGINT NOT NULL,
    caller TEXT NOT NULL,
    changed_at BIGINT NOT NULL,
    UNIQUE (zone, name)
);
INSERT INTO plugin_active (id, zone, name, digest, previous, generation, caller, changed_at)
    SELECT gen_random_uuid(), u.zone, u.name, u.digest, NULL, 1, '', u.created_at FROM (
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
    place UUID NOT NULL,
    until BIGINT NOT NULL,
    shard UUID NOT NULL,
    digest TEXT NOT NULL REFERENCES plugin (digest) ON DELETE RESTRICT,
    PRIMARY KEY (place, until)
);
CREATE INDEX plugin_before_digest ON plugin_before (digest);

-- Since when a policy has its component and configuration, and how it came to them.
ALTER TABLE policy ADD COLUMN since BIGINT NOT NULL DEFAULT 0;
UPDATE policy SET since = created_at;
ALTER TABLE policy ADD COLUMN cause TEXT NOT NULL DEFAULT 'created';

-- The generations of policies. What an older one was made of may be gone.
CREATE TABLE policy_version (
    policy UUID NOT NULL REFERENCES policy (id) ON DELETE CASCADE,
    generation BIGINT NOT NULL,
    digest TEXT NOT NULL,
    config TEXT NOT NULL,
    fallback TEXT NOT NULL,
    cause TEXT NOT NULL,
    reason TEXT NOT NULL,
    caller TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (policy, generation)
);
INSERT INTO policy_version (policy, generation, digest, config, fallback, cause, reason, caller, created_at)
    SELECT id, generation, digest, config, fallback, 'created', '', '', created_at FROM policy;

-- What sees a policy's asks and decides nothing. One a policy; each beginning has counts of its own.
CREATE TABLE policy_shadow (
    id UUID PRIMARY KEY NOT NULL,
    policy UUID NOT NULL UNIQUE REFERENCES policy (id) ON DELETE CASCADE,
    digest TEXT NOT NULL REFERENCES plugin (digest) ON DELETE RESTRICT,
    config TEXT NOT NULL,
    caller TEXT NOT NULL,
    started_at BIGINT NOT NULL
);

-- What each run of a server counted of a shadow. They add up.
CREATE TABLE policy_shadow_count (
    shadow UUID NOT NULL REFERENCES policy_shadow (id) ON DELETE CASCADE,
    run UUID NOT NULL,
    counts TEXT NOT NULL,
    PRIMARY KEY (shadow, run)
);
