//! `plugin.toml`: read field by field, so that a refusal names the field.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::Value;
use velum_model::{
    name::Name,
    plugin::{Digest, Manifest, World},
    port::plugins::PluginRefused,
};

use crate::{grant::http, limits::Limits};

/// Connectors that a world may ask for; `log` is granted to everyone.
pub const fn connectors(world: World) -> &'static [&'static str] {
    match world {
        World::PlacementPolicy => &[],
        World::HypervisorDriver => &["http", "libvirt", "state"],
        World::StorageProvider => &["http", "files", "state", "secrets"],
    }
}

/// Reads and checks the text of a `plugin.toml`.
///
/// # Errors
/// [`PluginRefused::Manifest`] names the field.
pub fn parse(text: &str, limits: &Limits) -> Result<Manifest, PluginRefused> {
    let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
    if length > limits.manifest_bytes {
        return Err(refused(
            "plugin.toml",
            format!("has {length} bytes; {} are allowed", limits.manifest_bytes),
        ));
    }
    let mut table: toml::Table = toml::from_str(text).map_err(|error| {
        let line = error
            .span()
            .map_or(0, |span| text[..span.start.min(text.len())].lines().count());
        refused(
            "plugin.toml",
            format!("line {line} is not TOML: {}", error.message()),
        )
    })?;
    let manifest = Manifest {
        name: required::<Name>(&mut table, "name")?,
        version: required::<String>(&mut table, "version")?,
        world: required::<World>(&mut table, "world")?,
        description: optional(&mut table, "description")?.unwrap_or_default(),
        capabilities: optional(&mut table, "capabilities")?.unwrap_or_default(),
        config: optional(&mut table, "config")?,
        target: optional(&mut table, "target")?,
        limits: optional(&mut table, "limits")?.unwrap_or_default(),
    };
    if let Some(unknown) = table.keys().next() {
        return Err(refused(
            unknown,
            "is not known; there are name, version, world, description, capabilities, config, target, limits"
                .to_owned(),
        ));
    }
    check(&manifest, limits)?;
    Ok(manifest)
}

/// The manifest of a component that came without one: every connector that it imports is asked for, with nothing granted
/// inside it.
#[must_use]
pub fn derived(digest: &Digest, world: World, imported: &[&str]) -> Manifest {
    let short: String = digest.hex().chars().take(12).collect();
    let name = Name::new(format!("plugin-{short}"));
    Manifest {
        // The digits of a digest make a name; the other branch cannot be reached and is still an answer.
        name: name.unwrap_or_else(|_| fallback_name()),
        version: "0.0.0".to_owned(),
        world,
        description: String::new(),
        capabilities: imported
            .iter()
            .map(|name| ((*name).to_owned(), Value::Object(serde_json::Map::new())))
            .collect(),
        config: None,
        target: None,
        limits: BTreeMap::new(),
    }
}

#[expect(clippy::expect_used, reason = "a constant that the name's rules accept")]
fn fallback_name() -> Name {
    Name::new("plugin").expect("a name")
}

fn check(manifest: &Manifest, limits: &Limits) -> Result<(), PluginRefused> {
    if !is_version(&manifest.version) {
        return Err(refused(
            "version",
            format!("'{}' is not MAJOR.MINOR.PATCH", printable(&manifest.version)),
        ));
    }
    if manifest.description.len() > 500 || manifest.description.chars().any(char::is_control) {
        return Err(refused(
            "description",
            "is one line of at most 500 bytes".to_owned(),
        ));
    }
    let allowed = connectors(manifest.world);
    for (connector, value) in &manifest.capabilities {
        let field = format!("capabilities.{connector}");
        if !allowed.contains(&connector.as_str()) {
            return Err(refused(
                &field,
                format!("the world {} has {}", manifest.world, listed(allowed)),
            ));
        }
        if !value.is_object() {
            return Err(refused(&field, "is a table".to_owned()));
        }
        if connector == "http" {
            http::check_grant(value).map_err(|(field, problem)| refused(&field, problem))?;
        }
    }
    limits.of(manifest.world, &manifest.limits)?;
    for (field, schema) in [("config", &manifest.config), ("target", &manifest.target)] {
        if let Some(schema) = schema {
            jsonschema::validator_for(schema)
                .map_err(|error| refused(field, format!("is not a JSON Schema: {error}")))?;
        }
    }
    Ok(())
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() {
        "no connectors".to_owned()
    } else {
        format!("only the connectors {}", names.join(", "))
    }
}

/// `1.2.3`, with what semantic versioning allows behind it.
fn is_version(text: &str) -> bool {
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let parts: Vec<_> = core.split('.').collect();
    text.len() <= 64
        && parts.len() == 3
        && parts.iter().all(|part| part.parse::<u32>().is_ok())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'+'))
}

fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}

fn required<T: DeserializeOwned>(table: &mut toml::Table, key: &str) -> Result<T, PluginRefused> {
    optional(table, key)?.ok_or_else(|| refused(key, "is missing".to_owned()))
}

fn optional<T: DeserializeOwned>(table: &mut toml::Table, key: &str) -> Result<Option<T>, PluginRefused> {
    table
        .remove(key)
        .map(|value| value.try_into::<T>())
        .transpose()
        .map_err(|error| refused(key, error.message().to_owned()))
}

