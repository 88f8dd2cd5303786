//! A DSSE envelope (secure-systems-lab/dsse 1.0.2): a payload, its type, and signatures over both.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use serde::{Deserialize, Serialize};
use velum_model::plugin::Digest;

use crate::{
    descriptor::json,
    error::{BundleError, size_of},
    key::{PublicKey, SigningKey},
    limits,
};

/// A payload with its signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    payload_type: String,
    payload: Vec<u8>,
    signatures: Vec<Signature>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Signature {
    key_id: String,
    bytes: Vec<u8>,
}

/// As it is written.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    payload_type: String,
    payload: String,
    signatures: Vec<WrittenSignature>,
}

#[derive(Serialize, Deserialize)]
struct WrittenSignature {
    #[serde(default)]
    keyid: String,
    sig: String,
}

impl Envelope {
    /// Signs a payload with one key.
    pub fn sign(key: &SigningKey, payload_type: &str, payload: Vec<u8>) -> Self {
        let signature = Signature {
            key_id: key.public().id().to_string(),
            bytes: key.sign(&pae(payload_type, &payload)),
        };
        Self {
            payload_type: payload_type.to_owned(),
            payload,
            signatures: vec![signature],
        }
    }

    /// Reads an envelope; it is not believed thereby.
    pub fn parse(bytes: &[u8]) -> Result<Self, BundleError> {
        let refused = |problem: String| BundleError::document("signature", problem);
        BundleError::bound("signature", size_of(bytes), limits::ENVELOPE)?;
        let written: Written = serde_json::from_slice(bytes)
            .map_err(|error| refused(format!("it is no DSSE envelope: {error}")))?;
        if written.signatures.len() > limits::SIGNATURES_OF_ENVELOPE {
            return Err(refused(format!(
                "one envelope has more than {} signatures",
                limits::SIGNATURES_OF_ENVELOPE
            )));
        }
        let decode = |field: &str, text: &str| {
            // A verifier takes both alphabets (DSSE, "envelope").
            STANDARD
                .decode(text)
                .or_else(|_| URL_SAFE.decode(text))
                .map_err(|_| refused(format!("{field} is not base64")))
        };
        let signatures = written
            .signatures
            .iter()
            .map(|signature| {
                Ok(Signature {
                    key_id: signature.keyid.clone(),
                    bytes: decode("sig", &signature.sig)?,
                })
            })
            .collect::<Result<_, BundleError>>()?;
        Ok(Self {
            payload: decode("payload", &written.payload)?,
            payload_type: written.payload_type,
            signatures,
        })
    }

    /// The envelope as it is written.
    pub fn to_bytes(&self) -> Vec<u8> {
        json(&Written {
            payload_type: self.payload_type.clone(),
            payload: STANDARD.encode(&self.payload),
            signatures: self
                .signatures
                .iter()
                .map(|signature| WrittenSignature {
                    keyid: signature.key_id.clone(),
                    sig: STANDARD.encode(&signature.bytes),
                })
                .collect(),
        })
    }

    /// What it speaks of.
    pub fn payload_type(&self) -> &str {
        &self.payload_type
    }

    /// The payload: to be believed only after [`Self::is_of`].
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Ids of the keys that it claims to be signed with.
    pub fn key_ids(&self) -> impl Iterator<Item = &str> {
        self.signatures.iter().map(|signature| signature.key_id.as_str())
    }

    /// Whether it claims one signature, with the key of this id.
    pub fn is_only_of(&self, id: &Digest) -> bool {
        self.signatures.len() == 1 && self.key_ids().all(|claimed| claimed == id.as_str())
    }

    /// Whether a signature that claims to be of this key is.
    pub fn is_of(&self, key: &PublicKey) -> bool {
        let id = key.id();
        let message = pae(&self.payload_type, &self.payload);
        self.signatures
            .iter()
            .filter(|signature| signature.key_id == id.as_str())
            .any(|signature| key.verifies(&message, &signature.bytes))
    }
}

/// The pre-authentication encoding: what is signed. Lengths stand before contents, so that no two pairs of type and
/// payload have the same one.
fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut message = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    message.extend_from_slice(payload);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_is_the_one_of_the_protocol_document() {
        let example = pae("http://example.com/HelloWorld", b"hello world");
        assert_eq!(
            String::from_utf8(example).unwrap(),
            "DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn an_envelope_is_read_in_both_alphabets_and_only_as_one() {
        let written = br#"{"payloadType":"t","payload":"-_8=","signatures":[{"sig":"+/8="}]}"#;
        let envelope = Envelope::parse(written).unwrap();
        assert_eq!(envelope.payload(), [0xfb, 0xff]);
        assert_eq!(Envelope::parse(&envelope.to_bytes()).unwrap(), envelope);
        let many = [r#"{"sig":""}"#; 5].join(",");
        for odd in [
            "{}".to_owned(),
            r#"{"payloadType":"t","payload":"*","signatures":[]}"#.to_owned(),
            format!(r#"{{"payloadType":"t","payload":"","signatures":[{many}]}}"#),
        ] {
            assert!(Envelope::parse(odd.as_bytes()).is_err(), "{odd}");
        }
    }
}
