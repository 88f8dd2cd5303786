//! `velum policy evaluate`: what would have come of a zone's latest decisions under another policy.

use clap::Args;
use velum_client::{Filter, Zones};
use velum_wire::{EvaluatePolicyBody, EvaluationView, PackingView};

use super::component;
use crate::{
    args::json,
    failure::Failure,
    kind,
    names::Names,
    progress,
    session::{Output, Session},
    table::{self, Kind},
    text::{count, plain},
};

/// Rows of the table of fills: a screen.
const ROWS: usize = 12;
/// Machines of which something else would have come that are listed.
const MOVES: usize = 10;

/// Which policy, over what.
#[derive(Args, Debug)]
pub struct Evaluate {
    /// The plugin: its name (the newest version), NAME@VERSION, or the digest.
    #[arg(long, value_name = "PLUGIN|DIGEST")]
    pub policy: String,
    /// Its configuration, as the plugin's schema wants it.
    #[arg(long, value_name = "JSON|@FILE")]
    pub config: Option<String>,
    /// The zone [default: the only one].
    #[arg(long, value_name = "NAME|ID")]
    pub zone: Option<String>,
    /// So many of its latest decisions.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub last: u32,
}

/// Runs `velum policy evaluate`.
pub async fn run(session: &Session, evaluate: &Evaluate) -> Result<(), Failure> {
    let zone = match &evaluate.zone {
        Some(zone) => kind::resolve::<Zones>(session, zone, &Filter::new()).await?,
        None => only_zone(session).await?,
    };
    let (digest, plugin) = component(session, Some(&evaluate.policy)).await?;
    let body = EvaluatePolicyBody {
        zone_id: zone,
        digest,
        plugin,
        config: evaluate.config.as_deref().map(json).transpose()?,
        last: Some(evaluate.last),
    };
    let bar = progress::spinner(session.output, "the zone's decisions are made once more");
    let evaluated = session.client.policies().evaluate(&body).await;
    bar.finish_and_clear();
    let evaluated = evaluated?;
    let mut names = Names::default();
    if session.output == Output::Table {
        let moves = evaluated.moves.iter().take(MOVES);
        let hosts: Vec<String> = moves
            .clone()
            .flat_map(|of| of.was.into_iter().chain(of.would))
            .map(|id| id.to_string())
            .collect();
        let instances: Vec<String> = moves.map(|of| of.instance_id.to_string()).collect();
        names.learn(&session.client, "compute-hosts", &hosts).await;
        names.learn(&session.client, "instances", &instances).await;
    }
    session.print(&evaluated, || render(&evaluated, &names))
}

async fn only_zone(session: &Session) -> Result<uuid::Uuid, Failure> {
    let (zones, _) = session.client.zones().first(&Filter::new(), 2).await?;
    match zones.as_slice() {
        [one] => Ok(one.id),
        [] => Err(Failure::Local(anyhow::anyhow!("there is no zone"))),
        _ => Err(Failure::usage(
            "there are several zones; say which with --zone".to_owned(),
        )),
    }
}

fn render(of: &EvaluationView, names: &Names) -> String {
    let mut text = table::pairs(&summary(of));
    if !of.samples.is_empty() {
        text.push('\n');
        text.push_str(&fills(of));
    }
    if !of.moves.is_empty() {
        text.push_str(&format!(
            "\nthe first that would have come out differently ({} in all):\n",
            of.decisions - of.same
        ));
        let place = |id: Option<uuid::Uuid>| {
            id.map_or_else(
                || "nowhere".to_owned(),
                |id| plain(&names.name("compute-hosts", &id.to_string())),
            )
        };
        let rows = of.moves.iter().take(MOVES).map(|of| {
            vec![
                plain(&names.name("instances", &of.instance_id.to_string())),
                place(of.was),
                place(of.would),
                of.decision_id.to_string(),
            ]
        });
        text.push_str(&table::list(
            &["INSTANCE", "WENT TO", "WOULD GO TO", "DECISION"],
            rows.collect(),
            None,
        ));
    }
    text
}

