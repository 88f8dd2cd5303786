//! A backup: one file with everything in it as of one instant, made while a server works.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use super::{
    Watch,
    check::pages,
    copy::{close, ensure_current, into},
};
use crate::{
    commit::StoreError,
    db::{Database, Engine, Statement, Value, failed},
};

const VACUUM: Statement = Statement {
    does: "write the backup",
    sqlite: "VACUUM INTO $1",
    postgres: "SELECT CAST($1 AS TEXT)",
    bound: None,
};

/// Every statement of this file.
#[cfg(test)]
pub(crate) const ALL: &[&Statement] = &[&VACUUM];

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackedUp {
    /// Bytes of the file.
    pub bytes: u64,
}

/// Backs a database up into a file that is not there yet: a SQLite database, whatever the engine of the source is. It has
/// this name only when it is whole, checked and durable.
///
/// # Errors
/// [`StoreError::Unusable`] when the file is there, cannot be written or does not read back.
pub async fn back_up(url: &str, file: &Path, watch: Watch<'_>) -> Result<BackedUp, StoreError> {
    let source = Database::existing(url)?;
    if file.exists() {
        return Err(StoreError::Unusable(format!(
            "{} is there already, and nothing is overwritten: name another file",
            file.display()
        )));
    }
    let directory = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if let Err(error) = directory.read_dir() {
        return Err(StoreError::Unusable(format!(
            "the backup cannot be written to the directory {}: {error}",
            directory.display()
        )));
    }
    let part = beside(file, "part");
    remove(&part)?;
    let written = write(&source, &part, watch).await;
    let named = match written {
        Ok(()) => publish(&part, file).map_err(|error| unwritten(file, &error)),
        Err(error) => Err(error),
    };
    remove(&part)?;
    named
}

async fn write(source: &Database, part: &Path, watch: Watch<'_>) -> Result<(), StoreError> {
    let shown = part.display().to_string();
    let mut reader = source.caretaker().await?;
    let target = Database::at(&format!("sqlite:{shown}"))?;
    ensure_current(&mut reader, source).await?;
    if source.engine() == Engine::Sqlite {
        let written = reader.fetch(&VACUUM, &[Value::from(shown.as_str())]).await;
        written.map_err(|source| failed(VACUUM.does, source))?;
    } else {
        let mut writer = target.caretaker().await?;
        into(&mut reader, &mut writer, None, watch).await?;
        close(writer).await?;
    }
    close(reader).await?;
    let mut again = Database::existing(&format!("sqlite:{shown}"))?
        .caretaker()
        .await?;
    // One file that reads from anywhere, a medium that cannot be written too.
    let single = again.raw("PRAGMA journal_mode = DELETE").await;
    single.map_err(|source| failed("make the backup one file", source))?;
    let damage = pages(&mut again).await?;
    close(again).await?;
    match damage.first() {
        None => Ok(()),
        Some(first) => Err(StoreError::Unusable(format!(
            "the backup does not read back: {first}; let `velumd db check` look at the database"
        ))),
    }
}

/// Gives a whole file its name, unless that was taken meanwhile.
fn publish(part: &Path, file: &Path) -> io::Result<BackedUp> {
    let whole = File::open(part)?;
    whole.sync_all()?;
    fs::hard_link(part, file)?;
    sync_directory(file)?;
    Ok(BackedUp {
        bytes: whole.metadata()?.len(),
    })
}

/// Makes a name durable.
pub(super) fn sync_directory(of: &Path) -> io::Result<()> {
    match of.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

/// A file's name with one more ending.
pub(super) fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}

/// Removes what an earlier try left.
pub(super) fn remove(file: &Path) -> Result<(), StoreError> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unwritten(file, &error)),
        _ => Ok(()),
    }
}

pub(super) fn unwritten(file: &Path, error: &io::Error) -> StoreError {
    StoreError::Unusable(format!("{} cannot be written: {error}", file.display()))
}
