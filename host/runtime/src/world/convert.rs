//! `velum:common@0.1` and the ports' types, each way; what comes from a guest is checked on the way.

use uuid::Uuid;
use velum_model::{
    fault::{Fault, code},
    iscsi::IscsiUnit,
    port::{
        Effect, Job, Outcome,
        storage::{Attachment, Initiator, registry},
        target::{Attr, AttrValue, Target},
    },
};

use super::bindings::velum::common::types as wit;
use crate::grant::log::clean;

/// Attributes in one list.
const MAX_ATTRS: usize = 64;
/// Bytes of the value of one attribute.
const MAX_ATTR_BYTES: usize = 64 * 1024;
/// Bytes of the token of long work; it is stored in a row.
const MAX_TOKEN_BYTES: usize = 4096;
/// Bit of a code that says: refuse what you do not know.
const CRITICAL: u16 = 0x4000;
/// Between two polls at least this long, whatever the plugin says: each is a call into a sandbox and a far side.
const MIN_POLL_MS: u32 = 100;
/// And at most this long, so that a lost answer is found.
const MAX_POLL_MS: u32 = 60_000;

/// What a check found wrong.
pub type Checked<T> = Result<T, String>;

/// Attributes for a guest.
#[must_use]
pub fn attrs_to_guest(attrs: &[Attr]) -> Vec<wit::Attr> {
    attrs
        .iter()
        .map(|attr| wit::Attr {
            code: attr.code,
            value: match &attr.value {
                AttrValue::Number(number) => wit::Value::Number(*number),
                AttrValue::Text(text) => wit::Value::Text(text.clone()),
                AttrValue::Bytes(bytes) => wit::Value::Bytes(bytes.clone()),
                AttrValue::Flag(flag) => wit::Value::Flag(*flag),
            },
        })
        .collect()
}

/// Attributes from a guest.
pub fn attrs(field: &str, attrs: Vec<wit::Attr>) -> Checked<Vec<Attr>> {
    at_most(field, attrs.len(), MAX_ATTRS)?;
    attrs
        .into_iter()
        .map(|attr| {
            // No critical code is registered: whoever sends one wants to be refused by those who do not know it.
            if attr.code & CRITICAL != 0 {
                return Err(format!(
                    "{field}: the critical attribute {:#06x} is not known here",
                    attr.code
                ));
            }
            let value = match attr.value {
                wit::Value::Number(number) => AttrValue::Number(number),
                wit::Value::Text(text) => {
                    at_most(field, text.len(), MAX_ATTR_BYTES)?;
                    AttrValue::Text(text)
                }
                wit::Value::Bytes(bytes) => {
                    at_most(field, bytes.len(), MAX_ATTR_BYTES)?;
                    AttrValue::Bytes(bytes)
                }
                wit::Value::Flag(flag) => AttrValue::Flag(flag),
            };
            Ok(Attr {
                code: attr.code,
                value,
            })
        })
        .collect()
}

/// A fault for a guest.
#[must_use]
pub fn fault_to_guest(fault: Fault) -> wit::Fault {
    wit::Fault {
        code: fault.code,
        unchanged: fault.unchanged,
        retry_after_ms: fault.retry_after_ms,
        detail: fault.detail,
        attrs: Vec::new(),
    }
}

/// A fault from a guest. Codes that only the server may say become `FAILED`.
#[must_use]
pub fn fault_from_guest(fault: wit::Fault) -> Fault {
    let code = match fault.code {
        0 | code::TRAPPED | code::NONSENSE | code::UNAVAILABLE => code::FAILED,
        code => code,
    };
    Fault {
        code,
        unchanged: fault.unchanged,
        retry_after_ms: fault.retry_after_ms,
        detail: clean(&fault.detail, 1000),
    }
}

/// An effect for a guest.
#[must_use]
pub fn effect(effect: &Effect) -> wit::Effect {
    wit::Effect {
        id: effect.id.to_string(),
        attempt: effect.attempt,
        deadline_ms: effect.deadline_ms,
    }
}

