//! Image files in a pool's one directory.
//!
//! ```text
//! DIRECTORY/NAME               an image
//! DIRECTORY/.velum/made/NAME   which effect made it, and of which format: written before the image is there
//! DIRECTORY/.velum/tmp/        what is being made
//! ```
//! An image appears whole or not at all: it is made in `tmp`, synced, and renamed.

mod look;
mod make;

use std::{
    fs::DirBuilder,
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;
use velum_connector::message::files::FilesVerb;
use velum_model::{
    fault::{Fault, code},
    port::{
        Job, Outcome,
        storage::{Space, registry},
    },
};

pub use self::make::{fill, template};
use crate::{
    disk::{blocking, io_fault, open_regular, remove_durably, sync_directory, unfinished},
    gate::Permit,
    image::inspect::ImageKind,
    jobs::Jobs,
    roots::Roots,
    tool::Tools,
};

/// How long making a file may take: it only writes headers.
const MAKING: Duration = Duration::from_secs(60);

/// How long a copy may take.
pub const COPYING: Duration = Duration::from_secs(60 * 60);

/// How long a copy is waited for before it becomes a token to be polled.
const PATIENCE: Duration = Duration::from_secs(2);

/// When a token shall be polled again.
const POLL_MS: u32 = 1000;

/// The longest name of a file.
const MAX_NAME: usize = 128;

/// Image files below the allowed directories.
#[derive(Clone)]
pub struct Files {
    roots: Roots,
    tools: Tools,
    jobs: Jobs,
}

/// Who made a file, and as what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Made {
    effect: Uuid,
    format: u16,
}

/// A file to be made.
struct Wanted {
    effect: Uuid,
    name: String,
    format: u16,
    bytes: u64,
    backing: Option<String>,
}

/// The kind of a format code.
///
/// # Errors
/// `UNSUPPORTED` for codes that are none of ours.
pub fn kind_of(format: u16) -> Result<ImageKind, Fault> {
    match format {
        registry::FORMAT_RAW => Ok(ImageKind::Raw),
        registry::FORMAT_QCOW2 => Ok(ImageKind::Qcow2),
        other => Err(Fault::unchanged(
            code::UNSUPPORTED,
            format!("format {other} is not known here: raw (1) and qcow2 (2) are"),
        )),
    }
}

fn check_name(name: &str) -> Result<(), Fault> {
    let fits = !name.is_empty()
        && name.len() <= MAX_NAME
        && !name.starts_with('.')
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-'));
    if fits {
        Ok(())
    } else {
        Err(Fault::unchanged(
            code::INVALID,
            format!(
                "{name:?} is no name of a file: 1 to {MAX_NAME} of a-z, 0-9, '.', '_', '-', not beginning with a dot"
            ),
        ))
    }
}

/// The parts of a pool's directory.
#[derive(Clone)]
struct Directory(PathBuf);

impl Directory {
    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
    fn made(&self, name: &str) -> PathBuf {
        self.0.join(".velum/made").join(name)
    }
    fn tmp(&self) -> PathBuf {
        self.0.join(".velum/tmp")
    }

    /// What becomes an image of this name. Named by it, so that whoever removes the image removes this too.
    fn new_file(&self, name: &str) -> PathBuf {
        self.tmp().join(name)
    }

    /// What becomes the content of a volume.
    fn new_filling(&self, name: &str) -> PathBuf {
        self.tmp().join(format!("{name}.fill"))
    }

    /// All that there may be of an image beside itself.
    fn beside(&self, name: &str) -> [PathBuf; 4] {
        [
            self.made(name),
            unfinished(&self.made(name)),
            self.new_file(name),
            self.new_filling(name),
        ]
    }

