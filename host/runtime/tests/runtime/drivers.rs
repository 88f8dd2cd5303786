//! Drivers that misbehave, and what reaches a far side.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use velum_connector::message::{Verb, libvirt::LibvirtVerb};
use velum_model::{
    fault::{Fault, code},
    port::{Outcome, hypervisor::HypervisorDriver, plugins::Plugins},
};
use velum_runtime::Runtime;

use crate::{
    bench::{Bench, DRIVER_TOML, call, compute_host, run},
    far_side::{FakeNode, Origin},
    guests::driver,
};

/// Sends GET /v1/thing to the target and answers what came of it as a fault: 1000 + status, or the connector's fault.
const GET: &str =
    "local.get $target i32.const 80 i32.const 3 i32.const 96 i32.const 9 call $request call $tell";
const POST: &str =
    "local.get $target i32.const 112 i32.const 4 i32.const 96 i32.const 9 call $request call $tell";
const POST_ADMIN: &str =
    "local.get $target i32.const 112 i32.const 4 i32.const 128 i32.const 6 call $request call $tell";
const RESET: &str = "local.get $target local.get $run call $reset call $tell";

async fn installed(bench: &Bench, bodies: &[(&str, &str)]) -> (Arc<Runtime>, Arc<dyn HypervisorDriver>) {
    let runtime = bench.start();
    let inspected = runtime
        .install(driver(bodies), Some(DRIVER_TOML.to_owned()))
        .await
        .unwrap();
    let driver = runtime.hypervisor(&inspected.digest).unwrap();
    (runtime, driver)
}

#[tokio::test]
async fn a_driver_describes_itself_and_has_only_the_interfaces_it_exports() {
    let bench = Bench::new();
    let (_, driver) = installed(&bench, &[]).await;
    let descriptor = driver.describe().await.unwrap();
    assert_eq!(
        (descriptor.name.as_str(), descriptor.version.as_str()),
        ("under-test", "0.1.0")
    );
    assert!(descriptor.interfaces.is_empty());
    let fault = driver
        .detach_disk(&call(compute_host(None), 1000), run(), 1)
        .await
        .unwrap_err();
    assert_eq!((fault.code, fault.unchanged), (code::UNSUPPORTED, true));
    let fault = driver
        .locate_console(&compute_host(None), run(), 1)
        .await
        .unwrap_err();
    assert_eq!(fault.code, code::UNSUPPORTED);
}

#[tokio::test]
async fn a_driver_that_does_nothing_wrong_is_believed() {
    let bench = Bench::new();
    let (runtime, driver) = installed(&bench, &[]).await;
    let order = call(compute_host(None), 2000);
    assert_eq!(driver.kill(&order, run()).await, Ok(Outcome::Done(Vec::new())));
    assert_eq!(driver.observe_run(&compute_host(None), run()).await, Ok(None));
    assert!(
        driver
            .observe(&compute_host(None), None)
            .await
            .unwrap()
            .runs
            .is_empty()
    );
    let fault = driver.probe(&compute_host(None)).await.unwrap_err();
    assert_eq!(fault.code, code::NONSENSE, "a probe that names no compute host");
    assert_eq!(runtime.stats()[0].failures, 1);
}

#[tokio::test]
async fn a_trap_in_any_function_is_a_fault_and_the_next_call_works() {
    let bench = Bench::new();
    let bodies = [
        "shutdown",
        "kill",
        "reboot",
        "remove",
        "observe",
        "observe-run",
        "poll",
        "cancel",
        "probe",
        "ensure",
        "start",
    ]
    .map(|name| (name, "unreachable"));
    let mut lenient = Bench::new();
    lenient.limits.breaker_failures = 100;
    let (runtime, driver) = installed(&lenient, &bodies).await;
    drop(bench);
    let (node, order) = (compute_host(None), call(compute_host(None), 2000));
    let spec = spec();
    let faults = [
        driver.ensure(&order, run(), &spec).await.unwrap_err(),
        driver.start(&order, run(), &spec).await.unwrap_err(),
        driver.shutdown(&order, run()).await.unwrap_err(),
        driver.kill(&order, run()).await.unwrap_err(),
        driver.reboot(&order, run(), true).await.unwrap_err(),
        driver.remove(&order, run()).await.unwrap_err(),
        driver.observe(&node, None).await.unwrap_err(),
        driver.observe_run(&node, run()).await.unwrap_err(),
        driver.probe(&node).await.unwrap_err(),
        driver.poll(&order, run(), "t").await.unwrap_err(),
        driver.cancel(&order, run(), "t").await.unwrap_err(),
    ];
    for (index, fault) in faults.iter().enumerate() {
        assert_eq!(fault.code, code::TRAPPED, "{index}: {fault}");
        // What it began before, `poll` and `cancel` cannot know; all others called nothing.
        assert_eq!(fault.unchanged, index < 9, "{index}");
    }
    assert!(driver.describe().await.is_ok());
    assert_eq!(runtime.stats()[0].traps, 11);
}

