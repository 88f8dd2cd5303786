//! Accepts a second against what the disk gives: instances over HTTP, in batches and one by one, in a zone of 100,000 compute hosts
//! on SQLite with synchronous=FULL, beside the prototype that writes three rows an instance without HTTP (`peers/ceiling-rs`).

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use velum_bench::{
    accepts::{Ground, prototype},
    clients::median,
    rates::{Rates, Sizes},
};
use velum_support::{Aim, Report};

/// Accepts a second.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    sizes: Sizes,
    /// The prototype's binary; left out, nothing is compared.
    #[arg(long, env = "VELUM_CEILING_RS")]
    prototype: Option<PathBuf>,
}

/// Runs it.
#[tokio::main]
pub async fn main() -> anyhow::Result<ExitCode> {
    let Arguments {
        sizes,
        prototype: binary,
    } = velum_bench::arguments::<Arguments>();
    let mut ground = Ground::of(sizes.hosts).await?;
    let (mut rates, mut prototypes) = (Rates::default(), Vec::new());
    for round in 0..sizes.rounds {
        let roots = [ground.cloud.velumd.id()];
        rates.round(&mut ground, &roots, &sizes, round).await?;
        if let Some(binary) = &binary {
            let (rate, ..) = prototype(binary, sizes.hosts, ground.cloud.directory(), 256)?;
            eprintln!("the prototype: {rate:.0}/s");
            prototypes.push(rate);
        }
    }
    let found = ground.recount().await?;
    let rate = rates.best();
    let report = Report::new("ceiling", rate, "accepts/s", Aim::AtLeast(6000.0))
        .with("ready_s", ground.ready.as_secs_f64())
        .with("instances", ground.accepted)
        .with("rss_mib", ground.cloud.velumd.resident_bytes()? >> 20);
    let mut report = found.told(rates.told(&sizes, report));
    if binary.is_some() {
        let prototype = median(prototypes);
        report = report
            .with("prototype_per_s", prototype.round())
            .with("of_the_prototype", rate / prototype)
            .require("at_least_14_percent_of_the_prototype", rate / prototype >= 0.14);
    }
    Ok(report.print())
}
