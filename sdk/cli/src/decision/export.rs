//! `velum decision export`: a recorded decision as a fixture that `velum plugin test` plays.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde_json::Value;
use uuid::Uuid;
use velum_testkit::fixture::{AskFixture, ExpectFixture, Fixture, HostFixture, ResourceFixture};
use velum_wire::{CandidateResourceView, CandidateView, DecisionView, Verdict};

use crate::{failure::Failure, session::Session, text::plain};

/// The reason of a refusal by a policy begins so.
const BY_POLICY: &str = "policy:";

/// Which decision.
#[derive(clap::Args, Debug)]
pub struct Export {
    /// Its id.
    pub id: Uuid,
}

/// Runs `velum decision export`: the fixture goes to standard output.
///
/// The hosts are as the decision saw them, out of the zone's history; so are the facts of the request. What the server itself
/// refused never came before the policy and is left out.
pub async fn run(session: &Session, export: &Export) -> Result<(), Failure> {
    let decisions = session.client.decisions();
    let decision = decisions.get(export.id).await?;
    let candidates = decisions.all_candidates(export.id).await?;
    let fixture = fixture(&decision, &candidates);
    let text = toml_of(&fixture)?;
    crate::session::write_out(&text)
}

fn toml_of(fixture: &Fixture) -> Result<String, Failure> {
    let value = toml::Table::try_from(fixture).context("could not write the fixture")?;
    let text = toml::to_string_pretty(&value).context("could not write the fixture")?;
    Ok(format!(
        "# Played by `velum plugin test --replay FILE`, or from the folder fixtures/ of a policy.\n{text}"
    ))
}

fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn fixture(decision: &DecisionView, candidates: &[CandidateView]) -> Fixture {
    let asked = |key: &str| decision.ask.get(key).and_then(Value::as_u64).unwrap_or(0);
    let disks = decision.ask.get("disks").and_then(Value::as_array);
    let bytes = |disk: &Value| disk.get("bytes").and_then(Value::as_u64).unwrap_or(0);
    let gib: u64 = disks.map_or(0, |disks| {
        disks.iter().map(|disk| bytes(disk).div_ceil(1 << 30)).sum()
    });
    let previous = decision.ask.get("previous").and_then(Value::as_str);
    // The server prefers some to others whatever their scores: those of the winner's tier contended.
    let first = decision
        .winner
        .as_ref()
        .map(|winner| (winner.shared, winner.unmet));
    let shown: Vec<&CandidateView> = candidates
        .iter()
        .filter(|of| came_before_policy(of))
        .filter(|of| {
            of.verdict != Verdict::Ranked || first.is_none_or(|first| (of.shared, of.unmet) == first)
        })
        .collect();
    let ask = AskFixture {
        vcpus: narrow(asked("vcpus")),
        memory_mib: narrow(asked("memory")),
        gib: narrow(gib),
        resources: resources_asked(&decision.ask),
        seed: decision.seed.parse().unwrap_or(0),
        template_cached: shown
            .iter()
            .filter(|of| of.has_template)
            .map(|of| name(of))
            .collect(),
        previous_host: shown
            .iter()
            .find(|of| previous == Some(of.compute_host_id.to_string().as_str()))
            .map(|of| name(of)),
        same_project: shown
            .iter()
            .filter(|of| of.runs_of_project > 0)
            .map(|of| (name(of), of.runs_of_project))
            .collect(),
        kin: shown
            .iter()
            .filter(|of| of.kin > 0)
            .map(|of| (name(of), of.kin))
            .collect(),
        now_minute: narrow(asked("now_minute")),
        expected_end: expected_end(&decision.ask),
    };
    Fixture {
        note: Some(note(decision)),
        config: Some(decision.policy.config.clone()).filter(|config| !config.is_null()),
        ask,
        hosts: shown.iter().map(|of| row(of)).collect(),
        expect: expected(decision, &shown),
    }
}

/// How much was asked of which countable resource.
fn resources_asked(ask: &Value) -> BTreeMap<String, u32> {
    let asked = ask.get("resources").and_then(Value::as_object);
    let amount = |(name, amount): (&String, &Value)| Some((name.clone(), narrow(amount.as_u64()?)));
    asked.into_iter().flatten().filter_map(amount).collect()
}

/// The minute at which the machine was expected to end when this was decided, as its policy was told.
fn expected_end(ask: &Value) -> Option<u32> {
    let lifetime_s = ask.get("expected_lifetime").and_then(Value::as_u64)?;
    let now = ask.get("now_minute").and_then(Value::as_u64)?;
    Some(narrow(now + lifetime_s.div_ceil(60)))
}

/// The policy said something of it, or would have: a want of space on pools is only seen after it.
fn came_before_policy(candidate: &CandidateView) -> bool {
    match candidate.verdict {
        Verdict::Ranked => true,
        Verdict::Refused => candidate
            .reason
            .as_deref()
            .is_some_and(|reason| reason.starts_with(BY_POLICY)),
        Verdict::NotShown => false,
    }
}

/// Its name; its id when it is gone.
fn name(candidate: &CandidateView) -> String {
    let id = || candidate.compute_host_id.to_string();
    candidate.compute_host_name.clone().unwrap_or_else(id)
}

