//! The runtime from outside: components are written as text, componentized, installed and asked.

mod admission;
mod bench;
mod drivers;
mod far_side;
mod first_party;
mod guests;
mod policies;