/// An outcome for a guest (of a connector).
#[must_use]
pub fn outcome_to_guest(outcome: Outcome) -> wit::Outcome {
    match outcome {
        Outcome::Done(attrs) => wit::Outcome::Done(attrs_to_guest(&attrs)),
        Outcome::Working(job) => wit::Outcome::Working(wit::Job {
            token: job.token,
            poll_after_ms: job.poll_after_ms,
            permyriad: job.permyriad,
            cancellable: job.cancellable,
            note: job.note,
        }),
    }
}

/// An outcome from a guest.
pub fn outcome(outcome: wit::Outcome) -> Checked<Outcome> {
    match outcome {
        wit::Outcome::Done(done) => attrs("done", done).map(Outcome::Done),
        wit::Outcome::Working(job) => {
            if job.token.is_empty() || job.token.len() > MAX_TOKEN_BYTES {
                return Err(format!("working.token has 1 to {MAX_TOKEN_BYTES} bytes"));
            }
            if job.permyriad.is_some_and(|progress| progress > 10_000) {
                return Err("working.permyriad is at most 10000".to_owned());
            }
            Ok(Outcome::Working(Job {
                token: job.token,
                poll_after_ms: job.poll_after_ms.clamp(MIN_POLL_MS, MAX_POLL_MS),
                permyriad: job.permyriad,
                cancellable: job.cancellable,
                note: clean(&job.note, 300),
            }))
        }
    }
}

/// An attachment for a guest.
#[must_use]
pub fn attachment_to_guest(attachment: &Attachment) -> wit::Attachment {
    wit::Attachment {
        kind: attachment.kind,
        format: attachment.format,
        identity: attachment.identity.clone(),
        size_bytes: attachment.size_bytes,
        params: attrs_to_guest(&attachment.params),
        secret: attachment.secret.clone(),
    }
}

/// An attachment from a provider, believed only inside what the operator granted the pool.
pub fn attachment(pool: &Target, from: wit::Attachment) -> Checked<Attachment> {
    if ![registry::FORMAT_RAW, registry::FORMAT_QCOW2].contains(&from.format) {
        return Err(format!("attachment.format {} is not known", from.format));
    }
    if from.size_bytes == 0 {
        return Err("attachment.size-bytes is 0".to_owned());
    }
    let attachment = Attachment {
        kind: from.kind,
        format: from.format,
        identity: text("attachment.identity", from.identity, 256)?,
        size_bytes: from.size_bytes,
        params: attrs("attachment.params", from.params)?,
        secret: from
            .secret
            .map(|name| text("attachment.secret", name, 128))
            .transpose()?,
    };
    granted(pool, &attachment)?;
    Ok(attachment)
}

/// Law of trust: portals, prefixes and directories are the operator's words, not the plugin's.
fn granted(pool: &Target, attachment: &Attachment) -> Checked<()> {
    match attachment.kind {
        registry::ATTACH_SIMULATED => Ok(()),
        registry::ATTACH_FILE => {
            let directory = pool
                .config
                .get("directory")
                .and_then(serde_json::Value::as_str)
                .ok_or("attachment: the pool's settings name no directory, so no file is granted")?;
            let path = path_of(attachment)?;
            let inside = path
                .strip_prefix(directory.trim_end_matches('/'))
                .and_then(|rest| rest.strip_prefix('/'))
                .is_some_and(|name| !name.is_empty());
            if inside {
                Ok(())
            } else {
                Err(format!(
                    "attachment: the path {} is outside the pool's directory",
                    clean(path, 200)
                ))
            }
        }
        registry::ATTACH_BLOCK => {
            let path = path_of(attachment)?;
            if path.starts_with("/dev/") {
                Ok(())
            } else {
                Err(format!("attachment: {} is no device", clean(path, 200)))
            }
        }
        registry::ATTACH_ISCSI => iscsi_granted(pool, attachment),
        kind => Err(format!(
            "attachment.kind {kind} is not granted to pools of this server"
        )),
    }
}

