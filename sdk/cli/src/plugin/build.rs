//! `velum plugin build`: cargo and what comes after it, without its flags.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, anyhow};
use tokio::process::Command;
use wit_component::DecodedWasm;

use crate::{
    failure::Failure,
    session::write_out,
    text::{bytes, count},
};

const TARGET: &str = "wasm32-unknown-unknown";

/// What to build.
#[derive(clap::Args, Debug)]
pub struct Build {
    /// The plugin's folder.
    #[arg(default_value = ".")]
    pub dir: PathBuf,
    /// Where the component goes [default: NAME.wasm in the folder].
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Builds the standard library too, for a compiler without the Wasm target (Debian: rustc-web cargo-web
    /// rust-web-src lld-19).
    #[arg(long)]
    pub build_std: bool,
}

/// Runs `velum plugin build`.
pub async fn run(build: &Build) -> Result<(), Failure> {
    let manifest = build.dir.join("Cargo.toml");
    let name = package_name(&manifest)?;
    if !build.build_std {
        check_target().await?;
    }
    let module_path = compile(build, &manifest).await?;
    let module = std::fs::read(&module_path)
        .with_context(|| format!("could not read the module {}", module_path.display()))?;
    let component = velum_componentize::componentize(&module)
        .with_context(|| format!("could not make a component of {}", module_path.display()))?;
    let about = describe(&component)?;
    let out = build
        .out
        .clone()
        .unwrap_or_else(|| component_of(&build.dir, &name));
    std::fs::write(&out, &component).with_context(|| format!("could not write {}", out.display()))?;
    write_out(&format!(
        "built {} ({})\n{about}",
        out.display(),
        bytes(component.len() as u64)
    ))
}

/// Where the component of the plugin in a folder lies.
pub(super) fn component_of(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.wasm"))
}

pub(super) fn package_name(manifest: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(manifest)
        .with_context(|| format!("{} is no plugin's folder: could not read it", manifest.display()))?;
    let table: toml::Table = text
        .parse()
        .with_context(|| format!("{} does not parse", manifest.display()))?;
    let name = table
        .get("package")
        .and_then(|p| p.get("name"))
        .and_then(toml::Value::as_str);
    Ok(name
        .ok_or_else(|| anyhow!("{} names no package", manifest.display()))?
        .to_owned())
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
    let output = cargo(build.build_std)
        .args([
            "build",
            "--release",
            "--lib",
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
        anyhow!("the crate makes no module: it needs crate-type = [\"cdylib\"] under [lib]")
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

/// World and imports of a component.
fn describe(component: &[u8]) -> Result<String, Failure> {
    let decoded = wit_component::decode(component).context("could not read the component back")?;
    let DecodedWasm::Component(resolve, world) = decoded else {
        return Err(Failure::Local(anyhow!("what was built is no component")));
    };
    let world = resolve.worlds.get(world).context("the component has no world")?;
    let exports: Vec<String> = world
        .exports
        .keys()
        .map(|key| resolve.name_world_key(key))
        .collect();
    let imports: Vec<String> = world
        .imports
        .keys()
        .map(|key| resolve.name_world_key(key))
        .collect();
    let mut text = format!("world    {}\n", world_of(&exports));
    text.push_str(&format!("exports  {}\n", exports.join(", ")));
    match imports.as_slice() {
        [] => text.push_str("imports  nothing\n"),
        some => text.push_str(&format!(
            "imports  {} ({})\n",
            some.join(", "),
            count(some.len() as u64, "interface", "interfaces")
        )),
    }
    Ok(text)
}

fn world_of(exports: &[String]) -> &'static str {
    let has = |interface: &str| exports.iter().any(|e| e.starts_with(interface));
    match () {
        () if has("velum:placement/policy") => "placement-policy",
        () if has("velum:hypervisor/driver") => "hypervisor-driver",
        () if has("velum:storage/provider") => "storage-provider",
        () => "none of Velum's: it exports no interface that the server calls",
    }
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
