//! The driver against a libvirt that is a table in memory.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test's set-up cannot do is a failed test"
)]

use std::{cell::RefCell, collections::BTreeMap};

use hypervisor_libvirt::{
    domain::{self, Tag},
    settings::{Hypervisor, Settings},
    verbs::{self, Domain, Libvirt},
};
use proptest::prelude::*;
use velum_guest::{
    codes::{fault, libvirt as act},
    common::{Attachment, Attr, Fault, Outcome},
    connect::libvirt::{DomainStats, Facts, StatsPage},
    driver::{Disk, GuestSpec, Nic, code},
    provider::code as storage,
};

const RUN: &str = "0192a2b4-5c6d-7e8f-9a0b-1c2d3e4f5a6b";

fn tag() -> Tag {
    Tag {
        run: RUN.to_owned(),
        generation: 3,
    }
}

fn disk(slot: u16) -> Disk {
    Disk {
        slot,
        volume: format!("volume-{slot}"),
        attachment: Attachment {
            kind: storage::ATTACH_FILE,
            format: storage::FORMAT_QCOW2,
            identity: format!("volume-{slot}"),
            size_bytes: 1 << 30,
            params: vec![Attr::text(
                storage::PARAM_PATH,
                format!("/pool/volume-{slot}.qcow2"),
            )],
            secret: None,
        },
        bus: code::BUS_VIRTIO,
        readonly: false,
        boot_order: (slot == 0).then_some(1),
        attrs: Vec::new(),
    }
}

fn nic(slot: u16, kind: u16) -> Nic {
    Nic {
        slot,
        id: format!("nic-{slot}"),
        mac: format!("52:54:00:00:00:0{slot}"),
        kind,
        link: "velum0".to_owned(),
        attrs: vec![Attr::text(code::GUEST_ADDRESS, "10.0.0.5/24")],
    }
}

fn spec() -> GuestSpec {
    GuestSpec {
        vcpus: 2,
        vcpus_max: 4,
        memory_mib: 2048,
        memory_max_mib: 4096,
        arch: code::ARCH_X86_64,
        disks: vec![disk(1), disk(0)],
        nics: vec![nic(0, code::NIC_BRIDGE), nic(1, code::NIC_LIBVIRT_NETWORK)],
        attrs: vec![
            Attr::text(code::GUEST_NAME, "web <1> & 'co'"),
            Attr::text(code::GUEST_SEED, "/seeds/run.iso"),
        ],
    }
}

/// libvirt of one machine.
#[derive(Default)]
struct Table {
    kvm: bool,
    /// Text and state of the one domain.
    domain: RefCell<Option<(String, u16)>>,
    disks: RefCell<BTreeMap<u16, String>>,
    acts: RefCell<Vec<u16>>,
    /// Whether the guest reacts when it is asked.
    deaf: bool,
    holds_devices: RefCell<bool>,
}

impl Table {
    fn with(state: u16) -> Self {
        Self {
            domain: RefCell::new(Some(("<domain/>".to_owned(), state))),
            ..Self::default()
        }
    }
    fn state(&self) -> Option<u16> {
        self.domain.borrow().as_ref().map(|(_, state)| *state)
    }
}

impl<'a> Libvirt for &'a Table {
    type Domain = &'a Table;
    fn facts(&self) -> Result<Facts, Fault> {
        Ok(Facts {
            hostname: "node1".to_owned(),
            boot_id: "boot".to_owned(),
            vcpus: 8,
            memory_mib: 16_384,
            arch: code::ARCH_X86_64,
            cpu_baseline: String::new(),
            initiators: Vec::new(),
            attrs: vec![Attr::flag(code::FACT_KVM, self.kvm)],
        })
    }
    fn stats(&self, after: Option<&str>) -> Result<StatsPage, Fault> {
        let seen = Domain::stats(self)
            .into_iter()
            .filter(|_| after.is_none())
            .collect();
        Ok(StatsPage {
            boot_id: "boot".to_owned(),
            sequence: 7,
            complete: true,
            next: None,
            domains: seen,
        })
    }
    fn domain(&self) -> Result<Option<&'a Table>, Fault> {
        Ok(self.state().map(|_| *self))
    }
    fn define(&self, xml: &str) -> Result<&'a Table, Fault> {
        let state = self.state().unwrap_or(code::STATE_OFF);
        *self.domain.borrow_mut() = Some((xml.to_owned(), state));
        Ok(self)
    }
}

