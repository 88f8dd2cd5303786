//! `velumd db`: what is done to the database beside serving. One file a verb.

mod backup;
mod check;
mod copy;
mod restore;
mod show;

use std::{path::PathBuf, process::ExitCode};

use clap::Subcommand;
use velum_store::{StoreError, Trouble};

use crate::config::Config;

/// What is done to the database.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Backs the configured database up into one file, while a server works on it.
    ///
    /// The file is a SQLite database whatever the engine is. Large databases on PostgreSQL are better backed up with its own
    /// tools, pg_dump or pg_basebackup.
    Backup {
        /// Where the backup goes; it must not be there yet.
        file: PathBuf,
    },
    /// Makes the configured database from a backup. No server may work on it, and it must be empty.
    ///
    /// The restored database works under epochs that are far above all that were handed out since the backup, so that nodes
    /// refuse a server that still works on the old one. What was made after the backup is not in it: guests that run are left
    /// alone, and must be looked after by hand.
    Restore {
        /// A file that `velumd db backup` wrote, of this or an earlier version.
        file: PathBuf,
    },
    /// Looks the configured database over: pages, keys, and the books. Nothing is written, and a server may work on it.
    Check,
    /// Moves a whole cloud into another, empty database, and compares every row there.
    ///
    /// No server may work on the source. Afterwards name the target in `database`; nodes refuse a server that is started on
    /// the source again.
    Copy {
        /// The source: sqlite:PATH or postgres://USER@HOST:PORT/NAME.
        #[arg(value_name = "FROM_URL")]
        from: String,
        /// The target, the same way.
        #[arg(value_name = "TO_URL")]
        to: String,
    },
}

/// Does it.
pub fn run(config: &Config, verb: Verb) -> anyhow::Result<ExitCode> {
    crate::aside(async {
        match verb {
            Verb::Backup { file } => backup::run(config, &file).await,
            Verb::Restore { file } => restore::run(config, &file).await,
            Verb::Check => check::run(config).await,
            Verb::Copy { from, to } => return copy::run(config, &from, &to).await,
        }
        .map_err(|error| named(config, error))
    })
}

/// Says which database it is that does not answer.
fn named(config: &Config, error: anyhow::Error) -> anyhow::Error {
    let is_away = error
        .downcast_ref::<StoreError>()
        .is_some_and(|error| error.trouble() == Some(Trouble::Away));
    match velum_store::shown(&config.database_url()) {
        Ok(shown) if is_away => error.context(format!("the database {shown} does not answer")),
        _ => error,
    }
}
