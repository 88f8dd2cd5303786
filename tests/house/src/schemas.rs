//! The JSON Schemas in `config/` say what the code takes. Their bounds are compared with the code where it is: in the
//! tests of `host/server` (the configuration) and `host/runtime` (the manifest).

use std::collections::BTreeSet;

use serde_json::{Value, json};
use velum_model::plugin::{Manifest, World};

use crate::files::{root, texts};

fn schema(name: &str) -> Value {
    let path = root().join("config").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    let schema = serde_json::from_str(&text).unwrap_or_else(|why| panic!("{name} is no JSON: {why}"));
    jsonschema::draft202012::meta::validate(&schema).unwrap_or_else(|why| panic!("{name}: {why}"));
    each_is_described(name, &schema);
    schema
}

/// Everything that can be set is described and nothing else is taken.
fn each_is_described(place: &str, schema: &Value) {
    let Some(properties) = schema["properties"].as_object() else {
        return;
    };
    assert_eq!(schema["additionalProperties"], false, "{place} takes any key");
    for (name, property) in properties {
        let place = format!("{place}/{name}");
        let description = property["description"].as_str().or_else(|| {
            let definition = property["$ref"].as_str()?.strip_prefix("#/$defs/")?;
            (definition == "http").then_some("described where it is defined")
        });
        assert!(description.is_some(), "{place} has no description");
        each_is_described(&place, property);
    }
}

fn keys(value: &Value) -> BTreeSet<&str> {
    let keys = value.as_object().into_iter().flat_map(|object| object.keys());
    keys.map(String::as_str).collect()
}

fn assert_valid(schema: &Value, path: &str, text: &str) {
    let value: Value = toml::from_str(text).unwrap_or_else(|why| panic!("{path} does not parse: {why}"));
    let validator = jsonschema::draft202012::new(schema).unwrap();
    let problems: Vec<String> = validator
        .iter_errors(&value)
        .map(|problem| format!("{}: {problem}", problem.instance_path()))
        .collect();
    assert!(problems.is_empty(), "{path}:\n{}", problems.join("\n"));
}

#[test]
fn the_schema_of_a_manifest_takes_every_manifest_of_ours() {
    let schema = schema("plugin.schema.json");
    let all = texts(&["/plugin.toml"]);
    assert!(all.len() > 7, "plugins and skeletons");
    for (path, text) in all {
        assert_valid(&schema, &path, &text);
    }
}

#[test]
fn the_schema_of_a_manifest_has_the_fields_of_its_type() {
    let schema = schema("plugin.schema.json");
    let minimal = json!({"name": "a", "version": "0.1.0", "world": "placement-policy"});
    let manifest: Manifest = serde_json::from_value(minimal.clone()).unwrap();
    let whole = serde_json::to_value(&manifest).unwrap();
    assert_eq!(keys(&schema["properties"]), keys(&whole));
    let required: Vec<&str> = keys(&whole)
        .into_iter()
        .filter(|field| {
            let mut without = whole.clone();
            without.as_object_mut().unwrap().remove(*field);
            serde_json::from_value::<Manifest>(without).is_err()
        })
        .collect();
    let declared: BTreeSet<&str> = schema["required"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(declared, required.into_iter().collect());
    assert_eq!(declared, keys(&minimal));

    let worlds = [
        World::PlacementPolicy,
        World::HypervisorDriver,
        World::StorageProvider,
    ];
    // A world that is added must be added above.
    for world in worlds {
        match world {
            World::PlacementPolicy | World::HypervisorDriver | World::StorageProvider => {}
        }
    }
    let worlds: Vec<Value> = worlds.iter().map(|world| json!(world.as_str())).collect();
    assert_eq!(schema["properties"]["world"]["enum"], Value::Array(worlds));
}

/// `Config` has a field for each setting of `config/default.toml` and no other: each is required there, and an unknown
/// one refused (the tests of `host/server`). So the defaults' keys are the type's.
#[test]
fn the_schema_of_the_configuration_has_every_setting_as_the_defaults_say_it() {
    let schema = schema("velumd.schema.json");
    let text = std::fs::read_to_string(root().join("config/default.toml")).unwrap();
    assert_valid(&schema, "config/default.toml", &text);
    let defaults: Value = toml::from_str(&text).unwrap();
    let mut comment = Vec::new();
    let mut table = String::new();
    let mut settings = BTreeSet::new();
    for line in text.lines() {
        if let Some(words) = line.strip_prefix('#') {
            comment.push(words.trim());
        } else if let Some((name, _)) = line.split_once('=') {
            let place = format!("{table}/{}", name.trim());
            let of_schema = schema.pointer(&place.replace('/', "/properties/"));
            let of_schema = of_schema.unwrap_or_else(|| panic!("config/velumd.schema.json lacks {place}"));
            assert_eq!(of_schema["description"], comment.join(" "), "{place}");
            assert_eq!(Some(&of_schema["default"]), defaults.pointer(&place), "{place}");
            settings.insert(place);
            comment.clear();
        } else {
            comment.clear();
            if let Some(name) = line.strip_prefix('[') {
                table = format!("/{}", name.trim_end_matches(']'));
            }
        }
    }
    assert_eq!(
        leaves("", &schema),
        settings,
        "the schema has settings that are none"
    );
}

/// The places of everything that can be set.
fn leaves(place: &str, schema: &Value) -> BTreeSet<String> {
    let Some(properties) = schema["properties"].as_object() else {
        return [place.to_owned()].into();
    };
    let below = properties.iter();
    below
        .flat_map(|(name, property)| leaves(&format!("{place}/{name}"), property))
        .collect()
}

#[test]
fn an_unknown_setting_is_refused_by_the_schema() {
    let schema = schema("velumd.schema.json");
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    assert!(validator.is_valid(&json!({"lease": {"ms": 700}})));
    assert!(!validator.is_valid(&json!({"lease": {"millis": 700}})));
    assert!(!validator.is_valid(&json!({"colour": "red"})));
    assert!(!validator.is_valid(&json!({"lease": {"ms": 499}})));
}
