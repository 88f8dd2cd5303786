//! The closed model: every element that a driver's text may hold, with its attributes and texts. What is not here is
//! refused: emulators, command lines, kernels, host devices, security labels, file systems, hooks.

mod rules;

use velum_model::iscsi::is_iqn;

use self::rules::RULES;
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
    /// A unit of iSCSI: the name of a target, a slash, a number.
    Unit,
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
            Self::Unit => text
                .split_once('/')
                .is_some_and(|(target, unit)| is_iqn(target) && Self::Number(16_383).fits(unit)),
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
            ("<devices><disk type='nvme'/></devices>", "nvme"),
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
    fn a_unit_is_named_by_target_and_number_and_nothing_else() {
        for (inside, named) in [
            ("<source protocol='rbd'/>", "protocol"),
            ("<source protocol='iscsi' name='iqn.2026-01.a:b,x=y/1'/>", "name="),
            ("<source protocol='iscsi' name='iqn.2026-01.a:b/16384'/>", "name="),
            ("<source protocol='iscsi'><initiator/></source>", "initiator"),
            (
                "<source protocol='iscsi'><auth username='a b'/></source>",
                "username",
            ),
        ] {
            let why = refused(&format!(
                "<domain type='qemu'><devices><disk type='network'>{inside}</disk></devices></domain>"
            ));
            assert!(why.contains(named), "{inside}: {why}");
        }
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
