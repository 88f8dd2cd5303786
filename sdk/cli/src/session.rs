//! What every command needs: the connection, the way to print, what is common to resources.

use std::{
    io::{IsTerminal as _, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use serde::Serialize;
use velum_client::{Client, Delay};

use crate::failure::Failure;

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Tables for people.
    #[default]
    Table,
    /// The server's own JSON.
    Json,
}

/// Options of every command that talks to the server.
#[derive(Args, Clone, Debug)]
pub struct Connection {
    /// Address of the server.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "VELUM_SERVER",
        default_value = "http://127.0.0.1:7070",
        help_heading = "Connection"
    )]
    pub server: String,
    /// File with the API token [else: VELUM_TOKEN, the file VELUM_TOKEN_FILE, ~/.config/velum/token].
    #[arg(long, global = true, value_name = "FILE", help_heading = "Connection")]
    pub token_file: Option<PathBuf>,
    /// How results are printed.
    #[arg(short, long, global = true, value_enum, default_value_t = Output::Table, help_heading = "Connection")]
    pub output: Output,
}

/// Whether to wait for an operation.
#[derive(Args, Clone, Copy, Debug)]
pub struct Wait {
    /// Wait until it is done, with progress on a terminal; fails (4) when it is undone or parked.
    #[arg(long)]
    pub wait: bool,
}

/// For what is done when the answer comes.
pub const NO_WAIT: Wait = Wait { wait: false };

/// How many rows of a list.
#[derive(Args, Clone, Copy, Debug)]
pub struct Most {
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
}

/// One run of a command against a server.
#[derive(Clone, Debug)]
pub struct Session {
    /// The connection.
    pub client: Client,
    /// How results are printed.
    pub output: Output,
}

impl Session {
    /// Reads the token and prepares the connection; nothing is sent yet.
    pub fn open(connection: &Connection) -> Result<Self, Failure> {
        let token = token(connection.token_file.as_deref())?;
        let client = Client::new(&connection.server, token.as_deref())?;
        let server = client.server().to_owned();
        let client = client.telling(move |delay| match delay {
            Delay::NoAnswerYet => eprintln!("no answer from {server} yet"),
            Delay::TryingAgain(error) => {
                eprintln!("{}; trying again", crate::text::plain_lines(&error.to_string()));
            }
        });
        Ok(Self {
            client,
            output: connection.output,
        })
    }

    /// Prints a result: as JSON, or as the text that `table` makes.
    pub fn print(&self, value: &impl Serialize, table: impl FnOnce() -> String) -> Result<(), Failure> {
        print(self.output, value, table)
    }

    /// Says something beside the result: on standard error, and only to people.
    pub fn say(&self, text: &str) {
        if self.output == Output::Table {
            eprintln!("{}", crate::text::plain_lines(text));
        }
    }
}

/// Prints a result: as JSON, or as the text that `table` makes.
pub fn print(output: Output, value: &impl Serialize, table: impl FnOnce() -> String) -> Result<(), Failure> {
    match output {
        Output::Json => {
            let text = serde_json::to_string_pretty(value).context("could not write the result as JSON")?;
            write_out(&format!("{text}\n"))
        }
        Output::Table => write_out(&table()),
    }
}

/// Writes to standard output. A reader that went away (`| head`) is no failure.
pub fn write_out(text: &str) -> Result<(), Failure> {
    write_on(text).map(|_| ())
}

/// The same for output without end: whether anybody still reads it.
pub fn write_on(text: &str) -> Result<bool, Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(anyhow::Error::new(error)
            .context("could not write to standard output")
            .into()),
    }
}

/// Whether progress may be drawn.
pub fn draws_progress(output: Output) -> bool {
    output == Output::Table && std::io::stderr().is_terminal()
}

/// A token longer than this is a wrong file.
const MAX_TOKEN_BYTES: u64 = 4096;

fn token(flag: Option<&Path>) -> Result<Option<String>, Failure> {
    if let Some(path) = flag {
        return read_token(path).map(Some);
    }
    if let Some(token) = std::env::var("VELUM_TOKEN").ok().filter(|t| !t.trim().is_empty()) {
        return Ok(Some(token));
    }
    if let Some(path) = std::env::var_os("VELUM_TOKEN_FILE").filter(|p| !p.is_empty()) {
        return read_token(Path::new(&path)).map(Some);
    }
    let config = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".config")));
    match config
        .map(|dir| dir.join("velum/token"))
        .filter(|path| path.exists())
    {
        Some(path) => read_token(&path).map(Some),
        None => Ok(None),
    }
}

fn read_token(path: &Path) -> Result<String, Failure> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_TOKEN_BYTES).read_to_string(&mut text))
        .with_context(|| format!("could not read the token from {}", path.display()))?;
    let token = text.trim();
    if token.is_empty() {
        return Err(Failure::usage(format!(
            "the token file {} is empty",
            path.display()
        )));
    }
    Ok(token.to_owned())
}
