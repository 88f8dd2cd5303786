//! Our own reader of image headers: default deny, on bytes alone.
//!
//! QEMU follows what an image names: a backing file, a data file, an extent. A disk that calls itself raw and carries
//! the header of another format means something else to whoever probes it. So before any tool opens a user's image,
//! this reader takes it apart: the declared format must be the one format that it is, with nothing in it that points
//! elsewhere and nothing that is not known.

/// The largest disk that an image may claim: 16 TiB, what one conversion can walk through in its time even when the
/// image is empty; QEMU itself would go through 1 PiB of holes.
pub const MAX_VIRTUAL: u64 = 16 << 40;

/// How much of a file's beginning is looked at: the longest header of a cluster (2 MiB) is allowed only up to here.
pub const HEAD: usize = 128 << 10;

/// How much of a file's end is looked at: footers of VHD, DMG and VMDK.
pub const TAIL: usize = 1536;

/// Unit of every size.
const SECTOR: u64 = 512;

/// What an image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageKind {
    /// The bytes of the disk.
    Raw,
    /// QEMU's format.
    Qcow2,
}

impl ImageKind {
    /// As qemu-img calls it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
        }
    }
}

/// Why an image is refused; in words for whoever uploaded it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Another format than declared.
    #[error("it is declared as {declared}, but it is {found}")]
    OtherFormat {
        /// As declared.
        declared: &'static str,
        /// What its bytes say.
        found: &'static str,
    },
    /// It ends before its header does, or what its header describes.
    #[error("it is cut off: {0} lies beyond its end")]
    CutOff(&'static str),
    /// It points to another file.
    #[error("it refers to {0}: flatten it first (qemu-img convert -O qcow2)")]
    PointsElsewhere(&'static str),
    /// It is of a kind that is not accepted.
    #[error("{0}")]
    NotAccepted(String),
    /// A value of the header makes no sense.
    #[error("its header is damaged: {0}")]
    Damaged(String),
}

/// What inspection needs of a file.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// Its first bytes, [`HEAD`] of them or all.
    pub head: &'a [u8],
    /// Its last bytes, [`TAIL`] of them or all.
    pub tail: &'a [u8],
    /// Its length.
    pub length: u64,
}

/// Judges an image of a declared kind; answers the size that a guest sees.
///
/// # Errors
/// [`Refused`] says why.
pub fn inspect(kind: ImageKind, sample: Sample<'_>) -> Result<u64, Refused> {
    let virtual_bytes = match kind {
        ImageKind::Raw => inspect_raw(sample)?,
        ImageKind::Qcow2 => {
            let header = Qcow2::read(sample)?;
            if header.backing {
                return Err(Refused::PointsElsewhere("a backing file"));
            }
            header.virtual_bytes
        }
    };
    if virtual_bytes == 0 {
        return Err(Refused::NotAccepted("it is empty".to_owned()));
    }
    if virtual_bytes > MAX_VIRTUAL {
        return Err(Refused::NotAccepted(format!(
            "a guest would see {virtual_bytes} bytes; {MAX_VIRTUAL} are allowed"
        )));
    }
    Ok(virtual_bytes)
}

/// Beginnings by which the formats that QEMU knows are recognized.
const MAGICS: &[(usize, &[u8], &str)] = &[
    (0, b"QFI\xfb", "qcow or qcow2"),
    (0, b"QED\0", "QED"),
    (0, b"KDMV", "VMDK"),
    (0, b"COWD", "VMDK"),
    (0, b"# Disk DescriptorFile", "a VMDK descriptor"),
    (0, b"vhdxfile", "VHDX"),
    (0, b"conectix", "VHD"),
    (0, b"LUKS\xba\xbe", "LUKS"),
    (0x40, b"\x7f\x10\xda\xbe", "VDI"),
    (0, b"WithoutFreeSpace", "Parallels"),
    (0, b"WithouFreSpacExt", "Parallels"),
    (0, b"Bochs Virtual HD Image", "Bochs"),
    (0, b"#!/bin/sh\n#V2.0 Format\n", "cloop"),
    (0, b"OOOM", "a user-mode-linux COW file"),
];

/// Endings likewise, as distance from the end.
const FOOTERS: &[(usize, &[u8], &str)] = &[
    (512, b"conectix", "VHD"),
    (511, b"conectix", "VHD"),
    (512, b"koly", "DMG"),
    (1536, b"KDMV", "VMDK"),
];

