//! The gate's log: one line a record, a checksum before it. Written and synced by a thread of its own, which syncs once
//! for all records that wait. Only what is on disk is in the [`Image`].

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
};

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;

use super::image::{Image, Record};

/// Records that may wait for the disk: more than all calls in flight.
const QUEUE: usize = 1024;

/// Compacted when it has grown by this much: a few seconds of reading at the next start.
const GROWTH: u64 = 32 << 20;

/// Hexadecimal digits of the checksum before each record: 64 bits of SHA-256.
const CHECK: usize = 16;

/// Why the gate's log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The disk failed.
    #[error("{doing} {path} failed")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A record before the last one is damaged: what was seen is not known, so nothing may act.
    #[error(
        "{path}, line {line}, is damaged, and not as its end: move it away only if no older server can come back"
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
    },
    /// Writing failed before and could not be taken back.
    #[error("the log is closed after an earlier failure; restart the node when its disk works")]
    Closed,
}

struct Waiting {
    record: Record,
    durable: oneshot::Sender<Result<(), LogError>>,
}

/// The writing end.
pub(super) struct Log {
    queue: mpsc::SyncSender<Waiting>,
}

impl Log {
    /// Reads what is there, compacts it, starts the thread.
    pub(super) fn open(directory: &Path) -> Result<(Arc<Mutex<Image>>, Self), LogError> {
        let path = directory.join("gate.log");
        let mut image = replay(&path)?;
        let file = rewrite(&path, &image.compacted())?;
        let image = Arc::new(Mutex::new(image));
        let (queue, waiting) = mpsc::sync_channel(QUEUE);
        let writer = Writer {
            path: path.clone(),
            file,
            image: Arc::clone(&image),
            grown: 0,
        };
        std::thread::Builder::new()
            .name("gate-log".to_owned())
            .spawn(move || writer.run(&waiting))
            .map_err(|source| LogError::Io {
                doing: "starting the thread of",
                path,
                source,
            })?;
        Ok((image, Self { queue }))
    }

    /// Returns when the record is on disk and in the image.
    pub(super) async fn append(&self, record: Record) -> Result<(), LogError> {
        let (durable, is_durable) = oneshot::channel();
        // The queue holds more than the calls that are let in, so this does not block.
        self.queue
            .try_send(Waiting { record, durable })
            .map_err(|_| LogError::Closed)?;
        is_durable.await.map_err(|_| LogError::Closed)?
    }
}

fn line(record: &Record) -> Result<String, io::Error> {
    let json = serde_json::to_string(record).map_err(io::Error::other)?;
    Ok(format!("{} {json}\n", check(json.as_bytes())))
}

fn check(bytes: &[u8]) -> String {
    let mut sum = hex::encode(Sha256::digest(bytes));
    sum.truncate(CHECK);
    sum
}

fn parse(line: &[u8]) -> Option<Record> {
    let (sum, rest) = line.split_at_checked(CHECK)?;
    let json = rest.strip_prefix(b" ")?;
    if check(json).as_bytes() != sum {
        return None;
    }
    serde_json::from_slice(json).ok()
}

/// Adds up what is on disk. A torn end is what a power cut leaves of a record that nobody was told of.
fn replay(path: &Path) -> Result<Image, LogError> {
    let failed = |doing, source| LogError::Io {
        doing,
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(mut file) => file.read_to_end(&mut bytes).map_err(|e| failed("reading", e))?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => 0,
        Err(e) => return Err(failed("opening", e)),
    };
    let mut image = Image::default();
    let mut bad = None;
    for (number, line) in bytes.split_inclusive(|b| *b == b'\n').enumerate() {
        let whole = line.strip_suffix(b"\n").and_then(parse);
        match (whole, bad) {
            (Some(record), None) => image.apply(record),
            // A whole record after a bad one: that was no torn end.
            (Some(_), Some(line)) => {
                return Err(LogError::Damaged {
                    path: path.to_owned(),
                    line,
                });
            }
            (None, None) => bad = Some(number + 1),
            (None, Some(_)) => {}
        }
    }
    if let Some(line) = bad {
        tracing::warn!(path = %path.display(), line, "the gate's log ended in a torn record; it was dropped");
    }
    Ok(image)
}

/// Writes these records as the whole log: beside it, synced, renamed over it.
fn rewrite(path: &Path, records: &[Record]) -> Result<File, LogError> {
    let new = path.with_extension("log.new");
    let all = || -> io::Result<File> {
        let mut text = String::new();
        for record in records {
            text.push_str(&line(record)?);
        }
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, path)?;
        if let Some(parent) = path.parent() {
            File::open(parent)?.sync_all()?;
        }
        Ok(file)
    };
    all().map_err(|source| LogError::Io {
        doing: "rewriting",
        path: path.to_owned(),
        source,
    })
}

struct Writer {
    path: PathBuf,
    file: File,
    image: Arc<Mutex<Image>>,
    grown: u64,
}

impl Writer {
    fn run(mut self, waiting: &mpsc::Receiver<Waiting>) {
        while let Ok(first) = waiting.recv() {
            let mut batch = vec![first];
            batch.extend(waiting.try_iter().take(QUEUE));
            let written = self.write(&batch);
            let closed = matches!(written, Err((_, false)));
            for Waiting { record, durable } in batch {
                let answer = match &written {
                    Ok(()) => {
                        self.image.lock().apply(record);
                        Ok(())
                    }
                    Err((error, _)) => Err(LogError::Io {
                        doing: "appending to",
                        path: self.path.clone(),
                        source: io::Error::new(error.kind(), error.to_string()),
                    }),
                };
                // Whoever asked may have stopped waiting; the record counts all the same.
                let _ = durable.send(answer);
            }
            if closed {
                tracing::error!(path = %self.path.display(), "the gate's log is closed: nothing may act any more");
                return;
            }
            self.compact_if_grown();
        }
    }

    /// Appends and syncs; on failure says whether the file is as before.
    fn write(&mut self, batch: &[Waiting]) -> Result<(), (io::Error, bool)> {
        let before = self.file.stream_position().map_err(|e| (e, false))?;
        match self.append(batch) {
            Ok(length) => {
                self.grown += length;
                Ok(())
            }
            Err(error) => {
                // A full disk: take back what was half written, so that the next record does not follow garbage.
                let taken_back = self
                    .file
                    .set_len(before)
                    .and_then(|()| self.file.seek(SeekFrom::Start(before)))
                    .and_then(|_| self.file.sync_data());
                Err((error, taken_back.is_ok()))
            }
        }
    }

    fn append(&mut self, batch: &[Waiting]) -> io::Result<u64> {
        let mut text = String::new();
        for waiting in batch {
            text.push_str(&line(&waiting.record)?);
        }
        self.file.write_all(text.as_bytes())?;
        self.file.sync_data()?;
        Ok(text.len() as u64)
    }

    fn compact_if_grown(&mut self) {
        if self.grown < GROWTH {
            return;
        }
        let records = self.image.lock().compacted();
        match rewrite(&self.path, &records) {
            Ok(file) => self.file = file,
            // The old file goes on; the next try is after as much again.
            Err(error) => tracing::warn!(%error, "compacting the gate's log failed"),
        }
        self.grown = 0;
    }
}
