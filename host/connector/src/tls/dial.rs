//! How a server connects to a node on another machine.

use std::{io, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        client::Resumption,
        pki_types::{ServerName, UnixTime},
        time_provider::TimeProvider,
    },
};
use velum_model::{
    Timestamp,
    enrolment::{HostPort, Identity},
    id::NodeId,
    time::Clock,
};

use super::{
    Own, TlsError, VERSIONS,
    authority::{Authority, SERVER_MS},
    provider, roots, tend,
    trust::{ThisNode, words},
};

/// What connects to nodes in the name of one server. Cheap to clone.
#[derive(Clone)]
pub struct Dialler {
    inner: Arc<Inner>,
}

struct Inner {
    authority: Arc<Authority>,
    roots: Arc<RootCertStore>,
    name: String,
    clock: Arc<dyn Clock>,
    /// With when it was made.
    own: Mutex<(Own, Timestamp)>,
}

impl std::fmt::Debug for Dialler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialler")
            .field("name", &self.inner.name)
            .finish_non_exhaustive()
    }
}

impl Dialler {
    /// Connects as the server of this name, with a key of its own that is made now and kept nowhere.
    ///
    /// # Errors
    /// No key could be made.
    pub fn new(authority: Arc<Authority>, name: &str, clock: Arc<dyn Clock>) -> Result<Self, TlsError> {
        let now = clock.now();
        let own = authority.server(name, now)?;
        let roots = Arc::new(roots(authority.certificate())?);
        Ok(Self {
            inner: Arc::new(Inner {
                roots,
                name: name.to_owned(),
                clock,
                own: Mutex::new((own, now)),
                authority,
            }),
        })
    }

    /// The authority of the cloud.
    #[must_use]
    pub fn authority(&self) -> Arc<Authority> {
        Arc::clone(&self.inner.authority)
    }

    /// What this server shows: made anew when half of its time is over, so that a server that runs for long does not end
    /// with it.
    fn own(&self) -> Result<Own, TlsError> {
        let now = self.inner.clock.now();
        let mut own = self.inner.own.lock();
        if now.millis_since(own.1) > SERVER_MS / 2 {
            *own = (self.inner.authority.server(&self.inner.name, now)?, now);
        }
        Ok(own.0.clone())
    }

    /// Connects to a node; the answer is that node, or why not.
    ///
    /// # Errors
    /// In words: nobody listens there, somebody else does, or the node refuses this server.
    pub(crate) async fn dial(&self, node: NodeId, at: &HostPort) -> Result<TlsStream<TcpStream>, TlsError> {
        let plain = |error: io::Error| TlsError(words(&error));
        let config = self.config(node)?;
        let stream = TcpStream::connect((at.host.as_str(), at.port))
            .await
            .map_err(plain)?;
        tend(&stream).map_err(plain)?;
        // Names of machines are not looked at: a node is who its certificate says.
        let name = ServerName::try_from("velum-node").map_err(|why| TlsError(why.to_string()))?;
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
            .map_err(plain)
    }

    fn config(&self, node: NodeId) -> Result<ClientConfig, TlsError> {
        let failed = TlsError::of("set up TLS");
        let (provider, own) = (provider(), self.own()?);
        let clock = OurClock(Arc::clone(&self.inner.clock));
        let verifier = ThisNode {
            roots: Arc::clone(&self.inner.roots),
            node: Identity::Node(node),
            provider: Arc::clone(&provider),
        };
        let mut config = ClientConfig::builder_with_details(provider, Arc::new(clock))
            .with_protocol_versions(VERSIONS)
            .map_err(|why| failed(&why))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_auth_cert(vec![own.certificate], own.key)
            .map_err(|why| failed(&why))?;
        config.resumption = Resumption::disabled();
        config.enable_sni = false;
        Ok(config)
    }
}

/// The server's clock, as rustls asks for it.
struct OurClock(Arc<dyn Clock>);

impl std::fmt::Debug for OurClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OurClock")
    }
}

impl TimeProvider for OurClock {
    fn current_time(&self) -> Option<UnixTime> {
        let micros = u64::try_from(self.0.now().micros()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_micros(micros)))
    }
}
