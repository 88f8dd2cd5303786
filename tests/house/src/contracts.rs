//! Contract files: the WIT packages, and the description of the HTTP API.

use wit_parser::{Resolve, UnresolvedPackageGroup};

use crate::files::root;

/// The packages, each after those that it uses.
const PACKAGES: [&str; 5] = ["common", "connect", "hypervisor", "storage", "placement"];

fn contracts() -> Resolve {
    let mut resolve = Resolve::default();
    for name in PACKAGES {
        let path = root().join("wit").join(name);
        let group =
            UnresolvedPackageGroup::parse_dir(&path).unwrap_or_else(|why| panic!("wit/{name}: {why:#}"));
        resolve
            .push_group(group)
            .unwrap_or_else(|why| panic!("wit/{name}: {why:?}"));
    }
    resolve
}

#[test]
fn every_contract_parses_and_is_documented() {
    let resolve = contracts();
    let mut silent = Vec::new();
    for (_, interface) in resolve.interfaces.iter() {
        let name = interface.name.clone().unwrap_or_default();
        if interface.docs.contents.is_none() {
            silent.push(name.clone());
        }
        let functions = interface
            .functions
            .values()
            .filter(|function| function.docs.contents.is_none());
        silent.extend(functions.map(|function| format!("{name}.{}", function.name)));
    }
    assert!(silent.is_empty(), "these are not documented: {silent:?}");
}

#[test]
fn a_released_contract_is_frozen_beside_it() {
    // Until a package is released there is nothing to compare; from then on its text must stay.
    let frozen = root().join("wit/frozen");
    let Ok(entries) = std::fs::read_dir(frozen) else {
        return;
    };
    for entry in entries.filter_map(Result::ok) {
        let path = entry.path();
        UnresolvedPackageGroup::parse_dir(&path).unwrap_or_else(|why| panic!("{}: {why:#}", path.display()));
    }
}

/// `host/api` compares the text with its routes; here only that the file is there and is of the kind that it says.
#[test]
fn the_description_of_the_api_is_kept_beside_it() {
    let text = std::fs::read_to_string(root().join("host/api/openapi.json"))
        .expect("host/api/openapi.json is there");
    let api: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    assert!(
        api["openapi"]
            .as_str()
            .is_some_and(|version| version.starts_with("3.1")),
        "it is OpenAPI 3.1"
    );
    let fresh = "openapi_is_fresh";
    let test = std::fs::read_to_string(root().join("host/api/tests/contract.rs")).unwrap_or_default();
    assert!(test.contains(fresh), "the test {fresh} of host/api is gone");
}
