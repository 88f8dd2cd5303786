//! How far a long piece of work is: a moving line on a terminal, else a line for each table.

use std::io::{IsTerminal, Write as _};

use indicatif::{ProgressBar, ProgressStyle};
use velum_store::care::{Progress, TableCopied};

/// Shows progress on the standard error.
pub struct Shown {
    bar: Option<ProgressBar>,
}

impl Shown {
    /// As fits where it is shown.
    pub fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::no_length();
            let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} rows");
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar }
    }

    /// Shows one step.
    pub fn step(&mut self, progress: Progress<'_>) {
        let Progress {
            doing,
            table,
            rows,
            of,
        } = progress;
        match &self.bar {
            Some(bar) => {
                bar.set_length(of);
                bar.set_position(rows);
                bar.set_message(format!("{doing} {table}"));
            }
            None if rows == of => eprintln!("{doing} {table}: {rows} rows"),
            None => {}
        }
    }

    /// Takes the moving line away.
    pub fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Prints a line. A reader that went away (`| head`) takes nothing from what was done.
pub fn line(text: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// One line a table: rows and the digest that both sides have.
pub fn print_tables(tables: &[TableCopied]) {
    for table in tables {
        line(format_args!(
            "{:<20} {:>10}  {}",
            table.name, table.rows, table.sha256
        ));
    }
    let rows: u64 = tables.iter().map(|table| table.rows).sum();
    line(format_args!("{:<20} {rows:>10}", "all"));
}