    /// Makes what is missing of the node's own part.
    fn prepare(&self) -> Result<(), Fault> {
        for part in [".velum", ".velum/made", ".velum/tmp"] {
            let path = self.0.join(part);
            match DirBuilder::new().mode(0o755).create(&path) {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(io_fault("making", &path, &e));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Files {
    /// Directories below `roots`.
    #[must_use]
    pub fn new(roots: Roots, tools: Tools) -> Self {
        Self {
            roots,
            tools,
            jobs: Jobs::default(),
        }
    }

    async fn open(&self, directory: &str, change: bool) -> Result<Directory, Fault> {
        let directory = Directory(PathBuf::from(directory));
        let roots = self.roots.clone();
        blocking(move || {
            roots.writable_directory(&directory.0)?;
            if change {
                directory.prepare()?;
            }
            Ok(directory)
        })
        .await
    }

    /// Answers a question about the directory.
    ///
    /// # Errors
    /// As [`FilesVerb`] says.
    pub async fn ask(&self, directory: &str, verb: FilesVerb) -> Result<Value, Fault> {
        match verb {
            FilesVerb::Poll { token } => return self.poll(&token).await,
            FilesVerb::Cancel { token } => {
                self.jobs.cancel(&token);
                return Ok(Value::Null);
            }
            _ => {}
        }
        let directory = self.open(directory, false).await?;
        blocking(move || match verb {
            FilesVerb::Space => space(&directory.0).map(|space| json!(space)),
            FilesVerb::Entries { after, limit } => {
                look::entries(&directory, after.as_deref(), limit).map(|found| json!(found))
            }
            FilesVerb::Inspect { name } => {
                check_name(&name)?;
                look::remains(&directory, &name).map(|found| json!(found))
            }
            FilesVerb::Locate { name } => {
                check_name(&name)?;
                let path = directory.file(&name);
                open_regular(&path, false).map_err(|e| unchanged(io_fault("opening", &path, &e)))?;
                Ok(json!(path.display().to_string()))
            }
            _ => Err(Fault::unchanged(
                code::INVALID,
                "an effect came without its fence",
            )),
        })
        .await
    }

    /// Does an effect in the directory, in the gate's critical section, and remembers its answer there.
    ///
    /// # Errors
    /// As [`FilesVerb`] says.
    pub async fn act(
        &self,
        directory: &str,
        verb: FilesVerb,
        effect: Uuid,
        permit: Permit,
    ) -> Result<Value, Fault> {
        let directory = self.open(directory, true).await?;
        let answer = match verb {
            FilesVerb::Create {
                name,
                format,
                bytes,
                backing,
            } => {
                let wanted = Wanted {
                    effect,
                    name,
                    format,
                    bytes,
                    backing,
                };
                make::create(&self.tools, &directory, wanted).await?;
                json!(Outcome::Done(Vec::new()))
            }
            FilesVerb::Copy { source, name, format } => {
                return self.copy(directory, effect, (source, name, format), permit).await;
            }
            FilesVerb::Resize { name, bytes } => {
                make::resize(&self.tools, &directory, &name, bytes).await?;
                Value::Null
            }
            FilesVerb::Remove { name } => {
                check_name(&name)?;
                blocking(move || remove(&directory, &name)).await?
            }
            _ => return Err(Fault::unchanged(code::INVALID, "a question came as an effect")),
        };
        permit.done(&answer).await?;
        Ok(answer)
    }

    /// Begins a copy; the work takes the object's critical section with it.
    async fn copy(
        &self,
        directory: Directory,
        effect: Uuid,
        (source, name, format): (String, String, u16),
        mut permit: Permit,
    ) -> Result<Value, Fault> {
        let tools = self.tools.clone();
        let token = effect.to_string();
        permit.is_long();
        let joined = self.jobs.join(&token, async move {
            make::copy(&tools, &directory, effect, &source, (&name, format)).await?;
            let answer = json!(Outcome::Done(Vec::new()));
            permit.done(&answer).await?;
            Ok(answer)
        });
        match tokio::time::timeout(PATIENCE, joined.answer()).await {
            Ok(answer) => answer,
            Err(_) => Ok(json!(working(token))),
        }
    }

    /// How a copy goes on that was asked for before under this effect, if one is under way.
    pub async fn rejoin(&self, effect: Uuid) -> Option<Result<Value, Fault>> {
        let token = effect.to_string();
        self.jobs.find(&token)?;
        Some(self.poll(&token).await)
    }

    async fn poll(&self, token: &str) -> Result<Value, Fault> {
        let joined = self.jobs.find(token).ok_or_else(|| {
            Fault::unchanged(
                code::NOT_FOUND,
                "nothing is known of this work (the node was restarted, or its end was told): ask for it again",
            )
        })?;
        match tokio::time::timeout(PATIENCE, joined.answer()).await {
            Ok(answer) => answer,
            Err(_) => Ok(json!(working(token.to_owned()))),
        }
    }
}

fn working(token: String) -> Outcome {
    Outcome::Working(Job {
        token,
        poll_after_ms: POLL_MS,
        permyriad: None,
        cancellable: true,
        note: "copying an image".to_owned(),
    })
}

fn unchanged(fault: Fault) -> Fault {
    Fault {
        unchanged: true,
        ..fault
    }
}

fn space(directory: &Path) -> Result<Space, Fault> {
    let stat = rustix::fs::statvfs(directory)
        .map_err(|e| unchanged(io_fault("asking for the room of", directory, &e.into())))?;
    Ok(Space {
        capacity_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
        free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
    })
}

fn remove(directory: &Directory, name: &str) -> Result<Value, Fault> {
    if let Some(clone) = look::clone_of(directory, name)? {
        return Err(Fault::unchanged(
            code::BUSY,
            format!("{name} is what {clone} was cloned from"),
        ));
    }
    let path = directory.file(name);
    // The image first: a marker without an image is nothing, an image without a marker would be nobody's.
    remove_durably(&path).map_err(|e| io_fault("removing", &path, &e))?;
    for rest in directory.beside(name) {
        remove_durably(&rest).map_err(|e| io_fault("removing", &rest, &e))?;
    }
    sync_directory(&directory.0).map_err(|e| io_fault("syncing", &directory.0, &e))?;
    Ok(Value::Null)
}

#[cfg(test)]
mod tests;
