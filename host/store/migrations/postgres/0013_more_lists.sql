-- Operations by what they are about, and those that have not ended, both in the order of ids: else all that ever were are gone through.
-- Ids are given by time, so that the order in which they were made needs no index of its own.
CREATE INDEX operation_subject_kind ON operation (subject_kind, id);
DROP INDEX operation_unfinished;
CREATE INDEX operation_unfinished ON operation (id) WHERE state IN ('running', 'undoing', 'parked');

-- The volumes of a pool: whoever empties one looks for them, and a pool that is deleted is kept by them.
CREATE INDEX volume_pool ON volume (pool, id);