impl Domain for &Table {
    fn stats(&self) -> Result<DomainStats, Fault> {
        let state = self.state().ok_or_else(|| Fault::not_found("gone"))?;
        Ok(DomainStats {
            run_id: RUN.to_owned(),
            state,
            reason: 1,
            generation: 3,
            spec_digest: "sha256:0".to_owned(),
            disks: self.disks.borrow().clone().into_iter().collect(),
            values: Vec::new(),
        })
    }
    fn act(&self, verb: u16) -> Result<(), Fault> {
        self.acts.borrow_mut().push(verb);
        let mut domain = self.domain.borrow_mut();
        let (_, state) = domain.as_mut().ok_or_else(|| Fault::not_found("gone"))?;
        match verb {
            act::ACT_START | act::ACT_RESUME => *state = code::STATE_RUNNING,
            act::ACT_SHUTDOWN if self.deaf => {}
            act::ACT_SHUTDOWN | act::ACT_DESTROY => *state = code::STATE_OFF,
            act::ACT_RESET | act::ACT_REBOOT => {}
            act::ACT_UNDEFINE => *domain = None,
            other => panic!("verb {other}"),
        }
        Ok(())
    }
    fn attach(&self, xml: &str, _: bool) -> Result<(), Fault> {
        let document = roxmltree::Document::parse(xml).unwrap();
        let text = |name: &str| document.descendants().find(|n| n.has_tag_name(name)).unwrap();
        let slot = text("alias")
            .attribute("name")
            .unwrap()
            .strip_prefix("ua-disk-")
            .unwrap()
            .parse()
            .unwrap();
        self.disks
            .borrow_mut()
            .insert(slot, text("serial").text().unwrap().to_owned());
        Ok(())
    }
    fn detach(&self, alias: &str, live: bool) -> Result<(), Fault> {
        if live && *self.holds_devices.borrow() {
            return Err(Fault::new(fault::BUSY, "the guest holds it"));
        }
        let slot = alias.strip_prefix("ua-disk-").unwrap().parse().unwrap();
        self.disks.borrow_mut().remove(&slot);
        Ok(())
    }
}

fn settings(json: &str) -> Settings {
    Settings::parse(json).unwrap()
}

fn is_working(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Working(_))
}

#[test]
fn the_text_holds_what_was_ordered_and_nothing_else() {
    let text = domain::render(&tag(), &spec(), Hypervisor::Tcg).unwrap();
    let document = roxmltree::Document::parse(&text).unwrap();
    let all = |name: &str| {
        document
            .descendants()
            .filter(move |n| n.has_tag_name(name))
            .collect::<Vec<_>>()
    };
    assert_eq!(document.root_element().attribute("type"), Some("qemu"));
    assert_eq!(all("uuid")[0].text(), Some(RUN));
    assert_eq!(all("title")[0].text(), Some("web <1> & 'co'"));
    assert_eq!(
        (all("memory")[0].text(), all("currentMemory")[0].text()),
        (Some("4096"), Some("2048"))
    );
    assert_eq!(
        (all("vcpu")[0].text(), all("vcpu")[0].attribute("current")),
        (Some("4"), Some("2"))
    );
    let owner = document
        .descendants()
        .find(|n| n.has_tag_name((domain::OWNER, "run")))
        .unwrap();
    assert_eq!(
        (owner.attribute("id"), owner.attribute("generation")),
        (Some(RUN), Some("3"))
    );
    assert_eq!(
        owner.attribute("spec-digest").unwrap().len(),
        "sha256:".len() + 64
    );
    let sources: Vec<_> = all("source")
        .iter()
        .map(|n| n.attributes().next().unwrap().value())
        .collect();
    assert_eq!(
        sources,
        [
            "/pool/volume-0.qcow2",
            "/pool/volume-1.qcow2",
            "/seeds/run.iso",
            "velum0",
            "velum0"
        ],
        "disks by slot, then the seed, then NICs"
    );
    let formats: Vec<_> = all("driver")
        .iter()
        .map(|n| n.attribute("type").unwrap())
        .collect();
    assert_eq!(formats, ["qcow2", "qcow2", "raw"]);
    let devices: Vec<_> = all("devices")[0]
        .children()
        .filter(|n| n.is_element())
        .map(|n| n.tag_name().name())
        .collect();
    assert_eq!(
        devices,
        [
            "disk",
            "disk",
            "disk",
            "interface",
            "interface",
            "serial",
            "console"
        ]
    );
    assert_eq!(all("readonly").len(), 1);
}

