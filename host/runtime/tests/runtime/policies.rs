//! Policies that misbehave, and one that does not.

use std::{path::PathBuf, sync::Arc};

use serde_json::json;
use velum_model::{
    plugin::Digest,
    port::{
        placement::{PlacementPolicy, PolicyAsk, PolicyFailure},
        plugins::{PluginRefused, Plugins},
    },
};
use velum_runtime::Runtime;

use crate::{
    bench::{Bench, no_config},
    guests::PolicyText,
};

async fn installed(bench: &Bench, text: PolicyText) -> (Arc<Runtime>, Box<dyn PlacementPolicy>) {
    let runtime = bench.start();
    let digest = runtime.install(text.component(), None).await.unwrap().digest;
    let policy = runtime.policy(&digest, &no_config()).unwrap();
    (runtime, policy)
}

/// One whose every load of a zone traps.
async fn installed_to_trap(bench: &Bench) -> (Arc<Runtime>, Digest) {
    let text = PolicyText {
        load: "unreachable",
        ..PolicyText::default()
    };
    let (runtime, _) = installed(bench, text).await;
    let digest = runtime.stats()[0].digest.clone();
    (runtime, digest)
}

fn ask() -> PolicyAsk {
    PolicyAsk::default()
}

#[tokio::test]
async fn a_policy_scores_what_it_is_asked_in_the_order_it_is_asked() {
    let bench = Bench::new();
    let (runtime, mut policy) = installed(&bench, PolicyText::default()).await;
    assert_eq!(policy.descriptor().name, "under-test");
    policy.load(1, 3, &[]).unwrap();
    assert_eq!(policy.score(1, &ask(), &[2, 0]).unwrap(), [2, 0]);
    assert!(policy.fuel_used() > 0);
    assert!(
        !policy.apply(9, 10, &[0], &[]).unwrap(),
        "it does not hold epoch 9"
    );
    assert!(policy.apply(1, 2, &[0], &[]).unwrap());
    assert!(policy.score(1, &ask(), &[0]).is_err(), "epoch 1 is past");
    assert_eq!(policy.score(2, &ask(), &[1]).unwrap(), [1]);
    let stats = runtime.stats();
    assert_eq!((stats[0].failures, stats[0].traps), (0, 0));
    assert!(stats[0].calls >= 5 && stats[0].fuel > 0, "{stats:?}");
}

#[tokio::test]
async fn the_same_question_costs_the_same_fuel_and_gets_the_same_answer() {
    let bench = Bench::new();
    let (runtime, mut warm) = installed(&bench, PolicyText::default()).await;
    let digest = runtime.stats()[0].digest.clone();
    warm.load(1, 3, &[]).unwrap();
    warm.score(1, &ask(), &[0, 1]).unwrap();
    let answer = warm.score(1, &ask(), &[0, 1]).unwrap();
    let mut fresh = runtime.policy(&digest, &no_config()).unwrap();
    fresh.load(1, 3, &[]).unwrap();
    assert_eq!(fresh.score(1, &ask(), &[0, 1]).unwrap(), answer);
    assert_eq!(fresh.fuel_used(), warm.fuel_used());
}

#[tokio::test]
async fn a_loop_without_end_runs_out_of_fuel() {
    let bench = Bench::new();
    let text = PolicyText {
        score: "(loop br 0) unreachable",
        ..PolicyText::default()
    };
    let (runtime, mut policy) = installed(&bench, text).await;
    policy.load(1, 3, &[]).unwrap();
    assert_eq!(policy.score(1, &ask(), &[0]), Err(PolicyFailure::OutOfFuel));
    assert!(policy.fuel_used() > 1_000_000);
    let after = policy.score(1, &ask(), &[0]);
    assert!(
        matches!(&after, Err(PolicyFailure::Unavailable(why)) if why.contains("failed before")),
        "{after:?}"
    );
    assert_eq!(runtime.stats()[0].deadlines, 1);
}

