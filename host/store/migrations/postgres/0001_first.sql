-- The first schema. Ids are UUIDs, instants microseconds since the Unix epoch, structures that are only read whole
-- JSON texts. Names are unique in their scope; claims are rows; sums are counters with a ceiling (CHECK); what points
-- to a row keeps it (RESTRICT). Only what one row owns alone goes with it (CASCADE).

CREATE TABLE project (
    id UUID PRIMARY KEY NOT NULL,
    name TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);
INSERT INTO project (id, name, created_at) VALUES ('00000000-0000-0000-0000-000000000001', 'built-in', 0);

CREATE TABLE token (
    id UUID PRIMARY KEY NOT NULL,
    name TEXT NOT NULL UNIQUE,
    hash BYTEA NOT NULL UNIQUE,
    project UUID REFERENCES project (id) ON DELETE RESTRICT,
    created_at BIGINT NOT NULL
);

-- A unit of ownership and of event numbers. The nil one numbers what no zone owns. A retired one stays: its events are
-- still read.
CREATE TABLE shard (
    id UUID PRIMARY KEY NOT NULL,
    epoch BIGINT NOT NULL,
    holder TEXT NOT NULL,
    lease_until BIGINT NOT NULL,
    next_seq BIGINT NOT NULL,
    retired BIGINT NOT NULL CHECK (retired IN (0, 1))
);
INSERT INTO shard (id, epoch, holder, lease_until, next_seq, retired) VALUES ('00000000-0000-0000-0000-000000000000', 0, '', 0, 1, 0);

CREATE TABLE plugin (
    id UUID PRIMARY KEY NOT NULL,
    digest TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    world TEXT NOT NULL,
    manifest TEXT NOT NULL,
    imports TEXT NOT NULL,
    exports TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (name, version)
);

