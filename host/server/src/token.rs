//! `velumd token`: the administrator's token, where its file is lost or known to somebody else.

use std::process::ExitCode;

use clap::Subcommand;

use crate::{config::Config, data::Data, sources::SystemIds};

/// What is done to the administrator's token.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Makes a new administrator's token, writes it to `admin.token` in the data directory and shows it once.
    ///
    /// For a database that was restored or copied without the data directory that it was used with, and for a token that
    /// somebody else may know: the one before lets nobody in any more. Servers may work on the database meanwhile.
    Reset,
}

/// Does it.
pub fn run(config: &Config, verb: Verb) -> anyhow::Result<ExitCode> {
    let Verb::Reset = verb;
    crate::aside(async {
        Data::reset_admin_token(&config.data, &config.database_url(), &SystemIds).await?;
        Ok(ExitCode::SUCCESS)
    })
}
