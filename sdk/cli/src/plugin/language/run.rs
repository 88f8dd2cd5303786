//! Running somebody else's program.

use std::process::Stdio;

use anyhow::anyhow;
use tokio::process::Command;

use crate::{failure::Failure, text::plain_lines};

/// The last lines of a program's words that are shown when it failed: a traceback of Python has twenty.
const LINES_SHOWN: usize = 40;

/// Runs a program to its end; what it says is shown only if it fails. `missing` says what to install when it is not there.
pub async fn quietly(mut command: Command, what: &str, missing: &str) -> Result<(), Failure> {
    // Frames of a tool in Rust would bury its words.
    command.env("RUST_BACKTRACE", "0").env("RUST_LIB_BACKTRACE", "0");
    let output = command.stdin(Stdio::null()).output().await;
    let output = match output {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Failure::Local(anyhow!("could not {what}: {missing}")));
        }
        Err(error) => return Err(Failure::Local(anyhow!("could not {what}: {error}"))),
    };
    if output.status.success() {
        return Ok(());
    }
    let mut words = String::from_utf8_lossy(&output.stdout).into_owned();
    words.push_str(&String::from_utf8_lossy(&output.stderr));
    let lines: Vec<_> = words.trim_end().lines().collect();
    let shown = lines
        .get(lines.len().saturating_sub(LINES_SHOWN)..)
        .unwrap_or_default();
    eprintln!("{}", plain_lines(&shown.join("\n")));
    Err(Failure::Local(anyhow!("could not {what} (its words are above)")))
}
