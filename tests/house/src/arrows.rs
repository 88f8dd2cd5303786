//! Which crate may know which. The arrows all point one way; a crate that needs another one has a place of its own.

use std::{collections::BTreeMap, path::Path};

use cargo_metadata::{DependencyKind, MetadataCommand};

use crate::{exceptions, files::root};

/// What a crate may know, by folder.
const ARROWS: [(&str, &[&str]); 20] = [
    ("host/model", &[]),
    ("host/bundle", &["host/model"]),
    ("host/placement", &["host/model"]),
    ("host/store", &["host/model"]),
    ("host/connector", &["host/model"]),
    ("host/operation", &["host/placement", "host/store", "host/model"]),
    (
        "host/service",
        &[
            "host/placement",
            "host/store",
            "host/operation",
            "host/bundle",
            "host/model",
        ],
    ),
    ("host/wire", &[]),
    ("host/api", &["host/service", "host/model", "host/wire"]),
    ("host/runtime", &["host/connector", "host/model"]),
    ("host/node", &["host/connector", "host/model"]),
    ("host/console", &[]),
    ("host/sim", &[]),
    (
        "host/server",
        &[
            "host/model",
            "host/placement",
            "host/store",
            "host/operation",
            "host/service",
            "host/wire",
            "host/api",
            "host/runtime",
            "host/connector",
            "host/console",
        ],
    ),
    ("sdk/guest", &[]),
    ("sdk/componentize", &[]),
    ("sdk/client", &["host/wire"]),
    (
        "sdk/testkit",
        &[
            "host/runtime",
            "host/placement",
            "host/connector",
            "host/bundle",
            "host/model",
        ],
    ),
    ("sdk/cli", &["sdk/client", "sdk/testkit", "host/bundle"]),
    ("plugins/", &["sdk/guest"]),
];

/// Who may know what only tests may: crates in `tests/` know everything, and nobody knows them.
fn allowed(from: &str) -> Option<&'static [&'static str]> {
    let fits = |folder: &str| {
        if folder.ends_with('/') {
            from.starts_with(folder)
        } else {
            from == folder
        }
    };
    ARROWS.iter().find(|(folder, _)| fits(folder)).map(|(_, to)| *to)
}

/// Crates of the workspace by folder, with the folders of ours that they depend on; `true` for a dependency of tests alone.
fn known() -> BTreeMap<String, Vec<(String, bool)>> {
    let top = root();
    let metadata = MetadataCommand::new()
        .manifest_path(top.join("Cargo.toml"))
        .no_deps()
        .exec();
    let folder = |path: &Path| {
        path.strip_prefix(&top)
            .ok()
            .map(|path| path.to_string_lossy().into_owned())
    };
    let packages = metadata.expect("cargo metadata answers").packages;
    packages
        .iter()
        .map(|package| {
            let own = folder(
                package
                    .manifest_path
                    .parent()
                    .expect("a manifest has a folder")
                    .as_std_path(),
            );
            let to = package.dependencies.iter().filter_map(|dependency| {
                let path = folder(dependency.path.as_ref()?.as_std_path())?;
                Some((path, dependency.kind == DependencyKind::Development))
            });
            (own.expect("a member lies in the repository"), to.collect())
        })
        .collect()
}

#[test]
fn arrows_between_crates_point_one_way() {
    let mut exceptions = exceptions::read().arrow;
    let mut wrong = Vec::new();
    for (from, known) in known() {
        if from.starts_with("tests/") {
            continue;
        }
        let Some(allowed) = allowed(&from) else {
            wrong.push(format!("{from} has no place among the arrows"));
            continue;
        };
        for (to, is_for_tests) in known {
            let before = exceptions.len();
            exceptions.retain(|exception| exception.from != from || exception.to != to);
            let is_excepted = exceptions.len() < before;
            let is_fine =
                allowed.contains(&to.as_str()) || is_excepted || (is_for_tests && !to.starts_with("tests/"));
            if !is_fine {
                wrong.push(format!("{from} must not know {to}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        exceptions.is_empty(),
        "these exceptions are not needed any more: {exceptions:?}"
    );
}

#[test]
fn only_the_node_links_libvirt_and_only_the_store_knows_sql() {
    let top = root();
    let metadata = MetadataCommand::new()
        .manifest_path(top.join("Cargo.toml"))
        .no_deps()
        .exec();
    for package in metadata.expect("cargo metadata answers").packages {
        let path = package.manifest_path.as_str().to_owned();
        for dependency in package
            .dependencies
            .iter()
            .filter(|dependency| dependency.kind != DependencyKind::Development)
        {
            let owner = match dependency.name.as_str() {
                "virt" | "virt-sys" => "host/node",
                "sqlx" => "host/store",
                "wasmtime" => "host/runtime",
                _ => continue,
            };
            assert!(
                path.contains(owner) || path.contains("/tests/"),
                "{path} depends on {}",
                dependency.name
            );
        }
    }
}
