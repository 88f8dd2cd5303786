-- Instances that are to be near each other or apart, and parts of a zone that are kept for a project.

CREATE TABLE affinity_group (
    id BLOB PRIMARY KEY NOT NULL,
    zone BLOB NOT NULL REFERENCES zone (id) ON DELETE RESTRICT,
    project BLOB NOT NULL REFERENCES project (id) ON DELETE RESTRICT,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('affinity', 'anti-affinity')),
    strength TEXT NOT NULL CHECK (strength IN ('required', 'preferred')),
    level TEXT NOT NULL CHECK (level IN ('compute-host', 'pod')),
    generation INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (name, zone, project)
) STRICT, WITHOUT ROWID;

CREATE TABLE affinity_member (
    instance BLOB NOT NULL REFERENCES instance (id) ON DELETE CASCADE,
    affinity_group BLOB NOT NULL REFERENCES affinity_group (id) ON DELETE RESTRICT,
    PRIMARY KEY (instance, affinity_group)
) STRICT, WITHOUT ROWID;
CREATE INDEX affinity_member_group ON affinity_member (affinity_group, instance);

-- Where a required group that keeps its members together has them: a compute host or pod. It outlives the last member's run,
-- and the next member takes it elsewhere.
CREATE TABLE affinity_home (
    affinity_group BLOB PRIMARY KEY NOT NULL REFERENCES affinity_group (id) ON DELETE CASCADE,
    place BLOB NOT NULL,
    UNIQUE (affinity_group, place)
) STRICT, WITHOUT ROWID;

-- One row for each required group that the instance of a run is in: the compute host or pod on which no other member's run may be,
-- or on which all are.
CREATE TABLE affinity_place (
    run BLOB NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    affinity_group BLOB NOT NULL REFERENCES affinity_group (id) ON DELETE RESTRICT,
    apart BLOB,
    together BLOB,
    PRIMARY KEY (run, affinity_group),
    UNIQUE (affinity_group, apart),
    FOREIGN KEY (affinity_group, together) REFERENCES affinity_home (affinity_group, place)
        ON DELETE RESTRICT ON UPDATE RESTRICT,
    CHECK ((apart IS NULL) <> (together IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX affinity_place_together ON affinity_place (affinity_group, together);

-- The project that it is kept for; none = as what it lies in.
ALTER TABLE pod ADD COLUMN dedicated_to BLOB REFERENCES project (id) ON DELETE RESTRICT;
ALTER TABLE cluster ADD COLUMN dedicated_to BLOB REFERENCES project (id) ON DELETE RESTRICT;
ALTER TABLE compute_host ADD COLUMN dedicated_to BLOB REFERENCES project (id) ON DELETE RESTRICT;
