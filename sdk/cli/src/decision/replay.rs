//! `velum decision replay`: a decision made once more, by the policy of then or by another.

use uuid::Uuid;
use velum_wire::{RankedView, ReplayDecisionBody, ReplayView};

use super::host;
use crate::{
    args::json,
    failure::Failure,
    policy::component,
    session::{Output, Session},
    table,
    text::{count, plain},
};

/// Which decision, and who is to make it.
#[derive(clap::Args, Debug)]
pub struct Replay {
    /// Its id.
    pub id: Uuid,
    /// Another plugin: its name (the newest version), NAME@VERSION, or the digest [default: the one that decided].
    #[arg(long, value_name = "PLUGIN|DIGEST")]
    pub policy: Option<String>,
    /// Another configuration [default: the one of then, for the same plugin].
    #[arg(long, value_name = "JSON|@FILE")]
    pub config: Option<String>,
}

/// Runs `velum decision replay`. A decision that does not come out the same by its own policy is a failure.
pub async fn run(session: &Session, replay: &Replay) -> Result<(), Failure> {
    let (digest, plugin) = component(session, replay.policy.as_deref()).await?;
    let body = ReplayDecisionBody {
        digest,
        plugin,
        config: replay.config.as_deref().map(json).transpose()?,
    };
    let is_own = body == ReplayDecisionBody::default();
    let mut replayed = session.client.decisions().replay(replay.id, &body).await?;
    if session.output == Output::Table {
        super::fill_names(session, &mut replayed.decision).await;
    }
    session.print(&replayed, || render(&replayed, is_own))?;
    if is_own && !replayed.same {
        return Err(Failure::Local(anyhow::anyhow!(
            "the same policy over the same inventory decided otherwise: it is not a function of what it is shown, or the history \
             is damaged"
        )));
    }
    Ok(())
}

fn render(replayed: &ReplayView, is_own: bool) -> String {
    let was = &replayed.decision;
    let place = |winner: Option<&RankedView>| {
        winner.map_or_else(
            || "nowhere".to_owned(),
            |of| {
                let name = plain(&host(of.compute_host_name.as_ref(), of.compute_host_id));
                format!("{name} (score {})", of.score)
            },
        )
    };
    let came_out = match (replayed.same, is_own) {
        (true, true) => "the same, bit for bit",
        (true, false) => "the same place",
        (false, _) => "otherwise",
    };
    let mut rows = vec![
        ("came out".to_owned(), came_out.to_owned()),
        ("was".to_owned(), place(was.winner.as_ref())),
        ("is".to_owned(), place(replayed.winner.as_ref())),
        (
            "equal scores".to_owned(),
            match replayed.ties {
                0 | 1 => "none: nobody else had the winner's score".to_owned(),
                ties => format!(
                    "{} had the winner's score",
                    count(u64::from(ties), "compute host", "compute hosts")
                ),
            },
        ),
    ];
    let policy = |of: &velum_wire::PolicyUsedView| match &of.digest {
        Some(digest) => format!("{} {}", plain(&of.name), plain(digest)),
        None => plain(&of.name),
    };
    if is_own {
        rows.push(("policy".to_owned(), policy(&was.policy)));
    } else {
        rows.push(("policy was".to_owned(), policy(&was.policy)));
        rows.push((
            "policy is".to_owned(),
            plain(replayed.policy.digest.as_deref().unwrap_or_default()),
        ));
        rows.push(("config is".to_owned(), plain(&replayed.policy.config.to_string())));
    }
    if let Some(failed) = &replayed.policy.failed {
        rows.push(("failed".to_owned(), plain(failed)));
    }
    let mut text = table::pairs(&rows);
    if !replayed.same {
        text.push('\n');
        text.push_str(&beside(replayed));
    }
    text
}

/// Both orders beside each other.
fn beside(replayed: &ReplayView) -> String {
    let column = |winner: Option<&RankedView>, others: &[RankedView]| -> Vec<String> {
        let all = winner.into_iter().chain(others);
        all.map(|of| {
            let name = plain(&host(of.compute_host_name.as_ref(), of.compute_host_id));
            format!("{name} {}", of.score)
        })
        .collect()
    };
    let was = column(replayed.decision.winner.as_ref(), &replayed.decision.runners_up);
    let is = column(replayed.winner.as_ref(), &replayed.runners_up);
    let cell = |column: &[String], at: usize| column.get(at).cloned().unwrap_or_else(|| "-".to_owned());
    let rows = (0..was.len().max(is.len()))
        .map(|at| vec![(at + 1).to_string(), cell(&was, at), cell(&is, at)])
        .collect();
    table::list(&["PLACE", "WAS", "IS"], rows, None)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_orders_stand_beside_each_other_where_they_differ() {
        let id = "018f3f3e-7a5b-7c3d-8e9f-0123456789ab";
        let policy = |digest: &str| json!({"id": id, "name": "green", "digest": digest, "generation": 3, "config": {}, "failed": null, "fallback": null});
        let ranked = |name: &str, score: u32| json!({"compute_host_id": id, "compute_host_name": name, "score": score});
        let mut replayed: ReplayView = serde_json::from_value(json!({
            "decision": {
                "id": id, "project_id": id, "zone_id": id, "instance_id": id, "ask": {}, "inventory_epoch": 7, "seed": "1",
                "policy": policy("sha256:ab"), "winner": ranked("a", 9), "runners_up": [ranked("b", 8)], "pools": [],
                "considered": 2, "refused": [], "refusals": [], "fuel": 1, "micros": 1, "at": "2026-11-22T15:47:07Z"
            },
            "same": false, "policy": policy("sha256:cd"), "winner": ranked("b", 7), "runners_up": [], "pools": [], "ties": 1,
            "refused": [], "fuel": 3
        }))
        .expect("a replay");
        let text = render(&replayed, false);
        for part in [
            "came out      otherwise",
            "was           a (score 9)",
            "is            b (score 7)",
            "1      a 9  b 7",
        ] {
            assert!(text.contains(part), "{part:?} is missing in\n{text}");
        }
        replayed.same = true;
        let text = render(&replayed, true);
        assert!(
            text.contains("the same, bit for bit") && !text.contains("PLACE"),
            "{text}"
        );
    }
}