fn summary(of: &EvaluationView) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    let mut row = |name: &str, value: String| rows.push((name.to_owned(), value));
    let time = |at: &Option<String>| {
        at.clone().map_or_else(String::new, |at| {
            table::word(&at.into(), Kind::Time, &Names::default())
        })
    };
    row(
        "policy",
        plain(of.policy.digest.as_deref().unwrap_or(&of.policy.name)),
    );
    row("config", plain(&of.policy.config.to_string()));
    row(
        "decisions",
        match of.decisions {
            0 => "none of which enough is kept".to_owned(),
            n => format!("{n}, from {} to {}", time(&of.first_at), time(&of.last_at)),
        },
    );
    for (name, value) in parts(of) {
        row(name, value);
    }
    row(
        "refused",
        format!("{} were, {} would have been", of.refused_was, of.refused_would),
    );
    if let Some((was, would)) = mean_empty(of) {
        row(
            "empty hosts",
            format!("{was:.2} % were, {would:.2} % would have been, in the mean"),
        );
    }
    if of.failed > 0 {
        let why = of.failure.as_deref().unwrap_or_default();
        row(
            "failed",
            format!("{}: {}", count(of.failed, "time", "times"), plain(why)),
        );
    }
    if of.skipped > 0 {
        row(
            "left out",
            format!(
                "{}: nothing is kept of their time",
                count(of.skipped, "decision", "decisions")
            ),
        );
    }
    if of.restarts > 0 {
        row(
            "set equal",
            format!(
                "{}: the server had begun anew, or read the zone again",
                count(of.restarts, "time", "times")
            ),
        );
    }
    if !of.complete {
        row(
            "incomplete",
            "it took too long; the latest decisions are left out: try a smaller --last".to_owned(),
        );
    }
    row("took", format!("{} ms", of.took_ms));
    rows
}

/// What came of all decisions: together they are all.
fn parts(of: &EvaluationView) -> [(&'static str, String); 3] {
    let part = |part: u64| format!("{part} ({})", share(part, of.decisions));
    let otherwise = of.decisions.saturating_sub(of.same + of.moved);
    [
        (
            "the same",
            format!("{}: where it was, or refused again", part(of.same)),
        ),
        ("elsewhere", part(of.moved)),
        (
            "otherwise",
            format!(
                "{}: refused and would have been placed, or placed and would have been refused",
                part(otherwise)
            ),
        ),
    ]
}

fn share(part: u64, of: u64) -> String {
    format!("{:.1} %", part as f64 * 100.0 / of.max(1) as f64)
}

fn empty(of: PackingView) -> f64 {
    f64::from(of.empty) * 100.0 / f64::from(of.compute_hosts.max(1))
}

fn mean_empty(of: &EvaluationView) -> Option<(f64, f64)> {
    let count = of.samples.len() as f64;
    let mean = |side: fn(&velum_wire::EvaluationSampleView) -> PackingView| {
        of.samples.iter().map(|sample| empty(side(sample))).sum::<f64>() / count
    };
    (!of.samples.is_empty()).then(|| (mean(|sample| sample.was), mean(|sample| sample.would)))
}

/// How full the zone was and would have been, over time.
fn fills(of: &EvaluationView) -> String {
    let step = of.samples.len().div_ceil(ROWS);
    let full = |of: PackingView| {
        format!(
            "{:.1}",
            of.vcpus_used as f64 * 100.0 / of.vcpus_there.max(1) as f64
        )
    };
    let rows = of.samples.iter().step_by(step.max(1)).map(|sample| {
        vec![
            table::word(&sample.at.clone().into(), Kind::Time, &Names::default()),
            format!("{:.2}", empty(sample.was)),
            format!("{:.2}", empty(sample.would)),
            full(sample.was),
            full(sample.would),
        ]
    });
    table::list(
        &["AT", "EMPTY % WAS", "WOULD", "VCPUS % IN USE WAS", "WOULD"],
        rows.collect(),
        None,
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_would_have_come_of_it_is_told_in_words() {
        let id = "018f3f3e-7a5b-7c3d-8e9f-0123456789ab";
        let packing = |empty: u32| {
            json!({"compute_hosts": 200, "empty": empty, "vcpus_used": 50, "vcpus_there": 100, "memory_used_mib": 1,
                "memory_there_mib": 2})
        };
        let of: EvaluationView = serde_json::from_value(json!({
            "policy": {"id": null, "name": "x", "digest": "sha256:ab", "generation": 0, "config": {}, "failed": null, "fallback": null},
            "first_at": "2026-11-22T15:47:07Z", "last_at": "2026-11-22T16:47:07Z", "decisions": 10, "same": 8, "moved": 1,
            "refused_was": 1, "refused_would": 0, "failed": 0, "failure": null,
            "moves": [{"decision_id": id, "instance_id": id, "was": id, "would": null}],
            "samples": [{"at": "2026-11-22T15:47:07Z", "was": packing(10), "would": packing(13)}],
            "skipped": 2, "restarts": 1, "fuel": 9, "complete": true, "took_ms": 12
        }))
        .expect("an evaluation");
        let text = render(&of, &Names::default());
        for part in [
            "the same     8 (80.0 %): where it was, or refused again",
            "elsewhere    1 (10.0 %)",
            "otherwise    1 (10.0 %): refused and would",
            "refused      1 were, 0 would have been",
            "empty hosts  5.00 % were, 6.50 % would have been, in the mean",
            "left out     2 decisions: nothing is kept of their time",
            "come out differently (2 in all)",
            "nowhere",
        ] {
            assert!(text.contains(part), "{part:?} is missing in\n{text}");
        }
    }
}
