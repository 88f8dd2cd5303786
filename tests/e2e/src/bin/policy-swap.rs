//! The zone's policy swapped through the API while 50 creates a second run, paced whatever the server answers: no request
//! fails, and each decision names a policy that was in force while its request was under way, with the component and
//! configuration of just the generation that it names.

use std::{
    collections::{BTreeMap, HashMap},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::Parser;
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinSet};
use uuid::Uuid;
use velum_client::{Client, Filter, Patience};
use velum_support::{Aim, CloudOptions, Report, TestCloud, World, WorldOptions};
use velum_wire::{
    CreatePolicyBody, DecisionView, Fallback, PluginWorld, PolicyView, UpdatePolicyBody, UpdateZoneBody,
};

/// Swaps a zone's policy under load.
#[derive(Debug, Parser)]
struct Arguments {
    /// Creates a second, begun at their time however long the earlier ones take.
    #[arg(long, default_value_t = 50)]
    rate: u32,
    /// Seconds.
    #[arg(long, default_value_t = 22)]
    seconds: u32,
    /// Milliseconds between two swaps.
    #[arg(long, default_value_t = 400)]
    swap_ms: u64,
}

/// 32 vCPUs each, one an instance: room for half a minute at 50 a second.
const HOSTS: u32 = 60;
/// What the far side answers after: operations overlap with creates and swaps.
const LATENCY_MS: u32 = 10;
/// Fewer swaps would not say much.
const SWAPS_AT_LEAST: usize = 10;
/// The pace is kept when this share of it is reached.
const PACE: f64 = 0.96;
/// Clean-up requests at the same time.
const AT_ONCE: usize = 32;
const PATIENCE: Duration = Duration::from_secs(180);

/// A generation of a policy's row, and when its change was under way. The first has always been there.
#[derive(Clone, Debug)]
struct Version {
    policy: Uuid,
    generation: u64,
    digest: String,
    config: Value,
    asked: Instant,
    answered: Instant,
}

/// A policy that the zone was given, and when that was under way.
#[derive(Clone, Copy, Debug)]
struct Appointment {
    policy: Uuid,
    asked: Instant,
    answered: Instant,
}

/// Everything that was changed, each list in the order of the changes.
#[derive(Debug, Default)]
struct History {
    versions: Vec<Version>,
    appointments: Vec<Appointment>,
    problems: Vec<String>,
}

/// A create that was accepted. Its latency counts from when it was due.
#[derive(Clone, Copy, Debug)]
struct Made {
    instance: Uuid,
    due: Instant,
    asked: Instant,
    answered: Instant,
}

#[derive(Debug, Default)]
struct Creates {
    made: Vec<Made>,
    failed: Vec<String>,
    elapsed: Duration,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let options = CloudOptions {
        hosts: HOSTS,
        latency_ms: LATENCY_MS,
        ..CloudOptions::default()
    };
    let cloud = TestCloud::start(&options).await?;
    let world = WorldOptions {
        hosts: HOSTS,
        ..WorldOptions::default()
    };
    let world = World::build(&cloud, &world).await?;
    // A request that is refused has failed, even when trying it again would have helped.
    let client = Client::with_patience(&cloud.url, Some(&cloud.token()?), Patience::NONE)?;
    let choices = choices(&client).await?;
    let history = appoint_first(&client, &world, &choices).await?;

    let (stop, stopped) = watch::channel(false);
    let every = Duration::from_millis(arguments.swap_ms);
    let swapping = tokio::spawn(swap(client.clone(), world.zone, choices, history, every, stopped));
    let creates = create_paced(&client, &world, &arguments).await;
    stop.send(true).context("the swaps ended by themselves")?;
    let history = swapping.await??;

    cloud.run_until_idle(PATIENCE).await?;
    let running = Filter::new().with("state", "running");
    let running = client.instances().all(&running).await?;
    let decisions = client.decisions().all(&Filter::new()).await?;
    let rss = cloud.velumd.resident_bytes()?;
    let mut problems = judge(&decisions, &creates, &history);
    problems.extend(cloud.violations().await?.iter().map(ToString::to_string));
    destroy_all(&client).await?;
    cloud.assert_nothing_left().await?;
    let is_every_one_running = running.len() == creates.made.len();
    Ok(report(&arguments, &creates, &history, &decisions, problems)
        .with("rss_mib", rss >> 20)
        .require("every_instance_runs", is_every_one_running)
        .print())
}