#[tokio::test]
async fn a_loop_without_end_misses_its_deadline_and_holds_no_thread() {
    let bench = Bench::new();
    let (runtime, driver) = installed(&bench, &[("kill", "(loop br 0)")]).await;
    let began = Instant::now();
    let order = call(compute_host(None), 300);
    // One thread: the loop must let the timer and the other call run.
    let (looping, other) = tokio::join!(driver.kill(&order, run()), driver.describe());
    assert!(other.is_ok());
    let fault = looping.unwrap_err();
    assert_eq!((fault.code, fault.unchanged), (code::DEADLINE, true));
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(runtime.stats()[0].deadlines, 1);
}

#[tokio::test]
async fn computing_is_bounded_below_a_long_deadline() {
    let mut bench = Bench::new();
    bench.limits.guest_time = Duration::from_millis(200);
    let (_, driver) = installed(&bench, &[("kill", "(loop br 0)")]).await;
    let fault = driver
        .kill(&call(compute_host(None), 60_000), run())
        .await
        .unwrap_err();
    assert_eq!(fault.code, code::DEADLINE);
    assert!(fault.detail.contains("computed"), "{fault}");
}

#[tokio::test]
async fn a_blocked_host_call_ends_before_the_calls_deadline() {
    let bench = Bench::new();
    let origin = Origin::answering(200, Duration::from_secs(30)).await;
    let (_, driver) = installed(&bench, &[("remove", GET), ("kill", POST)]).await;
    let target = compute_host(Some(origin.url.clone()));
    let began = Instant::now();
    let fault = driver
        .remove(&call(target.clone(), 600), run())
        .await
        .unwrap_err();
    // The connector gave up first, so that the driver itself could say what it knows.
    assert_eq!(fault.code, code::DEADLINE, "{fault}");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    let fault = driver.kill(&call(target, 600), run()).await.unwrap_err();
    assert!(!fault.unchanged, "the request left, so nobody knows");
}

#[tokio::test]
async fn a_request_is_stamped_with_the_fence_and_keeps_to_the_grant() {
    let bench = Bench::new();
    let origin = Origin::answering(204, Duration::ZERO).await;
    let (runtime, driver) =
        installed(&bench, &[("kill", POST), ("remove", POST_ADMIN), ("reboot", GET)]).await;
    let mut target = compute_host(Some(origin.url.clone()));
    let secret = bench.directory.path().join("token");
    std::fs::write(&secret, "s3cret\n").unwrap();
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    target.secret = Some(format!("file:{}", secret.display()));
    let order = call(target, 5000);
    assert_eq!(driver.kill(&order, run()).await.unwrap_err().code, 1204);
    let head = origin.heads.lock()[0].to_lowercase();
    assert!(head.starts_with("post /v1/thing http/1.1"), "{head}");
    for stamp in [
        "velum-shard: 00000000-0000-0000-0000-000000000001",
        "velum-epoch: 7",
        "velum-object: 00000000-0000-0000-0000-000000000002",
        "velum-generation: 3",
        "velum-effect: 00000000-0000-0000-0000-000000000003",
        "authorization: bearer s3cret",
    ] {
        assert!(head.contains(stamp), "{stamp} in {head}");
    }
    let fault = driver.remove(&order, run()).await.unwrap_err();
    assert_eq!((fault.code, fault.unchanged), (code::DENIED, true));
    assert_eq!(origin.heads.lock().len(), 1, "what is not granted is not sent");
    assert_eq!(runtime.stats()[0].denials, 1);
    assert_eq!(driver.reboot(&order, run(), false).await.unwrap_err().code, 1204);
}

#[tokio::test]
async fn a_redirect_is_refused_and_not_followed() {
    let bench = Bench::new();
    let origin = Origin::answering(302, Duration::ZERO).await;
    let (_, driver) = installed(&bench, &[("kill", GET)]).await;
    let order = call(compute_host(Some(origin.url.clone())), 5000);
    assert_eq!(driver.kill(&order, run()).await.unwrap_err().code, code::DENIED);
    assert_eq!(origin.heads.lock().len(), 1);
}

#[tokio::test]
async fn a_far_side_that_is_not_there_is_unreachable_with_nothing_changed() {
    let bench = Bench::new();
    let (_, driver) = installed(&bench, &[("kill", POST), ("remove", RESET)]).await;
    let fault = driver
        .kill(&call(compute_host(None), 5000), run())
        .await
        .unwrap_err();
    assert_eq!(fault.code, code::NOT_FOUND, "no endpoint");
    let order = call(compute_host(Some("http://127.0.0.1:9".to_owned())), 5000);
    let fault = driver.kill(&order, run()).await.unwrap_err();
    assert_eq!((fault.code, fault.unchanged), (code::UNREACHABLE, true));
    let mut target = compute_host(None);
    target.config = json!({"uri": "qemu:///system"});
    let fault = driver.remove(&call(target, 5000), run()).await.unwrap_err();
    assert_eq!(fault.code, code::UNREACHABLE, "no node");
}

