//! A node and its client over a real socket, on libvirt's test driver: no daemon, no root.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests may")]

mod common;

use std::{process::Command, time::Duration};

use common::{Machine, attachment, disk, disk_xml, order, paper, paper_of, run, server, xml};
use sha2::Digest as _;
use uuid::Uuid;
use velum_connector::message::{
    ShardEpoch,
    libvirt::{DeviceOrder, DomainVerb},
};
use velum_model::{
    fault::code,
    port::{
        hypervisor::{ConsolePlace, registry as guest},
        node::{Node as _, Nodes as _, SeedSpec},
        storage::registry as volume,
    },
};

const TEST: &str = "test:///default";
const MIB: u64 = 1 << 20;

fn seed() -> SeedSpec {
    SeedSpec {
        instance: Uuid::from_u128(1),
        hostname: "guest".to_owned(),
        nics: Vec::new(),
        user_data: b"#!/bin/sh\n".to_vec(),
    }
}

#[tokio::test]
async fn a_run_is_defined_started_seen_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::start(dir.path(), TEST).await;
    let libvirt = machine.client().libvirt(TEST);
    let facts = libvirt.node_facts().await.unwrap();
    assert!(facts.vcpus > 0 && facts.memory_mib > 0 && !facts.boot_id.is_empty());
    assert!(
        libvirt
            .capabilities_xml()
            .await
            .unwrap()
            .contains("<capabilities>")
    );

    let run = run(1);
    assert_eq!(libvirt.domain(run).await.unwrap(), None);
    let path = format!("{}/a.qcow2", machine.pool());
    let order = order(vec![disk(0, &path, MIB)], Vec::new(), None);
    let text = xml("test", "x86_64", run, &order);
    libvirt
        .define(paper(1, 1).warrant(), run, &text, &order)
        .await
        .unwrap();
    let seen = libvirt.domain(run).await.unwrap().unwrap();
    assert_eq!((seen.run, seen.state), (run, guest::STATE_OFF));
    assert_eq!(seen.disks, [(0, "id-a.qcow2".to_owned())]);
    assert_eq!(seen.spec_digest.len(), 64);

    for (effect, verb, state) in [
        (2, DomainVerb::Start, guest::STATE_RUNNING),
        (3, DomainVerb::Start, guest::STATE_RUNNING),
        (4, DomainVerb::Suspend, guest::STATE_PAUSED),
        (5, DomainVerb::Resume, guest::STATE_RUNNING),
        (6, DomainVerb::Destroy, guest::STATE_OFF),
        (7, DomainVerb::Destroy, guest::STATE_OFF),
        (8, DomainVerb::Shutdown, guest::STATE_OFF),
    ] {
        libvirt.act(paper(1, effect).warrant(), run, verb).await.unwrap();
        let seen = libvirt.domain(run).await.unwrap().unwrap();
        assert_eq!(seen.state, state, "{verb:?}");
    }
    let first = libvirt.stats(None).await.unwrap();
    let second = libvirt.stats(None).await.unwrap();
    assert!(first.complete && second.sequence > first.sequence);
    assert!(first.domains.iter().any(|domain| domain.run == run));
    // libvirt's own test domain is not ours.
    assert!(first.domains.iter().all(|domain| domain.run.generation == 1));

    for effect in [9, 10] {
        libvirt
            .act(paper(1, effect).warrant(), run, DomainVerb::Undefine)
            .await
            .unwrap();
    }
    assert_eq!(libvirt.domain(run).await.unwrap(), None);
    let fault = libvirt
        .act(paper(1, 11).warrant(), run, DomainVerb::Start)
        .await
        .unwrap_err();
    assert_eq!((fault.code, fault.unchanged), (code::NOT_FOUND, true));
    machine.stop().await;
}

