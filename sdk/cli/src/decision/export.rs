//! `velum decision export`: a recorded decision as a fixture that `velum plugin test` plays.

use std::collections::BTreeMap;

use anyhow::{Context as _, anyhow};
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
/// refused never came before the policy and is left out; what the project had there still counts in its pod.
pub async fn run(session: &Session, export: &Export) -> Result<(), Failure> {
    let decisions = session.client.decisions();
    let decision = decisions.get(export.id).await?;
    let candidates = decisions.all_candidates(export.id).await?;
    let fixture = fixture(&decision, &candidates)?;
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

fn fixture(decision: &DecisionView, candidates: &[CandidateView]) -> Result<Fixture, Failure> {
    let shown = shown(decision, candidates);
    if shown.is_empty() {
        return Err(nothing_shown(decision));
    }
    Ok(Fixture {
        note: Some(note(decision)),
        config: config(&decision.policy.config),
        ask: ask(decision, candidates, &shown)?,
        hosts: shown.iter().map(|of| row(of)).collect(),
        expect: expected(decision, &shown),
    })
}

/// The compute hosts among which the policy's scores decided.
fn shown<'a>(decision: &DecisionView, candidates: &'a [CandidateView]) -> Vec<&'a CandidateView> {
    // The server prefers some to others whatever their scores: those of the winner's tier contended.
    let first = decision
        .winner
        .as_ref()
        .map(|winner| (winner.shared, winner.unmet));
    candidates
        .iter()
        .filter(|of| came_before_policy(of))
        .filter(|of| {
            of.verdict != Verdict::Ranked || first.is_none_or(|first| (of.shared, of.unmet) == first)
        })
        .collect()
}

/// A fixture without hosts could not be played: nothing would be asked of the policy.
fn nothing_shown(decision: &DecisionView) -> Failure {
    let policy = &decision.policy;
    let why = match &policy.failed {
        Some(failed) => format!(
            "its policy {} failed ({failed}) and judged no compute host",
            policy.name
        ),
        None => {
            "no compute host was left for its policy to judge: the server itself refused every one".to_owned()
        }
    };
    let id = decision.id;
    Failure::Local(anyhow!(
        "could not export decision {id}: {why}; `velum decision candidates {id}` shows what was said of each"
    ))
}

/// The policy's configuration; its JSON text where TOML has no way to write it.
fn config(config: &Value) -> Option<Value> {
    match config {
        Value::Null => None,
        config if fits_toml(config) => Some(config.clone()),
        config => Some(Value::String(config.to_string())),
    }
}

/// TOML has no null, and its integers have 63 bits and a sign.
fn fits_toml(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Number(number) => number.is_i64() || number.is_f64(),
        Value::Array(values) => values.iter().all(fits_toml),
        Value::Object(fields) => fields.values().all(fits_toml),
        Value::Bool(_) | Value::String(_) => true,
    }
}

fn ask(
    decision: &DecisionView,
    candidates: &[CandidateView],
    shown: &[&CandidateView],
) -> Result<AskFixture, Failure> {
    let asked = |key: &str| decision.ask.get(key).and_then(Value::as_u64).unwrap_or(0);
    let disks = decision.ask.get("disks").and_then(Value::as_array);
    let bytes = |disk: &Value| disk.get("bytes").and_then(Value::as_u64).unwrap_or(0);
    let gib: u64 = disks.map_or(0, |disks| {
        disks.iter().map(|disk| bytes(disk).div_ceil(1 << 30)).sum()
    });
    let previous = decision.ask.get("previous").and_then(Value::as_str);
    let seed = decision.seed.parse::<u64>().with_context(|| {
        format!(
            "could not read the seed {:?} of decision {}: use the velum of the server's version",
            decision.seed, decision.id
        )
    })?;
    // What is 0 is not told.
    let counted = |count: fn(&CandidateView) -> u32| -> BTreeMap<String, u32> {
        let told = shown.iter().filter(|of| count(of) > 0);
        told.map(|of| (name(of), count(of))).collect()
    };
    Ok(AskFixture {
        vcpus: narrow(asked("vcpus")),
        memory_mib: narrow(asked("memory")),
        gib: narrow(gib),
        resources: resources_asked(&decision.ask),
        seed,
        template_cached: shown
            .iter()
            .filter(|of| of.has_template)
            .map(|of| name(of))
            .collect(),
        previous_host: shown
            .iter()
            .find(|of| previous == Some(of.compute_host_id.to_string().as_str()))
            .map(|of| name(of)),
        same_project: counted(|of| of.runs_of_project),
        same_project_in_pod: same_project_in_pod(candidates, shown),
        kin: counted(|of| of.kin),
        now_minute: narrow(asked("now_minute")),
        expected_end: expected_end(&decision.ask),
    })
}