fn row(candidate: &CandidateView) -> HostFixture {
    HostFixture {
        name: name(candidate),
        free_vcpus: narrow(candidate.free_vcpus),
        total_vcpus: narrow(candidate.total_vcpus),
        free_memory_mib: narrow(candidate.free_memory_mib),
        total_memory_mib: narrow(candidate.total_memory_mib),
        runs: candidate.runs,
        latest_end: candidate.latest_end_minute,
        pod: candidate.pod,
        cluster: candidate.cluster,
        resources: candidate
            .resources
            .iter()
            .map(|(name, of)| (name.clone(), resource(of)))
            .collect(),
        attributes: candidate.attributes.clone(),
        ..HostFixture::default()
    }
}

fn resource(of: &CandidateResourceView) -> ResourceFixture {
    ResourceFixture {
        free: narrow(of.free),
        total: narrow(of.total),
    }
}

fn note(decision: &DecisionView) -> String {
    plain(&format!(
        "Decision {} of {}, policy {} generation {}, inventory epoch {}. The hosts are as it saw them; those that the server \
         refused itself are left out.",
        decision.id, decision.at, decision.policy.name, decision.policy.generation, decision.inventory_epoch,
    ))
}

fn expected(decision: &DecisionView, shown: &[&CandidateView]) -> ExpectFixture {
    let winner = decision.winner.as_ref().map(|winner| winner.compute_host_id);
    let refused = shown
        .iter()
        .filter(|of| of.verdict == Verdict::Refused)
        .map(|of| (name(of), of.words.clone().unwrap_or_default()));
    let scores = shown.iter().filter_map(|of| Some((name(of), of.score?)));
    ExpectFixture {
        winner: shown
            .iter()
            .find(|of| Some(of.compute_host_id) == winner)
            .map(|of| name(of)),
        refused: refused.collect(),
        scores: scores.collect(),
        ..ExpectFixture::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn candidate(n: u128, name: &str, verdict: &str) -> CandidateView {
        let is_ranked = verdict == "ranked";
        serde_json::from_value(json!({
            "compute_host_id": Uuid::from_u128(n), "compute_host_name": name,
            "verdict": if is_ranked { "ranked" } else { "refused" }, "score": is_ranked.then_some(90),
            "reason": (!is_ranked).then_some(verdict), "words": (!is_ranked).then_some("for a reason"),
            "free_vcpus": 16, "total_vcpus": 16, "free_memory_mib": 8192, "total_memory_mib": 8192, "runs": n,
            "shared": false, "unmet": 0, "kin": 0, "runs_of_project": n - 1, "latest_end_minute": 0, "has_template": n == 2, "pod": 1, "cluster": 1, "attributes": {"power_w": 120},
            "resources": {"gpu": {"free": n, "total": 4}}
        }))
        .expect("a candidate")
    }

    #[test]
    fn a_decision_becomes_a_fixture_of_what_the_policy_was_shown() {
        let (a, b, c) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        let decision: DecisionView = serde_json::from_value(json!({
            "id": a, "project_id": a, "zone_id": a, "instance_id": c, "inventory_epoch": 7, "seed": "9",
            "ask": {"vcpus": 2, "memory": 1024, "resources": {"gpu": 1}, "now_minute": 100, "expected_lifetime": 61, "disks": [{"bytes": 1}], "previous": b},
            "policy": {"id": a, "name": "green", "digest": "sha256:ab", "generation": 3, "config": {"x": 1}, "failed": null, "fallback": null},
            "winner": {"compute_host_id": a, "compute_host_name": null, "score": 90},
            "runners_up": [], "pools": [], "considered": 3, "refused": [], "refusals": [],
            "fuel": 1, "micros": 1, "at": "2026-11-22T15:47:07Z"
        }))
        .expect("a decision");
        let candidates = [
            candidate(1, "a", "ranked"),
            candidate(2, "b", "policy:4"),
            candidate(3, "c", "memory"),
        ];
        let fixture = fixture(&decision, &candidates);
        assert_eq!(fixture.hosts.len(), 2, "the server refused c itself");
        let row = &fixture.hosts[1];
        assert_eq!(
            (row.free_vcpus, row.runs, row.attributes["power_w"]),
            (16, 2, 120)
        );
        assert_eq!((row.resources["gpu"].free, row.resources["gpu"].total), (2, 4));
        let ask = &fixture.ask;
        assert_eq!(ask.resources["gpu"], 1);
        assert_eq!((ask.gib, ask.previous_host.as_deref()), (1, Some("b")));
        assert_eq!(
            (&ask.template_cached, ask.same_project["b"]),
            (&vec!["b".to_owned()], 1)
        );
        let expect = &fixture.expect;
        assert_eq!((expect.winner.as_deref(), expect.scores["a"]), (Some("a"), 90));
        assert_eq!(expect.refused["b"], "for a reason");
        assert_eq!(
            (fixture.ask.now_minute, fixture.ask.expected_end),
            (100, Some(102))
        );
        let text = toml_of(&fixture).expect("TOML");
        assert_eq!(Fixture::parse(&text, false), Ok(fixture));
    }
}
