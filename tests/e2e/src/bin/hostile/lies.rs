//! Drivers and providers that lie, in real operations: an instance and a volume live a whole life with each flaw that a case
//! of `tests/conformance` names. What came of it stands in `outcomes.toml` beside the flawed component: the steps that ended
//! otherwise than with a component that keeps every rule.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use anyhow::{Context as _, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::{StreamExt as _, stream};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use velum_client::{Answered, Client, ClientError, Filter, Outcome};
use velum_support::{FlawedGround, Ground, Image, World, WorldOptions, build_plugins};
use velum_testkit::case::Case;
use velum_wire::{CreateDiskOfferingBody, CreateVolumeBody, InstallPluginBody, OperationView};

/// Lives at a time: each waits for its back-offs most of the time.
const AT_ONCE: usize = 8;
/// Flaws of what is said without a target: the component says it by the flaw of its last call, whichever target that was about,
/// so that these are played first and alone.
const OF_NO_TARGET: [&str; 2] = ["describe-changes", "nameless"];
/// What an operation may take until it ended or is parked, with the tries and back-offs of `HASTE`.
const PATIENCE: Duration = Duration::from_secs(60);
/// The size of everything here: the smallest that the flawed provider has.
const MIB: u64 = 1 << 20;
/// Lines of the server's configuration: failures are found hopeless soon, and liars are looked at often.
pub const HASTE: &str = "[operations]\nattempts_before_pivot = 4\nattempts_after_pivot = 5\nelsewhere = 0\n\
                         backoff_ms = 20\n[observe]\nevery_ms = 400\n";
/// No flaw: what the others are compared with.
const HONEST: &str = "none";

/// Which of the two lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Liar {
    Driver,
    Provider,
}

impl Liar {
    const BOTH: [Self; 2] = [Self::Driver, Self::Provider];

    const fn plugin(self) -> &'static str {
        match self {
            Self::Driver => "driver-with-a-flaw",
            Self::Provider => "provider-with-a-flaw",
        }
    }

    const fn world(self) -> velum_model::plugin::World {
        match self {
            Self::Driver => velum_model::plugin::World::HypervisorDriver,
            Self::Provider => velum_model::plugin::World::StorageProvider,
        }
    }

    fn ground(self, images: &str, flaw: &str) -> Ground {
        let (driver, provider) = match self {
            Self::Driver => (flaw, HONEST),
            Self::Provider => (HONEST, flaw),
        };
        Ground::Flawed(FlawedGround {
            images: images.to_owned(),
            driver: driver.to_owned(),
            provider: provider.to_owned(),
        })
    }
}

/// What came of each step of a life.
type Steps = BTreeMap<String, String>;

/// `outcomes.toml`: what comes of an honest component's life, and where one with a flaw differs.
#[derive(Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Outcomes {
    honest: Steps,
    flaws: BTreeMap<String, Steps>,
}

/// What was played.
#[derive(Default)]
pub struct Lies {
    /// Lives.
    pub played: usize,
    /// Lives in which the lie made a difference.
    pub noticed: usize,
    /// Processes that are still there, since what they lied about is.
    pub processes: usize,
    /// What came out otherwise than it stands in `outcomes.toml`.
    pub failed: Vec<serde_json::Value>,
}

/// Where lives are lived.
pub struct Scene<'a> {
    /// An administrator.
    pub client: &'a Client,
    /// The far side's origin, for images.
    pub images: &'a str,
    /// Where the flawed components' sources, and their outcomes, are.
    pub guests: PathBuf,
    /// Only flaws whose names contain this.
    pub only: &'a str,
    /// Writes down what comes out instead of comparing it.
    pub is_writing: bool,
}

