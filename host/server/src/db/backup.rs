//! `velumd db backup FILE`.

use std::{path::Path, process::ExitCode};

use velum_store::care;

use super::show::{Shown, line};
use crate::config::Config;

/// Backs up, beside a server if there is one.
pub async fn run(config: &Config, file: &Path) -> anyhow::Result<ExitCode> {
    let mut shown = Shown::new();
    let written = care::back_up(&config.database_url(), file, &mut |progress| shown.step(progress)).await;
    shown.finish();
    line(format_args!(
        "{}: {} bytes, whole and read back",
        file.display(),
        written?.bytes
    ));
    Ok(ExitCode::SUCCESS)
}
