//! Why a call of the store did not do what was asked.

use uuid::Uuid;
use velum_model::id::*;

/// Why a commit did not go through. Nothing of it is there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The idempotency key was known with another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// A name is taken.
    #[error("the {table} {name} exists already")]
    NameTaken {
        /// In which table (singular, with spaces).
        table: &'static str,
        /// The name.
        name: String,
    },
    /// A row has moved on since it was read, or is gone.
    #[error("the {table} {id} has changed since it was read")]
    Stale {
        /// In which table.
        table: &'static str,
        /// Which row.
        id: Uuid,
    },
    /// A compute host or pool cannot take the claim any more, or a required affinity group has members where it may not: plan again.
    #[error("the {table} {id} has no room for the claim")]
    NoRoom {
        /// `compute host`, `storage pool`, or [`Self::GROUP`].
        table: &'static str,
        /// Which one; nil when the database did not say.
        id: Uuid,
    },
    /// An address was taken meanwhile: plan again.
    #[error("the address is taken")]
    AddressTaken,
    /// Something else holds the slot or the volume.
    #[error("the volume or the slot is taken")]
    SlotTaken,
    /// Another operation holds the resource.
    #[error("operation {operation} is at work on it")]
    Locked {
        /// Which one.
        operation: OperationId,
    },
    /// Rows point to it.
    #[error("the {table} {id} is still used by {by}")]
    InUse {
        /// In which table.
        table: &'static str,
        /// Which row.
        id: Uuid,
        /// By what, in words: `3 pods`, `a volume`.
        by: String,
    },
    /// What it points to does not exist.
    #[error("what the {table} refers to does not exist: {reference}")]
    MissingReference {
        /// In which table.
        table: &'static str,
        /// Which reference.
        reference: String,
    },
    /// Ranges or networks overlap.
    #[error("the {table} overlaps {other}")]
    Overlap {
        /// In which table.
        table: &'static str,
        /// With which row, in words.
        other: String,
    },
    /// A newer epoch owns the shard: this server must stop working on it.
    #[error("shard {shard} is owned under epoch {epoch} now")]
    Fenced {
        /// Which shard.
        shard: ShardId,
        /// Its epoch now.
        epoch: u64,
    },
}

impl Refused {
    /// The table of [`Self::NameTaken`] when two volumes are shown under one identity (WWID, serial).
    pub const IDENTITY: &'static str = "identity of volume";
    /// The table of [`Self::NoRoom`] when a required affinity group forbids the place.
    pub const GROUP: &'static str = "affinity group";
}

/// An error of a store call.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// See [`Refused`].
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Too much waits already.
    #[error("{waiting} commits wait already")]
    Busy {
        /// How many.
        waiting: usize,
    },
    /// The database could not be asked or answered.
    #[error("could not {attempt}")]
    Database {
        /// What was attempted.
        attempt: &'static str,
        /// Why not.
        #[source]
        source: sqlx::Error,
    },
    /// A row does not read as what it should be.
    #[error("table {table}: column {column} of row {row} does not read: {problem}")]
    Inconsistent {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The row.
        row: String,
        /// What is wrong.
        problem: String,
    },
    /// The database is not one that this version can work on.
    #[error("{0}")]
    Unusable(String),
}

/// What keeps the database from being used: nobody's fault here, and over some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It does not answer.
    Away,
    /// Its disk is full.
    Full,
    /// It did not tell in time whether what was wanted is there.
    Unknown,
}

impl StoreError {
    /// What keeps the database from being used, if that is what this error says.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        match self {
            Self::Database { attempt, .. } if *attempt == crate::writer::outcome::LEARN => {
                Some(Trouble::Unknown)
            }
            Self::Database { source, .. } => crate::writer::trouble(source),
            _ => None,
        }
    }
}
