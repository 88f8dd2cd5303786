//! Making, copying, growing image files.

use std::{
    fs::{File, OpenOptions, Permissions},
    io,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use uuid::Uuid;
use velum_connector::message::files::Entry;
use velum_model::fault::{Fault, code};

use super::{COPYING, Directory, MAKING, Made, Wanted, check_name, kind_of, look, unchanged};
use crate::{
    disk::{Ends, blocking, io_fault, open_regular, sync_directory, write_durably},
    image::inspect::{ImageKind, MAX_VIRTUAL, Qcow2},
    tool::Tools,
};

/// Makes a blank image or a clone; done when this effect made it before.
pub(super) async fn create(tools: &Tools, directory: &Directory, wanted: Wanted) -> Result<(), Fault> {
    check_name(&wanted.name)?;
    let kind = kind_of(wanted.format)?;
    if wanted.bytes == 0 || wanted.bytes > MAX_VIRTUAL || !wanted.bytes.is_multiple_of(512) {
        return Err(Fault::unchanged(
            code::INVALID,
            format!(
                "{} bytes: a size is a multiple of 512, at most {MAX_VIRTUAL}",
                wanted.bytes
            ),
        ));
    }
    let (before, wanted) = {
        let directory = directory.clone();
        blocking(move || existing(&directory, &wanted).map(|before| (before, wanted))).await?
    };
    if before {
        return Ok(());
    }
    let backing = match &wanted.backing {
        None => None,
        Some(name) => Some(backing_of(directory, name, kind, wanted.bytes).await?),
    };
    let new = directory.new_file(&wanted.name);
    match kind {
        ImageKind::Raw => {
            let (new, bytes) = (new.clone(), wanted.bytes);
            blocking(move || blank(&new, bytes)).await?;
        }
        ImageKind::Qcow2 => {
            let bytes = wanted.bytes.to_string();
            let mut arguments = vec!["create", "-q", "-f", "qcow2"];
            if let Some((name, format)) = &backing {
                // -u: the name is relative to where the image will be, not to where it is made.
                arguments.extend(["-u", "-b", name, "-F", format]);
            }
            let path = new.display().to_string();
            arguments.extend([path.as_str(), bytes.as_str()]);
            remove_stale(&new)?;
            tools
                .qemu_img(&arguments, &directory.tmp(), None, MAKING)
                .await
                .map_err(|failed| failed.fault("making the image"))?;
        }
    }
    let directory = directory.clone();
    blocking(move || settle(&directory, &new, &wanted)).await
}

/// Whether the wanted file is there, made by this effect.
fn existing(directory: &Directory, wanted: &Wanted) -> Result<bool, Fault> {
    let Some(entry) = look::entry(directory, &wanted.name)? else {
        return Ok(false);
    };
    let same = entry.owner == wanted.effect.to_string()
        && entry.format == wanted.format
        && entry.virtual_bytes >= wanted.bytes
        && entry.backing == wanted.backing;
    if same { Ok(true) } else { Err(different(&entry)) }
}

fn different(entry: &Entry) -> Fault {
    Fault::unchanged(
        code::EXISTS_DIFFERENT,
        format!(
            "{} is there: format {}, {} bytes, clone of {:?}, made by {:?}",
            entry.name, entry.format, entry.virtual_bytes, entry.backing, entry.owner
        ),
    )
}

/// Name and format of the file that a clone depends on.
async fn backing_of(
    directory: &Directory,
    name: &str,
    kind: ImageKind,
    bytes: u64,
) -> Result<(String, &'static str), Fault> {
    check_name(name)?;
    if kind != ImageKind::Qcow2 {
        return Err(Fault::unchanged(
            code::UNSUPPORTED,
            "only a qcow2 image can be a clone",
        ));
    }
    let (directory, wanted) = (directory.clone(), name.to_owned());
    let entry = blocking(move || look::entry(&directory, &wanted))
        .await?
        .ok_or_else(|| Fault::unchanged(code::NOT_FOUND, format!("there is no {name} to clone")))?;
    if entry.virtual_bytes > bytes {
        return Err(Fault::unchanged(
            code::INVALID,
            format!(
                "{name} has {} bytes; a clone of it cannot have {bytes}",
                entry.virtual_bytes
            ),
        ));
    }
    Ok((name.to_owned(), kind_of(entry.format)?.as_str()))
}

fn remove_stale(path: &Path) -> Result<(), Fault> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(unchanged(io_fault("removing", path, &e))),
        _ => Ok(()),
    }
}

