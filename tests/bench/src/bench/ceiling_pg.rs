//! The same as `ceiling` with the server on PostgreSQL: accepts a second in a zone of 100,000 compute hosts, against the best rate at
//! which that PostgreSQL, asked by pgbench alone, commits one VM a transaction (`peers/postgres/pg_ceiling.sh`).

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use velum_bench::{
    accepts::{Ground, GroundOptions},
    clients::median,
    postgres::{self, one_vm_a_commit},
    rates::{Rates, Sizes},
};
use velum_support::{Aim, Report};

/// Accepts a second on PostgreSQL.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    sizes: Sizes,
    /// Seconds of each of pgbench's cases.
    #[arg(long, default_value_t = 8)]
    seconds: u32,
    /// `pg_ceiling.sh`.
    #[arg(long, env = "VELUM_PG_CEILING")]
    script: PathBuf,
}

/// Runs it.
#[tokio::main]
pub async fn main() -> anyhow::Result<ExitCode> {
    let Arguments {
        sizes,
        seconds,
        script,
    } = velum_bench::arguments::<Arguments>();
    let database = postgres::start()?;
    database.create("bench")?;
    let options = GroundOptions {
        hosts: sizes.hosts,
        database: Some(database.create("velum")?),
        ..GroundOptions::default()
    };
    let mut ground = Ground::with(options).await?;
    let (mut rates, mut bare) = (Rates::default(), Vec::new());
    for round in 0..sizes.rounds {
        let roots = [ground.cloud.velumd.id(), database.id()];
        rates.round(&mut ground, &roots, &sizes, round).await?;
        let best = one_vm_a_commit(&database, &script, sizes.hosts, seconds)?;
        eprintln!(
            "pgbench, one VM a commit: {:.0}/s ({}, {} clients)",
            best.per_s, best.case, best.clients
        );
        bare.push(best.per_s);
    }
    let found = ground.recount().await?;
    let (rate, bare) = (rates.best(), median(bare));
    let report = Report::new(
        "ceiling-pg",
        rate / bare,
        "accepts over one VM a commit",
        Aim::AtLeast(1.25),
    )
    .with("accepts_per_s", rate.round())
    .with("one_vm_a_commit_per_s", bare.round())
    .with("settings", postgres::SETTINGS.join(" "))
    .with("ready_s", ground.ready.as_secs_f64())
    .with("instances", ground.accepted)
    .with("rss_mib", ground.cloud.velumd.resident_bytes()? >> 20);
    Ok(found.told(rates.told(&sizes, report)).print())
}
