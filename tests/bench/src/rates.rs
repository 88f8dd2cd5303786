//! Rounds of accepts by batches and one by one, as the ceilings are measured on either database.

use velum_support::Report;

use crate::{accepts::Ground, clients::median, processes};

/// How much is accepted, and by whom.
#[derive(Clone, Debug, clap::Args)]
pub struct Sizes {
    /// Compute hosts of the zone.
    #[arg(long, default_value_t = 100_000)]
    pub hosts: u32,
    /// Instances of a batch.
    #[arg(long, default_value_t = 128)]
    pub batch: u64,
    /// Clients that send batches.
    #[arg(long, default_value_t = 4)]
    pub clients: usize,
    /// Clients that make one at a time.
    #[arg(long, default_value_t = 64)]
    pub single_clients: usize,
    /// Instances of one round by batches; a quarter as many one by one. Three rounds are within the 65,534 addresses of the network.
    #[arg(long, default_value_t = 16384)]
    pub instances: u64,
    /// Rounds of all, in turns; the medians count.
    #[arg(long, default_value_t = 3)]
    pub rounds: u64,
}

/// What rounds gave.
#[derive(Clone, Debug, Default)]
pub struct Rates {
    batches: Vec<f64>,
    batch_p50_ms: Vec<f64>,
    cpu_us: Vec<f64>,
    singles: Vec<f64>,
    single_p50_ms: Vec<f64>,
    single_p99_ms: Vec<f64>,
}

impl Rates {
    /// One more round. `roots` are the processes whose time an accept costs: the server, and its database where that is
    /// another process.
    ///
    /// # Errors
    /// An accept is refused.
    pub async fn round(
        &mut self,
        ground: &mut Ground,
        roots: &[u32],
        sizes: &Sizes,
        round: u64,
    ) -> anyhow::Result<()> {
        let before = processes::cpu_seconds(roots)?;
        let how = (sizes.clients, sizes.batch);
        let many = ground
            .by_batch(&format!("b{round}"), how, sizes.instances)
            .await?;
        let accepted = many.took.len() as f64 * sizes.batch as f64;
        let cpu_us = (processes::cpu_seconds(roots)? - before) * 1e6 / accepted;
        let named = format!("s{round}");
        let one = ground
            .one_by_one(&named, sizes.single_clients, sizes.instances / 4)
            .await?;
        let rate = many.rate() * sizes.batch as f64;
        eprintln!(
            "round {}: by batches {rate:.0}/s (p50 {:.1} ms a batch, {cpu_us:.0} us of the server's CPU each); one by one {:.0}/s \
             (p50 {:.1} ms, p99 {:.1} ms)",
            round + 1,
            many.at(0.5),
            one.rate(),
            one.at(0.5),
            one.at(0.99),
        );
        self.batches.push(rate);
        self.batch_p50_ms.push(many.at(0.5));
        self.cpu_us.push(cpu_us);
        self.singles.push(one.rate());
        self.single_p50_ms.push(one.at(0.5));
        self.single_p99_ms.push(one.at(0.99));
        Ok(())
    }

    /// Accepts a second, in the faster of the two ways.
    #[must_use]
    pub fn best(&self) -> f64 {
        median(self.batches.clone()).max(median(self.singles.clone()))
    }

    /// The report with all of them.
    #[must_use]
    pub fn told(self, sizes: &Sizes, report: Report) -> Report {
        report
            .with("hosts", sizes.hosts)
            .with("batch", sizes.batch)
            .with("by_batches_per_s", median(self.batches).round())
            .with("batch_p50_ms", median(self.batch_p50_ms))
            .with("server_cpu_us_each", median(self.cpu_us))
            .with("one_by_one_per_s", median(self.singles).round())
            .with("one_p50_ms", median(self.single_p50_ms))
            .with("one_p99_ms", median(self.single_p99_ms))
    }
}
