//! `velumd db copy FROM_URL TO_URL`.

use std::{path::Path, process::ExitCode};

use velum_store::care;

use super::show::{Shown, line, print_tables};
use crate::{config::Config, data::Data, sources::SystemClock};

/// Copies, while no server can start on the data directory that a SQLite file lies in.
pub async fn run(config: &Config, from: &str, to: &str) -> anyhow::Result<ExitCode> {
    let is_ours = [from, to].iter().any(|url| lies_in(&config.data, url));
    let _kept_out = is_ours.then(|| Data::keep_out(&config.data)).transpose()?;
    let (clock, mut shown) = (SystemClock::default(), Shown::new());
    let copied = care::copy(from, to, &clock, &mut |progress| shown.step(progress)).await;
    shown.finish();
    print_tables(&copied?.tables);
    line(format_args!(
        "{} is a copy of {}, compared row by row; name it in `database` and start velumd",
        velum_store::shown(to)?,
        velum_store::shown(from)?
    ));
    Ok(ExitCode::SUCCESS)
}

/// Whether a database lies in the data directory, where a server would start on it.
fn lies_in(data: &Path, url: &str) -> bool {
    let Some(path) = url.strip_prefix("sqlite:") else {
        return false;
    };
    let path = Path::new(path.strip_prefix("//").unwrap_or(path));
    let directory = path.parent().and_then(|directory| directory.canonicalize().ok());
    directory.is_some() && directory == data.canonicalize().ok()
}
