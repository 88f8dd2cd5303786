//! A PostgreSQL as an operator would run it, and what it gives by itself.

use std::{path::Path, process::Command};

use anyhow::Context as _;
use serde_json::Value;
use velum_support::Postgres;

/// Commits are durable; buffers and log those that PostgreSQL was best with here.
pub const SETTINGS: [&str; 5] = [
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    "shared_buffers=2GB",
    "max_wal_size=4GB",
];

/// Starts one with [`SETTINGS`].
///
/// # Errors
/// It is not installed, or does not start.
pub fn start() -> anyhow::Result<Postgres> {
    let started = Postgres::start_with(&SETTINGS).context("PostgreSQL does not start")?;
    started
        .context("PostgreSQL 15 is not installed: run 'apt-get install postgresql' as root, then this again")
}

/// What one VM a commit makes: a guarded host row and a row of the VM, with nothing around it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Best {
    /// VMs a second.
    pub per_s: f64,
    /// In which case.
    pub case: String,
    /// By how many clients.
    pub clients: u64,
}

/// Runs `pg_ceiling.sh` on a database of its own, `bench`; answers its best case.
///
/// # Errors
/// It fails or prints something else.
pub fn one_vm_a_commit(postgres: &Postgres, script: &Path, hosts: u32, seconds: u32) -> anyhow::Result<Best> {
    let output = Command::new("bash")
        .arg(script)
        .env("PGHOST", "127.0.0.1")
        .env("PGPORT", postgres.port().to_string())
        .env("PGUSER", "velum")
        .env("HOSTS", hosts.to_string())
        .env("T", seconds.to_string())
        .output()
        .with_context(|| format!("could not start {}", script.display()))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    anyhow::ensure!(
        output.status.success(),
        "{} failed:\n{said}{}",
        script.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    best_of(&said).with_context(|| format!("{} printed no case:\n{said}", script.display()))
}

/// The line with the highest rate.
fn best_of(lines: &str) -> Option<Best> {
    let of = |line: &str| {
        let line: Value = serde_json::from_str(line).ok()?;
        Some(Best {
            per_s: line.get("vms_per_s")?.as_f64()?,
            case: line.get("case")?.as_str()?.to_owned(),
            clients: line.get("clients")?.as_u64()?,
        })
    };
    lines
        .lines()
        .filter_map(of)
        .max_by(|a, b| a.per_s.total_cmp(&b.per_s))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_case_counts_and_other_lines_do_not() {
        let lines = "NOTICE: none\n{\"case\":\"two\",\"clients\":1,\"vms_per_s\":1550}\n\
                     {\"case\":\"cte\",\"clients\":8,\"vms_per_s\":8887}\n{\"case\":\"cte\",\"clients\":64,\"vms_per_s\":7942}\n";
        let best = best_of(lines).expect("there are cases");
        assert_eq!((best.per_s, best.case.as_str(), best.clients), (8887.0, "cte", 8));
        assert_eq!(best_of("{}"), None);
    }
}
