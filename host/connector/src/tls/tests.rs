use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use tokio_rustls::rustls::{
    CertificateError, Error,
    client::danger::ServerCertVerifier as _,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
    server::danger::ClientCertVerifier as _,
};
use velum_model::{Timestamp, enrolment::Identity, id::NodeId, port::authority::Authority as _};

use super::{trust::ThisNode, *};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// 2026, and days after it.
fn day(n: u64) -> Timestamp {
    Timestamp::from_micros(1_780_000_000_000_000).plus_millis(n * DAY_MS)
}

fn at(time: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_micros(time.micros().unsigned_abs()))
}

fn authority() -> Authority {
    Authority::of(&Authority::make(day(0)).unwrap()).unwrap()
}

fn node(n: u128) -> Identity {
    Identity::Node(NodeId::from_uuid(uuid::Uuid::from_u128(n)))
}

fn request(key: &KeyPair) -> String {
    let request = CertificateParams::default().serialize_request(key).unwrap();
    pem("CERTIFICATE REQUEST", request.der())
}

fn node_certificate(authority: &Authority, n: u128) -> CertificateDer<'static> {
    let request = request(&KeyPair::generate().unwrap());
    let place = "10.0.0.7:7443".parse().unwrap();
    let text = authority.certify(&request, &node(n), &place, (day(0), day(365)));
    CertificateDer::from_pem_slice(text.unwrap().as_bytes()).unwrap()
}

#[test]
fn a_certificate_says_who_its_holder_is() {
    let authority = authority();
    let of_node = identity_of(&node_certificate(&authority, 7));
    assert_eq!(of_node, Ok(Some(node(7))));
    let own = authority.server("velumd-a", day(0)).unwrap();
    let of_server = identity_of(&own.certificate);
    assert_eq!(of_server, Ok(Some(Identity::Server("velumd-a".into()))));
    assert_eq!(identity_of(authority.certificate()), Ok(None));
    for broken in [&own.certificate[..own.certificate.len() - 1], &[1, 2, 3], &[]] {
        assert!(identity_of(&CertificateDer::from(broken.to_vec())).is_err());
    }
}

#[test]
fn who_names_two_identities_has_none() {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    for uri in [
        "velum://server/a",
        "velum://node/00000000-0000-0000-0000-000000000007",
    ] {
        let uri = uri.try_into().unwrap();
        params.subject_alt_names.push(rcgen::SanType::URI(uri));
    }
    let certificate = params.self_signed(&key).unwrap();
    assert_eq!(identity_of(certificate.der()), Ok(None));
}

#[test]
fn only_the_key_is_taken_from_a_request() {
    let authority = authority();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    let uri = "velum://server/velumd-a".try_into().unwrap();
    params.subject_alt_names = vec![rcgen::SanType::URI(uri)];
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let bold = pem(
        "CERTIFICATE REQUEST",
        params.serialize_request(&key).unwrap().der(),
    );
    let place = "10.0.0.7:7443".parse().unwrap();
    let signed = authority
        .certify(&bold, &node(7), &place, (day(0), day(365)))
        .unwrap();
    let signed = CertificateDer::from_pem_slice(signed.as_bytes()).unwrap();
    assert_eq!(identity_of(&signed), Ok(Some(node(7))));
    let servers = ServersOnly::new(roots(authority.certificate()).unwrap()).unwrap();
    assert!(servers.verify_client_cert(&signed, &[], at(day(1))).is_err());
    assert_eq!(
        authority.requested_key(&bold).unwrap(),
        authority.requested_key(&request(&key)).unwrap()
    );
}

#[test]
fn a_request_of_somebody_without_the_key_is_none() {
    let authority = authority();
    let text = request(&KeyPair::generate().unwrap());
    assert!(authority.requested_key(&text).is_ok());
    let mut der =
        tokio_rustls::rustls::pki_types::CertificateSigningRequestDer::from_pem_slice(text.as_bytes())
            .unwrap()
            .to_vec();
    let last = der.len() - 1;
    der[last] ^= 1;
    let forged = pem("CERTIFICATE REQUEST", &der);
    let long = "x".repeat(9000);
    for wrong in ["", "-----BEGIN CERTIFICATE REQUEST-----", &forged, &long] {
        assert!(authority.requested_key(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_node_lets_in_servers_of_its_cloud_alone() {
    let (ours, theirs) = (authority(), authority());
    let servers = ServersOnly::new(roots(ours.certificate()).unwrap()).unwrap();
    let check = |certificate: &CertificateDer<'_>, time| {
        servers.verify_client_cert(certificate, &[], at(time)).map(drop)
    };
    let own = ours.server("velumd-a", day(0)).unwrap();
    assert_eq!(check(&own.certificate, day(1)), Ok(()));
    let ended = check(&own.certificate, day(31)).unwrap_err();
    assert!(
        words(&std::io::Error::other(ended)).contains("has ended"),
        "after its month"
    );
    let other = theirs.server("velumd-a", day(0)).unwrap();
    assert_eq!(
        check(&other.certificate, day(1)),
        Err(Error::InvalidCertificate(CertificateError::UnknownIssuer))
    );
    let denied = Err(Error::InvalidCertificate(
        CertificateError::ApplicationVerificationFailure,
    ));
    assert_eq!(check(&node_certificate(&ours, 7), day(1)), denied);
    assert!(
        check(ours.certificate(), day(1)).is_err(),
        "the authority itself is no server"
    );
}

#[test]
fn a_server_believes_the_node_that_it_was_told_of_alone() {
    let (ours, theirs) = (authority(), authority());
    let seven = ThisNode {
        roots: Arc::new(roots(ours.certificate()).unwrap()),
        node: node(7),
        provider: provider(),
    };
    let check = |certificate: &CertificateDer<'_>, time| {
        let name = ServerName::try_from("velum-node").unwrap();
        seven
            .verify_server_cert(certificate, &[], &name, &[], at(time))
            .map(drop)
            .map_err(|why| words(&std::io::Error::other(why)))
    };
    let right = node_certificate(&ours, 7);
    assert_eq!(check(&right, day(364)), Ok(()));
    assert!(check(&right, day(366)).unwrap_err().contains("has ended"));
    let swapped = check(&node_certificate(&ours, 8), day(1)).unwrap_err();
    assert!(
        swapped.contains(&node(8).to_string()) && swapped.contains(&node(7).to_string()),
        "{swapped}"
    );
    let foreign = check(&node_certificate(&theirs, 7), day(1)).unwrap_err();
    assert!(foreign.contains("another authority"), "{foreign}");
    let server = ours.server("velumd-a", day(0)).unwrap();
    assert!(check(&server.certificate, day(1)).is_err(), "a server is no node");
}

#[test]
fn an_authority_is_what_it_was_after_it_was_kept_and_shows_no_key() {
    let record = Authority::make(day(0)).unwrap();
    let (first, second) = (Authority::of(&record).unwrap(), Authority::of(&record).unwrap());
    assert_eq!(first.fingerprint(), second.fingerprint());
    assert_ne!(first.fingerprint(), authority().fingerprint());
    let shown = format!("{record:?} {first:?} {:?}", first.server("a", day(0)).unwrap());
    assert!(!shown.contains("key"), "{shown}");
    let damaged = velum_model::enrolment::AuthorityRecord {
        key: vec![1, 2, 3],
        ..record
    };
    assert!(Authority::of(&damaged).is_err());
}