/// How many runs of the project the pods of those shown had: on all of their compute hosts, also on those that were not shown.
fn same_project_in_pod(candidates: &[CandidateView], shown: &[&CandidateView]) -> BTreeMap<String, u32> {
    let mut by_pod = BTreeMap::<u32, u32>::new();
    for of in candidates {
        let sum = by_pod.entry(of.pod).or_default();
        *sum = sum.saturating_add(of.runs_of_project);
    }
    let in_pod = |of: &CandidateView| by_pod.get(&of.pod).copied().unwrap_or(0);
    let told = shown.iter().filter(|of| in_pod(of) > 0);
    told.map(|of| (name(of), in_pod(of))).collect()
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

/// The policy's word on it stood. A want of space on pools is only seen after the policy: what that said of such a host is not
/// told any more.
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
         refused itself are left out, but what the project ran there is in same-project-in-pod.",
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

    fn decision(seed: &str, config: &Value) -> DecisionView {
        let (a, b, c) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        serde_json::from_value(json!({
            "id": a, "project_id": a, "zone_id": a, "instance_id": c, "inventory_epoch": u64::MAX, "seed": seed,
            "ask": {"vcpus": 2, "memory": 1024, "resources": {"gpu": 1}, "now_minute": 100, "expected_lifetime": 61, "disks": [{"bytes": 1}], "previous": b},
            "policy": {"id": a, "name": "green", "digest": "sha256:ab", "generation": 3, "config": config, "failed": null, "fallback": null},
            "winner": {"compute_host_id": a, "compute_host_name": null, "score": 90},
            "runners_up": [], "pools": [], "considered": 3, "refused": [], "refusals": [],
            "fuel": u64::MAX, "micros": 1, "at": "2026-11-22T15:47:07Z"
        }))
        .expect("a decision")
    }

    #[test]
    fn a_decision_becomes_a_fixture_of_what_the_policy_was_shown() {
        let decision = decision("9", &json!({"x": 1}));
        let candidates = [
            candidate(1, "a", "ranked"),
            candidate(2, "b", "policy:4"),
            candidate(3, "c", "memory"),
        ];
        let fixture = fixture(&decision, &candidates).expect("a fixture");
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

    #[test]
    fn a_pod_has_what_the_project_runs_on_hosts_that_were_not_shown() {
        let mut candidates = [
            candidate(1, "a", "ranked"),
            candidate(2, "b", "policy:4"),
            candidate(3, "c", "memory"),
            candidate(4, "d", "ranked"),
            candidate(5, "e", "ranked"),
        ];
        candidates[3].pod = 2;
        candidates[3].runs_of_project = 0;
        // Of another tier than the winner, and so not among those that contended.
        candidates[4].unmet = 1;
        let fixture = fixture(&decision("9", &Value::Null), &candidates).expect("a fixture");
        let same = |hosts: &[(&str, u32)]| -> BTreeMap<String, u32> {
            hosts
                .iter()
                .map(|&(host, runs)| (host.to_owned(), runs))
                .collect()
        };
        assert_eq!(fixture.hosts.len(), 3);
        assert_eq!(fixture.ask.same_project, same(&[("b", 1)]));
        let in_pod = &fixture.ask.same_project_in_pod;
        assert_eq!(*in_pod, same(&[("a", 7), ("b", 7)]), "1 on b, 2 on c, 4 on e");
        let text = toml_of(&fixture).expect("TOML");
        assert_eq!(Fixture::parse(&text, false), Ok(fixture));
    }

    #[test]
    fn whatever_number_a_decision_has_it_is_written_and_read() {
        let candidates = [candidate(1, "a", "ranked")];
        let large = json!({"most": u64::MAX, "least": i64::MIN, "share": 0.5, "none": [null]});
        let usual = json!({"x": [1, "y", true, 0.5]});
        for (seed, given) in [(u64::MAX, &large), (1 << 63, &usual)] {
            let decision = decision(&seed.to_string(), given);
            let fixture = fixture(&decision, &candidates).expect("a fixture");
            assert_eq!(fixture.ask.seed, seed);
            let text = toml_of(&fixture).expect("TOML");
            assert_eq!(Fixture::parse(&text, false), Ok(fixture));
        }
        assert_eq!(config(&large), Some(Value::String(large.to_string())));
        assert_eq!(config(&usual), Some(usual.clone()));
        let wrong = fixture(&decision("-1", &usual), &candidates).expect_err("no seed");
        assert!(matches!(wrong, Failure::Local(error) if error.to_string().contains("\"-1\"")));
    }

    #[test]
    fn a_decision_in_which_the_policy_was_shown_nothing_is_not_exported() {
        let mut decision = decision("9", &Value::Null);
        decision.winner = None;
        let candidates = [candidate(3, "c", "memory"), candidate(4, "d", "storage-space")];
        let words = |decision: &DecisionView| match fixture(decision, &candidates) {
            Err(Failure::Local(error)) => error.to_string(),
            other => panic!("{other:?}"),
        };
        let refused = words(&decision);
        let next = format!("`velum decision candidates {}`", decision.id);
        assert!(
            refused.contains("refused every one") && refused.contains(&next),
            "{refused}"
        );
        decision.policy.failed = Some("out of fuel".to_owned());
        let failed = words(&decision);
        assert!(failed.contains("green failed (out of fuel)"), "{failed}");
    }
}
