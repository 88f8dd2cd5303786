//! What must be installed to build a component: once, pinned, in a folder of the user's. After that nothing is asked of
//! any registry.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use tokio::process::Command;

use super::run::quietly;
use crate::failure::Failure;

/// A program out of a registry of packages, at one version.
#[derive(Clone, Copy, Debug)]
pub struct Tool {
    /// Its package.
    pub name: &'static str,
    /// The version that skeletons and SDK were tried with.
    pub version: &'static str,
    /// What it takes on disk, for the line that says so.
    pub size: &'static str,
    /// Puts it into an empty folder.
    pub install: fn(&Path, &Tool) -> Vec<Step>,
    /// A file that is there when it is whole.
    pub proof: &'static str,
}

/// One command of an installation.
#[derive(Debug)]
pub struct Step {
    /// The command.
    pub command: Command,
    /// What to install where it is missing or fails.
    pub missing: &'static str,
}

impl Tool {
    /// The folder that it lies in; installs it when it is not there yet.
    pub async fn ready(&self) -> Result<PathBuf, Failure> {
        let cache = cache()?;
        let folder = cache.join(format!("{}-{}", self.name, self.version));
        if folder.join(self.proof).exists() {
            return Ok(folder);
        }
        eprintln!(
            "installing {} {} into {} ({}, once)",
            self.name,
            self.version,
            cache.display(),
            self.size
        );
        std::fs::create_dir_all(&cache)
            .with_context(|| format!("could not make the folder {}", cache.display()))?;
        // Beside its place, so that half an installation is never taken for a whole one.
        let fresh = cache.join(format!("{}-{}.{}", self.name, self.version, std::process::id()));
        let installed = self.install_into(&fresh).await;
        let kept = installed.and_then(|()| keep(&fresh, &folder, self.proof));
        if fresh.exists() {
            std::fs::remove_dir_all(&fresh)
                .with_context(|| format!("could not remove {}", fresh.display()))?;
        }
        kept?;
        Ok(folder)
    }

    async fn install_into(&self, fresh: &Path) -> Result<(), Failure> {
        std::fs::create_dir_all(fresh)
            .with_context(|| format!("could not make the folder {}", fresh.display()))?;
        for step in (self.install)(fresh, self) {
            let what = format!("install {} {}", self.name, self.version);
            quietly(step.command, &what, step.missing).await?;
        }
        if fresh.join(self.proof).exists() {
            return Ok(());
        }
        Err(Failure::Local(anyhow!(
            "{} {} was installed without {}: is there no build of it for this machine?",
            self.name,
            self.version,
            self.proof
        )))
    }
}

/// Puts an installation in its place, unless another process was faster.
fn keep(fresh: &Path, folder: &Path, proof: &str) -> Result<(), Failure> {
    if folder.exists() && !folder.join(proof).exists() {
        std::fs::remove_dir_all(folder).with_context(|| format!("could not remove {}", folder.display()))?;
    }
    match std::fs::rename(fresh, folder) {
        Ok(()) => Ok(()),
        Err(_) if folder.join(proof).exists() => Ok(()),
        Err(error) => Err(anyhow::Error::new(error)
            .context(format!("could not move an installation to {}", folder.display()))
            .into()),
    }
}

/// `VELUM_CACHE`, or `velum/toolchains` below the user's cache.
fn cache() -> Result<PathBuf, Failure> {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set("VELUM_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|cache| cache.join("velum")))
        .or_else(|| std::env::home_dir().map(|home| home.join(".cache/velum")))
        .map(|cache| cache.join("toolchains"))
        .ok_or_else(|| {
            Failure::usage("there is no home folder to install tools in: set VELUM_CACHE to a folder")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_an_installation_makes_room_for_a_whole_one_and_a_whole_one_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (fresh, folder) = (dir.path().join("fresh"), dir.path().join("tool-1"));
        std::fs::create_dir_all(fresh.join("bin")).unwrap();
        std::fs::create_dir_all(folder.join("half")).unwrap();
        keep(&fresh, &folder, "bin").unwrap();
        assert!(folder.join("bin").exists() && !folder.join("half").exists());
        std::fs::write(folder.join("first"), "").unwrap();
        std::fs::create_dir_all(fresh.join("bin")).unwrap();
        keep(&fresh, &folder, "bin").unwrap();
        assert!(folder.join("first").exists());
    }
}