CREATE TABLE policy (
    id UUID PRIMARY KEY NOT NULL,
    name TEXT NOT NULL UNIQUE,
    digest TEXT NOT NULL REFERENCES plugin (digest) ON DELETE RESTRICT,
    config TEXT NOT NULL,
    fallback TEXT NOT NULL,
    generation BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE zone (
    id UUID PRIMARY KEY NOT NULL,
    name TEXT NOT NULL UNIQUE,
    owner UUID REFERENCES project (id) ON DELETE RESTRICT,
    shard UUID NOT NULL REFERENCES shard (id) ON DELETE RESTRICT,
    policy UUID REFERENCES policy (id) ON DELETE RESTRICT,
    pool_policy UUID REFERENCES policy (id) ON DELETE RESTRICT,
    generation BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE pod (
    id UUID PRIMARY KEY NOT NULL,
    zone UUID NOT NULL REFERENCES zone (id) ON DELETE RESTRICT,
    name TEXT NOT NULL,
    cidr TEXT NOT NULL,
    first_address BIGINT NOT NULL,
    last_address BIGINT NOT NULL,
    gateway BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (zone, name)
);

CREATE TABLE cluster (
    id UUID PRIMARY KEY NOT NULL,
    zone UUID NOT NULL REFERENCES zone (id) ON DELETE RESTRICT,
    pod UUID NOT NULL REFERENCES pod (id) ON DELETE RESTRICT,
    shard UUID NOT NULL REFERENCES shard (id) ON DELETE RESTRICT,
    name TEXT NOT NULL,
    driver TEXT NOT NULL,
    cpu_overcommit BIGINT NOT NULL,
    memory_overcommit BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (pod, name)
);

CREATE TABLE compute_host (
    id UUID PRIMARY KEY NOT NULL,
    zone UUID NOT NULL REFERENCES zone (id) ON DELETE RESTRICT,
    pod UUID NOT NULL REFERENCES pod (id) ON DELETE RESTRICT,
    cluster UUID NOT NULL REFERENCES cluster (id) ON DELETE RESTRICT,
    name TEXT NOT NULL,
    driver TEXT NOT NULL REFERENCES plugin (digest) ON DELETE RESTRICT,
    config TEXT NOT NULL,
    node TEXT,
    endpoint TEXT,
    private_address BIGINT,
    vcpus BIGINT NOT NULL,
    memory BIGINT NOT NULL,
    tags TEXT NOT NULL,
    attributes TEXT NOT NULL,
    abilities TEXT NOT NULL,
    intent TEXT NOT NULL,
    generation BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (zone, name)
);

-- Narrow, so that a batch of claims writes few pages. ceiling = max(limit, used when the limit fell).
CREATE TABLE compute_host_room (
    id UUID PRIMARY KEY NOT NULL REFERENCES compute_host (id) ON DELETE CASCADE,
    vcpus_limit BIGINT NOT NULL,
    vcpus_ceiling BIGINT NOT NULL,
    vcpus_used BIGINT NOT NULL CHECK (vcpus_used >= 0),
    memory_limit BIGINT NOT NULL,
    memory_ceiling BIGINT NOT NULL,
    memory_used BIGINT NOT NULL CHECK (memory_used >= 0),
    CONSTRAINT compute_host_vcpus CHECK (vcpus_used <= vcpus_ceiling),
    CONSTRAINT compute_host_memory CHECK (memory_used <= memory_ceiling)
);

CREATE TABLE compute_host_seen (
    id UUID PRIMARY KEY NOT NULL REFERENCES compute_host (id) ON DELETE CASCADE,
    state TEXT NOT NULL,
    boot_id TEXT,
    seen_at BIGINT NOT NULL
);

CREATE TABLE storage_pool (
    id UUID PRIMARY KEY NOT NULL,
    zone UUID NOT NULL REFERENCES zone (id) ON DELETE RESTRICT,
    scope_cluster UUID REFERENCES cluster (id) ON DELETE RESTRICT,
    scope_host UUID REFERENCES compute_host (id) ON DELETE RESTRICT,
    name TEXT NOT NULL,
    provider TEXT NOT NULL REFERENCES plugin (digest) ON DELETE RESTRICT,
    config TEXT NOT NULL,
    node TEXT,
    endpoint TEXT,
    capacity BIGINT NOT NULL,
    tags TEXT NOT NULL,
    attributes TEXT NOT NULL,
    abilities TEXT NOT NULL,
    intent TEXT NOT NULL,
    generation BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (zone, name),
    CHECK (scope_cluster IS NULL OR scope_host IS NULL)
);

CREATE TABLE storage_pool_room (
    id UUID PRIMARY KEY NOT NULL REFERENCES storage_pool (id) ON DELETE CASCADE,
    bytes_limit BIGINT NOT NULL,
    bytes_ceiling BIGINT NOT NULL,
    bytes_used BIGINT NOT NULL CHECK (bytes_used >= 0),
    CONSTRAINT storage_pool_bytes CHECK (bytes_used <= bytes_ceiling)
);

CREATE TABLE image_store (
    id UUID PRIMARY KEY NOT NULL,
    zone UUID NOT NULL REFERENCES zone (id) ON DELETE RESTRICT,
    name TEXT NOT NULL,
    place TEXT NOT NULL,
    generation BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (zone, name)
);

CREATE TABLE compute_offering (
    id UUID PRIMARY KEY NOT NULL,
    name TEXT NOT NULL UNIQUE,
    vcpus BIGINT NOT NULL,
    memory BIGINT NOT NULL,
    host_tags TEXT NOT NULL,
    storage_tags TEXT NOT NULL,
    policy UUID REFERENCES policy (id) ON DELETE RESTRICT,
    generation BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE disk_offering (
    id UUID PRIMARY KEY NOT NULL,
    name TEXT NOT NULL UNIQUE,
    size BIGINT,
    storage_tags TEXT NOT NULL,
    generation BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE network_offering (
    id UUID PRIMARY KEY NOT NULL,
    name TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    generation BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE network (
    id UUID PRIMARY KEY NOT NULL,
    zone UUID NOT NULL REFERENCES zone (id) ON DELETE RESTRICT,
    project UUID NOT NULL REFERENCES project (id) ON DELETE RESTRICT,
    offering UUID NOT NULL REFERENCES network_offering (id) ON DELETE RESTRICT,
    name TEXT NOT NULL,
    cidr TEXT NOT NULL,
    first_address BIGINT NOT NULL,
    last_address BIGINT NOT NULL,
    gateway BIGINT NOT NULL,
    dns TEXT NOT NULL,
    link TEXT NOT NULL,
    generation BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (zone, name)
);

CREATE TABLE ip_range (
    id UUID PRIMARY KEY NOT NULL,
    zone UUID NOT NULL REFERENCES zone (id) ON DELETE RESTRICT,
    network UUID REFERENCES network (id) ON DELETE RESTRICT,
    pod UUID REFERENCES pod (id) ON DELETE RESTRICT,
    first_address BIGINT NOT NULL,
    last_address BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    CHECK (first_address <= last_address),
    CHECK ((network IS NULL) <> (pod IS NULL))
);
CREATE INDEX ip_range_network ON ip_range (network);
CREATE INDEX ip_range_pod ON ip_range (pod);

CREATE TABLE template (
    id UUID PRIMARY KEY NOT NULL,
    zone UUID NOT NULL REFERENCES zone (id) ON DELETE RESTRICT,
    project UUID NOT NULL REFERENCES project (id) ON DELETE RESTRICT,
    image_store UUID NOT NULL REFERENCES image_store (id) ON DELETE RESTRICT,
    name TEXT NOT NULL,
    format TEXT NOT NULL,
    upload_bytes BIGINT NOT NULL,
    received_bytes BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    state TEXT NOT NULL,
    failure TEXT,
    virtual_bytes BIGINT,
    reference TEXT,
    generation BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (name, zone, project),
    CHECK (received_bytes <= upload_bytes)
);

-- Tenants' names stand first in their index: a name is looked up whoever asks, and a page of a project's rows is read in
-- the order of ids, not sorted. The wide columns come last. A placement's decision and the last compute host are history: no key holds them.
CREATE TABLE instance (
    id UUID PRIMARY KEY NOT NULL,
    zone UUID NOT NULL REFERENCES zone (id) ON DELETE RESTRICT,
    project UUID NOT NULL REFERENCES project (id) ON DELETE RESTRICT,
    name TEXT NOT NULL,
    offering UUID NOT NULL REFERENCES compute_offering (id) ON DELETE RESTRICT,
    template UUID NOT NULL REFERENCES template (id) ON DELETE RESTRICT,
    vcpus BIGINT NOT NULL,
    memory BIGINT NOT NULL,
    state TEXT NOT NULL,
    last_host UUID,
    decision UUID,
    generation BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    user_data BYTEA NOT NULL,
    UNIQUE (name, zone, project)
);

-- One active and one incoming run an instance. Not two partial indexes: SQLite does not look for the rows that keep an
-- instance in those.
CREATE TABLE run (
    id UUID PRIMARY KEY NOT NULL,
    instance UUID NOT NULL REFERENCES instance (id) ON DELETE RESTRICT,
    compute_host UUID NOT NULL REFERENCES compute_host (id) ON DELETE RESTRICT,
    generation BIGINT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('active', 'incoming')),
    vcpus BIGINT NOT NULL,
    memory BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (instance, role)
);
CREATE INDEX run_compute_host ON run (compute_host);

CREATE TABLE run_seen (
    id UUID PRIMARY KEY NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    state TEXT NOT NULL,
    seen_at BIGINT NOT NULL
);

CREATE TABLE nic (
    id UUID PRIMARY KEY NOT NULL,
    instance UUID NOT NULL REFERENCES instance (id) ON DELETE RESTRICT,
    network UUID NOT NULL REFERENCES network (id) ON DELETE RESTRICT,
    project UUID NOT NULL REFERENCES project (id) ON DELETE RESTRICT,
    slot BIGINT NOT NULL,
    mac BIGINT NOT NULL UNIQUE,
    address BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (instance, slot)
);

-- One row a claimed address: the key is what makes it impossible to claim one twice, for ranges of a network do not
-- overlap.
CREATE TABLE ip_address (
    ip_range UUID NOT NULL REFERENCES ip_range (id) ON DELETE RESTRICT,
    address BIGINT NOT NULL,
    id UUID NOT NULL UNIQUE,
    project UUID NOT NULL REFERENCES project (id) ON DELETE RESTRICT,
    nic UUID UNIQUE REFERENCES nic (id) ON DELETE CASCADE,
    compute_host UUID UNIQUE REFERENCES compute_host (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (ip_range, address),
    CHECK ((nic IS NULL) <> (compute_host IS NULL))
);

CREATE TABLE layer (
    id UUID PRIMARY KEY NOT NULL,
    pool UUID NOT NULL REFERENCES storage_pool (id) ON DELETE RESTRICT,
    template UUID NOT NULL REFERENCES template (id) ON DELETE RESTRICT,
    size BIGINT NOT NULL,
    backend_id TEXT,
    ready BIGINT NOT NULL CHECK (ready IN (0, 1)),
    created_at BIGINT NOT NULL,
    UNIQUE (pool, template)
);

CREATE TABLE volume (
    id UUID PRIMARY KEY NOT NULL,
    zone UUID NOT NULL REFERENCES zone (id) ON DELETE RESTRICT,
    project UUID NOT NULL REFERENCES project (id) ON DELETE RESTRICT,
    name TEXT NOT NULL,
    used_as TEXT NOT NULL,
    offering UUID REFERENCES disk_offering (id) ON DELETE RESTRICT,
    pool UUID NOT NULL REFERENCES storage_pool (id) ON DELETE RESTRICT,
    size BIGINT NOT NULL,
    parent UUID REFERENCES layer (id) ON DELETE RESTRICT,
    backend_id TEXT,
    state TEXT NOT NULL,
    generation BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (name, zone, project)
);

CREATE TABLE attachment (
    volume UUID PRIMARY KEY NOT NULL REFERENCES volume (id) ON DELETE RESTRICT,
    instance UUID NOT NULL REFERENCES instance (id) ON DELETE RESTRICT,
    slot BIGINT NOT NULL,
    UNIQUE (instance, slot)
);

CREATE TABLE publication (
    volume UUID NOT NULL REFERENCES volume (id) ON DELETE RESTRICT,
    run UUID NOT NULL REFERENCES run (id) ON DELETE RESTRICT,
    compute_host UUID NOT NULL REFERENCES compute_host (id) ON DELETE RESTRICT,
    identity TEXT,
    attachment TEXT,
    PRIMARY KEY (volume, run),
    UNIQUE (identity, compute_host)
);
CREATE INDEX publication_run ON publication (run);

CREATE TABLE operation (
    id UUID PRIMARY KEY NOT NULL,
    kind TEXT NOT NULL,
    version BIGINT NOT NULL,
    shard UUID NOT NULL,
    epoch BIGINT NOT NULL,
    project UUID NOT NULL REFERENCES project (id) ON DELETE RESTRICT,
    subject_kind TEXT NOT NULL,
    subject UUID NOT NULL,
    state TEXT NOT NULL,
    params TEXT NOT NULL,
    journal TEXT NOT NULL,
    progress BIGINT NOT NULL,
    note TEXT NOT NULL,
    error TEXT,
    caller TEXT NOT NULL,
    due_at BIGINT NOT NULL,
    cancel_requested BIGINT NOT NULL CHECK (cancel_requested IN (0, 1)),
    generation BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    ended_at BIGINT
);
CREATE INDEX operation_due ON operation (due_at) WHERE state IN ('running', 'undoing');
CREATE INDEX operation_unfinished ON operation (created_at) WHERE state IN ('running', 'undoing', 'parked');
CREATE INDEX operation_subject ON operation (subject);

CREATE TABLE subject_lock (
    subject UUID PRIMARY KEY NOT NULL,
    subject_kind TEXT NOT NULL,
    operation UUID NOT NULL REFERENCES operation (id) ON DELETE RESTRICT
);
CREATE INDEX subject_lock_operation ON subject_lock (operation);

CREATE TABLE decision (
    id UUID PRIMARY KEY NOT NULL,
    project UUID NOT NULL REFERENCES project (id) ON DELETE RESTRICT,
    zone UUID NOT NULL,
    instance UUID NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX decision_instance ON decision (instance);

CREATE TABLE event (
    shard UUID NOT NULL REFERENCES shard (id) ON DELETE RESTRICT,
    epoch BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    project UUID NOT NULL,
    collection TEXT NOT NULL,
    resource UUID NOT NULL,
    operation UUID,
    caller TEXT NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (shard, epoch, seq)
);

CREATE TABLE idempotency (
    token UUID NOT NULL,
    key TEXT NOT NULL,
    request_hash BYTEA NOT NULL,
    status BIGINT NOT NULL,
    location TEXT,
    etag TEXT,
    body TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (token, key)
);
CREATE INDEX idempotency_expires ON idempotency (expires_at);
