//! Names of iSCSI: where a unit is that an attachment of that kind speaks of.

use std::net::SocketAddr;

use crate::port::{
    storage::{Attachment, registry},
    target::AttrValue,
};

/// The longest name of a target or initiator (RFC 7143, 4.2.7.1).
const NAME_MAX: usize = 223;
/// Numbers of units that fit one level of addressing (SAM-5, flat space).
const LUN_MAX: u64 = 16_383;
/// The longest name of a CHAP user that arrays take.
const USER_MAX: usize = 64;

/// A unit at a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IscsiUnit {
    /// Where the target is reached.
    pub portal: SocketAddr,
    /// Name of the target, an IQN.
    pub target: String,
    /// Number of the unit there.
    pub lun: u16,
    /// Who logs in with the attachment's secret; none when the target asks for no secret.
    pub user: Option<String>,
}

/// Whether a text is an iSCSI qualified name in its normal form: `iqn.YYYY-MM.`, then lower case, digits, `.`, `-` and `:`.
#[must_use]
pub fn is_iqn(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("iqn.") else {
        return false;
    };
    let bytes = rest.as_bytes();
    let dated = bytes.len() > 8
        && bytes.iter().take(8).enumerate().all(|(at, byte)| match at {
            4 => *byte == b'-',
            7 => *byte == b'.',
            _ => byte.is_ascii_digit(),
        });
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b':');
    dated && text.len() <= NAME_MAX && rest.bytes().all(plain)
}

fn is_user(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':');
    !text.is_empty() && text.len() <= USER_MAX && text.bytes().all(plain)
}

impl IscsiUnit {
    /// The unit that an attachment of the kind iSCSI names.
    ///
    /// # Errors
    /// In words: which parameter is missing or is none.
    pub fn of(attachment: &Attachment) -> Result<Self, String> {
        let value = |code: u16| {
            let found = attachment.params.iter().find(|param| param.code == code);
            found.map(|param| &param.value)
        };
        let text = |code: u16, name: &str| match value(code) {
            Some(AttrValue::Text(text)) => Ok(text.as_str()),
            _ => Err(format!("the {name} ({code}, text) is missing")),
        };
        let portal = text(registry::PARAM_PORTAL, "portal")?
            .parse::<SocketAddr>()
            .map_err(|_| "the portal (2) is no address with a port, like 10.0.0.9:3260".to_owned())?;
        let target = text(registry::PARAM_TARGET, "name of the target")?;
        if !is_iqn(target) {
            return Err("the name of the target (3) is no IQN in lower case".to_owned());
        }
        let lun = match value(registry::PARAM_LUN) {
            Some(AttrValue::Number(lun)) if *lun <= LUN_MAX => u16::try_from(*lun).ok(),
            _ => None,
        };
        let lun = lun.ok_or_else(|| format!("the number of the unit (4) is none up to {LUN_MAX}"))?;
        let user = match (value(registry::PARAM_USER), &attachment.secret) {
            (None, None) => None,
            (Some(AttrValue::Text(user)), Some(_)) if is_user(user) => Some(user.clone()),
            (Some(_), Some(_)) => return Err("the user (5) is no name of a CHAP user".to_owned()),
            _ => return Err("a secret and its user (5) go together".to_owned()),
        };
        Ok(Self {
            portal,
            target: target.to_owned(),
            lun,
            user,
        })
    }

    /// As QEMU and libvirt write it: target and number.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}/{}", self.target, self.lun)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::target::Attr;

    fn attachment(params: Vec<Attr>, secret: Option<&str>) -> Attachment {
        Attachment {
            kind: registry::ATTACH_ISCSI,
            format: registry::FORMAT_RAW,
            identity: "S1".into(),
            size_bytes: 1,
            params,
            secret: secret.map(str::to_owned),
        }
    }

    fn whole() -> Vec<Attr> {
        vec![
            Attr::text(2, "10.0.0.9:3260"),
            Attr::text(3, "iqn.2026-01.example.array:g1"),
            Attr::number(4, 7),
            Attr::text(5, "velum-1"),
        ]
    }

    #[test]
    fn a_whole_attachment_names_a_unit() {
        let unit = IscsiUnit::of(&attachment(whole(), Some("chap"))).expect("a unit");
        assert_eq!(unit.path(), "iqn.2026-01.example.array:g1/7");
        assert_eq!(
            (unit.portal.port(), unit.user.as_deref()),
            (3260, Some("velum-1"))
        );
    }

    #[test]
    fn what_is_missing_or_none_is_named() {
        for (at, bad, named) in [
            (0, Attr::text(2, "array.example:3260"), "portal"),
            (1, Attr::text(3, "iqn.2026-01.example:a,b"), "target"),
            (1, Attr::text(3, "iqn.26-01.example:a"), "target"),
            (2, Attr::number(4, 16_384), "unit"),
            (2, Attr::text(4, "7"), "unit"),
            (3, Attr::text(5, "a b"), "user"),
        ] {
            let mut params = whole();
            params[at] = bad;
            let why = IscsiUnit::of(&attachment(params, Some("chap"))).unwrap_err();
            assert!(why.contains(named), "{why}");
        }
        let why = IscsiUnit::of(&attachment(whole(), None)).unwrap_err();
        assert!(why.contains("go together"), "{why}");
        let why = IscsiUnit::of(&attachment(whole()[..3].to_vec(), Some("chap"))).unwrap_err();
        assert!(why.contains("go together"), "{why}");
        assert!(IscsiUnit::of(&attachment(whole()[..3].to_vec(), None)).is_ok());
    }
}
