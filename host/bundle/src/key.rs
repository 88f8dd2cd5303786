//! Keys: ed25519, as PEM texts that OpenSSL also reads and writes.

use std::fmt;

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use velum_model::plugin::Digest;

use crate::{digest, pem};

/// What stands before the 32 bytes of a seed in PKCS #8 version 1 (RFC 8410, section 7).
const PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
/// What stands before the 32 bytes of a public key in a SubjectPublicKeyInfo (RFC 8410, section 4).
const SPKI: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
const PRIVATE: &str = "PRIVATE KEY";
const PUBLIC: &str = "PUBLIC KEY";

/// The text is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not a PEM text of the kind that was asked for.
    #[error("it is no PEM text with '-----BEGIN {0}-----'")]
    Pem(&'static str),
    /// A private key where a public one belongs: nobody should have been sent it.
    #[error("it is a private key; give the public one, and keep this one to yourself")]
    Private,
    /// PEM, and no ed25519 key inside.
    #[error(
        "it is no ed25519 key ({0}); `velum plugin keygen` makes one, and so does `openssl genpkey -algorithm ed25519`"
    )]
    NotEd25519(&'static str),
    /// A point of small order: what it "signed" could have been signed by anybody.
    #[error("it is a key that anybody can sign for")]
    Weak,
}

/// A key that signs.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    seed: [u8; 32],
}

impl SigningKey {
    /// The key of a seed: 32 bytes that nobody can guess, from wherever the caller has its chance.
    ///
    /// # Errors
    /// [`KeyError::NotEd25519`] when no key can be made of it, which does not happen with 32 bytes.
    pub fn from_seed(seed: [u8; 32]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| KeyError::NotEd25519("seed"))?;
        Ok(Self { pair, seed })
    }

    /// Reads a PEM text (PKCS #8, version 1: what OpenSSL writes).
    ///
    /// # Errors
    /// [`KeyError`] says what it is instead.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let der = pem::decode(text, PRIVATE).ok_or(KeyError::Pem(PRIVATE))?;
        let seed = der.strip_prefix(&PKCS8).and_then(|seed| seed.try_into().ok());
        Self::from_seed(seed.ok_or(KeyError::NotEd25519("not PKCS #8 of version 1 with 32 bytes"))?)
    }

    /// The PEM text. It is a secret.
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem::encode(&[PKCS8.as_slice(), &self.seed].concat(), PRIVATE)
    }

    /// The half that may be shown.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.pair.public_key().as_ref());
        PublicKey(bytes)
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public().id())
    }
}

/// A key that verifies.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Reads a PEM text (SubjectPublicKeyInfo).
    ///
    /// # Errors
    /// [`KeyError`] says what it is instead.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        if text.contains("PRIVATE KEY-----") {
            return Err(KeyError::Private);
        }
        let der = pem::decode(text, PUBLIC).ok_or(KeyError::Pem(PUBLIC))?;
        let bytes: Option<[u8; 32]> = der.strip_prefix(&SPKI).and_then(|bytes| bytes.try_into().ok());
        let bytes = bytes.ok_or(KeyError::NotEd25519("not its SubjectPublicKeyInfo"))?;
        if is_weak(&bytes) {
            return Err(KeyError::Weak);
        }
        Ok(Self(bytes))
    }

    /// The PEM text.
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem::encode(&self.der(), PUBLIC)
    }

    /// Its id: the SHA-256 of the key as DER, as `openssl pkey -pubin -outform DER | sha256sum` shows it.
    #[must_use]
    pub fn id(&self) -> Digest {
        digest(&self.der())
    }

    fn der(&self) -> Vec<u8> {
        [SPKI.as_slice(), &self.0].concat()
    }

    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0)
            .verify(message, signature)
            .is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}

/// Whether a key is one of the points of small order, in any of their encodings. For these a signature can be made that fits
/// many messages without a secret. Their y coordinates, little-endian, with the sign bit left out: 0, 1, -1, the two of
/// order 8, and 0, 1 again as p and p + 1.
fn is_weak(key: &[u8; 32]) -> bool {
    const ORDER_8: [&str; 2] = [
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    ];
    let mut y = *key;
    y[31] &= 0x7f;
    // 2^255 - 19 + n, for n of -1, 0 and 1, begins with these bytes and is ff up to its last.
    let near_p = y[1..31].iter().all(|b| *b == 0xff) && y[31] == 0x7f && (0xec..=0xee).contains(&y[0]);
    let small = y[1..].iter().all(|b| *b == 0) && y[0] <= 1;
    near_p || small || ORDER_8.contains(&hex::encode(y).as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 8410, section 10.3 and 10.1.
    const RFC_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
        -----END PRIVATE KEY-----\n";
    const RFC_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
        -----END PUBLIC KEY-----\n";

    #[test]
    fn the_keys_of_the_standard_are_read_and_written() {
        let key = SigningKey::from_pem(RFC_PRIVATE).unwrap();
        assert_eq!(key.to_pem(), RFC_PRIVATE);
        assert_eq!(key.public().to_pem(), RFC_PUBLIC);
        assert_eq!(PublicKey::from_pem(RFC_PUBLIC).unwrap(), key.public());
    }

    #[test]
    fn what_is_no_key_is_refused_by_what_it_is() {
        assert_eq!(PublicKey::from_pem(RFC_PRIVATE), Err(KeyError::Private));
        assert_eq!(PublicKey::from_pem("hello"), Err(KeyError::Pem(PUBLIC)));
        assert_eq!(
            SigningKey::from_pem(RFC_PUBLIC).unwrap_err(),
            KeyError::Pem(PRIVATE)
        );
        let short = pem::encode(&SPKI, PUBLIC);
        assert!(matches!(
            PublicKey::from_pem(&short),
            Err(KeyError::NotEd25519(_))
        ));
    }

    #[test]
    fn points_of_small_order_are_no_keys() {
        for y in [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0100000000000000000000000000000000000000000000000000000000000080",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        ] {
            let der = [SPKI.to_vec(), hex::decode(y).unwrap()].concat();
            let text = pem::encode(&der, PUBLIC);
            assert_eq!(PublicKey::from_pem(&text), Err(KeyError::Weak), "{y}");
        }
    }

    #[test]
    fn a_secret_is_not_printed() {
        let key = SigningKey::from_pem(RFC_PRIVATE).unwrap();
        assert_eq!(format!("{key:?}"), format!("SigningKey({})", key.public().id()));
    }
}