/// Component and configuration of what is swapped: neighbours differ in the component.
async fn choices(client: &Client) -> anyhow::Result<Vec<(String, Value)>> {
    let plugins = client.plugins().all(&Filter::new()).await?;
    let digest_of = |name: &str| {
        let wanted = plugins
            .iter()
            .find(|p| p.name == name && p.world == PluginWorld::PlacementPolicy);
        let plugin = wanted.with_context(|| format!("{name} is not installed"))?;
        anyhow::Ok(plugin.digest.clone())
    };
    Ok(vec![
        (
            digest_of("placement-best-fit")?,
            json!({ "cpu_weight": 80, "memory_weight": 20 }),
        ),
        (digest_of("placement-spread")?, json!({ "by": "runs" })),
        (digest_of("placement-first-fit")?, json!({})),
        (digest_of("placement-spread")?, json!({ "by": "room" })),
        (
            digest_of("placement-best-fit")?,
            json!({ "cpu_weight": 10, "memory_weight": 90 }),
        ),
        (digest_of("placement-first-fit")?, json!({})),
    ])
}

/// Two policies with different components, and the zone under the first.
async fn appoint_first(
    client: &Client,
    world: &World,
    choices: &[(String, Value)],
) -> anyhow::Result<History> {
    let mut history = History::default();
    for (name, (digest, config)) in ["left", "right"].into_iter().zip(choices) {
        let body = CreatePolicyBody {
            name: name.into(),
            digest: Some(digest.clone()),
            plugin: None,
            config: config.clone(),
            // A policy that failed would fail the request.
            fallback: Fallback::Refuse,
        };
        let asked = Instant::now();
        let made = client.policies().create(&body).await.context("a policy")?;
        history.add(&made.value, asked);
    }
    let policy = history.versions.first().context("no policy was made")?.policy;
    history.appoint(client, world.zone, policy).await?;
    Ok(history)
}

impl History {
    fn add(&mut self, policy: &PolicyView, asked: Instant) {
        self.versions.push(Version {
            policy: policy.id,
            generation: policy.generation,
            digest: policy.digest.clone(),
            config: policy.config.clone(),
            asked,
            answered: Instant::now(),
        });
    }

    async fn appoint(&mut self, client: &Client, zone: Uuid, policy: Uuid) -> anyhow::Result<()> {
        let body = UpdateZoneBody {
            policy_id: Some(Some(policy)),
            ..UpdateZoneBody::default()
        };
        let asked = Instant::now();
        let zone = client
            .zones()
            .update(zone, &body, None)
            .await
            .context("a swap of the zone's policy failed")?;
        if zone.value.policy_id != Some(policy) {
            self.problems
                .push(format!("the zone answers another policy: {:?}", zone.value));
        }
        self.appointments.push(Appointment {
            policy,
            asked,
            answered: Instant::now(),
        });
        Ok(())
    }

    /// Another component and configuration for a policy.
    async fn change(
        &mut self,
        client: &Client,
        policy: Uuid,
        digest: &str,
        config: &Value,
    ) -> anyhow::Result<()> {
        let body = UpdatePolicyBody {
            digest: Some(digest.to_owned()),
            config: Some(config.clone()),
            ..UpdatePolicyBody::default()
        };
        let asked = Instant::now();
        let changed = client
            .policies()
            .update(policy, &body, None)
            .await
            .context("a swap of the policy's component failed")?;
        if changed.value.digest != digest || changed.value.config != *config {
            self.problems
                .push(format!("the policy answers something else: {:?}", changed.value));
        }
        self.add(&changed.value, asked);
        Ok(())
    }

    fn swaps(&self) -> usize {
        // Making the two policies and appointing the first were none.
        (self.versions.len() + self.appointments.len()).saturating_sub(3)
    }
}

/// Takes turns: the policy in force gets another component and configuration; the zone gets the other policy.
async fn swap(
    client: Client,
    zone: Uuid,
    choices: Vec<(String, Value)>,
    mut history: History,
    every: Duration,
    mut stop: watch::Receiver<bool>,
) -> anyhow::Result<History> {
    let both: Vec<Uuid> = history.versions.iter().map(|v| v.policy).collect();
    let mut next = choices.iter().cycle().skip(both.len());
    let mut ticks = tokio::time::interval(every);
    ticks.tick().await;
    for turn in 0.. {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stop.changed() => break,
        }
        let current = history
            .appointments
            .last()
            .context("the zone has no policy")?
            .policy;
        if turn % 2 == 0 {
            let (digest, config) = next.next().context("there is nothing to swap to")?;
            history.change(&client, current, digest, config).await?;
        } else {
            let other = both.iter().find(|id| **id != current);
            history
                .appoint(&client, zone, *other.context("there is one policy")?)
                .await?;
        }
    }
    Ok(history)
}

