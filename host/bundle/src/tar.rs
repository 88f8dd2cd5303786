//! The tar of an image layout (POSIX ustar), written plainly and read strictly: three kinds of names, regular files, nothing
//! else. What a general reader would follow, skip or overwrite (links, long names, sparse files, duplicates, climbing
//! paths) is refused by what it is.

use velum_model::plugin::Digest;

use crate::{
    error::{BundleError, printable, size_of},
    limits::{self, Limits},
};

/// Tar's unit.
const BLOCK: usize = 512;
/// Two of them, empty, end an archive.
const END: usize = 2 * BLOCK;
const BLOBS: &str = "blobs/sha256/";

/// A file of a layout by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Member {
    /// `oci-layout`.
    Marker,
    /// `index.json`.
    Index,
    /// `blobs/sha256/HEX`.
    Blob(Digest),
}

impl Member {
    fn name(&self) -> String {
        match self {
            Self::Marker => "oci-layout".to_owned(),
            Self::Index => "index.json".to_owned(),
            Self::Blob(digest) => format!("{BLOBS}{}", digest.hex()),
        }
    }

    fn parse(name: &str) -> Option<Self> {
        match name {
            "oci-layout" => Some(Self::Marker),
            "index.json" => Some(Self::Index),
            other => Digest::from_hex(other.strip_prefix(BLOBS)?).ok().map(Self::Blob),
        }
    }
}

/// Reads every file of an archive.
pub fn read<'a>(archive: &'a [u8], limits: &Limits) -> Result<Vec<(Member, &'a [u8])>, BundleError> {
    BundleError::bound("archive", size_of(archive), limits.archive())?;
    let mut members: Vec<(Member, &[u8])> = Vec::new();
    let mut rest = archive;
    let mut entries = 0;
    loop {
        let (header, behind) = rest
            .split_first_chunk::<BLOCK>()
            .ok_or_else(|| refused("it ends before its end mark"))?;
        if header.iter().all(|b| *b == 0) {
            if behind.iter().any(|b| *b != 0) {
                return Err(refused("something stands behind its end mark"));
            }
            return Ok(members);
        }
        entries += 1;
        if entries > limits::ENTRIES {
            return Err(refused(&format!("it has more than {} entries", limits::ENTRIES)));
        }
        let header = Header::parse(header)?;
        let (content, next) = content(behind, &header, limits)?;
        rest = next;
        let Some(member) = header.member()? else {
            continue;
        };
        if members.iter().any(|(other, _)| *other == member) {
            return Err(refused(&format!("{} is there twice", member.name())));
        }
        members.push((member, content));
    }
}

/// The content behind a header, and what comes after its padding.
fn content<'a>(
    behind: &'a [u8],
    header: &Header,
    limits: &Limits,
) -> Result<(&'a [u8], &'a [u8]), BundleError> {
    BundleError::bound(&printable(&header.name), header.size, limits.blob())?;
    let cut = || refused(&format!("it ends within '{}'", printable(&header.name)));
    let size = usize::try_from(header.size).map_err(|_| cut())?;
    let (content, rest) = behind.split_at_checked(size).ok_or_else(cut)?;
    let padding = size.next_multiple_of(BLOCK) - size;
    let (padding, rest) = rest.split_at_checked(padding).ok_or_else(cut)?;
    if padding.iter().any(|b| *b != 0) {
        return Err(refused(&format!(
            "something stands in the padding of '{}'",
            printable(&header.name)
        )));
    }
    Ok((content, rest))
}

struct Header {
    name: String,
    size: u64,
    kind: u8,
}

impl Header {
    fn parse(block: &[u8; BLOCK]) -> Result<Self, BundleError> {
        let field = |from: usize, length: usize| block.get(from..from + length).unwrap_or_default();
        let written = octal(field(148, 8)).ok_or_else(|| refused("a header's checksum is no number"))?;
        if written != checksum(block) {
            return Err(refused("a header's checksum does not fit"));
        }
        if field(257, 5) != b"ustar" {
            return Err(refused("an entry is not of the kind ustar"));
        }
        let name = text(field(0, 100)).ok_or_else(|| refused("a name is not UTF-8"))?;
        if field(345, 155).first() != Some(&0) {
            return Err(refused(&format!("'{}' has a prefix", printable(name))));
        }
        let size = octal(field(124, 12))
            .ok_or_else(|| refused(&format!("the size of '{}' is no octal number", printable(name))))?;
        Ok(Self {
            // `tar -C DIR .` writes the dot.
            name: name.strip_prefix("./").unwrap_or(name).to_owned(),
            size,
            kind: field(156, 1).first().copied().unwrap_or_default(),
        })
    }

    /// The file that this is, nothing for a folder.
    fn member(&self) -> Result<Option<Member>, BundleError> {
        let name = printable(&self.name);
        let kind = match self.kind {
            b'0' | 0 => {
                return Member::parse(&self.name)
                    .map(Some)
                    .ok_or_else(|| refused(&format!("'{name}' is no file of an image layout")));
            }
            b'5' if matches!(self.name.as_str(), "" | "blobs/" | "blobs/sha256/") && self.size == 0 => {
                return Ok(None);
            }
            b'1' => "a hard link",
            b'2' => "a symbolic link",
            b'3' | b'4' => "a device",
            b'5' => "a folder that an image layout has not",
            b'6' => "a pipe",
            b'S' => "a sparse file",
            b'x' | b'g' => "an extended header (write it with --format=ustar)",
            b'L' | b'K' => "a long name",
            _ => "of a kind that is not known",
        };
        Err(refused(&format!("'{name}' is {kind}")))
    }
}

