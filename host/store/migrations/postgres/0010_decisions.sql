-- Decisions that found a place, and those that did not: the latter are looked for.
ALTER TABLE decision ADD COLUMN placed BIGINT NOT NULL DEFAULT 1 CHECK (placed IN (0, 1));
CREATE INDEX decision_refused ON decision (id) WHERE placed = 0;

-- Parts of the histories of zones, for servers that share a database; one that has it for itself keeps them in files. Not
-- the truth about anything: what is lost of them cannot be looked at any more.
CREATE TABLE history_part (
    zone UUID NOT NULL,
    first_epoch BIGINT NOT NULL,
    last_epoch BIGINT NOT NULL,
    is_whole BIGINT NOT NULL CHECK (is_whole IN (0, 1)),
    size_bytes BIGINT NOT NULL,
    body BYTEA NOT NULL,
    PRIMARY KEY (zone, first_epoch, is_whole)
);
