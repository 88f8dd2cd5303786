//! `velum decision`, and decisions wherever they are shown: why a guest is where it is, or why nowhere.

mod candidates;
mod export;
mod replay;

use clap::{Args, Subcommand};
use velum_client::{Decisions, Filter, Instances, Zones};
use velum_wire::DecisionView;

use crate::{
    failure::Failure,
    kind::{self, Shown},
    names::Names,
    session::{Most, Output, Session},
    table::{self, Column, Kind, column, text},
    text::{count, plain},
};

impl Shown for Decisions {
    const NOUN: &'static str = "decision";
    const COLUMNS: &'static [Column] = &[
        column("AT", "at", Kind::Time),
        column("INSTANCE", "instance_id", Kind::Of("instances")),
        column(
            "COMPUTE HOST",
            "winner.compute_host_id",
            Kind::Of("compute-hosts"),
        ),
        text("SCORE", "winner.score"),
        text("POLICY", "policy.name"),
        text("GENERATION", "policy.generation"),
        column("DIGEST", "policy.digest", Kind::Digest),
        text("ID", "id"),
    ];
    const HAS_NAME: bool = false;
}

/// Why guests are where they are.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists decisions.
    List(List),
    /// Shows one decision as a table of compute hosts.
    Show(Show),
    /// Lists every compute host of the zone as a decision saw it: its score, or why it was refused.
    Candidates(candidates::Candidates),
    /// Makes a decision once more over the zone of then: by the policy of then it comes out the same, another shows what it
    /// would have decided.
    Replay(replay::Replay),
    /// Prints a decision as a fixture, to be played by `velum plugin test --replay`.
    Export(export::Export),
}

/// Which decisions.
#[derive(Args, Debug)]
pub struct List {
    #[command(flatten)]
    pub most: Most,
    /// Only those about this instance.
    #[arg(long, value_name = "NAME|ID")]
    pub instance: Option<String>,
    /// Only those in this zone.
    #[arg(long, value_name = "NAME|ID")]
    pub zone: Option<String>,
    /// Only asks that found no place.
    #[arg(long)]
    pub refused: bool,
    /// Only those made at this moment (RFC 3339) or later.
    #[arg(long, value_name = "MOMENT")]
    pub since: Option<String>,
    /// Only those made before this moment (RFC 3339).
    #[arg(long, value_name = "MOMENT")]
    pub until: Option<String>,
}

/// Which decision.
#[derive(Args, Debug)]
pub struct Show {
    /// Its id.
    pub id: uuid::Uuid,
}

/// Runs `velum decision`.
pub async fn run(session: &Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::List(list) => {
            let zone = kind::resolve_some::<Zones>(session, list.zone.as_deref(), &Filter::new()).await?;
            let within = Filter::new().with_some("zone_id", zone);
            let instance =
                kind::resolve_some::<Instances>(session, list.instance.as_deref(), &within).await?;
            let filter = Filter::new()
                .with_some("instance_id", instance)
                .with_some("zone_id", zone)
                .with_some("placed", list.refused.then_some(false))
                .with_some("since", list.since.as_ref())
                .with_some("until", list.until.as_ref());
            kind::list_limited::<Decisions>(session, list.most.limit, filter).await
        }
        Command::Candidates(of) => candidates::run(session, &of).await,
        Command::Replay(replay) => replay::run(session, &replay).await,
        Command::Export(export) => export::run(session, &export).await,
        Command::Show(show) => {
            let mut decision = session.client.decisions().get(show.id).await?;
            if session.output == Output::Table {
                fill_names(session, &mut decision).await;
            }
            session.print(&decision, || render(&decision))
        }
    }
}

/// Only the answers about an instance name compute hosts and pools; people want to see names everywhere.
async fn fill_names(session: &Session, decision: &mut DecisionView) {
    let ranked = decision.winner.iter().chain(&decision.runners_up);
    let refused = decision.refusals.iter().map(|r| r.compute_host_id);
    let hosts: Vec<_> = ranked
        .map(|r| r.compute_host_id)
        .chain(refused)
        .map(|id| id.to_string())
        .collect();
    let pools: Vec<_> = decision
        .pools
        .iter()
        .map(|p| p.storage_pool_id.to_string())
        .collect();
    let mut names = Names::default();
    names.learn(&session.client, "compute-hosts", &hosts).await;
    names.learn(&session.client, "storage-pools", &pools).await;
    let host = |id: uuid::Uuid| Some(names.name("compute-hosts", &id.to_string()));
    for ranked in decision.winner.iter_mut().chain(&mut decision.runners_up) {
        ranked.compute_host_name = ranked
            .compute_host_name
            .take()
            .or_else(|| host(ranked.compute_host_id));
    }
    for refusal in &mut decision.refusals {
        refusal.compute_host_name = refusal
            .compute_host_name
            .take()
            .or_else(|| host(refusal.compute_host_id));
    }
    for pool in &mut decision.pools {
        let name = names.name("storage-pools", &pool.storage_pool_id.to_string());
        pool.storage_pool_name = pool.storage_pool_name.take().or(Some(name));
    }
}

/// The decision in words: who won under which policy, then every compute host with its score or refusal.
pub fn render(decision: &DecisionView) -> String {
    let mut text = table::pairs(&summary(decision));
    let rows = hosts(decision);
    if !rows.is_empty() {
        text.push('\n');
        text.push_str(&table::list(&["COMPUTE HOST", "SCORE", "VERDICT"], rows, None));
    }
    let listed = decision.refusals.len() as u64;
    let refused: u64 = decision.refused.iter().map(|r| u64::from(r.hosts)).sum();
    if refused > listed {
        text.push_str(&format!("\nrefused in all ({refused}):\n"));
        let row = |r: &velum_wire::RefusalView| vec![r.hosts.to_string(), plain(&r.reason), plain(&r.words)];
        text.push_str(&table::list(
            &["HOSTS", "REASON", "WHY"],
            decision.refused.iter().map(row).collect(),
            None,
        ));
    }
    text
}

