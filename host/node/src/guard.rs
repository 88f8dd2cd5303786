//! What an enrolled machine has: its key, its certificate, and the authority that both it and its servers believe.

use std::{
    fs::File,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject},
        server::NoServerSessionStorage,
        time_provider::{DefaultTimeProvider, TimeProvider as _},
    },
};
use velum_connector::tls::{self, ServersOnly, TlsError};
use velum_model::id::NodeId;

/// The machine's private key. It is made here and never leaves.
pub(crate) const KEY: &str = "node.key";
/// The machine's certificate.
pub(crate) const CERTIFICATE: &str = "node.crt";
/// The authority's certificate.
pub(crate) const AUTHORITY: &str = "authority.crt";

/// How long before its end a certificate is complained of.
const SOON: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Why a machine cannot serve over TLS.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// It is not enrolled.
    #[error("this machine is not enrolled: there is no {0}; run velum-node enroll")]
    NotEnrolled(PathBuf),
    /// A file cannot be used.
    #[error("{path} cannot be used: {why}; enrol the machine again with velum-node enroll")]
    Damaged {
        /// Which.
        path: PathBuf,
        /// Why not.
        why: String,
    },
}

/// Lets in servers of one cloud, and nobody else.
#[derive(Clone)]
pub struct Guard {
    config: Arc<ServerConfig>,
    node: NodeId,
    ends_soon: bool,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard")
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

impl Guard {
    /// Reads what enrolling left in the state directory.
    ///
    /// # Errors
    /// [`GuardError`] says what to do.
    pub fn open(state: &Path) -> Result<Self, GuardError> {
        let certificate: CertificateDer<'static> = read(&state.join(CERTIFICATE))?;
        let authority: CertificateDer<'static> = read(&state.join(AUTHORITY))?;
        let key: PrivateKeyDer<'static> = read(&state.join(KEY))?;
        Self::new(certificate, key, &authority).map_err(|why| GuardError::Damaged {
            path: state.join(CERTIFICATE),
            why: why.0,
        })
    }

    /// The same of what is at hand; refused when it does not fit together.
    pub(crate) fn new(
        certificate: CertificateDer<'static>,
        key: PrivateKeyDer<'static>,
        authority: &CertificateDer<'static>,
    ) -> Result<Self, TlsError> {
        let now = DefaultTimeProvider
            .current_time()
            .ok_or_else(|| TlsError("this machine does not know what time it is".into()))?;
        let node = tls::node_of(&certificate, authority, now)?;
        let soon = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()).saturating_add(SOON));
        let ends_soon = tls::node_of(&certificate, authority, soon).is_err();
        let failed = |why: &dyn std::fmt::Display| TlsError(format!("TLS cannot be set up: {why}"));
        let servers = Arc::new(ServersOnly::new(tls::roots(authority)?)?);
        let mut config = ServerConfig::builder_with_details(tls::provider(), Arc::new(DefaultTimeProvider))
            .with_protocol_versions(tls::VERSIONS)
            .map_err(|why| failed(&why))?
            .with_client_cert_verifier(servers)
            // Refuses a key that is not the certificate's.
            .with_single_cert(vec![certificate], key)
            .map_err(|why| failed(&why))?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self {
            config: Arc::new(config),
            node,
            ends_soon,
        })
    }

    /// Who this machine is.
    #[must_use]
    pub const fn node(&self) -> NodeId {
        self.node
    }

    /// Whether its certificate ends within a month: time to enrol it again.
    #[must_use]
    pub const fn ends_soon(&self) -> bool {
        self.ends_soon
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }
}

/// Reads a key or a certificate.
pub(crate) fn read<T: PemObject>(path: &Path) -> Result<T, GuardError> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(GuardError::NotEnrolled(path.to_owned()));
        }
        Err(error) => {
            return Err(GuardError::Damaged {
                path: path.to_owned(),
                why: error.to_string(),
            });
        }
    };
    T::from_pem_slice(&text).map_err(|why| GuardError::Damaged {
        path: path.to_owned(),
        why: why.to_string(),
    })
}

/// Writes a key or a certificate so that it is there whole or not at all, for its owner alone.
pub(crate) fn write(path: &Path, text: &str) -> io::Result<()> {
    let making = path.with_extension("new");
    // What an earlier try left.
    match std::fs::remove_file(&making) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = File::options()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&making)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&making, path)?;
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}
