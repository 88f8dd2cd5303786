//! Image stores in directories: resumable uploads, and their end: checksum, inspection, one conversion to a private
//! file.
//!
//! ```text
//! DIRECTORY/upload/ID.part       what has arrived
//! DIRECTORY/image/ID.qcow2       the private file
//! DIRECTORY/image/ID.json        what was found: with it the image is finished
//! ```

use std::{
    fs::OpenOptions,
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use velum_connector::message::image::ImageVerb;
use velum_model::{
    fault::{Fault, code},
    port::{image::InspectedImage, storage::registry},
};

use super::inspect::{self, ImageKind, Qcow2};
use crate::{
    disk::{Ends, blocking, io_fault, open_regular, remove_durably, sync_directory, write_durably},
    jobs::Jobs,
    roots::Roots,
    tool::Tools,
};

/// How long a conversion may take: 16 TiB of holes, or some 200 GiB of data at 100 MB/s.
const CONVERSION: Duration = Duration::from_secs(40 * 60);

/// The image stores of this machine.
#[derive(Clone)]
pub struct Images {
    roots: Roots,
    tools: Tools,
    jobs: Jobs,
}

/// Where the parts of one image lie.
struct Places {
    part: PathBuf,
    disk: PathBuf,
    found: PathBuf,
}

impl Places {
    fn of(directory: &Path, image: Uuid) -> Self {
        Self {
            part: directory.join("upload").join(format!("{image}.part")),
            disk: directory.join("image").join(format!("{image}.qcow2")),
            found: directory.join("image").join(format!("{image}.json")),
        }
    }
}

impl Images {
    /// Stores below `roots`.
    #[must_use]
    pub fn new(roots: Roots, tools: Tools) -> Self {
        Self {
            roots,
            tools,
            jobs: Jobs::default(),
        }
    }

    /// Does what is asked of the store in `directory`; `body` are the bytes of a chunk.
    ///
    /// # Errors
    /// See `velum_model::port::image::ImageStore`.
    pub async fn serve(&self, directory: &str, verb: ImageVerb, body: Vec<u8>) -> Result<Value, Fault> {
        let directory = PathBuf::from(directory);
        let roots = self.roots.clone();
        let checked = directory.clone();
        blocking(move || prepare(&roots, &checked)).await?;
        match verb {
            ImageVerb::Probe => blocking(move || free_bytes(&directory)).await,
            ImageVerb::Received { image } => blocking(move || received(&directory, image)).await,
            ImageVerb::Write { image, offset } => {
                blocking(move || write(&directory, image, offset, &body)).await
            }
            ImageVerb::Finish {
                image,
                format,
                sha256,
            } => {
                let tools = self.tools.clone();
                let work = async move { finish(&tools, &directory, image, format, sha256).await };
                self.jobs.join(&image.to_string(), work).answer().await
            }
            ImageVerb::Remove { image } => {
                self.jobs.cancel(&image.to_string());
                blocking(move || remove(&directory, image)).await
            }
        }
    }
}

fn prepare(roots: &Roots, directory: &Path) -> Result<(), Fault> {
    roots.writable_directory(directory)?;
    for part in ["upload", "image"] {
        let path = directory.join(part);
        // Users' bytes are nobody's to read but the node's.
        match std::fs::DirBuilder::new().mode(0o700).create(&path) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                return Err(io_fault("making", &path, &e));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Free bytes of the file system under a directory.
fn free_bytes(directory: &Path) -> Result<Value, Fault> {
    let stat = rustix::fs::statvfs(directory)
        .map_err(|e| io_fault("asking for the room of", directory, &e.into()))?;
    Ok(json!(stat.f_bavail.saturating_mul(stat.f_frsize)))
}

fn received(directory: &Path, image: Uuid) -> Result<Value, Fault> {
    let part = Places::of(directory, image).part;
    match std::fs::symlink_metadata(&part) {
        Ok(meta) => Ok(json!(meta.len())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(json!(0)),
        Err(e) => Err(io_fault("looking at", &part, &e)),
    }
}

fn write(directory: &Path, image: Uuid, offset: u64, chunk: &[u8]) -> Result<Value, Fault> {
    let places = Places::of(directory, image);
    if places.found.exists() {
        return Err(Fault::unchanged(
            code::INVALID,
            "the upload of this image has ended",
        ));
    }
    let failed = |e: io::Error| io_fault("writing", &places.part, &e);
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&places.part)
        .map_err(failed)?;
    let length = file.seek(io::SeekFrom::End(0)).map_err(failed)?;
    if length != offset {
        return Err(Fault::unchanged(
            code::INVALID,
            format!("{length} bytes have arrived; the next chunk begins there, not at {offset}"),
        ));
    }
    let written = file.write_all(chunk).and_then(|()| file.sync_data());
    if let Err(error) = written {
        // What was half written was not acknowledged; taking it back keeps the length honest.
        let _ = file.set_len(length);
        return Err(failed(error));
    }
    if length == 0
        && let Some(parent) = places.part.parent()
    {
        sync_directory(parent).map_err(failed)?;
    }
    Ok(json!(length + chunk.len() as u64))
}

fn remove(directory: &Path, image: Uuid) -> Result<Value, Fault> {
    let places = Places::of(directory, image);
    let converting = directory.join("image").join(format!(".{image}.new"));
    for path in [places.found, places.part, places.disk, converting] {
        remove_durably(&path).map_err(|e| io_fault("removing", &path, &e))?;
    }
    Ok(Value::Null)
}

fn bad(what: impl std::fmt::Display) -> Fault {
    Fault::unchanged(code::BAD_IMAGE, what.to_string())
}

async fn finish(
    tools: &Tools,
    directory: &Path,
    image: Uuid,
    format: u16,
    sha256: String,
) -> Result<Value, Fault> {
    let kind = match format {
        registry::FORMAT_RAW => ImageKind::Raw,
        registry::FORMAT_QCOW2 => ImageKind::Qcow2,
        other => {
            return Err(Fault::unchanged(
                code::UNSUPPORTED,
                format!("images of format {other} are not taken: raw (1) and qcow2 (2) are"),
            ));
        }
    };
    let (found, part) = {
        let places = Places::of(directory, image);
        (places.found, places.part)
    };
    let wanted = sha256.to_ascii_lowercase();
    let known = wanted.clone();
    if let Some(before) = blocking(move || finished(&found, &known)).await? {
        return Ok(before);
    }
    let inspected = async {
        let (part, wanted) = (part.clone(), wanted.clone());
        let virtual_bytes = blocking(move || judge(&part, kind, &wanted)).await?;
        convert(tools, directory, image, kind).await?;
        Ok::<u64, Fault>(virtual_bytes)
    };
    let virtual_bytes = match inspected.await {
        Err(fault) if fault.code == code::BAD_IMAGE => {
            // Nothing is kept of a bad image.
            blocking(move || remove_durably(&part).map_err(|e| io_fault("removing", &part, &e))).await?;
            return Err(fault);
        }
        other => other?,
    };
    let directory = directory.to_owned();
    blocking(move || keep(&directory, image, virtual_bytes, wanted)).await
}

/// What an earlier end of the upload answered.
fn finished(found: &Path, sha256: &str) -> Result<Option<Value>, Fault> {
    let bytes = match std::fs::read(found) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io_fault("reading", found, &e)),
    };
    let image: InspectedImage = serde_json::from_slice(&bytes)
        .map_err(|e| Fault::new(code::FAILED, format!("{} is damaged: {e}", found.display())))?;
    if image.sha256 != sha256 {
        return Err(Fault::unchanged(
            code::EXISTS_DIFFERENT,
            format!("the image is there with the checksum {}", image.sha256),
        ));
    }
    Ok(Some(json!(image)))
}

/// Checksum, then inspection: a damaged upload is said to be damaged, not to be of another format.
fn judge(part: &Path, kind: ImageKind, wanted: &str) -> Result<u64, Fault> {
    let mut file = open_regular(part, false).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => Fault::unchanged(code::NOT_FOUND, "nothing of this image was uploaded"),
        _ => io_fault("opening", part, &e),
    })?;
    let failed = |e: io::Error| io_fault("reading", part, &e);
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = file.read(&mut buffer).map_err(failed)?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
    }
    let sum = hex::encode(hasher.finalize());
    if sum != wanted {
        return Err(bad(format!(
            "its SHA-256 is {sum}, not {wanted}: upload it again"
        )));
    }
    let ends = Ends::read(&mut file).map_err(failed)?;
    inspect::inspect(kind, ends.sample()).map_err(bad)
}

