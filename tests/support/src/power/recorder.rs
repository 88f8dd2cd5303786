//! A record of what a server writes to its SQLite database, and to other files that it must not lose.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs::{self, File},
    io::{BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::Context;

use super::trace::{Event, read};

/// The calls that change files. Those that the model does not know are among them, so that they are noticed.
/// A question mark stands before those that not every processor has.
const CALLS: &str = "pwrite64,write,writev,pwritev,pwritev2,ftruncate,truncate,fallocate,copy_file_range,fdatasync,fsync,\
sync_file_range,?open,?creat,openat,openat2,?unlink,unlinkat,?rename,?renameat,renameat2,?link,linkat";
/// The longest write is a page of the database.
const LONGEST: &str = "65536";
/// The recorder writes the rest of its buffer when the last thread is gone.
const ENDS_WITHIN: Duration = Duration::from_secs(30);

/// Records one process after another.
#[derive(Debug)]
pub struct Recorder {
    database: PathBuf,
    others: Vec<PathBuf>,
    trace: PathBuf,
}

impl Recorder {
    /// A recorder for this database file; what it writes goes to the file `trace`.
    ///
    /// # Errors
    /// When strace is not installed or may not look at other processes, or the directories are not there.
    pub fn new(database: &Path, trace: &Path) -> anyhow::Result<Self> {
        let tried = Command::new("strace")
            .args(["-D", "-f", "--seccomp-bpf", "-o", "/dev/null", "true"])
            .output()
            .context("strace is not installed: apt-get install strace")?;
        anyhow::ensure!(
            tried.status.success(),
            "strace cannot record a process here: {}",
            String::from_utf8_lossy(&tried.stderr)
        );
        Ok(Self {
            database: whole(database)?,
            others: Vec::new(),
            trace: whole(trace)?,
        })
    }

    /// Records these files, too; each is written from its beginning to its end.
    ///
    /// # Errors
    /// When a directory is not there.
    pub fn also(mut self, files: &[PathBuf]) -> anyhow::Result<Self> {
        for file in files {
            self.others.push(whole(file)?);
        }
        Ok(self)
    }

    /// The database's file, as the record names it.
    #[must_use]
    pub fn database(&self) -> &Path {
        &self.database
    }

    /// The database's log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.beside("-wal")
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut path = self.database.clone().into_os_string();
        path.push(ending);
        path.into()
    }

    /// Every file that is recorded. Of the database all that outlives a machine: what readers share in memory does not.
    fn paths(&self) -> Vec<PathBuf> {
        let mut paths = vec![self.database.clone(), self.log(), self.beside("-journal")];
        paths.extend(self.others.iter().cloned());
        paths
    }

    /// The directories that they are in.
    fn directories(&self) -> BTreeSet<PathBuf> {
        let paths = self.paths();
        paths
            .iter()
            .filter_map(|path| path.parent())
            .map(Path::to_owned)
            .collect()
    }

    /// What a process is started under to be recorded. It stays the child that was started; the recorder is beside it.
    #[must_use]
    pub fn under(&self) -> Vec<OsString> {
        let mut under: Vec<OsString> = [
            "strace",
            "-D",
            "-f",
            "--seccomp-bpf",
            "-q",
            "-a",
            "1",
            "-y",
            "-ttt",
            "-xx",
            "-s",
        ]
        .map(OsString::from)
        .into();
        under.extend([LONGEST.into(), "-e".into(), format!("trace={CALLS}").into()]);
        for path in self.paths().into_iter().chain(self.directories()) {
            under.extend(["-P".into(), path.into_os_string()]);
        }
        under.extend(["-o".into(), self.trace.clone().into_os_string()]);
        under
    }

    /// The files as they are.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn files(&self) -> anyhow::Result<BTreeMap<PathBuf, Vec<u8>>> {
        let mut files = BTreeMap::new();
        for path in self.paths() {
            if path.exists() {
                let bytes = fs::read(&path).with_context(|| format!("could not read {}", path.display()))?;
                files.insert(path, bytes);
            }
        }
        Ok(files)
    }

    /// Puts these files in the place of those that are there.
    ///
    /// # Errors
    /// When one cannot be removed or written.
    pub fn replace(&self, files: &BTreeMap<PathBuf, Vec<u8>>) -> anyhow::Result<()> {
        let mut paths = self.paths();
        paths.push(self.beside("-shm"));
        for path in paths.iter().filter(|path| path.exists()) {
            fs::remove_file(path).with_context(|| format!("could not remove {}", path.display()))?;
        }
        for (path, bytes) in files {
            fs::write(path, bytes).with_context(|| format!("could not write {}", path.display()))?;
        }
        Ok(())
    }

    /// What the process of this id did from its start to its end; waits for the recorder to have written all of it.
    ///
    /// # Errors
    /// When the process does not end, or the record does not read.
    pub async fn events(&self, process: u32) -> anyhow::Result<Vec<Event>> {
        let began = Instant::now();
        while !self.is_whole(process)? {
            anyhow::ensure!(
                began.elapsed() < ENDS_WITHIN,
                "the record in {} has no end",
                self.trace.display()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let mut wanted = self.directories();
        wanted.extend(self.paths());
        let file = File::open(&self.trace).context("could not open the record")?;
        read(BufReader::with_capacity(1 << 20, file), |path| {
            wanted.contains(path)
        })
    }

    /// Bytes of the record.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        fs::metadata(&self.trace).map_or(0, |metadata| metadata.len())
    }

    /// Whether the record tells how the process ended: its last line, for its first thread is the last to go.
    fn is_whole(&self, process: u32) -> anyhow::Result<bool> {
        let Ok(mut file) = File::open(&self.trace) else {
            return Ok(false);
        };
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(4096)))?;
        let mut tail = Vec::new();
        file.read_to_end(&mut tail)?;
        let tail = String::from_utf8_lossy(&tail);
        let first = process.to_string();
        Ok(tail.ends_with('\n')
            && tail.lines().any(|line| {
                line.split(' ').next() == Some(&first)
                    && (line.contains("+++ exited") || line.contains("+++ killed"))
            }))
    }
}

/// A file in a directory that is there, by the path that the kernel tells of it.
fn whole(path: &Path) -> anyhow::Result<PathBuf> {
    let directory = path.parent().context("a file without a directory")?;
    let directory = directory.canonicalize()?;
    Ok(directory.join(path.file_name().context("a file without a name")?))
}
