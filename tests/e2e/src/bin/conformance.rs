//! Conformance: every first-party plugin keeps every rule that is about it, a component without a flaw keeps them all, and for
//! each rule there is a flaw that its case catches. The flawed components are in `tests/guests`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use anyhow::Context;
use clap::Parser;
use serde_json::{Value, json};
use velum_model::plugin::World;
use velum_support::{Aim, Report, build_plugins, first_party};
use velum_testkit::{
    FarSide, Plugin, Sandbox, Settings, Sources,
    case::Case,
    child_main,
    suite::{Failure, Outcome, Suite, Verdict},
};

/// What ships with the server, each with the far side that its conformance.toml names.
const FIRST_PARTY: [&str; 10] = [
    "placement-best-fit",
    "placement-first-fit",
    "placement-spread",
    "placement-weighted",
    "placement-lifetime",
    "hypervisor-libvirt",
    "hypervisor-sim",
    "storage-array",
    "storage-dir",
    "storage-sim",
];
/// A component a world that breaks the rule that it is told to.
const FLAWED: [(World, &str); 3] = [
    (World::PlacementPolicy, "policy-with-a-flaw"),
    (World::HypervisorDriver, "driver-with-a-flaw"),
    (World::StorageProvider, "provider-with-a-flaw"),
];

/// Runs the conformance suites against what ships and against what must be caught.
#[derive(Debug, Parser)]
struct Arguments {
    /// Only this plugin, or this flawed component.
    #[arg(long)]
    plugin: Option<String>,
    /// Only this case.
    #[arg(long)]
    case: Option<String>,
    /// Says how each flaw was caught.
    #[arg(long)]
    verbose: bool,
}

impl Arguments {
    fn wants(&self, plugin: &str) -> bool {
        self.plugin.as_deref().is_none_or(|only| only == plugin)
    }

    fn chooses(&self, case: &Case) -> bool {
        self.case.as_deref().is_none_or(|only| only == case.name)
    }
}

/// What went wrong so far, and how many cases came out how.
#[derive(Default)]
struct Score {
    problems: Vec<String>,
    plugins: BTreeMap<String, Value>,
    caught: BTreeMap<String, usize>,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    if let Some(code) = child_main(&arguments) {
        return Ok(code);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime
        .context("could not start")?
        .block_on(run(Arguments::parse()))
}

async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let names: Vec<&str> = FLAWED.iter().map(|(_, name)| *name).chain(FIRST_PARTY).collect();
    build_plugins(&names)?;
    let own = std::env::current_exe().context("could not find this program")?;
    let sandbox = Sandbox::start(Sources::of_this_machine(own.clone().into_os_string()))?;
    let programs = std::env::var_os("VELUM_BIN").map(PathBuf::from);
    let programs = programs.or_else(|| own.parent().map(Path::to_owned));
    let ground = Ground {
        top,
        sandbox,
        programs,
        arguments,
    };
    let mut score = Score::default();
    for name in FIRST_PARTY {
        if ground.arguments.wants(name) {
            ground
                .first_party(name, &mut score)
                .await
                .with_context(|| name.to_owned())?;
        }
    }
    for (world, name) in FLAWED {
        if ground.arguments.wants(name) {
            ground
                .flawed(world, name, &mut score)
                .await
                .with_context(|| name.to_owned())?;
        }
    }
    let mut cases = BTreeMap::new();
    for (world, _) in FLAWED {
        cases.insert(world.as_str(), Case::all(world)?.len());
    }
    for problem in &score.problems {
        eprintln!("{problem}");
    }
    let enough = cases.values().all(|count| *count >= 25);
    Ok(Report::new(
        "conformance",
        score.problems.len() as f64,
        "failed cases",
        Aim::AtMost(0.0),
    )
    .with("cases", json!(cases))
    .with("flaws_caught", json!(score.caught))
    .with("plugins", json!(score.plugins))
    .with("suite_seconds", began.elapsed().as_secs())
    .require("at_least_25_cases_a_world", enough)
    .print())
}

struct Ground {
    top: PathBuf,
    sandbox: Sandbox,
    programs: Option<PathBuf>,
    arguments: Arguments,
}

impl Ground {
    async fn install(&self, folder: &str, name: &str) -> anyhow::Result<Plugin> {
        let built = match folder {
            "plugins" => first_party()?,
            // Beside them, where no server looks.
            _ => first_party()?.with_file_name("guests"),
        };
        let component = built.join(format!("{name}.wasm"));
        let manifest = built.join(format!("{name}.toml"));
        let settings = self.top.join(folder).join(name).join("conformance.toml");
        let settings = settings.exists().then_some(settings.as_path());
        Ok(Plugin::install(&self.sandbox, &component, Some(&manifest), settings).await?)
    }

