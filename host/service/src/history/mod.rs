//! What zones were: each planner tells what it changes, a task writes it down, and what was decided is looked at again over
//! the inventory of then.
//!
//! ```text
//! planner's thread ─▶ Line ─▶ Keeping (every second) ─▶ Histories (files or rows)
//!                                                          │
//!                     Inventory of an epoch ◀── Past ◀─────┘
//! ```

mod keeping;
mod line;
mod past;

pub(crate) use keeping::Keeping;
pub(crate) use line::Line;
pub(crate) use past::{NotKept, Past};
