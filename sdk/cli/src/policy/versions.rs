//! `velum policy versions`, `velum policy rollback`: what a policy was, and being it again.

use clap::Args;
use velum_client::{Filter, Policies};
use velum_wire::RollbackPolicyBody;

use crate::{
    failure::Failure,
    kind::{self, One},
    names::Names,
    session::{NO_WAIT, Session},
    table::{self, Column, Kind, column, text},
};

const COLUMNS: [Column; 7] = [
    text("GENERATION", "generation"),
    column("SINCE", "created_at", Kind::Time),
    column("DIGEST", "digest", Kind::Digest),
    text("CONFIG", "config"),
    text("HOW", "cause"),
    text("BY", "caller"),
    text("WHY", "reason"),
];

/// Which version is to be put back.
#[derive(Args, Debug)]
pub struct Rollback {
    #[command(flatten)]
    pub one: One,
    /// Which generation [default: the last one that was made of something else].
    #[arg(long, value_name = "N")]
    pub to: Option<u64>,
    /// Why, for the policy's history.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// Runs `velum policy versions`.
pub async fn list(session: &Session, one: &One) -> Result<(), Failure> {
    let id = kind::resolve::<Policies>(session, &one.name, &Filter::new()).await?;
    let versions = session.client.policies().versions(id).await?;
    session.print(&versions, || {
        let headers: Vec<&str> = COLUMNS.iter().map(|column| column.header).collect();
        let names = Names::default();
        let rows = versions
            .iter()
            .filter_map(|version| serde_json::to_value(version).ok())
            .map(|version| table::cells(&version, &COLUMNS, &names))
            .collect();
        table::list(&headers, rows, None)
    })
}

/// Runs `velum policy rollback`.
pub async fn rollback(session: &Session, rollback: Rollback) -> Result<(), Failure> {
    let policies = session.client.policies();
    let id = kind::resolve::<Policies>(session, &rollback.one.name, &Filter::new()).await?;
    let present = policies.fetch(id).await?;
    let body = RollbackPolicyBody {
        generation: rollback.to,
        reason: rollback.reason,
    };
    let rolled = policies.rollback(id, &body, present.etag.as_deref()).await?;
    kind::answered::<Policies>(session, rolled, NO_WAIT).await
}
