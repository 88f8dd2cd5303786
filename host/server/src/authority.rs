//! The authority of the cloud: made by the first server at its first start, kept in the database, read by all.

use std::sync::Arc;

use anyhow::Context as _;
use velum_connector::tls::{Authority, Dialler};
use velum_model::{enrolment::AuthorityRecord, port::authority::Authority as _, time::Clock};
use velum_store::{Change, Commit, Store};

/// What connects this server to nodes on other machines, with a key of its own that lies in memory alone.
pub async fn dialler(store: &Store, name: &str, clock: &Arc<dyn Clock>) -> anyhow::Result<Dialler> {
    let record = kept(store, clock.as_ref()).await?;
    let authority = Authority::of(&record).context("the authority in the database cannot be used")?;
    tracing::info!(
        fingerprint = authority.fingerprint(),
        "the authority of nodes and servers"
    );
    Ok(Dialler::new(Arc::new(authority), name, Arc::clone(clock))?)
}

async fn kept(store: &Store, clock: &dyn Clock) -> anyhow::Result<AuthorityRecord> {
    let read = || async {
        let found = store.read().authority().await;
        found.context("could not read the authority")
    };
    if let Some(record) = read().await? {
        return Ok(record);
    }
    let commit = Commit {
        changes: vec![Change::KeepAuthority(Authority::make(clock.now())?)],
        ..Commit::default()
    };
    store
        .commit(commit)
        .await
        .context("could not keep the authority")?;
    // Another server may have been faster: there is one, and it is in the database.
    read().await?.context("the authority that was kept is not there")
}
