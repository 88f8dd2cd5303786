//! `velum plugin build`: a component out of a folder, whatever it is written in, without the toolchains' flags.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use wit_component::DecodedWasm;

use super::{folder::Folder, language};
use crate::{
    failure::Failure,
    session::write_out,
    text::{bytes, count},
};

/// What to build.
#[derive(clap::Args, Debug)]
pub struct Build {
    /// The plugin's folder.
    #[arg(default_value = ".")]
    pub dir: PathBuf,
    /// Where the component goes [default: NAME.wasm in the folder].
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Rust: builds the standard library too, for a compiler without the Wasm target (Debian: rustc-web cargo-web
    /// rust-web-src lld-19).
    #[arg(long)]
    pub build_std: bool,
}

/// Runs `velum plugin build`.
pub async fn run(build: &Build) -> Result<(), Failure> {
    let folder = Folder::open(&build.dir)?;
    let component = language::component(&folder, build).await?;
    let about = describe(&component, folder.about.world.as_str())?;
    let out = build.out.clone().unwrap_or_else(|| folder.component());
    std::fs::write(&out, &component).with_context(|| format!("could not write {}", out.display()))?;
    let shown = out.strip_prefix(".").unwrap_or(&out);
    write_out(&format!(
        "built {} ({})\n{about}",
        shown.display(),
        bytes(component.len() as u64)
    ))
}

/// World and imports of a component.
fn describe(component: &[u8], wanted: &str) -> Result<String, Failure> {
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
    let found = world_of(&exports);
    if found != Some(wanted) {
        let found = found.map_or_else(
            || format!("it exports none of Velum's interfaces ({})", exports.join(", ")),
            |found| format!("it exports {found}"),
        );
        return Err(Failure::Local(anyhow!(
            "plugin.toml says that this is a {wanted}, and what was built is not: {found}"
        )));
    }
    let mut text = format!("world    {wanted}\n");
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

fn world_of(exports: &[String]) -> Option<&'static str> {
    let has = |interface: &str| exports.iter().any(|e| e.starts_with(interface));
    [
        ("velum:placement/policy", "placement-policy"),
        ("velum:hypervisor/driver", "hypervisor-driver"),
        ("velum:storage/provider", "storage-provider"),
    ]
    .into_iter()
    .find(|(interface, _)| has(interface))
    .map(|(_, world)| world)
}