/// Begins each create at its time, whatever became of those before.
async fn create_paced(client: &Client, world: &World, arguments: &Arguments) -> Creates {
    let period = Duration::from_secs(1) / arguments.rate.max(1);
    let began = Instant::now();
    let mut under_way = JoinSet::new();
    for number in 0..arguments.rate * arguments.seconds {
        let due = began + period * number;
        tokio::time::sleep_until(due.into()).await;
        let (client, body) = (client.clone(), world.instance(&format!("web-{number}")));
        under_way.spawn(async move {
            let asked = Instant::now();
            let answer = client.instances().create(&body).await;
            let answered = Instant::now();
            answer
                .map(|made| Made {
                    instance: made.value.id,
                    due,
                    asked,
                    answered,
                })
                .map_err(|error| format!("{}: {error}", body.name))
        });
    }
    let mut creates = Creates::default();
    while let Some(ended) = under_way.join_next().await {
        match ended {
            Ok(Ok(made)) => creates.made.push(made),
            Ok(Err(problem)) => creates.failed.push(problem),
            Err(problem) => creates.failed.push(problem.to_string()),
        }
    }
    creates.elapsed = began.elapsed();
    creates
}

/// What is wrong: requests that failed, decisions that are missing, and decisions that do not follow from the history.
fn judge(decisions: &[DecisionView], creates: &Creates, history: &History) -> Vec<String> {
    let mut problems = history.problems.clone();
    problems.extend(creates.failed.iter().cloned());
    let versions: HashMap<(Uuid, u64), &Version> = history
        .versions
        .iter()
        .map(|version| ((version.policy, version.generation), version))
        .collect();
    if versions.len() != history.versions.len() {
        problems.push("two changes of a policy have the same generation".into());
    }
    let mut of_instance: HashMap<Uuid, Vec<&DecisionView>> = HashMap::new();
    for decision in decisions {
        of_instance
            .entry(decision.instance_id)
            .or_default()
            .push(decision);
    }
    for made in &creates.made {
        match of_instance.remove(&made.instance).unwrap_or_default().as_slice() {
            [decision] => problems.extend(wrong(decision, made, &versions, history)),
            several => problems.push(format!("{} has {} decisions", made.instance, several.len())),
        }
    }
    problems.extend(
        of_instance
            .keys()
            .map(|id| format!("there is a decision for {id}, which nobody was told of")),
    );
    problems
}

/// Why a decision does not follow from the history.
fn wrong(
    decision: &DecisionView,
    made: &Made,
    versions: &HashMap<(Uuid, u64), &Version>,
    history: &History,
) -> Option<String> {
    let used = &decision.policy;
    let says = |what: &str| Some(format!("decision {}: {what}: {used:?}", decision.id));
    if used.failed.is_some() {
        return says("the policy failed");
    }
    let Some(policy) = used.id else {
        return says("no policy decided");
    };
    let Some(version) = versions.get(&(policy, used.generation)) else {
        return says("there never was such a generation");
    };
    if used.digest.as_ref() != Some(&version.digest) || used.config != version.config {
        return says(&format!("this generation was {version:?}"));
    }
    // What was asked after an answer is decided under it; what was answered before an ask is not.
    let next = versions.get(&(policy, used.generation + 1));
    if version.asked > made.answered || next.is_some_and(|next| next.answered < made.asked) {
        return says("this generation was not in force then");
    }
    let list = &history.appointments;
    let is_in_force = list.iter().enumerate().any(|(at, appointment)| {
        let next = list.get(at + 1);
        appointment.policy == policy
            && appointment.asked <= made.answered
            && next.is_none_or(|next| next.answered >= made.asked)
    });
    if !is_in_force {
        return says("this was not the zone's policy then");
    }
    None
}

async fn destroy_all(client: &Client) -> anyhow::Result<()> {
    let instances = client.instances().all(&Filter::new()).await?;
    stream::iter(instances)
        .map(|instance| async move { client.instances().delete(instance.id).await })
        .buffer_unordered(AT_ONCE)
        .try_for_each(|_| async { Ok(()) })
        .await
        .context("a destroy is refused")
}

