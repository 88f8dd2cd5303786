//! Joining a cloud: a key is made here and never leaves; its certificate comes from the server that the token is of.

use std::{
    net::{SocketAddr, ToSocketAddrs as _, UdpSocket},
    path::Path,
    time::Duration,
};

use anyhow::Context as _;
use rcgen::{CertificateParams, KeyPair};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use velum_connector::tls;
use velum_model::enrolment::{HostPort, JoinToken, NodeAddress};

use crate::{
    guard::{self, Guard},
    start::make_directory,
};

/// Where nodes listen unless they are told otherwise.
pub const PORT: u16 = 7443;
/// A server signs within milliseconds; this is for the way there.
const PATIENCE: Duration = Duration::from_secs(30);
/// An answer has two certificates of less than 1 KiB each.
const ANSWER_MAX: usize = 64 << 10;

/// What is sent.
#[derive(Serialize)]
struct Ask<'a> {
    token: String,
    request_pem: &'a str,
    address: String,
}

/// What comes back, as far as it is used.
#[derive(Debug, Deserialize)]
struct Answer {
    certificate_pem: String,
    authority_pem: String,
}

/// A refusal (RFC 9457), as far as it is used.
#[derive(Deserialize)]
struct Problem {
    detail: Option<String>,
    title: Option<String>,
}

/// Joins the cloud of a token at one of its servers, and keeps key and certificates in the state directory. A key that is
/// there already is used again: the machine stays the node that it was. Answers what a compute host is registered with.
///
/// # Errors
/// In words for whoever typed the command. Nothing but the key is kept then.
pub async fn enrol(
    state: &Path,
    server: &str,
    token: &str,
    listen: Option<HostPort>,
) -> anyhow::Result<NodeAddress> {
    let token: JoinToken = token.parse()?;
    let server = server.trim_end_matches('/');
    let url = reqwest::Url::parse(&format!("{server}/v1/nodes:enroll"))
        .with_context(|| format!("{server} is no address of a server"))?;
    anyhow::ensure!(
        url.scheme() == "http",
        "{server} must begin with http://: what is sent is no secret for long, and what comes back is checked against the token"
    );
    let at = match listen {
        Some(at) => at,
        None => own_address(&url)?,
    };
    make_directory(state)?;
    let key = own_key(state)?;
    let request = CertificateParams::default()
        .serialize_request(&key)
        .context("the certificate request could not be made")?;
    let ask = Ask {
        token: token.reveal(),
        request_pem: &tls::pem("CERTIFICATE REQUEST", request.der()),
        address: at.to_string(),
    };
    let answer = send(url, &ask).await?;
    let guard = checked(&answer, &token, &key)
        .with_context(|| format!("what {server} answered is not used, and nothing of it was kept"))?;
    for (name, text) in [
        (guard::AUTHORITY, &answer.authority_pem),
        (guard::CERTIFICATE, &answer.certificate_pem),
    ] {
        let path = state.join(name);
        guard::write(&path, text).with_context(|| format!("writing {} failed", path.display()))?;
    }
    Ok(NodeAddress::Tls {
        node: guard.node(),
        at,
    })
}

/// The key of this machine: the one that it has, or a new one.
fn own_key(state: &Path) -> anyhow::Result<KeyPair> {
    let path = state.join(guard::KEY);
    match guard::read::<PrivateKeyDer<'static>>(&path) {
        Ok(key) => KeyPair::try_from(&key).with_context(|| {
            format!(
                "{} is no key that can be used: remove it for a new one",
                path.display()
            )
        }),
        Err(guard::GuardError::NotEnrolled(_)) => {
            let key = KeyPair::generate().context("no key could be made")?;
            guard::write(&path, &tls::pem("PRIVATE KEY", key.serialized_der()))
                .with_context(|| format!("writing {} failed", path.display()))?;
            Ok(key)
        }
        Err(error) => Err(error.into()),
    }
}

/// The address of this machine on the way to the server, with the usual port. Nothing is sent to find it.
fn own_address(server: &reqwest::Url) -> anyhow::Result<HostPort> {
    let host = server.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let far: SocketAddr = (bare, server.port_or_known_default().unwrap_or(80))
        .to_socket_addrs()
        .ok()
        .and_then(|mut found| found.next())
        .with_context(|| format!("{host} is not known here"))?;
    let near: SocketAddr = match far {
        SocketAddr::V4(_) => ([0_u8; 4], 0).into(),
        SocketAddr::V6(_) => ([0_u16; 8], 0).into(),
    };
    let socket = UdpSocket::bind(near).and_then(|socket| {
        socket.connect(far)?;
        socket.local_addr()
    });
    let own = socket.with_context(|| {
        format!("no way leads to {host}: say with --listen where servers reach this machine")
    })?;
    Ok(HostPort {
        host: own.ip().to_string(),
        port: PORT,
    })
}

