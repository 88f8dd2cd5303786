//! Small durable acts on files.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;
use velum_model::fault::{Fault, code};

use crate::image::inspect::{HEAD, Sample, TAIL};

/// The fault for a failure of the disk.
#[must_use]
pub fn io_fault(doing: &str, path: &Path, error: &io::Error) -> Fault {
    let code = match error.kind() {
        io::ErrorKind::NotFound => code::NOT_FOUND,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => code::EXHAUSTED,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => code::INVALID,
        _ => code::FAILED,
    };
    Fault::new(code, format!("{doing} {}: {error}", path.display()))
}

/// Opens a regular file, following no symbolic link at its end.
///
/// # Errors
/// As the system says; `InvalidInput` when it is no regular file.
pub fn open_regular(path: &Path, write: bool) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        .write(write)
        .custom_flags(flags.bits() as i32)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no regular file"));
    }
    Ok(file)
}

/// Where [`write_durably`] writes before it renames.
#[must_use]
pub fn unfinished(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".new-");
    name.push(path.file_name().unwrap_or_default());
    path.with_file_name(name)
}

/// Writes a file so that after a power cut it is there whole or not at all.
///
/// # Errors
/// As the system says.
pub fn write_durably(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let parent = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let temporary = unfinished(path);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    sync_directory(parent)
}

/// Makes renames and removals in a directory durable.
///
/// # Errors
/// As the system says.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Removes a file, durably; whether it was there.
///
/// # Errors
/// As the system says.
pub fn remove_durably(path: &Path) -> io::Result<bool> {
    match std::fs::remove_file(path) {
        Ok(()) => {
            if let Some(parent) = path.parent() {
                sync_directory(parent)?;
            }
            Ok(true)
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// Beginning and end of a file, for inspection.
pub struct Ends {
    head: Vec<u8>,
    tail: Vec<u8>,
    length: u64,
}

impl Ends {
    /// Reads them.
    ///
    /// # Errors
    /// As the system says.
    pub fn read(file: &mut File) -> io::Result<Self> {
        let length = file.seek(SeekFrom::End(0))?;
        let mut head = Vec::new();
        file.seek(SeekFrom::Start(0))?;
        io::Read::by_ref(file).take(HEAD as u64).read_to_end(&mut head)?;
        let mut tail = Vec::new();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL as u64)))?;
        io::Read::by_ref(file).take(TAIL as u64).read_to_end(&mut tail)?;
        Ok(Self { head, tail, length })
    }

    /// As the inspector takes them.
    #[must_use]
    pub fn sample(&self) -> Sample<'_> {
        Sample {
            head: &self.head,
            tail: &self.tail,
            length: self.length,
        }
    }
}

/// Does blocking work where it may block.
///
/// # Errors
/// What the work answers.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| Fault::new(code::FAILED, format!("work on files broke off: {e}")))?
}