fn report(
    arguments: &Arguments,
    creates: &Creates,
    history: &History,
    decisions: &[DecisionView],
    problems: Vec<String>,
) -> Report {
    let rate = creates.made.len() as f64 / creates.elapsed.as_secs_f64();
    let mut by_digest: BTreeMap<&str, u64> = BTreeMap::new();
    for decision in decisions {
        *by_digest
            .entry(decision.policy.digest.as_deref().unwrap_or("none"))
            .or_default() += 1;
    }
    let mut took: Vec<Duration> = creates.made.iter().map(|made| made.answered - made.due).collect();
    took.sort_unstable();
    let at = |share: f64| {
        let index = ((took.len() as f64 * share) as usize).min(took.len().saturating_sub(1));
        took.get(index)
            .map_or(0.0, |d| (d.as_secs_f64() * 1e4).round() / 10.0)
    };
    let is_each_used = history
        .versions
        .iter()
        .all(|version| by_digest.contains_key(version.digest.as_str()));
    for problem in problems.iter().take(20) {
        eprintln!("{problem}");
    }
    Report::new(
        "policy-swap",
        problems.len() as f64,
        "violations",
        Aim::AtMost(0.0),
    )
    .with("creates", creates.made.len())
    .with("failed", creates.failed.len())
    .with("rate", (rate * 10.0).round() / 10.0)
    .with("swaps", history.swaps())
    .with("swaps_of_the_policy", history.versions.len().saturating_sub(2))
    .with("swaps_of_the_zone", history.appointments.len().saturating_sub(1))
    .with("p50_ms", at(0.5))
    .with("p99_ms", at(0.99))
    .with("decisions", decisions.len())
    .with("decisions_by_digest", json!(by_digest))
    .with("problems", problems.into_iter().take(20).collect::<Vec<_>>())
    .require("pace_was_kept", rate >= f64::from(arguments.rate) * PACE)
    .require("swaps_enough", history.swaps() >= SWAPS_AT_LEAST)
    .require("each_component_decided", is_each_used)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A policy whose second generation came between seconds 10 and 11, appointed at 5, replaced at 20.
    fn history(began: Instant) -> History {
        let at = |seconds: u32| began + SECOND * seconds;
        let version = |generation: u64, digest: &str, asked: u32| Version {
            policy: Uuid::from_u128(1),
            generation,
            digest: digest.into(),
            config: json!({ "by": generation }),
            asked: at(asked),
            answered: at(asked + 1),
        };
        let appointment = |policy, asked: u32| Appointment {
            policy: Uuid::from_u128(policy),
            asked: at(asked),
            answered: at(asked + 1),
        };
        History {
            versions: vec![version(1, "old", 0), version(2, "new", 10)],
            appointments: vec![appointment(1, 5), appointment(2, 20)],
            problems: Vec::new(),
        }
    }

    fn decision(policy: u128, generation: u64, digest: &str) -> DecisionView {
        let nil = Uuid::nil();
        let used = json!({ "id": Uuid::from_u128(policy), "name": "p", "digest": digest, "generation": generation,
            "config": { "by": generation }, "failed": null, "fallback": null });
        serde_json::from_value(
            json!({ "id": nil, "project_id": nil, "zone_id": nil, "instance_id": nil, "ask": {},
            "inventory_epoch": 1, "policy": used, "seed": "1", "winner": null, "runners_up": [], "pools": [],
            "considered": 0, "refused": [], "refusals": [], "fuel": 0, "micros": 0, "at": "" }),
        )
        .expect("a decision")
    }

    /// What is wrong when a create under way from one second to another was decided like this.
    fn found(decision: DecisionView, from: u32, to: u32) -> usize {
        let began = Instant::now();
        let asked = began + SECOND * from;
        let made = Made {
            instance: Uuid::nil(),
            due: asked,
            asked,
            answered: began + SECOND * to,
        };
        let creates = Creates {
            made: vec![made],
            ..Creates::default()
        };
        judge(&[decision], &creates, &history(began)).len()
    }

    #[test]
    fn what_follows_from_the_history_is_right() {
        assert_eq!(found(decision(1, 1, "old"), 7, 8), 0);
        assert_eq!(found(decision(1, 2, "new"), 12, 13), 0);
        // Under way while it changed: either.
        assert_eq!(found(decision(1, 1, "old"), 9, 12), 0);
        assert_eq!(found(decision(1, 2, "new"), 9, 12), 0);
    }

    #[test]
    fn what_does_not_is_found() {
        assert_eq!(
            found(decision(1, 2, "old"), 12, 13),
            1,
            "another generation's component"
        );
        assert_eq!(
            found(decision(1, 1, "old"), 12, 13),
            1,
            "a generation of the past"
        );
        assert_eq!(
            found(decision(1, 2, "new"), 7, 8),
            1,
            "a generation of the future"
        );
        assert_eq!(found(decision(1, 3, "new"), 12, 13), 1, "no generation at all");
        assert_eq!(found(decision(1, 1, "old"), 2, 3), 1, "before it was appointed");
        assert_eq!(found(decision(1, 2, "new"), 22, 23), 1, "after another was");
        assert_eq!(found(decision(2, 1, "old"), 7, 8), 1, "another policy");
    }

    #[test]
    fn a_decision_too_many_or_too_few_and_a_failed_request_are_found() {
        let history = history(Instant::now());
        let failed = Creates {
            failed: vec!["503".into()],
            ..Creates::default()
        };
        assert_eq!(judge(&[], &failed, &history).len(), 1);
        assert_eq!(
            judge(&[decision(1, 1, "old")], &Creates::default(), &history).len(),
            1
        );
    }
}
