//! The closed model: every element that a driver's text may hold, with its attributes and texts. What is not here is
//! refused: emulators, command lines, kernels, host devices, security labels, file systems, hooks.

use super::element::Element;

/// What a value may be.
#[derive(Clone, Copy, Debug)]
enum Value {
    /// One of these words.
    Word(&'static [&'static str]),
    /// A decimal number up to this one.
    Number(u64),
    /// A name: letters, digits and `. _ : + -`, at most 80. Models, machine types, aliases, bridges.
    Name,
    /// An absolute path without `..`, control characters or commas (QEMU's option separator), at most 4,096 bytes. That
    /// it is the ordered one is checked afterwards.
    Path,
    /// What people read: at most 255 characters, none of them a control character.
    Title,
    /// Nothing.
    Empty,
}

/// One element of the model.
struct Rule {
    /// Names from the root, with `/` between.
    path: &'static str,
    /// Its attributes; each may be absent.
    attributes: &'static [(&'static str, Value)],
    /// Its text.
    text: Value,
    /// How often it may stand in its parent.
    most: usize,
}

const fn rule(
    path: &'static str,
    attributes: &'static [(&'static str, Value)],
    text: Value,
    most: usize,
) -> Rule {
    Rule {
        path,
        attributes,
        text,
        most,
    }
}

const YES_NO: Value = Value::Word(&["yes", "no"]);
const ON_OFF: Value = Value::Word(&["on", "off"]);
const UNITS: Value = Value::Word(&["b", "bytes", "KiB", "MiB", "GiB", "k", "KB"]);

/// Devices of one kind in a domain: the PCI slots of a machine type, four times over.
const DEVICES: usize = 128;

const RULES: &[Rule] = &[
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
            ("type", Value::Word(&["file", "block"])),
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
        &[("file", Value::Path), ("dev", Value::Path)],
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

impl Value {
    fn fits(self, text: &str) -> bool {
        match self {
            Self::Empty => text.is_empty(),
            Self::Word(words) => words.contains(&text),
            Self::Number(most) => {
                text.len() <= 20
                    && text.bytes().all(|b| b.is_ascii_digit())
                    && text.parse::<u64>().is_ok_and(|number| number <= most)
            }
            Self::Name => {
                !text.is_empty()
                    && text.len() <= 80
                    && text
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'+' | b'-'))
            }
            Self::Path => is_plain_path(text),
            Self::Title => text.chars().count() <= 255 && !text.chars().any(char::is_control),
        }
    }
}

/// An absolute path without dot segments, control characters and commas.
pub(super) fn is_plain_path(text: &str) -> bool {
    text.len() > 1
        && text.len() <= 4096
        && text.starts_with('/')
        && !text.ends_with('/')
        && text.chars().all(|c| !c.is_control() && c != ',')
        && text[1..]
            .split('/')
            .all(|segment| !matches!(segment, "" | "." | ".."))
}

