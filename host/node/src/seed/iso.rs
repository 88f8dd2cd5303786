//! A small writer of ISO 9660 discs with a Joliet tree: a handful of files in the root directory, which is all that a
//! seed has. Every date is the same, so that the same files are the same bytes.
//!
//! Layout in sectors of 2,048 bytes: 16 primary descriptor, 17 Joliet descriptor, 18 terminator, 19 and 20 path tables
//! of the primary tree (little and big endian), 21 and 22 of the Joliet tree, 23 and 24 the root directories, then the
//! files.

const SECTOR: usize = 2048;
const PATH_TABLE: u32 = 19;
const ROOT: u32 = 23;
const FILES: u32 = 25;

/// 1 January 2000, as in a directory record.
const DATE: [u8; 7] = [100, 1, 1, 0, 0, 0, 0];

/// Which of the two trees of names is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tree {
    /// Capital letters, with a version.
    Primary,
    /// UCS-2, as they are.
    Joliet,
}

impl Tree {
    const fn number(self) -> u32 {
        match self {
            Self::Primary => 0,
            Self::Joliet => 1,
        }
    }

    fn name(self, name: &str) -> Vec<u8> {
        match self {
            Self::Primary => format!("{};1", name.to_ascii_uppercase()).into_bytes(),
            Self::Joliet => name.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        }
    }

    /// A text field padded to its length.
    fn field(self, text: &str, length: usize) -> Vec<u8> {
        let (mut bytes, pad): (Vec<u8>, &[u8]) = match self {
            Self::Primary => (text.as_bytes().to_vec(), b" "),
            Self::Joliet => (text.encode_utf16().flat_map(u16::to_be_bytes).collect(), b"\0 "),
        };
        bytes.truncate(length);
        while bytes.len() + pad.len() <= length {
            bytes.extend_from_slice(pad);
        }
        bytes.resize(length, 0);
        bytes
    }
}

fn both32(value: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&value.to_le_bytes());
    bytes[4..].copy_from_slice(&value.to_be_bytes());
    bytes
}

fn both16(value: u16) -> [u8; 4] {
    let mut bytes = [0; 4];
    bytes[..2].copy_from_slice(&value.to_le_bytes());
    bytes[2..].copy_from_slice(&value.to_be_bytes());
    bytes
}

/// One directory record.
fn record(name: &[u8], sector: u32, length: u32, directory: bool) -> Vec<u8> {
    let mut bytes = vec![0, 0];
    bytes.extend(both32(sector));
    bytes.extend(both32(length));
    bytes.extend(DATE);
    bytes.push(if directory { 2 } else { 0 });
    bytes.extend([0, 0]);
    bytes.extend(both16(1));
    // Names of seeds have at most 14 characters, far below what a byte can count.
    bytes.push(name.len() as u8);
    bytes.extend(name);
    if bytes.len() % 2 == 1 {
        bytes.push(0);
    }
    bytes[0] = bytes.len() as u8;
    bytes
}

fn padded(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(bytes.len().next_multiple_of(SECTOR), 0);
    bytes
}

fn root_record(tree: Tree) -> Vec<u8> {
    record(&[0], ROOT + tree.number(), SECTOR as u32, true)
}

fn descriptor(tree: Tree, label: &str, sectors: u32) -> Vec<u8> {
    let mut bytes = vec![if tree == Tree::Primary { 1 } else { 2 }];
    bytes.extend(b"CD001\x01\0");
    bytes.extend(tree.field("LINUX", 32));
    bytes.extend(tree.field(label, 32));
    bytes.extend([0; 8]);
    bytes.extend(both32(sectors));
    let mut escape = [0; 32];
    if tree == Tree::Joliet {
        // UCS-2, level 3.
        escape[..3].copy_from_slice(b"%/E");
    }
    bytes.extend(escape);
    bytes.extend(both16(1));
    bytes.extend(both16(1));
    bytes.extend(both16(SECTOR as u16));
    bytes.extend(both32(
        path_table(u32::to_le_bytes, u16::to_le_bytes, tree).len() as u32
    ));
    let tables = PATH_TABLE + 2 * tree.number();
    bytes.extend(tables.to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend((tables + 1).to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend(root_record(tree));
    // Volume set, publisher, preparer, application; then three file names.
    for length in [128, 128, 128, 128, 37, 37, 37] {
        bytes.extend(tree.field("", length));
    }
    for _ in ["created", "modified", "expires", "effective"] {
        bytes.extend(b"0000000000000000\0");
    }
    bytes.extend([1, 0]);
    padded(bytes)
}

fn path_table(number: fn(u32) -> [u8; 4], parent: fn(u16) -> [u8; 2], tree: Tree) -> Vec<u8> {
    let mut bytes = vec![1, 0];
    bytes.extend(number(ROOT + tree.number()));
    bytes.extend(parent(1));
    bytes.extend([0, 0]);
    bytes
}

/// The bytes of a disc with this label and these files (at most a dozen, with short names).
#[must_use]
pub fn image(label: &str, files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut places = Vec::new();
    let mut next = FILES;
    for (name, content) in files {
        places.push((*name, next, content.len() as u32));
        // An empty file still has a place of its own.
        next += content.len().max(1).div_ceil(SECTOR) as u32;
    }
    let directory = |tree: Tree| {
        let mut bytes = root_record(tree);
        bytes.extend(record(&[1], ROOT + tree.number(), SECTOR as u32, true));
        let mut names: Vec<_> = places
            .iter()
            .map(|(name, sector, length)| (tree.name(name), *sector, *length))
            .collect();
        names.sort();
        for (name, sector, length) in names {
            bytes.extend(record(&name, sector, length, false));
        }
        padded(bytes)
    };
    let mut disc = vec![0; 16 * SECTOR];
    disc.extend(descriptor(Tree::Primary, label, next));
    disc.extend(descriptor(Tree::Joliet, label, next));
    disc.extend(padded(b"\xffCD001\x01".to_vec()));
    for tree in [Tree::Primary, Tree::Joliet] {
        disc.extend(padded(path_table(u32::to_le_bytes, u16::to_le_bytes, tree)));
        disc.extend(padded(path_table(u32::to_be_bytes, u16::to_be_bytes, tree)));
    }
    disc.extend(directory(Tree::Primary));
    disc.extend(directory(Tree::Joliet));
    for (_, content) in files {
        let mut bytes = content.to_vec();
        bytes.resize(content.len().max(1).next_multiple_of(SECTOR), 0);
        disc.extend(bytes);
    }
    disc
}
