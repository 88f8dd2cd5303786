//! libvirt's secret objects: what QEMU logs in with to a unit. They are there while a call needs them and no longer:
//! ephemeral (libvirt writes them to no disk) and private (it tells the value to nobody), and each goes with the call that
//! it was made for. QEMU has its own copy by then.

use roxmltree::Document;
use uuid::Uuid;
use velum_model::{
    chance::derived,
    fault::{Fault, code},
    port::Secret,
};
use virt::{connect::Connect, error::ErrorNumber, secret};

use super::fault::faulted;
use crate::{held::Held, xml::view::WantedSecret};

/// Before the run's id in what an object is used for.
const PREFIX: &str = "velum-";

/// What the secret of a run's disk is used for, as a domain names it.
#[must_use]
pub fn usage(run: Uuid, alias: &str) -> String {
    format!("{PREFIX}{run}-{alias}")
}

/// Objects of one call; they go when it ends.
struct Objects<'a> {
    held: &'a Held,
    made: Vec<(Uuid, secret::Secret)>,
}

impl Drop for Objects<'_> {
    fn drop(&mut self) {
        for (object, secret) in &self.made {
            match secret.undefine() {
                Err(error) if error.code() != ErrorNumber::NoSecret => {
                    tracing::warn!(%object, %error, "a secret object stays until the next look");
                }
                _ => {}
            }
            self.held.mark(*object, false);
        }
    }
}

/// Does something that opens disks for which libvirt must know secrets.
///
/// # Errors
/// `UNAVAILABLE` when a secret was not handed over; as libvirt says; what `work` answers.
pub fn with_secrets<T>(
    connect: &Connect,
    wanted: &[WantedSecret],
    held: &Held,
    work: impl FnOnce() -> Result<T, Fault>,
) -> Result<T, Fault> {
    let mut objects = Objects {
        held,
        made: Vec::with_capacity(wanted.len()),
    };
    for wanted in wanted {
        let value = held.secret(&wanted.identity)?;
        define(connect, &wanted.usage, &value, &mut objects)?;
    }
    work()
}

fn define(connect: &Connect, usage: &str, value: &Secret, objects: &mut Objects<'_>) -> Result<(), Fault> {
    if !usage
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
    {
        return Err(Fault::unchanged(
            code::INVALID,
            "the domain names a secret that is none of ours",
        ));
    }
    let object = derived(Uuid::nil(), usage);
    // Marked first: a look at the same time must not take it away.
    objects.held.mark(object, true);
    let text = format!(
        "<secret ephemeral='yes' private='yes'><uuid>{object}</uuid><description>Velum: a guest's disk</description>\
         <usage type='iscsi'><target>{usage}</target></usage></secret>"
    );
    let made = secret::Secret::define_xml(connect, &text, 0).map_err(|error| {
        objects.held.mark(object, false);
        unchanged(faulted("making the secret object of a disk", &error))
    })?;
    objects.made.push((object, made));
    let Some((_, made)) = objects.made.last() else {
        return Ok(());
    };
    made.set_value(value.bytes(), 0)
        .map_err(|error| unchanged(faulted("setting the secret of a disk", &error)))
}

/// A secret object changes no guest.
fn unchanged(fault: Fault) -> Fault {
    Fault {
        unchanged: true,
        ..fault
    }
}

/// Removes objects that a node left that died in the middle of a call. Answers how many.
///
/// # Errors
/// As libvirt says.
pub fn sweep(connect: &Connect, held: &Held) -> Result<usize, Fault> {
    let all = match connect.list_all_secrets(0) {
        Ok(all) => all,
        // Not every driver of libvirt keeps secrets.
        Err(error) if error.code() == ErrorNumber::NoSupport => return Ok(0),
        Err(error) => return Err(faulted("listing the secret objects", &error)),
    };
    let mut removed = 0;
    for object in all {
        let is_ours = object.get_xml_desc(0).is_ok_and(|text| is_ours(&text));
        let is_idle = object.get_uuid().is_ok_and(|uuid| !held.is_in_use(uuid));
        if is_ours && is_idle && object.undefine().is_ok() {
            removed += 1;
        }
    }
    Ok(removed)
}

/// Whether an object is one of ours, by its text: virt 0.4.3 frees what `get_usage_id` answers, which is libvirt's own.
fn is_ours(text: &str) -> bool {
    let Ok(document) = Document::parse(text) else {
        return false;
    };
    let usage = document
        .descendants()
        .find(|node| node.has_tag_name("usage") && node.attribute("type") == Some("iscsi"));
    let target = usage.and_then(|usage| usage.children().find(|node| node.has_tag_name("target")));
    target
        .and_then(|target| target.text())
        .is_some_and(|used_for| used_for.starts_with(PREFIX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_objects_for_our_disks_are_ours() {
        let object = |kind: &str, target: &str| {
            format!(
                "<secret ephemeral='yes'><uuid>u</uuid><usage type='{kind}'><target>{target}</target></usage></secret>"
            )
        };
        let own = usage(Uuid::nil(), "ua-disk-0");
        assert!(is_ours(&object("iscsi", &own)));
        for (kind, target) in [("ceph", own.as_str()), ("iscsi", "backup"), ("iscsi", "")] {
            assert!(!is_ours(&object(kind, target)), "{kind} {target}");
        }
        assert!(!is_ours("<secret/>") && !is_ours(""));
    }
}
