//! What is admitted, and what a refusal says.

use std::{fs, time::Duration};

use velum_model::{
    plugin::World,
    port::plugins::{PluginRefused, Plugins},
};

use crate::{
    bench::{Bench, DRIVER_TOML, no_config},
    guests::{Dialect, PolicyText, driver},
};

#[tokio::test]
async fn a_policy_is_installed_kept_and_loaded_by_the_next_process() {
    let mut bench = Bench::new();
    let bytes = PolicyText::default().component();
    let first = bench.install(bytes.clone()).await.unwrap();
    assert_eq!(first.world, World::PlacementPolicy);
    assert_eq!(first.exports, ["velum:placement/policy@0.1.0"]);
    assert!(first.imports.is_empty(), "{:?}", first.imports);
    assert!(first.manifest.name.as_str().starts_with("plugin-"));
    // The next process has no compiler: what was kept is enough.
    bench.compile_command = vec!["/nonexistent".into()];
    let runtime = bench.start();
    assert!(matches!(
        runtime.policy(&first.digest, &no_config()),
        Err(PluginRefused::NotLoaded(_))
    ));
    assert_eq!(runtime.load(&first.digest).await.unwrap(), first);
    assert!(runtime.policy(&first.digest, &no_config()).is_ok());
    assert_eq!(
        runtime.install(bytes, None).await.unwrap(),
        first,
        "the same bytes again"
    );
    runtime.remove(&first.digest).await.unwrap();
    assert!(matches!(
        runtime.load(&first.digest).await,
        Err(PluginRefused::NotLoaded(_))
    ));
    let left: Vec<_> = fs::read_dir(bench.plugins())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name != "key" && name != "state" && name != "secrets")
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_forbidden_import_is_named() {
    let text = PolicyText {
        imports: r#"(import "wasi:clocks/wall@0.1.0" "now" (func (result i64)))"#,
        ..PolicyText::default()
    };
    let dialect = Dialect {
        package: Some(
            "package test:worlds; world sneaky { import wasi:clocks/wall@0.1.0; export velum:placement/policy@0.1.0; }
             package wasi:clocks@0.1.0 { interface wall { now: func() -> u64; } }",
        ),
        ..Dialect::of("sneaky")
    };
    let refused = Bench::new()
        .install(dialect.component(&text.text()))
        .await
        .unwrap_err();
    let PluginRefused::ForbiddenImport { import, world } = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(
        (import.as_str(), world.as_str()),
        ("wasi:clocks/wall@0.1.0", "placement-policy")
    );
}

