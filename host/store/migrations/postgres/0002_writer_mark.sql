-- One row a running store: the number of the last transaction that it began. It is written first in each transaction and
-- becomes durable with it, so that a store whose COMMIT was not answered reads here whether it happened.
CREATE TABLE writer_mark (
    id UUID PRIMARY KEY NOT NULL,
    seq BIGINT NOT NULL,
    marked_at BIGINT NOT NULL
);
