//! The programs that stand for the far side while a suite runs.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::settings::{ProcessSettings, Settings, put};

/// How long a program may take until it is ready: a simulator needs milliseconds, a real one may start a database.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How often a path is looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Why the far side is not there.
#[derive(Debug, thiserror::Error)]
pub enum FarSideError {
    /// A program or directory.
    #[error("conformance.toml: process: could not {attempt}")]
    Start {
        /// What was attempted.
        attempt: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The settings.
    #[error("conformance.toml: process.{field}: {problem}")]
    Setting {
        /// Which key.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A program that does not get ready.
    #[error("conformance.toml: process: {program} {problem}")]
    NotReady {
        /// Which.
        program: String,
        /// What it did instead.
        problem: String,
    },
}

/// Programs that were started; they are ended when this is dropped.
#[derive(Debug)]
pub struct FarSide {
    processes: Vec<Child>,
    settings: Settings,
}

impl FarSide {
    /// Starts what the settings name, one after another, each when the one before is ready. Programs are looked for in
    /// `programs` first, then on the path. `scratch` is what `{scratch}` stands for.
    ///
    /// # Errors
    /// [`FarSideError`]; what was started is ended.
    pub async fn start(
        settings: &Settings,
        scratch: &Path,
        programs: Option<&Path>,
    ) -> Result<Self, FarSideError> {
        let mut names = BTreeMap::from([("scratch".to_owned(), scratch.display().to_string())]);
        let mut processes = Vec::new();
        for process in &settings.processes {
            processes.push(start(process, programs, &mut names).await?);
        }
        Ok(Self {
            processes,
            settings: settings.resolved(&names),
        })
    }

    /// The settings with what the programs said of themselves.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether all programs still run.
    pub fn is_running(&mut self) -> bool {
        self.processes
            .iter_mut()
            .all(|process| matches!(process.try_wait(), Ok(None)))
    }
}

async fn start(
    process: &ProcessSettings,
    programs: Option<&Path>,
    names: &mut BTreeMap<String, String>,
) -> Result<Child, FarSideError> {
    for directory in &process.directories {
        let directory = put(directory, names);
        std::fs::create_dir_all(&directory).map_err(|source| FarSideError::Start {
            attempt: format!("make the directory {directory}"),
            source,
        })?;
    }
    let Some((program, arguments)) = process.command.split_first() else {
        return Err(FarSideError::Setting {
            field: "command",
            problem: "is empty: it names a program and its arguments".to_owned(),
        });
    };
    let program = put(program, names);
    let mut child = Command::new(found(&program, programs))
        .args(arguments.iter().map(|argument| put(argument, names)))
        // Also for what a shell in the command starts.
        .env("PATH", search_path(programs))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| FarSideError::Start {
            attempt: format!("start {program}"),
            source,
        })?;
    let ready = async {
        if let Some(pattern) = &process.ready_line {
            wait_for_line(&mut child, pattern, names).await?;
        }
        if let Some(path) = &process.ready_path {
            wait_for_path(&mut child, Path::new(&put(path, names))).await?;
        }
        Ok(())
    };
    let problem = match timeout(READY_WITHIN, ready).await {
        Ok(Ok(())) => return Ok(child),
        Ok(Err(problem)) => problem,
        Err(_) => format!("was not ready within {READY_WITHIN:?}"),
    };
    Err(FarSideError::NotReady { program, problem })
}

/// The folders that programs are looked for in: that of ours first.
fn search_path(programs: Option<&Path>) -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = programs
        .map(Path::to_owned)
        .into_iter()
        .chain(std::env::split_paths(&path));
    std::env::join_paths(folders).unwrap_or(path)
}

/// Where a program without a path is: beside the others, or wherever the system finds it.
fn found(program: &str, programs: Option<&Path>) -> PathBuf {
    programs
        .filter(|_| !program.contains('/'))
        .map(|folder| folder.join(program))
        .filter(|path| path.exists())
        .unwrap_or_else(|| PathBuf::from(program))
}

async fn wait_for_line(
    child: &mut Child,
    pattern: &str,
    names: &mut BTreeMap<String, String>,
) -> Result<(), String> {
    let Some(output) = child.stdout.take() else {
        return Err("has no standard output".to_owned());
    };
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(said) = matched(pattern, &line) {
            names.extend(said);
            // Whoever writes into a pipe that nobody reads stops: what else it says is read and thrown away.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return Ok(());
        }
    }
    Err(format!("ended without a line like {pattern:?}"))
}

async fn wait_for_path(child: &mut Child, path: &Path) -> Result<(), String> {
    while !path.exists() {
        if let Ok(Some(status)) = child.try_wait() {
            return Err(format!("ended with {status} before {} was there", path.display()));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Ok(())
}

/// What stands in the places of a pattern's names, when the line fits it. A name takes everything up to the text behind it.
fn matched(pattern: &str, line: &str) -> Option<BTreeMap<String, String>> {
    let mut said = BTreeMap::new();
    let (mut pattern, mut line) = (pattern, line.trim_end());
    while let Some(open) = pattern.find('{') {
        let (before, rest) = pattern.split_at(open);
        line = line.strip_prefix(before)?;
        let (name, behind) = rest.strip_prefix('{')?.split_once('}')?;
        let until = behind.split('{').next().unwrap_or_default();
        let end = if until.is_empty() {
            line.len()
        } else {
            line.find(until)?
        };
        let (value, left) = line.split_at(end);
        said.insert(name.to_owned(), value.to_owned());
        (pattern, line) = (behind, left);
    }
    (line == pattern).then_some(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_gives_what_stands_in_the_places_of_names() {
        let said = matched("sim listening on {sim}", "sim listening on http://127.0.0.1:7\n").unwrap();
        assert_eq!(said["sim"], "http://127.0.0.1:7");
        let two = matched("{a} and {b}.", "x and y.").unwrap();
        assert_eq!((two["a"].as_str(), two["b"].as_str()), ("x", "y"));
        assert_eq!(matched("ready", "ready now"), None);
        assert_eq!(matched("at {x}", "on y"), None);
    }

    #[tokio::test]
    async fn a_program_that_ends_is_not_ready() {
        let settings =
            Settings::parse("[[process]]\ncommand = [\"true\"]\nready-line = \"at {x}\"\n").unwrap();
        let failed = FarSide::start(&settings, Path::new("/tmp"), None)
            .await
            .unwrap_err();
        assert!(failed.to_string().contains("ended without a line"), "{failed}");
    }

    #[tokio::test]
    async fn what_a_program_says_is_known_from_then_on() {
        let settings = Settings::parse(
            "[[process]]\ncommand = [\"echo\", \"at 7\"]\nready-line = \"at {x}\"\n[target]\nendpoint = \"http://{x}\"\n",
        )
        .unwrap();
        let far = FarSide::start(&settings, Path::new("/tmp"), None).await.unwrap();
        assert_eq!(far.settings().target.endpoint.as_deref(), Some("http://7"));
    }
}
