//! What is in a pool's directory.

use std::{io, os::unix::fs::MetadataExt as _};

use velum_connector::message::files::{Entry, MAX_ENTRIES};
use velum_model::{fault::Fault, port::storage::registry};

use super::{Directory, Made, unchanged};
use crate::{
    disk::{Ends, io_fault, open_regular},
    image::inspect::Qcow2,
};

/// The name of a backing file: what qemu writes into a header, which only we wrote.
const MAX_BACKING: usize = 1023;

/// Who made a file; none when it was not made through here.
pub(super) fn made(directory: &Directory, name: &str) -> Result<Option<Made>, Fault> {
    let path = directory.made(name);
    match std::fs::read(&path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(unchanged(io_fault("reading", &path, &e))),
    }
}

/// One image; none when it is not there.
pub(super) fn entry(directory: &Directory, name: &str) -> Result<Option<Entry>, Fault> {
    let path = directory.file(name);
    let failed = |e: io::Error| unchanged(io_fault("reading", &path, &e));
    let mut file = match open_regular(&path, false) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(failed(e)),
    };
    let meta = file.metadata().map_err(failed)?;
    let maker = made(directory, name)?;
    let mut entry = Entry {
        name: name.to_owned(),
        format: maker.as_ref().map_or(0, |made| made.format),
        virtual_bytes: meta.len(),
        allocated_bytes: meta.blocks() * 512,
        backing: None,
        owner: maker.map(|made| made.effect.to_string()).unwrap_or_default(),
    };
    // Only what was made as qcow2 is read as qcow2: a guest can write such a header into a raw disk.
    if entry.format == registry::FORMAT_QCOW2 {
        let ends = Ends::read(&mut file).map_err(failed)?;
        if let Ok(header) = Qcow2::read(ends.sample()) {
            entry.virtual_bytes = header.virtual_bytes;
            if header.backing {
                entry.backing = backing_name(ends.sample().head);
            }
        }
    }
    Ok(Some(entry))
}

/// The same, or an entry of 0 bytes when a making was cut off and only its leavings are there: whoever undoes it must
/// find them.
pub(super) fn remains(directory: &Directory, name: &str) -> Result<Option<Entry>, Fault> {
    if let Some(entry) = entry(directory, name)? {
        return Ok(Some(entry));
    }
    if !directory.beside(name).iter().any(|path| path.exists()) {
        return Ok(None);
    }
    Ok(Some(Entry {
        name: name.to_owned(),
        format: 0,
        virtual_bytes: 0,
        allocated_bytes: 0,
        backing: None,
        owner: made(directory, name)?
            .map(|made| made.effect.to_string())
            .unwrap_or_default(),
    }))
}

fn backing_name(head: &[u8]) -> Option<String> {
    let offset = u64::from_be_bytes(*head.get(8..)?.first_chunk()?);
    let length = u32::from_be_bytes(*head.get(16..)?.first_chunk()?) as usize;
    let begin = usize::try_from(offset).ok()?;
    let bytes = head.get(begin..begin.checked_add(length.min(MAX_BACKING))?)?;
    String::from_utf8(bytes.to_vec()).ok()
}

/// Names of the images in the directory, sorted.
fn names(directory: &Directory) -> Result<Vec<String>, Fault> {
    let failed = |e: io::Error| unchanged(io_fault("listing", &directory.0, &e));
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&directory.0).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().into_string().unwrap_or_default();
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_file && super::check_name(&name).is_ok() {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// A page of images by name.
pub(super) fn entries(directory: &Directory, after: Option<&str>, limit: u32) -> Result<Vec<Entry>, Fault> {
    let limit = limit.clamp(1, MAX_ENTRIES) as usize;
    let mut page = Vec::new();
    for name in names(directory)? {
        if after.is_some_and(|after| name.as_str() <= after) {
            continue;
        }
        // One that was removed in between is passed over.
        page.extend(entry(directory, &name)?);
        if page.len() == limit {
            break;
        }
    }
    Ok(page)
}

/// An image that is a clone of this one, if there is any.
pub(super) fn clone_of(directory: &Directory, name: &str) -> Result<Option<String>, Fault> {
    for other in names(directory)? {
        if other == name {
            continue;
        }
        if entry(directory, &other)?.is_some_and(|entry| entry.backing.as_deref() == Some(name)) {
            return Ok(Some(other));
        }
    }
    Ok(None)
}
