//! Consoles: the terminal of a domain's serial line, both ways, and its log.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    net::unix::pipe,
};
use velum_model::{
    fault::{Fault, code},
    id::RunId,
};

use crate::disk::{io_fault, remove_durably};

/// Logs of an earlier turn of the file that the log daemon keeps.
const ROTATED: u32 = 8;

/// The logs of this node's consoles.
#[derive(Clone, Debug)]
pub struct Consoles {
    directory: PathBuf,
}

impl Consoles {
    /// In this directory, which exists.
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Where the serial console of a run is logged.
    #[must_use]
    pub fn log_path(&self, run: RunId) -> PathBuf {
        self.directory.join(format!("{run}.log"))
    }

    /// The last bytes of that log, at most `limit`; none when there is no log yet.
    ///
    /// # Errors
    /// What the disk says.
    pub fn tail(&self, run: RunId, limit: usize) -> Result<Vec<u8>, Fault> {
        let path = self.log_path(run);
        let failed = |e: io::Error| Fault {
            unchanged: true,
            ..io_fault("reading", &path, &e)
        };
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(failed(e)),
        };
        let length = file.seek(SeekFrom::End(0)).map_err(failed)?;
        file.seek(SeekFrom::Start(length.saturating_sub(limit as u64)))
            .map_err(failed)?;
        let mut bytes = Vec::new();
        file.take(limit as u64).read_to_end(&mut bytes).map_err(failed)?;
        Ok(bytes)
    }

    /// Removes the log of a run, with its earlier turns.
    ///
    /// # Errors
    /// What the disk says.
    pub fn remove(&self, run: RunId) -> Result<(), Fault> {
        let path = self.log_path(run);
        let mut all = vec![path.clone()];
        all.extend((0..ROTATED).map(|turn| PathBuf::from(format!("{}.{turn}", path.display()))));
        for path in all {
            remove_durably(&path).map_err(|e| io_fault("removing", &path, &e))?;
        }
        Ok(())
    }
}

/// An open terminal.
pub struct Terminal {
    from_guest: pipe::Receiver,
    to_guest: pipe::Sender,
}

impl Terminal {
    /// Opens the terminal that libvirt named.
    ///
    /// # Errors
    /// `UNSUPPORTED` when that is no terminal of this machine; `UNREACHABLE` when it went away.
    pub fn open(path: &str) -> Result<Self, Fault> {
        let is_terminal = path
            .strip_prefix("/dev/pts/")
            .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()));
        if !is_terminal {
            return Err(Fault::unchanged(
                code::UNSUPPORTED,
                format!("the console is at {path:?}, which is no terminal of this machine"),
            ));
        }
        let gone = |e: io::Error| {
            Fault::unchanged(
                code::UNREACHABLE,
                format!("the console at {path} cannot be opened: {e}"),
            )
        };
        let flags = OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::NOFOLLOW;
        let file = File::options()
            .read(true)
            .write(true)
            .custom_flags(flags.bits() as i32)
            .open(Path::new(path))
            .map_err(gone)?;
        if !file.metadata().map_err(gone)?.file_type().is_char_device() {
            return Err(Fault::unchanged(
                code::UNSUPPORTED,
                format!("{path} is no terminal"),
            ));
        }
        let second = file.try_clone().map_err(gone)?;
        // What these types need is a descriptor that can be polled, which a terminal is.
        Ok(Self {
            from_guest: pipe::Receiver::from_file_unchecked(file).map_err(gone)?,
            to_guest: pipe::Sender::from_file_unchecked(second).map_err(gone)?,
        })
    }

    /// Carries bytes both ways until either end closes.
    pub async fn carry(mut self, mut reader: impl AsyncRead + Unpin, mut writer: impl AsyncWrite + Unpin) {
        // A terminal whose other end closed answers with an error, not with an end: either is the end.
        tokio::select! {
            _ = tokio::io::copy(&mut self.from_guest, &mut writer) => {}
            _ = tokio::io::copy(&mut reader, &mut self.to_guest) => {}
        }
        // Over TLS this is what tells the end from a line that was cut.
        let _ = writer.shutdown().await;
    }
}