impl Scene<'_> {
    /// Plays every flaw of both worlds.
    ///
    /// # Errors
    /// The flawed components cannot be built or installed, or what came of them cannot be read or written.
    pub async fn play(&self) -> anyhow::Result<Lies> {
        build_plugins(&Liar::BOTH.map(Liar::plugin))?;
        for liar in Liar::BOTH {
            self.install(liar).await?;
        }
        let (mut lies, zones) = (Lies::default(), Mutex::new(FIRST_ZONE));
        lies.processes = Liar::BOTH.len();
        for liar in Liar::BOTH {
            self.play_all(liar, &zones, &mut lies)
                .await
                .with_context(|| liar.plugin())?;
        }
        Ok(lies)
    }

    async fn install(&self, liar: Liar) -> anyhow::Result<()> {
        let name = liar.plugin();
        let component = velum_support::first_party()?
            .with_file_name("guests")
            .join(format!("{name}.wasm"));
        let component =
            std::fs::read(&component).with_context(|| format!("could not read {}", component.display()))?;
        let manifest = std::fs::read_to_string(self.guests.join(name).join("plugin.toml"))?;
        let table: toml::Table = toml::from_str(&manifest)?;
        let grant = table.get("capabilities").context("it asks for nothing")?.clone();
        let body = InstallPluginBody {
            component_base64: Some(STANDARD.encode(component)),
            manifest: Some(manifest),
            grant: Some(grant.try_into()?),
            ..InstallPluginBody::default()
        };
        self.client.plugins().install_as(&body).await?;
        Ok(())
    }

    async fn play_all(&self, liar: Liar, zones: &Mutex<u32>, lies: &mut Lies) -> anyhow::Result<()> {
        let mut flaws: Vec<String> = Case::all(liar.world())?
            .into_iter()
            .map(|case| case.flaw)
            .collect();
        flaws.sort_unstable();
        flaws.dedup();
        flaws.retain(|flaw| flaw.contains(self.only));
        flaws.push(HONEST.to_owned());
        let (alone, together): (Vec<String>, Vec<String>) = flaws
            .into_iter()
            .partition(|flaw| OF_NO_TARGET.contains(&flaw.as_str()));
        let mut lives = BTreeMap::new();
        for (flaws, at_once) in [(alone, 1), (together, AT_ONCE)] {
            let mut living = stream::iter(flaws)
                .map(|flaw| async move { (self.live(liar, &flaw, zones).await, flaw) })
                .buffer_unordered(at_once);
            while let Some((steps, flaw)) = living.next().await {
                let steps = steps.with_context(|| flaw.clone())?;
                lives.insert(flaw, steps);
            }
        }
        let found = outcomes(lives);
        lies.played += found.flaws.len() + 1;
        lies.noticed += found.flaws.values().filter(|steps| !steps.is_empty()).count();
        let path = self.guests.join(liar.plugin()).join("outcomes.toml");
        if self.is_writing {
            let text = format!("{HEAD}{}", toml::to_string(&found)?);
            return std::fs::write(&path, text)
                .with_context(|| format!("could not write {}", path.display()));
        }
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
        let wanted: Outcomes =
            toml::from_str(&text).with_context(|| format!("{} does not read", path.display()))?;
        lies.failed.extend(differences(liar, &wanted, &found));
        Ok(())
    }

    /// One life, in a zone of its own.
    async fn live(&self, liar: Liar, flaw: &str, zones: &Mutex<u32>) -> anyhow::Result<Steps> {
        let zone = {
            let mut next = zones.lock();
            *next += 1;
            *next
        };
        let options = WorldOptions {
            zone,
            hosts: 1,
            addresses: (format!("10.{zone}.0.10"), format!("10.{zone}.0.20")),
            ..WorldOptions::default()
        };
        let ground = liar.ground(self.images, flaw);
        let mut steps = Steps::new();
        let world = match World::build_on(self.client, &ground, &options, Image::noise()).await {
            Ok(world) => world,
            Err(error) => {
                eprintln!("{} {flaw}: register: {error:#}", liar.plugin());
                steps.insert("register".into(), refusal_within(&error)?);
                return Ok(steps);
            }
        };
        steps.insert("register".into(), "done".into());
        let life = Life {
            client: self.client,
            world: &world,
            zone,
            flaw: format!("{} {flaw}", liar.plugin()),
        };
        life.live(&mut steps).await?;
        Ok(steps)
    }
}

/// Zones below are those of the other parts of the suite.
const FIRST_ZONE: u32 = 10;

/// Whatever stands above what is written down.
const HEAD: &str = "# What comes of a life of an instance and a volume with each flaw: `honest` is what comes of it without one, and a flaw\n\
# names the steps that came out otherwise. `bash tests/run.sh hostile --write-outcomes` writes it anew.\n\n";

/// One instance and one volume of a zone.
struct Life<'a> {
    client: &'a Client,
    world: &'a World,
    zone: u32,
    flaw: String,
}

