//! Against the real thing: libvirt's QEMU driver under TCG, and the kernel's bridges. Needs root, and runs only with
//! `VELUM_TEST_REAL=1`; starts dbus, virtlogd and libvirtd when they do not run, and stops what it started.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests may")]

#[expect(
    dead_code,
    reason = "shared with the tests on the test driver, which use other parts"
)]
mod common;
mod daemons;

use std::{process::Command, time::Duration};

use common::{Machine, disk, disk_xml, order, paper, paper_of, run, xml};
use daemons::Daemons;
use serde_json::json;
use uuid::Uuid;
use velum_connector::message::libvirt::{DeviceOrder, DomainVerb};
use velum_model::{
    fault::code,
    net::{Link, LinkKind},
    port::{
        hypervisor::{ConsolePlace, NicSpec, RunHandle, registry as guest},
        node::{LinkSpec, Node as _, SeedSpec},
        storage::registry as volume,
    },
};

const SYSTEM: &str = "qemu:///system";
const MIB: u64 = 1 << 20;

/// Whether these tests shall run.
fn wanted() -> bool {
    std::env::var("VELUM_TEST_REAL").is_ok_and(|value| value == "1")
}

/// Below a directory that the hypervisor's user can pass through.
fn place() -> tempfile::TempDir {
    tempfile::Builder::new()
        .prefix("velum-node-real-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir()
        .unwrap()
}

async fn in_state(machine: &Machine, run: RunHandle, wanted: u16) -> bool {
    let libvirt = machine.client().libvirt(SYSTEM);
    for _ in 0..100 {
        if libvirt
            .domain(run)
            .await
            .is_ok_and(|seen| seen.is_some_and(|seen| seen.state == wanted))
        {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    false
}

#[tokio::test]
async fn a_guest_with_disk_seed_nic_and_console_runs_and_leaves_nothing() {
    if !wanted() {
        return;
    }
    let daemons = Daemons::start().await;
    let dir = place();
    let machine = Machine::start(dir.path(), SYSTEM).await;
    let facts = machine.client().libvirt(SYSTEM).node_facts().await.unwrap();
    assert!(facts.vcpus > 0 && facts.arch == guest::ARCH_X86_64, "{facts:?}");
    let run = run(1);
    let network = Uuid::from_u128(u128::from(std::process::id()));
    let bridge = plug(&machine, network).await;
    boot(&machine, run, &bridge).await;
    what_must_not_be(&machine, run, network).await;
    hot_plug(&machine, run).await;
    end(&machine, run, network).await;
    assert!(!std::path::Path::new("/sys/class/net").join(&bridge).exists());
    assert_eq!(
        std::fs::read_dir(dir.path().join("state/console"))
            .unwrap()
            .count(),
        0
    );
    machine.stop().await;
    daemons.stop().await;
}

/// A bridge of the node's own, made twice.
async fn plug(machine: &Machine, network: Uuid) -> String {
    let bridge = format!("vt{}", std::process::id());
    let spec = LinkSpec {
        network,
        link: Link {
            kind: LinkKind::NodeBridge,
            name: bridge.clone(),
        },
        gateway: Some("10.213.0.1/24".to_owned()),
    };
    for effect in [1, 101] {
        let by = paper(1, effect);
        let name = machine
            .client()
            .ensure_link(&by.fence, &by.effect, &spec)
            .await
            .unwrap();
        assert_eq!(name, bridge);
    }
    let shown = Command::new("ip")
        .args(["-o", "address", "show", "dev", &bridge])
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&shown.stdout).contains("10.213.0.1/24"));
    bridge
}

/// A guest with a cloned disk, a seed and a NIC runs.
async fn boot(machine: &Machine, run: RunHandle, bridge: &str) {
    let node = machine.client();
    let (libvirt, files) = (node.libvirt(SYSTEM), node.files(machine.pool()));
    let shape = (volume::FORMAT_QCOW2, 8 * MIB);
    files
        .create(paper(2, 2).warrant(), "base.qcow2", shape, None)
        .await
        .unwrap();
    files
        .create(paper(3, 3).warrant(), "root.qcow2", shape, Some("base.qcow2"))
        .await
        .unwrap();
    let path = files.locate("root.qcow2").await.unwrap();
    let seed = SeedSpec {
        instance: Uuid::from_u128(1),
        hostname: "guest".to_owned(),
        nics: Vec::new(),
        user_data: Vec::new(),
    };
    let by = paper(4, 4);
    let seed_path = node
        .write_seed(&by.fence, &by.effect, run.id, &seed)
        .await
        .unwrap();
    let nic = NicSpec {
        slot: 0,
        id: Uuid::from_u128(9),
        mac: "06:56:00:00:00:01".to_owned(),
        kind: guest::NIC_BRIDGE,
        link: bridge.to_owned(),
        attrs: Vec::new(),
    };
    let order = order(vec![disk(0, &path, 8 * MIB)], vec![nic], Some(&seed_path));
    let text = xml("qemu", "x86_64", run, &order);
    libvirt
        .define(paper(4, 5).warrant(), run, &text, &order)
        .await
        .unwrap();
    libvirt
        .act(paper(4, 6).warrant(), run, DomainVerb::Start)
        .await
        .unwrap();
    assert!(in_state(machine, run, guest::STATE_RUNNING).await);
    let seen = libvirt.domain(run).await.unwrap().unwrap();
    assert_eq!(seen.disks, [(0, "id-root.qcow2".to_owned())]);
    // The firmware finds nothing to boot and says so on no serial line; the line is there all the same.
    let console = ConsolePlace {
        kind: guest::CONSOLE_SERIAL,
        via: 1,
        locator: String::new(),
    };
    let mut stream = node.open_console(SYSTEM, run.id, &console).await.unwrap();
    stream.writer.write(b"hello").await.unwrap();
    node.console_log(run.id, 1000).await.unwrap();
}

/// What is in use stays, and an older incarnation cannot touch the guest.
async fn what_must_not_be(machine: &Machine, run: RunHandle, network: Uuid) {
    let node = machine.client();
    let files = node.files(machine.pool());
    let busy = files
        .resize(paper(3, 7).warrant(), "root.qcow2", 16 * MIB)
        .await
        .unwrap_err();
    assert_eq!((busy.code, busy.unchanged), (code::BUSY, true), "{busy}");
    let by = paper(1, 8);
    let used = node
        .remove_link(&by.fence, &by.effect, network)
        .await
        .unwrap_err();
    assert_eq!((used.code, used.unchanged), (code::BUSY, true));
    let older = paper_of(4, 9, 1, 0);
    let libvirt = node.libvirt(SYSTEM);
    let fault = libvirt
        .act(older.warrant(), run, DomainVerb::Destroy)
        .await
        .unwrap_err();
    assert_eq!(fault.code, code::FENCED);
}

async fn end(machine: &Machine, run: RunHandle, network: Uuid) {
    let node = machine.client();
    let (libvirt, files) = (node.libvirt(SYSTEM), node.files(machine.pool()));
    libvirt
        .act(paper(4, 20).warrant(), run, DomainVerb::Reset)
        .await
        .unwrap();
    libvirt
        .act(paper(4, 21).warrant(), run, DomainVerb::Destroy)
        .await
        .unwrap();
    assert!(in_state(machine, run, guest::STATE_OFF).await);
    libvirt
        .act(paper(4, 22).warrant(), run, DomainVerb::Undefine)
        .await
        .unwrap();
    assert_eq!(libvirt.domain(run).await.unwrap(), None);
    for (effect, name) in [(23, "root.qcow2"), (24, "more.qcow2"), (25, "base.qcow2")] {
        files.remove(paper(3, effect).warrant(), name).await.unwrap();
    }
    let by = paper(4, 26);
    node.remove_seed(&by.fence, &by.effect, run.id).await.unwrap();
    let by = paper(1, 27);
    node.remove_link(&by.fence, &by.effect, network).await.unwrap();
}

async fn hot_plug(machine: &Machine, run: RunHandle) {
    let node = machine.client();
    let (libvirt, files) = (node.libvirt(SYSTEM), node.files(machine.pool()));
    files
        .create(
            paper(5, 10).warrant(),
            "more.qcow2",
            (volume::FORMAT_QCOW2, MIB),
            None,
        )
        .await
        .unwrap();
    let file = files.locate("more.qcow2").await.unwrap();
    let second = disk(1, &file, MIB);
    leave_nodes(run, &file);
    let ordered = DeviceOrder::Disk(Box::new(second.clone()));
    for effect in [11, 12] {
        libvirt
            .attach_device(
                paper(4, effect).warrant(),
                run,
                (&disk_xml(&second), true),
                &ordered,
            )
            .await
            .unwrap();
    }
    let seen = libvirt.domain(run).await.unwrap().unwrap();
    assert_eq!(seen.disks.len(), 2);
    assert!(libvirt.domain_xml(run).await.unwrap().contains("ua-disk-1"));
    // An attach that is taken back, and not tried again, leaves nothing either.
    files
        .create(
            paper(5, 14).warrant(),
            "third.qcow2",
            (volume::FORMAT_QCOW2, MIB),
            None,
        )
        .await
        .unwrap();
    let third = files.locate("third.qcow2").await.unwrap();
    leave_nodes(run, &third);
    assert!(nodes(run).contains(&third));
    libvirt
        .detach_device(paper(4, 15).warrant(), run, "ua-disk-2", true)
        .await
        .unwrap();
    assert!(!nodes(run).contains(&third), "QEMU holds the file still");
    assert!(nodes(run).contains(&file), "what a disk lies on stays");
    // Nor does one whose device was in the guest already: the guest has the disk, whatever libvirt knows.
    let fourth = disk(3, &third, MIB);
    leave_nodes(run, &third);
    plug_behind_libvirt(run, "ua-disk-3");
    let ordered = DeviceOrder::Disk(Box::new(fourth.clone()));
    libvirt
        .attach_device(paper(4, 16).warrant(), run, (&disk_xml(&fourth), true), &ordered)
        .await
        .unwrap();
    assert!(nodes(run).contains(&third), "the guest has it");
    // What hangs on USB needs no guest that lets it go.
    libvirt
        .detach_device(paper(4, 17).warrant(), run, "ua-disk-3", true)
        .await
        .unwrap();
    assert!(!nodes(run).contains(&third), "QEMU holds the file still");
    // No guest runs that could let it go: that must be said, and be true of both.
    match libvirt
        .detach_device(paper(4, 13).warrant(), run, "ua-disk-1", true)
        .await
    {
        Ok(()) => assert_eq!(libvirt.domain(run).await.unwrap().unwrap().disks.len(), 1),
        Err(fault) => assert_eq!(fault.code, code::BUSY, "{fault}"),
    }
}

/// What is left in QEMU when libvirtd dies in the middle of an attach: the file is open and locked, no device uses it.
fn leave_nodes(run: RunHandle, file: &str) {
    // As libvirt would have let QEMU in before.
    std::fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let file = json!({ "driver": "file", "filename": file, "node-name": "libvirt-9-storage" });
    let format = json!({ "driver": "qcow2", "file": "libvirt-9-storage", "node-name": "libvirt-9-format" });
    for node in [file, format] {
        let add = json!({ "execute": "blockdev-add", "arguments": node }).to_string();
        monitor(run, &add);
    }
}

/// Gives the guest a disk of the nodes that were left; its PCI ports are all taken.
fn plug_behind_libvirt(run: RunHandle, id: &str) {
    let device = json!({ "driver": "usb-storage", "id": id, "drive": "libvirt-9-format" });
    let add = json!({ "execute": "device_add", "arguments": device });
    monitor(run, &add.to_string());
}

/// All block nodes that QEMU has, as it tells them.
fn nodes(run: RunHandle) -> String {
    monitor(run, r#"{ "execute": "query-named-block-nodes" }"#)
}

fn monitor(run: RunHandle, command: &str) -> String {
    let name = format!("velum-{}", run.id);
    let asked = Command::new("virsh")
        .args(["-c", SYSTEM, "qemu-monitor-command", &name, command])
        .output()
        .unwrap();
    let answer = String::from_utf8_lossy(&asked.stdout).into_owned();
    assert!(
        asked.status.success() && answer.contains("return"),
        "{answer} {asked:?}"
    );
    answer
}

#[tokio::test]
async fn libvirtd_may_die_and_come_back_while_guests_run() {
    if !wanted() {
        return;
    }
    let mut daemons = Daemons::start().await;
    let dir = place();
    let machine = Machine::start(dir.path(), SYSTEM).await;
    let libvirt = machine.client().libvirt(SYSTEM);
    let run = run(2);
    let order = order(Vec::new(), Vec::new(), None);
    let text = xml("qemu", "x86_64", run, &order);
    libvirt
        .define(paper(6, 1).warrant(), run, &text, &order)
        .await
        .unwrap();
    libvirt
        .act(paper(6, 2).warrant(), run, DomainVerb::Start)
        .await
        .unwrap();
    if daemons.kill_libvirtd().await {
        let fault = libvirt.domain(run).await.unwrap_err();
        assert_eq!(fault.code, code::UNREACHABLE, "{fault}");
        daemons.start_libvirtd().await;
        assert!(
            in_state(&machine, run, guest::STATE_RUNNING).await,
            "the guest ran on"
        );
    }
    libvirt
        .act(paper(6, 3).warrant(), run, DomainVerb::Destroy)
        .await
        .unwrap();
    libvirt
        .act(paper(6, 4).warrant(), run, DomainVerb::Undefine)
        .await
        .unwrap();
    machine.stop().await;
    daemons.stop().await;
}
