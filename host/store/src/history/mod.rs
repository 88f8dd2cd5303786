//! The histories of zones: parts that are only ever added, kept until together they take more than a bound. In files beside
//! a database that one server has for itself; in rows where several share one, for any of them may be asked.
//!
//! What a part says is not known here. It is no truth about anything: what is lost of it (a crash takes what was not
//! written yet) cannot be looked at any more, and nothing else depends on it.

mod files;
mod rows;

use std::{path::PathBuf, sync::Arc};

use velum_model::id::ZoneId;

use crate::{commit::StoreError, store::Store};
use files::Files;
#[cfg(test)]
pub(crate) use rows::ALL;
use rows::Rows;

/// What a part is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartLabel {
    /// The first epoch that it leads to.
    pub first: u64,
    /// The last.
    pub last: u64,
    /// It says everything; else what changed since the one before.
    pub is_whole: bool,
}

/// Where histories are kept. Clones keep the same ones.
#[derive(Clone)]
pub struct Histories {
    place: Place,
}

#[derive(Clone)]
enum Place {
    Nowhere,
    Files(Arc<Files>),
    Rows(Arc<Rows>),
}

impl Histories {
    /// They are not kept.
    #[must_use]
    pub const fn nowhere() -> Self {
        Self {
            place: Place::Nowhere,
        }
    }

    /// In files under a directory, which is made when it is needed; at most about so many bytes, of all zones together.
    #[must_use]
    pub fn in_files(directory: PathBuf, bytes_at_most: u64) -> Self {
        Self {
            place: Place::Files(Arc::new(Files::new(directory, bytes_at_most))),
        }
    }

    /// In rows of a database that several servers may share; at most about so many bytes, of all zones together.
    #[must_use]
    pub fn in_rows(store: &Store, bytes_at_most: u64) -> Self {
        let database = store.read().database;
        Self {
            place: Place::Rows(Arc::new(Rows::new(database, bytes_at_most))),
        }
    }

    /// Whether anything is kept.
    #[must_use]
    pub const fn are_kept(&self) -> bool {
        !matches!(self.place, Place::Nowhere)
    }

    /// Adds a part. With a whole, the oldest of what is more than the bound goes, or with the next one; the last whole and what came
    /// after it stay.
    ///
    /// # Errors
    /// It cannot be written.
    pub async fn add(&self, zone: ZoneId, label: PartLabel, body: Vec<u8>) -> Result<(), StoreError> {
        match &self.place {
            Place::Nowhere => Ok(()),
            Place::Files(files) => files.add(zone, label, body).await,
            Place::Rows(rows) => rows.add(zone, label, body).await,
        }
    }

    /// The labels of the parts that lead from the last whole before or at `epoch` to `until`, in their order; none when there
    /// is no such whole.
    ///
    /// # Errors
    /// They cannot be read.
    pub async fn labels(&self, zone: ZoneId, epoch: u64, until: u64) -> Result<Vec<PartLabel>, StoreError> {
        match &self.place {
            Place::Nowhere => Ok(Vec::new()),
            Place::Files(files) => files.labels(zone, epoch, until).await,
            Place::Rows(rows) => rows.labels(zone, epoch, until).await,
        }
    }

    /// What a part says; none when it went meanwhile.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn read(&self, zone: ZoneId, label: PartLabel) -> Result<Option<Vec<u8>>, StoreError> {
        match &self.place {
            Place::Nowhere => Ok(None),
            Place::Files(files) => files.read(zone, label).await,
            Place::Rows(rows) => rows.read(zone, label).await,
        }
    }

    /// Removes what is kept of a zone.
    ///
    /// # Errors
    /// It cannot be removed.
    pub async fn remove(&self, zone: ZoneId) -> Result<(), StoreError> {
        match &self.place {
            Place::Nowhere => Ok(()),
            Place::Files(files) => files.remove(zone).await,
            Place::Rows(rows) => rows.remove(zone).await,
        }
    }

    /// The first epoch that is kept, and the last.
    ///
    /// # Errors
    /// They cannot be read.
    pub async fn reach(&self, zone: ZoneId) -> Result<Option<(u64, u64)>, StoreError> {
        match &self.place {
            Place::Nowhere => Ok(None),
            Place::Files(files) => files.reach(zone).await,
            Place::Rows(rows) => rows.reach(zone).await,
        }
    }
}
