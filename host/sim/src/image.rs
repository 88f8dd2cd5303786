//! The image store. Of the bytes, only their hash, their number and the first of them are kept: enough to check for real
//! what an upload claims to be.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::{
    refusal::{Refused, code},
    world::World,
};

/// The fixed part of a qcow2 version 3 header is 104 bytes long.
const HEADER_KEPT: usize = 512;
/// What the store says is free: nothing is kept, so nothing fills up.
const FREE_BYTES: u64 = 1 << 50;
/// Images that the store takes: a hash in progress is some 200 bytes, and no test needs more.
const IMAGES_MAX: usize = 100_000;
const FORMAT_RAW: u16 = 1;
const FORMAT_QCOW2: u16 = 2;
const SECTOR: u64 = 512;

/// An image, finished or not.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Image {
    /// Bytes that arrived.
    pub received: u64,
    header: Vec<u8>,
    /// The hash so far; an upload that is not finished does not survive this process.
    #[serde(skip)]
    hash: Sha256,
    /// What it was found to be.
    pub finished: Option<Inspected>,
}

/// What inspection found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspected {
    /// 1 raw, 2 qcow2.
    pub format: u16,
    /// The size that a guest sees.
    pub virtual_bytes: u64,
    /// What it occupies.
    pub stored_bytes: u64,
    /// Of the upload, hexadecimal.
    pub sha256: String,
    /// The store's name of it.
    pub reference: String,
}

/// What an upload claims to be.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// 1 raw, 2 qcow2.
    pub format: u16,
    /// Hexadecimal.
    pub sha256: String,
}

impl World {
    /// Bytes that the store could take.
    #[must_use]
    pub const fn image_space(&self) -> u64 {
        FREE_BYTES
    }

    /// Bytes of an image that arrived.
    #[must_use]
    pub fn received(&self, id: Uuid) -> u64 {
        self.images.get(&id).map_or(0, |image| image.received)
    }

    /// Appends to an image.
    ///
    /// # Errors
    /// `INVALID` with what was received, when the offset is not that; `EXISTS_DIFFERENT` when it is finished.
    pub fn append(&mut self, id: Uuid, offset: u64, chunk: &[u8]) -> Result<u64, Refused> {
        if self.images.len() >= IMAGES_MAX && !self.images.contains_key(&id) {
            return Err(Refused::unchanged(
                code::EXHAUSTED,
                format!("the store holds {IMAGES_MAX} images"),
            ));
        }
        let image = self.images.entry(id).or_default();
        if image.finished.is_some() {
            return Err(Refused::unchanged(
                code::EXISTS_DIFFERENT,
                format!("image {id} is finished"),
            ));
        }
        if offset != image.received {
            let mut refused =
                Refused::invalid(format!("image {id} has {} bytes, not {offset}", image.received));
            refused.received = Some(image.received);
            return Err(refused);
        }
        let wanted = HEADER_KEPT.saturating_sub(image.header.len()).min(chunk.len());
        image.header.extend_from_slice(&chunk[..wanted]);
        image.hash.update(chunk);
        image.received += chunk.len() as u64;
        Ok(image.received)
    }

    /// Checks what arrived against what it claims to be. What is wrong is not kept.
    ///
    /// # Errors
    /// `NOT_FOUND`, `BAD_IMAGE`; `EXISTS_DIFFERENT` when it was finished as something else.
    pub fn finish_image(&mut self, id: Uuid, claim: &Claim) -> Result<Inspected, Refused> {
        let image = self
            .images
            .get_mut(&id)
            .ok_or_else(|| Refused::not_found(format_args!("image {id}")))?;
        if let Some(done) = &image.finished {
            if done.format == claim.format && done.sha256.eq_ignore_ascii_case(&claim.sha256) {
                return Ok(done.clone());
            }
            return Err(Refused::unchanged(
                code::EXISTS_DIFFERENT,
                format!("image {id} was finished otherwise"),
            ));
        }
        match inspect(id, image, claim) {
            Ok(found) => {
                image.finished = Some(found.clone());
                Ok(found)
            }
            Err(problem) => {
                self.images.remove(&id);
                Err(Refused {
                    unchanged: false,
                    ..Refused::unchanged(code::BAD_IMAGE, problem)
                })
            }
        }
    }

    /// Removes an image, or finds that there is none.
    pub fn remove_image(&mut self, id: Uuid) {
        self.images.remove(&id);
    }

    /// The virtual size of a finished image, by the store's name of it.
    ///
    /// # Errors
    /// `NOT_FOUND`.
    pub fn image_size(&self, reference: &str) -> Result<u64, Refused> {
        let id = reference
            .strip_prefix("sim-image:")
            .and_then(|id| id.parse::<Uuid>().ok());
        id.and_then(|id| self.images.get(&id)?.finished.as_ref())
            .map(|found| found.virtual_bytes)
            .ok_or_else(|| Refused::not_found(format_args!("finished image {reference}")))
    }

