-- Countable resources of compute hosts: what there is of each, and what of it runs hold. One row a compute host and resource,
-- amount_ceiling = max(limit, used when the limit fell). One that was taken away has the limit 0 and stays as long as it is held.
CREATE TABLE compute_host_resource (
    compute_host UUID NOT NULL REFERENCES compute_host (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    amount_limit BIGINT NOT NULL CHECK (amount_limit >= 0),
    amount_ceiling BIGINT NOT NULL,
    amount_used BIGINT NOT NULL CHECK (amount_used >= 0),
    PRIMARY KEY (compute_host, name),
    CONSTRAINT compute_host_resource_amount CHECK (amount_used <= amount_ceiling)
);

-- What an offering asks for, and what a run holds beside its vCPUs and memory, as JSON; none for the many that have none. It is in
-- the run's own row, so that what goes with a run is known when it goes, without another look.
ALTER TABLE compute_offering ADD COLUMN resources TEXT;
ALTER TABLE run ADD COLUMN resources TEXT;