/// Converts the upload into a private file beside the final one. The format is forced; the tool sees an open
/// descriptor, no path of the user's.
async fn convert(tools: &Tools, directory: &Path, image: Uuid, kind: ImageKind) -> Result<(), Fault> {
    let places = Places::of(directory, image);
    let input = open_regular(&places.part, false).map_err(|e| io_fault("opening", &places.part, &e))?;
    let new = format!(".{image}.new");
    let arguments = [
        "convert",
        "-q",
        "-f",
        kind.as_str(),
        "-O",
        "qcow2",
        "/proc/self/fd/0",
        new.as_str(),
    ];
    let into = directory.join("image");
    let _ = std::fs::remove_file(into.join(&new));
    tools
        .qemu_img(&arguments, &into, Some(input), CONVERSION)
        .await
        .map_err(|failed| {
            // What passed our reader and not QEMU's is a bad image; a full disk or a missing program is not.
            let fault = failed.fault("converting the image");
            if fault.code == code::FAILED && !fault.unchanged {
                bad(fault.detail)
            } else {
                fault
            }
        })
}

fn keep(directory: &Path, image: Uuid, virtual_bytes: u64, sha256: String) -> Result<Value, Fault> {
    let places = Places::of(directory, image);
    let new = directory.join("image").join(format!(".{image}.new"));
    let failed = |e: io::Error| io_fault("keeping", &new, &e);
    let mut file = open_regular(&new, true).map_err(failed)?;
    let ends = Ends::read(&mut file).map_err(failed)?;
    let header = Qcow2::read(ends.sample()).map_err(bad)?;
    if header.virtual_bytes != virtual_bytes || header.backing {
        return Err(bad(format!(
            "converting it gave {} bytes instead of {virtual_bytes}",
            header.virtual_bytes
        )));
    }
    file.sync_all().map_err(failed)?;
    let stored_bytes = file.metadata().map_err(failed)?.blocks() * 512;
    std::fs::rename(&new, &places.disk).map_err(failed)?;
    let found = InspectedImage {
        format: registry::FORMAT_QCOW2,
        virtual_bytes,
        stored_bytes,
        sha256,
        reference: places.disk.display().to_string(),
    };
    let text = serde_json::to_vec(&found).map_err(|e| failed(io::Error::other(e)))?;
    write_durably(&places.found, &text, 0o600).map_err(failed)?;
    remove_durably(&places.part).map_err(failed)?;
    Ok(json!(found))
}
