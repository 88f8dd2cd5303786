//! Rust: cargo and what comes after it.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, anyhow};
use tokio::process::Command;

use crate::{
    failure::Failure,
    plugin::{build::Build, folder::Folder},
};

const TARGET: &str = "wasm32-unknown-unknown";

/// Makes the component.
pub async fn component(folder: &Folder, build: &Build) -> Result<Vec<u8>, Failure> {
    if !build.build_std {
        check_target().await?;
    }
    let module_path = compile(build, &folder.dir.join("Cargo.toml")).await?;
    let module = std::fs::read(&module_path)
        .with_context(|| format!("could not read the module {}", module_path.display()))?;
    Ok(velum_componentize::componentize(&module)
        .with_context(|| format!("could not make a component of {}", module_path.display()))?)
}

/// Whether the compiler has the standard library of the target: asked before cargo fails with less helpful words.
async fn check_target() -> Result<(), Failure> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .await
        .context("could not run rustc: install Rust (https://rustup.rs)")?;
    let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() && Path::new(&folder).is_dir() {
        return Ok(());
    }
    Err(Failure::Local(anyhow!(
        "the compiler lacks the target {TARGET}.\n  With rustup: rustup target add {TARGET}\n  Else on Debian: apt \
         install rustc-web cargo-web rust-web-src lld-19, then velum plugin build --build-std"
    )))
}

async fn compile(build: &Build, manifest: &Path) -> Result<PathBuf, Failure> {
    // As a cdylib alone, whatever else the crate is for its tests: what is a library too is linked without the optimization over all
    // crates, and a short policy then takes a quarter longer for a row.
    let output = cargo(build.build_std)
        .args([
            "rustc",
            "--release",
            "--lib",
            "--crate-type",
            "cdylib",
            "--target",
            TARGET,
            "--message-format=json-render-diagnostics",
        ])
        .arg("--manifest-path")
        .arg(manifest)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // What the compiler says goes to whoever builds, as it is said. (`output` would keep it.)
        .stderr(Stdio::inherit())
        .spawn()
        .context("could not run cargo: install Rust (https://rustup.rs)")?
        .wait_with_output()
        .await
        .context("could not wait for cargo")?;
    if !output.status.success() {
        return Err(Failure::Local(anyhow!(
            "cargo could not build the plugin (its words are above)"
        )));
    }
    let manifest = manifest
        .canonicalize()
        .context("could not resolve the plugin's folder")?;
    let lines = String::from_utf8_lossy(&output.stdout);
    let module = lines
        .lines()
        .filter_map(|line| module_of(line, &manifest))
        .next_back();
    Ok(module.ok_or_else(|| {
        anyhow!("cargo told of no module of the crate: is there a [lib] in its Cargo.toml?")
    })?)
}

fn cargo(build_std: bool) -> Command {
    if !build_std {
        return Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    }
    let mut command = Command::new("/usr/bin/cargo");
    command
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", "wasm-ld-19")
        .env("CARGO_UNSTABLE_BUILD_STD", "std,panic_abort");
    command
}

/// The module that a line of cargo's messages speaks of, when it is the one of this package.
fn module_of(line: &str, manifest: &Path) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(line).ok()?;
    if message.get("reason")?.as_str()? != "compiler-artifact" {
        return None;
    }
    if Path::new(message.get("manifest_path")?.as_str()?) != manifest {
        return None;
    }
    let files = message.get("filenames")?.as_array()?;
    files
        .iter()
        .filter_map(|f| f.as_str())
        .find(|f| f.ends_with(".wasm"))
        .map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_is_the_one_of_the_package_and_not_of_a_dependency() {
        let line = |manifest: &str, file: &str| {
            format!(r#"{{"reason":"compiler-artifact","manifest_path":"{manifest}","filenames":["{file}"]}}"#)
        };
        let manifest = Path::new("/p/Cargo.toml");
        assert_eq!(
            module_of(&line("/p/Cargo.toml", "/t/p.wasm"), manifest),
            Some("/t/p.wasm".into())
        );
        assert_eq!(module_of(&line("/d/Cargo.toml", "/t/d.wasm"), manifest), None);
        assert_eq!(module_of(&line("/p/Cargo.toml", "/t/p.rlib"), manifest), None);
        assert_eq!(module_of("not json", manifest), None);
    }
}