fn unit(slot: u16) -> Disk {
    let disk = disk(slot);
    Disk {
        attachment: Attachment {
            kind: storage::ATTACH_ISCSI,
            format: storage::FORMAT_RAW,
            params: vec![
                Attr::text(storage::PARAM_PORTAL, "[fd00::9]:3260"),
                Attr::text(storage::PARAM_TARGET, "iqn.2026-01.example.array:g1"),
                Attr::number(storage::PARAM_LUN, 3),
                Attr::text(storage::PARAM_USER, "velum-1"),
            ],
            secret: Some("chap-1".to_owned()),
            ..disk.attachment
        },
        ..disk
    }
}

#[test]
fn a_unit_of_iscsi_is_named_with_its_portal_and_the_name_of_its_secret() {
    let text = domain::render_disk(&unit(1)).unwrap();
    let document = roxmltree::Document::parse(&text).unwrap();
    let found = |name: &str, attribute: &str| {
        let element = document.descendants().find(|n| n.has_tag_name(name)).unwrap();
        element.attribute(attribute).unwrap().to_owned()
    };
    assert_eq!(found("disk", "type"), "network");
    assert_eq!(found("source", "protocol"), "iscsi");
    assert_eq!(found("source", "name"), "iqn.2026-01.example.array:g1/3");
    assert_eq!(
        (found("host", "name"), found("host", "port")),
        ("fd00::9".to_owned(), "3260".to_owned())
    );
    assert_eq!(
        (found("auth", "username"), found("secret", "usage")),
        ("velum-1".to_owned(), "chap-1".to_owned())
    );
    let open = Disk {
        attachment: Attachment {
            secret: None,
            ..unit(1).attachment
        },
        ..unit(1)
    };
    assert!(!domain::render_disk(&open).unwrap().contains("auth"));
    for missing in [
        storage::PARAM_PORTAL,
        storage::PARAM_TARGET,
        storage::PARAM_LUN,
        storage::PARAM_USER,
    ] {
        let mut disk = unit(1);
        disk.attachment.params.retain(|attr| attr.code != missing);
        let refused = domain::render_disk(&disk).unwrap_err();
        assert_eq!((refused.code, refused.unchanged), (fault::INVALID, true));
        assert!(
            refused.detail.contains(&missing.to_string()),
            "{}",
            refused.detail
        );
    }
}

#[test]
fn the_same_order_is_the_same_text_and_another_has_another_digest() {
    let render = |spec: &GuestSpec| domain::render(&tag(), spec, Hypervisor::Kvm).unwrap();
    let mut shuffled = spec();
    shuffled.disks.reverse();
    shuffled.nics.reverse();
    assert_eq!(render(&spec()), render(&shuffled));
    let digest = |text: &str| text.split("spec-digest='").nth(1).unwrap()[..71].to_owned();
    shuffled.memory_mib += 1;
    assert_ne!(digest(&render(&spec())), digest(&render(&shuffled)));
}

