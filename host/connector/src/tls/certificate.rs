//! Whom a certificate names. Whether it may be believed is another question, and comes first.

use tokio_rustls::rustls::pki_types::CertificateDer;
use velum_model::enrolment::Identity;
use yasna::{ASN1Error, ASN1ErrorKind, ASN1Result, BERReader, Tag};

use super::TlsError;

/// Subject alternative names.
const SUBJECT_ALT_NAME: &[u64] = &[2, 5, 29, 17];
/// A URI among them.
const URI: Tag = Tag {
    tag_class: yasna::TagClass::ContextSpecific,
    tag_number: 6,
};
/// What stands between the version of a certificate and its extensions: serial number, algorithm, issuer, validity,
/// subject, key.
const BEFORE_EXTENSIONS: usize = 6;

/// The one identity that a certificate names; none when it names nobody of this system, or several.
///
/// # Errors
/// It is no certificate.
pub fn identity_of(certificate: &CertificateDer<'_>) -> Result<Option<Identity>, TlsError> {
    let read = yasna::parse_der(certificate, uris);
    let uris = read.map_err(|why| TlsError(format!("could not read a certificate: {why}")))?;
    Ok(match uris.as_slice() {
        [one] => one.parse().ok(),
        _ => None,
    })
}

/// The URIs among the alternative names.
fn uris(reader: BERReader<'_, '_>) -> ASN1Result<Vec<String>> {
    reader.read_sequence(|certificate| {
        let found = certificate.next().read_sequence(|signed| {
            signed
                .read_optional(|reader| reader.read_tagged(Tag::context(0), |version| version.read_u8()))?;
            for _ in 0..BEFORE_EXTENSIONS {
                signed.next().read_der()?;
            }
            signed.read_optional(|reader| reader.read_tagged(Tag::context(3), extensions))
        });
        // The algorithm and the signature.
        certificate.next().read_der()?;
        certificate.next().read_der()?;
        Ok(found?.unwrap_or_default())
    })
}

fn extensions(reader: BERReader<'_, '_>) -> ASN1Result<Vec<String>> {
    let mut uris = Vec::new();
    reader.read_sequence_of(|reader| {
        reader.read_sequence(|extension| {
            let kind = extension.next().read_oid()?;
            extension.read_default(false, |flag| flag.read_bool())?;
            let value = extension.next().read_bytes()?;
            if kind.components().as_slice() == SUBJECT_ALT_NAME {
                uris.extend(names(&value)?);
            }
            Ok(())
        })
    })?;
    Ok(uris)
}

fn names(value: &[u8]) -> ASN1Result<Vec<String>> {
    let names = yasna::parse_der(value, |reader| {
        reader.collect_sequence_of(|name| name.read_tagged_der())
    })?;
    let uris = names.into_iter().filter(|name| name.tag() == URI);
    uris.map(|uri| {
        String::from_utf8(uri.value().to_vec()).map_err(|_| ASN1Error::new(ASN1ErrorKind::Invalid))
    })
    .collect()
}
