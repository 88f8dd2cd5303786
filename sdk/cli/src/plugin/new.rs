//! `velum plugin new`: a folder that builds, out of what is inside the binary.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::ValueEnum;
use include_dir::{Dir, include_dir};
use toml::{Table, Value};

use crate::{failure::Failure, session::write_out};

static SKELETON: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../skeletons/placement-policy-rust");
static GUEST: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../guest");
static WIT: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../wit");
/// Versions of what the guest library depends on.
const WORKSPACE: &str = include_str!("../../../../Cargo.toml");
/// Where the library and the contracts go: as they lie to each other at home.
const VENDOR: &str = "vendor/velum";
/// The name in the skeleton.
const PLACEHOLDER: &str = "my-policy";

/// Worlds that there is a skeleton for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum World {
    /// Chooses compute hosts or storage pools.
    PlacementPolicy,
}

/// What to make.
#[derive(clap::Args, Debug)]
pub struct New {
    /// The plugin's name: the folder, the package and the component are called so.
    pub name: String,
    /// What it is.
    #[arg(long, value_enum, default_value = "placement-policy")]
    pub world: World,
    /// The folder in which to make it [default: here].
    #[arg(long, value_name = "DIR", default_value = ".", hide_default_value = true)]
    pub path: PathBuf,
}

/// Runs `velum plugin new`.
pub fn run(new: &New) -> Result<(), Failure> {
    check_name(&new.name)?;
    let World::PlacementPolicy = new.world;
    let folder = new.path.join(&new.name);
    if folder.exists() {
        return Err(Failure::Local(anyhow::anyhow!(
            "{} is there already",
            folder.display()
        )));
    }
    write_skeleton(&folder, &new.name)?;
    write_vendored(&folder)?;
    let shown = folder.display();
    write_out(&format!(
        "made {shown}\n  src/lib.rs   the policy\n  plugin.toml  what it is called and asks for\n\
         next: velum plugin build {shown}\n"
    ))
}

fn check_name(name: &str) -> Result<(), Failure> {
    let letters = name
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let begins = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
    if letters && begins && name.len() <= 63 && !name.ends_with('-') {
        Ok(())
    } else {
        Err(Failure::usage(format!(
            "'{name}' is no name for a plugin: use a-z, 0-9 and '-', a letter first"
        )))
    }
}

fn write_skeleton(folder: &Path, name: &str) -> Result<(), Failure> {
    for (path, bytes) in files(&SKELETON) {
        let path = if path == Path::new("gitignore") {
            PathBuf::from(".gitignore")
        } else {
            path
        };
        let text = String::from_utf8_lossy(bytes).replace(PLACEHOLDER, name);
        write(&folder.join(path), text.as_bytes())?;
    }
    Ok(())
}

fn write_vendored(folder: &Path) -> Result<(), Failure> {
    let vendor = folder.join(VENDOR);
    for (path, bytes) in files(&WIT) {
        write(&vendor.join("wit").join(path), bytes)?;
    }
    for (path, bytes) in files(&GUEST) {
        let target = vendor.join("sdk/guest").join(&path);
        if path == Path::new("Cargo.toml") {
            let manifest = standalone(&String::from_utf8_lossy(bytes), WORKSPACE)?;
            write(&target, manifest.as_bytes())?;
        } else if !path.starts_with("tests") && !path.starts_with("target") {
            write(&target, bytes)?;
        }
    }
    Ok(())
}

/// Every file below a folder with its path in it.
fn files<'a>(dir: &'a Dir<'a>) -> Vec<(PathBuf, &'a [u8])> {
    let mut found: Vec<_> = dir
        .files()
        .map(|f| (f.path().to_path_buf(), f.contents()))
        .collect();
    for inner in dir.dirs() {
        found.extend(files(inner));
    }
    found
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let writing = || format!("could not write {}", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(writing)?;
    }
    Ok(std::fs::write(path, bytes).with_context(writing)?)
}

