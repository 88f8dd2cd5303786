//! What is done to a whole database beside the server's work: looked over, backed up, restored, moved to another engine.
//!
//! Nothing here lists tables or columns: they are read from the database itself (`catalog`), so that the migrations stay
//! the one place that says what there is.

mod backup;
mod catalog;
mod check;
mod compare;
mod copy;
mod held;
mod restore;
mod rows;
mod token;

pub use backup::{BackedUp, back_up};
pub use check::{Checked, check};
pub use copy::{Copied, TableCopied, copy};
pub use restore::{EPOCH_STEP, restore};
pub use token::{has_token, replace_token};

/// Every statement of this folder.
#[cfg(test)]
pub(crate) fn statements() -> Vec<&'static crate::db::Statement> {
    [
        backup::ALL,
        catalog::ALL,
        check::ALL,
        held::ALL,
        restore::ALL,
        token::ALL,
    ]
    .into_iter()
    .flatten()
    .copied()
    .collect()
}

/// How far a long piece of work is.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'p> {
    /// What is done with the table: completes "… rows of".
    pub doing: &'static str,
    /// The table.
    pub table: &'p str,
    /// Rows done so far.
    pub rows: u64,
    /// Rows that there are.
    pub of: u64,
}

/// Told how far a long piece of work is.
pub type Watch<'w> = &'w mut (dyn FnMut(Progress<'_>) + Send);

/// Rows that are read, written or compared at a time: an instance carries at most 64 KiB of user data, so that a batch and
/// its copies stay under 16 MiB.
const BATCH: u64 = 100;
/// A component alone may be as large as that.
const ONE_BY_ONE: &[&str] = &["plugin_blob"];
