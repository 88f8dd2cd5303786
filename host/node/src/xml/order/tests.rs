use uuid::Uuid;
use velum_model::{
    id::RunId,
    port::{hypervisor::NicSpec, storage::Attachment},
};

use super::*;

const RUN: &str = "00000000-0000-0000-0000-000000000007";

fn run() -> RunHandle {
    RunHandle {
        id: RUN.parse::<RunId>().unwrap(),
        generation: 3,
    }
}

fn disk(slot: u16, path: &str) -> Disk {
    Disk {
        slot,
        volume: Uuid::from_u128(u128::from(slot) + 1),
        attachment: Attachment {
            kind: volume::ATTACH_FILE,
            format: volume::FORMAT_QCOW2,
            identity: format!("disk-{slot}"),
            size_bytes: 1 << 30,
            params: vec![Attr::text(volume::PARAM_PATH, path)],
            secret: None,
        },
        bus: guest::BUS_VIRTIO,
        readonly: false,
        boot_order: (slot == 0).then_some(1),
        attrs: Vec::new(),
    }
}

fn nic() -> NicSpec {
    NicSpec {
        slot: 0,
        id: Uuid::from_u128(9),
        mac: "06:56:00:00:00:01".to_owned(),
        kind: guest::NIC_BRIDGE,
        link: "vlm0".to_owned(),
        attrs: Vec::new(),
    }
}

fn order() -> GuestSpec {
    GuestSpec {
        vcpus: 2,
        vcpus_max: 4,
        memory_mib: 512,
        memory_max_mib: 1024,
        arch: guest::ARCH_X86_64,
        disks: vec![disk(0, "/pool/a.qcow2")],
        nics: vec![nic()],
        attrs: vec![Attr::text(guest::GUEST_SEED, "/state/seeds/7.iso")],
    }
}

const GOOD: &str = "<domain type='qemu'>
  <name>anything</name><uuid>00000000-0000-0000-0000-000000000007</uuid>
  <memory unit='MiB'>1024</memory><currentMemory>524288</currentMemory>
  <vcpu placement='static' current='2'>4</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <devices>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/pool/a.qcow2'/>
      <target dev='vda' bus='virtio'/><boot order='1'/></disk>
    <disk type='file' device='cdrom'><driver name='qemu' type='raw'/><source file='/state/seeds/7.iso'/>
      <target dev='sda' bus='sata'/><readonly/></disk>
    <interface type='bridge'><mac address='06:56:00:00:00:01'/><source bridge='vlm0'/><model type='virtio'/></interface>
    <serial type='pty'/><console type='pty'/>
  </devices>
</domain>";

fn judge(xml: &str, order: &GuestSpec) -> Result<String, Fault> {
    domain(
        run(),
        xml,
        order,
        Place {
            run: run().id,
            initiator: "iqn.2026-01.internal.velum:node.1",
            console_log: Path::new("/state/console/7.log"),
            seed: Path::new("/state/seeds/7.iso"),
            may_use: &|path| {
                if path.starts_with("/pool") {
                    Ok(())
                } else {
                    Err(denied("outside"))
                }
            },
        },
    )
}

