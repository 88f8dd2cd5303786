//! The cases. Each takes the URL of an empty database.

pub mod claims;
pub mod faults;
pub mod refusals;
pub mod rows;
pub mod writer;