#[tokio::test]
async fn a_domain_goes_after_its_console_log_so_that_the_log_is_not_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::start(dir.path(), TEST).await;
    let libvirt = machine.client().libvirt(TEST);
    let run = run(9);
    let order = order(Vec::new(), Vec::new(), None);
    let text = xml("test", "x86_64", run, &order);
    libvirt
        .define(paper(9, 1).warrant(), run, &text, &order)
        .await
        .unwrap();
    let log = dir.path().join(format!("state/console/{}.log", run.id));
    // A directory cannot be removed as a file: the node stops half-way, as when it is killed.
    std::fs::create_dir(&log).unwrap();
    libvirt
        .act(paper(9, 2).warrant(), run, DomainVerb::Undefine)
        .await
        .unwrap_err();
    assert!(
        libvirt.domain(run).await.unwrap().is_some(),
        "whoever looks for what is left finds nothing"
    );
    std::fs::remove_dir(&log).unwrap();
    std::fs::write(&log, "boot").unwrap();
    libvirt
        .act(paper(9, 2).warrant(), run, DomainVerb::Undefine)
        .await
        .unwrap();
    assert!(!log.exists() && libvirt.domain(run).await.unwrap().is_none());
    machine.stop().await;
}

#[tokio::test]
async fn a_definition_that_came_after_its_run_was_over_goes_with_the_next_look() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::start(dir.path(), TEST).await;
    let node = machine.client();
    let libvirt = node.libvirt(TEST);
    let (late, alive, others) = (run(20), run(21), run(22));
    for (object, run) in [(20, late), (21, alive)] {
        let by = paper(object, 1);
        let path = node
            .write_seed(&by.fence, &by.effect, run.id, &seed())
            .await
            .unwrap();
        let order = order(Vec::new(), Vec::new(), Some(&path));
        libvirt
            .define(
                paper(object, 2).warrant(),
                run,
                &xml("test", "x86_64", run, &order),
                &order,
            )
            .await
            .unwrap();
    }
    // Without a seed of this node's: not its business.
    let plain = order(Vec::new(), Vec::new(), None);
    libvirt
        .define(
            paper(22, 1).warrant(),
            others,
            &xml("test", "x86_64", others, &plain),
            &plain,
        )
        .await
        .unwrap();
    // What a node that died had asked of libvirtd ends after the next one undid the run.
    let by = paper(20, 3);
    node.remove_seed(&by.fence, &by.effect, late.id).await.unwrap();
    let page = libvirt.stats(None).await.unwrap();
    let seen: Vec<_> = page.domains.iter().map(|domain| domain.run).collect();
    assert!(
        !seen.contains(&late) && seen.contains(&alive) && seen.contains(&others),
        "{seen:?}"
    );
    for (object, run) in [(21, alive), (22, others)] {
        libvirt
            .act(paper(object, 9).warrant(), run, DomainVerb::Undefine)
            .await
            .unwrap();
    }
    machine.stop().await;
}

#[tokio::test]
async fn what_was_not_ordered_does_not_reach_libvirt() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::start(dir.path(), TEST).await;
    let libvirt = machine.client().libvirt(TEST);
    let run = run(2);
    let plain = order(Vec::new(), Vec::new(), None);
    let text = xml("test", "x86_64", run, &plain);
    let more_memory = text.replace("<memory unit='MiB'>64", "<memory unit='MiB'>65");
    let emulator = text.replace("<devices>", "<devices><emulator>/bin/sh</emulator>");
    for bad in [more_memory.as_str(), emulator.as_str()] {
        let fault = libvirt
            .define(paper(2, 1).warrant(), run, bad, &plain)
            .await
            .unwrap_err();
        assert_eq!((fault.code, fault.unchanged), (code::DENIED, true));
    }
    let outside = order(vec![disk(0, "/etc/passwd", MIB)], Vec::new(), None);
    let text = xml("test", "x86_64", run, &outside);
    let fault = libvirt
        .define(paper(2, 2).warrant(), run, &text, &outside)
        .await
        .unwrap_err();
    assert_eq!(fault.code, code::DENIED, "{fault}");
    assert_eq!(libvirt.domain(run).await.unwrap(), None);
    let other_uri = machine.client().libvirt("qemu+tcp://10.0.0.1/system");
    assert_eq!(other_uri.domain(run).await.unwrap_err().code, code::DENIED);
    machine.stop().await;
}

