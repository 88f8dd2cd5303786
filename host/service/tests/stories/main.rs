//! What the services do, one file a matter. One program: each would build the cloud that they share anew.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "what a test sets up must work, and what it sees must be what it says"
)]

mod building;
mod cloud;
mod evolving;
mod grouping;
mod joining;
mod living;
mod placing;
mod recalling;
mod trusting;