impl Life<'_> {
    async fn live(&self, steps: &mut Steps) -> anyhow::Result<()> {
        let instance = self.world.instance(&format!("life-{}", self.zone));
        let made = self.client.instances().create(&instance).await;
        let instance = self.take(steps, "create", made, |view| view.id).await?;
        let volume = self.volume(steps).await?;
        if let (Some(instance), Some(volume)) = (instance, volume) {
            let attached = self.client.volumes().attach(volume, instance).await;
            self.take(steps, "attach", attached, |view| view.id).await?;
        }
        if let Some(instance) = instance {
            self.look(steps, instance).await?;
        }
        if let Some(volume) = volume {
            let detached = self.client.volumes().detach(volume).await;
            self.take(steps, "detach", detached, |view| view.id).await?;
            let deleted = self.client.volumes().delete(volume).await;
            self.take_deletion(steps, "delete-volume", deleted).await?;
        }
        if let Some(instance) = instance {
            let instances = self.client.instances();
            self.take(steps, "reboot", instances.reboot(instance).await, |view| view.id)
                .await?;
            self.take(
                steps,
                "stop",
                instances.stop_within(instance, 200).await,
                |view| view.id,
            )
            .await?;
            self.take(steps, "start", instances.start(instance).await, |view| view.id)
                .await?;
            self.take_deletion(steps, "delete", instances.delete(instance).await)
                .await?;
        }
        self.leftovers(steps).await
    }

    async fn volume(&self, steps: &mut Steps) -> anyhow::Result<Option<Uuid>> {
        let shape = CreateDiskOfferingBody {
            name: format!("disk-{}", self.zone),
            size_bytes: Some(MIB),
            storage_tags: Vec::new(),
        };
        let shape = self.client.disk_offerings().create(&shape).await?.value.id;
        let body = CreateVolumeBody {
            zone_id: self.world.zone,
            name: format!("data-{}", self.zone),
            disk_offering_id: shape,
            size_bytes: None,
        };
        let made = self.client.volumes().create(&body).await;
        self.take(steps, "volume", made, |view| view.id).await
    }

    /// Notes what became of a step. Answers its resource if the server took it.
    async fn take<T>(
        &self,
        steps: &mut Steps,
        step: &str,
        answer: Result<Answered<T>, ClientError>,
        id: impl Fn(&T) -> Uuid,
    ) -> anyhow::Result<Option<Uuid>> {
        let answered = match answer {
            Ok(answered) => answered,
            Err(error) => {
                eprintln!("{}: {step}: {error}", self.flaw);
                steps.insert(step.to_owned(), refusal(&error)?);
                return Ok(None);
            }
        };
        self.end(steps, step, answered.operation).await?;
        Ok(Some(id(&answered.value)))
    }

    async fn take_deletion(
        &self,
        steps: &mut Steps,
        step: &str,
        answer: Result<Option<Uuid>, ClientError>,
    ) -> anyhow::Result<()> {
        match answer {
            Ok(operation) => self.end(steps, step, operation).await,
            Err(error) => {
                eprintln!("{}: {step}: {error}", self.flaw);
                steps.insert(step.to_owned(), refusal(&error)?);
                Ok(())
            }
        }
    }

    /// Waits for the end of an operation; one that is parked is decided on, as its operator would.
    async fn end(&self, steps: &mut Steps, step: &str, operation: Option<Uuid>) -> anyhow::Result<()> {
        let Some(operation) = operation else {
            steps.insert(step.to_owned(), "done".into());
            return Ok(());
        };
        let words = match self.wait(operation).await? {
            Outcome::Done(_) => "done".to_owned(),
            Outcome::Undone(view) => {
                eprintln!("{}: {step}: {:?} {:?}", self.flaw, view.error, faults(&view));
                format!("undone: {}", cause(&view))
            }
            Outcome::Parked(view) => {
                eprintln!("{}: {step}: {:?} {:?}", self.flaw, view.error, faults(&view));
                let then = self.decide(operation).await?;
                format!("parked: {}; {then}", cause(&view))
            }
        };
        steps.insert(step.to_owned(), words);
        Ok(())
    }

    async fn wait(&self, operation: Uuid) -> anyhow::Result<Outcome> {
        match tokio::time::timeout(PATIENCE, self.client.wait(operation)).await {
            Ok(outcome) => Ok(outcome?),
            Err(_) => {
                let view = self.client.operations().get(operation).await?;
                anyhow::bail!("an operation neither ended nor is parked after {PATIENCE:?}: {view:?}")
            }
        }
    }

    /// Undoes what is parked, or says that what it waits for is gone.
    async fn decide(&self, operation: Uuid) -> anyhow::Result<String> {
        let reason = "its plugin lies".to_owned();
        let operations = self.client.operations();
        let (verb, answer) = match operations.undo(operation, Some(reason.clone())).await {
            Err(error) if error.status().is_some_and(|status| status < 500) => {
                ("given up", operations.assert_gone(operation, reason).await)
            }
            answer => ("undone", answer),
        };
        if let Err(error) = answer {
            return Ok(format!("no way out: {}", refusal(&error)?));
        }
        Ok(match self.wait(operation).await? {
            Outcome::Parked(view) => format!("parked again: {}", cause(&view)),
            _ => verb.to_owned(),
        })
    }

    /// Two looks at its compute host later: what the server says of it.
    async fn look(&self, steps: &mut Steps, instance: Uuid) -> anyhow::Result<()> {
        let host = *self.world.hosts.first().context("no compute host")?;
        let mut seen = Vec::new();
        let looks = async {
            while seen.len() < 3 {
                let at = self.client.compute_hosts().get(host).await?.observed_at;
                if !seen.contains(&at) {
                    seen.push(at);
                }
                tokio::time::sleep(Duration::from_millis(40)).await;
            }
            anyhow::Ok(())
        };
        let words = match tokio::time::timeout(PATIENCE, looks).await {
            Ok(looked) => {
                looked?;
                let view = self.client.instances().get(instance).await;
                match view {
                    Ok(view) => serde_json::to_value(view.state)?
                        .as_str()
                        .unwrap_or_default()
                        .to_owned(),
                    Err(error) => refusal(&error)?,
                }
            }
            Err(_) => "nothing was observed".to_owned(),
        };
        steps.insert("look".into(), words);
        Ok(())
    }

    /// What the books hold at the end.
    async fn leftovers(&self, steps: &mut Steps) -> anyhow::Result<()> {
        let here = Filter::new().with("zone_id", self.world.zone.to_string());
        let mut left = Vec::new();
        if !self.client.instances().all(&here).await?.is_empty() {
            left.push("instance");
        }
        if !self.client.volumes().all(&here).await?.is_empty() {
            left.push("volume");
        }
        let host = *self.world.hosts.first().context("no compute host")?;
        let host = self.client.compute_hosts().get(host).await?;
        let is_claimed = host.vcpus_used > 0 || host.memory_used_mib > 0;
        ensure!(
            is_claimed == left.contains(&"instance"),
            "the books do not agree: left {left:?}, {} vCPUs and {} MiB claimed",
            host.vcpus_used,
            host.memory_used_mib
        );
        let words = match left.as_slice() {
            [] => "nothing".to_owned(),
            left => left.join(", "),
        };
        steps.insert("left".into(), words);
        Ok(())
    }
}