/// The manifest of a workspace's member as one that stands alone: what it inherits is written out, what only its own
/// tests and lints need is left out.
fn standalone(member: &str, workspace: &str) -> Result<String, anyhow::Error> {
    let mut member: Table = member
        .parse()
        .context("the guest library's manifest does not parse")?;
    let workspace: Table = workspace
        .parse()
        .context("the workspace's manifest does not parse")?;
    let inherited = |part: &str| {
        workspace
            .get("workspace")
            .and_then(|w| w.get(part))
            .and_then(Value::as_table)
    };
    for left_out in ["lints", "dev-dependencies"] {
        member.remove(left_out);
    }
    for (part, from) in [("package", "package"), ("dependencies", "dependencies")] {
        let Some(Value::Table(table)) = member.get_mut(part) else {
            continue;
        };
        for (key, value) in table.iter_mut() {
            if value.get("workspace").and_then(Value::as_bool) == Some(true) {
                let known = inherited(from).and_then(|known| known.get(key));
                *value = written_out(
                    value,
                    known.with_context(|| format!("the workspace lacks {part}.{key}"))?,
                );
            }
        }
    }
    Ok(toml::to_string(&member)?)
}

/// What is inherited, with what the member says beside it (`optional`, further features).
fn written_out(member: &Value, inherited: &Value) -> Value {
    let Value::Table(own) = member else {
        return inherited.clone();
    };
    if own.len() == 1 {
        return inherited.clone();
    }
    let mut whole = match inherited {
        Value::Table(table) => table.clone(),
        version => Table::from_iter([("version".to_owned(), version.clone())]),
    };
    for (key, value) in own.iter().filter(|(key, _)| *key != "workspace") {
        match (whole.get_mut(key), value) {
            (Some(Value::Array(present)), Value::Array(more)) => present.extend(more.iter().cloned()),
            _ => {
                whole.insert(key.clone(), value.clone());
            }
        }
    }
    Value::Table(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_plugin_has_all_that_it_builds_from() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let new = New {
            name: "green".into(),
            world: World::PlacementPolicy,
            path: dir.path().into(),
        };
        run(&new).expect("a new plugin");
        let read = |path: &str| std::fs::read_to_string(dir.path().join("green").join(path)).expect(path);
        assert!(read("Cargo.toml").contains("name = \"green\""));
        assert!(read("plugin.toml").contains("name = \"green\""));
        assert!(read(".gitignore").contains("target"));
        assert!(read("vendor/velum/wit/placement/policy.wit").contains("interface policy"));
        let guest: Table = read("vendor/velum/sdk/guest/Cargo.toml")
            .parse()
            .expect("a manifest");
        assert!(!guest.to_string().contains("workspace"), "{guest}");
        assert!(run(&new).is_err(), "a folder that is there is left alone");
    }

    #[test]
    fn what_a_member_inherits_is_written_out_with_what_it_adds() {
        let workspace = "[workspace.package]\nversion = \"0.1.0\"\n[workspace.dependencies]\na = \"1\"\n\
                         b = { version = \"2\", features = [\"x\"] }\n";
        let member = "[package]\nname = \"m\"\nversion.workspace = true\n[lints]\nworkspace = true\n[dependencies]\n\
                      a = { workspace = true, optional = true }\nb = { workspace = true, features = [\"y\"] }\n";
        let alone: Table = standalone(member, workspace)
            .expect("a manifest")
            .parse()
            .expect("TOML");
        let expected: Table = "[package]\nname = \"m\"\nversion = \"0.1.0\"\n[dependencies]\n\
                               a = { version = \"1\", optional = true }\nb = { version = \"2\", features = [\"x\", \"y\"] }"
            .parse()
            .expect("TOML");
        assert_eq!(alone, expected);
        assert!(standalone("[dependencies]\nc.workspace = true", workspace).is_err());
    }

    #[test]
    fn a_name_is_a_package_name() {
        for good in ["green", "a1-b"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "Green", "../x", "1a", "a_b", "a-", "a b"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
