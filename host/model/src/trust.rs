//! Whose word a plugin is: publishers with their keys, and who may use a plugin's name.

use std::cmp::Ordering;

use crate::{
    id::{PublisherId, PublisherKeyId},
    name::Name,
    plugin::Digest,
    time::Timestamp,
};

/// Who makes plugins: a vendor, a team.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publisher {
    /// Its id.
    pub id: PublisherId,
    /// Its name, as signatures spell it. Unique, and never changed.
    pub name: Name,
    /// One line for people.
    pub description: String,
    /// Grows with every change.
    pub generation: u64,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A key that a publisher signs with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublisherKey {
    /// Its id.
    pub id: PublisherKeyId,
    /// Whose.
    pub publisher: PublisherId,
    /// What signatures call it: a digest of the key. Unique over all publishers.
    pub key_id: String,
    /// The public key, PEM.
    pub public_key: String,
    /// Who added it.
    pub added_by: String,
    /// When it was added.
    pub created_at: Timestamp,
    /// When and why it was revoked. What is signed with it is not trusted from then on.
    pub revoked: Option<Revocation>,
}

/// Why a key is not trusted any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// When.
    pub at: Timestamp,
    /// Who said so.
    pub by: String,
    /// In words.
    pub reason: String,
}

/// Whose word a plugin is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It lay in the configured directory when a server started: the operator's own word.
    Directory,
    /// Nobody signed it: an administrator allowed its very digest, or the server takes what is unsigned.
    Unsigned {
        /// Who let it in.
        allowed_by: String,
    },
    /// A publisher signed it.
    Signed(Signature),
}

/// A signature that was checked when the plugin was installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Whose.
    pub publisher: PublisherId,
    /// Its name.
    pub publisher_name: Name,
    /// With which key.
    pub key: PublisherKeyId,
    /// What signatures call the key.
    pub key_id: String,
    /// When the key was revoked; set also for plugins that were installed before.
    pub revoked_at: Option<Timestamp>,
}

impl Origin {
    /// The word of it that is stored and shown.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::Unsigned { .. } => "unsigned",
            Self::Signed(_) => "signed",
        }
    }

    /// When the key behind it was revoked.
    #[must_use]
    pub const fn revoked_at(&self) -> Option<Timestamp> {
        match self {
            Self::Signed(signature) => signature.revoked_at,
            Self::Directory | Self::Unsigned { .. } => None,
        }
    }
}

/// To whom the name of a plugin belongs, for as long as the cloud lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameHolder {
    /// The operator: it first came from the configured directory.
    Operator,
    /// Nobody yet: it first came unsigned. The first publisher who signs one takes it.
    Nobody,
    /// This publisher.
    Publisher(PublisherId),
}

impl NameHolder {
    /// The word that is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Nobody => "nobody",
            Self::Publisher(_) => "publisher",
        }
    }
}

/// The name of a plugin, with the highest version that its publisher ever had installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginName {
    /// The name.
    pub name: Name,
    /// Whose.
    pub holder: NameHolder,
    /// The highest signed version, and what it was made of.
    pub highest: Option<(String, Digest)>,
}

/// Compares versions by the rules of semantic versioning: numbers as numbers, a pre-release before its release, what
/// stands behind `+` not at all.
#[must_use]
pub fn compare_versions(one: &str, other: &str) -> Ordering {
    let (one, other) = (Version::of(one), Version::of(other));
    one.core
        .cmp(&other.core)
        .then_with(|| match (one.before, other.before) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(one), Some(other)) => compare_parts(one, other),
        })
}

struct Version<'a> {
    core: Vec<u64>,
    before: Option<&'a str>,
}

impl<'a> Version<'a> {
    fn of(text: &'a str) -> Self {
        let text = text.split('+').next().unwrap_or(text);
        let (core, before) = match text.split_once('-') {
            Some((core, before)) => (core, Some(before)),
            None => (text, None),
        };
        let core = core.split('.').map(|part| part.parse().unwrap_or(0)).collect();
        Self { core, before }
    }
}

/// Parts that are numbers come before words; of two texts that begin alike the longer one is later.
fn compare_parts(one: &str, other: &str) -> Ordering {
    let (mut left, mut right) = (one.split('.'), other.split('.'));
    loop {
        let ordering = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(a), Some(b)) => match (a.parse::<u64>(), b.parse::<u64>()) {
                (Ok(a), Ok(b)) => a.cmp(&b),
                (Ok(_), Err(_)) => Ordering::Less,
                (Err(_), Ok(_)) => Ordering::Greater,
                (Err(_), Err(_)) => a.cmp(b),
            },
        };
        if ordering != Ordering::Equal {
            return ordering;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_semantic_versioning_orders_them() {
        let ascending = [
            "0.9.9",
            "0.10.0-alpha",
            "0.10.0-alpha.1",
            "0.10.0-alpha.beta",
            "0.10.0-beta.2",
            "0.10.0-beta.11",
            "0.10.0-rc.1",
            "0.10.0",
            "1.0.0",
            "1.0.10",
        ];
        for pair in ascending.windows(2) {
            assert_eq!(compare_versions(pair[0], pair[1]), Ordering::Less, "{pair:?}");
            assert_eq!(compare_versions(pair[1], pair[0]), Ordering::Greater, "{pair:?}");
        }
        assert_eq!(compare_versions("1.2.3+a", "1.2.3+b"), Ordering::Equal);
    }
}
