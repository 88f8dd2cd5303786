//! `velum policy shadow`, `velum policy promote`: trying a component on live asks before it decides any.

use clap::{ArgGroup, Args};
use velum_client::{Filter, Policies};
use velum_wire::{ShadowPolicyBody, ShadowView};

use super::component;
use crate::{
    args::json,
    failure::Failure,
    kind::{self, One},
    names::Names,
    session::{NO_WAIT, Session},
    table::{self, Kind},
    text::{count, plain},
};

/// What is to become of a policy's shadow; without any of these it is shown.
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("what").args(["plugin", "end"])))]
pub struct Shadow {
    #[command(flatten)]
    pub one: One,
    /// Begin one with this plugin: its name (the newest version), NAME@VERSION, or the digest.
    #[arg(long, value_name = "PLUGIN|DIGEST")]
    pub plugin: Option<String>,
    /// Its configuration [default: the policy's own]. Alone: the policy's own plugin with another configuration.
    #[arg(long, value_name = "JSON|@FILE", conflicts_with = "end")]
    pub config: Option<String>,
    /// End it; what was counted goes with it.
    #[arg(long)]
    pub end: bool,
}

/// Runs `velum policy shadow`.
pub async fn run(session: &Session, shadow: &Shadow) -> Result<(), Failure> {
    let policies = session.client.policies();
    let id = kind::resolve::<Policies>(session, &shadow.one.name, &Filter::new()).await?;
    if shadow.end {
        policies.end_shadow(id).await?;
        return session.print(&serde_json::json!({ "policy_id": id }), || {
            format!("the shadow of policy {id} has ended\n")
        });
    }
    let seen = if shadow.plugin.is_some() || shadow.config.is_some() {
        begin(session, id, shadow.plugin.as_deref(), shadow.config.as_deref()).await?
    } else {
        policies.shadow(id).await?
    };
    show(session, &seen)
}

/// Begins a shadow.
pub async fn begin(
    session: &Session,
    policy: uuid::Uuid,
    plugin: Option<&str>,
    config: Option<&str>,
) -> Result<ShadowView, Failure> {
    let (digest, plugin) = component(session, plugin).await?;
    let body = ShadowPolicyBody {
        digest,
        plugin,
        config: config.map(json).transpose()?,
    };
    Ok(session.client.policies().begin_shadow(policy, &body).await?)
}

/// Shows what was seen.
pub fn show(session: &Session, seen: &ShadowView) -> Result<(), Failure> {
    session.print(seen, || render(seen))
}

/// Makes the shadow of a policy the policy, as long as that is what was seen.
pub async fn promote(session: &Session, one: &One) -> Result<(), Failure> {
    let policies = session.client.policies();
    let id = kind::resolve::<Policies>(session, &one.name, &Filter::new()).await?;
    let present = policies.fetch(id).await?;
    let promoted = policies.promote(id, present.etag.as_deref()).await?;
    kind::answered::<Policies>(session, promoted, NO_WAIT).await
}

/// What was seen, in words.
fn render(seen: &ShadowView) -> String {
    let permille = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), percent);
    let or_dash =
        |value: Option<u64>, unit: &str| value.map_or_else(|| "-".to_owned(), |n| format!("{n}{unit}"));
    let failures = seen.failures;
    let failed = failures.trapped + failures.out_of_fuel + failures.nonsense + failures.unavailable;
    let rows = [
        ("digest", plain(&seen.digest)),
        ("config", plain(&seen.config.to_string())),
        (
            "since",
            format!(
                "{} by {}",
                table::word(&seen.started_at.clone().into(), Kind::Time, &Names::default()),
                plain(&seen.caller)
            ),
        ),
        (
            "asks",
            format!("{}, of which {} were not shown to it", seen.asks, seen.dropped),
        ),
        (
            "same host",
            format!(
                "{} ({} of {})",
                permille(seen.same_winner_permille),
                seen.same_winner,
                seen.compared
            ),
        ),
        ("same order", permille(seen.rank_agreement_permille)),
        (
            "would refuse more",
            format!(
                "{}; everything at {}",
                count(seen.refusals_added, "compute host", "compute hosts"),
                count(seen.refused_all, "ask", "asks")
            ),
        ),
        (
            "failures",
            format!(
                "{failed} ({} trapped, {} out of fuel, {} unusable, {} not available)",
                failures.trapped, failures.out_of_fuel, failures.nonsense, failures.unavailable
            ),
        ),
        (
            "fuel",
            format!(
                "{} an ask; the policy {}",
                or_dash(seen.fuel, ""),
                or_dash(seen.active_fuel, "")
            ),
        ),
        (
            "takes",
            format!(
                "{} to score; the policy {} to decide",
                or_dash(seen.micros, " us"),
                or_dash(seen.active_micros, " us")
            ),
        ),
    ];
    let rows: Vec<(String, String)> = rows
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    table::pairs(&rows)
}

fn percent(permille: u64) -> String {
    format!("{}.{} %", permille / 10, permille % 10)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_seen_is_told_in_words() {
        let id = "018f3f3e-7a5b-7c3d-8e9f-0123456789ab";
        let seen: ShadowView = serde_json::from_value(json!({
            "id": id, "policy_id": id, "digest": "sha256:ab", "config": {}, "caller": "admin",
            "started_at": "2026-11-29T08:00:00Z", "asks": 12, "dropped": 1, "compared": 10, "same_winner": 9,
            "same_winner_permille": 900, "rank_agreement_permille": 875, "refusals_added": 1, "refused_all": 0,
            "fuel": 4000, "active_fuel": 3000, "micros": 50, "active_micros": 70,
            "failures": {"trapped": 1, "out_of_fuel": 0, "nonsense": 0, "unavailable": 0}, "active_failed": 0
        }))
        .expect("a shadow");
        let text = render(&seen);
        for part in [
            "asks               12, of which 1 were not shown to it",
            "same host          90.0 % (9 of 10)",
            "same order         87.5 %",
            "would refuse more  1 compute host; everything at 0 asks",
            "failures           1 (1 trapped, 0 out of fuel, 0 unusable, 0 not available)",
            "fuel               4000 an ask; the policy 3000",
        ] {
            assert!(text.contains(part), "{part:?} is missing in\n{text}");
        }
    }
}