#[tokio::test]
async fn a_policy_may_not_reach_out_even_through_our_own_connectors() {
    let text = PolicyText {
        imports: r#"(import "velum:connect/state@0.1.0" "get" (func (param i32 i32 i32)))"#,
        ..PolicyText::default()
    };
    let dialect = Dialect {
        package: Some(
            "package test:worlds; world sneaky { import velum:connect/state@0.1.0; export velum:placement/policy@0.1.0; }",
        ),
        ..Dialect::of("sneaky")
    };
    let refused = Bench::new()
        .install(dialect.component(&text.text()))
        .await
        .unwrap_err();
    assert!(
        matches!(&refused, PluginRefused::ForbiddenImport { import, .. } if import == "velum:connect/state@0.1.0"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn an_export_of_another_type_is_named_down_to_its_field() {
    let dialect = Dialect {
        changes: vec![("scale: s8", "scale: s16")],
        ..Dialect::of("placement-policy")
    };
    let bytes = dialect.component(&PolicyText::default().text());
    let refused = Bench::new().install(bytes).await.unwrap_err();
    let PluginRefused::WrongExport { field, problem, .. } = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(
        field,
        "velum:placement/policy@0.1.0 describe.(result).columns[].scale"
    );
    assert_eq!(problem, "it is s16; the contract has s8");
}

#[tokio::test]
async fn another_version_and_another_world_are_told_apart() {
    let text = PolicyText::default().text().replace("@0.1.0", "@0.2.0");
    let later = Dialect {
        changes: vec![("@0.1.0", "@0.2.0")],
        ..Dialect::of("placement-policy")
    };
    let refused = Bench::new().install(later.component(&text)).await.unwrap_err();
    assert!(
        matches!(&refused, PluginRefused::WrongExport { problem, .. } if problem.contains("version 0.1")),
        "{refused:?}"
    );
    let empty = wat::parse_str("(component)").unwrap();
    assert!(matches!(
        Bench::new().install(empty).await,
        Err(PluginRefused::UnknownWorld(_))
    ));
}

#[tokio::test]
async fn what_is_not_a_component_is_refused_and_leaves_nothing() {
    let bench = Bench::new();
    let whole = PolicyText::default().component();
    let mut twisted = whole.clone();
    let middle = twisted.len() / 2;
    twisted[middle..middle + 64].fill(0xff);
    for bytes in [
        Vec::new(),
        b"#!/bin/sh".to_vec(),
        wat::parse_str("(module)").unwrap(),
        whole[..whole.len() / 2].to_vec(),
        twisted,
    ] {
        let refused = bench.install(bytes).await.unwrap_err();
        assert!(matches!(refused, PluginRefused::Invalid(_)), "{refused:?}");
    }
    let kept = fs::read_dir(bench.plugins())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().path().extension().is_some())
        .count();
    assert_eq!(kept, 0);
}

#[tokio::test]
async fn a_component_above_the_size_is_refused_before_it_is_read() {
    let mut bench = Bench::new();
    bench.limits.component_bytes = 100;
    let refused = bench.install(vec![0; 101]).await.unwrap_err();
    assert_eq!(refused, PluginRefused::TooLarge { got: 101, max: 100 });
}

#[tokio::test]
async fn a_manifest_must_ask_for_what_the_component_imports() {
    let bench = Bench::new();
    let runtime = bench.start();
    let bytes = driver(&[]);
    let without = DRIVER_TOML.replace("[capabilities.http.api]", "[target]");
    let refused = runtime.install(bytes.clone(), Some(without)).await.unwrap_err();
    assert!(
        matches!(&refused, PluginRefused::Manifest { field, .. } if field == "capabilities.http"),
        "{refused:?}"
    );
    let other = DRIVER_TOML.replace("hypervisor-driver", "placement-policy");
    let refused = runtime.install(bytes, Some(other)).await.unwrap_err();
    assert!(matches!(&refused, PluginRefused::Manifest { .. }), "{refused:?}");
}

#[tokio::test]
async fn the_same_component_with_another_manifest_is_not_taken_silently() {
    let bench = Bench::new();
    let runtime = bench.start();
    let bytes = driver(&[]);
    runtime
        .install(bytes.clone(), Some(DRIVER_TOML.to_owned()))
        .await
        .unwrap();
    let more = DRIVER_TOML.replace("\"GET\", \"POST\"", "\"GET\", \"POST\", \"DELETE\"");
    let refused = runtime.install(bytes, Some(more)).await.unwrap_err();
    assert!(matches!(&refused, PluginRefused::Manifest { .. }), "{refused:?}");
}

#[tokio::test]
async fn settings_are_checked_against_the_schema_by_their_pointer() {
    let bench = Bench::new();
    let runtime = bench.start();
    let manifest = r#"
name = "p"
version = "0.1.0"
world = "placement-policy"
[config]
type = "object"
additionalProperties = false
[config.properties.weight]
type = "integer"
maximum = 10
"#;
    let bytes = PolicyText::default().component();
    let digest = runtime
        .install(bytes, Some(manifest.to_owned()))
        .await
        .unwrap()
        .digest;
    let check =
        |config| runtime.check_config(&digest, velum_model::port::plugins::ConfigPart::Policy, &config);
    assert_eq!(check(serde_json::json!({"weight": 3})), Ok(()));
    assert!(
        matches!(check(serde_json::json!({"weight": 30})), Err(PluginRefused::Configuration { pointer, .. }) if pointer == "/weight")
    );
    assert!(check(serde_json::json!({"colour": 1})).is_err());
    let target = velum_model::port::plugins::ConfigPart::Target;
    assert!(
        runtime
            .check_config(&digest, target, &serde_json::json!({"a": 1}))
            .is_err()
    );
    assert_eq!(
        runtime.check_config(&digest, target, &serde_json::json!({})),
        Ok(())
    );
}

#[tokio::test]
async fn a_component_that_traps_at_once_fails_the_smoke_test_and_is_not_kept() {
    let bench = Bench::new();
    let runtime = bench.start();
    for text in [
        PolicyText {
            describe: "unreachable",
            ..PolicyText::default()
        },
        PolicyText {
            configure: "unreachable",
            ..PolicyText::default()
        },
        PolicyText {
            items: "(func $never unreachable) (start $never)",
            ..PolicyText::default()
        },
        PolicyText {
            describe: "(loop br 0) unreachable",
            ..PolicyText::default()
        },
    ] {
        let refused = runtime.install(text.component(), None).await.unwrap_err();
        assert!(matches!(refused, PluginRefused::Smoke(_)), "{refused:?}");
    }
    let refused = runtime
        .install(
            driver(&[("describe", "unreachable")]),
            Some(DRIVER_TOML.to_owned()),
        )
        .await
        .unwrap_err();
    assert!(matches!(refused, PluginRefused::Smoke(_)), "{refused:?}");
    assert!(runtime.stats().is_empty());
    let kept = fs::read_dir(bench.plugins())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().path().extension().is_some())
        .count();
    assert_eq!(kept, 0);
}

/// Functions whose compilation takes some seconds.
fn costly() -> Vec<u8> {
    let line = "local.get 0 local.get 1 i64.mul local.tee 0 local.get 1 i64.div_u local.set 1 ".repeat(200);
    let one = format!("(func (param i64 i64) (result i64) {line} local.get 0)");
    let items: &'static str = Box::leak(one.repeat(400).into_boxed_str());
    PolicyText {
        items,
        ..PolicyText::default()
    }
    .component()
}

#[tokio::test]
async fn a_component_that_compiles_for_too_long_is_killed_and_the_next_one_is_served() {
    let mut bench = Bench::new();
    bench.limits.compile_wall = Duration::from_millis(300);
    let runtime = bench.start();
    let refused = runtime.install(costly(), None).await.unwrap_err();
    assert!(
        matches!(&refused, PluginRefused::Compile(problem) if problem.contains("killed")),
        "{refused:?}"
    );
    bench.limits.compile_wall = Duration::from_secs(60);
    bench.install(PolicyText::default().component()).await.unwrap();
}

#[tokio::test]
async fn a_compiler_without_memory_fails_alone() {
    let mut bench = Bench::new();
    // Less than the compiler needs before it has read the component.
    bench.limits.compile_memory_bytes = 48 << 20;
    let refused = bench.install(costly()).await.unwrap_err();
    assert!(matches!(&refused, PluginRefused::Compile(_)), "{refused:?}");
}

#[tokio::test]
async fn compiled_code_that_was_changed_is_never_run_but_compiled_again() {
    let mut bench = Bench::new();
    let digest = bench
        .install(PolicyText::default().component())
        .await
        .unwrap()
        .digest;
    let path = bench.plugins().join(format!("{}.cwasm", digest.hex()));
    let good = fs::read(&path).unwrap();
    for (what, bad) in [
        ("a bit", {
            let mut bytes = good.clone();
            let last = bytes.len() - 100;
            bytes[last] ^= 1;
            bytes
        }),
        ("its end", good[..good.len() - 10].to_vec()),
        ("all", Vec::new()),
    ] {
        fs::write(&path, &bad).unwrap();
        let command = std::mem::replace(&mut bench.compile_command, vec!["/nonexistent".into()]);
        let refused = bench.start().load(&digest).await;
        assert!(
            matches!(refused, Err(PluginRefused::Server(_))),
            "{what}: {refused:?}"
        );
        bench.compile_command = command;
        let runtime = bench.start();
        runtime.load(&digest).await.unwrap();
        assert!(runtime.policy(&digest, &no_config()).is_ok());
        assert_ne!(fs::read(&path).unwrap(), bad, "{what}");
    }
}

#[tokio::test]
async fn code_is_not_believed_under_another_key_and_a_damaged_component_not_at_all() {
    let bench = Bench::new();
    let digest = bench
        .install(PolicyText::default().component())
        .await
        .unwrap()
        .digest;
    fs::write(bench.plugins().join("key"), [9; 32]).unwrap();
    let path = bench.plugins().join(format!("{}.cwasm", digest.hex()));
    let before = fs::read(&path).unwrap();
    bench.start().load(&digest).await.unwrap();
    assert_ne!(fs::read(&path).unwrap(), before);
    fs::write(&path, []).unwrap();
    let component = bench.plugins().join(format!("{}.wasm", digest.hex()));
    fs::write(component, b"\0asm").unwrap();
    assert!(matches!(
        bench.start().load(&digest).await,
        Err(PluginRefused::Server(_))
    ));
}
