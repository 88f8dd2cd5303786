//! libvirt, asked by somebody else than the node: through `virsh`.

use std::process::Command;

use anyhow::Context;

/// What the node calls its domains, before the run's id.
const PREFIX: &str = "velum-";

/// A domain as libvirt tells it.
#[derive(Clone, PartialEq, Eq)]
pub struct Domain {
    /// Its name.
    pub name: String,
    /// The run of its owner tag; none when it carries none.
    pub run: Option<String>,
    /// Whether it runs.
    pub is_active: bool,
    /// Its whole text.
    pub xml: String,
}

/// Without its text, which is long.
impl std::fmt::Debug for Domain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Domain")
            .field("name", &self.name)
            .field("run", &self.run)
            .field("is_active", &self.is_active)
            .finish_non_exhaustive()
    }
}

fn virsh(arguments: &[&str]) -> anyhow::Result<Option<String>> {
    let output = Command::new("virsh")
        .args(["-q", "-c", "qemu:///system"])
        .args(arguments)
        .output()
        .context("could not run virsh")?;
    if output.status.success() {
        return Ok(Some(String::from_utf8_lossy(&output.stdout).into_owned()));
    }
    let why = String::from_utf8_lossy(&output.stderr);
    // It went between the list and the question.
    if why.contains("failed to get domain") || why.contains("Domain not found") {
        return Ok(None);
    }
    anyhow::bail!("virsh {}: {}", arguments.join(" "), why.trim())
}

fn names(arguments: &[&str]) -> anyhow::Result<Vec<String>> {
    let text = virsh(arguments)?.unwrap_or_default();
    Ok(text
        .lines()
        .map(str::trim)
        .filter(|name| name.starts_with(PREFIX))
        .map(str::to_owned)
        .collect())
}

/// The run in the owner tag of a domain's text.
fn owner(xml: &str) -> Option<String> {
    let tag = xml.split("<velum:run ").nth(1)?.split('>').next()?;
    // libvirt writes its own attributes in single quotes, and metadata in double ones.
    let id = tag.split(" id=").nth(1)?;
    let quote = id.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    id.split(quote).nth(1).map(str::to_owned)
}

impl Domain {
    /// Every domain, running or not, that `mark` stands in the text of: a directory tells one test's from another's.
    ///
    /// # Errors
    /// When libvirt does not answer.
    pub fn all_with(mark: &str) -> anyhow::Result<Vec<Self>> {
        let active = names(&["list", "--name"])?;
        let mut found = Vec::new();
        for name in names(&["list", "--all", "--name"])? {
            let Some(xml) = virsh(&["dumpxml", &name])? else {
                continue;
            };
            if xml.contains(mark) {
                found.push(Self {
                    run: owner(&xml),
                    is_active: active.contains(&name),
                    name,
                    xml,
                });
            }
        }
        Ok(found)
    }

    /// Turns it off and forgets it: what a test that failed leaves.
    ///
    /// # Errors
    /// When libvirt refuses.
    pub fn remove(&self) -> anyhow::Result<()> {
        if self.is_active {
            virsh(&["destroy", &self.name])?;
        }
        virsh(&["undefine", &self.name]).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_is_read_from_the_tag() {
        let xml =
            "<domain><metadata><velum:run xmlns:velum='urn:velum:run:1' id='abc' generation='3'/></metadata>";
        assert_eq!(owner(xml).as_deref(), Some("abc"));
        assert_eq!(owner(&xml.replace('\'', "\"")).as_deref(), Some("abc"));
        assert_eq!(owner("<domain/>"), None);
    }
}
