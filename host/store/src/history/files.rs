//! Histories in files: a folder a zone, a file for each whole with what changed after it, named by its epoch.
//!
//! ```text
//! frame = body length u32, is whole u8, first epoch u64, last epoch u64, first 8 bytes of the body's SHA-256; body
//! ```
//! Numbers are little-endian. A frame that a crash cut off, and what is damaged, ends its file: it is read up to there.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use sha2::{Digest, Sha256};
use velum_model::id::ZoneId;

use super::PartLabel;
use crate::commit::StoreError;

const HEAD: usize = 4 + 1 + 8 + 8 + 8;
const ENDING: &str = "history";

pub(super) struct Files {
    inner: Arc<Inner>,
}

struct Inner {
    directory: PathBuf,
    bytes_at_most: u64,
    /// The newest file of a zone that was written to, and where it ends: what lies before is not looked through again.
    ends: Mutex<HashMap<ZoneId, (PathBuf, u64)>>,
    /// Whoever reads one part reads the next.
    read: Mutex<Option<Looked>>,
}

/// What lies in a file that had this length.
struct Looked {
    path: PathBuf,
    length: u64,
    frames: Arc<Vec<Frame>>,
}

/// A file of a zone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Segment {
    first: u64,
    path: PathBuf,
}

/// Where a part lies.
struct Frame {
    label: PartLabel,
    at: u64,
    length: usize,
    check: [u8; 8],
}

impl Files {
    pub(super) fn new(directory: PathBuf, bytes_at_most: u64) -> Self {
        Self {
            inner: Arc::new(Inner {
                directory,
                bytes_at_most,
                ends: Mutex::default(),
                read: Mutex::default(),
            }),
        }
    }

    /// Does it where it may block.
    async fn away<T: Send + 'static>(
        &self,
        does: &'static str,
        work: impl FnOnce(&Inner) -> io::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = Arc::clone(&self.inner);
        let told = self.inner.directory.display().to_string();
        let done = tokio::task::spawn_blocking(move || work(&inner)).await;
        done.unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(|error| StoreError::Unusable(format!("could not {does} in {told}: {error}")))
    }

    pub(super) async fn add(&self, zone: ZoneId, label: PartLabel, body: Vec<u8>) -> Result<(), StoreError> {
        self.away("keep a part of a zone's history", move |inner| {
            inner.add(zone, label, &body)?;
            if label.is_whole
                && let Err(error) = inner.forget()
            {
                tracing::warn!(directory = %inner.directory.display(), %error, "could not forget the oldest of the histories");
            }
            Ok(())
        })
        .await
    }

    pub(super) async fn labels(
        &self,
        zone: ZoneId,
        epoch: u64,
        until: u64,
    ) -> Result<Vec<PartLabel>, StoreError> {
        self.away("read which parts of a zone's history there are", move |inner| {
            let segments = inner.segments(zone)?;
            let Some(begin) = segments.iter().rposition(|segment| segment.first <= epoch) else {
                return Ok(Vec::new());
            };
            let mut labels = Vec::new();
            for segment in segments
                .iter()
                .skip(begin)
                .filter(|segment| segment.first <= until)
            {
                let frames = inner.frames(&segment.path)?;
                let found = frames.iter().map(|frame| frame.label);
                labels.extend(found.filter(|label| label.first <= until));
            }
            Ok(labels)
        })
        .await
    }

    pub(super) async fn read(&self, zone: ZoneId, label: PartLabel) -> Result<Option<Vec<u8>>, StoreError> {
        self.away("read a part of a zone's history", move |inner| {
            let segments = inner.segments(zone)?;
            let Some(segment) = segments.iter().rfind(|segment| segment.first <= label.first) else {
                return Ok(None);
            };
            let frames = inner.frames(&segment.path)?;
            let found = frames.iter().find(|frame| frame.label == label);
            found
                .map(|frame| frame.read(&segment.path))
                .transpose()
                .map(Option::flatten)
        })
        .await
    }

    pub(super) async fn remove(&self, zone: ZoneId) -> Result<(), StoreError> {
        self.away("remove a zone's history", move |inner| {
            let mut ends = inner.ends.lock().unwrap_or_else(PoisonError::into_inner);
            ends.remove(&zone);
            match fs::remove_dir_all(inner.folder(zone)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                other => other,
            }
        })
        .await
    }

    pub(super) async fn reach(&self, zone: ZoneId) -> Result<Option<(u64, u64)>, StoreError> {
        self.away("read how far a zone's history reaches", move |inner| {
            let segments = inner.segments(zone)?;
            let (Some(oldest), Some(newest)) = (segments.first(), segments.last()) else {
                return Ok(None);
            };
            let last = inner.frames(&newest.path)?.last().map(|frame| frame.label.last);
            Ok(Some((oldest.first, last.unwrap_or(newest.first))))
        })
        .await
    }
}

