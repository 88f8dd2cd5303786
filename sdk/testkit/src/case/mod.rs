//! Cases: one rule of a contract each, as steps with what is expected of them. They lie in `tests/conformance/WORLD/CASE/
//! case.toml` and are inside this library, so that a vendor needs nothing but the command line.

mod args;
mod expect;
mod vocabulary;

use std::path::Path;

use include_dir::{Dir, include_dir};
use serde::Deserialize;
use velum_model::plugin::World;

pub use args::Args;
pub use expect::{Expect, Mismatch, Seen};
pub use vocabulary::{TRAITS, meaning, verbs};

static CASES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../tests/conformance");

/// The version of the suites: grows when a case comes, goes, or asks for something else.
pub const SUITE_VERSION: &str = "1";

/// A rule of a contract and how it is seen that a plugin keeps it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The name of its folder.
    #[serde(skip)]
    pub name: String,
    /// What must hold, in a sentence.
    pub rule: String,
    /// What goes wrong in a cloud where it does not.
    pub why: String,
    /// Where the rule is written.
    pub source: String,
    /// The flaw of the deliberately broken component of its world that this case must catch.
    pub flaw: String,
    /// What a plugin must have for the rule to be about it: traits, with `!` before those that it must not have.
    #[serde(default)]
    pub only: Vec<String>,
    /// What is done.
    #[serde(rename = "step")]
    pub steps: Vec<Step>,
}

/// One call and what is expected of it.
#[derive(Clone, Debug, Deserialize)]
pub struct Step {
    /// The verb.
    #[serde(rename = "do")]
    pub verb: String,
    /// What later steps call its answer.
    #[serde(default)]
    pub name: Option<String>,
    /// What is expected.
    #[serde(default)]
    pub expect: Expect,
    /// The arguments of the verb.
    #[serde(flatten)]
    pub args: Args,
}

/// A case that is written wrongly: a mistake of the suite, not of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("case {case}: {problem}")]
pub struct BadCase {
    /// Which.
    pub case: String,
    /// What is wrong with it.
    pub problem: String,
}

impl Case {
    /// Reads the text of a case.
    ///
    /// # Errors
    /// [`BadCase`] names the step and the key.
    pub fn parse(world: World, name: &str, text: &str) -> Result<Self, BadCase> {
        let bad = |problem: String| BadCase {
            case: format!("{world}/{name}"),
            problem,
        };
        let mut case: Self = toml::from_str(text).map_err(|error| bad(error.to_string()))?;
        name.clone_into(&mut case.name);
        if case.steps.is_empty() {
            return Err(bad("it has no step".to_owned()));
        }
        for wanted in &case.only {
            let wanted = wanted.trim_start_matches('!');
            if !TRAITS.iter().any(|(known, _)| *known == wanted) {
                return Err(bad(format!("only: {wanted:?} is no trait")));
            }
        }
        let mut named: Vec<&str> = Vec::new();
        for (number, step) in (1..).zip(&case.steps) {
            let at = |problem: String| bad(format!("step {number}: {problem}"));
            let known = verbs(world)
                .iter()
                .find(|(verb, _)| *verb == step.verb)
                .ok_or_else(|| at(format!("there is no verb {:?}", step.verb)))?;
            step.args.check(known.1).map_err(&at)?;
            for earlier in step.expect.names().chain(step.args.earlier()) {
                if !named.contains(&earlier) {
                    return Err(at(format!("no step before it is called {earlier:?}")));
                }
            }
            named.extend(step.name.as_deref());
        }
        Ok(case)
    }

    /// All cases of a world, by name.
    ///
    /// # Errors
    /// [`BadCase`]: a test of this crate reads them all.
    pub fn all(world: World) -> Result<Vec<Self>, BadCase> {
        let Some(folder) = CASES.get_dir(Path::new(world.as_str())) else {
            return Ok(Vec::new());
        };
        let mut cases = Vec::new();
        for dir in folder.dirs() {
            let name = dir
                .path()
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default();
            let text = dir
                .get_file(dir.path().join("case.toml"))
                .and_then(include_dir::File::contents_utf8)
                .ok_or_else(|| BadCase {
                    case: format!("{world}/{name}"),
                    problem: "its folder has no case.toml".to_owned(),
                })?;
            cases.push(Self::parse(world, &name, text)?);
        }
        cases.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(cases)
    }

    /// The first trait that keeps this case from being about a plugin with these traits.
    #[must_use]
    pub fn left_out_by<'a>(&'a self, traits: &[String]) -> Option<&'a str> {
        let has = |name: &str| traits.iter().any(|known| known == name);
        self.only
            .iter()
            .map(String::as_str)
            .find(|wanted| match wanted.strip_prefix('!') {
                Some(unwanted) => has(unwanted),
                None => !has(wanted),
            })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const WORLDS: [World; 3] = [
        World::PlacementPolicy,
        World::HypervisorDriver,
        World::StorageProvider,
    ];

    #[test]
    fn every_case_reads_and_each_catches_a_flaw_of_its_own() {
        for world in WORLDS {
            let cases = Case::all(world).unwrap();
            assert!(cases.len() >= 25, "{world} has {} cases", cases.len());
            let flaws: BTreeSet<_> = cases.iter().map(|case| &case.flaw).collect();
            assert_eq!(flaws.len(), cases.len(), "two cases of {world} share a flaw");
            for case in &cases {
                for (what, text) in [("rule", &case.rule), ("why", &case.why), ("source", &case.source)] {
                    assert!(text.len() > 10, "{world}/{}: {what} says nothing", case.name);
                }
            }
        }
    }

    #[test]
    fn a_case_that_is_written_wrongly_says_where() {
        let head = "rule = \"r\"\nwhy = \"w\"\nsource = \"s\"\nflaw = \"f\"\n";
        let problem = |step: &str| {
            let text = format!("{head}[[step]]\n{step}");
            Case::parse(World::StorageProvider, "x", &text)
                .unwrap_err()
                .to_string()
        };
        assert!(problem("do = \"fly\"").contains("no verb \"fly\""));
        assert!(problem("do = \"find\"\nvolum = \"a\"").contains("volum"));
        assert!(problem("do = \"find\"\nvolume = \"a\"\nexpect.same-as = \"first\"").contains("first"));
        assert!(problem("do = \"find\"\nexpect.iz = \"some\"").contains("iz"));
    }
}
