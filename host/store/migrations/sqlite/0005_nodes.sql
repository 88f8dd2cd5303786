-- Machines that join the cloud as nodes of its own.

-- The authority of the cloud, made by the first server: who signs the certificates of nodes and servers. All servers need its
-- key, so it lies here and not in a data directory. There is one, named nodes.
CREATE TABLE authority (
    name TEXT PRIMARY KEY NOT NULL CHECK (name = 'nodes'),
    certificate BLOB NOT NULL,
    key BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What joined: the same key is the same node, so that one that joins again keeps its id.
CREATE TABLE node (
    id BLOB PRIMARY KEY NOT NULL,
    key_hash BLOB NOT NULL UNIQUE,
    address TEXT NOT NULL,
    enrolled_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What a machine joins with, once. The secret is not here, only its hash.
CREATE TABLE node_token (
    id BLOB PRIMARY KEY NOT NULL,
    hash BLOB NOT NULL UNIQUE,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at INTEGER,
    node BLOB REFERENCES node (id) ON DELETE RESTRICT,
    CHECK ((used_at IS NULL) = (node IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX node_token_expires ON node_token (expires_at);
CREATE INDEX node_token_node ON node_token (node);