fn refused(field: &str, problem: String) -> PluginRefused {
    PluginRefused::Manifest {
        field: printable(field),
        problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field_of(text: &str) -> String {
        match parse(text, &Limits::default()) {
            Err(PluginRefused::Manifest { field, .. }) => field,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_whole_manifest_is_read() {
        let text = r#"
            name = "storage-sim"
            version = "0.1.0"
            world = "storage-provider"
            description = "An array that is not there."
            [capabilities.http.api]
            methods = ["GET"]
            paths = ["/pools/"]
            [target]
            type = "object"
            [limits]
            memory-mib = 16
        "#;
        let manifest = parse(text, &Limits::default()).unwrap();
        assert_eq!(manifest.name.as_str(), "storage-sim");
        assert_eq!(manifest.capabilities["http"]["api"]["methods"][0], "GET");
        assert_eq!(manifest.target.unwrap()["type"], "object");
    }

    #[test]
    fn a_manifest_that_does_not_fit_is_refused_by_its_field() {
        let head = "name = \"a\"\nversion = \"0.1.0\"\nworld = \"placement-policy\"\n";
        assert_eq!(field_of("name = "), "plugin.toml");
        assert_eq!(
            field_of("version = \"0.1.0\"\nworld = \"placement-policy\""),
            "name"
        );
        assert_eq!(
            field_of("name = \"-a\"\nversion = \"0.1.0\"\nworld = \"placement-policy\""),
            "name"
        );
        assert_eq!(
            field_of("name = \"a\"\nversion = \"1\"\nworld = \"placement-policy\""),
            "version"
        );
        assert_eq!(
            field_of("name = \"a\"\nversion = \"1.0.0\"\nworld = \"toaster\""),
            "world"
        );
        assert_eq!(field_of(&format!("{head}colour = 1")), "colour");
        assert_eq!(
            field_of(&format!("{head}[capabilities.http]")),
            "capabilities.http"
        );
        assert_eq!(field_of(&format!("{head}[limits]\ncores = 2")), "limits.cores");
        assert_eq!(field_of(&format!("{head}[config]\ntype = \"shoe\"")), "config");
    }

    #[test]
    fn the_schema_of_a_manifest_takes_and_refuses_what_the_code_does() {
        let schema: Value =
            serde_json::from_str(include_str!("../../../../config/plugin.schema.json")).unwrap();
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        let limits = Limits::default();
        let agree = |text: &str, is_good: bool| {
            let value: Value = toml::from_str(text).unwrap();
            assert_eq!(parse(text, &limits).is_ok(), is_good, "the code: {text}");
            assert_eq!(validator.is_valid(&value), is_good, "the schema: {text}");
        };
        let head = |world: World| format!("name = \"a\"\nversion = \"0.1.0\"\nworld = \"{world}\"\n");
        let policy = head(World::PlacementPolicy);
        agree(&policy, true);
        agree(&policy.replace("0.1.0", "1.2.3-rc.1+x"), true);
        agree(&policy.replace("0.1.0", "1.2"), false);
        agree(&policy.replace("\"a\"", "\"-a\""), false);
        agree(&policy.replace("placement-policy", "toaster"), false);
        agree(&policy.replace("name = \"a\"", ""), false);
        agree(&format!("{policy}colour = 1"), false);
        agree(&format!("{policy}[config]\ntype = \"object\""), true);
        agree(&format!("{policy}[config]\ntype = \"shoe\""), false);

        let keys = schema["properties"]["limits"]["properties"].as_object().unwrap();
        assert_eq!(keys.len(), 4, "the code's keys are as many");
        for (key, bounds) in keys {
            let with = |value: u64| format!("{policy}[limits]\n{key} = {value}");
            let most = bounds["maximum"].as_u64().unwrap();
            agree(&with(1), true);
            agree(&with(most), true);
            agree(&with(0), false);
            agree(&with(most + 1), false);
        }
        agree(&format!("{policy}[limits]\ncores = 1"), false);

        let whole = [
            World::PlacementPolicy,
            World::HypervisorDriver,
            World::StorageProvider,
        ];
        for world in whole {
            for connector in ["http", "libvirt", "files", "state", "secrets", "toast"] {
                let text = format!("{}[capabilities.{connector}]", head(world));
                agree(&text, connectors(world).contains(&connector));
            }
        }
        let driver = head(World::HypervisorDriver);
        let both = "methods = [\"GET\"]\npaths = [\"/v1/\"]";
        agree(&format!("{driver}[capabilities.http]\n{both}"), true);
        agree(&format!("{driver}[capabilities.http.api]\n{both}"), true);
        agree(
            &format!("{driver}[capabilities.http]\nmethods = [\"GET\"]"),
            false,
        );
        agree(
            &format!("{driver}[capabilities.http.api]\npaths = [\"/\"]"),
            false,
        );
        let odd = both.replace("GET", "BREW");
        agree(&format!("{driver}[capabilities.http.api]\n{odd}"), false);
        let odd = both.replace("/v1/", "v1");
        agree(&format!("{driver}[capabilities.http.api]\n{odd}"), false);
    }
}
