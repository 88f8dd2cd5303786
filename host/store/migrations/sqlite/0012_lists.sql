-- What lists look for and read whole tables for.
--
-- Events about one resource, of one operation and of one kind: else the log is gone through for them. The key follows in each entry, so
-- that they are found in the log's order. Ids are given by time: what is new goes to the end of the first two.
CREATE INDEX event_resource ON event (resource);
CREATE INDEX event_operation ON event (operation) WHERE operation IS NOT NULL;
CREATE INDEX event_kind ON event (kind);

-- How many use a plugin, of 25,000 compute hosts.
CREATE INDEX compute_host_driver ON compute_host (driver);
CREATE INDEX storage_pool_provider ON storage_pool (provider);

-- Pages of the compute hosts and the pools of a place, in the order of ids: else all of the place are read and sorted for each page.
CREATE INDEX compute_host_zone ON compute_host (zone, id);
CREATE INDEX compute_host_pod ON compute_host (pod, id);
CREATE INDEX compute_host_cluster ON compute_host (cluster, id);
CREATE INDEX compute_host_name ON compute_host (name);
CREATE INDEX storage_pool_zone ON storage_pool (zone, id);
