//! `velumd db restore FILE`.

use std::{path::Path, process::ExitCode};

use anyhow::Context;
use velum_store::care;

use super::show::{Shown, line, print_tables};
use crate::{config::Config, data::Data, sources::SystemClock};

/// Restores, while no server can start on the data directory.
pub async fn run(config: &Config, file: &Path) -> anyhow::Result<ExitCode> {
    std::fs::metadata(file).with_context(|| format!("could not find the backup {}", file.display()))?;
    let _kept_out = Data::keep_out(&config.data)?;
    let (url, clock) = (config.database_url(), SystemClock::default());
    let mut shown = Shown::new();
    let restored = care::restore(file, &url, &config.data, &clock, &mut |progress| {
        shown.step(progress)
    })
    .await;
    shown.finish();
    if let Some(copied) = restored? {
        print_tables(&copied.tables);
    }
    line(format_args!(
        "{} is restored from {}; its epochs are above all that were handed out since",
        velum_store::shown(&url)?,
        file.display()
    ));
    Ok(ExitCode::SUCCESS)
}