#[test]
fn each_hypervisor_has_its_type() {
    for (hypervisor, domain_type, cpu, machine) in [
        (Hypervisor::Kvm, "kvm", true, Some("pc")),
        (Hypervisor::Tcg, "qemu", false, Some("pc")),
        (Hypervisor::Test, "test", false, None),
    ] {
        let text = domain::render(&tag(), &spec(), hypervisor).unwrap();
        let document = roxmltree::Document::parse(&text).unwrap();
        assert_eq!(document.root_element().attribute("type"), Some(domain_type));
        assert_eq!(document.descendants().any(|n| n.has_tag_name("cpu")), cpu);
        let os = document.descendants().find(|n| n.has_tag_name("type")).unwrap();
        assert_eq!(os.attribute("machine"), machine);
    }
}

#[test]
fn what_cannot_be_is_refused_before_anything_changes() {
    type Breaks = fn(&mut GuestSpec);
    let broken: [(&str, Breaks); 11] = [
        ("architecture", |s| s.arch = code::ARCH_AARCH64),
        ("vCPUs", |s| s.vcpus = 5),
        ("MiB", |s| s.memory_mib = 0),
        ("one slot", |s| s.disks[0].slot = 0),
        ("kind 6", |s| s.disks[0].attachment.kind = storage::ATTACH_RBD),
        ("format 9", |s| s.disks[0].attachment.format = 9),
        ("no path", |s| s.disks[0].attachment.params.clear()),
        ("absolute", |s| {
            s.disks[0].attachment.params = vec![Attr::text(storage::PARAM_PATH, "pool/x")]
        }),
        ("kind 32769", |s| s.nics[0].kind = code::NIC_SIMULATED),
        ("critical", |s| s.attrs.push(Attr::flag(0x4100, true))),
        ("XML", |s| s.nics[0].link = "br\0".to_owned()),
    ];
    for (word, breaks) in broken {
        let mut spec = spec();
        breaks(&mut spec);
        let fault = domain::render(&tag(), &spec, Hypervisor::Tcg).unwrap_err();
        assert!(
            fault.unchanged && fault.detail.contains(word),
            "{word}: {}",
            fault.detail
        );
    }
}

#[test]
fn the_road_from_ensure_to_remove_may_be_walked_twice() {
    let table = Table::default();
    let far = &table;
    let settings = settings("{}");
    for _ in 0..2 {
        assert_eq!(
            verbs::ensure(&far, &settings, &tag(), &spec()),
            Ok(Outcome::done())
        );
        assert_eq!(
            verbs::observe_run(&far, "n").unwrap().unwrap().state,
            code::STATE_OFF
        );
    }
    for _ in 0..2 {
        assert_eq!(
            verbs::start(&far, &settings, &tag(), &spec()),
            Ok(Outcome::done())
        );
        assert_eq!(
            verbs::observe(&far, "n", None).unwrap().runs[0].state,
            code::STATE_RUNNING
        );
    }
    assert_eq!(verbs::reboot(&far, true), Ok(Outcome::done()));
    for _ in 0..2 {
        assert_eq!(verbs::shutdown(&far), Ok(Outcome::done()));
        assert_eq!(verbs::kill(&far), Ok(Outcome::done()));
    }
    assert_eq!(verbs::reboot(&far, false).unwrap_err().code, fault::INVALID);
    for _ in 0..2 {
        assert_eq!(verbs::remove(&far), Ok(Outcome::done()));
        assert_eq!(verbs::observe_run(&far, "n"), Ok(None));
    }
    assert_eq!(verbs::reboot(&far, false).unwrap_err().code, fault::NOT_FOUND);
    assert_eq!(verbs::kill(&far), Ok(Outcome::done()));
    let acts = table.acts.borrow();
    assert_eq!(acts.iter().filter(|verb| **verb == act::ACT_START).count(), 1);
}

#[test]
fn kvm_comes_from_the_facts() {
    for (kvm, domain_type) in [(true, "type='kvm'"), (false, "type='qemu'")] {
        let table = Table {
            kvm,
            ..Table::default()
        };
        verbs::ensure(&&table, &settings("{}"), &tag(), &spec()).unwrap();
        assert!(table.domain.borrow().as_ref().unwrap().0.contains(domain_type));
    }
}

#[test]
fn a_start_without_a_definition_defines() {
    let table = Table::default();
    verbs::start(&&table, &settings("{}"), &tag(), &spec()).unwrap();
    assert_eq!(table.state(), Some(code::STATE_RUNNING));
}

