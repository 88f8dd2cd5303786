-- One row a running store: the number of the last transaction that it began. It is written first in each transaction and
-- becomes durable with it, so that a store whose COMMIT was not answered reads here whether it happened.
CREATE TABLE writer_mark (
    id BLOB PRIMARY KEY NOT NULL,
    seq INTEGER NOT NULL,
    marked_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
