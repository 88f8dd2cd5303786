-- The first schema. Ids are UUIDs, instants microseconds since the Unix epoch, structures that are only read whole
-- JSON texts. Names are unique in their scope; claims are rows; sums are counters with a ceiling (CHECK); what points
-- to a row keeps it (RESTRICT). Only what one row owns alone goes with it (CASCADE).

CREATE TABLE project (
    id BLOB PRIMARY KEY NOT NULL,
    name TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO project (id, name, created_at) VALUES (x'00000000000000000000000000000001', 'built-in', 0);

CREATE TABLE token (
    id BLOB PRIMARY KEY NOT NULL,
    name TEXT NOT NULL UNIQUE,
    hash BLOB NOT NULL UNIQUE,
    project BLOB REFERENCES project (id) ON DELETE RESTRICT,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A unit of ownership and of event numbers. The nil one numbers what no zone owns. A retired one stays: its events are
-- still read.
CREATE TABLE shard (
    id BLOB PRIMARY KEY NOT NULL,
    epoch INTEGER NOT NULL,
    holder TEXT NOT NULL,
    lease_until INTEGER NOT NULL,
    next_seq INTEGER NOT NULL,
    retired INTEGER NOT NULL CHECK (retired IN (0, 1))
) STRICT, WITHOUT ROWID;
INSERT INTO shard (id, epoch, holder, lease_until, next_seq, retired) VALUES (x'00000000000000000000000000000000', 0, '', 0, 1, 0);

CREATE TABLE plugin (
    id BLOB PRIMARY KEY NOT NULL,
    digest TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    world TEXT NOT NULL,
    manifest TEXT NOT NULL,
    imports TEXT NOT NULL,
    exports TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (name, version)
) STRICT;

CREATE TABLE policy (
    id BLOB PRIMARY KEY NOT NULL,
    name TEXT NOT NULL UNIQUE,
    digest TEXT NOT NULL REFERENCES plugin (digest) ON DELETE RESTRICT,
    config TEXT NOT NULL,
    fallback TEXT NOT NULL,
    generation INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE zone (
    id BLOB PRIMARY KEY NOT NULL,
    name TEXT NOT NULL UNIQUE,
    owner BLOB REFERENCES project (id) ON DELETE RESTRICT,
    shard BLOB NOT NULL REFERENCES shard (id) ON DELETE RESTRICT,
    policy BLOB REFERENCES policy (id) ON DELETE RESTRICT,
    pool_policy BLOB REFERENCES policy (id) ON DELETE RESTRICT,
    generation INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE pod (
    id BLOB PRIMARY KEY NOT NULL,
    zone BLOB NOT NULL REFERENCES zone (id) ON DELETE RESTRICT,
    name TEXT NOT NULL,
    cidr TEXT NOT NULL,
    first_address INTEGER NOT NULL,
    last_address INTEGER NOT NULL,
    gateway INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (zone, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE cluster (
    id BLOB PRIMARY KEY NOT NULL,
    zone BLOB NOT NULL REFERENCES zone (id) ON DELETE RESTRICT,
    pod BLOB NOT NULL REFERENCES pod (id) ON DELETE RESTRICT,
    shard BLOB NOT NULL REFERENCES shard (id) ON DELETE RESTRICT,
    name TEXT NOT NULL,
    driver TEXT NOT NULL,
    cpu_overcommit INTEGER NOT NULL,
    memory_overcommit INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (pod, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE compute_host (
    id BLOB PRIMARY KEY NOT NULL,
    zone BLOB NOT NULL REFERENCES zone (id) ON DELETE RESTRICT,
    pod BLOB NOT NULL REFERENCES pod (id) ON DELETE RESTRICT,
    cluster BLOB NOT NULL REFERENCES cluster (id) ON DELETE RESTRICT,
    name TEXT NOT NULL,
    driver TEXT NOT NULL REFERENCES plugin (digest) ON DELETE RESTRICT,
    config TEXT NOT NULL,
    node TEXT,
    endpoint TEXT,
    private_address INTEGER,
    vcpus INTEGER NOT NULL,
    memory INTEGER NOT NULL,
    tags TEXT NOT NULL,
    attributes TEXT NOT NULL,
    abilities TEXT NOT NULL,
    intent TEXT NOT NULL,
    generation INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (zone, name)
) STRICT;

-- Narrow, so that a batch of claims writes few pages. ceiling = max(limit, used when the limit fell).
CREATE TABLE compute_host_room (
    id BLOB PRIMARY KEY NOT NULL REFERENCES compute_host (id) ON DELETE CASCADE,
    vcpus_limit INTEGER NOT NULL,
    vcpus_ceiling INTEGER NOT NULL,
    vcpus_used INTEGER NOT NULL CHECK (vcpus_used >= 0),
    memory_limit INTEGER NOT NULL,
    memory_ceiling INTEGER NOT NULL,
    memory_used INTEGER NOT NULL CHECK (memory_used >= 0),
    CONSTRAINT compute_host_vcpus CHECK (vcpus_used <= vcpus_ceiling),
    CONSTRAINT compute_host_memory CHECK (memory_used <= memory_ceiling)
) STRICT, WITHOUT ROWID;

CREATE TABLE compute_host_seen (
    id BLOB PRIMARY KEY NOT NULL REFERENCES compute_host (id) ON DELETE CASCADE,
    state TEXT NOT NULL,
    boot_id TEXT,
    seen_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE storage_pool (
    id BLOB PRIMARY KEY NOT NULL,
    zone BLOB NOT NULL REFERENCES zone (id) ON DELETE RESTRICT,
    scope_cluster BLOB REFERENCES cluster (id) ON DELETE RESTRICT,
    scope_host BLOB REFERENCES compute_host (id) ON DELETE RESTRICT,
    name TEXT NOT NULL,
    provider TEXT NOT NULL REFERENCES plugin (digest) ON DELETE RESTRICT,
    config TEXT NOT NULL,
    node TEXT,
    endpoint TEXT,
    capacity INTEGER NOT NULL,
    tags TEXT NOT NULL,
    attributes TEXT NOT NULL,
    abilities TEXT NOT NULL,
    intent TEXT NOT NULL,
    generation INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (zone, name),
    CHECK (scope_cluster IS NULL OR scope_host IS NULL)
) STRICT;

CREATE TABLE storage_pool_room (
    id BLOB PRIMARY KEY NOT NULL REFERENCES storage_pool (id) ON DELETE CASCADE,
    bytes_limit INTEGER NOT NULL,
    bytes_ceiling INTEGER NOT NULL,
    bytes_used INTEGER NOT NULL CHECK (bytes_used >= 0),
    CONSTRAINT storage_pool_bytes CHECK (bytes_used <= bytes_ceiling)
) STRICT, WITHOUT ROWID;

CREATE TABLE image_store (
    id BLOB PRIMARY KEY NOT NULL,
    zone BLOB NOT NULL REFERENCES zone (id) ON DELETE RESTRICT,
    name TEXT NOT NULL,
    place TEXT NOT NULL,
    generation INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (zone, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE compute_offering (
    id BLOB PRIMARY KEY NOT NULL,
    name TEXT NOT NULL UNIQUE,
    vcpus INTEGER NOT NULL,
    memory INTEGER NOT NULL,
    host_tags TEXT NOT NULL,
    storage_tags TEXT NOT NULL,
    policy BLOB REFERENCES policy (id) ON DELETE RESTRICT,
    generation INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE disk_offering (
    id BLOB PRIMARY KEY NOT NULL,
    name TEXT NOT NULL UNIQUE,
    size INTEGER,
    storage_tags TEXT NOT NULL,
    generation INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE network_offering (
    id BLOB PRIMARY KEY NOT NULL,
    name TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    generation INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE network (
    id BLOB PRIMARY KEY NOT NULL,
    zone BLOB NOT NULL REFERENCES zone (id) ON DELETE RESTRICT,
    project BLOB NOT NULL REFERENCES project (id) ON DELETE RESTRICT,
    offering BLOB NOT NULL REFERENCES network_offering (id) ON DELETE RESTRICT,
    name TEXT NOT NULL,
    cidr TEXT NOT NULL,
    first_address INTEGER NOT NULL,
    last_address INTEGER NOT NULL,
    gateway INTEGER NOT NULL,
    dns TEXT NOT NULL,
    link TEXT NOT NULL,
    generation INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (zone, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE ip_range (
    id BLOB PRIMARY KEY NOT NULL,
    zone BLOB NOT NULL REFERENCES zone (id) ON DELETE RESTRICT,
    network BLOB REFERENCES network (id) ON DELETE RESTRICT,
    pod BLOB REFERENCES pod (id) ON DELETE RESTRICT,
    first_address INTEGER NOT NULL,
    last_address INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    CHECK (first_address <= last_address),
    CHECK ((network IS NULL) <> (pod IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX ip_range_network ON ip_range (network);
CREATE INDEX ip_range_pod ON ip_range (pod);

CREATE TABLE template (
    id BLOB PRIMARY KEY NOT NULL,
    zone BLOB NOT NULL REFERENCES zone (id) ON DELETE RESTRICT,
    project BLOB NOT NULL REFERENCES project (id) ON DELETE RESTRICT,
    image_store BLOB NOT NULL REFERENCES image_store (id) ON DELETE RESTRICT,
    name TEXT NOT NULL,
    format TEXT NOT NULL,
    upload_bytes INTEGER NOT NULL,
    received_bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    state TEXT NOT NULL,
    failure TEXT,
    virtual_bytes INTEGER,
    reference TEXT,
    generation INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (name, zone, project),
    CHECK (received_bytes <= upload_bytes)
) STRICT;

-- Tenants' names stand first in their index: a name is looked up whoever asks, and a page of a project's rows is read in
-- the order of ids, not sorted. The wide columns come last. A placement's decision and the last compute host are history: no key holds them.
CREATE TABLE instance (
    id BLOB PRIMARY KEY NOT NULL,
    zone BLOB NOT NULL REFERENCES zone (id) ON DELETE RESTRICT,
    project BLOB NOT NULL REFERENCES project (id) ON DELETE RESTRICT,
    name TEXT NOT NULL,
    offering BLOB NOT NULL REFERENCES compute_offering (id) ON DELETE RESTRICT,
    template BLOB NOT NULL REFERENCES template (id) ON DELETE RESTRICT,
    vcpus INTEGER NOT NULL,
    memory INTEGER NOT NULL,
    state TEXT NOT NULL,
    last_host BLOB,
    decision BLOB,
    generation INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    user_data BLOB NOT NULL,
    UNIQUE (name, zone, project)
) STRICT;

-- One active and one incoming run an instance. Not two partial indexes: SQLite does not look for the rows that keep an
-- instance in those.
CREATE TABLE run (
    id BLOB PRIMARY KEY NOT NULL,
    instance BLOB NOT NULL REFERENCES instance (id) ON DELETE RESTRICT,
    compute_host BLOB NOT NULL REFERENCES compute_host (id) ON DELETE RESTRICT,
    generation INTEGER NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('active', 'incoming')),
    vcpus INTEGER NOT NULL,
    memory INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (instance, role)
) STRICT, WITHOUT ROWID;
CREATE INDEX run_compute_host ON run (compute_host);

CREATE TABLE run_seen (
    id BLOB PRIMARY KEY NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    state TEXT NOT NULL,
    seen_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE nic (
    id BLOB PRIMARY KEY NOT NULL,
    instance BLOB NOT NULL REFERENCES instance (id) ON DELETE RESTRICT,
    network BLOB NOT NULL REFERENCES network (id) ON DELETE RESTRICT,
    project BLOB NOT NULL REFERENCES project (id) ON DELETE RESTRICT,
    slot INTEGER NOT NULL,
    mac INTEGER NOT NULL UNIQUE,
    address INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (instance, slot)
) STRICT, WITHOUT ROWID;

-- One row a claimed address: the key is what makes it impossible to claim one twice, for ranges of a network do not
-- overlap.
CREATE TABLE ip_address (
    ip_range BLOB NOT NULL REFERENCES ip_range (id) ON DELETE RESTRICT,
    address INTEGER NOT NULL,
    id BLOB NOT NULL UNIQUE,
    project BLOB NOT NULL REFERENCES project (id) ON DELETE RESTRICT,
    nic BLOB UNIQUE REFERENCES nic (id) ON DELETE CASCADE,
    compute_host BLOB UNIQUE REFERENCES compute_host (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (ip_range, address),
    CHECK ((nic IS NULL) <> (compute_host IS NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE layer (
    id BLOB PRIMARY KEY NOT NULL,
    pool BLOB NOT NULL REFERENCES storage_pool (id) ON DELETE RESTRICT,
    template BLOB NOT NULL REFERENCES template (id) ON DELETE RESTRICT,
    size INTEGER NOT NULL,
    backend_id TEXT,
    ready INTEGER NOT NULL CHECK (ready IN (0, 1)),
    created_at INTEGER NOT NULL,
    UNIQUE (pool, template)
) STRICT, WITHOUT ROWID;

CREATE TABLE volume (
    id BLOB PRIMARY KEY NOT NULL,
    zone BLOB NOT NULL REFERENCES zone (id) ON DELETE RESTRICT,
    project BLOB NOT NULL REFERENCES project (id) ON DELETE RESTRICT,
    name TEXT NOT NULL,
    used_as TEXT NOT NULL,
    offering BLOB REFERENCES disk_offering (id) ON DELETE RESTRICT,
    pool BLOB NOT NULL REFERENCES storage_pool (id) ON DELETE RESTRICT,
    size INTEGER NOT NULL,
    parent BLOB REFERENCES layer (id) ON DELETE RESTRICT,
    backend_id TEXT,
    state TEXT NOT NULL,
    generation INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (name, zone, project)
) STRICT, WITHOUT ROWID;

CREATE TABLE attachment (
    volume BLOB PRIMARY KEY NOT NULL REFERENCES volume (id) ON DELETE RESTRICT,
    instance BLOB NOT NULL REFERENCES instance (id) ON DELETE RESTRICT,
    slot INTEGER NOT NULL,
    UNIQUE (instance, slot)
) STRICT, WITHOUT ROWID;

CREATE TABLE publication (
    volume BLOB NOT NULL REFERENCES volume (id) ON DELETE RESTRICT,
    run BLOB NOT NULL REFERENCES run (id) ON DELETE RESTRICT,
    compute_host BLOB NOT NULL REFERENCES compute_host (id) ON DELETE RESTRICT,
    identity TEXT,
    attachment TEXT,
    PRIMARY KEY (volume, run),
    UNIQUE (identity, compute_host)
) STRICT, WITHOUT ROWID;
CREATE INDEX publication_run ON publication (run);

CREATE TABLE operation (
    id BLOB PRIMARY KEY NOT NULL,
    kind TEXT NOT NULL,
    version INTEGER NOT NULL,
    shard BLOB NOT NULL,
    epoch INTEGER NOT NULL,
    project BLOB NOT NULL REFERENCES project (id) ON DELETE RESTRICT,
    subject_kind TEXT NOT NULL,
    subject BLOB NOT NULL,
    state TEXT NOT NULL,
    params TEXT NOT NULL,
    journal TEXT NOT NULL,
    progress INTEGER NOT NULL,
    note TEXT NOT NULL,
    error TEXT,
    caller TEXT NOT NULL,
    due_at INTEGER NOT NULL,
    cancel_requested INTEGER NOT NULL CHECK (cancel_requested IN (0, 1)),
    generation INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    ended_at INTEGER
) STRICT;
CREATE INDEX operation_due ON operation (due_at) WHERE state IN ('running', 'undoing');
CREATE INDEX operation_unfinished ON operation (created_at) WHERE state IN ('running', 'undoing', 'parked');
CREATE INDEX operation_subject ON operation (subject);

CREATE TABLE subject_lock (
    subject BLOB PRIMARY KEY NOT NULL,
    subject_kind TEXT NOT NULL,
    operation BLOB NOT NULL REFERENCES operation (id) ON DELETE RESTRICT
) STRICT, WITHOUT ROWID;
CREATE INDEX subject_lock_operation ON subject_lock (operation);

CREATE TABLE decision (
    id BLOB PRIMARY KEY NOT NULL,
    project BLOB NOT NULL REFERENCES project (id) ON DELETE RESTRICT,
    zone BLOB NOT NULL,
    instance BLOB NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX decision_instance ON decision (instance);

CREATE TABLE event (
    shard BLOB NOT NULL REFERENCES shard (id) ON DELETE RESTRICT,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    project BLOB NOT NULL,
    collection TEXT NOT NULL,
    resource BLOB NOT NULL,
    operation BLOB,
    caller TEXT NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (shard, epoch, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE idempotency (
    token BLOB NOT NULL,
    key TEXT NOT NULL,
    request_hash BLOB NOT NULL,
    status INTEGER NOT NULL,
    location TEXT,
    etag TEXT,
    body TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (token, key)
) STRICT;
CREATE INDEX idempotency_expires ON idempotency (expires_at);