fn summary(decision: &DecisionView) -> Vec<(String, String)> {
    let policy = &decision.policy;
    let mut rows = Vec::new();
    let mut row = |name: &str, value: String| rows.push((name.to_owned(), plain(&value)));
    row(
        "compute host",
        match &decision.winner {
            Some(winner) => host(winner.compute_host_name.as_ref(), winner.compute_host_id),
            None => "none: no compute host has room".to_owned(),
        },
    );
    if !decision.pools.is_empty() {
        let name = |p: &velum_wire::DecisionPoolView| host(p.storage_pool_name.as_ref(), p.storage_pool_id);
        row(
            "storage pools",
            decision.pools.iter().map(name).collect::<Vec<_>>().join(", "),
        );
    }
    row(
        "policy",
        format!("{}, generation {}", policy.name, policy.generation),
    );
    if let Some(digest) = &policy.digest {
        row("digest", digest.clone());
    }
    if let Some(failed) = &policy.failed {
        let then = policy.fallback.map_or("", |f| match f {
            velum_wire::Fallback::BuiltIn => "; the built-in policy decided",
            velum_wire::Fallback::Refuse => "; the request is refused",
        });
        row("policy failed", format!("{failed}{then}"));
    }
    row("fuel", decision.fuel.to_string());
    row(
        "looked at",
        count(u64::from(decision.considered), "compute host", "compute hosts"),
    );
    row("took", format!("{} us", decision.micros));
    row(
        "inventory",
        format!("epoch {}, seed {}", decision.inventory_epoch, decision.seed),
    );
    row(
        "decided",
        table::word(&decision.at.clone().into(), Kind::Time, &Names::default()),
    );
    rows
}

/// Its name; its id when that is not known.
fn host(name: Option<&String>, id: uuid::Uuid) -> String {
    name.map_or_else(|| id.to_string(), Clone::clone)
}

fn hosts(decision: &DecisionView) -> Vec<Vec<String>> {
    let ranked = |r: &velum_wire::RankedView, verdict: &str| {
        vec![
            plain(&host(r.compute_host_name.as_ref(), r.compute_host_id)),
            r.score.to_string(),
            format!("{verdict}{}", less_liked(r)),
        ]
    };
    let winner = decision.winner.iter().map(|w| ranked(w, "chosen"));
    let others = decision.runners_up.iter().map(|r| ranked(r, "runner-up"));
    let refused = decision.refusals.iter().map(|r| {
        let name = plain(&host(r.compute_host_name.as_ref(), r.compute_host_id));
        vec![
            name,
            "-".to_owned(),
            format!("refused: {} ({})", plain(&r.words), plain(&r.reason)),
        ]
    });
    winner.chain(others).chain(refused).collect()
}

/// What comes before any score, where there is something against a compute host.
fn less_liked(ranked: &velum_wire::RankedView) -> String {
    let mut words = Vec::new();
    if ranked.shared {
        words.push("not dedicated to the project, others are".to_owned());
    }
    if ranked.unmet > 0 {
        words.push(format!(
            "against {} of what its preferred affinity groups want",
            ranked.unmet
        ));
    }
    if words.is_empty() {
        String::new()
    } else {
        format!(" ({})", words.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_decision_names_who_won_and_why_each_other_did_not() {
        let id = "018f3f3e-7a5b-7c3d-8e9f-0123456789ab";
        let decision: DecisionView = serde_json::from_value(json!({
            "id": id, "project_id": id, "zone_id": id, "instance_id": id, "ask": {}, "inventory_epoch": 7, "seed": "1",
            "policy": {"id": id, "name": "green", "digest": "sha256:ab", "generation": 3, "config": {}, "failed": null, "fallback": null},
            "winner": {"compute_host_id": id, "compute_host_name": "rack1-a", "score": 90},
            "runners_up": [
                {"compute_host_id": id, "compute_host_name": "rack1-b", "score": 80},
                {"compute_host_id": id, "compute_host_name": "rack1-d", "score": 95, "shared": true, "unmet": 2}
            ],
            "pools": [{"storage_pool_id": id, "storage_pool_name": "fast"}], "considered": 3,
            "refused": [
                {"reason": "memory", "words": "not enough memory free", "hosts": 1},
                {"reason": "anti-affinity:web", "words": "too near a member of the anti-affinity group web", "hosts": 1}
            ],
            "refusals": [
                {"compute_host_id": id, "compute_host_name": "rack1-c", "reason": "memory", "words": "not enough memory free"},
                {"compute_host_id": id, "compute_host_name": "rack1-e", "reason": "anti-affinity:web",
                 "words": "too near a member of the anti-affinity group web"}
            ],
            "fuel": 1234, "micros": 56, "at": "2026-11-22T15:47:07Z"
        }))
        .expect("a decision");
        let text = render(&decision);
        for part in [
            "compute host   rack1-a",
            "policy         green, generation 3",
            "fuel           1234",
            "rack1-a       90     chosen",
            "rack1-b       80     runner-up",
            "rack1-d       95     runner-up (not dedicated to the project, others are; against 2 of what its preferred affinity groups want)",
            "rack1-c       -      refused: not enough memory free (memory)",
            "rack1-e       -      refused: too near a member of the anti-affinity group web (anti-affinity:web)",
        ] {
            assert!(text.contains(part), "{part:?} is missing in\n{text}");
        }
        assert!(!text.contains("refused in all"), "{text}");
    }
}
