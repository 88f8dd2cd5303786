//! `velum decision candidates`: every compute host of the zone as a decision saw it.

use uuid::Uuid;
use velum_client::Filter;
use velum_wire::{CandidateView, Verdict};

use super::host;
use crate::{
    failure::Failure,
    session::{Most, Session},
    table,
    text::plain,
};

/// Behind memory.
const RESOURCES_AT: usize = 4;

/// Which decision, and which of its candidates.
#[derive(clap::Args, Debug)]
pub struct Candidates {
    /// Its id.
    pub id: Uuid,
    #[command(flatten)]
    pub most: Most,
    /// Only those that were refused.
    #[arg(long)]
    pub refused: bool,
}

/// Runs `velum decision candidates`.
pub async fn run(session: &Session, of: &Candidates) -> Result<(), Failure> {
    let filter = Filter::new().with_some("refused", of.refused.then_some(true));
    let decisions = session.client.decisions();
    let (found, more) = decisions
        .first_candidates(of.id, &filter, of.most.limit as usize)
        .await?;
    session.print(&found, || render(&found))?;
    if more {
        session.say(&format!(
            "there are more: these are the first {} (--limit)",
            of.most.limit
        ));
    }
    Ok(())
}

fn render(candidates: &[CandidateView]) -> String {
    // Most zones have no countable resources, and nothing to say of them.
    let has_resources = candidates.iter().any(|of| !of.resources.is_empty());
    let rows = candidates.iter().map(|of| {
        let verdict = match (of.verdict, &of.words, &of.reason) {
            (Verdict::Ranked, ..) if of.shared => {
                "could be chosen, after those that are dedicated".to_owned()
            }
            (Verdict::Ranked, ..) if of.unmet > 0 => {
                "could be chosen, after those that its groups prefer".to_owned()
            }
            (Verdict::Ranked, ..) => "could be chosen".to_owned(),
            (Verdict::NotShown, ..) => "not shown to the policy".to_owned(),
            (Verdict::Refused, words, reason) => format!(
                "refused: {} ({})",
                plain(words.as_deref().unwrap_or_default()),
                plain(reason.as_deref().unwrap_or_default())
            ),
        };
        let resources = of
            .resources
            .iter()
            .map(|(name, of)| format!("{} {} of {}", plain(name), of.free, of.total))
            .collect::<Vec<_>>();
        let mut cells = vec![
            plain(&host(of.compute_host_name.as_ref(), of.compute_host_id)),
            of.score.map_or_else(|| "-".to_owned(), |score| score.to_string()),
            format!("{} of {}", of.free_vcpus, of.total_vcpus),
            format!("{} of {}", of.free_memory_mib, of.total_memory_mib),
            of.runs.to_string(),
            verdict,
        ];
        if has_resources {
            cells.insert(RESOURCES_AT, resources.join(", "));
        }
        cells
    });
    let mut headers = vec![
        "COMPUTE HOST",
        "SCORE",
        "FREE VCPUS",
        "FREE MIB",
        "RUNS",
        "VERDICT",
    ];
    let rows = rows.collect();
    if has_resources {
        headers.insert(RESOURCES_AT, "FREE RESOURCES");
    }
    table::list(&headers, rows, None)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_has_a_score_or_a_reason() {
        let of = |verdict: &str, score: Option<u32>, reason: Option<&str>| -> CandidateView {
            serde_json::from_value(json!({
                "compute_host_id": Uuid::from_u128(1), "compute_host_name": "rack1-a", "verdict": verdict, "score": score,
                "reason": reason, "words": reason.map(|_| "not enough memory free"), "free_vcpus": 3, "total_vcpus": 16,
                "free_memory_mib": 512, "total_memory_mib": 8192, "runs": 4, "shared": false, "unmet": 0, "kin": 0, "runs_of_project": 0, "latest_end_minute": 0, "has_template": false,
                "pod": 1, "cluster": 1, "attributes": {}
            }))
            .expect("a candidate")
        };
        let text = render(&[
            of("ranked", Some(90), None),
            of("refused", None, Some("memory")),
            of("not-shown", None, None),
        ]);
        for part in [
            "rack1-a       90     3 of 16     512 of 8192  4     could be chosen",
            "refused: not enough memory free (memory)",
            "not shown to the policy",
        ] {
            assert!(text.contains(part), "{part:?} is missing in\n{text}");
        }
        let mut with = of("refused", None, Some("resource:gpu"));
        with.resources = [(
            "gpu".to_owned(),
            velum_wire::CandidateResourceView { free: 1, total: 4 },
        )]
        .into();
        let text = render(&[with, of("ranked", Some(90), None)]);
        for part in ["FREE RESOURCES", "512 of 8192  gpu 1 of 4"] {
            assert!(text.contains(part), "{part:?} is missing in\n{text}");
        }
    }
}
