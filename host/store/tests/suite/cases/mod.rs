//! The cases. Each takes the URL of an empty database.
#![expect(
    clippy::too_many_lines,
    reason = "a case tells one story from its beginning to its end"
)]

pub mod affinity;
pub mod ahead;
pub mod care;
pub mod claims;
pub mod decisions;
pub mod faults;
pub mod lost;
pub mod nodes;
pub mod orphans;
pub mod plugins;
pub mod refusals;
pub mod resources;
pub mod rows;
pub mod servers;
pub mod start;
pub mod writer;
