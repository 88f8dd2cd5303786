//! Drivers and providers that lie, in real operations: an instance and a volume live a whole life with each flaw that a case
//! of `tests/conformance` names. What came of it stands in `outcomes.toml` beside the flawed component: the steps that ended
//! otherwise than with a component that keeps every rule.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::{StreamExt as _, stream};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use velum_client::Client;
use velum_support::{FlawedGround, Ground, Image, World, WorldOptions, build_plugins};
use velum_testkit::case::Case;
use velum_wire::InstallPluginBody;

use crate::life::{Life, Steps, refusal_within};

/// Lives at a time: each waits for its back-offs most of the time.
const AT_ONCE: usize = 8;
/// Flaws of what is said without a target: the component says it by the flaw of its last call, whichever target that was about,
/// so that these are played first and alone.
const OF_NO_TARGET: [&str; 2] = ["describe-changes", "nameless"];
/// Lines of the server's configuration: failures are found hopeless soon, and liars are looked at often.
pub const HASTE: &str = "[operations]\nattempts_before_pivot = 4\nattempts_after_pivot = 5\nelsewhere = 0\n\
                         backoff_ms = 20\n[observe]\nevery_ms = 100\n";
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
