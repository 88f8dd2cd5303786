//! Stories told to a whole cloud: `velumd` and the simulated far side as real processes, the public API, real plugins.

mod bad_input;
mod capacity;
mod command_line;
mod crash;
mod database;
mod elsewhere;
mod events;
mod idempotency;
mod life;
mod nodes;
mod parked;
mod plugin_author;
mod plugin_life;
mod plugins_at_start;
mod policy_swap;
mod races;