#[tokio::test]
async fn a_trap_in_any_function_ends_the_instance_and_a_new_one_works() {
    let bench = Bench::new();
    for (load, apply, score) in [
        ("unreachable", "i32.const 1", "unreachable"),
        ("i32.const 1", "unreachable", "unreachable"),
        ("i32.const 1", "i32.const 1", "unreachable"),
        // Out of bounds, and an answer that points outside the memory.
        ("i32.const -1 i32.load", "i32.const 1", "i32.const -4"),
        ("i32.const 1", "i32.const 1", "i32.const -4"),
    ] {
        let text = PolicyText {
            load,
            apply,
            score,
            ..PolicyText::default()
        };
        let (runtime, mut policy) = installed(&bench, text).await;
        let failure = policy
            .load(1, 3, &[])
            .and_then(|()| policy.apply(1, 2, &[0], &[]))
            .and_then(|_| policy.score(2, &ask(), &[0]))
            .unwrap_err();
        assert!(matches!(failure, PolicyFailure::Trapped(_)), "{failure:?}");
        assert!(matches!(
            policy.load(1, 3, &[]),
            Err(PolicyFailure::Unavailable(_))
        ));
        let digest = runtime.stats()[0].digest.clone();
        assert!(runtime.policy(&digest, &no_config()).is_ok());
    }
}

#[tokio::test]
async fn a_policy_that_takes_memory_without_end_is_stopped_at_its_limit() {
    let bench = Bench::new();
    let text = PolicyText {
        load: "(loop i32.const 16 memory.grow drop br 0) unreachable",
        ..PolicyText::default()
    };
    let (_, mut policy) = installed(&bench, text).await;
    let failure = policy.load(1, 3, &[]).unwrap_err();
    assert!(
        matches!(&failure, PolicyFailure::Trapped(why) if why.contains("memory")),
        "{failure:?}"
    );
}

#[tokio::test]
async fn deep_recursion_ends_the_policy_and_not_the_server() {
    let bench = Bench::new();
    let text = PolicyText {
        items: "(func $down (param i64 i64 i64 i64) (result i64) local.get 3 local.get 2 local.get 1 local.get 0 call $down local.get 0 i64.add)",
        load: "i64.const 1 i64.const 2 i64.const 3 i64.const 4 call $down drop i32.const 1",
        ..PolicyText::default()
    };
    let (_, mut policy) = installed(&bench, text).await;
    assert!(matches!(policy.load(1, 3, &[]), Err(PolicyFailure::Trapped(_))));
}

#[tokio::test]
async fn scores_of_another_number_than_asked_are_nonsense() {
    let bench = Bench::new();
    let text = PolicyText {
        score: "i32.const 1200 local.get $rows i32.store i32.const 1204 i32.const 1 i32.store i32.const 1200",
        ..PolicyText::default()
    };
    let (runtime, mut policy) = installed(&bench, text).await;
    policy.load(1, 3, &[]).unwrap();
    assert!(policy.score(1, &ask(), &[1]).is_ok());
    let failure = policy.score(1, &ask(), &[1, 2]).unwrap_err();
    assert_eq!(
        failure,
        PolicyFailure::Nonsense("it answered 1 scores for 2 rows".to_owned())
    );
    assert_eq!(runtime.stats()[0].failures, 1);
}

#[tokio::test]
async fn a_list_that_claims_more_than_there_is_does_not_cost_the_server_memory() {
    let bench = Bench::new();
    let text = PolicyText {
        score: "i32.const 1200 i32.const 0 i32.store i32.const 1204 i32.const 0x0fffffff i32.store i32.const 1200",
        ..PolicyText::default()
    };
    let (_, mut policy) = installed(&bench, text).await;
    policy.load(1, 3, &[]).unwrap();
    let failure = policy.score(1, &ask(), &[]).unwrap_err();
    assert!(matches!(failure, PolicyFailure::Trapped(_)), "{failure:?}");
}

