use std::process::Command;

use proptest::prelude::*;

use super::*;

/// A plain qcow2 v3 image of 64 MiB, as bytes.
fn plain() -> Vec<u8> {
    let mut image = vec![0; 4 << 16];
    let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"QFI\xfb");
    put(4, &3u32.to_be_bytes());
    put(20, &16u32.to_be_bytes());
    put(24, &(64u64 << 20).to_be_bytes());
    put(36, &1u32.to_be_bytes());
    put(40, &(3u64 << 16).to_be_bytes());
    put(48, &(1u64 << 16).to_be_bytes());
    put(56, &1u32.to_be_bytes());
    put(96, &4u32.to_be_bytes());
    put(100, &104u32.to_be_bytes());
    image
}

fn judge(kind: ImageKind, bytes: &[u8]) -> Result<u64, Refused> {
    inspect(
        kind,
        Sample {
            head: &bytes[..bytes.len().min(HEAD)],
            tail: &bytes[bytes.len().saturating_sub(TAIL)..],
            length: bytes.len() as u64,
        },
    )
}

fn with(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut image = plain();
    image[at..at + bytes.len()].copy_from_slice(bytes);
    image
}

#[test]
fn a_plain_image_is_accepted_with_its_size() {
    assert_eq!(judge(ImageKind::Qcow2, &plain()), Ok(64 << 20));
    assert_eq!(judge(ImageKind::Raw, &[7; 1000]), Ok(1024));
    let zstd = {
        let mut image = with(72, &(1u64 << 3).to_be_bytes());
        image[100..104].copy_from_slice(&112u32.to_be_bytes());
        image[104] = 1;
        image
    };
    assert_eq!(judge(ImageKind::Qcow2, &zstd), Ok(64 << 20));
}

#[test]
fn everything_else_is_refused_and_says_why() {
    let be32 = |n: u32| n.to_be_bytes().to_vec();
    let be64 = |n: u64| n.to_be_bytes().to_vec();
    let extension = |kind: u32| [be32(kind), be32(4), be64(0)].concat();
    for (at, bytes, why) in [
        (4, be32(1), "version 1"),
        (4, be32(4), "version 4"),
        (8, be64(512), "backing file"),
        (16, be32(3), "backing file"),
        (20, be32(8), "clusters"),
        (20, be32(22), "clusters"),
        (20, be32(255), "clusters"),
        (24, be64(0), "empty"),
        (24, be64(MAX_VIRTUAL + 1), "allowed"),
        (24, be64(u64::MAX), "allowed"),
        (24, be64(MAX_VIRTUAL), "L1 table"),
        (32, be32(1), "encrypted"),
        (32, be32(2), "encrypted"),
        (36, be32(0), "L1 table"),
        (36, be32(u32::MAX), "L1 table"),
        (40, be64(0), "L1 table"),
        (40, be64(12345), "L1 table"),
        (40, be64(u64::MAX << 16), "L1 table"),
        (40, be64(1 << 40), "L1 table"),
        (48, be64(1 << 40), "refcount table"),
        (48, be64(0), "refcount table"),
        (56, be32(0), "refcount table"),
        (56, be32(u32::MAX), "refcount table"),
        (60, be32(1), "snapshots"),
        (72, be64(1), "cleanly"),
        (72, be64(2), "corrupt"),
        (72, be64(4), "external data file"),
        (72, be64(1 << 5), "not known"),
        (72, be64(1 << 63), "not known"),
        (96, be32(7), "refcounts"),
        (100, be32(72), "header of 72"),
        (100, be32(105), "header of 105"),
        (100, be32(u32::MAX - 7), "without an end"),
        (104, extension(0x4441_5441), "external data file"),
        (104, extension(0x0537_be77), "encrypted"),
        (104, extension(0x2385_2875), "bitmaps"),
        (104, extension(0x1234_5678), "0x12345678"),
        (
            104,
            [be32(0x6803_f857), be32(u32::MAX)].concat(),
            "without an end",
        ),
    ] {
        let refused = judge(ImageKind::Qcow2, &with(at, &bytes))
            .unwrap_err()
            .to_string();
        assert!(refused.contains(why), "{at}: {refused}");
    }
    assert_eq!(
        judge(ImageKind::Qcow2, &plain()[..50]),
        Err(Refused::CutOff("its header"))
    );
    assert!(judge(ImageKind::Qcow2, b"").is_err());
}

