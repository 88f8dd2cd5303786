//! Whose word a bundle is.

use velum_model::{name::Name, plugin::Digest};

use crate::{envelope::Envelope, error::printable, key::PublicKey, media, statement::Statement};

/// A key that an operator took in for a publisher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedKey {
    /// Whose it is.
    pub publisher: Name,
    /// The key.
    pub key: PublicKey,
    /// Whether it was revoked: what it signs is refused, and says so.
    pub revoked: bool,
}

/// A bundle's signature is by a trusted key and about this bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Whose plugin it is.
    pub publisher: Name,
    /// The key that says so.
    pub key_id: Digest,
}

/// Why nobody's word stands for a bundle. Of several signatures the one that came furthest is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    /// There is no signature.
    #[error("it is not signed")]
    Unsigned,
    /// No trusted key signed it.
    #[error("it is signed with the key {key_id}, which is not trusted")]
    UnknownKey {
        /// The first key that it names.
        key_id: String,
    },
    /// A signature names a trusted key and is not by it.
    #[error("its signature does not fit the key {key_id} of {publisher}")]
    BadSignature {
        /// Whose the key is.
        publisher: Name,
        /// The key.
        key_id: Digest,
    },
    /// The key was revoked.
    #[error("it is signed with the key {key_id} of {publisher}, which was revoked")]
    Revoked {
        /// Whose the key was.
        publisher: Name,
        /// The key.
        key_id: Digest,
    },
    /// The signature is good, and what is signed is no statement about a plugin.
    #[error("what the key {key_id} of {publisher} signed is no statement about a plugin: {problem}")]
    NoStatement {
        /// Whose the key is.
        publisher: Name,
        /// The key.
        key_id: Digest,
        /// What is wrong with it.
        problem: String,
    },
    /// The signature is good, and it is about something else.
    #[error("its signature speaks of another thing: it says {field} {signed}, and here {field} is {here}")]
    OtherThing {
        /// What differs.
        field: &'static str,
        /// What was signed.
        signed: String,
        /// What is here, or whose key it is.
        here: String,
    },
}

impl Untrusted {
    /// How far a signature came.
    fn reached(&self) -> u8 {
        match self {
            Self::Unsigned => 0,
            Self::UnknownKey { .. } => 1,
            Self::BadSignature { .. } => 2,
            Self::Revoked { .. } => 3,
            Self::NoStatement { .. } => 4,
            Self::OtherThing { .. } => 5,
        }
    }
}

/// Judges envelopes by keys; `expected` is the statement that a publisher has to have made.
pub fn judge(
    envelopes: &[Envelope],
    keys: &[TrustedKey],
    expected: impl Fn(&Name) -> Statement,
) -> Result<Verified, Untrusted> {
    let mut why = Untrusted::Unsigned;
    for envelope in envelopes {
        for claimed in envelope.key_ids() {
            let known = keys
                .iter()
                .filter(|trusted| trusted.key.id().as_str() == claimed)
                .map(|trusted| judge_one(envelope, trusted, &expected));
            let unknown = Err(Untrusted::UnknownKey {
                key_id: printable(claimed),
            });
            for verdict in std::iter::once(unknown).chain(known) {
                match verdict {
                    Ok(verified) => return Ok(verified),
                    Err(reason) if reason.reached() > why.reached() => why = reason,
                    Err(_) => {}
                }
            }
        }
    }
    Err(why)
}

fn judge_one(
    envelope: &Envelope,
    trusted: &TrustedKey,
    expected: impl Fn(&Name) -> Statement,
) -> Result<Verified, Untrusted> {
    let publisher = trusted.publisher.clone();
    let key_id = trusted.key.id();
    if !envelope.is_of(&trusted.key) {
        return Err(Untrusted::BadSignature { publisher, key_id });
    }
    if trusted.revoked {
        return Err(Untrusted::Revoked { publisher, key_id });
    }
    if envelope.payload_type() != media::STATEMENT {
        return Err(Untrusted::NoStatement {
            publisher,
            key_id,
            problem: format!("its type is '{}'", printable(envelope.payload_type())),
        });
    }
    let signed: Statement = match serde_json::from_slice(envelope.payload()) {
        Ok(statement) => statement,
        Err(error) => {
            return Err(Untrusted::NoStatement {
                publisher,
                key_id,
                problem: printable(&error.to_string()),
            });
        }
    };
    if let Some((field, signed, here)) = signed.difference(&expected(&publisher)) {
        return Err(Untrusted::OtherThing { field, signed, here });
    }
    Ok(Verified { publisher, key_id })
}
