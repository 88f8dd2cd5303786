//! The port of the authority: what makes certificates for the machines of a cloud.

use crate::{
    enrolment::{HostPort, Identity},
    time::Timestamp,
};

/// The authority of a cloud. Nothing here waits: a signature takes less than a millisecond.
pub trait Authority: Send + Sync {
    /// SHA-256 of its certificate, lower-case hexadecimal.
    fn fingerprint(&self) -> &str;

    /// Its certificate.
    fn certificate_pem(&self) -> String;

    /// SHA-256 of the public key that a request (PKCS #10, PEM) is for.
    ///
    /// # Errors
    /// In words: it is no request, or whoever made it does not have the key.
    fn requested_key(&self, request_pem: &str) -> Result<Vec<u8>, String>;

    /// A certificate over the key of a request, for a node at an address. Nothing but the key is taken from the request.
    ///
    /// # Errors
    /// In words: as [`Authority::requested_key`], or why it could not be signed.
    fn certify(
        &self,
        request_pem: &str,
        node: &Identity,
        at: &HostPort,
        validity: (Timestamp, Timestamp),
    ) -> Result<String, String>;
}