async fn send(url: reqwest::Url, ask: &Ask<'_>) -> anyhow::Result<Answer> {
    let http = reqwest::Client::builder()
        .timeout(PATIENCE)
        // A token goes to the server that was named, and nowhere else.
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .context("HTTP could not be set up")?;
    let place = url.clone();
    let lost = || format!("{place} does not answer; if the token is refused the next time, make another");
    let sent = http.post(url).json(ask).send().await;
    let mut response = match sent {
        // Nobody has seen the token.
        Err(error) if error.is_connect() => {
            return Err(error).with_context(|| format!("{place} cannot be reached; is velumd there?"));
        }
        other => other.with_context(lost)?,
    };
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.with_context(lost)? {
        body.extend_from_slice(&chunk);
        anyhow::ensure!(
            body.len() <= ANSWER_MAX,
            "{place} answers more than a server would"
        );
    }
    if !status.is_success() {
        let said: Option<Problem> = serde_json::from_slice(&body).ok();
        let words = said.and_then(|problem| problem.detail.or(problem.title));
        anyhow::bail!(
            "the server refuses this machine: {}",
            words.unwrap_or_else(|| format!("status {status}"))
        );
    }
    serde_json::from_slice(&body).with_context(|| format!("{place} answers what no server would"))
}

/// What came back, if it is of the cloud that the token is of and for this machine's key.
fn checked(answer: &Answer, token: &JoinToken, key: &KeyPair) -> anyhow::Result<Guard> {
    let authority = CertificateDer::from_pem_slice(answer.authority_pem.as_bytes())
        .context("the authority's certificate does not read")?;
    let found = hex::encode(Sha256::digest(&authority));
    anyhow::ensure!(
        found == token.authority(),
        "the server is not of the cloud that the token is of: its authority has the fingerprint {found}, the token expects {}",
        token.authority()
    );
    let certificate = CertificateDer::from_pem_slice(answer.certificate_pem.as_bytes())
        .context("the certificate does not read")?;
    let key = PrivateKeyDer::Pkcs8(key.serialized_der().to_vec().into());
    Ok(Guard::new(certificate, key, &authority)?)
}

#[cfg(test)]
mod tests {
    use velum_connector::tls::Authority;
    use velum_model::{Timestamp, enrolment::Identity, id::NodeId, port::authority::Authority as _};

    use super::*;

    /// The present: what is checked here is checked by the machine's own clock.
    fn now() -> Timestamp {
        use tokio_rustls::rustls::time_provider::{DefaultTimeProvider, TimeProvider as _};
        let seconds = DefaultTimeProvider.current_time().unwrap().as_secs();
        Timestamp::from_micros(i64::try_from(seconds).unwrap() * 1_000_000)
    }

    fn authority() -> Authority {
        Authority::of(&Authority::make(now()).unwrap()).unwrap()
    }

    fn signed(authority: &Authority, key: &KeyPair, until: Timestamp) -> Answer {
        let request = CertificateParams::default().serialize_request(key).unwrap();
        let node = Identity::Node(NodeId::from_uuid(uuid::Uuid::from_u128(7)));
        let at = "10.0.0.7:7443".parse().unwrap();
        let request = tls::pem("CERTIFICATE REQUEST", request.der());
        let begin = Timestamp::from_micros(until.micros() - 3600 * 1_000_000);
        Answer {
            certificate_pem: authority.certify(&request, &node, &at, (begin, until)).unwrap(),
            authority_pem: authority.certificate_pem(),
        }
    }

    #[test]
    fn only_the_cloud_of_the_token_and_the_key_of_the_machine_are_believed() {
        let (ours, theirs) = (authority(), authority());
        let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let token = JoinToken::new(&"0a".repeat(32), ours.fingerprint()).unwrap();
        let soon = now().plus_millis(3_600_000);
        let guard = checked(&signed(&ours, &key, soon), &token, &key).unwrap();
        assert_eq!(guard.node().uuid().as_u128(), 7);

        let refused = |answer: &Answer| format!("{:#}", checked(answer, &token, &key).unwrap_err());
        let impostor = refused(&signed(&theirs, &key, soon));
        assert!(impostor.contains("not of the cloud") && impostor.contains(theirs.fingerprint()));
        let mixed = Answer {
            authority_pem: ours.certificate_pem(),
            ..signed(&theirs, &key, soon)
        };
        assert!(
            refused(&mixed).contains("another authority"),
            "{}",
            refused(&mixed)
        );
        let not_ours = refused(&signed(&ours, &other, soon));
        assert!(not_ours.contains("TLS cannot be set up"), "{not_ours}");
        let past = Timestamp::from_micros(now().micros() - 60_000_000);
        let ended = refused(&signed(&ours, &key, past));
        assert!(ended.contains("has ended"), "{ended}");
    }

    #[test]
    fn a_key_is_made_once_and_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let state = tempfile::tempdir().unwrap();
        let first = own_key(state.path()).unwrap();
        let again = own_key(state.path()).unwrap();
        assert_eq!(first.serialized_der(), again.serialized_der());
        let mode = std::fs::metadata(state.path().join(guard::KEY))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(state.path().join(guard::KEY), "no key").unwrap();
        assert!(
            own_key(state.path()).is_err(),
            "what is there is not written over"
        );
    }
}
