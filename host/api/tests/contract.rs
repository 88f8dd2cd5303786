//! The contract: fresh, complete, and without two things of one name.

#![expect(
    clippy::expect_used,
    reason = "a contract that does not read is a failed test"
)]

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

fn contract() -> Value {
    serde_json::to_value(velum_api::openapi()).expect("the contract is JSON")
}

fn operations(contract: &Value) -> Vec<(String, String, &Value)> {
    let mut all = Vec::new();
    for (path, item) in contract["paths"].as_object().expect("paths") {
        for (verb, operation) in item.as_object().expect("an item") {
            all.push((verb.clone(), path.clone(), operation));
        }
    }
    all
}

/// Every `$ref` in a tree.
fn references(node: &Value, found: &mut BTreeSet<String>) {
    match node {
        Value::Object(map) => {
            if let Some(Value::String(reference)) = map.get("$ref") {
                found.insert(reference.clone());
            }
            map.values().for_each(|child| references(child, found));
        }
        Value::Array(list) => list.iter().for_each(|child| references(child, found)),
        _ => {}
    }
}

#[test]
fn openapi_is_fresh() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
    let now = velum_api::openapi()
        .to_pretty_json()
        .expect("the contract is JSON")
        + "\n";
    if std::env::var_os("VELUM_BLESS").is_some() {
        std::fs::write(path, &now).expect("openapi.json can be written");
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        kept == now,
        "openapi.json is stale: VELUM_BLESS=1 cargo nextest run -p velum-api openapi_is_fresh"
    );
}

#[test]
fn every_collection_of_the_model_is_there() {
    let contract = contract();
    assert_eq!(contract["openapi"], "3.1.0");
    let collections = "zones pods clusters compute-hosts storage-pools image-stores ip-ranges ip-addresses networks nics \
        compute-offerings disk-offerings network-offerings templates instances volumes operations orphans events decisions \
        plugins policies";
    for collection in collections.split_whitespace() {
        let list = &contract["paths"][format!("/v1/{collection}")]["get"];
        assert!(list.is_object(), "GET /v1/{collection}");
        if collection != "events" {
            let one = &contract["paths"][format!("/v1/{collection}/{{id}}")]["get"];
            assert!(one.is_object(), "GET /v1/{collection}/{{id}}");
        }
    }
}

#[test]
fn no_two_operations_and_no_two_schemas_have_one_name() {
    let contract = contract();
    let mut names = BTreeSet::new();
    for (verb, path, operation) in operations(&contract) {
        let name = operation["operationId"]
            .as_str()
            .expect("an operation id")
            .to_owned();
        assert!(names.insert(name.clone()), "{name} twice, at {verb} {path}");
    }
    // Two types of one name would have overwritten each other: every type of the wire must be found in its own shape.
    let schemas = contract["components"]["schemas"].as_object().expect("schemas");
    let mut by_shape: BTreeMap<String, &String> = BTreeMap::new();
    for (name, schema) in schemas.iter().filter(|(name, _)| name.ends_with("View")) {
        let shape = schema["properties"].to_string() + schema["description"].as_str().unwrap_or_default();
        if let Some(other) = by_shape.insert(shape, name) {
            panic!("{name} and {other} are the same");
        }
    }
    assert!(schemas.len() > 60, "only {} schemas", schemas.len());
}

/// Every schema that must be all of several others.
fn all_of<'a>(node: &'a Value, found: &mut Vec<&'a Value>) {
    match node {
        Value::Object(map) => {
            found.extend(map.get("allOf"));
            map.values().for_each(|child| all_of(child, found));
        }
        Value::Array(list) => list.iter().for_each(|child| all_of(child, found)),
        _ => {}
    }
}

#[test]
fn nothing_must_be_of_two_types_at_once() {
    let contract = contract();
    let mut found = Vec::new();
    all_of(&contract, &mut found);
    for all in found {
        let types: BTreeSet<String> = all
            .as_array()
            .expect("a list of schemas")
            .iter()
            .filter_map(|schema| schema.get("type"))
            .map(Value::to_string)
            .collect();
        assert!(types.len() < 2, "{all}");
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let contract = contract();
    let mut found = BTreeSet::new();
    references(&contract, &mut found);
    for reference in found {
        let pointer = reference.trim_start_matches('#');
        assert!(contract.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

#[test]
fn every_operation_says_what_it_answers() {
    let contract = contract();
    for (verb, path, operation) in operations(&contract) {
        let answers = operation["responses"].as_object().expect("answers");
        assert!(
            answers
                .keys()
                .any(|status| status.starts_with('2') || status == "101"),
            "{verb} {path}"
        );
        assert!(!answers.contains_key("500"), "{verb} {path}");
        let is_open = matches!(path.as_str(), "/healthz" | "/readyz");
        for status in ["400", "401", "404", "429", "503"] {
            assert!(
                is_open || answers.contains_key(status),
                "{verb} {path} lacks {status}"
            );
        }
        if path.starts_with("/v1/") && verb == "post" {
            for status in ["409", "413", "415", "422"] {
                assert!(answers.contains_key(status), "{verb} {path} lacks {status}");
            }
            let parameters = operation["parameters"].to_string();
            // A secret that is shown once is not kept for a second answer.
            let is_secret = ["/v1/node-tokens", "/v1/nodes:enroll"].contains(&path.as_str());
            assert_eq!(
                parameters.contains("Idempotency-Key"),
                !is_secret,
                "{verb} {path}"
            );
        }
        assert!(operation["summary"].is_string(), "{verb} {path} has no summary");
    }
}

#[test]
fn bodies_refuse_what_they_do_not_know() {
    let contract = contract();
    for (name, schema) in contract["components"]["schemas"].as_object().expect("schemas") {
        if name.ends_with("Body") {
            assert_eq!(schema["additionalProperties"], false, "{name}");
        }
    }
}
