//! The database at start: opened when it answers, its shards taken over when they are free.

use std::{fmt::Display, sync::Arc, time::Duration};

use anyhow::Context;
use tokio::time::Instant;
use velum_model::{ShardId, chance::Ids, time::Clock};
use velum_store::{Histories, Store, StoreError, StoreOptions, Trouble};

use crate::{config::Config, data::Data, observer::Listeners};

/// Machines that come back after a power cut come back in any order. Service managers give a start 90 s.
const DATABASE_WITHIN: Duration = Duration::from_secs(60);
/// Between two tries: what refuses does so at once.
const TRY_AGAIN: Duration = Duration::from_millis(500);
/// Whoever watches a start that waits is told why about as often.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// Opens the database and, where it is this server's alone, takes its shards over.
///
/// # Errors
/// It does not answer within a minute, is not one to work on, or another server keeps renewing its leases.
pub async fn open(
    config: &Config,
    data: &Data,
    (clock, ids): (&Arc<dyn Clock>, &Arc<dyn Ids>),
    listeners: &Arc<Listeners>,
) -> anyhow::Result<(Store, Vec<(ShardId, u64)>)> {
    let url = config.database_url();
    let shown = velum_store::shown(&url)?;
    let holder = data.server_name(ids.as_ref())?;
    let until = Instant::now() + DATABASE_WITHIN;
    let open = || {
        Store::open(StoreOptions {
            url: url.clone(),
            holder: holder.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            observer: listeners.clone(),
            lease_ms: config.lease.ms,
        })
    };
    let opened = patiently((&shown, until), is_away, open).await;
    let store = in_the_way(opened, data).with_context(|| format!("could not open the database {shown}"))?;
    // Before anything is taken over: a start that cannot keep the token costs nobody an epoch.
    data.ensure_admin_token(&store, ids.as_ref()).await?;
    // What several servers share is joined later.
    let shards = match store.can_be_shared() {
        true => Vec::new(),
        false => {
            take_over(
                &store,
                data,
                (&shown, until),
                Duration::from_millis(config.lease.ms),
            )
            .await?
        }
    };
    for (shard, epoch) in &shards {
        tracing::info!(%shard, epoch, "owns a shard");
    }
    Ok((store, shards))
}

/// Where the histories of zones are kept: beside a database of this server's own, else where each of them finds them.
pub fn histories(config: &Config, data: &Data, store: &Store) -> Histories {
    let bytes = config.decisions.history_mib << 20;
    match (bytes, store.can_be_shared()) {
        (0, _) => Histories::nowhere(),
        (bytes, true) => Histories::in_rows(store, bytes),
        (bytes, false) => Histories::in_files(data.join("history"), bytes),
    }
}

/// Takes the shards: at once what this server held before, for whoever holds its data directory is the only one of its name;
/// what another holds when that one's leases have run out.
async fn take_over(
    store: &Store,
    data: &Data,
    (shown, until): (&str, Instant),
    lease: Duration,
) -> anyhow::Result<Vec<(ShardId, u64)>> {
    let began = Instant::now();
    let taking = patiently((shown, until), is_away, || store.take_over(true));
    let mut taking = std::pin::pin!(taking);
    let mut wait = TELL_EVERY;
    if let Some(rival) = &data.rival {
        tracing::info!(%rival, "waiting until the leases of the other server have run out");
    } else {
        // A lease that runs out has done so by then.
        wait = lease * 2 + TELL_EVERY;
    }
    loop {
        tokio::select! {
            taken = &mut taking => return in_the_way(taken, data).context("could not take over the shards"),
            () = tokio::time::sleep(wait) => {}
        }
        match &data.rival {
            Some(rival) => tracing::warn!(
                %rival,
                waited_s = began.elapsed().as_secs(),
                "still waiting: the other server renews its leases or holds the database; stop it, or end this one"
            ),
            None => anyhow::bail!(
                "another server works on {shown} from another data directory, and keeps renewing its leases: stop it first"
            ),
        }
    }
}

/// Says what helps where another process may be in the way.
fn in_the_way<T>(done: Result<T, StoreError>, data: &Data) -> anyhow::Result<T> {
    match (&data.rival, done) {
        (_, Ok(done)) => Ok(done),
        (Some(rival), Err(error)) if is_away(&error) => Err(error).with_context(|| {
            format!("{rival} may hold its lock in the middle of a transaction: end it first")
        }),
        (_, Err(error)) => Err(error.into()),
    }
}

fn is_away(error: &StoreError) -> bool {
    error.trouble() == Some(Trouble::Away)
}

/// Tries again until then while what fails is that the database is away.
async fn patiently<T, E, F>(
    (shown, until): (&str, Instant),
    is_away: impl Fn(&E) -> bool,
    work: impl Fn() -> F,
) -> Result<T, E>
where
    E: std::error::Error + 'static,
    F: Future<Output = Result<T, E>>,
{
    let mut told: Option<Instant> = None;
    loop {
        let error = match work().await {
            Err(error) if is_away(&error) && Instant::now() < until => error,
            done => return done,
        };
        if told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            told = Some(Instant::now());
            tracing::warn!(database = shown, why = %Chain(&error), "waiting for the database");
        }
        tokio::time::sleep(TRY_AGAIN).await;
    }
}

/// An error with its causes; what a cause only repeats is said once.
pub struct Chain<'e>(pub &'e (dyn std::error::Error + 'static));

impl Display for Chain<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut said = String::new();
        let mut next = Some(self.0);
        while let Some(error) = next {
            let text = error.to_string();
            if !said.contains(&text) {
                if !said.is_empty() {
                    said.push_str(": ");
                }
                said.push_str(&text);
            }
            next = error.source();
        }
        out.write_str(&said)
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, io};

    use super::*;

    fn away() -> io::Error {
        io::ErrorKind::ConnectionRefused.into()
    }

    fn is_refused(error: &io::Error) -> bool {
        error.kind() == io::ErrorKind::ConnectionRefused
    }

    #[tokio::test(start_paused = true)]
    async fn a_database_that_comes_up_late_is_waited_for() {
        let tries = Cell::new(0);
        let until = Instant::now() + DATABASE_WITHIN;
        let work = || {
            tries.set(tries.get() + 1);
            let is_up = tries.get() > 20;
            async move { if is_up { Ok(7) } else { Err(away()) } }
        };
        let answer = patiently(("velum", until), is_refused, work).await;
        assert_eq!(answer.expect("it came up"), 7);
        let never = || async { Err::<(), _>(away()) };
        let gave_up = patiently(("velum", until), is_refused, never).await;
        assert!(gave_up.is_err() && Instant::now() >= until);
        // What does not get better is not waited for.
        let now = Instant::now();
        let no = || async { Err::<(), _>(io::Error::other("no")) };
        let refused = patiently(("velum", now + DATABASE_WITHIN), is_refused, no).await;
        assert!(refused.is_err() && now == Instant::now());
    }

    #[test]
    fn what_a_cause_repeats_is_said_once() {
        let cause = io::Error::other("connection refused");
        let whole = anyhow::Error::from(cause).context("could not ask: connection refused");
        let said = Chain(whole.as_ref()).to_string();
        assert_eq!(said, "could not ask: connection refused");
    }
}