#[tokio::test]
async fn an_older_owner_is_refused_from_the_moment_a_newer_one_announced_itself() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::start(dir.path(), TEST).await;
    let (old, new) = (server(), server());
    let epoch = |epoch| {
        vec![ShardEpoch {
            shard: common::SHARD,
            epoch,
        }]
    };
    old.announce(epoch(1)).await.unwrap();
    let old_node = old.client(&machine.address()).unwrap();
    let first = paper(3, 1);
    let run = run(3).id;
    let path = old_node
        .write_seed(&first.fence, &first.effect, run, &seed())
        .await
        .unwrap();

    new.announce(epoch(2)).await.unwrap();
    let new_node = new.client(&machine.address()).unwrap();
    new_node.hello().await.unwrap();

    let late = paper(3, 2);
    let fault = old_node
        .remove_seed(&late.fence, &late.effect, run)
        .await
        .unwrap_err();
    assert_eq!((fault.code, fault.unchanged), (code::FENCED, true));
    assert!(std::path::Path::new(&path).exists());
    // Looking at the compute host finds that out too, on the connection that stood before.
    let fault = old_node.hello().await.unwrap_err();
    assert_eq!(fault.code, code::FENCED);
    let fault = old.announce(epoch(1)).await.unwrap_err();
    assert_eq!(fault.code, code::FENCED);
    let newer = paper_of(3, 2, 2, 1);
    new_node
        .remove_seed(&newer.fence, &newer.effect, run)
        .await
        .unwrap();
    assert!(!std::path::Path::new(&path).exists());
    machine.stop().await;
}

#[tokio::test]
async fn a_node_that_died_is_unreachable_and_found_again_with_its_memory() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::start(dir.path(), TEST).await;
    let node = machine.client();
    let connections = machine.connections.clone();
    let boot_id = node.hello().await.unwrap().boot_id;
    let (run, written) = (run(4).id, paper(4, 1));
    let path = node
        .write_seed(&written.fence, &written.effect, run, &seed())
        .await
        .unwrap();
    machine.stop().await;
    std::fs::remove_file(dir.path().join("node.sock")).unwrap();
    drop(node);
    let away = connections
        .client(&format!("unix:{}/other.sock", dir.path().display()))
        .unwrap();
    let fault = away.hello().await.unwrap_err();
    assert_eq!((fault.code, fault.unchanged), (code::UNREACHABLE, true));

    let machine = Machine::start(dir.path(), TEST).await;
    let node = machine.client();
    assert_eq!(node.hello().await.unwrap().boot_id, boot_id);
    std::fs::remove_file(&path).unwrap();
    // Known from before the death: answered, not done again.
    let again = node
        .write_seed(&written.fence, &written.effect, run, &seed())
        .await
        .unwrap();
    assert_eq!(again, path);
    assert!(!std::path::Path::new(&path).exists());
    machine.stop().await;
}

