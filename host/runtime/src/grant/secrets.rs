//! `velum:connect/secrets`: secrets that the server makes and keeps. A plugin learns only names; a value leaves the
//! server in a request to the target that it was made for.

use std::sync::Arc;

use uuid::Uuid;
use velum_model::{
    chance::{self, Ids},
    fault::{Fault, code},
};

use crate::{errand::Errand, grant::state::StateStore};

/// Bytes of a purpose.
const MAX_PURPOSE_BYTES: usize = 32;
/// 64 characters that need no quoting anywhere: each carries 6 bits.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Makes secrets and finds them again.
#[derive(Clone)]
pub struct SecretKeeper {
    store: Arc<dyn StateStore>,
    ids: Arc<dyn Ids>,
}

impl SecretKeeper {
    /// Keeps secrets in `store`, which nothing else uses.
    #[must_use]
    pub fn new(store: Arc<dyn StateStore>, ids: Arc<dyn Ids>) -> Self {
        Self { store, ids }
    }

    /// Makes the secret of a target for a purpose, or finds it. Answers its name.
    async fn mint(&self, plugin: &str, target: Uuid, purpose: &str, length: usize) -> Result<String, Fault> {
        let name = format!("{purpose}-{}", chance::derived(target, purpose));
        let key = format!("{target}/{name}");
        if self.store.get(plugin, &key).await?.is_some() {
            return Ok(name);
        }
        match self.store.put(plugin, &key, 0, self.characters(length)).await {
            Ok(_) => Ok(name),
            // Another call made it between the two.
            Err(fault) if fault.code == code::BUSY => Ok(name),
            Err(fault) => Err(fault),
        }
    }

    fn characters(&self, length: usize) -> Vec<u8> {
        let mut characters = Vec::with_capacity(length);
        while characters.len() < length {
            let left = length - characters.len();
            let bytes = self.ids.secret();
            characters.extend(
                bytes
                    .iter()
                    .take(left)
                    .map(|byte| ALPHABET[usize::from(byte & 63)]),
            );
        }
        characters
    }

    /// A secret that was made for this plugin and target.
    ///
    /// # Errors
    /// `NOT_FOUND`.
    pub async fn find(&self, plugin: &str, target: Uuid, name: &str) -> Result<Vec<u8>, Fault> {
        self.store
            .get(plugin, &format!("{target}/{name}"))
            .await?
            .map(|kept| kept.value)
            .ok_or_else(|| Fault::unchanged(code::NOT_FOUND, "no secret of this target has that name"))
    }
}

impl Errand {
    /// Makes a secret of this call's target for a purpose, or finds it. Answers its name.
    ///
    /// # Errors
    /// `DENIED` without the grant, `INVALID` for what is no purpose or length.
    pub async fn mint(&self, purpose: &str, length: u16) -> Result<String, Fault> {
        self.granted("secrets")?;
        let fits = !purpose.is_empty()
            && purpose.len() <= MAX_PURPOSE_BYTES
            && purpose
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !fits || !(8..=256).contains(&length) {
            return Err(Fault::unchanged(
                code::INVALID,
                "a purpose has 1 to 32 of a-z, 0-9 and '-', a secret 8 to 256 characters",
            ));
        }
        let plugin = self.plugin.manifest.name.as_str();
        let target = self.place.target.id;
        self.within(self.ports.secrets.mint(plugin, target, purpose, length.into()))
            .await
    }

    /// The value of a secret of this call's target, for a request to it.
    ///
    /// # Errors
    /// `DENIED` without the grant, `NOT_FOUND`.
    pub async fn secret(&self, name: &str) -> Result<Vec<u8>, Fault> {
        self.granted("secrets")?;
        let plugin = self.plugin.manifest.name.as_str();
        self.within(self.ports.secrets.find(plugin, self.place.target.id, name))
            .await
    }
}

/// A secret as it stands in a body: 1 inside a JSON string, 2 as it is, 3 as base64.
///
/// # Errors
/// `INVALID` for another encoding.
pub fn spliced(secret: &[u8], encoding: u8) -> Result<Vec<u8>, Fault> {
    match encoding {
        1 => {
            let text = String::from_utf8_lossy(secret);
            let quoted = serde_json::Value::from(text.as_ref()).to_string();
            let inner = quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
            Ok(inner.unwrap_or_default().as_bytes().to_vec())
        }
        2 => Ok(secret.to_vec()),
        3 => Ok(base64(secret)),
        _ => Err(Fault::unchanged(
            code::INVALID,
            format!("encoding {encoding} of a secret is not known"),
        )),
    }
}

/// Base64 with padding.
fn base64(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = Vec::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for position in 0..4 {
            let digit = (group >> (18 - 6 * position)) & 63;
            text.push(if position > chunk.len() {
                b'='
            } else {
                DIGITS[digit as usize]
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grant::state::FileState;

    struct Dice;
    impl Ids for Dice {
        fn uuid(&self) -> Uuid {
            Uuid::nil()
        }
        fn seed(&self) -> u64 {
            0
        }
        fn secret(&self) -> [u8; 32] {
            std::array::from_fn(|index| u8::try_from(index * 7).unwrap())
        }
    }

    #[tokio::test]
    async fn a_secret_is_made_once_and_belongs_to_one_plugin_and_target() {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(FileState::open(directory.path()).unwrap());
        let keeper = SecretKeeper::new(store, Arc::new(Dice));
        let (target, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let name = keeper.mint("array", target, "chap", 40).await.unwrap();
        let value = keeper.find("array", target, &name).await.unwrap();
        assert_eq!(value.len(), 40);
        assert!(value.iter().all(u8::is_ascii_graphic));
        assert_eq!(keeper.mint("array", target, "chap", 12).await.unwrap(), name);
        assert_eq!(keeper.find("array", target, &name).await.unwrap(), value);
        assert!(keeper.find("array", other, &name).await.is_err());
        assert!(keeper.find("thief", target, &name).await.is_err());
    }

    #[test]
    fn a_secret_is_spliced_as_its_place_needs_it() {
        assert_eq!(spliced(b"a\"b", 1).unwrap(), br#"a\"b"#);
        assert_eq!(spliced(b"a\"b", 2).unwrap(), b"a\"b");
        for (plain, encoded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
        ] {
            assert_eq!(spliced(plain.as_bytes(), 3).unwrap(), encoded.as_bytes());
        }
        assert!(spliced(b"", 9).is_err());
    }
}
