//! Compiling, in a process of its own that can be killed: what a component costs there is not this server's.

use std::{
    ffi::OsString,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::{io::AsyncReadExt, process::Command};
use velum_model::port::plugins::PluginRefused;

use crate::{
    engine::EngineKind,
    limits::Limits,
    process::{Uids, confine_compiler, told_uid},
};

/// The first argument of the compiling child: `velumd --compile-component KIND IN OUT CPU_SECONDS MEMORY_BYTES
/// [UID]`.
pub const ARGUMENT: &str = "--compile-component";

/// How much lower than the server's the compiler's priority is: an install may take seconds, a request may not.
const NICE: i32 = 10;
/// How much of the child's complaint is kept: a compiler's message names a function and a reason.
const COMPLAINT_BYTES: u64 = 4096;

/// What the compiling child does, to be called by the server's `main` when its first argument is [`ARGUMENT`];
/// `arguments` are those behind it. Limits itself before it reads anything.
#[must_use]
pub fn compile_child_main(arguments: &[OsString]) -> ExitCode {
    match compile_child(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            // This process has no log: its parent reads what it complains of.
            let _ = writeln!(std::io::stderr(), "{problem}");
            ExitCode::FAILURE
        }
    }
}

fn compile_child(arguments: &[OsString]) -> Result<(), String> {
    let [kind, from, into, cpu, memory, uid @ ..] = arguments else {
        return Err(format!("{ARGUMENT} KIND IN OUT CPU_SECONDS MEMORY_BYTES [UID]"));
    };
    let uid = told_uid(uid.first()).map_err(|error| error.to_string())?;
    let number = |text: &OsString| -> Result<u64, String> {
        text.to_str()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| format!("{} is not a number", text.to_string_lossy()))
    };
    let kind = kind
        .to_str()
        .and_then(EngineKind::parse)
        .ok_or("the kind is policy or driver")?;
    confine(number(cpu)?, number(memory)?)?;
    // Who compiles waits for who serves; a system that does not allow it runs it at the server's priority.
    let _ = rustix::process::nice(NICE);
    let bytes = fs::read(from).map_err(|error| format!("reading the component: {error}"))?;
    let mut output = fs::File::create(into).map_err(|error| format!("opening the result: {error}"))?;
    let engine = kind
        .engine()
        .map_err(|error| format!("starting the compiler: {error:#}"))?;
    confine_compiler(uid).map_err(|error| format!("confining the compiler: {error}"))?;
    let code = engine
        .precompile_component(&bytes)
        .map_err(|error| format!("{error:#}"))?;
    output
        .write_all(&code)
        .map_err(|error| format!("writing the result: {error}"))
}

fn confine(cpu_seconds: u64, memory_bytes: u64) -> Result<(), String> {
    let limits = [
        (Resource::Cpu, cpu_seconds),
        (Resource::As, memory_bytes),
        // No core dumps of foreign code, and no result larger than what is mapped.
        (Resource::Core, 0),
        (Resource::Fsize, memory_bytes),
    ];
    for (resource, bound) in limits {
        let limit = Rlimit {
            current: Some(bound),
            maximum: Some(bound),
        };
        setrlimit(resource, limit).map_err(|error| format!("limiting the compiler: {error}"))?;
    }
    Ok(())
}

/// Starts compiling children, one at a time.
#[derive(Debug)]
pub struct Compiler {
    /// The program and its leading arguments, [`ARGUMENT`] the last of them.
    command: Vec<OsString>,
    /// The uids that children have; none: the server's own.
    uids: Option<Arc<Uids>>,
    /// One compilation may take two cores and 2 GiB: two at once are more than a small server has.
    one: tokio::sync::Semaphore,
}

impl Compiler {
    /// Compiles with `command` (the server's own executable), which may end with [`ARGUMENT`].
    #[must_use]
    pub fn new(mut command: Vec<OsString>, uids: Option<Arc<Uids>>) -> Self {
        if command.len() < 2 || command.last().is_none_or(|last| last != ARGUMENT) {
            command.push(ARGUMENT.into());
        }
        Self {
            command,
            uids,
            one: tokio::sync::Semaphore::new(1),
        }
    }

    /// Compiles the component in `from`. Answers the code and how long it took.
    ///
    /// # Errors
    /// [`PluginRefused::Compile`] when it takes too much or fails, [`PluginRefused::Server`] when the child cannot run.
    pub async fn compile(
        &self,
        kind: EngineKind,
        from: &Path,
        limits: &Limits,
    ) -> Result<(Vec<u8>, Duration), PluginRefused> {
        let _one = self
            .one
            .acquire()
            .await
            .map_err(|_| PluginRefused::Server("the compiler was closed".to_owned()))?;
        let into = Scratch(from.with_extension("compiling"));
        let began = Instant::now();
        self.run(kind, from, &into.0, limits).await?;
        let code = tokio::fs::read(&into.0)
            .await
            .map_err(|error| PluginRefused::Server(format!("the compiled code: {error}")))?;
        Ok((code, began.elapsed()))
    }

    async fn run(
        &self,
        kind: EngineKind,
        from: &Path,
        into: &Path,
        limits: &Limits,
    ) -> Result<(), PluginRefused> {
        let server = |error: std::io::Error| PluginRefused::Server(format!("the compiling process: {error}"));
        let (program, leading) = self
            .command
            .split_first()
            .ok_or_else(|| PluginRefused::Server("no compiling process is configured".to_owned()))?;
        let mut child = Command::new(program)
            .args(leading)
            .arg(kind.as_str())
            .arg(from)
            .arg(into)
            .arg(limits.compile_cpu_seconds.to_string())
            .arg(limits.compile_memory_bytes.to_string())
            .args(self.uids.as_ref().map(|uids| uids.next().to_string()))
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(server)?;
        let mut complaint = Vec::new();
        let stderr = child.stderr.take();
        let waited = tokio::time::timeout(limits.compile_wall, async {
            if let Some(stderr) = stderr {
                stderr.take(COMPLAINT_BYTES).read_to_end(&mut complaint).await?;
            }
            child.wait().await
        })
        .await;
        match waited {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(PluginRefused::Compile(explain(status, &complaint))),
            Ok(Err(error)) => Err(server(error)),
            Err(_) => {
                child.kill().await.map_err(server)?;
                Err(PluginRefused::Compile(format!(
                    "it took longer than {} s and was killed",
                    limits.compile_wall.as_secs()
                )))
            }
        }
    }
}

fn explain(status: std::process::ExitStatus, complaint: &[u8]) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    let text: String = String::from_utf8_lossy(complaint)
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(1000)
        .collect();
    match status.signal() {
        Some(signal) => format!("the compiler was ended by signal {signal} (CPU or memory limit); {text}"),
        None => text.trim().to_owned(),
    }
}

/// A file that is removed in every case.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // Not being there is the normal case after a failure.
        let _ = fs::remove_file(&self.0);
    }
}
