//! `velum plugin new`: a folder that builds, out of what is inside the binary.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::ValueEnum;
use include_dir::{Dir, include_dir};
use toml::{Table, Value};

use super::folder::Language;
use crate::{failure::Failure, session::write_out};

static SKELETONS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../skeletons");
static GUEST: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../guest");
static PYTHON: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../python/velum");
static JAVASCRIPT: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../js/velum");
static WIT: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../wit");
/// Versions of what the guest library depends on.
const WORKSPACE: &str = include_str!("../../../../Cargo.toml");
/// The world of a component that is made of an interpreter: it imports nothing.
const COMPONENT: &str = include_str!("../../../skeletons/component.wit");
/// Where Rust's library and the contracts go: as they lie to each other at home.
const VENDOR: &str = "vendor/velum";

/// Worlds that there is a skeleton for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum World {
    /// Chooses compute hosts or storage pools.
    PlacementPolicy,
    /// Drives guests on compute hosts (Rust).
    HypervisorDriver,
    /// Drives volumes on storage pools (Rust).
    StorageProvider,
}

impl World {
    /// Its name, and the name of the plugin in its skeletons.
    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::PlacementPolicy => ("placement-policy", "my-policy"),
            Self::HypervisorDriver => ("hypervisor-driver", "my-driver"),
            Self::StorageProvider => ("storage-provider", "my-provider"),
        }
    }
}

/// What to make.
#[derive(clap::Args, Debug)]
pub struct New {
    /// The plugin's name: the folder, the package and the component are called so.
    pub name: String,
    /// What it is.
    #[arg(long, value_enum, default_value = "placement-policy")]
    pub world: World,
    /// What it is written in.
    #[arg(long, value_enum, default_value = "rust")]
    pub lang: Language,
    /// The folder in which to make it [default: here].
    #[arg(long, value_name = "DIR", default_value = ".", hide_default_value = true)]
    pub path: PathBuf,
}

/// Runs `velum plugin new`.
pub fn run(new: &New) -> Result<(), Failure> {
    check_name(&new.name)?;
    let skeleton = skeleton(new)?;
    let folder = new.path.join(&new.name);
    if folder.exists() {
        return Err(Failure::Local(anyhow!("{} is there already", folder.display())));
    }
    write_skeleton(skeleton, &folder, new)?;
    match new.lang {
        Language::Rust => write_vendored(&folder)?,
        Language::Python => write_library(&PYTHON, &folder)?,
        Language::Javascript => write_library(&JAVASCRIPT, &folder)?,
    }
    let here = folder.strip_prefix(".").unwrap_or(&folder).display();
    let (begin, what) = match (new.lang, new.world) {
        (Language::Rust, World::PlacementPolicy) => ("src/lib.rs", "the policy"),
        (Language::Rust, World::HypervisorDriver) => ("src/acme.rs", "the driver"),
        (Language::Rust, World::StorageProvider) => ("src/acme.rs", "the provider"),
        (Language::Python, _) => ("policy.py", "the policy"),
        (Language::Javascript, _) => ("policy.js", "the policy"),
    };
    write_out(&format!(
        "made {here}\n  {begin:12} {what}\n  {:12} what it is called and asks for\n  {:12} what to do next\n\
         next: cd {here} && velum plugin build\n",
        "plugin.toml", "README.md"
    ))
}