/// Checks an element of the domain at `parent` (empty for the domain itself) against the model.
///
/// # Errors
/// In words: which element or attribute is not known, or which value does not fit.
pub(super) fn check(element: &Element, parent: &str) -> Result<(), String> {
    let path = if parent.is_empty() {
        element.name.clone()
    } else {
        format!("{parent}/{}", element.name)
    };
    let rule = RULES
        .iter()
        .find(|rule| rule.path == path)
        .ok_or_else(|| format!("<{}> is not allowed at {path}", element.name))?;
    for (position, (name, value)) in element.attributes.iter().enumerate() {
        let known = rule
            .attributes
            .iter()
            .find(|(known, _)| known == name)
            .ok_or_else(|| format!("the attribute {name} is not allowed at {path}"))?;
        if element.attributes[..position]
            .iter()
            .any(|(earlier, _)| earlier == name)
        {
            return Err(format!("the attribute {name} stands twice at {path}"));
        }
        if !known.1.fits(value) {
            return Err(format!("{name}={value:?} is not allowed at {path}"));
        }
    }
    if !rule.text.fits(&element.text) {
        return Err(format!("the text {:?} is not allowed at {path}", element.text));
    }
    for (position, child) in element.children.iter().enumerate() {
        check(child, &path)?;
        let most = RULES
            .iter()
            .find(|rule| rule.path.strip_prefix(path.as_str()) == Some(&format!("/{}", child.name)))
            .map_or(0, |rule| rule.most);
        let before = element.children[..position]
            .iter()
            .filter(|other| other.name == child.name)
            .count();
        if before >= most {
            return Err(format!("{path} holds <{}> more than {most} times", child.name));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(xml: &str) -> String {
        check(&Element::read(xml).unwrap(), "").unwrap_err()
    }

    #[test]
    fn what_the_model_does_not_know_is_refused_by_name() {
        for (inside, named) in [
            ("<devices><emulator>/bin/sh</emulator></devices>", "emulator"),
            ("<os><kernel>/etc/shadow</kernel></os>", "kernel"),
            ("<os><loader>/etc/shadow</loader></os>", "loader"),
            (
                "<devices><hostdev mode='subsystem' type='pci'/></devices>",
                "hostdev",
            ),
            ("<devices><filesystem type='mount'/></devices>", "filesystem"),
            ("<devices><disk type='network'/></devices>", "network"),
            ("<devices><disk type='file' device='lun'/></devices>", "lun"),
            (
                "<devices><disk type='file'><backingStore/></disk></devices>",
                "backingStore",
            ),
            (
                "<devices><disk type='file'><source file='/a/../etc/shadow'/></disk></devices>",
                "file=",
            ),
            (
                "<devices><disk type='file'><source file='/a,file.filename=/b'/></disk></devices>",
                "file=",
            ),
            (
                "<devices><disk type='file'><source file='json:{}'/></disk></devices>",
                "file=",
            ),
            (
                "<devices><disk type='file'><source file='/a' startupPolicy='optional'/></disk></devices>",
                "startupPolicy",
            ),
            (
                "<devices><serial type='file'><source path='/etc/passwd'/></serial></devices>",
                "file",
            ),
            (
                "<devices><serial type='pty'><log file='/etc/passwd'/></serial></devices>",
                "log",
            ),
            (
                "<devices><interface type='bridge'><script path='/bin/sh'/></interface></devices>",
                "script",
            ),
            (
                "<devices><graphics type='vnc' listen='0.0.0.0'/></devices>",
                "listen",
            ),
            (
                "<devices><rng model='virtio'><backend model='random'>/etc/shadow</backend></rng></devices>",
                "shadow",
            ),
            ("<seclabel type='none'/>", "seclabel"),
            ("<memoryBacking/>", "memoryBacking"),
            ("<metadata><other/></metadata>", "other"),
            ("<metadata><q:x xmlns:q='urn:velum:run:1'/></metadata>", "velum:x"),
            ("<title>a\u{85}b</title>", "title"),
            ("<vcpu current='1' current2='2'>1</vcpu>", "current2"),
            ("<vcpu>1 </vcpu><vcpu>2</vcpu>", "more than 1"),
            ("<name>a b</name>", "text"),
            (
                "<clock offset='utc'><timer name='rtc' track='guest'/></clock>",
                "track",
            ),
        ] {
            let why = refused(&format!("<domain type='qemu'>{inside}</domain>"));
            assert!(why.contains(named), "{inside}: {why}");
        }
        assert!(refused("<domain type='lxc'/>").contains("lxc"));
        assert!(refused("<network/>").contains("network"));
    }

    #[test]
    fn each_rule_has_a_parent_and_stands_once() {
        for rule in RULES {
            assert_eq!(
                RULES.iter().filter(|r| r.path == rule.path).count(),
                1,
                "{}",
                rule.path
            );
            if let Some((parent, _)) = rule.path.rsplit_once('/') {
                assert!(RULES.iter().any(|r| r.path == parent), "{}", rule.path);
            }
        }
    }
}
