//! Whom either end believes.

use std::{io, sync::Arc};

use tokio_rustls::rustls::{
    AlertDescription, CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{
        ParsedCertificate, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use velum_model::{enrolment::Identity, id::NodeId};

use super::{TlsError, certificate::identity_of, provider, roots};

/// Which node a certificate is of, if the authority signed it and it has not ended.
///
/// # Errors
/// In words: it is another's, it has ended, it is not a node's.
pub fn node_of(
    certificate: &CertificateDer<'_>,
    authority: &CertificateDer<'static>,
    now: UnixTime,
) -> Result<NodeId, TlsError> {
    let refused = |error: Error| TlsError(words(&io::Error::other(error)));
    let parsed = ParsedCertificate::try_from(certificate).map_err(refused)?;
    let algorithms = provider().signature_verification_algorithms.all;
    verify_server_cert_signed_by_trust_anchor(&parsed, &roots(authority)?, &[], now, algorithms)
        .map_err(refused)?;
    match identity_of(certificate)? {
        Some(Identity::Node(id)) => Ok(id),
        _ => Err(TlsError("its certificate is not a node's".into())),
    }
}

/// What a server asks of a node: a certificate of the authority that names just this node.
#[derive(Debug)]
pub(super) struct ThisNode {
    pub(super) roots: Arc<RootCertStore>,
    pub(super) node: Identity,
    pub(super) provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for ThisNode {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(end_entity)?;
        verify_server_cert_signed_by_trust_anchor(
            &parsed,
            &self.roots,
            intermediates,
            now,
            self.provider.signature_verification_algorithms.all,
        )?;
        match identity_of(end_entity).map_err(|why| Error::General(why.0))? {
            Some(identity) if identity == self.node => Ok(ServerCertVerified::assertion()),
            Some(identity) => Err(Error::General(format!(
                "who answers there is {identity}, not {}: another machine has this address, or the address of another was given",
                self.node
            ))),
            None => Err(Error::General(
                "the certificate there names neither a node nor a server of this cloud".into(),
            )),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// What a node asks of whoever connects: a certificate of the authority that names a server. Another node's is refused:
/// who breaks into one machine commands no other.
#[derive(Debug)]
pub struct ServersOnly {
    chain: Arc<dyn ClientCertVerifier>,
}

impl ServersOnly {
    /// Servers of the cloud with these roots.
    ///
    /// # Errors
    /// There are none.
    pub fn new(roots: RootCertStore) -> Result<Self, TlsError> {
        let chain = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build();
        let chain = chain.map_err(|why| TlsError::of("trust the authority")(&why))?;
        Ok(Self { chain })
    }
}

impl ClientCertVerifier for ServersOnly {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let signed = match self.chain.verify_client_cert(end_entity, intermediates, now) {
            Ok(signed) => Some(signed),
            // The certificate of a node is good for nothing but to be called with.
            Err(Error::InvalidCertificate(
                CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. },
            )) => None,
            Err(other) => return Err(other),
        };
        let identity = identity_of(end_entity).ok().flatten();
        if let (Some(signed), Some(Identity::Server(_))) = (signed, &identity) {
            return Ok(signed);
        }
        let who = identity.map_or_else(|| "nobody of a cloud".to_owned(), |other| other.to_string());
        tracing::warn!(who, "somebody who is no server was refused");
        Err(Error::InvalidCertificate(
            CertificateError::ApplicationVerificationFailure,
        ))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

/// What an error of a connection says to an operator: a refusal of either end in its own words.
#[must_use]
pub fn words(error: &io::Error) -> String {
    let Some(refused) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return error.to_string();
    };
    match refused {
        Error::General(why) => why.clone(),
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "its certificate is of another authority".to_owned()
        }
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "its certificate has ended: enrol it again".to_owned()
        }
        Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "it refuses whoever shows no certificate".to_owned()
        }
        Error::AlertReceived(AlertDescription::UnknownCA) => {
            "it refuses this certificate, which is of another authority".to_owned()
        }
        Error::AlertReceived(AlertDescription::AccessDenied) => {
            "it refuses this certificate, which is no server's".to_owned()
        }
        Error::AlertReceived(AlertDescription::CertificateExpired) => {
            "it refuses this certificate, which has ended by its clock".to_owned()
        }
        other => other.to_string(),
    }
}