    async fn outcomes(
        &self,
        plugin: &Plugin,
        settings: &Settings,
        only: Option<&str>,
    ) -> anyhow::Result<Vec<Outcome>> {
        let chosen = |case: &Case| self.arguments.chooses(case) && only.is_none_or(|only| only == case.name);
        let suite = Suite::new(&self.sandbox, plugin, settings);
        Ok(suite.run(chosen, |_| {}).await?)
    }

    /// A plugin of ours: no case fails.
    async fn first_party(&self, name: &str, score: &mut Score) -> anyhow::Result<()> {
        let plugin = self.install("plugins", name).await?;
        let scratch = self.sandbox.scratch().join(name);
        std::fs::create_dir_all(&scratch)?;
        let mut far = FarSide::start(&plugin.settings, &scratch, self.programs.as_deref()).await?;
        let began = Instant::now();
        let outcomes = self.outcomes(&plugin, far.settings(), None).await?;
        anyhow::ensure!(far.is_running(), "a program of its far side ended by itself");
        let count = |wanted: fn(&Verdict) -> bool| outcomes.iter().filter(|o| wanted(&o.verdict)).count();
        let left_out = outcomes
            .iter()
            .filter(|o| matches!(o.verdict, Verdict::LeftOut { .. }));
        let left_out: Vec<_> = left_out.map(|o| o.case.name.as_str()).collect();
        let figures = json!({
            "passed": count(|verdict| *verdict == Verdict::Passed), "failed": count(is_failed), "left_out": left_out,
        });
        eprintln!("{name}: {figures} in {:?}", began.elapsed());
        score.plugins.insert(name.to_owned(), figures);
        for outcome in &outcomes {
            if let Verdict::Failed(failure) = &outcome.verdict {
                score.problems.push(told(name, &outcome.case, failure));
            }
        }
        Ok(())
    }

    /// The component without a flaw passes everything; with each case's flaw, that case fails.
    async fn flawed(&self, world: World, name: &str, score: &mut Score) -> anyhow::Result<()> {
        let plugin = self.install("tests/guests", name).await?;
        let began = Instant::now();
        let none = with_flaw(&plugin.settings, world, "none");
        for outcome in self.outcomes(&plugin, &none, None).await? {
            match &outcome.verdict {
                Verdict::Passed => {}
                Verdict::Failed(failure) => {
                    score
                        .problems
                        .push(told(&format!("{name} without a flaw"), &outcome.case, failure));
                }
                Verdict::LeftOut { reason } => {
                    let case = &outcome.case.name;
                    score
                        .problems
                        .push(format!("{name} without a flaw: {case}: left out: {reason}"));
                }
            }
        }
        let mut caught = 0;
        for case in Case::all(world)?
            .iter()
            .filter(|case| self.arguments.chooses(case))
        {
            let settings = with_flaw(&plugin.settings, world, &case.flaw);
            let outcomes = self.outcomes(&plugin, &settings, Some(&case.name)).await?;
            let failure = outcomes.iter().find_map(|outcome| match &outcome.verdict {
                Verdict::Failed(failure) => Some(failure),
                _ => None,
            });
            if let Some(failure) = failure {
                caught += 1;
                if self.arguments.verbose {
                    eprintln!("{}: {}", case.flaw, told(name, case, failure));
                }
            } else {
                let verdicts: Vec<_> = outcomes.iter().map(|outcome| &outcome.verdict).collect();
                let flaw = &case.flaw;
                score.problems.push(format!(
                    "{name}: the flaw {flaw} is not caught by {}: {verdicts:?}",
                    case.name
                ));
            }
        }
        eprintln!("{name}: {caught} flaws caught in {:?}", began.elapsed());
        score.caught.insert(world.to_string(), caught);
        Ok(())
    }
}

/// The same settings with a flaw where each world's component looks for it.
fn with_flaw(settings: &Settings, world: World, flaw: &str) -> Settings {
    let mut settings = settings.clone();
    let config = Some(json!({ "flaw": flaw }));
    match world {
        World::PlacementPolicy => settings.policy.config = config,
        _ => settings.target.config = config,
    }
    settings
}

const fn is_failed(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Failed(_))
}

fn told(who: &str, case: &Case, failure: &Failure) -> String {
    format!(
        "{who}: {}, step {} ({}): expected {}, came {}",
        case.name, failure.step, failure.asked, failure.expected, failure.came
    )
}
