//! The runtime from outside: components are written as text, componentized, installed and asked.
#![expect(
    clippy::unwrap_used,
    reason = "what a test's set-up cannot do is a failed test"
)]

mod admission;
mod bench;
mod drivers;
mod far_side;
mod first_party;
mod guests;
mod policies;
mod processes;
