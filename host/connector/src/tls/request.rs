//! A certificate request (PKCS #10), of which only the key is taken.

use rcgen::{PKCS_ECDSA_P256_SHA256, PublicKeyData, SignatureAlgorithm};
use tokio_rustls::rustls::{
    SignatureScheme,
    pki_types::{CertificateSigningRequestDer, pem::PemObject as _},
};

use super::provider;

/// The longest request that is read: one with a key on a curve has less than 1 KiB.
const REQUEST_MAX: usize = 8 << 10;

/// What stands before the point of a public key on the curve P-256 (RFC 5480): the one kind of key that nodes make.
const KEY_HEAD: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// An uncompressed point: one byte that says so, and two numbers of 32 bytes.
const POINT: usize = 65;
/// ECDSA with SHA-256 (RFC 5758).
const ALGORITHM: [u8; 12] = [
    0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02,
];

/// The public key of a request whose maker has the private one.
pub(super) struct RequestedKey(Vec<u8>);

impl PublicKeyData for RequestedKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl RequestedKey {
    /// Reads a request and checks its signature; in words why not.
    pub(super) fn read(pem: &str) -> Result<Self, String> {
        if pem.len() > REQUEST_MAX {
            return Err(format!("a request has at most {REQUEST_MAX} bytes"));
        }
        let wrong =
            |why: &dyn std::fmt::Display| format!("this is no certificate request (PKCS #10, PEM): {why}");
        let der = CertificateSigningRequestDer::from_pem_slice(pem.as_bytes()).map_err(|why| wrong(&why))?;
        let (signed, algorithm, (signature, bits)) = yasna::parse_der(&der, |reader| {
            reader.read_sequence(|request| {
                Ok((
                    request.next().read_der()?,
                    request.next().read_der()?,
                    request.next().read_bitvec_bytes()?,
                ))
            })
        })
        .map_err(|why| wrong(&why))?;
        let key = yasna::parse_der(&signed, |reader| {
            reader.read_sequence(|info| {
                info.next().read_u8()?;
                info.next().read_der()?;
                let key = info.next().read_der()?;
                info.read_optional(|attributes| attributes.read_der())?;
                Ok(key)
            })
        })
        .map_err(|why| wrong(&why))?;
        let point = key.strip_prefix(&KEY_HEAD).filter(|point| point.len() == POINT);
        let point = point.ok_or_else(|| "its key must be one on the curve P-256".to_owned())?;
        if algorithm != ALGORITHM || bits != signature.len() * 8 {
            return Err("it must be signed by ECDSA with SHA-256".to_owned());
        }
        let provider = provider();
        let algorithms = provider.signature_verification_algorithms.mapping;
        let verified = algorithms
            .iter()
            .filter(|(scheme, _)| *scheme == SignatureScheme::ECDSA_NISTP256_SHA256)
            .flat_map(|(_, algorithms)| algorithms.iter())
            .any(|algorithm| algorithm.verify_signature(point, &signed, &signature).is_ok());
        if !verified {
            return Err("whoever made the request does not have its key".to_owned());
        }
        Ok(Self(point.to_vec()))
    }
}
