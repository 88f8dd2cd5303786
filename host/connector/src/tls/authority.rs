//! The authority of a cloud: signs certificates of nodes for a year, and those of servers for a month.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber, date_time_ymd,
};
use sha2::{Digest as _, Sha256};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use velum_model::{
    Timestamp,
    enrolment::{AuthorityRecord, HostPort, Identity},
    port,
};

use super::{Own, TlsError, request::RequestedKey};

/// How long an authority lasts. There is no way yet to replace one.
const AUTHORITY_MS: u64 = 10 * 365 * DAY_MS;
/// How long a server's certificate lasts. It is made anew at every start, and when half of it is over.
pub(super) const SERVER_MS: u64 = 30 * DAY_MS;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// Certificates begin so much earlier: clocks of machines differ.
const EARLIER_MS: i64 = 60 * 60 * 1000;

/// An authority that can sign.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    fingerprint: String,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority")
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes the authority of a new cloud.
    ///
    /// # Errors
    /// No key could be made.
    pub fn make(now: Timestamp) -> Result<AuthorityRecord, TlsError> {
        let failed = TlsError::of("make the authority");
        let key = KeyPair::generate().map_err(|why| failed(&why))?;
        let certificate = issuing(&key, now).self_signed(&key).map_err(|why| failed(&why))?;
        Ok(AuthorityRecord {
            certificate: certificate.der().to_vec(),
            key: key.serialized_der().to_vec(),
            created_at: now,
        })
    }

    /// The authority that was made.
    ///
    /// # Errors
    /// The record is damaged.
    pub fn of(record: &AuthorityRecord) -> Result<Self, TlsError> {
        let failed = TlsError::of("read the authority");
        let key = KeyPair::try_from(record.key.as_slice()).map_err(|why| failed(&why))?;
        let certificate = CertificateDer::from(record.certificate.clone());
        Ok(Self {
            // What it is as an issuer follows from its key.
            issuer: Issuer::new(issuing(&key, record.created_at), key),
            fingerprint: hex::encode(Sha256::digest(&certificate)),
            certificate,
        })
    }

    /// Its certificate.
    #[must_use]
    pub const fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// A key and a certificate for a server. The key is nowhere else.
    ///
    /// # Errors
    /// No key could be made.
    pub fn server(&self, name: &str, now: Timestamp) -> Result<Own, TlsError> {
        let failed = TlsError::of("make this server's certificate");
        let key = KeyPair::generate().map_err(|why| failed(&why))?;
        let validity = (now, now.plus_millis(SERVER_MS));
        let server = Identity::Server(name.to_owned());
        let purpose = ExtendedKeyUsagePurpose::ClientAuth;
        let params = leaf(&server, validity, (&key, purpose)).map_err(|why| failed(&why))?;
        let signed = params.signed_by(&key, &self.issuer).map_err(|why| failed(&why))?;
        Ok(Own {
            certificate: signed.der().clone(),
            key: PrivateKeyDer::Pkcs8(key.serialized_der().to_vec().into()),
        })
    }
}

impl port::authority::Authority for Authority {
    fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    fn certificate_pem(&self) -> String {
        pem("CERTIFICATE", &self.certificate)
    }

    fn requested_key(&self, request_pem: &str) -> Result<Vec<u8>, String> {
        let key = RequestedKey::read(request_pem)?;
        Ok(Sha256::digest(key.subject_public_key_info()).to_vec())
    }

    fn certify(
        &self,
        request_pem: &str,
        node: &Identity,
        at: &HostPort,
        validity: (Timestamp, Timestamp),
    ) -> Result<String, String> {
        let key = RequestedKey::read(request_pem)?;
        let unsigned = |why: rcgen::Error| format!("the certificate could not be signed: {why}");
        let purpose = ExtendedKeyUsagePurpose::ServerAuth;
        let mut params = leaf(node, validity, (&key, purpose)).map_err(unsigned)?;
        // For people who read the certificate: servers go by the identity.
        params.subject_alt_names.push(match at.host.parse() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(at.host.as_str().try_into().map_err(unsigned)?),
        });
        let signed = params.signed_by(&key, &self.issuer).map_err(unsigned)?;
        Ok(pem("CERTIFICATE", signed.der()))
    }
}

/// The authority with this key, as it stands in its certificate.
fn issuing(key: &KeyPair, made: Timestamp) -> CertificateParams {
    // Authorities of two clouds have names of their own: what one signed is the other's "unknown issuer".
    let mark = hex::encode(Sha256::digest(key.subject_public_key_info()));
    let name = format!("velum authority {}", mark.get(..16).unwrap_or_default());
    let mut params = params(&name, (made, made.plus_millis(AUTHORITY_MS)), &mark);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

fn leaf(
    identity: &Identity,
    validity: (Timestamp, Timestamp),
    (key, purpose): (&impl PublicKeyData, ExtendedKeyUsagePurpose),
) -> Result<CertificateParams, rcgen::Error> {
    let uri = identity.to_string();
    // The same key certified again gets another number.
    let mut mark = Sha256::new();
    mark.update(key.subject_public_key_info());
    mark.update(validity.0.micros().to_be_bytes());
    let mut params = params(&uri, validity, &hex::encode(mark.finalize()));
    params.subject_alt_names = vec![SanType::URI(uri.as_str().try_into()?)];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![purpose];
    Ok(params)
}

fn params(name: &str, (from, until): (Timestamp, Timestamp), mark: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let epoch = date_time_ymd(1970, 1, 1);
    let at = |millis: i64| epoch + std::time::Duration::from_millis(millis.max(0).unsigned_abs());
    params.not_before = at(from.micros() / 1000 - EARLIER_MS);
    params.not_after = at(until.micros() / 1000);
    // Up to 20 bytes, and positive.
    let digits = mark.get(..38).unwrap_or(mark);
    let mut number = hex::decode(digits).unwrap_or_default();
    number.insert(0, 1);
    params.serial_number = Some(SerialNumber::from_slice(&number));
    params
}

/// Bytes as a PEM text.
#[must_use]
pub fn pem(label: &str, der: &[u8]) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    const LINE: usize = 64;
    let text = STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(LINE));
        out.push_str(line);
        out.push('\n');
        rest = more;
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}