fn skeleton(new: &New) -> Result<&'static Dir<'static>, Failure> {
    let (world, _) = new.world.names();
    let language = match new.lang {
        Language::Rust => "rust",
        Language::Python => "python",
        Language::Javascript => "javascript",
    };
    SKELETONS.get_dir(format!("{world}-{language}")).ok_or_else(|| {
        Failure::usage(format!(
            "there is no {world} in {language}: drivers and providers are written in Rust, policies in any of the three"
        ))
    })
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

fn write_skeleton(skeleton: &'static Dir<'static>, folder: &Path, new: &New) -> Result<(), Failure> {
    let (_, placeholder) = new.world.names();
    let module = |name: &str| name.replace('-', "_");
    for (path, bytes) in files(skeleton) {
        let path = path.strip_prefix(skeleton.path()).unwrap_or(&path).to_owned();
        let path = if path == Path::new("gitignore") {
            PathBuf::from(".gitignore")
        } else {
            path
        };
        let text = String::from_utf8_lossy(bytes)
            .replace(placeholder, &new.name)
            .replace(&module(placeholder), &module(&new.name));
        write(&folder.join(path), text.as_bytes())?;
    }
    Ok(())
}

/// The library of an interpreted language, with the contract that it keeps.
fn write_library(library: &'static Dir<'static>, folder: &Path) -> Result<(), Failure> {
    let target = folder.join("velum");
    for (path, bytes) in files(library) {
        write(&target.join(path), bytes)?;
    }
    write(&target.join("wit/component.wit"), COMPONENT.as_bytes())?;
    let policy = "placement/policy.wit";
    let contract = WIT
        .get_file(policy)
        .with_context(|| format!("this velum was built without {policy}"))?;
    write(&target.join("wit/deps").join(policy), contract.contents())
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
        } else if !path.starts_with("tests") {
            write(&target, bytes)?;
        }
    }
    Ok(())
}

/// Every file below a folder with its path in it.
fn files<'a>(dir: &'a Dir<'a>) -> Vec<(PathBuf, &'a [u8])> {
    let mut found: Vec<_> = dir
        .files()
        .filter(|f| f.path().components().all(|part| !is_left_over(part.as_os_str())))
        .map(|f| (f.path().to_path_buf(), f.contents()))
        .collect();
    for inner in dir.dirs() {
        found.extend(files(inner));
    }
    found
}

/// What somebody's tests in this repository left behind.
fn is_left_over(part: &std::ffi::OsStr) -> bool {
    ["__pycache__", "target", "node_modules"]
        .iter()
        .any(|name| part == *name)
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

    fn made(world: World, lang: Language) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let new = New {
            name: "green-one".into(),
            world,
            lang,
            path: dir.path().into(),
        };
        run(&new).expect("a new plugin");
        assert!(run(&new).is_err(), "a folder that is there is left alone");
        let folder = dir.path().join("green-one");
        (dir, folder)
    }

    fn read(folder: &Path, path: &str) -> String {
        std::fs::read_to_string(folder.join(path)).expect(path)
    }

    #[test]
    fn a_new_plugin_in_rust_has_all_that_it_builds_from() {
        for world in World::value_variants() {
            let (_dir, folder) = made(*world, Language::Rust);
            assert!(read(&folder, "Cargo.toml").contains("name = \"green-one\""));
            assert!(read(&folder, "plugin.toml").contains("name = \"green-one\""));
            assert!(read(&folder, ".gitignore").contains("target"));
            assert!(read(&folder, "vendor/velum/wit/placement/policy.wit").contains("interface policy"));
            let guest: Table = read(&folder, "vendor/velum/sdk/guest/Cargo.toml")
                .parse()
                .expect("a manifest");
            assert!(!guest.to_string().contains("workspace"), "{guest}");
        }
        let (_dir, folder) = made(World::HypervisorDriver, Language::Rust);
        assert!(read(&folder, "tests/driver.rs").contains("use green_one::acme"));
    }

    #[test]
    fn a_new_policy_in_an_interpreted_language_has_its_library_and_contract() {
        for (lang, policy, library) in [
            (Language::Python, "policy.py", "velum/engine.py"),
            (Language::Javascript, "policy.js", "velum/engine.js"),
        ] {
            let (_dir, folder) = made(World::PlacementPolicy, lang);
            assert!(read(&folder, "plugin.toml").contains("name = \"green-one\""));
            assert!(read(&folder, policy).contains("power_w"));
            assert!(read(&folder, library).contains("ngine"));
            assert!(read(&folder, "velum/wit/component.wit").contains("world component"));
            assert!(read(&folder, "velum/wit/deps/placement/policy.wit").contains("interface policy"));
            let opened = super::super::folder::Folder::open(&folder).expect("a plugin's folder");
            assert_eq!(opened.language, lang);
        }
    }

    #[test]
    fn drivers_are_written_in_rust() {
        let new = New {
            name: "green".into(),
            world: World::StorageProvider,
            lang: Language::Python,
            path: "/nonexistent".into(),
        };
        let Err(Failure::Usage(words)) = run(&new) else {
            panic!("it was made")
        };
        assert!(words.contains("no storage-provider in python"), "{words}");
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