/// `portals` and `iqn_prefixes` of the pool's settings are all that a unit may be reached at and belong to.
fn iscsi_granted(pool: &Target, attachment: &Attachment) -> Checked<()> {
    let unit = IscsiUnit::of(attachment).map_err(|why| format!("attachment.params: {why}"))?;
    if attachment.format != registry::FORMAT_RAW {
        return Err("attachment.format: a unit of iSCSI is raw (1)".to_owned());
    }
    let listed = |key: &str| -> Vec<&str> {
        let values = pool.config.get(key).and_then(serde_json::Value::as_array);
        let texts = values.into_iter().flatten().filter_map(serde_json::Value::as_str);
        texts.collect()
    };
    let portal = unit.portal;
    if !listed("portals")
        .iter()
        .any(|granted| granted.parse() == Ok(portal))
    {
        return Err(format!(
            "attachment: the portal {portal} is none of the pool's settings (portals)"
        ));
    }
    let within = |prefix: &&str| {
        let rest = unit.target.strip_prefix(*prefix);
        // `iqn.2026-01.example` does not grant what `iqn.2026-01.example-2` names.
        rest.is_some_and(|rest| rest.is_empty() || prefix.ends_with(':') || rest.starts_with([':', '.']))
    };
    if !listed("iqn_prefixes").iter().any(within) {
        return Err(format!(
            "attachment: the target {} is under none of the prefixes of the pool's settings (iqn_prefixes)",
            unit.target
        ));
    }
    Ok(())
}

/// The absolute path without detours that an attachment names.
fn path_of(attachment: &Attachment) -> Checked<&str> {
    let path = attachment
        .params
        .iter()
        .find_map(|attr| match (&attr.value, attr.code) {
            (AttrValue::Text(path), registry::PARAM_PATH) => Some(path.as_str()),
            _ => None,
        })
        .ok_or("attachment.params: the path (1, text) is missing")?;
    let plain = path.starts_with('/')
        && path.len() <= 1024
        && !path.chars().any(char::is_control)
        && path
            .split('/')
            .skip(1)
            .all(|part| !matches!(part, "" | "." | ".."));
    if plain {
        Ok(path)
    } else {
        Err("attachment.params: the path is absolute, without empty parts, '.' and '..'".to_owned())
    }
}

/// An initiator for a guest.
#[must_use]
pub fn initiator_to_guest(initiator: &Initiator) -> wit::Initiator {
    wit::Initiator {
        kind: initiator.kind,
        value: initiator.value.clone(),
    }
}

/// Initiators from a guest.
pub fn initiators(from: Vec<wit::Initiator>) -> Checked<Vec<Initiator>> {
    at_most("initiators", from.len(), 64)?;
    from.into_iter()
        .map(|initiator| {
            Ok(Initiator {
                kind: initiator.kind,
                value: text("initiators.value", initiator.value, 256)?,
            })
        })
        .collect()
}

/// A text that stands in rows, logs and answers: not empty, at most `max` bytes, no control characters.
pub fn text(field: &str, text: String, max: usize) -> Checked<String> {
    if text.is_empty() {
        return Err(format!("{field} is empty"));
    }
    words(field, text, max)
}

/// The same, may be empty.
pub fn words(field: &str, text: String, max: usize) -> Checked<String> {
    at_most(field, text.len(), max)?;
    if text.chars().any(char::is_control) {
        return Err(format!("{field} has control characters"));
    }
    Ok(text)
}

/// A UUID.
pub fn uuid(field: &str, text: &str) -> Checked<Uuid> {
    Uuid::parse_str(text).map_err(|_| format!("{field} '{}' is no UUID", clean(text, 64)))
}

/// A bound of a list or text.
pub fn at_most(field: &str, got: usize, max: usize) -> Checked<()> {
    if got > max {
        Err(format!("{field} has {got} entries or bytes; {max} are allowed"))
    } else {
        Ok(())
    }
}

