//! Every fault at every step of every kind. The kinds and their steps come from the engine's own registry, so that a new
//! one cannot be forgotten; what a kind needs to be asked for stands in `begin.rs`.

mod begin;
mod cells;
mod play;
mod script;

pub use cells::{Cell, Harm, Point, Seen, Trouble, cells, is_fair};
pub use play::{Outcome, play};