fn blank(path: &Path, bytes: u64) -> Result<(), Fault> {
    remove_stale(path)?;
    let failed = |e: io::Error| io_fault("making", path, &e);
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    file.set_len(bytes).map_err(failed)
}

/// Brings a finished temporary file to its name: marker, sync, rename, sync.
fn settle(directory: &Directory, new: &Path, wanted: &Wanted) -> Result<(), Fault> {
    let failed = |e: io::Error| io_fault("keeping", new, &e);
    let made = Made {
        effect: wanted.effect,
        format: wanted.format,
    };
    let text = serde_json::to_vec(&made).map_err(|e| failed(io::Error::other(e)))?;
    // The hypervisor takes what it needs of a disk's ownership when a guest starts; nobody else reads it.
    std::fs::set_permissions(new, Permissions::from_mode(0o600)).map_err(failed)?;
    File::open(new).and_then(|file| file.sync_all()).map_err(failed)?;
    write_durably(&directory.made(&wanted.name), &text, 0o644).map_err(failed)?;
    std::fs::rename(new, directory.file(&wanted.name)).map_err(failed)?;
    sync_directory(&directory.0).map_err(failed)
}

/// Makes an independent image with the content of another.
pub(super) async fn copy(
    tools: &Tools,
    directory: &Directory,
    effect: Uuid,
    source: &str,
    (name, format): (&str, u16),
) -> Result<(), Fault> {
    check_name(source)?;
    check_name(name)?;
    let kind = kind_of(format)?;
    let (place, from) = (directory.clone(), source.to_owned());
    let entry = blocking(move || look::entry(&place, &from))
        .await?
        .ok_or_else(|| Fault::unchanged(code::NOT_FOUND, format!("there is no {source} to copy")))?;
    let wanted = Wanted {
        effect,
        name: name.to_owned(),
        format,
        bytes: entry.virtual_bytes,
        backing: None,
    };
    let (before, wanted) = {
        let directory = directory.clone();
        blocking(move || existing(&directory, &wanted).map(|before| (before, wanted))).await?
    };
    if before {
        return Ok(());
    }
    let new = directory.new_file(name);
    remove_stale(&new)?;
    let target = new.display().to_string();
    // A clone's source is followed along names that we wrote, so it is opened by its own name and not as a descriptor.
    let from = directory.file(source).display().to_string();
    let arguments = [
        "convert",
        "-q",
        "-f",
        kind_of(entry.format)?.as_str(),
        "-O",
        kind.as_str(),
        from.as_str(),
        target.as_str(),
    ];
    tools
        .qemu_img(&arguments, &directory.0, None, COPYING)
        .await
        .map_err(|failed| failed.fault("copying the image"))?;
    let directory = directory.clone();
    blocking(move || settle(&directory, &new, &wanted)).await
}

/// Makes an image larger; done when it has that size.
pub(super) async fn resize(
    tools: &Tools,
    directory: &Directory,
    name: &str,
    bytes: u64,
) -> Result<(), Fault> {
    check_name(name)?;
    let (place, wanted) = (directory.clone(), name.to_owned());
    let entry = blocking(move || look::entry(&place, &wanted))
        .await?
        .ok_or_else(|| Fault::unchanged(code::NOT_FOUND, format!("there is no {name}")))?;
    if entry.virtual_bytes == bytes {
        return Ok(());
    }
    if bytes < entry.virtual_bytes {
        return Err(Fault::unchanged(
            code::UNSUPPORTED,
            format!(
                "{name} has {} bytes and cannot become smaller",
                entry.virtual_bytes
            ),
        ));
    }
    if bytes > MAX_VIRTUAL || !bytes.is_multiple_of(512) {
        return Err(Fault::unchanged(
            code::INVALID,
            format!("{bytes} bytes: a size is a multiple of 512, at most {MAX_VIRTUAL}"),
        ));
    }
    grow(tools, directory.file(name), kind_of(entry.format)?, bytes).await
}