fn other_format(sample: Sample<'_>) -> Option<&'static str> {
    let begins = |at: usize, magic: &[u8]| sample.head.get(at..).is_some_and(|rest| rest.starts_with(magic));
    if let Some((_, _, name)) = MAGICS.iter().find(|(at, magic, _)| begins(*at, magic)) {
        return Some(name);
    }
    // A VMDK descriptor may begin with comments and white space.
    let start = &sample.head[..sample.head.len().min(4096)];
    if contains(start, b"createType=") && contains(start, b"Disk Descriptor") {
        return Some("a VMDK descriptor");
    }
    FOOTERS
        .iter()
        .find(|(back, magic, _)| {
            sample
                .tail
                .len()
                .checked_sub(*back)
                .and_then(|at| sample.tail.get(at..))
                .is_some_and(|rest| rest.starts_with(magic))
        })
        .map(|(_, _, name)| *name)
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

fn inspect_raw(sample: Sample<'_>) -> Result<u64, Refused> {
    if let Some(found) = other_format(sample) {
        return Err(Refused::OtherFormat {
            declared: "raw",
            found,
        });
    }
    Ok(sample.length.next_multiple_of(SECTOR))
}

/// What the header of a qcow2 file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Qcow2 {
    /// The size that a guest sees.
    pub virtual_bytes: u64,
    /// Whether it names a backing file.
    pub backing: bool,
}

/// Incompatible features that change nothing about where the bytes are: compression type (3), extended L2 (4).
const KNOWN_INCOMPATIBLE: u64 = 1 << 3 | 1 << 4;
const DIRTY: u64 = 1 << 0;
const CORRUPT: u64 = 1 << 1;
const DATA_FILE: u64 = 1 << 2;
const EXTENDED_L2: u64 = 1 << 4;

const EXTENSION_END: u32 = 0;
const EXTENSION_BACKING_FORMAT: u32 = 0xe279_2aca;
const EXTENSION_FEATURE_NAMES: u32 = 0x6803_f857;
const EXTENSION_BITMAPS: u32 = 0x2385_2875;
const EXTENSION_ENCRYPTION: u32 = 0x0537_be77;
const EXTENSION_DATA_FILE: u32 = 0x4441_5441;

impl Qcow2 {
    /// Reads and judges a header; a backing file alone is left to the caller (volumes of ours have one).
    ///
    /// # Errors
    /// [`Refused`].
    pub fn read(sample: Sample<'_>) -> Result<Self, Refused> {
        let bytes = Bytes(sample.head);
        if !sample.head.starts_with(b"QFI\xfb") {
            return Err(Refused::OtherFormat {
                declared: "qcow2",
                found: other_format(sample).unwrap_or("something else"),
            });
        }
        let version = bytes.u32(4)?;
        if !matches!(version, 2 | 3) {
            return Err(Refused::NotAccepted(format!(
                "it is qcow2 of version {version}; 2 and 3 are accepted"
            )));
        }
        let backing = bytes.u64(8)? != 0 || bytes.u32(16)? != 0;
        if bytes.u32(32)? != 0 {
            return Err(Refused::NotAccepted(
                "it is encrypted: decrypt it first".to_owned(),
            ));
        }
        if bytes.u32(60)? != 0 {
            return Err(Refused::NotAccepted(
                "it holds internal snapshots: remove them first (qemu-img snapshot -d)".to_owned(),
            ));
        }
        let extended_l2 = if version == 3 { bytes.version_3()? } else { false };
        let virtual_bytes = bytes.u64(24)?;
        bytes.check_tables(virtual_bytes, extended_l2, sample.length)?;
        bytes.check_extensions(version)?;
        Ok(Self {
            virtual_bytes,
            backing,
        })
    }
}

struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn u32(&self, at: usize) -> Result<u32, Refused> {
        let bytes = self.0.get(at..).and_then(|rest| rest.first_chunk());
        Ok(u32::from_be_bytes(*bytes.ok_or(Refused::CutOff("its header"))?))
    }

    fn u64(&self, at: usize) -> Result<u64, Refused> {
        let bytes = self.0.get(at..).and_then(|rest| rest.first_chunk());
        Ok(u64::from_be_bytes(*bytes.ok_or(Refused::CutOff("its header"))?))
    }

    /// What version 3 added; whether it has extended L2 entries.
    fn version_3(&self) -> Result<bool, Refused> {
        let incompatible = self.u64(72)?;
        if incompatible & DATA_FILE != 0 {
            return Err(Refused::PointsElsewhere("an external data file"));
        }
        if incompatible & CORRUPT != 0 {
            return Err(Refused::NotAccepted("it is marked corrupt".to_owned()));
        }
        if incompatible & DIRTY != 0 {
            return Err(Refused::NotAccepted(
                "it was not closed cleanly: repair it first (qemu-img check -r all)".to_owned(),
            ));
        }
        let unknown = incompatible & !KNOWN_INCOMPATIBLE;
        if unknown != 0 {
            return Err(Refused::NotAccepted(format!(
                "it needs features that are not known ({unknown:#x})"
            )));
        }
        if self.u32(96)? > 6 {
            return Err(Refused::Damaged("refcounts of more than 64 bits".to_owned()));
        }
        let header = self.u32(100)?;
        if header < 104 || !header.is_multiple_of(8) {
            return Err(Refused::Damaged(format!("a header of {header} bytes")));
        }
        if header > 104 {
            let compression = *self.0.get(104).ok_or(Refused::CutOff("its header"))?;
            if compression > 1 {
                return Err(Refused::NotAccepted(format!(
                    "its compression {compression} is not known"
                )));
            }
        }
        Ok(incompatible & EXTENDED_L2 != 0)
    }

    fn check_tables(&self, virtual_bytes: u64, extended_l2: bool, length: u64) -> Result<(), Refused> {
        let cluster_bits = self.u32(20)?;
        if !(9..=21).contains(&cluster_bits) {
            return Err(Refused::Damaged(format!("clusters of 2^{cluster_bits} bytes")));
        }
        if virtual_bytes > MAX_VIRTUAL {
            return Err(Refused::NotAccepted(format!(
                "a guest would see {virtual_bytes} bytes; {MAX_VIRTUAL} are allowed"
            )));
        }
        let cluster = 1u64 << cluster_bits;
        let entry: u64 = if extended_l2 { 16 } else { 8 };
        let covered = cluster * (cluster / entry);
        let wanted = virtual_bytes.div_ceil(covered);
        let l1_entries = u64::from(self.u32(36)?);
        // A shrunken image keeps its longer table, but never longer than QEMU's own bound of 32 MiB.
        if l1_entries < wanted || l1_entries > (32 << 20) / 8 {
            return Err(Refused::Damaged(format!(
                "an L1 table of {l1_entries} entries for {virtual_bytes} bytes"
            )));
        }
        let within = |offset: u64, bytes: u64, what: &'static str| {
            if !offset.is_multiple_of(cluster) || offset == 0 {
                return Err(Refused::Damaged(format!("{what} at {offset}")));
            }
            match offset.checked_add(bytes) {
                Some(end) if end <= length => Ok(()),
                _ => Err(Refused::CutOff(what)),
            }
        };
        if l1_entries > 0 {
            within(self.u64(40)?, l1_entries * 8, "its L1 table")?;
        }
        let refcount_clusters = u64::from(self.u32(56)?);
        if refcount_clusters == 0 || refcount_clusters * cluster > 8 << 20 {
            return Err(Refused::Damaged(format!(
                "a refcount table of {refcount_clusters} clusters"
            )));
        }
        within(self.u64(48)?, refcount_clusters * cluster, "its refcount table")
    }

    fn check_extensions(&self, version: u32) -> Result<(), Refused> {
        // Header extensions follow the header, and end before the name of the backing file or the first cluster does.
        let mut at = if version == 2 { 72 } else { self.u32(100)? as usize };
        let cluster_bits = self.u32(20)?;
        let end = (1usize << cluster_bits.min(21)).min(self.0.len());
        loop {
            if version == 2 && at == 72 && self.0.len() < 80 {
                return Ok(());
            }
            if at + 8 > end {
                return Err(Refused::Damaged("header extensions without an end".to_owned()));
            }
            let kind = self.u32(at)?;
            let length = self.u32(at + 4)? as usize;
            match kind {
                EXTENSION_END => return Ok(()),
                // Only meaningful beside a backing file, which is judged by its own field.
                EXTENSION_BACKING_FORMAT | EXTENSION_FEATURE_NAMES => {}
                EXTENSION_DATA_FILE => return Err(Refused::PointsElsewhere("an external data file")),
                EXTENSION_ENCRYPTION => {
                    return Err(Refused::NotAccepted(
                        "it is encrypted: decrypt it first".to_owned(),
                    ));
                }
                EXTENSION_BITMAPS => {
                    return Err(Refused::NotAccepted(
                        "it holds bitmaps: convert it first (qemu-img convert -O qcow2)".to_owned(),
                    ));
                }
                other => {
                    return Err(Refused::NotAccepted(format!(
                        "its header extension {other:#010x} is not known"
                    )));
                }
            }
            at = length
                .checked_next_multiple_of(8)
                .and_then(|padded| padded.checked_add(at + 8))
                .ok_or(Refused::CutOff("a header extension"))?;
        }
    }
}

#[cfg(test)]
mod tests;