    /// Forgets uploads that are not finished: their hash cannot be kept in a file.
    pub fn forget_unfinished_images(&mut self) {
        self.images = std::mem::take(&mut self.images)
            .into_iter()
            .filter(|(_, image)| image.finished.is_some())
            .collect::<BTreeMap<_, _>>();
    }
}

fn inspect(id: Uuid, image: &Image, claim: &Claim) -> Result<Inspected, String> {
    let sha256 = hex::encode(image.hash.clone().finalize());
    if !sha256.eq_ignore_ascii_case(&claim.sha256) {
        return Err(format!("sha256 is {sha256}, not {}", claim.sha256));
    }
    let virtual_bytes = match claim.format {
        FORMAT_RAW if image.received == 0 || !image.received.is_multiple_of(SECTOR) => {
            return Err(format!(
                "a raw image of {} bytes is no disk: not a multiple of 512",
                image.received
            ));
        }
        FORMAT_RAW => image.received,
        FORMAT_QCOW2 => qcow2_size(&image.header)?,
        other => return Err(format!("format {other} is not known")),
    };
    Ok(Inspected {
        format: claim.format,
        virtual_bytes,
        stored_bytes: image.received,
        sha256,
        reference: format!("sim-image:{id}"),
    })
}

/// The virtual size of a plain qcow2 image: no backing file, no data file, no encryption, nothing unknown.
fn qcow2_size(header: &[u8]) -> Result<u64, String> {
    let word = |at: usize| -> Result<u32, String> {
        let bytes = header.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes
            .map(u32::from_be_bytes)
            .ok_or_else(|| "the qcow2 header is cut short".to_owned())
    };
    let long = |at: usize| Ok::<u64, String>(u64::from(word(at)?) << 32 | u64::from(word(at + 4)?));
    if word(0)? != 0x5146_49fb {
        return Err("it is no qcow2: the magic is missing".to_owned());
    }
    let version = word(4)?;
    if !matches!(version, 2 | 3) {
        return Err(format!("qcow2 version {version} is not known"));
    }
    if long(8)? != 0 {
        return Err("it has a backing file".to_owned());
    }
    if word(32)? != 0 {
        return Err("it is encrypted".to_owned());
    }
    if version == 3 && long(72)? != 0 {
        return Err(format!("it has incompatible features {:#x}", long(72)?));
    }
    match long(24)? {
        0 => Err("it has no size".to_owned()),
        size => Ok(size),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::Size;

    fn qcow2(size: u64) -> Vec<u8> {
        let mut header = vec![0; 104];
        header[..4].copy_from_slice(b"QFI\xfb");
        header[7] = 3;
        header[24..32].copy_from_slice(&size.to_be_bytes());
        header
    }

    fn finish(bytes: &[u8], format: u16, sha256: Option<&str>) -> Result<Inspected, Refused> {
        let mut world = World::new(Size::default());
        let id = Uuid::from_u128(5);
        let half = bytes.len() / 2;
        world.append(id, 0, &bytes[..half])?;
        assert_eq!(
            world.append(id, 0, &bytes[half..]).unwrap_err().received,
            Some(half as u64)
        );
        world.append(id, half as u64, &bytes[half..])?;
        let sha256 = sha256.map_or_else(|| hex::encode(Sha256::digest(bytes)), str::to_owned);
        let found = world.finish_image(id, &Claim { format, sha256 });
        assert_eq!(
            found.is_ok(),
            world.images.contains_key(&id),
            "what is refused is not kept"
        );
        found
    }

    #[test]
    fn an_image_is_what_it_claims_or_it_is_not_kept() {
        assert_eq!(finish(&[7; 1024], 1, None).unwrap().virtual_bytes, 1024);
        assert_eq!(finish(&qcow2(1 << 30), 2, None).unwrap().virtual_bytes, 1 << 30);
        let with = |at: usize| {
            let mut bytes = qcow2(1 << 30);
            bytes[at] = 1;
            bytes
        };
        for (bytes, format, word) in [
            (vec![7; 1000], 1, "512"),
            (vec![7; 1024], 2, "magic"),
            (with(15), 2, "backing"),
            (with(35), 2, "encrypted"),
            (with(79), 2, "incompatible"),
            (qcow2(0), 2, "size"),
            (qcow2(1)[..40].to_vec(), 2, "short"),
        ] {
            let refused = finish(&bytes, format, None).unwrap_err();
            assert_eq!(refused.code, code::BAD_IMAGE);
            assert!(refused.detail.contains(word), "{}", refused.detail);
        }
        let refused = finish(&[7; 1024], 1, Some(&"0".repeat(64))).unwrap_err();
        assert!(refused.detail.contains("sha256"), "{}", refused.detail);
    }
}
