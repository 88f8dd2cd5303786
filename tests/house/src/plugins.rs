//! The first-party plugins say truly what they are.

use serde_json::Value;
use velum_model::plugin::Manifest;

use crate::files::{root, texts};

const CONNECTORS: [&str; 5] = ["http", "libvirt", "files", "state", "secrets"];

fn manifests() -> Vec<(String, Manifest)> {
    let all = texts(&["/plugin.toml"])
        .into_iter()
        .filter(|(path, _)| path.starts_with("plugins/"));
    all.map(|(path, text)| {
        let manifest = toml::from_str(&text).unwrap_or_else(|why| panic!("{path} does not parse: {why}"));
        (path, manifest)
    })
    .collect()
}

#[test]
fn every_plugin_has_a_manifest_under_its_own_name() {
    let manifests = manifests();
    let folders = std::fs::read_dir(root().join("plugins")).unwrap();
    let folders = folders.filter_map(|entry| entry.ok().filter(|entry| entry.path().is_dir()));
    for folder in folders.map(|entry| entry.file_name().into_string().unwrap()) {
        let path = format!("plugins/{folder}/plugin.toml");
        let found = manifests.iter().find(|(known, _)| *known == path);
        let (_, manifest) = found.unwrap_or_else(|| panic!("{path} is missing"));
        assert_eq!(manifest.name.as_str(), folder, "{path} gives another name");
        assert!(!manifest.description.is_empty(), "{path} has no description");
        // Drivers and providers describe themselves with their crate's version, which is the workspace's.
        assert_eq!(manifest.version, env!("CARGO_PKG_VERSION"), "{path}");
    }
}

#[test]
fn every_schema_compiles_and_refuses_what_it_does_not_know() {
    for (path, manifest) in manifests() {
        for (part, schema) in [("config", &manifest.config), ("target", &manifest.target)] {
            let Some(schema) = schema else { continue };
            let validator = jsonschema::draft202012::new(schema)
                .unwrap_or_else(|why| panic!("[{part}] of {path}: {why}"));
            jsonschema::draft202012::meta::validate(schema)
                .unwrap_or_else(|why| panic!("[{part}] of {path}: {why}"));
            let stranger = serde_json::json!({"velum-house-knows-no-such-setting": 1});
            assert!(
                !validator.is_valid(&stranger),
                "[{part}] of {path} takes any setting"
            );
            each_property_is_described(&path, part, schema);
        }
    }
}

fn each_property_is_described(path: &str, part: &str, schema: &Value) {
    let properties = schema["properties"].as_object().cloned().unwrap_or_default();
    for (name, property) in properties {
        assert!(
            property["description"].is_string(),
            "[{part}.properties.{name}] of {path} has no description"
        );
    }
}

#[test]
fn every_plugin_asks_for_connectors_that_exist() {
    for (path, manifest) in manifests() {
        for connector in manifest.capabilities.keys() {
            assert!(
                CONNECTORS.contains(&connector.as_str()),
                "{path} asks for {connector}"
            );
        }
    }
}
