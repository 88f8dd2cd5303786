//! `velum plugin check`: whether a server would take a component, and what it asks for, in words.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::Value;
use velum_testkit::{Inspected, Limits, World};

use super::{
    file,
    ground::{Parts, sandbox},
};
use crate::{
    failure::Failure,
    session::{Output, print},
    table,
    text::{bytes, plain},
};

/// What to check.
#[derive(clap::Args, Debug)]
pub struct Check {
    /// The component, or a plugin's folder.
    #[arg(default_value = ".")]
    pub file: PathBuf,
    /// Its manifest [default: plugin.toml or NAME.toml beside the component, if it is there].
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
}

/// Runs `velum plugin check`.
pub async fn run(check: &Check, output: Output) -> Result<(), Failure> {
    let parts = parts(check)?;
    let sandbox = sandbox()?;
    let plugin = parts.install(&sandbox).await?;
    let text = describe(&plugin.inspected, &parts)?;
    print(output, &plugin.inspected, || text)
}

fn parts(check: &Check) -> Result<Parts, Failure> {
    if check.file.is_dir() {
        let parts = Parts::of_folder(&check.file, None)?;
        let manifest = check.manifest.clone().or(parts.manifest);
        return Ok(Parts { manifest, ..parts });
    }
    let settings = check.file.with_file_name("conformance.toml");
    Ok(Parts {
        folder: check.file.parent().unwrap_or(Path::new(".")).to_owned(),
        component: check.file.clone(),
        manifest: check
            .manifest
            .clone()
            .or_else(|| file::manifest_beside(&check.file)),
        settings: settings.exists().then_some(settings),
    })
}

fn describe(inspected: &Inspected, parts: &Parts) -> Result<String, Failure> {
    let manifest = &inspected.manifest;
    let mut rows: Vec<(String, String)> = Vec::new();
    let mut row = |name: &str, value: String| rows.push((name.to_owned(), plain(&value)));
    row("name", format!("{} {}", manifest.name, manifest.version));
    row("world", inspected.world.to_string());
    row("digest", inspected.digest.to_string());
    let compiled = format!(
        "{}, compiled in {} ms",
        bytes(inspected.size_bytes),
        inspected.compile_ms
    );
    row("size", compiled);
    row("imports", listed(&inspected.imports));
    row("exports", listed(&inspected.exports));
    for (name, grant) in &manifest.capabilities {
        row("asks for", in_words(name, grant));
    }
    if manifest.capabilities.is_empty() {
        row(
            "asks for",
            "no connector: it computes and nothing else".to_owned(),
        );
    }
    let limits = Limits::default()
        .of(inspected.world, &manifest.limits)
        .context("could not read the limits")?;
    row("memory", format!("at most {}", bytes(limits.memory_bytes as u64)));
    if inspected.world == World::PlacementPolicy {
        let fuel = format!("{} a call and {} a row", limits.fuel_base, limits.fuel_per_row);
        row("fuel", fuel);
    } else {
        row("at once", format!("at most {} calls", limits.calls_in_flight));
    }
    match &parts.manifest {
        Some(path) => row("manifest", path.display().to_string()),
        None => row(
            "manifest",
            "none: a server derives one that grants nothing".to_owned(),
        ),
    }
    Ok(table::pairs(&rows))
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        "nothing".to_owned()
    } else {
        names.join(", ")
    }
}

/// What a connector with this grant lets a plugin do.
fn in_words(name: &str, grant: &Value) -> String {
    match name {
        "http" => http(grant),
        "libvirt" => {
            "libvirt: the domains of the call's run on the compute host's node, within its order".to_owned()
        }
        "files" => "files: image files in the pool's directory, on its node".to_owned(),
        "state" => "state: small durable values of its own, at most 1 MiB".to_owned(),
        "secrets" => "secrets: secrets that the server makes, by name and never by value".to_owned(),
        other => other.to_owned(),
    }
}

fn http(grant: &Value) -> String {
    let words = |role: &str, grant: &Value| {
        let list = |key: &str| {
            let items = grant
                .get(key)
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default();
            let items: Vec<_> = items
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect();
            items.join(" ")
        };
        format!("{} below {} (role {role})", list("methods"), list("paths"))
    };
    let roles: Vec<String> = match grant.as_object() {
        Some(fields) if fields.contains_key("methods") => vec![words("api", grant)],
        Some(fields) => fields.iter().map(|(role, grant)| words(role, grant)).collect(),
        None => Vec::new(),
    };
    match roles.as_slice() {
        [] => "http: nothing, for no method and path is named".to_owned(),
        roles => format!("http, to the target's endpoint only: {}", roles.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_grant_is_said_in_words() {
        let api = json!({"api": {"methods": ["GET", "PUT"], "paths": ["/v1/"]}});
        assert_eq!(
            in_words("http", &api),
            "http, to the target's endpoint only: GET PUT below /v1/ (role api)"
        );
        assert!(in_words("http", &json!({})).contains("nothing"));
        assert!(in_words("http", &json!({"methods": ["GET"], "paths": ["/"]})).contains("role api"));
    }
}
