//! Plugins from the first look to the last call: whose word they are, what they get, shadows, promotions, versions that fail
//! and are taken back, drivers that change under what is under way.

use std::time::Duration;

use anyhow::Context;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use uuid::Uuid;
use velum_bundle::{Bundle, Parts, SigningKey};
use velum_client::{Client, ClientError, Filter};
use velum_integration::{PATIENCE, Story};
use velum_support::{CloudOptions, Ground, Image, Servers, ServersOptions, World, WorldOptions, first_party};
use velum_wire::{
    ActivatePluginBody, CreatePolicyBody, CreatePublisherBody, Fallback, InstallPluginBody, PluginOrigin,
    PluginState, PluginView, PolicyCause, PolicyView, ShadowPolicyBody, ShadowView, UpdatePolicyBody,
    UpdateZoneBody,
};

/// Of each zone.
const HOSTS: u32 = 40;
/// Of each compute host, so that a zone has room for what comes in three minutes: a story takes one on a busy machine.
const VCPUS: &str = "256";
/// 50 a second.
const EVERY: Duration = Duration::from_millis(20);
/// Between two looks at something that happens beside the requests.
const LOOK: Duration = Duration::from_millis(20);

fn options(config: &str) -> (CloudOptions, WorldOptions) {
    let cloud = CloudOptions {
        hosts: HOSTS,
        sim: vec!["--vcpus".into(), VCPUS.into()],
        config: config.into(),
        ..CloudOptions::default()
    };
    let world = WorldOptions {
        hosts: HOSTS,
        ..WorldOptions::default()
    };
    (cloud, world)
}

async fn story(config: &str) -> anyhow::Result<Story> {
    let (cloud, world) = options(config);
    Story::begin(&cloud, &world).await
}

/// A first-party component under a version of its own: a custom section makes other bytes of it, and `more` is put behind
/// its plugin.toml.
fn build(called: &str, version: &str, more: &str) -> anyhow::Result<(Vec<u8>, String)> {
    let directory = first_party()?;
    let mut component = std::fs::read(directory.join(format!("{called}.wasm")))?;
    let note = [&[4], &b"note"[..], version.as_bytes()].concat();
    component.extend([0, u8::try_from(note.len())?]);
    component.extend(note);
    let manifest = std::fs::read_to_string(directory.join(format!("{called}.toml")))?;
    let line = manifest
        .lines()
        .find(|line| line.starts_with("version = "))
        .context("it has a version")?;
    let manifest = manifest.replace(line, &format!("version = \"{version}\""));
    Ok((component, format!("{manifest}\n{more}\n")))
}

/// As an administrator installs what nobody signed.
fn unsigned(called: &str, version: &str, more: &str) -> anyhow::Result<InstallPluginBody> {
    let (component, manifest) = build(called, version, more)?;
    let table: toml::Table = manifest.parse()?;
    let grant = table.get("capabilities").map(serde_json::to_value).transpose()?;
    Ok(InstallPluginBody {
        allow_unsigned: Some(velum_bundle::digest(&component).to_string()),
        component_base64: Some(STANDARD.encode(component)),
        manifest: Some(manifest),
        grant: grant.map(serde_json::from_value).transpose()?,
        bundle_base64: None,
    })
}

async fn install(client: &Client, body: &InstallPluginBody) -> anyhow::Result<PluginView> {
    Ok(client.plugins().install_as(body).await?.value)
}

/// Whose every call of score runs out of fuel.
const STARVED: &str = "[limits]\nfuel-base = 1\nfuel-per-row = 1";

async fn policy_of(client: &Client, zone: Uuid, plugin: &str) -> anyhow::Result<PolicyView> {
    let body = CreatePolicyBody {
        name: "live".into(),
        digest: None,
        plugin: Some(plugin.into()),
        config: json!({}),
        fallback: Fallback::BuiltIn,
    };
    let policy = client.policies().create(&body).await?.value;
    let zone_body = UpdateZoneBody {
        policy_id: Some(Some(policy.id)),
        ..UpdateZoneBody::default()
    };
    client.zones().update(zone, &zone_body, None).await?;
    Ok(policy)
}

/// Creates at a steady rate, whatever the answers take, until told to stop; each must be taken. Answers how many there were.
struct Load {
    stop: tokio::sync::watch::Sender<bool>,
    creates: tokio::task::JoinHandle<anyhow::Result<u32>>,
}