#[tokio::test]
async fn an_upload_becomes_a_volume() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::start(dir.path(), TEST).await;
    let store = machine
        .connections
        .directory_store(&machine.address(), &machine.images())
        .unwrap();
    assert!(store.probe().await.unwrap() > 0);
    let source = dir.path().join("source.img");
    let mut bytes = vec![0u8; 3 * MIB as usize];
    bytes[..5].copy_from_slice(b"hello");
    std::fs::write(&source, &bytes).unwrap();
    let sum = hex::encode(sha2::Sha256::digest(&bytes));
    let image = Uuid::from_u128(7);
    for chunk in bytes.chunks(MIB as usize) {
        let at = store.received(image).await.unwrap();
        assert_eq!(store.write(image, at, chunk.to_vec()).await.unwrap(), at + MIB);
    }
    let wrong_place = store.write(image, 1, vec![0]).await.unwrap_err();
    assert_eq!((wrong_place.code, wrong_place.unchanged), (code::INVALID, true));
    let found = store.finish(image, volume::FORMAT_RAW, &sum).await.unwrap();
    assert_eq!(found.virtual_bytes, 3 * MIB);
    assert_eq!(
        store.finish(image, volume::FORMAT_RAW, &sum).await.unwrap(),
        found
    );
    let other = store
        .finish(image, volume::FORMAT_RAW, &"0".repeat(64))
        .await
        .unwrap_err();
    assert_eq!(other.code, code::EXISTS_DIFFERENT);

    let node = machine.client();
    let files = node.files(machine.pool());
    let layer = paper(100, 1);
    let shape = (volume::FORMAT_QCOW2, 8 * MIB);
    files
        .create(layer.warrant(), "layer.qcow2", shape, None)
        .await
        .unwrap();
    let into = attachment(&files.locate("layer.qcow2").await.unwrap(), 8 * MIB);
    node.verify_attachment(&into).await.unwrap();
    let fill = paper(100, 2);
    node.fill_layer(&fill.fence, &fill.effect, &found.reference, &into)
        .await
        .unwrap();
    node.verify_attachment(&into).await.unwrap();
    let smaller = attachment(&files.locate("layer.qcow2").await.unwrap(), 4 * MIB);
    assert_eq!(
        node.verify_attachment(&smaller).await.unwrap_err().code,
        code::EXISTS_DIFFERENT
    );
    let compared = Command::new("qemu-img")
        .args(["compare", "-f", "raw", "-F", "qcow2"])
        .args([&source, &dir.path().join("pool/layer.qcow2")])
        .status()
        .unwrap();
    assert!(compared.success());
    store.remove(image).await.unwrap();
    store.remove(image).await.unwrap();
    assert_eq!(
        std::fs::read_dir(dir.path().join("images/image"))
            .unwrap()
            .count(),
        0
    );
    machine.stop().await;
}

#[tokio::test]
async fn a_bad_image_is_refused_with_its_reason_and_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::start(dir.path(), TEST).await;
    let store = machine
        .connections
        .directory_store(&machine.address(), &machine.images())
        .unwrap();
    let backed = dir.path().join("backed.qcow2");
    let made = Command::new("qemu-img")
        .args([
            "create",
            "-q",
            "-f",
            "qcow2",
            "-u",
            "-b",
            "/etc/passwd",
            "-F",
            "raw",
        ])
        .arg(&backed)
        .arg("1M")
        .status()
        .unwrap();
    assert!(made.success());
    let backed = std::fs::read(backed).unwrap();
    let cut_off = backed[..3000].to_vec();
    for (number, format, bytes, sum, why) in [
        (1, volume::FORMAT_QCOW2, backed.clone(), None, "backing file"),
        (2, volume::FORMAT_RAW, backed, None, "qcow"),
        (3, volume::FORMAT_QCOW2, cut_off, None, "cut off"),
        (4, volume::FORMAT_QCOW2, vec![0; 4096], None, "something else"),
        (
            5,
            volume::FORMAT_RAW,
            vec![0; 4096],
            Some("0".repeat(64)),
            "SHA-256",
        ),
    ] {
        let image = Uuid::from_u128(number);
        store.write(image, 0, bytes.clone()).await.unwrap();
        let sum = sum.unwrap_or_else(|| hex::encode(sha2::Sha256::digest(&bytes)));
        let fault = store.finish(image, format, &sum).await.unwrap_err();
        assert!(
            fault.code == code::BAD_IMAGE && fault.detail.contains(why),
            "{fault}"
        );
        assert_eq!(store.received(image).await.unwrap(), 0, "nothing is kept");
    }
    let nothing = store.finish(Uuid::from_u128(9), 1, "00").await.unwrap_err();
    assert_eq!((nothing.code, nothing.unchanged), (code::NOT_FOUND, true));
    let missing = format!("{}/missing", machine.images());
    let missing = machine
        .connections
        .directory_store(&machine.address(), &missing)
        .unwrap();
    let fault = missing.probe().await.unwrap_err();
    assert!(fault.unchanged && fault.detail.contains("mkdir"), "{fault}");
    machine.stop().await;
}

