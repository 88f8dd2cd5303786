-- Machines that join the cloud as nodes of its own.

-- The authority of the cloud, made by the first server: who signs the certificates of nodes and servers. All servers need its
-- key, so it lies here and not in a data directory. There is one, named nodes.
CREATE TABLE authority (
    name TEXT PRIMARY KEY NOT NULL CHECK (name = 'nodes'),
    certificate BYTEA NOT NULL,
    key BYTEA NOT NULL,
    created_at BIGINT NOT NULL
);

-- What joined: the same key is the same node, so that one that joins again keeps its id.
CREATE TABLE node (
    id UUID PRIMARY KEY NOT NULL,
    key_hash BYTEA NOT NULL UNIQUE,
    address TEXT NOT NULL,
    enrolled_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

-- What a machine joins with, once. The secret is not here, only its hash.
CREATE TABLE node_token (
    id UUID PRIMARY KEY NOT NULL,
    hash BYTEA NOT NULL UNIQUE,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT,
    node UUID REFERENCES node (id) ON DELETE RESTRICT,
    CHECK ((used_at IS NULL) = (node IS NULL))
);
CREATE INDEX node_token_expires ON node_token (expires_at);
CREATE INDEX node_token_node ON node_token (node);