impl Load {
    fn begin(clients: Vec<Client>, world: &World, prefix: &str) -> Self {
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let body = world.instance(prefix);
        let creates = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(EVERY);
            let mut creates = tokio::task::JoinSet::new();
            let mut count = 0;
            for client in clients.into_iter().cycle() {
                if *stopped.borrow() {
                    break;
                }
                ticks.tick().await;
                let mut body = body.clone();
                body.name = format!("{}-{count}", body.name);
                count += 1;
                creates.spawn(async move { client.instances().create(&body).await });
            }
            while let Some(made) = creates.join_next().await {
                made?.context("no request fails")?;
            }
            Ok(count)
        });
        Self { stop, creates }
    }

    async fn end(self) -> anyhow::Result<u32> {
        self.stop.send(true)?;
        self.creates.await?
    }
}

async fn until<T, F>(what: &str, look: F) -> anyhow::Result<T>
where
    F: AsyncFn() -> anyhow::Result<Option<T>>,
{
    let looking = async {
        loop {
            if let Some(found) = look().await? {
                return Ok(found);
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking)
        .await
        .with_context(|| format!("it never comes to this: {what}"))?
}

async fn seen(client: &Client, policy: Uuid, asks: u64) -> anyhow::Result<ShadowView> {
    until("the shadow has seen asks", async || {
        let seen = client.policies().shadow(policy).await?;
        Ok((seen.compared >= asks).then_some(seen))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_is_promoted_and_a_bad_version_taken_back_while_instances_are_made() -> anyhow::Result<()> {
    let story = story("[policies]\nprobation_asks = 10\n").await?;
    let client = &story.client;
    let policy = policy_of(client, story.world.zone, "placement-first-fit").await?;
    let load = Load::begin(vec![client.clone()], &story.world, "web");

    let shadow = ShadowPolicyBody {
        plugin: Some("placement-spread".into()),
        ..ShadowPolicyBody::default()
    };
    client.policies().begin_shadow(policy.id, &shadow).await?;
    let report = seen(client, policy.id, 30).await?;
    let failures = report.failures;
    assert_eq!(
        failures.trapped + failures.out_of_fuel + failures.nonsense,
        0,
        "{report:#?}"
    );
    assert!(
        report.same_winner < report.compared,
        "one fills, the other spreads: {report:#?}"
    );
    assert!(report.fuel.is_some_and(|fuel| fuel > 0) && report.rank_agreement_permille.is_some());
    let promoted = client.policies().promote(policy.id, None).await?.value;
    assert_eq!((promoted.cause, promoted.generation), (PolicyCause::Promoted, 2));
    assert_eq!(promoted.digest, report.digest);

    let bad = install(client, &unsigned("placement-first-fit", "9.0.0", STARVED)?).await?;
    let body = UpdatePolicyBody {
        digest: Some(bad.digest.clone()),
        ..UpdatePolicyBody::default()
    };
    let changed = client.policies().update(policy.id, &body, None).await?.value;
    let back = until("the version before is back", async || {
        let now = client.policies().get(policy.id).await?;
        Ok((now.cause == PolicyCause::RolledBackByServer).then_some(now))
    })
    .await?;
    assert_eq!(
        (&back.digest, back.generation),
        (&promoted.digest, changed.generation + 1)
    );
    let made = load.end().await?;

    let versions = client.policies().versions(policy.id).await?;
    let newest = versions.first().context("its history")?;
    assert_eq!(newest.caller, "velumd");
    assert!(newest.reason.contains("out of fuel"), "{}", newest.reason);
    let of_kind = Filter::new().with("kind", "policy.rolled-back");
    let events = client.events().list(&of_kind, Some(500), None).await?;
    assert_eq!(events.items.len(), 1);

    // Every instance was placed; those under the bad version by the fallback, which each decision says.
    let decisions = client.decisions().all(&Filter::new()).await?;
    assert_eq!(decisions.len(), made as usize);
    let failed: Vec<_> = decisions
        .iter()
        .filter(|decision| decision.policy.failed.is_some())
        .collect();
    assert!(!failed.is_empty(), "the fault was met");
    for decision in &failed {
        assert_eq!(decision.policy.digest.as_ref(), Some(&bad.digest));
        assert_eq!(decision.policy.fallback, Some(Fallback::BuiltIn));
    }
    story.cloud.run_until_idle(PATIENCE).await?;
    story.destroy_all().await?;
    story.cloud.assert_nothing_left().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_is_exchanged_under_what_it_does_and_nothing_fails() -> anyhow::Result<()> {
    let (mut cloud, world) = options("");
    cloud.latency_ms = 50;
    let story = Story::begin(&cloud, &world).await?;
    let client = &story.client;
    let old = plugin_of(client, "hypervisor-sim").await?;
    assert_eq!(
        (old.state, old.origin),
        (PluginState::Active, PluginOrigin::Directory)
    );
    assert_eq!(old.used_by.zone_ids, [story.world.zone]);
    let new = install(client, &unsigned("hypervisor-sim", "9.0.0", "")?).await?;
    assert_eq!(new.state, PluginState::Installed);
    let load = Load::begin(vec![client.clone()], &story.world, "web");
    until("some are under way", async || {
        let some = client.instances().list(&Filter::new(), Some(20), None).await?;
        Ok((some.items.len() == 20).then_some(()))
    })
    .await?;
    let body = ActivatePluginBody {
        zone_id: story.world.zone,
        ..ActivatePluginBody::default()
    };
    let done = client.plugins().activate(new.id, &body).await?;
    assert_eq!(done.compute_hosts, u64::from(HOSTS));
    let draining = client.plugins().get(old.id).await?;
    assert_eq!(draining.state, PluginState::Draining, "{draining:#?}");
    let kept = client
        .plugins()
        .delete(old.id)
        .await
        .expect_err("operations keep it");
    assert!(kept.is("in-use"), "{kept}");
    load.end().await?;
    story.cloud.run_until_idle(PATIENCE).await?;
    let operations = client.operations().all(&Filter::new()).await?;
    let ended_badly: Vec<_> = operations
        .iter()
        .filter(|operation| operation.state != velum_wire::OperationState::Done)
        .collect();
    assert!(ended_badly.is_empty(), "{ended_badly:#?}");
    let idle = client.plugins().get(old.id).await?;
    assert_eq!(idle.state, PluginState::Installed, "nothing keeps it any more");
    let stats = client.plugins().stats(new.id).await?;
    assert!(
        stats.is_loaded && stats.calls > 0 && stats.traps == 0,
        "{stats:#?}"
    );

    let back = client.plugins().rollback(new.id, story.world.zone).await?;
    assert_eq!((back.plugin_id, back.compute_hosts), (old.id, u64::from(HOSTS)));
    client.plugins().delete(new.id).await?;
    story.destroy_all().await?;
    story.cloud.assert_nothing_left().await
}

async fn plugin_of(client: &Client, name: &str) -> anyhow::Result<PluginView> {
    let found = client.plugins().all(&Filter::named(name)).await?;
    found.into_iter().next().context("it is installed")
}

fn bundle(version: &str, key: Option<&SigningKey>) -> anyhow::Result<InstallPluginBody> {
    // The name is the vendor's own: those of the plugins directory belong to the operator.
    let (component, manifest) = build("storage-sim", version, "")?;
    let manifest = manifest.replace("name = \"storage-sim\"", "name = \"acme-array\"");
    let mut bundle = Bundle::pack(Parts {
        component,
        manifest,
        conformance: None,
    })?;
    if let Some(key) = key {
        bundle.sign(key, &velum_model::Name::new("acme")?)?;
    }
    Ok(InstallPluginBody {
        bundle_base64: Some(STANDARD.encode(bundle.to_tar())),
        ..InstallPluginBody::default()
    })
}

fn problem<T: std::fmt::Debug>(
    refused: Result<T, ClientError>,
    kind: &str,
) -> anyhow::Result<velum_wire::Problem> {
    let refused = match refused {
        Ok(made) => anyhow::bail!("it was taken: {made:?}"),
        Err(refused) => refused,
    };
    anyhow::ensure!(refused.is(kind), "{kind}: {refused}");
    Ok(refused.problem().context("a problem")?.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendors_plugin_comes_in_on_its_word_and_gets_what_is_granted() -> anyhow::Result<()> {
    let story = story("").await?;
    let client = &story.client;
    let key = SigningKey::from_seed([7; 32])?;
    let plugins = client.plugins();
    let refused = problem(
        plugins.install_as(&bundle("1.0.0", None)?).await,
        "plugin-untrusted",
    )?;
    assert!(refused.digest.is_some(), "{refused:#?}");
    problem(
        plugins.install_as(&bundle("1.0.0", Some(&key))?).await,
        "plugin-untrusted",
    )?;

    let publisher = CreatePublisherBody {
        name: "acme".into(),
        description: "makes arrays".into(),
    };
    let publisher = client.publishers().create(&publisher).await?.value;
    let known = client
        .publishers()
        .add_key(publisher.id, key.public().to_pem())
        .await?;
    let asked = problem(
        plugins.install_as(&bundle("1.0.0", Some(&key))?).await,
        "grant-needed",
    )?;
    let words: Vec<&str> = asked.asks.iter().map(|ask| ask.words.as_str()).collect();
    assert!(
        words.iter().any(|words| words.contains("below /pools/")),
        "{words:?}"
    );
    let mut body = bundle("1.0.0", Some(&key))?;
    body.grant = asked.grant.map(serde_json::from_value).transpose()?;
    let installed = install(client, &body).await?;
    assert_eq!(
        (
            installed.origin,
            installed.publisher.as_deref(),
            installed.key_id.as_deref()
        ),
        (PluginOrigin::Signed, Some("acme"), Some(known.key_id.as_str()))
    );
    // An upgrade that asks for nothing new is not asked about.
    let upgraded = install(client, &bundle("1.1.0", Some(&key))?).await?;
    assert_eq!(upgraded.granted, installed.granted);
    let lower = problem(
        plugins.install_as(&bundle("1.0.9", Some(&key))?).await,
        "plugin-untrusted",
    )?;
    assert!(lower.detail.unwrap_or_default().contains("lower than 1.1.0"));

    client
        .publishers()
        .revoke_key(publisher.id, known.key_id, "a laptop was stolen".into())
        .await?;
    let marked = plugins.get(upgraded.id).await?;
    assert!(marked.key_revoked_at.is_some(), "{marked:#?}");
    let zone = ActivatePluginBody {
        zone_id: story.world.zone,
        ..ActivatePluginBody::default()
    };
    let stays_out = problem(plugins.activate(upgraded.id, &zone).await, "invalid-state")?;
    assert!(stays_out.detail.unwrap_or_default().contains("revoked"));
    problem(
        plugins.install_as(&bundle("1.2.0", Some(&key))?).await,
        "plugin-untrusted",
    )?;
    Ok(())
}

async fn activate(client: &Client, plugin: Uuid, zone: Uuid) -> anyhow::Result<()> {
    let body = ActivatePluginBody {
        zone_id: zone,
        ..ActivatePluginBody::default()
    };
    client.plugins().activate(plugin, &body).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_try_take_back_and_exchange_alike() -> anyhow::Result<()> {
    let (mut cloud, world) = options("[policies]\nprobation_asks = 10\n");
    cloud.zones = 2;
    cloud.hosts = 2 * HOSTS;
    let servers = Servers::start(&ServersOptions { servers: 2, cloud }).await?;
    let clients = [servers.client(0)?, servers.client(1)?];
    let ground = Ground::Simulated(servers.sim_url().to_owned());
    let mut zones = Vec::new();
    for zone in 1..=2 {
        let world = WorldOptions {
            zone,
            addresses: (format!("10.{zone}.0.10"), format!("10.{zone}.255.250")),
            ..world.clone()
        };
        zones.push(World::build_on(&clients[0], &ground, &world, Image::noise()).await?);
    }
    // Each of the two owns one zone by now, and any takes any request.
    let policy = policy_of(&clients[1], zones[0].zone, "placement-first-fit").await?;
    let body = UpdateZoneBody {
        policy_id: Some(Some(policy.id)),
        ..UpdateZoneBody::default()
    };
    clients[0].zones().update(zones[1].zone, &body, None).await?;
    let shadow = ShadowPolicyBody {
        plugin: Some("placement-spread".into()),
        ..ShadowPolicyBody::default()
    };
    clients[0].policies().begin_shadow(policy.id, &shadow).await?;
    let loads = zones
        .iter()
        .map(|world| Load::begin(clients.to_vec(), world, "web"));
    let loads: Vec<Load> = loads.collect();
    for client in &clients {
        seen(client, policy.id, 60).await?;
    }
    let promoted = clients[1].policies().promote(policy.id, None).await?.value;
    let bad = install(&clients[0], &unsigned("placement-first-fit", "9.0.0", STARVED)?).await?;
    let body = UpdatePolicyBody {
        digest: Some(bad.digest.clone()),
        ..UpdatePolicyBody::default()
    };
    clients[1].policies().update(policy.id, &body, None).await?;
    let back = until("the version before is back", async || {
        let now = clients[0].policies().get(policy.id).await?;
        Ok((now.cause == PolicyCause::RolledBackByServer).then_some(now))
    })
    .await?;
    assert_eq!(back.digest, promoted.digest);
    let versions = clients[0].policies().versions(policy.id).await?;
    let by_server = versions
        .iter()
        .filter(|version| version.caller == "velumd")
        .count();
    assert_eq!(
        by_server, 1,
        "both see it fail, and one takes it back: {versions:#?}"
    );

    // Whichever server is asked, the zone's owner does it.
    let new = install(&clients[1], &unsigned("hypervisor-sim", "9.0.0", "")?).await?;
    for world in &zones {
        for client in &clients {
            activate(client, new.id, world.zone).await?;
        }
    }
    let used: Value = serde_json::to_value(clients[1].plugins().get(new.id).await?.used_by)?;
    assert_eq!(used["compute_hosts"], json!(2 * HOSTS), "{used}");
    for load in loads {
        load.end().await?;
    }
    Ok(())
}