#[test]
fn a_raw_image_that_is_another_format_is_refused() {
    for (at, magic, name) in MAGICS {
        let mut image = vec![0; 4096];
        image[*at..*at + magic.len()].copy_from_slice(magic);
        assert_eq!(
            judge(ImageKind::Raw, &image),
            Err(Refused::OtherFormat {
                declared: "raw",
                found: name
            })
        );
        let as_qcow2 = judge(ImageKind::Qcow2, &image);
        assert!(as_qcow2.is_err(), "{name}");
    }
    for (back, magic, name) in FOOTERS {
        let mut image = vec![0; 4096];
        let at = image.len() - back;
        image[at..at + magic.len()].copy_from_slice(magic);
        let refused = judge(ImageKind::Raw, &image);
        assert!(matches!(refused, Err(Refused::OtherFormat { found, .. }) if found == *name));
    }
    let descriptor = b"\n\n# a comment\n# Disk DescriptorFile\nversion=1\ncreateType=\"monolithicFlat\"\n";
    assert!(judge(ImageKind::Raw, descriptor).is_err());
    assert!(judge(ImageKind::Raw, b"").is_err());
}

#[test]
fn what_qemu_img_makes_is_read_as_qemu_img_meant_it() {
    let dir = tempfile::tempdir().unwrap();
    let make = |name: &str, options: &[&str]| {
        let path = dir.path().join(name);
        let made = Command::new("qemu-img")
            .args(["create", "-q", "-f", "qcow2"])
            .args(options)
            .arg(&path)
            .arg("10M")
            .current_dir(dir.path())
            .status()
            .unwrap();
        assert!(made.success(), "{name}");
        judge(ImageKind::Qcow2, &std::fs::read(path).unwrap()).map_err(|e| e.to_string())
    };
    assert_eq!(make("a.qcow2", &[]), Ok(10 << 20));
    assert_eq!(make("b.qcow2", &["-o", "compat=0.10"]), Ok(10 << 20));
    assert_eq!(make("c.qcow2", &["-o", "cluster_size=512"]), Ok(10 << 20));
    assert_eq!(make("d.qcow2", &["-o", "extended_l2=on"]), Ok(10 << 20));
    assert_eq!(make("e.qcow2", &["-o", "compression_type=zstd"]), Ok(10 << 20));
    let backed = make("f.qcow2", &["-b", "a.qcow2", "-F", "qcow2"]).unwrap_err();
    assert!(backed.contains("backing"), "{backed}");
    let outside = make("g.qcow2", &["-o", "data_file=g.raw"]).unwrap_err();
    assert!(outside.contains("data file"), "{outside}");
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
        let _ = judge(ImageKind::Raw, &bytes);
        let _ = judge(ImageKind::Qcow2, &bytes);
    }

    #[test]
    fn no_change_of_a_header_makes_the_reader_panic_or_accept_a_pointer(
        changes in proptest::collection::vec((0usize..256, any::<u8>()), 1..24),
        length in 0usize..(4 << 16),
    ) {
        let mut image = plain();
        for (at, byte) in changes {
            image[at] = byte;
        }
        image.truncate(length);
        if judge(ImageKind::Qcow2, &image).is_ok() {
            prop_assert_eq!(&image[8..20], &[0; 12], "a backing file");
            prop_assert!(image[7] == 2 || image[79] & 0b111 == 0, "dirty, corrupt or a data file");
        }
    }
}