#[test]
fn removing_a_running_guest_turns_it_off_first() {
    let table = Table::with(code::STATE_RUNNING);
    verbs::remove(&&table).unwrap();
    assert_eq!(*table.acts.borrow(), [act::ACT_DESTROY, act::ACT_UNDEFINE]);
}

#[test]
fn a_guest_that_does_not_listen_is_waited_for() {
    let table = Table {
        deaf: true,
        ..Table::with(code::STATE_RUNNING)
    };
    let far = &table;
    let Outcome::Working(job) = verbs::shutdown(&far).unwrap() else {
        panic!("it is not off")
    };
    assert!(is_working(&verbs::poll(&far, &job.token).unwrap()));
    assert_eq!(verbs::cancel(&job.token).unwrap_err().code, fault::UNSUPPORTED);
    verbs::kill(&far).unwrap();
    assert_eq!(verbs::poll(&far, &job.token), Ok(Outcome::done()));
    assert_eq!(verbs::poll(&far, "other").unwrap_err().code, fault::INVALID);
}

#[test]
fn a_disk_comes_and_goes_and_its_slot_is_its_own() {
    let table = Table::with(code::STATE_RUNNING);
    let far = &table;
    for _ in 0..2 {
        assert_eq!(verbs::attach_disk(&far, &disk(2)), Ok(Outcome::done()));
    }
    let mut other = disk(2);
    other.attachment.identity = "volume-9".to_owned();
    assert_eq!(
        verbs::attach_disk(&far, &other).unwrap_err().code,
        fault::EXISTS_DIFFERENT
    );
    *table.holds_devices.borrow_mut() = true;
    let Outcome::Working(job) = verbs::detach_disk(&far, 2).unwrap() else {
        panic!("the guest holds it")
    };
    assert!(is_working(&verbs::poll(&far, &job.token).unwrap()));
    *table.holds_devices.borrow_mut() = false;
    assert_eq!(verbs::poll(&far, &job.token), Ok(Outcome::done()));
    assert_eq!(verbs::detach_disk(&far, 2), Ok(Outcome::done()));
    assert!(table.disks.borrow().is_empty());
}

#[test]
fn the_serial_console_is_a_stream_of_the_domain() {
    let table = Table::with(code::STATE_RUNNING);
    let place = verbs::locate(&&table, code::CONSOLE_SERIAL).unwrap();
    assert_eq!((place.kind, place.via, place.locator.as_str()), (1, 1, "serial0"));
    assert_eq!(
        verbs::locate(&&table, code::CONSOLE_VNC).unwrap_err().code,
        fault::UNSUPPORTED
    );
    assert_eq!(
        verbs::locate(&&Table::default(), code::CONSOLE_SERIAL)
            .unwrap_err()
            .code,
        fault::NOT_FOUND
    );
}

#[test]
fn a_probe_says_what_the_machine_is() {
    let facts = verbs::probe(&&Table::default()).unwrap();
    assert_eq!(
        (facts.node.as_str(), facts.vcpus, facts.memory_mib),
        ("node1", 8, 16_384)
    );
}

proptest! {
    #[test]
    fn names_and_paths_never_change_the_shape_of_the_text(name in any::<String>(), path in any::<String>(), link in any::<String>()) {
        let mut spec = spec();
        let plain = domain::render(&tag(), &spec, Hypervisor::Tcg).unwrap();
        spec.attrs = vec![Attr::text(code::GUEST_NAME, format!("n{name}")), Attr::text(code::GUEST_SEED, format!("/{path}"))];
        spec.nics[0].link = link;
        if let Ok(text) = domain::render(&tag(), &spec, Hypervisor::Tcg) {
            let shape = |text: &str| -> Vec<String> {
                let document = roxmltree::Document::parse(text).unwrap();
                document.descendants().filter(|n| n.is_element()).map(|n| n.tag_name().name().to_owned()).collect()
            };
            prop_assert_eq!(shape(&text), shape(&plain));
        }
    }
}