fn with_a_domain(request: &velum_connector::message::Request) -> Result<Value, Fault> {
    match &request.verb {
        Verb::Libvirt {
            verb: LibvirtVerb::Domain { run },
            ..
        } => Ok(json!({
            "run": run, "state": 2, "reason": 0, "spec_digest": "", "disks": [], "values": [],
        })),
        Verb::Libvirt {
            verb: LibvirtVerb::Act { .. },
            ..
        } => Err(Fault::unchanged(code::FENCED, "a newer owner was here")),
        other => Err(Fault::unchanged(code::INVALID, format!("{other:?}"))),
    }
}

#[tokio::test]
async fn a_drivers_effect_reaches_the_node_under_the_calls_own_fence_and_run() {
    let bench = Bench::new();
    let node = FakeNode::answering(bench.directory.path(), with_a_domain);
    let (_, driver) = installed(&bench, &[("kill", RESET)]).await;
    let mut target = compute_host(None);
    target.config = json!({"uri": "qemu:///system"});
    target.node = Some(node.address.clone());
    let order = call(target, 5000);
    let fault = driver.kill(&order, run()).await.unwrap_err();
    assert_eq!((fault.code, fault.unchanged), (code::FENCED, true));
    let requests = node.requests.lock();
    assert_eq!(requests.len(), 2);
    assert!(requests[0].fence.is_none(), "a question");
    let effect = &requests[1];
    assert_eq!(effect.fence, Some(order.fence));
    assert_eq!(effect.effect.as_ref().unwrap().id, order.effect.id);
    assert!(effect.deadline_ms <= 5000);
    assert!(
        matches!(&effect.verb, Verb::Libvirt { uri, verb: LibvirtVerb::Act { run: of, .. } } if uri == "qemu:///system" && *of == run()),
        "{effect:?}"
    );
}

#[tokio::test]
async fn a_driver_that_fails_again_and_again_is_let_alone_for_a_while() {
    let bench = Bench::new();
    let (runtime, driver) = installed(&bench, &[("kill", "unreachable")]).await;
    let order = call(compute_host(None), 1000);
    for _ in 0..5 {
        assert_eq!(driver.kill(&order, run()).await.unwrap_err().code, code::TRAPPED);
    }
    let fault = driver.kill(&order, run()).await.unwrap_err();
    assert_eq!((fault.code, fault.unchanged), (code::UNAVAILABLE, true));
    assert_eq!(fault.retry_after_ms, Some(10_000));
    assert_eq!(
        runtime.stats()[0].calls,
        6,
        "describe of the smoke test, and five"
    );
    bench.clock.forward(10_000);
    assert!(driver.describe().await.is_ok(), "one may try, and it works");
    assert_eq!(driver.kill(&order, run()).await.unwrap_err().code, code::TRAPPED);
}

#[tokio::test]
async fn a_flood_of_host_calls_is_a_trap() {
    let mut bench = Bench::new();
    bench.limits.host_calls = 100;
    let flood = "(loop i32.const 0 i32.const 0 i32.const 10 call $log br 0)";
    let (_, driver) = installed(&bench, &[("kill", flood)]).await;
    let fault = driver
        .kill(&call(compute_host(None), 5000), run())
        .await
        .unwrap_err();
    assert_eq!(fault.code, code::TRAPPED);
    assert!(fault.detail.contains("100 host calls"), "{fault}");
}

#[tokio::test]
async fn a_handle_that_is_forged_or_kept_is_a_trap() {
    let bench = Bench::new();
    let forged = "i32.const 77 i32.const 80 i32.const 3 i32.const 96 i32.const 9 call $request call $tell";
    let twice = "local.get $target call $drop-target";
    let (_, driver) = installed(&bench, &[("kill", forged), ("remove", twice)]).await;
    let order = call(compute_host(None), 5000);
    for fault in [
        driver.kill(&order, run()).await.unwrap_err(),
        driver.remove(&order, run()).await.unwrap_err(),
    ] {
        assert_eq!(fault.code, code::TRAPPED, "{fault}");
    }
}

#[tokio::test]
async fn calls_beyond_what_may_run_at_once_wait_and_then_give_up_unchanged() {
    let bench = Bench::new();
    let manifest = format!("{DRIVER_TOML}\n[limits]\ncalls-in-flight = 1\n");
    let runtime = bench.start();
    let bytes = driver(&[("kill", "(loop br 0)")]);
    let digest = runtime.install(bytes, Some(manifest)).await.unwrap().digest;
    let driver = runtime.hypervisor(&digest).unwrap();
    let (long, short) = (call(compute_host(None), 1500), call(compute_host(None), 200));
    let (first, second) = tokio::join!(driver.kill(&long, run()), driver.kill(&short, run()));
    assert_eq!(first.unwrap_err().code, code::DEADLINE);
    let fault = second.unwrap_err();
    assert_eq!((fault.code, fault.unchanged), (code::UNAVAILABLE, true));
}

fn spec() -> velum_model::port::hypervisor::GuestSpec {
    velum_model::port::hypervisor::GuestSpec {
        vcpus: 1,
        vcpus_max: 1,
        memory_mib: 64,
        memory_max_mib: 64,
        arch: 1,
        disks: Vec::new(),
        nics: Vec::new(),
        attrs: Vec::new(),
    }
}
