-- Where the operator keeps the credential that requests to a pool's HTTP API carry (`file:/absolute/path`). Not the credential.
ALTER TABLE storage_pool ADD COLUMN credential TEXT;