impl Inner {
    fn folder(&self, zone: ZoneId) -> PathBuf {
        self.directory.join(zone.uuid().simple().to_string())
    }

    /// What lies in a file, looked through once as long as it stays as it is.
    fn frames(&self, path: &Path) -> io::Result<Arc<Vec<Frame>>> {
        let length = fs::metadata(path)?.len();
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = |looked: &&Looked| looked.path == path && looked.length == length;
        if let Some(looked) = read.as_ref().filter(is_known) {
            return Ok(Arc::clone(&looked.frames));
        }
        let frames = Arc::new(frames(path)?);
        *read = Some(Looked {
            path: path.to_owned(),
            length,
            frames: Arc::clone(&frames),
        });
        Ok(frames)
    }

    /// The files of a zone, oldest first.
    fn segments(&self, zone: ZoneId) -> io::Result<Vec<Segment>> {
        segments_in(&self.folder(zone))
    }

    fn add(&self, zone: ZoneId, label: PartLabel, body: &[u8]) -> io::Result<()> {
        let folder = self.folder(zone);
        let length = u32::try_from(body.len()).map_err(|_| io::Error::other("it has more than 4 GiB"))?;
        let mut frame = Vec::with_capacity(HEAD + body.len());
        frame.extend(length.to_le_bytes());
        frame.push(u8::from(label.is_whole));
        frame.extend(label.first.to_le_bytes());
        frame.extend(label.last.to_le_bytes());
        frame.extend(check(body));
        frame.extend(body);
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        if label.is_whole {
            fs::create_dir_all(&folder)?;
            let path = folder.join(format!("{:020}.{ENDING}", label.first));
            // What is cut off for want of space is not taken for a whole.
            let unfinished = path.with_extension("unfinished");
            let written = fs::write(&unfinished, &frame).and_then(|()| fs::rename(&unfinished, &path));
            if written.is_err() {
                drop(fs::remove_file(&unfinished));
            }
            written?;
            ends.insert(zone, (path, frame.len() as u64));
            return Ok(());
        }
        let (path, end) = match ends.remove(&zone) {
            Some(known) => known,
            None => newest_end(&folder)?,
        };
        let mut file = OpenOptions::new().write(true).open(&path)?;
        // What a crash cut off there is written over.
        file.set_len(end)?;
        file.seek(SeekFrom::Start(end))?;
        file.write_all(&frame)?;
        ends.insert(zone, (path, end + frame.len() as u64));
        Ok(())
    }

    /// Forgets what is more than the bound, oldest first, but of each zone the newest file.
    fn forget(&self) -> io::Result<()> {
        let mut old: Vec<(u64, u64, PathBuf)> = Vec::new();
        let mut bytes = 0;
        for folder in fs::read_dir(&self.directory)? {
            let folder = folder?.path();
            // Others may lie there too.
            let name = folder.file_name().and_then(|name| name.to_str());
            if name.is_none_or(|name| uuid::Uuid::try_parse(name).is_err()) {
                continue;
            }
            let mut segments = segments_in(&folder)?;
            if let Some(newest) = segments.pop() {
                bytes += fs::metadata(newest.path)?.len();
            }
            for segment in segments {
                let length = fs::metadata(&segment.path)?.len();
                bytes += length;
                old.push((segment.first, length, segment.path));
            }
        }
        old.sort();
        for (_, length, path) in old {
            if bytes <= self.bytes_at_most {
                break;
            }
            fs::remove_file(path)?;
            bytes -= length;
        }
        Ok(())
    }
}

fn segments_in(folder: &Path) -> io::Result<Vec<Segment>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut segments = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let is_ours = path.extension().is_some_and(|ending| ending == ENDING);
        if let Some(first) = stem.filter(|_| is_ours).and_then(|stem| stem.parse().ok()) {
            segments.push(Segment { first, path });
        }
    }
    segments.sort();
    Ok(segments)
}

/// The newest file of a folder, and where what can be read of it ends.
fn newest_end(folder: &Path) -> io::Result<(PathBuf, u64)> {
    let newest = segments_in(folder)?.pop();
    let newest = newest.ok_or_else(|| io::Error::other("there is nothing that it continues"))?;
    let last = frames(&newest.path)?.pop();
    Ok((
        newest.path,
        last.map_or(0, |frame| frame.at + frame.length as u64),
    ))
}

/// What can be read of a file.
fn frames(path: &Path) -> io::Result<Vec<Frame>> {
    let mut file = File::open(path)?;
    let end = file.metadata()?.len();
    let mut frames = Vec::new();
    let mut at = 0;
    loop {
        file.seek(SeekFrom::Start(at))?;
        let mut head = [0; HEAD];
        match file.read_exact(&mut head) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(frames),
            Err(error) => return Err(error),
        }
        let Some(frame) = Frame::parse(&head, at + HEAD as u64) else {
            return Ok(frames);
        };
        at = frame.at + frame.length as u64;
        if at > end {
            return Ok(frames);
        }
        frames.push(frame);
    }
}

