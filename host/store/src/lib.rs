//! The only crate that knows SQL: SQLite and PostgreSQL behind one face.
//!
//! Every write is a [`Commit`]; one writer puts what waits into one transaction and answers when it is durable. Reads
//! go through a [`Reader`] over connections of their own.

mod audit;
mod checkpoint;
pub mod commit;
pub mod cursor;
mod db;
mod encode;
pub mod filter;
mod lease;
mod migrate;
#[cfg(test)]
mod prepared;
pub mod reader;
mod sql;
mod store;
mod writer;

pub use commit::*;
pub use cursor::{EventCursor, EventCursorError};
pub use filter::*;
pub use reader::{Reader, ZoneInventory};
pub use store::{
    CommittedBatch, Discrepancy, HostRoom, Observer, PoolRoom, Store, StoreCounts, StoreOptions,
};
