-- How long machines are expected to run, in seconds: what an offering says of its instances, and an instance of its runs.
-- None = nobody said. A minute to ten years, as the model has it.
ALTER TABLE compute_offering ADD COLUMN expected_lifetime_s INTEGER
    CHECK (expected_lifetime_s BETWEEN 60 AND 315360000);
ALTER TABLE instance ADD COLUMN expected_lifetime_s INTEGER
    CHECK (expected_lifetime_s BETWEEN 60 AND 315360000);

-- When a run is expected to end, as it was placed: what a reloaded zone knows is what the planner knew.
ALTER TABLE run ADD COLUMN expected_end_at INTEGER;