#[test]
fn what_was_ordered_becomes_our_own_text() {
    let text = judge(GOOD, &order()).unwrap();
    let parsed = roxmltree::Document::parse(&text).unwrap();
    let names: Vec<&str> = parsed
        .root_element()
        .children()
        .filter(roxmltree::Node::is_element)
        .map(|n| n.tag_name().name())
        .collect();
    assert_eq!(names[..3], ["name", "uuid", "metadata"]);
    for part in [
        "<name>velum-00000000-0000-0000-0000-000000000007</name>",
        "<alias name=\"ua-disk-0\"/>",
        "<serial>disk-0</serial>",
        "<alias name=\"ua-seed\"/>",
        "<alias name=\"ua-nic-0\"/>",
        "<log file=\"/state/console/7.log\" append=\"on\"/>",
        "generation=\"3\"",
        &digest(&order()),
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn what_differs_from_the_order_is_refused_by_name() {
    for (from, to, named) in [
        ("000000000007</uuid>", "000000000008</uuid>", "uuid"),
        ("<memory unit='MiB'>1024", "<memory unit='GiB'>1024", "memory"),
        ("<currentMemory>524288", "<currentMemory>524289", "currentMemory"),
        ("current='2'>4", "current='3'>4", "vcpu"),
        ("current='2'>4", "current='2'>5", "vcpu"),
        ("arch='x86_64'", "arch='aarch64'", "architecture"),
        ("/pool/a.qcow2", "/pool/b.qcow2", "not ordered"),
        ("type='qcow2'", "type='raw'", "format"),
        ("<driver name='qemu' type='qcow2'/>", "", "format"),
        ("dev='vda' bus='virtio'", "dev='vda' bus='sata'", "bus"),
        ("dev='vda' bus='virtio'", "dev='sda' bus='virtio'", "twice"),
        ("<boot order='1'/>", "<boot order='2'/>", "boot order"),
        ("<boot order='1'/>", "<readonly/>", "readonly"),
        ("/state/seeds/7.iso", "/state/seeds/8.iso", "not ordered"),
        ("<readonly/>", "", "seed"),
        ("06:56:00:00:00:01", "06:56:00:00:00:02", "MAC"),
        ("bridge='vlm0'", "bridge='br0'", "NIC"),
        ("bridge='vlm0'", "network='vlm0'", "NIC"),
        ("bridge='vlm0'", "bridge='vlm0' network='x'", "NIC"),
        ("<devices>", "<devices><emulator>/bin/sh</emulator>", "emulator"),
        (
            "<devices>",
            "<devices><disk type='file'><source file='/pool/a.qcow2'/></disk>",
            "format",
        ),
    ] {
        assert!(GOOD.contains(from), "{from}");
        let fault = judge(&GOOD.replacen(from, to, 1), &order()).unwrap_err();
        assert!(
            fault.unchanged && fault.code == code::DENIED && fault.detail.contains(named),
            "{from} -> {to}: {fault}"
        );
    }
}

#[test]
fn what_was_ordered_and_is_missing_is_named() {
    let mut more = order();
    more.disks.push(disk(1, "/pool/b.qcow2"));
    assert!(judge(GOOD, &more).unwrap_err().detail.contains("slot 1"));
    let mut more = order();
    more.nics.push(NicSpec {
        slot: 1,
        mac: "06:56:00:00:00:02".to_owned(),
        ..nic()
    });
    assert!(judge(GOOD, &more).unwrap_err().detail.contains("NIC of slot 1"));
    let without_seed = GOOD.replace("/state/seeds/7.iso", "/pool/a.qcow2");
    assert!(judge(&without_seed, &order()).is_err());
}

#[test]
fn an_order_itself_is_not_believed_beyond_this_nodes_directories() {
    let mut outside = order();
    outside.disks = vec![disk(0, "/etc/shadow")];
    let fault = judge(&GOOD.replace("/pool/a.qcow2", "/etc/shadow"), &outside).unwrap_err();
    assert!(fault.detail.contains("outside"), "{fault}");
    let mut remote = order();
    remote.disks[0].attachment.kind = volume::ATTACH_NBD;
    assert_eq!(judge(GOOD, &remote).unwrap_err().code, code::UNSUPPORTED);
    let mut foreign_seed = order();
    foreign_seed.attrs = vec![Attr::text(guest::GUEST_SEED, "/pool/other.iso")];
    let fault = judge(
        &GOOD.replace("/state/seeds/7.iso", "/pool/other.iso"),
        &foreign_seed,
    )
    .unwrap_err();
    assert!(fault.detail.contains("this node wrote"), "{fault}");
}

/// The very text that `plugins/hypervisor-libvirt` documents.
#[test]
fn the_drivers_own_text_is_understood_and_its_digest_kept() {
    let tagged = GOOD.replace(
        "<memory ",
        "<title>web-1 &amp; more</title><metadata><velum:run xmlns:velum='urn:velum:run:1' \
         id='00000000-0000-0000-0000-000000000007' generation='3' spec-digest='sha256:abc'/></metadata><memory ",
    );
    let text = judge(&tagged, &order()).unwrap();
    assert!(text.contains("digest=\"sha256:abc\""), "{text}");
    assert!(text.contains("<title>web-1 &amp; more</title>"), "{text}");
    assert_eq!(text.matches("<metadata>").count(), 1);
    for (from, to) in [
        ("generation='3'", "generation='4'"),
        ("000000000007' gen", "000000000008' gen"),
    ] {
        let fault = judge(&tagged.replace(from, to), &order()).unwrap_err();
        assert!(fault.detail.contains("owner tag"), "{fault}");
    }
}

#[test]
fn a_hot_plugged_device_is_compared_like_any_other() {
    let place = Place {
        run: run().id,
        initiator: "iqn.2026-01.internal.velum:node.1",
        console_log: Path::new("/l"),
        seed: Path::new("/s"),
        may_use: &|_| Ok(()),
    };
    let xml = "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/pool/b.qcow2'/>\
               <target dev='vdb' bus='virtio'/></disk>";
    let ordered = DeviceOrder::Disk(Box::new(disk(1, "/pool/b.qcow2")));
    let (alias, element) = device(xml, &ordered, place).unwrap();
    assert_eq!(alias, "ua-disk-1");
    assert_eq!(
        element.child("alias").unwrap().attribute("name"),
        Some("ua-disk-1")
    );
    let other = DeviceOrder::Disk(Box::new(disk(1, "/pool/c.qcow2")));
    assert_eq!(device(xml, &other, place).unwrap_err().code, code::DENIED);
    let kind = DeviceOrder::Nic(Box::new(nic()));
    assert_eq!(device(xml, &kind, place).unwrap_err().code, code::DENIED);
    assert_eq!(
        device("<domain/>", &ordered, place).unwrap_err().code,
        code::DENIED
    );
}

const UNIT: &str = "<disk type='network' device='disk'><driver name='qemu' type='raw'/>\
    <source protocol='iscsi' name='iqn.2026-01.example.array:g1/3'><host name='10.0.0.9' port='3260'/>\
    <auth username='velum-1'><secret type='iscsi' usage='chap-1'/></auth></source>\
    <target dev='vda' bus='virtio'/><boot order='1'/></disk>";

fn unit() -> Disk {
    let mut disk = disk(0, "");
    disk.attachment = Attachment {
        kind: volume::ATTACH_ISCSI,
        format: volume::FORMAT_RAW,
        params: vec![
            Attr::text(volume::PARAM_PORTAL, "10.0.0.9:3260"),
            Attr::text(volume::PARAM_TARGET, "iqn.2026-01.example.array:g1"),
            Attr::number(volume::PARAM_LUN, 3),
            Attr::text(volume::PARAM_USER, "velum-1"),
        ],
        secret: Some("chap-1".to_owned()),
        ..disk.attachment
    };
    disk
}

fn with_unit() -> (String, GuestSpec) {
    let (before, rest) = GOOD.split_once("<disk").unwrap();
    let (_, after) = rest.split_once("</disk>").unwrap();
    let order = GuestSpec {
        disks: vec![unit()],
        ..order()
    };
    (format!("{before}{UNIT}{after}"), order)
}

#[test]
fn a_unit_is_written_with_our_own_name_and_our_own_secret() {
    let (xml, order) = with_unit();
    let ours = judge(&xml, &order).unwrap();
    for part in [
        r#"<iqn name="iqn.2026-01.internal.velum:node.1"/>"#.to_owned(),
        format!(r#"<secret type="iscsi" usage="velum-{RUN}-ua-disk-0"/>"#),
        r#"<auth username="velum-1">"#.to_owned(),
        "<serial>disk-0</serial>".to_owned(),
        r#"name="iqn.2026-01.example.array:g1/3""#.to_owned(),
    ] {
        assert!(ours.contains(&part), "{part} is not in {ours}");
    }
    assert!(!ours.contains("chap-1"), "{ours}");
    assert_eq!(crate::xml::view::secrets(&ours).len(), 1);
}

#[test]
fn a_unit_that_was_not_ordered_is_refused() {
    let (good, order) = with_unit();
    for (part, other) in [
        ("g1/3", "g1/4"),
        ("g1/3", "g2/3"),
        ("name='10.0.0.9'", "name='10.0.0.8'"),
        ("port='3260'", "port='3261'"),
        ("username='velum-1'", "username='root'"),
        ("usage='chap-1'", "usage='chap-2'"),
        (
            "<auth username='velum-1'><secret type='iscsi' usage='chap-1'/></auth>",
            "",
        ),
        ("type='raw'", "type='qcow2'"),
        ("<disk type='network'", "<disk type='block'"),
    ] {
        let xml = good.replacen(part, other, 1);
        assert_ne!(xml, good, "{part}");
        let fault = judge(&xml, &order).unwrap_err();
        assert_eq!(
            (fault.code, fault.unchanged),
            (code::DENIED, true),
            "{other}: {fault}"
        );
    }
    // A file is no unit besides, whatever stands first.
    let both = GOOD.replace(
        "<source file='/pool/a.qcow2'/>",
        "<source file='/pool/a.qcow2' protocol='iscsi' name='iqn.2026-01.example.array:g1/3'/>",
    );
    assert_eq!(judge(&both, &self::order()).unwrap_err().code, code::DENIED);
}
