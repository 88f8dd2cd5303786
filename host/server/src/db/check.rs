//! `velumd db check`.

use std::process::ExitCode;

use velum_store::care::{self, Checked};

use super::show::line;
use crate::config::Config;

/// Looks the database over; fails when anything was found.
pub async fn run(config: &Config) -> anyhow::Result<ExitCode> {
    let checked = care::check(&config.database_url()).await?;
    print(&checked);
    Ok(if checked.is_well() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn print(checked: &Checked) {
    let (schema, newest) = checked.schema;
    line(format_args!("{}, schema {schema} of {newest}", checked.place));
    for (table, rows) in &checked.tables {
        line(format_args!("  {table:<20} {rows:>10} rows"));
    }
    match checked.has_read_pages {
        true if checked.damage.is_empty() => line(format_args!("pages and keys: well")),
        true => line(format_args!("pages and keys: {} problems", checked.damage.len())),
        false => line(format_args!(
            "pages: not read; PostgreSQL has checksums (initdb --data-checksums) and amcheck for that"
        )),
    }
    for problem in &checked.damage {
        line(format_args!("  damaged: {problem}"));
    }
    match &checked.discrepancies {
        None => line(format_args!(
            "books: not counted, for the database is damaged or not of this version's schema"
        )),
        Some(none) if none.is_empty() => line(format_args!("books: every sum is what its rows say")),
        Some(some) => line(format_args!("books: {} differences", some.len())),
    }
    for difference in checked.discrepancies.iter().flatten() {
        line(format_args!(
            "  {} {}: {}",
            difference.table, difference.id, difference.problem
        ));
    }
}