async fn grow(tools: &Tools, path: PathBuf, kind: ImageKind, bytes: u64) -> Result<(), Fault> {
    let (target, size) = (path.display().to_string(), bytes.to_string());
    let arguments = [
        "resize",
        "-q",
        "-f",
        kind.as_str(),
        target.as_str(),
        size.as_str(),
    ];
    tools
        .qemu_img(&arguments, Path::new("/"), None, MAKING)
        .await
        .map_err(|failed| {
            let fault = failed.fault("growing the image");
            if fault.detail.contains("lock") {
                Fault::unchanged(code::BUSY, "a running guest has the image open")
            } else {
                fault
            }
        })?;
    let synced = move || {
        File::open(&path)
            .and_then(|file| file.sync_all())
            .map_err(|e| io_fault("syncing", &path, &e))
    };
    blocking(synced).await
}

/// Opens an image of a store (qcow2, inspected and converted by us before) for a volume of this size.
///
/// # Errors
/// `NOT_FOUND`, `BAD_IMAGE`, `INVALID` (the volume is smaller than the image).
pub fn template(image: &Path, bytes: u64) -> Result<File, Fault> {
    let failed = |e: io::Error| unchanged(io_fault("opening the image", image, &e));
    let mut input = open_regular(image, false).map_err(failed)?;
    let ends = Ends::read(&mut input).map_err(failed)?;
    let header = Qcow2::read(ends.sample())
        .map_err(|e| Fault::unchanged(code::BAD_IMAGE, format!("{}: {e}", image.display())))?;
    if header.backing || header.virtual_bytes > bytes {
        return Err(Fault::unchanged(
            code::INVALID,
            format!(
                "the image needs {} bytes; the volume has {bytes}",
                header.virtual_bytes
            ),
        ));
    }
    Ok(input)
}

/// Puts the content of an image of a store in the place of a blank volume: `image` (qcow2, inspected and converted by
/// us before) becomes `volume` of this format and size, whole or not at all.
///
/// # Errors
/// `NOT_FOUND`, `INVALID` (the volume is smaller than the image), `EXHAUSTED`, `FAILED`.
pub async fn fill(
    tools: &Tools,
    image: PathBuf,
    volume: PathBuf,
    (format, bytes): (u16, u64),
) -> Result<(), Fault> {
    let kind = kind_of(format)?;
    let checked = volume.clone();
    let input = blocking(move || {
        open_regular(&checked, true).map_err(|e| unchanged(io_fault("opening the volume", &checked, &e)))?;
        template(&image, bytes)
    })
    .await?;
    let (place, name) = volume
        .parent()
        .zip(volume.file_name().and_then(|name| name.to_str()))
        .ok_or_else(|| Fault::unchanged(code::INVALID, "the volume is no file in a directory"))?;
    let place = Directory(place.to_owned());
    place.prepare()?;
    let new = place.new_filling(name);
    let directory = place.0;
    remove_stale(&new)?;
    let target = new.display().to_string();
    let arguments = [
        "convert",
        "-q",
        "-f",
        "qcow2",
        "-O",
        kind.as_str(),
        "/proc/self/fd/0",
        target.as_str(),
    ];
    tools
        .qemu_img(&arguments, &directory, Some(input), COPYING)
        .await
        .map_err(|failed| failed.fault("filling the volume"))?;
    grow(tools, new.clone(), kind, bytes).await?;
    blocking(move || {
        let failed = |e: io::Error| io_fault("keeping", &new, &e);
        std::fs::set_permissions(&new, Permissions::from_mode(0o600)).map_err(failed)?;
        std::fs::rename(&new, &volume).map_err(failed)?;
        sync_directory(&directory).map_err(failed)
    })
    .await
}