/// Writes an archive: no times, no owners, the same bytes for the same files.
pub fn write(members: &[(Member, &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (member, content) in members {
        archive.extend_from_slice(&header(&member.name(), content.len()));
        archive.extend_from_slice(content);
        archive.resize(archive.len().next_multiple_of(BLOCK), 0);
    }
    archive.resize(archive.len() + END, 0);
    archive
}

/// The header of a regular file that its owner writes and everybody reads.
fn header(name: &str, size: usize) -> [u8; BLOCK] {
    let mut block = [0_u8; BLOCK];
    put(&mut block, 0, name.as_bytes());
    for (at, value) in [
        (100, "0000644"),
        (108, "0000000"),
        (116, "0000000"),
        (136, "00000000000"),
    ] {
        put(&mut block, at, value.as_bytes());
    }
    put(&mut block, 124, format!("{size:011o}").as_bytes());
    put(&mut block, 156, b"0");
    put(&mut block, 257, b"ustar\x0000");
    let sum = checksum(&block);
    put(&mut block, 148, format!("{sum:06o}\0 ").as_bytes());
    block
}

fn put(block: &mut [u8; BLOCK], at: usize, bytes: &[u8]) {
    if let Some(field) = block.get_mut(at..at + bytes.len()) {
        field.copy_from_slice(bytes);
    }
}

/// The sum of a header's bytes, its own field taken as spaces.
fn checksum(block: &[u8; BLOCK]) -> u64 {
    block
        .iter()
        .enumerate()
        .map(|(at, byte)| {
            if (148..156).contains(&at) {
                32
            } else {
                u64::from(*byte)
            }
        })
        .sum()
}

/// An octal number that ends with a NUL or a space.
fn octal(field: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(field).ok()?.trim_matches(['\0', ' ']);
    if digits.is_empty() || !digits.bytes().all(|b| matches!(b, b'0'..=b'7')) {
        return None;
    }
    u64::from_str_radix(digits, 8).ok()
}

/// A text that ends with a NUL or fills its field.
fn text(field: &[u8]) -> Option<&str> {
    let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
    std::str::from_utf8(field.get(..end)?).ok()
}

fn refused(problem: &str) -> BundleError {
    BundleError::Archive(problem.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, kind: u8, content: &[u8]) -> Vec<u8> {
        let mut block = header(name, content.len());
        block[156] = kind;
        let sum = checksum(&block);
        put(&mut block, 148, format!("{sum:06o}\0 ").as_bytes());
        let mut archive = block.to_vec();
        archive.extend_from_slice(content);
        archive.resize(archive.len().next_multiple_of(BLOCK) + END, 0);
        archive
    }

    fn refusal(archive: &[u8]) -> String {
        match read(archive, &Limits::default()) {
            Err(error) => error.to_string(),
            Ok(members) => panic!("taken: {members:?}"),
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let blob = Member::Blob(crate::digest(b"x"));
        let files: [(Member, &[u8]); 3] = [(Member::Marker, b"{}"), (Member::Index, &[7; 512]), (blob, b"")];
        assert_eq!(read(&write(&files), &Limits::default()).unwrap(), files);
    }

    #[test]
    fn what_a_layout_has_not_is_refused_by_what_it_is() {
        for (kind, words) in [
            (b'1', "hard link"),
            (b'2', "symbolic link"),
            (b'3', "device"),
            (b'4', "device"),
            (b'6', "pipe"),
            (b'S', "sparse"),
            (b'x', "extended header"),
            (b'g', "extended header"),
            (b'L', "long name"),
            (b'K', "long name"),
            (b'7', "not known"),
        ] {
            let said = refusal(&one("index.json", kind, b""));
            assert!(said.contains(words), "{} -> {said}", char::from(kind));
        }
    }

    #[test]
    fn names_that_climb_are_refused() {
        for name in [
            "../index.json",
            "/index.json",
            "blobs/../index.json",
            "blobs/sha256/../../x",
            "blobs/sha256/ABCD",
            "blobs/sha512/0",
            "././index.json",
            "index.json/",
            "plugin.toml",
        ] {
            let said = refusal(&one(name, b'0', b""));
            assert!(said.contains("no file of an image layout"), "{name} -> {said}");
        }
        assert!(refusal(&one("../", b'5', b"")).contains("a folder that"));
    }

    #[test]
    fn duplicates_cuts_and_what_hides_in_gaps_are_refused() {
        let marker: (Member, &[u8]) = (Member::Marker, b"{}");
        assert!(refusal(&write(&[marker.clone(), marker.clone()])).contains("twice"));
        let whole = write(&[marker]);
        assert!(refusal(&whole[..700]).contains("ends within"));
        assert!(refusal(&whole[..1024]).contains("before its end mark"));
        let mut hidden = whole.clone();
        hidden[600] = 1;
        assert!(refusal(&hidden).contains("padding"));
        let mut behind = whole.clone();
        *behind.last_mut().unwrap() = 1;
        assert!(refusal(&behind).contains("behind its end mark"));
        let mut header = whole;
        header[100] = b'1';
        assert!(refusal(&header).contains("checksum"));
        assert!(refusal(b"").contains("before its end mark"));
    }

    #[test]
    fn sizes_are_bounded_before_anything_is_kept() {
        let small = Limits {
            component: 1000,
            manifest: 1000,
            conformance: 1000,
        };
        let mut block = header("index.json", 0);
        put(&mut block, 124, b"77777777777");
        let sum = checksum(&block);
        put(&mut block, 148, format!("{sum:06o}\0 ").as_bytes());
        let said = read(&block, &small).unwrap_err().to_string();
        assert!(said.contains("index.json has 8589934591 bytes"), "{said}");
        let many = vec![0; usize::try_from(small.archive()).unwrap() + 1];
        assert!(matches!(read(&many, &small), Err(BundleError::TooLarge { .. })));
    }
}
