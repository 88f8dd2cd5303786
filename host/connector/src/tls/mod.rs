//! TLS between servers and nodes on other machines: both ends show a certificate of the cloud's own authority, and each
//! looks whom the other's names. A certificate says what its holder is (`velum://node/ID`, `velum://server/NAME`); nothing
//! that is sent inside the connection changes that.
//!
//! TLS 1.3 alone, by rustls with ring; sessions are not resumed, so that every connection is checked anew.

mod authority;
mod certificate;
mod dial;
mod request;
mod trust;

use std::{sync::Arc, time::Duration};

use rustix::net::sockopt;
use tokio::net::TcpStream;
use tokio_rustls::rustls::{
    self, RootCertStore,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer},
};

pub use self::{
    authority::{Authority, pem},
    certificate::identity_of,
    dial::Dialler,
    trust::{ServersOnly, node_of, words},
};

/// Why something about certificates did not work, in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TlsError(pub String);

impl TlsError {
    pub(crate) fn of(doing: &str) -> impl Fn(&dyn std::fmt::Display) -> Self {
        let doing = doing.to_owned();
        move |why| Self(format!("could not {doing}: {why}"))
    }
}

/// What one end shows of itself.
pub struct Own {
    /// Its certificate.
    pub certificate: CertificateDer<'static>,
    /// Its private key.
    pub key: PrivateKeyDer<'static>,
}

impl Clone for Own {
    fn clone(&self) -> Self {
        Self {
            certificate: self.certificate.clone(),
            key: self.key.clone_key(),
        }
    }
}

/// Never shows the key.
impl std::fmt::Debug for Own {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Own")
    }
}

/// The cryptography of both ends.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The versions of both ends.
pub static VERSIONS: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// The one authority that both ends believe.
///
/// # Errors
/// It is no certificate.
pub fn roots(authority: &CertificateDer<'static>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let added = roots.add(authority.clone());
    added.map_err(|why| TlsError::of("read the authority's certificate")(&why))?;
    Ok(roots)
}

/// How long a connection may be silent before the other end is asked whether it is there, and how often.
const SILENCE: Duration = Duration::from_secs(10);
const ASK_EVERY: Duration = Duration::from_secs(5);
const ASK_TIMES: u32 = 3;
/// How long what was sent may stay without the other end's receipt. Without it a machine that lost its power would hold up
/// calls for a quarter of an hour.
const RECEIPT_MS: u32 = 20_000;

/// Has the kernel find out in time that the other machine is gone, and send messages as soon as they are written.
///
/// # Errors
/// What the kernel says.
pub fn tend(stream: &TcpStream) -> std::io::Result<()> {
    sockopt::set_tcp_nodelay(stream, true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, SILENCE)?;
    sockopt::set_tcp_keepintvl(stream, ASK_EVERY)?;
    sockopt::set_tcp_keepcnt(stream, ASK_TIMES)?;
    sockopt::set_tcp_user_timeout(stream, RECEIPT_MS)?;
    Ok(())
}

#[cfg(test)]
mod tests;
