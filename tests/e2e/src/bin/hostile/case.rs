//! A case as it stands in its folder.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context as _;
use serde::Deserialize;

/// A misbehaving component, and what the server does about it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The folder's name.
    #[serde(skip)]
    pub name: String,
    /// What it does, in words.
    pub what: String,
    /// What it is made from.
    pub guest: Guest,
    /// What its functions do, in WebAssembly text: by the names of the template.
    #[serde(default)]
    pub bodies: BTreeMap<String, String>,
    /// Imports of a policy.
    #[serde(default)]
    pub imports: String,
    /// Replacements in the text of its module.
    #[serde(default)]
    pub replace: Vec<(String, String)>,
    /// How a raw component is made.
    #[serde(default)]
    pub make: Option<Make>,
    /// The text of a raw component.
    #[serde(default)]
    pub wat: String,
    /// How many of what it is made of.
    #[serde(default)]
    pub count: usize,
    /// How many bytes.
    #[serde(default)]
    pub bytes: usize,
    /// Its manifest.
    #[serde(default)]
    pub manifest: Option<String>,
    /// Bytes of comment behind the manifest.
    #[serde(default)]
    pub pad: usize,
    /// Whether it is, after all, a good component: then it is only large.
    #[serde(default)]
    pub accept: bool,
    /// Whether a driver is granted its connectors.
    #[serde(default)]
    pub grant: Grant,
    /// What is done to its process.
    #[serde(default)]
    pub deed: Option<Deed>,
    /// What the server does about it.
    pub outcome: Outcome,
}

/// What a component is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guest {
    /// The template of policies.
    Policy,
    /// The template of drivers.
    Driver,
    /// The template of drivers, and something is done to its process.
    Process,
    /// See [`Make`].
    Raw,
}

/// How a raw component is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Make {
    /// No bytes.
    Empty,
    /// Bytes without sense.
    Noise,
    /// Words.
    Text,
    /// A core module.
    Module,
    /// The first half of a good component.
    Truncated,
    /// From its text.
    Wat,
    /// A good component with a custom section.
    Padded,
    /// Functions.
    Functions,
    /// Blocks in one another.
    Blocks,
    /// Functions with many locals.
    Locals,
    /// Functions with a large table of branches.
    Branches,
    /// A good policy with much data.
    Data,
    /// Components in one another.
    Nested,
    /// Instances of one module.
    Instances,
    /// A good policy that imports the clock of WASI.
    Import,
    /// A good policy of another contract.
    Dialect,
    /// A good policy with the case's manifest.
    Manifest,
    /// A good policy, compiled.
    Compiled,
}

/// Whether a driver is granted its connectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grant {
    /// Some methods below some paths, and libvirt.
    #[default]
    Some,
    /// Tables with nothing in them.
    None,
}

/// What is done to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deed {
    /// It is killed.
    Kill,
    /// It is stopped.
    Stop,
}

/// What the server does about it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// Whether it takes the component.
    pub install: Install,
    /// What comes of using it.
    #[serde(rename = "use", default)]
    pub used: Option<Use>,
    /// What the refusal, the decision or the problem says, among other things.
    pub says: String,
}

/// Whether the server takes the component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Install {
    /// It is installed.
    Taken,
    /// It is refused.
    Refused,
}

/// What comes of using it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Use {
    /// The policy is refused when it is made.
    Refused,
    /// Instances are placed by the built-in policy, and the decision says why.
    Fallback,
    /// Instances are placed by it.
    Placed,
    /// Either of the two.
    Any,
    /// Nowhere is room, for its reasons.
    NoRoom,
    /// The compute host is not registered, for what its driver did.
    Unanswered,
}

/// All cases, by name.
///
/// # Errors
/// One cannot be read.
pub fn all(directory: &Path) -> anyhow::Result<Vec<Case>> {
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(directory).with_context(|| format!("reading {}", directory.display()))? {
        let path = entry?.path();
        let text = std::fs::read_to_string(path.join("case.toml"))
            .with_context(|| format!("reading {}", path.display()))?;
        let mut case: Case =
            toml::from_str(&text).with_context(|| format!("{} is no case", path.display()))?;
        case.name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default()
            .to_owned();
        cases.push(case);
    }
    cases.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(cases)
}
