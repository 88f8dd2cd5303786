//! A backup becomes the database again, under epochs that nobody has seen.

use std::{
    fs,
    io::{self, Read as _},
    path::Path,
};

use velum_model::time::Clock;

use super::{
    Watch,
    backup::{beside, remove, sync_directory, unwritten},
    check::pages,
    copy::{Copied, close, into},
    held::{ensure_empty, wait_until_free},
};
use crate::{
    commit::StoreError,
    db::{Connection, Database, Statement, Value, failed},
    migrate::{LEDGER, known_tables, migrate, tables},
};

/// How far a restored or copied database's epochs are above both the source's and the second in which it is made.
///
/// Nodes remember the highest epoch that they saw and refuse lower ones. Since the backup the shard may have had any number
/// of owners, each one epoch higher: a million of them is beyond what starts in the life of a cloud. The second counts because
/// one backup can be restored twice: the later one is above all that the first was handed out, as long as servers are not
/// started every second.
pub const EPOCH_STEP: u32 = 1 << 20;

const RAISE: Statement = Statement::common(
    "raise the epochs of shards",
    "UPDATE shard SET epoch = CASE WHEN epoch > $1 THEN epoch ELSE $1 END + $2, holder = '', lease_until = 0",
);

/// Every statement of this file.
#[cfg(test)]
pub(crate) const ALL: &[&Statement] = &[&RAISE];

/// Makes the database of `url` from a backup, of this or an earlier schema. It must be empty or not there; no server may hold
/// it. What is written first lies in `scratch`, or beside the database's file.
///
/// # Errors
/// [`StoreError::Unusable`] says why it cannot be; the database is then what it was.
pub async fn restore(
    backup: &Path,
    url: &str,
    scratch: &Path,
    clock: &dyn Clock,
    watch: Watch<'_>,
) -> Result<Option<Copied>, StoreError> {
    let target = Database::at(url)?;
    let stage = match target.file() {
        Some(file) => beside(file, "restoring"),
        None => scratch.join("velum.db.restoring"),
    };
    remove(&stage)?;
    let restored = restored(backup, &stage, &target, clock, watch).await;
    for left in [
        stage.clone(),
        with_suffix(&stage, "-wal"),
        with_suffix(&stage, "-shm"),
    ] {
        remove(&left)?;
    }
    restored
}

async fn restored(
    backup: &Path,
    stage: &Path,
    target: &Database,
    clock: &dyn Clock,
    watch: Watch<'_>,
) -> Result<Option<Copied>, StoreError> {
    let staged = Database::at(&format!("sqlite:{}", stage.display()))?;
    prepare(backup, stage, &staged, clock).await?;
    let Some(file) = target.file() else {
        let mut reader = staged.caretaker().await?;
        let mut writer = target.caretaker().await?;
        ensure_unused(&mut writer, target, clock).await?;
        let copied = into(&mut reader, &mut writer, None, watch).await?;
        close(reader).await?;
        close(writer).await?;
        return Ok(Some(copied));
    };
    if fs::metadata(file).is_ok_and(|found| found.len() > 0) {
        let mut connection = target.caretaker().await?;
        ensure_unused(&mut connection, target, clock).await?;
        close(connection).await?;
    }
    let log = with_suffix(file, "-wal");
    if log.exists() {
        return Err(StoreError::Unusable(format!(
            "{} is there: another program has the database open, and its log would be applied to the restored one",
            log.display()
        )));
    }
    let move_there = || {
        fs::File::open(stage)?.sync_all()?;
        fs::rename(stage, file)?;
        sync_directory(file)
    };
    move_there().map_err(|error| unwritten(file, &error))?;
    Ok(None)
}

/// A copy of the backup that is whole, of this version's schema, and above all epochs.
async fn prepare(
    backup: &Path,
    stage: &Path,
    staged: &Database,
    clock: &dyn Clock,
) -> Result<(), StoreError> {
    if !is_sqlite(backup).map_err(|error| unread(backup, &error))? {
        return Err(StoreError::Unusable(format!(
            "{} is no backup: it is no SQLite database; name a file that `velumd db backup` wrote",
            backup.display()
        )));
    }
    if let Err(error) = fs::copy(backup, stage) {
        return Err(StoreError::Unusable(format!(
            "could not copy {} to {}: {error}",
            backup.display(),
            stage.display()
        )));
    }
    // Damage is the backup's, not that of the copy that was read.
    let damaged = |error: StoreError| match error {
        StoreError::Unusable(why) if why.contains("damaged") => {
            StoreError::Unusable(format!("{} is damaged; restore another backup", backup.display()))
        }
        other => other,
    };
    let mut connection = staged.caretaker().await.map_err(damaged)?;
    if let Some(first) = pages(&mut connection).await.map_err(damaged)?.first() {
        return Err(StoreError::Unusable(format!(
            "{} is damaged: {first}; restore another backup",
            backup.display()
        )));
    }
    if !tables(&mut connection).await?.contains(LEDGER) {
        return Err(StoreError::Unusable(format!(
            "{} is no backup of Velum's",
            backup.display()
        )));
    }
    migrate(&mut connection).await?;
    raise_epochs(&mut connection, clock).await?;
    close(connection).await
}

/// Whether a file begins as SQLite's do (<https://www.sqlite.org/fileformat.html>, 1.3).
fn is_sqlite(file: &Path) -> io::Result<bool> {
    const MAGIC: &[u8; 16] = b"SQLite format 3\0";
    let mut head = [0; MAGIC.len()];
    match fs::File::open(file)?.read_exact(&mut head) {
        Ok(()) => Ok(&head == MAGIC),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn unread(file: &Path, error: &io::Error) -> StoreError {
    StoreError::Unusable(format!("the backup {} cannot be read: {error}", file.display()))
}

/// Refuses a database that a server holds, or that has anything in it.
pub(super) async fn ensure_unused(
    connection: &mut Connection,
    database: &Database,
    clock: &dyn Clock,
) -> Result<(), StoreError> {
    let there = tables(connection).await?;
    // The list of migrations alone is what a start or copy leaves that was broken off at once.
    if there.iter().all(|table| table == LEDGER) {
        return Ok(());
    }
    if !there.is_subset(&known_tables()) || !there.contains(LEDGER) {
        return Err(StoreError::Unusable(format!(
            "{} is another program's: name an empty database",
            database.shown()
        )));
    }
    wait_until_free(connection, database, clock).await?;
    ensure_empty(connection, database).await
}

/// Nobody's leases, and epochs above all that were handed out.
pub(super) async fn raise_epochs(connection: &mut Connection, clock: &dyn Clock) -> Result<(), StoreError> {
    let seconds = clock.now().micros() / 1_000_000;
    let values = [Value::from(seconds), Value::from(EPOCH_STEP)];
    let raised = connection.fetch(&RAISE, &values).await;
    raised.map_err(|source| failed(RAISE.does, source))?;
    Ok(())
}

fn with_suffix(file: &Path, suffix: &str) -> std::path::PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
