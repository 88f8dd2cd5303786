//! `velum plugin test`: the conformance suite of a plugin's world, and fixtures of policies.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use serde::Serialize;
use velum_testkit::{
    Plugin, Sandbox, World,
    case::Case,
    fixture::{Fixture, Played},
    result::ConformanceResult,
    suite::{Outcome, Suite, Verdict},
};

use super::ground::{Parts, far_side, sandbox};
use crate::{
    failure::Failure,
    progress::cases_bar,
    session::{Output, print},
    table,
    text::{count, plain},
};

/// What to test.
#[derive(clap::Args, Debug)]
pub struct Test {
    /// The plugin's folder, with plugin.toml, the component, and conformance.toml where a far side is needed.
    #[arg(default_value = ".")]
    pub dir: PathBuf,
    /// The component [default: what `velum plugin build` made in the folder].
    #[arg(long, value_name = "FILE")]
    pub component: Option<PathBuf>,
    /// Only this case of the suite; no result is written.
    #[arg(long, value_name = "NAME")]
    pub case: Option<String>,
    /// Only this fixture, such as one of `velum decision export`.
    #[arg(long, value_name = "FILE", conflicts_with = "case")]
    pub replay: Option<PathBuf>,
    /// Where the result goes, for `velum plugin pack` [default: conformance.json in the folder].
    #[arg(long, value_name = "FILE")]
    pub result: Option<PathBuf>,
    /// Lists every case, also those that passed.
    #[arg(long)]
    pub all: bool,
}

/// Everything that came of a test, for machines.
#[derive(Serialize)]
struct Report {
    /// What it is made of, `conformance.json` but for `--case` too.
    conformance: ConformanceResult,
    /// Each fixture.
    fixtures: Vec<FixtureReport>,
}

/// What came of a fixture.
#[derive(Serialize)]
struct FixtureReport {
    /// Its file.
    file: String,
    /// Where it is not as expected; nothing when it passed.
    problems: Vec<String>,
    /// Every host, best first, then those that are refused.
    hosts: Vec<HostReport>,
    /// Fuel of the question.
    fuel: u64,
}

/// What was said of a compute host: a score, or why it is refused.
#[derive(Serialize)]
struct HostReport {
    host: String,
    score: Option<u32>,
    refused: Option<String>,
}

/// Runs `velum plugin test`.
pub async fn run(test: &Test, output: Output) -> Result<(), Failure> {
    let parts = Parts::of_folder(&test.dir, test.component.as_deref())?;
    let sandbox = sandbox()?;
    let plugin = parts.install(&sandbox).await?;
    if let Some(file) = &test.replay {
        return replay(&sandbox, &plugin, file, output);
    }
    let mut played = Vec::new();
    if test.case.is_none() {
        for file in fixtures(&parts.folder)? {
            played.push((file.clone(), play(&sandbox, &plugin, &file)?));
        }
    }
    let outcomes = conformance(&sandbox, &plugin, test, output).await?;
    let conformance = ConformanceResult::new(&plugin.inspected, &outcomes, sandbox.sources.clock.now());
    let mut written = String::new();
    if test.case.is_none() {
        let default = || parts.folder.join("conformance.json");
        let path = test.result.clone().unwrap_or_else(default);
        std::fs::write(&path, conformance.to_bytes())
            .with_context(|| format!("could not write {}", path.display()))?;
        written = format!("wrote {}\n", path.display());
    }
    let (broken, failed) = (
        conformance.failed,
        played
            .iter()
            .filter(|(_, played)| !played.problems.is_empty())
            .count(),
    );
    let report = Report {
        conformance,
        fixtures: played.iter().map(|(file, played)| shown(file, played)).collect(),
    };
    print(output, &report, || {
        let fixtures: String = played.iter().map(|(file, played)| line(file, played)).collect();
        let suite = suite_report(&plugin, &outcomes, test.all || test.case.is_some());
        format!("{fixtures}{suite}{written}")
    })?;
    match (broken, failed) {
        (0, 0) => Ok(()),
        _ => Err(Failure::Local(anyhow!(
            "{} of the suite and {} failed",
            count(broken as u64, "case", "cases"),
            count(failed as u64, "fixture", "fixtures")
        ))),
    }
}

async fn conformance(
    sandbox: &Sandbox,
    plugin: &Plugin,
    test: &Test,
    output: Output,
) -> Result<Vec<Outcome>, Failure> {
    let far = far_side(sandbox, plugin).await?;
    let has_settings =
        test.dir.join("conformance.toml").exists() || plugin.inspected.world == World::PlacementPolicy;
    if !has_settings {
        eprintln!(
            "there is no conformance.toml beside plugin.toml: the target has no settings, no endpoint and no node"
        );
    }
    let suite = Suite::new(sandbox, plugin, far.settings());
    let chosen = |case: &Case| test.case.as_ref().is_none_or(|only| *only == case.name);
    let cases = Case::all(plugin.inspected.world).map_err(anyhow::Error::new)?;
    let bar = cases_bar(output, cases.iter().filter(|case| chosen(case)).count() as u64);
    let outcomes = suite.run(chosen, |outcome| {
        bar.set_message(outcome.case.name.clone());
        bar.inc(1);
    });
    let outcomes = outcomes.await;
    bar.finish_and_clear();
    let outcomes = outcomes.map_err(anyhow::Error::new)?;
    if outcomes.is_empty() {
        let name = test.case.as_deref().unwrap_or_default();
        let world = plugin.inspected.world;
        return Err(Failure::usage(format!(
            "the suite of {world} has no case '{name}'"
        )));
    }
    Ok(outcomes)
}

