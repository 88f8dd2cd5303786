//! `velumd db check`.

use std::process::ExitCode;

use velum_store::care::{self, Checked};

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
    println!("{}, schema {schema} of {newest}", checked.place);
    for (table, rows) in &checked.tables {
        println!("  {table:<20} {rows:>10} rows");
    }
    match checked.has_read_pages {
        true if checked.damage.is_empty() => println!("pages and keys: well"),
        true => println!("pages and keys: {} problems", checked.damage.len()),
        false => println!(
            "pages: not read; PostgreSQL has checksums (initdb --data-checksums) and amcheck for that"
        ),
    }
    for problem in &checked.damage {
        println!("  damaged: {problem}");
    }
    match &checked.discrepancies {
        None => println!("books: not counted, for the database is damaged or not of this version's schema"),
        Some(none) if none.is_empty() => println!("books: every sum is what its rows say"),
        Some(some) => println!("books: {} differences", some.len()),
    }
    for difference in checked.discrepancies.iter().flatten() {
        println!("  {} {}: {}", difference.table, difference.id, difference.problem);
    }
}