/// What the far side said in its steps.
fn faults(view: &OperationView) -> Vec<&String> {
    view.steps.iter().filter_map(|step| step.fault.as_ref()).collect()
}

/// Why an operation did not do what was asked: the code, not the words, which name ids.
fn cause(view: &OperationView) -> String {
    let error = view.error.as_ref();
    error.map_or_else(|| "no reason".to_owned(), |error| error.code.clone())
}

/// Which problem a refusal is.
fn refusal(error: &ClientError) -> anyhow::Result<String> {
    let ClientError::Problem(problem) = error else {
        anyhow::bail!("the server did not answer: {error}");
    };
    ensure!(
        problem.status < 500 || problem.status == 502,
        "the server failed: {problem:?}"
    );
    Ok(format!(
        "refused: {}",
        problem.kind.trim_start_matches("/problems/")
    ))
}

/// The same of an error that says what was attempted.
fn refusal_within(error: &anyhow::Error) -> anyhow::Result<String> {
    let client = error.downcast_ref::<ClientError>();
    let client = client.with_context(|| format!("{error:#}"))?;
    // The number of a host is that of its zone, which is chance.
    let what = error.to_string();
    let what = what.split_once(" z").map_or(what.as_str(), |(what, _)| what);
    Ok(format!("{what}, {}", refusal(client)?))
}

/// Where each life differs from the honest one.
fn outcomes(mut lives: BTreeMap<String, Steps>) -> Outcomes {
    let honest = lives.remove(HONEST).unwrap_or_default();
    let flaws = lives.into_iter().map(|(flaw, steps)| {
        let names = honest.keys().chain(steps.keys());
        let differs = names.filter(|step| steps.get(*step) != honest.get(*step));
        let differs = differs.map(|step| {
            let came_out = steps.get(step).map_or("not reached", String::as_str);
            (step.clone(), came_out.to_owned())
        });
        (flaw, differs.collect())
    });
    let flaws = flaws.collect();
    Outcomes { honest, flaws }
}

/// What came out otherwise than it is written down.
fn differences(liar: Liar, wanted: &Outcomes, found: &Outcomes) -> Vec<serde_json::Value> {
    let honest = (wanted.honest != found.honest).then(|| (HONEST.to_owned(), &wanted.honest, &found.honest));
    let empty = Steps::new();
    let flaws: Vec<_> = found
        .flaws
        .iter()
        .filter(|(flaw, steps)| wanted.flaws.get(*flaw) != Some(*steps))
        .map(|(flaw, steps)| (flaw.clone(), wanted.flaws.get(flaw).unwrap_or(&empty), steps))
        .collect();
    honest
        .into_iter()
        .chain(flaws)
        .map(|(flaw, wanted, found)| {
            eprintln!(
                "{} {flaw}: FAILED: wanted {wanted:?}, found {found:?}",
                liar.plugin()
            );
            serde_json::json!({ "plugin": liar.plugin(), "flaw": flaw, "wanted": wanted, "found": found })
        })
        .collect()
}
