//! Programs that the node runs: an argument vector, nothing inherited, limits, killed when their time is over.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    path::Path,
    process::Stdio,
    time::Duration,
};

use tokio::{io::AsyncReadExt as _, process::Command};
use velum_model::fault::{Fault, code};

/// What is kept of a program's complaint: its first lines.
const COMPLAINT: usize = 2048;

/// Address space of qemu-img: its caches stay far below; an image made to exhaust memory ends here.
const ADDRESS_SPACE: u64 = 2 << 30;

/// How `qemu-img` is jailed, as found out once at start.
#[derive(Clone, Debug)]
pub struct Tools {
    /// Program and arguments before `qemu-img`.
    jail: Vec<OsString>,
    /// The same for what works on a unit at a portal: all but a network of its own.
    online: Vec<OsString>,
}

/// A program that failed.
#[derive(Debug)]
pub enum Failed {
    /// It could not be started.
    Start(std::io::Error),
    /// It ended with a complaint.
    Complaint(String),
    /// Its time was over, and it was killed.
    TimedOut,
}

impl Failed {
    /// The fault for it.
    #[must_use]
    pub fn fault(self, doing: &str) -> Fault {
        match self {
            Self::Start(error) => Fault::unchanged(
                code::FAILED,
                format!("{doing}: the program could not be started: {error}"),
            ),
            Self::Complaint(text) if text.contains("No space left") => {
                Fault::new(code::EXHAUSTED, format!("{doing}: {text}"))
            }
            Self::Complaint(text) => Fault::new(code::FAILED, format!("{doing}: {text}")),
            Self::TimedOut => Fault::new(
                code::DEADLINE,
                format!("{doing}: it took too long and was stopped"),
            ),
        }
    }
}

impl Tools {
    /// Finds out which parts of the jail work here: an end together with the node's (so that nothing writes beside what
    /// the next node begins), resource limits, and a network name space of its own (that needs root or user name spaces).
    pub async fn probe() -> Self {
        let limits = [
            OsString::from("prlimit"),
            format!("--as={ADDRESS_SPACE}").into(),
            "--core=0".into(),
            "--nofile=64".into(),
            "--".into(),
        ];
        let mut jail: Vec<OsString> = Vec::new();
        let mut online = Vec::new();
        for part in [
            ["setpriv", "--pdeathsig", "KILL", "--"]
                .map(OsString::from)
                .to_vec(),
            limits.to_vec(),
            vec!["unshare".into(), "--net".into(), "--".into()],
        ] {
            let mut longer = jail.clone();
            longer.extend(part);
            let mut probing = longer.clone();
            probing.push("true".into());
            if run(&probing, Path::new("/"), None, Duration::from_secs(5))
                .await
                .is_ok()
            {
                if !longer.iter().any(|word| word == "unshare") {
                    online.clone_from(&longer);
                }
                jail = longer;
            } else {
                tracing::warn!(part = ?longer.first(), "qemu-img runs without a part of its jail here");
            }
        }
        Self { jail, online }
    }

    /// Runs `qemu-img` in `directory` with `input` as its descriptor 0, within a time.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn qemu_img<S: AsRef<OsStr>>(
        &self,
        arguments: &[S],
        directory: &Path,
        input: Option<File>,
        within: Duration,
    ) -> Result<(), Failed> {
        qemu_img(&self.jail, arguments, directory, input, within).await
    }

    /// The same with the machine's network: for a unit at a portal.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn qemu_img_online<S: AsRef<OsStr>>(
        &self,
        arguments: &[S],
        directory: &Path,
        input: Option<File>,
        within: Duration,
    ) -> Result<(), Failed> {
        qemu_img(&self.online, arguments, directory, input, within).await
    }
}

async fn qemu_img<S: AsRef<OsStr>>(
    jail: &[OsString],
    arguments: &[S],
    directory: &Path,
    input: Option<File>,
    within: Duration,
) -> Result<(), Failed> {
    let mut whole = jail.to_vec();
    whole.push("qemu-img".into());
    whole.extend(arguments.iter().map(|a| a.as_ref().to_owned()));
    run(&whole, directory, input, within).await
}

/// Runs a program to its end.
///
/// # Errors
/// [`Failed`].
pub async fn run(
    program: &[OsString],
    directory: &Path,
    input: Option<File>,
    within: Duration,
) -> Result<(), Failed> {
    let Some((name, arguments)) = program.split_first() else {
        return Err(Failed::Complaint("no program was named".to_owned()));
    };
    let mut child = Command::new(name)
        .args(arguments)
        .env_clear()
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .env("LC_ALL", "C")
        .current_dir(directory)
        .stdin(input.map_or_else(Stdio::null, Stdio::from))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(Failed::Start)?;
    let stderr = child.stderr.take();
    let ended = async {
        let mut complaint = Vec::new();
        if let Some(mut stderr) = stderr {
            // Read all, keep the beginning: a full pipe would block the program.
            let mut buffer = [0; 1024];
            while let Ok(count @ 1..) = stderr.read(&mut buffer).await {
                let room = COMPLAINT.saturating_sub(complaint.len());
                complaint.extend_from_slice(&buffer[..count.min(room)]);
            }
        }
        (child.wait().await, complaint)
    };
    match tokio::time::timeout(within, ended).await {
        Ok((Ok(status), _)) if status.success() => Ok(()),
        Ok((Ok(status), complaint)) => {
            let text = String::from_utf8_lossy(&complaint);
            Err(Failed::Complaint(format!("{} ({status})", text.trim())))
        }
        Ok((Err(error), _)) => Err(Failed::Complaint(error.to_string())),
        // Dropping the child kills it.
        Err(_) => Err(Failed::TimedOut),
    }
}