#[tokio::test]
async fn a_policy_that_does_not_take_what_it_asked_for_is_nonsense() {
    let bench = Bench::new();
    let text = PolicyText {
        load: "i32.const 0",
        ..PolicyText::default()
    };
    let (_, mut policy) = installed(&bench, text).await;
    assert!(matches!(policy.load(1, 3, &[]), Err(PolicyFailure::Nonsense(_))));
}

#[tokio::test]
async fn a_refused_configuration_is_the_policys_own_words() {
    let bench = Bench::new();
    let runtime = bench.start();
    // result<_, string> at 1152: tag 1, the text "under-test".
    let text = PolicyText {
        configure: "i32.const 1152 i32.const 1 i32.store8 i32.const 1160 i32.const 10 i32.store i32.const 1152",
        ..PolicyText::default()
    };
    let digest = runtime.install(text.component(), None).await.unwrap().digest;
    let refused = runtime.policy(&digest, &no_config()).err().unwrap();
    assert!(
        matches!(&refused, PluginRefused::Configuration { problem, .. } if problem == "under-test"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_policy_that_fails_again_and_again_is_refused_for_a_while() {
    let bench = Bench::new();
    let (runtime, digest) = installed_to_trap(&bench).await;
    let mut refused = None;
    for attempt in 0..20 {
        match runtime.policy(&digest, &no_config()) {
            Ok(mut policy) => assert!(policy.load(1, 1, &[]).is_err()),
            Err(why) => {
                refused = Some((attempt, why));
                break;
            }
        }
    }
    let Some((5, PluginRefused::Smoke(why))) = refused else {
        panic!("{refused:?}");
    };
    assert!(why.contains("breaker"), "{why}");
    assert_eq!(runtime.stats()[0].breaks, 1);
    bench.clock.forward(10_000);
    assert!(runtime.policy(&digest, &no_config()).is_ok(), "one may try");
    assert!(runtime.policy(&digest, &no_config()).is_err());
}

#[tokio::test]
async fn what_a_policy_does_wrong_where_it_decides_nothing_is_not_held_against_those_that_decide() {
    let bench = Bench::new();
    let (runtime, digest) = installed_to_trap(&bench).await;
    let (tried, other) = (json!({"a": 1}), json!({"a": 2}));
    let fails = |config| {
        let made = runtime.policy_aside(&digest, config);
        made.map(|mut policy| policy.load(1, 1, &[]).is_err())
    };
    let failed = (0..20).take_while(|_| matches!(fails(&tried), Ok(true))).count();
    assert_eq!(failed, 5, "then it is refused for a while");
    assert_eq!(fails(&other).ok(), Some(true));
    assert!(runtime.policy(&digest, &no_config()).is_ok());
    let stats = &runtime.stats()[0];
    assert_eq!((stats.refused_for_ms, stats.breaks), (None, 0));
    bench.clock.forward(10_000);
    assert_eq!(fails(&tried).ok(), Some(true), "one may try");
}

#[tokio::test]
async fn log_lines_of_a_policy_are_its_only_way_out() {
    let bench = Bench::new();
    let text = PolicyText {
        imports: r#"(import "velum:common/log@0.1.0" "log" (func $log (param i32 i32 i32)))"#,
        load: "i32.const 2 i32.const 0 i32.const 10 call $log i32.const 1",
        ..PolicyText::default()
    };
    let runtime = bench.start();
    let inspected = runtime.install(text.component(), None).await.unwrap();
    assert_eq!(inspected.imports, ["velum:common/log@0.1.0"]);
    let mut policy = runtime.policy(&inspected.digest, &no_config()).unwrap();
    policy.load(1, 3, &[]).unwrap();
}

/// Where `plugins/build.sh` leaves components.
pub fn built(name: &str) -> Option<(Vec<u8>, String)> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cache/velum/target")))?;
    let component = std::fs::read(target.join("plugins").join(format!("{name}.wasm"))).ok()?;
    let manifest = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../plugins")
        .join(name)
        .join("plugin.toml");
    Some((component, std::fs::read_to_string(manifest).ok()?))
}