/// The table, then each case that failed with what went wrong and why it matters.
fn suite_report(plugin: &Plugin, outcomes: &[Outcome], all: bool) -> String {
    let of = |wanted: fn(&Verdict) -> bool| outcomes.iter().filter(|o| wanted(&o.verdict)).count();
    let passed = of(|verdict| *verdict == Verdict::Passed);
    let left_out = of(|verdict| matches!(verdict, Verdict::LeftOut { .. }));
    let rows: Vec<Vec<String>> = outcomes
        .iter()
        .filter(|outcome| all || outcome.verdict != Verdict::Passed)
        .map(row)
        .collect();
    let mut text = String::new();
    if !rows.is_empty() {
        text.push_str(&table::list(&["CASE", "OUTCOME", "TIME", "RULE"], rows, Some(1)));
    }
    for outcome in outcomes {
        if let Verdict::Failed(failure) = &outcome.verdict {
            let case = &outcome.case;
            text.push_str(&format!(
                "\n{}\n  rule      {}\n  step {:<4} {}\n  expected  {}\n  came      {}\n  why       {}\n  source    {}\n",
                case.name,
                case.rule,
                failure.step,
                plain(&failure.asked),
                plain(&failure.expected),
                plain(&failure.came),
                case.why,
                case.source
            ));
        }
    }
    text.push_str(&format!(
        "conformance of {} {} ({}): {passed} passed, {} failed, {left_out} left out\n",
        plugin.inspected.manifest.name,
        plain(&plugin.inspected.manifest.version),
        plugin.inspected.world,
        outcomes.len() - passed - left_out
    ));
    text
}

fn row(outcome: &Outcome) -> Vec<String> {
    let (word, why) = match &outcome.verdict {
        Verdict::Passed => ("passed", outcome.case.rule.clone()),
        Verdict::Failed(_) => ("failed", outcome.case.rule.clone()),
        Verdict::LeftOut { reason } => ("left out", plain(reason)),
    };
    let took = format!("{} ms", outcome.took_ms);
    vec![outcome.case.name.clone(), word.to_owned(), took, why]
}

/// The fixtures of a folder, by name.
fn fixtures(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let folder = folder.join("fixtures");
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let reading = || format!("could not read {}", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(reading)? {
        let path = entry.with_context(reading)?.path();
        let ending = path.extension().and_then(|ending| ending.to_str());
        if matches!(ending, Some("toml" | "json")) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// How a fixture went, in a line or, when it failed, in some more.
fn line(file: &Path, played: &Played) -> String {
    let name = file.display();
    let first = played.said.first().map_or("-", |said| said.host.as_str());
    if played.problems.is_empty() {
        return format!(
            "fixture {name}: passed ({} first, {} fuel)\n",
            plain(first),
            played.fuel
        );
    }
    let mut text = format!("fixture {name}: failed\n");
    for problem in &played.problems {
        text.push_str(&format!("  {}\n", plain(problem)));
    }
    text.push_str(&verdicts(played));
    text
}

fn shown(file: &Path, played: &Played) -> FixtureReport {
    let hosts = played.said.iter().map(|said| HostReport {
        host: said.host.clone(),
        score: said.verdict.as_ref().ok().copied(),
        refused: said.verdict.as_ref().err().cloned(),
    });
    FixtureReport {
        file: file.display().to_string(),
        problems: played.problems.clone(),
        hosts: hosts.collect(),
        fuel: played.fuel,
    }
}

fn play(sandbox: &Sandbox, plugin: &Plugin, file: &Path) -> Result<Played, Failure> {
    let fixture = Fixture::read(file).map_err(anyhow::Error::new)?;
    let played = fixture
        .play(sandbox, plugin)
        .with_context(|| format!("fixture {}", file.display()))?;
    Ok(played)
}

/// Plays one fixture and shows every host.
fn replay(sandbox: &Sandbox, plugin: &Plugin, file: &Path, output: Output) -> Result<(), Failure> {
    let played = play(sandbox, plugin, file)?;
    print(output, &shown(file, &played), || {
        let end = if played.problems.is_empty() {
            "as expected\n"
        } else {
            ""
        };
        format!("{}fuel  {}\n{end}", verdicts(&played), played.fuel)
    })?;
    match played.problems.as_slice() {
        [] => Ok(()),
        problems => Err(Failure::Local(anyhow!(
            "otherwise than expected: {}",
            problems.join("; ")
        ))),
    }
}

fn verdicts(played: &Played) -> String {
    let rows = played.said.iter().map(|said| {
        let (score, verdict) = match &said.verdict {
            Ok(score) => (score.to_string(), String::new()),
            Err(words) => ("-".to_owned(), format!("refused: {}", plain(words))),
        };
        vec![plain(&said.host), score, verdict]
    });
    table::list(&["HOST", "SCORE", "VERDICT"], rows.collect(), None)
}
