//! `velum decision export`: a recorded decision as a fixture that `velum plugin test` plays.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde_json::Value;
use uuid::Uuid;
use velum_client::{ClientError, Filter};
use velum_testkit::fixture::{AskFixture, ExpectFixture, Fixture, HostFixture};
use velum_wire::{ComputeHostView, DecisionView};

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
/// A decision keeps who won, not what each host had: the hosts are told as they stand now, with what the instance itself
/// took given back. The fixture says so, and what was recorded is in it.
pub async fn run(session: &Session, export: &Export) -> Result<(), Failure> {
    let decision = session.client.decisions().get(export.id).await?;
    let hosts = hosts_of(session, decision.zone_id).await?;
    let runs = runs_by_host(session, &decision).await?;
    let fixture = fixture(&decision, &hosts, &runs);
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

async fn hosts_of(session: &Session, zone: Uuid) -> Result<Vec<ComputeHostView>, ClientError> {
    let filter = Filter::new().with("zone_id", zone);
    session.client.compute_hosts().all(&filter).await
}

/// Where the instances are now: how many on each host, and where the decision's own is.
struct Runs {
    by_host: BTreeMap<Uuid, u32>,
    of_decision: Option<Uuid>,
}

async fn runs_by_host(session: &Session, decision: &DecisionView) -> Result<Runs, ClientError> {
    let mut runs = Runs {
        by_host: BTreeMap::new(),
        of_decision: None,
    };
    let filter = Filter::new().with("zone_id", decision.zone_id);
    for instance in session.client.instances().all(&filter).await? {
        let Some(host) = instance.compute_host_id else {
            continue;
        };
        *runs.by_host.entry(host).or_default() += 1;
        if instance.id == decision.instance_id {
            runs.of_decision = Some(host);
        }
    }
    Ok(runs)
}

fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn fixture(decision: &DecisionView, hosts: &[ComputeHostView], runs: &Runs) -> Fixture {
    let asked = |key: &str| decision.ask.get(key).and_then(Value::as_u64).unwrap_or(0);
    let disks = decision.ask.get("disks").and_then(Value::as_array);
    let bytes = |disk: &Value| disk.get("bytes").and_then(Value::as_u64).unwrap_or(0);
    let gib: u64 = disks.map_or(0, |disks| {
        disks.iter().map(|disk| bytes(disk).div_ceil(1 << 30)).sum()
    });
    let name = |id: Uuid| {
        hosts
            .iter()
            .find(|host| host.id == id)
            .map(|host| host.name.clone())
    };
    let previous: Option<Uuid> = decision
        .ask
        .get("previous")
        .and_then(Value::as_str)
        .and_then(|id| id.parse().ok());
    let ask = AskFixture {
        vcpus: narrow(asked("vcpus")),
        memory_mib: narrow(asked("memory")),
        gib: narrow(gib),
        seed: decision.seed.parse().unwrap_or(0),
        previous_host: previous.and_then(name),
        ..AskFixture::default()
    };
    // What the server itself refused never came before the policy.
    let by_server = |host: &ComputeHostView| {
        decision
            .refusals
            .iter()
            .any(|refusal| refusal.compute_host_id == host.id && !refusal.reason.starts_with(BY_POLICY))
    };
    // Nor did what the project or its affinity groups like less than where it went.
    let tier = |ranked: &velum_wire::RankedView| (ranked.shared, ranked.unmet);
    let first = decision.winner.as_ref().map(tier);
    let less_liked = |host: &ComputeHostView| {
        let of = |ranked: &&velum_wire::RankedView| ranked.compute_host_id == host.id;
        let ranked = decision.runners_up.iter().find(of);
        ranked.is_some_and(|ranked| Some(tier(ranked)) > first)
    };
    let given_back = |host: &ComputeHostView| runs.of_decision == Some(host.id);
    let rows = hosts
        .iter()
        .filter(|host| !by_server(host) && !less_liked(host))
        .map(|host| HostFixture {
            pod: number(hosts.iter().map(|h| h.pod_id), host.pod_id),
            cluster: number(hosts.iter().map(|h| h.cluster_id), host.cluster_id),
            ..row(host, &ask, runs, given_back(host))
        })
        .collect();
    Fixture {
        note: Some(note(decision, name)),
        config: Some(decision.policy.config.clone()).filter(|config| !config.is_null()),
        expect: expected(decision, name),
        ask,
        hosts: rows,
    }
}

/// A number that only those with the same id have: the place of the first of them.
fn number(ids: impl Iterator<Item = Uuid>, id: Uuid) -> u32 {
    let mut seen: Vec<Uuid> = Vec::new();
    for other in ids {
        if !seen.contains(&other) {
            seen.push(other);
        }
    }
    let place = seen.iter().position(|other| *other == id).unwrap_or(0);
    u32::try_from(place).unwrap_or(u32::MAX)
}

fn row(host: &ComputeHostView, ask: &AskFixture, runs: &Runs, given_back: bool) -> HostFixture {
    let back = |amount: u32| if given_back { u64::from(amount) } else { 0 };
    let free = |ceiling: u64, used: u64, back: u64| narrow(ceiling.saturating_sub(used.saturating_sub(back)));
    let known = runs.by_host.get(&host.id).copied().unwrap_or(0);
    HostFixture {
        name: host.name.clone(),
        free_vcpus: free(host.vcpus_ceiling, host.vcpus_used, back(ask.vcpus)),
        total_vcpus: narrow(host.vcpus_ceiling),
        free_memory_mib: free(
            host.memory_ceiling_mib,
            host.memory_used_mib,
            back(ask.memory_mib),
        ),
        total_memory_mib: narrow(host.memory_ceiling_mib),
        runs: known.saturating_sub(u32::from(given_back)),
        attributes: host.attributes.clone(),
        ..HostFixture::default()
    }
}

fn note(decision: &DecisionView, name: impl Fn(Uuid) -> Option<String>) -> String {
    let scores: Vec<String> = decision
        .winner
        .iter()
        .chain(&decision.runners_up)
        .filter_map(|ranked| Some(format!("{} {}", name(ranked.compute_host_id)?, ranked.score)))
        .collect();
    plain(&format!(
        "Decision {} of {}, policy {} generation {}, inventory epoch {}; scores then: {}. The hosts are as they stood when \
         this was exported, without what this instance took; facts of the request are not kept.",
        decision.id,
        decision.at,
        decision.policy.name,
        decision.policy.generation,
        decision.inventory_epoch,
        scores.join(", ")
    ))
}

fn expected(decision: &DecisionView, name: impl Fn(Uuid) -> Option<String>) -> ExpectFixture {
    let refused = decision
        .refusals
        .iter()
        .filter(|refusal| refusal.reason.starts_with(BY_POLICY))
        .filter_map(|refusal| Some((name(refusal.compute_host_id)?, refusal.words.clone())));
    ExpectFixture {
        winner: decision
            .winner
            .as_ref()
            .and_then(|winner| name(winner.compute_host_id)),
        refused: refused.collect(),
        ..ExpectFixture::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn host(n: u128, name: &str, used: u64) -> ComputeHostView {
        let id = Uuid::from_u128(n);
        serde_json::from_value(json!({
            "id": id, "zone_id": id, "pod_id": id, "cluster_id": id, "name": name, "driver_digest": "sha256:ab",
            "config": {}, "node": null, "endpoint": null, "private_address": null, "vcpus": 8, "memory_mib": 8192,
            "vcpus_ceiling": 16, "memory_ceiling_mib": 8192, "vcpus_used": used, "memory_used_mib": used * 512,
            "tags": [], "attributes": {"power_w": 120}, "intent": "enabled", "observed": "up", "observed_at": null,
            "boot_id": null, "abilities": {"arch": "x86-64", "hypervisor": "x", "kvm": null, "cpu_baseline": "",
            "attachment_kinds": [], "nic_kinds": [], "console_kinds": [], "interfaces": []}, "generation": 1,
            "created_at": "2026-11-22T15:47:07Z"
        }))
        .expect("a compute host")
    }

    #[test]
    fn a_decision_becomes_a_fixture_in_which_its_own_guest_took_nothing() {
        let (a, b, c) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        let decision: DecisionView = serde_json::from_value(json!({
            "id": a, "project_id": a, "zone_id": a, "instance_id": c, "inventory_epoch": 7, "seed": "9",
            "ask": {"vcpus": 2, "memory": 1024, "disks": [{"bytes": 1}]},
            "policy": {"id": a, "name": "green", "digest": "sha256:ab", "generation": 3, "config": {"x": 1}, "failed": null, "fallback": null},
            "winner": {"compute_host_id": a, "compute_host_name": null, "score": 90},
            "runners_up": [{"compute_host_id": Uuid::from_u128(4), "compute_host_name": null, "score": 99, "unmet": 1}],
            "pools": [], "considered": 3, "refused": [],
            "refusals": [{"compute_host_id": b, "compute_host_name": null, "reason": "memory", "words": "not enough"}],
            "fuel": 1, "micros": 1, "at": "2026-11-22T15:47:07Z"
        }))
        .expect("a decision");
        let runs = Runs {
            by_host: BTreeMap::from([(a, 1)]),
            of_decision: Some(a),
        };
        let hosts = [host(1, "a", 2), host(2, "b", 16), host(4, "d", 0)];
        let fixture = fixture(&decision, &hosts, &runs);
        assert_eq!(
            fixture.hosts.len(),
            1,
            "the server refused b itself, and liked d less"
        );
        let row = &fixture.hosts[0];
        assert_eq!(
            (row.free_vcpus, row.runs, row.attributes["power_w"]),
            (16, 0, 120)
        );
        assert_eq!(
            (fixture.ask.gib, fixture.expect.winner.as_deref()),
            (1, Some("a"))
        );
        let text = toml_of(&fixture).expect("TOML");
        assert_eq!(Fixture::parse(&text, false), Ok(fixture));
    }
}
