//! A plugin's folder: what it is written in, what it is called, where its component lies.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use velum_bundle::About;

use crate::failure::Failure;

/// What a plugin is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Language {
    /// Rust: every world.
    Rust,
    /// Python: placement policies.
    Python,
    /// JavaScript: placement policies.
    Javascript,
}

impl Language {
    /// The file by which a folder says it.
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Rust => "Cargo.toml",
            Self::Python => "policy.py",
            Self::Javascript => "policy.js",
        }
    }
}

/// A folder with a plugin in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Where it is.
    pub dir: PathBuf,
    /// What it is written in.
    pub language: Language,
    /// Name, version and world, of its plugin.toml.
    pub about: About,
    /// The text of its plugin.toml.
    pub manifest: String,
}

impl Folder {
    /// Looks at a folder.
    pub fn open(dir: &Path) -> Result<Self, Failure> {
        let signs = [Language::Rust, Language::Python, Language::Javascript];
        let language = signs
            .into_iter()
            .find(|language| dir.join(language.sign()).is_file());
        let path = dir.join("plugin.toml");
        let (Some(language), true) = (language, path.is_file()) else {
            let named = if dir == Path::new("") { Path::new(".") } else { dir };
            return Err(Failure::Local(anyhow!(
                "{} is no plugin's folder: it has no plugin.toml beside a Cargo.toml, policy.py or policy.js (`velum plugin new` makes one)",
                named.display()
            )));
        };
        let manifest =
            std::fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
        let about =
            About::of_manifest(&manifest).with_context(|| format!("{} does not fit", path.display()))?;
        Ok(Self {
            dir: dir.to_owned(),
            language,
            about,
            manifest,
        })
    }

    /// Where its component lies once it is built.
    pub fn component(&self) -> PathBuf {
        self.dir.join(format!("{}.wasm", self.about.name))
    }

    /// Where its component lies; fails when it was not built.
    pub fn built(&self) -> Result<PathBuf, Failure> {
        let file = self.component();
        if file.is_file() {
            Ok(file)
        } else {
            Err(Failure::Local(anyhow!(
                "{} is not there: run `velum plugin build` first",
                file.display()
            )))
        }
    }
}