/// Where the next page begins: a mark that the plugin gave, and not the one that it was given.
pub fn next(after: Option<&str>, next: Option<String>) -> Checked<Option<String>> {
    let next = next.map(|mark| text("next", mark, 1024)).transpose()?;
    if next.is_some() && next.as_deref() == after {
        return Err("next is the page that was asked for".to_owned());
    }
    Ok(next)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use velum_model::port::TargetKind;

    use super::*;

    fn pool(config: serde_json::Value) -> Target {
        Target {
            kind: TargetKind::StoragePool,
            id: Uuid::nil(),
            config,
            node: None,
            endpoint: None,
            secret: None,
        }
    }

    fn at(kind: u16, path: &str) -> wit::Attachment {
        wit::Attachment {
            kind,
            format: 2,
            identity: "x".to_owned(),
            size_bytes: 1,
            params: vec![wit::Attr {
                code: 1,
                value: wit::Value::Text(path.to_owned()),
            }],
            secret: None,
        }
    }

    #[test]
    fn a_file_is_believed_only_inside_the_directory_of_its_pool() {
        let pool = pool(json!({"directory": "/srv/pool/"}));
        assert!(attachment(&pool, at(1, "/srv/pool/a.qcow2")).is_ok());
        for path in [
            "/etc/shadow",
            "/srv/pool",
            "/srv/pool/",
            "/srv/pool/../x",
            "/srv/pools/a",
            "a",
            "/srv/pool//a",
        ] {
            assert!(attachment(&pool, at(1, path)).is_err(), "{path}");
        }
        assert!(attachment(&pool, at(2, "/etc/shadow")).is_err());
    }

    fn unit(portal: &str, target: &str) -> wit::Attachment {
        let text = |code, text: &str| wit::Attr {
            code,
            value: wit::Value::Text(text.to_owned()),
        };
        wit::Attachment {
            kind: registry::ATTACH_ISCSI,
            format: registry::FORMAT_RAW,
            params: vec![
                text(registry::PARAM_PORTAL, portal),
                text(registry::PARAM_TARGET, target),
                wit::Attr {
                    code: registry::PARAM_LUN,
                    value: wit::Value::Number(1),
                },
            ],
            ..at(4, "")
        }
    }

    #[test]
    fn a_unit_is_believed_only_at_the_portals_and_under_the_prefixes_of_its_pool() {
        let pool = pool(json!({"portals": ["10.0.0.9:3260"], "iqn_prefixes": ["iqn.2026-01.example.array"]}));
        let good = "iqn.2026-01.example.array:g1";
        assert!(attachment(&pool, unit("10.0.0.9:3260", good)).is_ok());
        for (portal, target) in [
            ("10.0.0.9:3261", good),
            ("10.0.0.8:3260", good),
            ("array:3260", good),
            ("10.0.0.9:3260", "iqn.2026-01.example.array-2:g1"),
            ("10.0.0.9:3260", "iqn.2026-01.example"),
            ("10.0.0.9:3260", "IQN.2026-01.example.array:g1"),
        ] {
            assert!(
                attachment(&pool, unit(portal, target)).is_err(),
                "{portal} {target}"
            );
        }
        let qcow2 = wit::Attachment {
            format: registry::FORMAT_QCOW2,
            ..unit("10.0.0.9:3260", good)
        };
        assert!(attachment(&pool, qcow2).is_err());
        let ungranted = Target {
            config: json!({}),
            ..pool
        };
        assert!(attachment(&ungranted, unit("10.0.0.9:3260", good)).is_err());
    }

    #[test]
    fn a_pool_without_a_directory_grants_no_file() {
        assert!(attachment(&pool(json!({})), at(1, "/srv/pool/a")).is_err());
        assert!(attachment(&pool(json!({})), at(registry::ATTACH_SIMULATED, "/x")).is_ok());
    }

    #[test]
    fn a_guest_cannot_say_what_only_the_server_says() {
        let fault = fault_from_guest(wit::Fault {
            code: code::TRAPPED,
            unchanged: true,
            retry_after_ms: None,
            detail: "a\nb".to_owned(),
            attrs: Vec::new(),
        });
        assert_eq!((fault.code, fault.detail.as_str()), (code::FAILED, "a b"));
        let polled = outcome(wit::Outcome::Working(wit::Job {
            token: "t".to_owned(),
            poll_after_ms: 0,
            permyriad: None,
            cancellable: false,
            note: String::new(),
        }));
        assert!(matches!(polled, Ok(Outcome::Working(job)) if job.poll_after_ms == MIN_POLL_MS));
        let critical = wit::Attr {
            code: 0x4001,
            value: wit::Value::Flag(true),
        };
        assert!(outcome(wit::Outcome::Done(vec![critical])).is_err());
    }
}
