//! The only crate that knows SQL: SQLite and PostgreSQL behind one face.
//!
//! Every write is a [`Commit`]; one writer puts what waits into one transaction and answers when it is durable. Reads
//! go through a [`Reader`] over connections of their own.

mod audit;
pub mod care;
mod checkpoint;
pub mod commit;
mod counts;
pub mod cursor;
mod db;
mod encode;
mod epochs;
mod error;
pub mod filter;
mod history;
mod keeper;
mod lease;
mod migrate;
#[cfg(test)]
mod prepared;
pub mod reader;
mod sql;
mod store;
mod told;
mod twins;
mod writer;

pub use commit::*;
pub use counts::StoreCounts;
pub use cursor::{EventCursor, EventCursorError};
pub use db::{DatabaseAsk, DatabaseFate, DatabaseFaults, Simulated, SimulatedFile, block_on};
pub use error::{Refused, StoreError, Trouble};
pub use filter::*;
pub use history::{Histories, PartLabel};
pub use keeper::{Membership, Owner};
pub use reader::{NicRow, Reader, RunRow, VolumeRow, ZoneInventory};
pub use store::{Discrepancy, Store, StoreOptions, TOGETHER, shown};
pub use told::{CommittedBatch, HostRoom, Observer, PoolRoom};
