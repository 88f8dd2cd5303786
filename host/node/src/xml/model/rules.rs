//! The table of the closed model.

use super::{Rule, Value, rule};

const YES_NO: Value = Value::Word(&["yes", "no"]);
const ON_OFF: Value = Value::Word(&["on", "off"]);
const UNITS: Value = Value::Word(&["b", "bytes", "KiB", "MiB", "GiB", "k", "KB"]);

/// Devices of one kind in a domain: the PCI slots of a machine type, four times over.
const DEVICES: usize = 128;

pub(super) const RULES: &[Rule] = &[
    rule(
        "domain",
        &[("type", Value::Word(&["kvm", "qemu", "test"]))],
        Value::Empty,
        1,
    ),
    rule("domain/name", &[], Value::Name, 1),
    rule("domain/uuid", &[], Value::Name, 1),
    rule("domain/title", &[], Value::Title, 1),
    rule("domain/metadata", &[], Value::Empty, 1),
    rule(
        "domain/metadata/velum:run",
        &[
            ("id", Value::Name),
            ("generation", Value::Number(u64::MAX)),
            ("spec-digest", Value::Name),
        ],
        Value::Empty,
        1,
    ),
    rule("domain/memory", &[("unit", UNITS)], Value::Number(u64::MAX), 1),
    rule(
        "domain/currentMemory",
        &[("unit", UNITS)],
        Value::Number(u64::MAX),
        1,
    ),
    rule(
        "domain/vcpu",
        &[
            ("placement", Value::Word(&["static"])),
            ("current", Value::Number(4096)),
        ],
        Value::Number(4096),
        1,
    ),
    rule("domain/os", &[], Value::Empty, 1),
    rule(
        "domain/os/type",
        &[
            ("arch", Value::Word(&["x86_64", "aarch64", "i686"])),
            ("machine", Value::Name),
        ],
        Value::Word(&["hvm"]),
        1,
    ),
    rule(
        "domain/os/boot",
        &[("dev", Value::Word(&["hd", "cdrom"]))],
        Value::Empty,
        2,
    ),
    rule(
        "domain/os/bootmenu",
        &[("enable", YES_NO), ("timeout", Value::Number(65_535))],
        Value::Empty,
        1,
    ),
    rule(
        "domain/os/bios",
        &[("useserial", YES_NO), ("rebootTimeout", Value::Number(65_535))],
        Value::Empty,
        1,
    ),
    rule("domain/features", &[], Value::Empty, 1),
    rule("domain/features/acpi", &[], Value::Empty, 1),
    rule("domain/features/apic", &[], Value::Empty, 1),
    rule("domain/features/pae", &[], Value::Empty, 1),
    rule("domain/features/vmport", &[("state", ON_OFF)], Value::Empty, 1),
    rule(
        "domain/cpu",
        &[
            (
                "mode",
                Value::Word(&["host-passthrough", "host-model", "maximum", "custom"]),
            ),
            ("match", Value::Word(&["minimum", "exact", "strict"])),
            ("check", Value::Word(&["none", "partial", "full"])),
            ("migratable", ON_OFF),
        ],
        Value::Empty,
        1,
    ),
    rule(
        "domain/cpu/model",
        &[("fallback", Value::Word(&["allow", "forbid"]))],
        Value::Name,
        1,
    ),
    rule(
        "domain/cpu/topology",
        &[
            ("sockets", Value::Number(4096)),
            ("dies", Value::Number(4096)),
            ("clusters", Value::Number(4096)),
            ("cores", Value::Number(4096)),
            ("threads", Value::Number(4096)),
        ],
        Value::Empty,
        1,
    ),
    rule(
        "domain/cpu/feature",
        &[
            (
                "policy",
                Value::Word(&["force", "require", "optional", "disable", "forbid"]),
            ),
            ("name", Value::Name),
        ],
        Value::Empty,
        DEVICES,
    ),
    rule(
        "domain/clock",
        &[("offset", Value::Word(&["utc"]))],
        Value::Empty,
        1,
    ),
    rule(
        "domain/clock/timer",
        &[
            (
                "name",
                Value::Word(&["rtc", "pit", "hpet", "tsc", "kvmclock", "hypervclock"]),
            ),
            (
                "tickpolicy",
                Value::Word(&["delay", "catchup", "merge", "discard"]),
            ),
            ("present", YES_NO),
        ],
        Value::Empty,
        6,
    ),
    rule("domain/on_poweroff", &[], Value::Word(&["destroy"]), 1),
    rule("domain/on_reboot", &[], Value::Word(&["restart", "destroy"]), 1),
    rule(
        "domain/on_crash",
        &[],
        Value::Word(&["destroy", "restart", "preserve"]),
        1,
    ),
    rule("domain/pm", &[], Value::Empty, 1),
    rule(
        "domain/pm/suspend-to-mem",
        &[("enabled", YES_NO)],
        Value::Empty,
        1,
    ),
    rule(
        "domain/pm/suspend-to-disk",
        &[("enabled", YES_NO)],
        Value::Empty,
        1,
    ),
    rule("domain/devices", &[], Value::Empty, 1),
    rule(
        "domain/devices/disk",
        &[
            ("type", Value::Word(&["file", "block", "network"])),
            ("device", Value::Word(&["disk", "cdrom"])),
        ],
        Value::Empty,
        DEVICES,
    ),
    rule(
        "domain/devices/disk/driver",
        &[
            ("name", Value::Word(&["qemu"])),
            ("type", Value::Word(&["raw", "qcow2"])),
            (
                "cache",
                Value::Word(&["default", "none", "writeback", "writethrough", "directsync"]),
            ),
            ("io", Value::Word(&["threads", "native", "io_uring"])),
            ("discard", Value::Word(&["ignore", "unmap"])),
            ("detect_zeroes", Value::Word(&["off", "on", "unmap"])),
            ("queues", Value::Number(64)),
        ],
        Value::Empty,
        1,
    ),
    rule(
        "domain/devices/disk/source",
        &[
            ("file", Value::Path),
            ("dev", Value::Path),
            ("protocol", Value::Word(&["iscsi"])),
            ("name", Value::Unit),
        ],
        Value::Empty,
        1,
    ),
    rule(
        "domain/devices/disk/source/host",
        &[("name", Value::Name), ("port", Value::Number(65_535))],
        Value::Empty,
        1,
    ),
    rule(
        "domain/devices/disk/source/auth",
        &[("username", Value::Name)],
        Value::Empty,
        1,
    ),
    rule(
        "domain/devices/disk/source/auth/secret",
        &[("type", Value::Word(&["iscsi"])), ("usage", Value::Name)],
        Value::Empty,
        1,
    ),
    rule(
        "domain/devices/disk/target",
        &[
            ("dev", Value::Name),
            ("bus", Value::Word(&["virtio", "sata", "scsi", "ide"])),
        ],
        Value::Empty,
        1,
    ),
    rule("domain/devices/disk/readonly", &[], Value::Empty, 1),
    rule("domain/devices/disk/serial", &[], Value::Name, 1),
    rule(
        "domain/devices/disk/boot",
        &[("order", Value::Number(256))],
        Value::Empty,
        1,
    ),
    rule(
        "domain/devices/disk/alias",
        &[("name", Value::Name)],
        Value::Empty,
        1,
    ),
    rule(
        "domain/devices/interface",
        &[("type", Value::Word(&["bridge", "network"]))],
        Value::Empty,
        DEVICES,
    ),
    rule(
        "domain/devices/interface/mac",
        &[("address", Value::Name)],
        Value::Empty,
        1,
    ),
    rule(
        "domain/devices/interface/source",
        &[("bridge", Value::Name), ("network", Value::Name)],
        Value::Empty,
        1,
    ),
    rule(
        "domain/devices/interface/model",
        &[("type", Value::Word(&["virtio", "e1000", "e1000e", "rtl8139"]))],
        Value::Empty,
        1,
    ),
    rule(
        "domain/devices/interface/driver",
        &[
            ("name", Value::Word(&["qemu", "vhost"])),
            ("queues", Value::Number(64)),
        ],
        Value::Empty,
        1,
    ),
    rule(
        "domain/devices/interface/boot",
        &[("order", Value::Number(256))],
        Value::Empty,
        1,
    ),
    rule(
        "domain/devices/interface/mtu",
        &[("size", Value::Number(65_535))],
        Value::Empty,
        1,
    ),
    rule(
        "domain/devices/interface/alias",
        &[("name", Value::Name)],
        Value::Empty,
        1,
    ),
    rule(
        "domain/devices/controller",
        &[
            (
                "type",
                Value::Word(&["pci", "usb", "sata", "scsi", "ide", "virtio-serial"]),
            ),
            ("index", Value::Number(256)),
            ("model", Value::Name),
            ("ports", Value::Number(64)),
        ],
        Value::Empty,
        DEVICES,
    ),
    rule(
        "domain/devices/serial",
        &[("type", Value::Word(&["pty"]))],
        Value::Empty,
        1,
    ),
    rule(
        "domain/devices/serial/target",
        &[("type", Value::Name), ("port", Value::Number(0))],
        Value::Empty,
        1,
    ),
    rule(
        "domain/devices/serial/target/model",
        &[("name", Value::Name)],
        Value::Empty,
        1,
    ),
    rule(
        "domain/devices/serial/alias",
        &[("name", Value::Name)],
        Value::Empty,
        1,
    ),
    rule(
        "domain/devices/console",
        &[("type", Value::Word(&["pty"]))],
        Value::Empty,
        1,
    ),
    rule(
        "domain/devices/console/target",
        &[("type", Value::Word(&["serial"])), ("port", Value::Number(0))],
        Value::Empty,
        1,
    ),
    rule(
        "domain/devices/console/alias",
        &[("name", Value::Name)],
        Value::Empty,
        1,
    ),
    rule(
        "domain/devices/channel",
        &[("type", Value::Word(&["unix"]))],
        Value::Empty,
        1,
    ),
    rule(
        "domain/devices/channel/target",
        &[
            ("type", Value::Word(&["virtio"])),
            ("name", Value::Word(&["org.qemu.guest_agent.0"])),
        ],
        Value::Empty,
        1,
    ),
    rule(
        "domain/devices/input",
        &[
            ("type", Value::Word(&["tablet", "keyboard", "mouse"])),
            ("bus", Value::Word(&["usb", "virtio", "ps2"])),
        ],
        Value::Empty,
        4,
    ),
    rule(
        "domain/devices/graphics",
        &[
            ("type", Value::Word(&["vnc"])),
            ("port", Value::Word(&["-1"])),
            ("autoport", Value::Word(&["yes"])),
            ("listen", Value::Word(&["127.0.0.1"])),
        ],
        Value::Empty,
        1,
    ),
    rule("domain/devices/video", &[], Value::Empty, 1),
    rule(
        "domain/devices/video/model",
        &[("type", Value::Word(&["virtio", "vga", "bochs", "cirrus", "none"]))],
        Value::Empty,
        1,
    ),
    rule(
        "domain/devices/rng",
        &[("model", Value::Word(&["virtio"]))],
        Value::Empty,
        1,
    ),
    rule(
        "domain/devices/rng/backend",
        &[("model", Value::Word(&["random"]))],
        Value::Word(&["/dev/urandom"]),
        1,
    ),
    rule(
        "domain/devices/memballoon",
        &[("model", Value::Word(&["virtio", "none"]))],
        Value::Empty,
        1,
    ),
    rule(
        "domain/devices/watchdog",
        &[
            ("model", Value::Word(&["i6300esb", "itco", "diag288"])),
            (
                "action",
                Value::Word(&["reset", "poweroff", "shutdown", "pause", "none"]),
            ),
        ],
        Value::Empty,
        1,
    ),
    rule(
        "domain/devices/panic",
        &[("model", Value::Word(&["isa", "pvpanic"]))],
        Value::Empty,
        1,
    ),
];
