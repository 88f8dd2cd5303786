//! `velum orphan`: what is at the far sides and no row owns.

use clap::{Args, Subcommand};
use velum_client::{ComputeHosts, Filter, Orphans, StoragePools};

use crate::{
    failure::Failure,
    kind::{self, One, Shown},
    session::{Most, Session},
    table::{Column, Kind, column, text},
};

impl Shown for Orphans {
    const NOUN: &'static str = "orphan";
    const COLUMNS: &'static [Column] = &[
        text("ID", "id"),
        text("KIND", "kind"),
        column("COMPUTE HOST", "compute_host_id", Kind::Of("compute-hosts")),
        column("POOL", "storage_pool_id", Kind::Of("storage-pools")),
        text("OBJECT", "object_id"),
        column("ROW WENT", "removed_at", Kind::Time),
        column("FIRST SEEN", "first_seen_at", Kind::Time),
        text("SEEN", "observations"),
    ];
    const HAS_NAME: bool = false;
}

/// What is at the far sides and no row owns: guests, volumes, publications, seeds that carry this cloud's tag.
///
/// What had a row is removed by itself (operations of the kind orphan-remove) when it was seen twice and for the grace
/// time. What never had a row in this database is only listed: it may be another cloud's, or its row may have been lost
/// with an older copy of the database. Remove such with the far side's own tools when you are sure.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists what no row owns.
    List(List),
    /// Shows one of them.
    Show(One),
}

/// Which of them.
#[derive(Args, Debug)]
pub struct List {
    #[command(flatten)]
    pub most: Most,
    /// Only those of this kind: guest, volume, publication, seed.
    #[arg(long)]
    pub kind: Option<String>,
    /// Only those on this compute host.
    #[arg(long, value_name = "NAME|ID")]
    pub compute_host: Option<String>,
    /// Only those on this storage pool.
    #[arg(long, value_name = "NAME|ID")]
    pub pool: Option<String>,
}

/// Runs `velum orphan`.
pub async fn run(session: &Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::List(list) => {
            let host =
                kind::resolve_some::<ComputeHosts>(session, list.compute_host.as_deref(), &Filter::new())
                    .await?;
            let pool =
                kind::resolve_some::<StoragePools>(session, list.pool.as_deref(), &Filter::new()).await?;
            let filter = Filter::new()
                .with_some("kind", list.kind)
                .with_some("compute_host_id", host)
                .with_some("storage_pool_id", pool);
            kind::list_limited::<Orphans>(session, list.most.limit, filter).await
        }
        Command::Show(one) => kind::show::<Orphans>(session, &one).await,
    }
}
