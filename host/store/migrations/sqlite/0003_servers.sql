-- Several servers on one database. Who holds a shard is judged by its counter of renewals, which others watch on their own
-- clocks; shard.lease_until, an instant of one server's clock, only tells whether a database is worked on (velumd db).
ALTER TABLE shard ADD COLUMN renewals INTEGER NOT NULL DEFAULT 0;

-- The servers that are or were there, and where each is reached.
CREATE TABLE server (
    id TEXT PRIMARY KEY NOT NULL,
    address TEXT NOT NULL,
    renewals INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The components themselves, so that every server has them. Written before the plugin's row.
CREATE TABLE plugin_blob (
    digest TEXT PRIMARY KEY NOT NULL,
    component BLOB NOT NULL,
    manifest TEXT
) STRICT;
