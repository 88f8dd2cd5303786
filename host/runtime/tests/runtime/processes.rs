//! Drivers run in processes of their own, which hold nothing, and whose end is a fault like a trap.

use std::{fs, path::PathBuf, time::Duration};

use velum_model::{
    fault::code,
    port::{Outcome, plugins::Plugins as _},
};
use velum_runtime::{Uids, UidsError};

use crate::{
    bench::{Bench, DRIVER_TOML, call, compute_host, run},
    guests::driver,
};

/// The plugins' processes that this process has started.
fn processes() -> Vec<PathBuf> {
    let ours = std::process::id();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let path = entry.path();
        let is_child = fs::read_to_string(path.join("status"))
            .is_ok_and(|status| status.contains(&format!("\nPPid:\t{ours}\n")));
        let is_plugin = fs::read(path.join("cmdline"))
            .is_ok_and(|line| line.windows(16).any(|part| part == b"--plugin-process"));
        if is_child && is_plugin {
            found.push(path);
        }
    }
    found
}

fn field(process: &std::path::Path, name: &str) -> String {
    let status = fs::read_to_string(process.join("status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line[name.len()..].trim().to_owned()
}

#[tokio::test]
async fn a_driver_runs_in_a_process_that_holds_nothing() {
    let bench = Bench::new();
    let runtime = bench.start();
    let inspected = runtime
        .install(driver(&[]), Some(DRIVER_TOML.to_owned()))
        .await
        .unwrap();
    let driver = runtime.hypervisor(&inspected.digest).unwrap();
    driver.describe().await.unwrap();
    let processes = processes();
    let [process] = processes.as_slice() else {
        panic!("{processes:?}");
    };
    assert_eq!(field(process, "NoNewPrivs:"), "1");
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        assert_eq!(field(process, set), "0000000000000000", "{set}");
    }
    assert_eq!(field(process, "Seccomp:"), "2", "a filter of system calls");
    assert!(field(process, "Seccomp_filters:").parse::<u32>().unwrap() >= 2);
    let descriptors: Vec<_> = fs::read_dir(process.join("fd"))
        .unwrap()
        .flatten()
        .map(|entry| fs::read_link(entry.path()).unwrap().display().to_string())
        .collect();
    for descriptor in &descriptors {
        let known = ["socket:", "anon_inode:", "/dev/null"]
            .iter()
            .any(|known| descriptor.starts_with(known));
        assert!(known, "{descriptors:?}");
    }
    assert!(fs::read(process.join("environ")).unwrap().is_empty());
    let limits = fs::read_to_string(process.join("limits")).unwrap();
    assert!(
        limits
            .lines()
            .any(|line| line.starts_with("Max file size") && line.contains(" 0 "))
    );
    drop((driver, runtime));
    ended(process).await;
}

/// The first uid of what the test gives away.
const FIRST_UID: u32 = 61_184;

#[tokio::test]
async fn where_the_server_may_give_uids_each_process_has_one_of_its_own() {
    let uids = match Uids::from(FIRST_UID) {
        Ok(uids) => uids,
        Err(UidsError::Capability { missing }) => {
            eprintln!("left out: the tests do not run with {missing}");
            return;
        }
        Err(other) => panic!("{other}"),
    };
    assert_eq!(Uids::from(0).unwrap_err(), UidsError::Range { first: 0 });
    let bench = Bench {
        uids: Some(uids),
        ..Bench::new()
    };
    let runtime = bench.start();
    let (mut drivers, mut seen) = (Vec::new(), Vec::new());
    // The second one is another component, and so another process.
    for bodies in [&[][..], &[("kill", "unreachable")][..]] {
        let inspected = runtime.install(driver(bodies), Some(DRIVER_TOML.to_owned()));
        let driver = runtime.hypervisor(&inspected.await.unwrap().digest).unwrap();
        driver.describe().await.unwrap();
        drivers.push(driver);
    }
    let processes = processes();
    for process in &processes {
        let uid = field(process, "Uid:");
        let ids: Vec<u32> = uid.split_whitespace().map(|id| id.parse().unwrap()).collect();
        assert!(ids.iter().all(|id| *id == ids[0] && *id >= FIRST_UID), "{uid}");
        assert_eq!(field(process, "Gid:"), uid);
        assert_eq!(field(process, "Groups:"), "");
        assert_eq!(field(process, "CapEff:"), "0000000000000000");
        seen.push(ids[0]);
    }
    seen.dedup();
    assert_eq!(seen.len(), 2, "{processes:?}");
    drop((drivers, runtime));
    for process in &processes {
        ended(process).await;
    }
}

/// Waits until a process is gone: its socket was let go of, and that is what it ends by.
async fn ended(process: &std::path::Path) {
    let mut patience = 500;
    while process.exists() {
        assert!(patience > 0, "{} is still there", process.display());
        patience -= 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_process_that_dies_is_a_fault_and_the_next_call_starts_another() {
    let bench = Bench::new();
    let runtime = bench.start();
    let inspected = runtime
        .install(driver(&[("kill", "(loop br 0)")]), Some(DRIVER_TOML.to_owned()))
        .await
        .unwrap();
    let driver = runtime.hypervisor(&inspected.digest).unwrap();
    let order = call(compute_host(None), 60_000);
    let killer = async {
        // The loop runs: it takes processor time.
        let process = loop {
            let found = processes();
            let busy = found.first().is_some_and(|process| {
                let stat = fs::read_to_string(process.join("stat")).unwrap_or_default();
                let after = stat.rsplit(')').next().unwrap_or_default().to_owned();
                after
                    .split_whitespace()
                    .nth(11)
                    .and_then(|ticks| ticks.parse::<u64>().ok())
                    .unwrap_or(0)
                    > 10
            });
            if busy {
                break found[0].clone();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        let pid = process.file_name().unwrap().to_str().unwrap().parse().unwrap();
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(pid).unwrap(),
            rustix::process::Signal::KILL,
        )
        .unwrap();
    };
    let (answer, ()) = tokio::join!(driver.kill(&order, run()), killer);
    let fault = answer.unwrap_err();
    assert_eq!((fault.code, fault.unchanged), (code::TRAPPED, true), "{fault}");
    assert!(fault.detail.contains("signal: 9"), "{fault}");
    assert_eq!(
        driver.shutdown(&order, run()).await,
        Ok(Outcome::Done(Vec::new()))
    );
    let stats = &runtime.stats()[0];
    assert_eq!((stats.starts, stats.traps), (2, 1));
}

#[tokio::test]
async fn calls_that_nobody_waits_for_end_in_the_process_too() {
    let bench = Bench::new();
    let runtime = bench.start();
    let inspected = runtime
        .install(driver(&[("kill", "(loop br 0)")]), Some(DRIVER_TOML.to_owned()))
        .await
        .unwrap();
    let driver = runtime.hypervisor(&inspected.digest).unwrap();
    let order = call(compute_host(None), 60_000);
    for _ in 0..40 {
        // More than may be in flight at once: one that went on would hold a place.
        let given_up = tokio::time::timeout(Duration::from_millis(20), driver.kill(&order, run())).await;
        assert!(given_up.is_err());
    }
    assert_eq!(
        driver.shutdown(&order, run()).await,
        Ok(Outcome::Done(Vec::new()))
    );
    assert_eq!(runtime.stats()[0].starts, 1, "the process was not killed for it");
}

#[tokio::test]
async fn a_caller_that_goes_away_while_it_speaks_leaves_no_half_message_behind() {
    let mut bench = Bench::new();
    // What is asked below is more than the guest has memory for: where it is heard, it is a trap.
    bench.limits.breaker_failures = u32::MAX;
    let runtime = bench.start();
    let inspected = runtime
        .install(driver(&[]), Some(DRIVER_TOML.to_owned()))
        .await
        .unwrap();
    let driver = runtime.hypervisor(&inspected.digest).unwrap();
    let order = call(compute_host(None), 60_000);
    // Many times what a socket holds, so that writing it takes longer than its caller waits.
    let token = "t".repeat(6 << 20);
    let mut given_up = 0;
    for millis in (0..60).map(|number| number % 6) {
        let patience = Duration::from_millis(millis);
        let polled = tokio::time::timeout(patience, driver.poll(&order, run(), &token)).await;
        given_up += u32::from(polled.is_err());
    }
    assert!(given_up > 10, "nobody went away: {given_up}");
    assert_eq!(
        driver.shutdown(&order, run()).await,
        Ok(Outcome::Done(Vec::new()))
    );
    assert_eq!(
        runtime.stats()[0].starts,
        1,
        "the process understood all that it heard"
    );
}
