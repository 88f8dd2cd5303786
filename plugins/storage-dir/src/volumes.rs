//! What the contract's verbs do with image files. A volume is the file `<our id>.qcow2`: what recovery looks for is its
//! name. Every node that mounts the directory reaches every file, so publishing only looks whether the file is there.

use velum_guest::{
    codes::fault,
    common::{Attachment, Attr, Attrs as _, Effect, Fault, Outcome},
    connect::files::{Entry, Space as FileSpace},
    provider::{Descriptor, Source, Space, Volume, VolumeInfo, VolumePage, VolumeSpec, code},
};

/// What volumes are called after our id.
const SUFFIX: &str = ".qcow2";
/// qcow2 counts in sectors.
const SECTOR: u64 = 512;
/// The largest file of ext4 with 4 KiB blocks; qcow2 itself goes further.
const BYTES_MAX: u64 = 16 << 40;
/// Entries asked for at a time: an answer of some 100 KiB.
const PAGE: u32 = 500;
/// Between the file's name and the node's token, in a token of ours; names have none.
const TOKEN_MARK: char = ':';

/// An image to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its format.
    pub format: u16,
    /// Its size.
    pub bytes: u64,
    /// What it is a clone of.
    pub backing: Option<&'a str>,
}

/// The directory of the pool.
pub trait Directory {
    /// Its space.
    fn space(&self) -> Result<FileSpace, Fault>;
    /// Makes an image.
    fn create(&self, effect: &Effect, image: &Image<'_>) -> Result<Outcome, Fault>;
    /// Makes it larger.
    fn resize(&self, effect: &Effect, name: &str, bytes: u64) -> Result<(), Fault>;
    /// Removes it.
    fn remove(&self, effect: &Effect, name: &str) -> Result<(), Fault>;
    /// What it is.
    fn inspect(&self, name: &str) -> Result<Option<Entry>, Fault>;
    /// Where it is.
    fn locate(&self, name: &str) -> Result<String, Fault>;
    /// A page of all.
    fn entries(&self, after: Option<&str>, limit: u32) -> Result<Vec<Entry>, Fault>;
    /// How making goes on.
    fn poll(&self, token: &str) -> Result<Outcome, Fault>;
    /// Ends it.
    fn cancel(&self, token: &str) -> Result<(), Fault>;
}

/// What the provider can do.
pub fn describe() -> Descriptor {
    Descriptor {
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        attachment_kinds: vec![code::ATTACH_FILE],
        formats: vec![code::FORMAT_QCOW2],
        granularity_bytes: SECTOR,
        min_bytes: SECTOR,
        max_bytes: BYTES_MAX,
        max_volumes: 0,
        features: vec![code::FEATURE_THIN],
        attrs: Vec::new(),
    }
}

/// The pool's space.
pub fn probe(directory: &impl Directory) -> Result<Space, Fault> {
    let space = directory.space()?;
    Ok(Space {
        capacity_bytes: space.capacity_bytes,
        free_bytes: space.free_bytes,
        attrs: Vec::new(),
    })
}

/// A UUID in its usual text form.
fn is_id(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

fn file_name(id: &str) -> Result<String, Fault> {
    if is_id(id) {
        Ok(format!("{id}{SUFFIX}"))
    } else {
        Err(Fault::invalid(format!("{id:?} is no id of a volume")))
    }
}

/// Our id of a file that is a volume.
fn id_of(name: &str) -> Option<&str> {
    name.strip_suffix(SUFFIX).filter(|id| is_id(id))
}

/// The file of a volume, which is called as `create` answered.
fn named(volume: &Volume) -> Result<&str, Fault> {
    match id_of(&volume.backend_id) {
        Some(id) if id == volume.id => Ok(&volume.backend_id),
        _ => Err(Fault::invalid(format!(
            "{:?} is not what volume {} is called here",
            volume.backend_id, volume.id
        ))),
    }
}

/// What the source makes the new file a clone of.
fn backing(source: &Source) -> Result<Option<&str>, Fault> {
    match (source.kind, &source.of) {
        // An image comes by the node's mover into a blank file.
        (code::SOURCE_BLANK | code::SOURCE_IMAGE, _) => Ok(None),
        (code::SOURCE_LAYER, Some(layer)) => named(layer).map(Some),
        (code::SOURCE_LAYER, None) => Err(Fault::invalid("a clone of which layer?")),
        (other, _) => Err(Fault::unsupported(format!(
            "a volume out of source {other}; blank (0), layer (3), image (4)"
        ))),
    }
}

/// An image; what a making that was cut off left (an entry of 0 bytes) is none.
fn image(directory: &impl Directory, name: &str) -> Result<Option<Entry>, Fault> {
    Ok(directory.inspect(name)?.filter(|entry| entry.virtual_bytes > 0))
}

fn made(name: &str) -> Outcome {
    Outcome::Done(vec![Attr::text(code::DONE_BACKEND_ID, name)])
}

/// The same outcome, with the file's name in what is told or remembered.
fn about(name: &str, outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Done(_) => made(name),
        Outcome::Working(mut job) => {
            job.token = format!("{name}{TOKEN_MARK}{}", job.token);
            Outcome::Working(job)
        }
    }
}

/// Makes a volume.
pub fn create(directory: &impl Directory, effect: &Effect, spec: &VolumeSpec) -> Result<Outcome, Fault> {
    spec.attrs.refuse_unknown(&[])?;
    let name = file_name(&spec.id)?;
    let backing = backing(&spec.source)?;
    if spec.format != code::FORMAT_QCOW2 {
        return Err(Fault::unsupported(format!(
            "format {}; volumes here are qcow2 (2)",
            spec.format
        )));
    }
    if spec.size_bytes == 0 || !spec.size_bytes.is_multiple_of(SECTOR) || spec.size_bytes > BYTES_MAX {
        return Err(Fault::invalid(format!(
            "{} bytes are no multiple of {SECTOR} up to {BYTES_MAX}",
            spec.size_bytes
        )));
    }
    if let Some(found) = image(directory, &name)? {
        let same = found.virtual_bytes == spec.size_bytes && found.backing.as_deref() == backing;
        let differs = || {
            Fault::unchanged(
                fault::EXISTS_DIFFERENT,
                format!("{name} is there and is something else"),
            )
        };
        return if same { Ok(made(&name)) } else { Err(differs()) };
    }
    let new = Image {
        name: &name,
        format: code::FORMAT_QCOW2,
        bytes: spec.size_bytes,
        backing,
    };
    Ok(about(&name, directory.create(effect, &new)?))
}

/// Removes a volume.
pub fn delete(directory: &impl Directory, effect: &Effect, volume: &Volume) -> Result<Outcome, Fault> {
    directory.remove(effect, named(volume)?)?;
    Ok(Outcome::done())
}

/// Makes a volume larger.
pub fn expand(
    directory: &impl Directory,
    effect: &Effect,
    volume: &Volume,
    bytes: u64,
) -> Result<Outcome, Fault> {
    let name = named(volume)?;
    let found = image(directory, name)?.ok_or_else(|| absent(name))?;
    if !bytes.is_multiple_of(SECTOR) || bytes > BYTES_MAX {
        return Err(Fault::invalid(format!(
            "{bytes} bytes are no multiple of {SECTOR} up to {BYTES_MAX}"
        )));
    }
    if bytes < found.virtual_bytes {
        return Err(Fault::unsupported(format!(
            "{name} has {} bytes and does not become smaller",
            found.virtual_bytes
        )));
    }
    if bytes > found.virtual_bytes {
        directory.resize(effect, name, bytes)?;
    }
    Ok(Outcome::done())
}

fn absent(name: &str) -> Fault {
    Fault::not_found(format!("{name} is not there"))
}

/// Makes sure that there is something to reach.
pub fn publish(directory: &impl Directory, volume: &Volume) -> Result<Outcome, Fault> {
    let name = named(volume)?;
    image(directory, name)?
        .map(|_| Outcome::done())
        .ok_or_else(|| absent(name))
}

/// How any node reaches a volume.
pub fn reached_by(directory: &impl Directory, volume: &Volume) -> Result<Option<Attachment>, Fault> {
    let name = named(volume)?;
    let Some(found) = image(directory, name)? else {
        return Ok(None);
    };
    Ok(Some(Attachment {
        kind: code::ATTACH_FILE,
        format: code::FORMAT_QCOW2,
        identity: volume.id.clone(),
        size_bytes: found.virtual_bytes,
        params: vec![Attr::text(code::PARAM_PATH, directory.locate(name)?)],
        secret: None,
    }))
}

fn info(id: &str, entry: &Entry) -> VolumeInfo {
    VolumeInfo {
        volume: Volume {
            id: id.to_owned(),
            backend_id: entry.name.clone(),
        },
        size_bytes: entry.virtual_bytes,
        allocated_bytes: Some(entry.allocated_bytes),
        parent: entry.backing.clone(),
        state: if entry.virtual_bytes > 0 {
            code::STATE_READY
        } else {
            code::STATE_CREATING
        },
        published: Vec::new(),
        attrs: Vec::new(),
    }
}

/// A volume by our id, also one whose making was cut off: whoever undoes it must find what to delete.
pub fn find(directory: &impl Directory, id: &str) -> Result<Option<VolumeInfo>, Fault> {
    Ok(directory.inspect(&file_name(id)?)?.map(|entry| info(id, &entry)))
}

/// A page of volumes; files that are none are left out.
pub fn observe(directory: &impl Directory, after: Option<&str>) -> Result<VolumePage, Fault> {
    let entries = directory.entries(after, PAGE)?;
    let more = entries.len() >= PAGE as usize;
    let next = entries.last().filter(|_| more).map(|last| last.name.clone());
    let volumes = entries
        .iter()
        .filter_map(|entry| Some(info(id_of(&entry.name)?, entry)))
        .collect();
    Ok(VolumePage {
        volumes,
        complete: true,
        next,
    })
}

fn node_token(token: &str) -> Result<(&str, &str), Fault> {
    token
        .split_once(TOKEN_MARK)
        .filter(|(name, _)| id_of(name).is_some())
        .ok_or_else(|| Fault::invalid(format!("{token:?} is no token of this provider")))
}

/// How making goes on.
pub fn poll(directory: &impl Directory, token: &str) -> Result<Outcome, Fault> {
    let (name, token) = node_token(token)?;
    Ok(about(name, directory.poll(token)?))
}

/// Ends making.
pub fn cancel(directory: &impl Directory, token: &str) -> Result<Outcome, Fault> {
    directory.cancel(node_token(token)?.1)?;
    Ok(Outcome::done())
}