fn check(body: &[u8]) -> [u8; 8] {
    let digest = Sha256::digest(body);
    digest.first_chunk().copied().unwrap_or_default()
}

impl Frame {
    fn parse(head: &[u8; HEAD], at: u64) -> Option<Self> {
        let (length, rest) = head.split_first_chunk()?;
        let ([is_whole], rest) = rest.split_first_chunk()?;
        let (first, rest) = rest.split_first_chunk()?;
        let (last, rest) = rest.split_first_chunk()?;
        Some(Self {
            label: PartLabel {
                first: u64::from_le_bytes(*first),
                last: u64::from_le_bytes(*last),
                is_whole: *is_whole == 1,
            },
            at,
            length: u32::from_le_bytes(*length) as usize,
            check: *rest.first_chunk()?,
        })
    }

    /// Its body; none when it is damaged.
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(self.at))?;
        let mut body = vec![0; self.length];
        file.read_exact(&mut body)?;
        Ok((check(&body) == self.check).then_some(body))
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;
    use velum_model::Id;

    use super::*;

    fn zone(n: u128) -> ZoneId {
        Id::from_uuid(Uuid::from_u128(n))
    }
    fn whole(at: u64) -> PartLabel {
        PartLabel {
            first: at,
            last: at,
            is_whole: true,
        }
    }
    fn changes(first: u64, last: u64) -> PartLabel {
        PartLabel {
            first,
            last,
            is_whole: false,
        }
    }

    async fn filled(files: &Files) -> Vec<PartLabel> {
        let all = [
            whole(10),
            changes(11, 12),
            changes(13, 20),
            whole(20),
            changes(21, 30),
        ];
        for label in all {
            let body = vec![label.first as u8; 100];
            files.add(zone(1), label, body).await.expect("written");
        }
        all.to_vec()
    }

    #[tokio::test]
    async fn parts_are_found_from_the_last_whole_on() {
        let directory = tempfile::tempdir().expect("a directory");
        let files = Files::new(directory.path().join("history"), 1 << 20);
        assert_eq!(files.reach(zone(1)).await.expect("read"), None);
        let all = filled(&files).await;
        let found = |epoch, until| files.labels(zone(1), epoch, until);
        assert_eq!(found(9, 99).await.expect("read"), []);
        assert_eq!(found(10, 12).await.expect("read"), all[..2]);
        assert_eq!(found(19, 25).await.expect("read"), all);
        assert_eq!(found(20, 25).await.expect("read"), all[3..]);
        assert_eq!(files.reach(zone(1)).await.expect("read"), Some((10, 30)));
        assert_eq!(files.reach(zone(2)).await.expect("read"), None);
        for label in all {
            let body = files.read(zone(1), label).await.expect("read");
            assert_eq!(body, Some(vec![label.first as u8; 100]));
        }
        assert_eq!(files.read(zone(1), changes(13, 14)).await.expect("read"), None);
    }

    #[tokio::test]
    async fn the_oldest_go_and_the_newest_stay() {
        let directory = tempfile::tempdir().expect("a directory");
        let files = Files::new(directory.path().join("history"), 1000);
        filled(&files).await;
        let other = vec![1; 900];
        files.add(zone(2), whole(25), other).await.expect("written");
        // Of the first zone the first file went; its second one and the other zone's only one stay, though they are too much.
        assert_eq!(files.reach(zone(1)).await.expect("read"), Some((20, 30)));
        assert_eq!(files.reach(zone(2)).await.expect("read"), Some((25, 25)));
    }

    #[tokio::test]
    async fn what_a_crash_cut_off_is_written_over_and_what_is_damaged_is_not_read() {
        let directory = tempfile::tempdir().expect("a directory");
        let files = Files::new(directory.path().join("history"), 1 << 20);
        filled(&files).await;
        let segment = files.inner.segments(zone(1)).expect("read").pop().expect("one");
        let length = fs::metadata(&segment.path).expect("read").len();
        let file = OpenOptions::new()
            .write(true)
            .open(&segment.path)
            .expect("opened");
        file.set_len(length - 1).expect("cut");
        // A server that starts again knows nothing of the end that was.
        let files = Files::new(directory.path().join("history"), 1 << 20);
        assert_eq!(files.reach(zone(1)).await.expect("read"), Some((10, 20)));
        files
            .add(zone(1), changes(21, 22), vec![7; 10])
            .await
            .expect("written");
        assert_eq!(files.reach(zone(1)).await.expect("read"), Some((10, 22)));
        let mut bytes = fs::read(&segment.path).expect("read");
        *bytes.last_mut().expect("a byte") ^= 1;
        fs::write(&segment.path, bytes).expect("written");
        assert_eq!(files.read(zone(1), changes(21, 22)).await.expect("read"), None);
    }
}
