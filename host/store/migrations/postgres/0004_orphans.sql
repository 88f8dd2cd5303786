-- What no row owns, and what lets an operator see what waits for one.

-- Parked operations are counted every few seconds, and are few among all that ever were.
CREATE INDEX operation_parked ON operation (created_at) WHERE state = 'parked';

-- What had a row once: a run, a volume or layer, a publication (with its compute host as peer), a network. Only of what
-- stands here may a far side's remains be removed; everything else may be another's. No key: what it names is gone.
CREATE TABLE tombstone (
    kind TEXT NOT NULL,
    object UUID NOT NULL,
    peer UUID NOT NULL,
    removed_at BIGINT NOT NULL,
    PRIMARY KEY (kind, object, peer)
);
CREATE INDEX tombstone_removed ON tombstone (removed_at);

-- What was seen at a far side and had no row: an observation of the place, and goes with it.
CREATE TABLE orphan (
    id UUID PRIMARY KEY NOT NULL,
    kind TEXT NOT NULL,
    compute_host UUID REFERENCES compute_host (id) ON DELETE CASCADE,
    storage_pool UUID REFERENCES storage_pool (id) ON DELETE CASCADE,
    object UUID NOT NULL,
    peer UUID NOT NULL,
    name TEXT NOT NULL,
    generation BIGINT NOT NULL,
    removed_at BIGINT,
    first_seen BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    observations BIGINT NOT NULL CHECK (observations > 0),
    reported BIGINT NOT NULL CHECK (reported IN (0, 1)),
    CHECK ((compute_host IS NULL) <> (storage_pool IS NULL))
);
CREATE INDEX orphan_compute_host ON orphan (compute_host);
CREATE INDEX orphan_storage_pool ON orphan (storage_pool);