#[tokio::test]
async fn a_device_is_attached_and_detached_once() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::start(dir.path(), TEST).await;
    let libvirt = machine.client().libvirt(TEST);
    let run = run(5);
    let plain = order(Vec::new(), Vec::new(), None);
    let text = xml("test", "x86_64", run, &plain);
    libvirt
        .define(paper(5, 1).warrant(), run, &text, &plain)
        .await
        .unwrap();
    let second = disk(1, &format!("{}/b.qcow2", machine.pool()), MIB);
    let ordered = DeviceOrder::Disk(Box::new(second.clone()));
    let answer = libvirt
        .attach_device(paper(5, 2).warrant(), run, (&disk_xml(&second), true), &ordered)
        .await;
    // The test driver plugs nothing but host devices; what it says must say that nothing changed.
    if let Err(fault) = answer {
        assert!(fault.unchanged, "{fault}");
    } else {
        assert_eq!(libvirt.domain(run).await.unwrap().unwrap().disks.len(), 1);
    }
    let not_ordered = disk_xml(&disk(1, "/etc/passwd", MIB));
    let fault = libvirt
        .attach_device(paper(5, 3).warrant(), run, (&not_ordered, true), &ordered)
        .await
        .unwrap_err();
    assert_eq!(fault.code, code::DENIED);
    libvirt
        .detach_device(paper(5, 4).warrant(), run, "ua-disk-7", true)
        .await
        .unwrap();
    libvirt
        .act(paper(5, 5).warrant(), run, DomainVerb::Undefine)
        .await
        .unwrap();
    machine.stop().await;
}

#[tokio::test]
async fn consoles_say_why_there_is_none_and_logs_may_be_empty() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::start(dir.path(), TEST).await;
    let node = machine.client();
    let run = run(6);
    assert_eq!(node.console_log(run.id, 100).await.unwrap(), b"");
    let log = dir.path().join(format!("state/console/{}.log", run.id));
    std::fs::write(&log, "first\nlast\n").unwrap();
    assert_eq!(node.console_log(run.id, 5).await.unwrap(), b"last\n");
    let place = ConsolePlace {
        kind: guest::CONSOLE_SERIAL,
        via: 1,
        locator: String::new(),
    };
    let Err(fault) = node.open_console(TEST, run.id, &place).await else {
        panic!("there is no such domain")
    };
    assert_eq!((fault.code, fault.unchanged), (code::NOT_FOUND, true));
    machine.stop().await;
}

#[tokio::test]
async fn many_calls_share_one_connection_and_each_keeps_its_own_deadline() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::start(dir.path(), TEST).await;
    let node = machine.client();
    let calls = (0..200u128).map(|number| {
        let node = node.clone();
        async move {
            let mine = paper(1000 + number % 50, 1000 + number);
            let run = run(1000 + number);
            let path = node
                .write_seed(&mine.fence, &mine.effect, run.id, &seed())
                .await?;
            assert!(path.contains(&run.id.to_string()));
            node.remove_seed(&mine.fence, &paper(0, 5000 + number).effect, run.id)
                .await
        }
    });
    let started = std::time::Instant::now();
    let tasks: Vec<_> = calls.map(tokio::spawn).collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert!(started.elapsed() < Duration::from_secs(60));
    let mut hasty = paper(9, 9);
    hasty.effect.deadline_ms = 0;
    // Whatever is done before anybody looks at the time is done.
    let answer = node
        .write_seed(&hasty.fence, &hasty.effect, run(9).id, &seed())
        .await;
    if let Err(fault) = answer {
        assert!(
            matches!(fault.code, code::DEADLINE | code::BUSY | code::UNREACHABLE),
            "{fault}"
        );
    }
    machine.stop().await;
}
