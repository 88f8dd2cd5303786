//! Machines that join a cloud: its authority, the tokens that they join with, whom a certificate names, and where a node is.

use std::{fmt, path::PathBuf, str::FromStr};

use uuid::Uuid;

use crate::{
    id::{NodeId, NodeTokenId},
    time::Timestamp,
};

/// What every join token begins with, so that one is known in a log or a file for what it is.
const TOKEN_PREFIX: &str = "vjn_";
/// Hexadecimal digits of 256 bits: of a secret, of a fingerprint.
const DIGITS: usize = 64;

/// The authority of a cloud as it is kept: whoever has the key can make servers and nodes of that cloud.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthorityRecord {
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
    /// Its private key, PKCS #8.
    pub key: Vec<u8>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Never shows the key.
impl fmt::Debug for AuthorityRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorityRecord")
            .field("created_at", &self.created_at)
            .finish_non_exhaustive()
    }
}

/// A join token as it is kept: by the hash of its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeToken {
    /// Its id.
    pub id: NodeTokenId,
    /// SHA-256 of the secret.
    pub hash: Vec<u8>,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
    /// From when on it is refused.
    pub expires_at: Timestamp,
    /// When a machine joined with it.
    pub used_at: Option<Timestamp>,
}

/// A machine that joined. One that joins again with the key that it has is the same one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrolledNode {
    /// Its id, which its certificate names.
    pub id: NodeId,
    /// SHA-256 of its public key.
    pub key_hash: Vec<u8>,
    /// Where it said that servers reach it.
    pub address: String,
    /// When it joined last.
    pub enrolled_at: Timestamp,
    /// When its certificate ends.
    pub expires_at: Timestamp,
}

/// A join token as it is handed over: the secret, and the fingerprint of the authority that the machine is to expect.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    secret: String,
    authority: String,
}

impl JoinToken {
    /// A token of a secret and a fingerprint, both 256 bits in lower-case hexadecimal.
    ///
    /// # Errors
    /// Either is something else.
    pub fn new(secret: &str, authority: &str) -> Result<Self, NotJoinToken> {
        let is_whole = |text: &str| text.len() == DIGITS && text.bytes().all(is_lower_hex);
        if !is_whole(secret) || !is_whole(authority) {
            return Err(NotJoinToken);
        }
        Ok(Self {
            secret: secret.to_owned(),
            authority: authority.to_owned(),
        })
    }

    /// What is known by its hash.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// SHA-256 of the authority's certificate.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The whole token, to be shown once.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{TOKEN_PREFIX}{}.{}", self.secret, self.authority)
    }
}

const fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// Never shows the secret.
impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinToken")
            .field("authority", &self.authority)
            .finish_non_exhaustive()
    }
}

/// A text is no join token. It is not repeated: it may be most of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no join token: one reads vjn_SECRET.FINGERPRINT, each of 64 hexadecimal digits")]
pub struct NotJoinToken;

impl FromStr for JoinToken {
    type Err = NotJoinToken;

    fn from_str(text: &str) -> Result<Self, NotJoinToken> {
        let rest = text.strip_prefix(TOKEN_PREFIX).ok_or(NotJoinToken)?;
        let (secret, authority) = rest.split_once('.').ok_or(NotJoinToken)?;
        Self::new(secret, authority)
    }
}

/// Whom a certificate of the authority names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The node of a machine.
    Node(NodeId),
    /// A server, by its name.
    Server(String),
}

/// As it stands in a certificate.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(id) => write!(f, "velum://node/{id}"),
            Self::Server(name) => write!(f, "velum://server/{name}"),
        }
    }
}

impl FromStr for Identity {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (kind, name) = text
            .strip_prefix("velum://")
            .and_then(|rest| rest.split_once('/'))
            .ok_or(())?;
        match kind {
            "node" => {
                let id: NodeId = name.parse().map_err(drop)?;
                // A UUID has several spellings; an identity has one.
                (id.to_string() == name).then_some(Self::Node(id)).ok_or(())
            }
            "server" => {
                let is_plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
                let is_name = !name.is_empty() && name.bytes().all(is_plain);
                is_name.then(|| Self::Server(name.to_owned())).ok_or(())
            }
            _ => Err(()),
        }
    }
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// A name or an address; of IPv6 without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(f, "[{host}]:{port}")
        } else {
            write!(f, "{host}:{port}")
        }
    }
}

impl FromStr for HostPort {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (host, port) = text.rsplit_once(':').ok_or(())?;
        let port = port.parse::<u16>().ok().filter(|port| *port > 0).ok_or(())?;
        let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(v6) => v6.parse::<std::net::Ipv6Addr>().map_err(drop)?.to_string(),
            None => {
                let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
                let is_host = (1..=253).contains(&host.len()) && host.bytes().all(is_plain);
                is_host.then(|| host.to_owned()).ok_or(())?
            }
        };
        Ok(Self { host, port })
    }
}

/// Where a node is, as a compute host is registered with it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NodeAddress {
    /// A Unix socket of the server's own machine: `unix:/run/velum/node.sock`.
    Socket(PathBuf),
    /// Another machine, and who must be there: `tls:NODE@HOST:PORT`.
    Tls {
        /// Whom the certificate there must name.
        node: NodeId,
        /// Where it listens.
        at: HostPort,
    },
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "unix:{}", path.display()),
            Self::Tls { node, at } => write!(f, "tls:{node}@{at}"),
        }
    }
}

/// A text is no address of a node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no address of a node: write unix:/absolute/path/of/its/socket, or tls:NODE@HOST:PORT as `velum-node enroll` shows it"
)]
pub struct NotNodeAddress(pub String);

impl FromStr for NodeAddress {
    type Err = NotNodeAddress;

    fn from_str(text: &str) -> Result<Self, NotNodeAddress> {
        let wrong = || NotNodeAddress(text.to_owned());
        if let Some(path) = text.strip_prefix("unix:") {
            let path = PathBuf::from(path);
            return path.is_absolute().then_some(Self::Socket(path)).ok_or_else(wrong);
        }
        let rest = text.strip_prefix("tls:").ok_or_else(wrong)?;
        let (node, at) = rest.split_once('@').ok_or_else(wrong)?;
        Ok(Self::Tls {
            node: Uuid::parse_str(node)
                .map(NodeId::from_uuid)
                .map_err(|_| wrong())?,
            at: at.parse().map_err(|()| wrong())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "018f3f3e-7a5b-7c3d-8e9f-0123456789ab";

    #[test]
    fn a_join_token_reads_as_it_was_written_and_shows_no_secret() {
        let (secret, authority) = ("0a".repeat(32), "f9".repeat(32));
        let token = JoinToken::new(&secret, &authority).unwrap();
        let text = token.reveal();
        assert_eq!(text, format!("vjn_{secret}.{authority}"));
        assert_eq!(text.parse(), Ok(token.clone()));
        assert_eq!((token.secret(), token.authority()), (&*secret, &*authority));
        assert!(!format!("{token:?}").contains(&secret));
    }

    #[test]
    fn what_is_no_join_token_is_refused_and_not_repeated() {
        let (secret, authority) = ("0a".repeat(32), "f9".repeat(32));
        for wrong in [
            String::new(),
            format!("velum_{secret}.{authority}"),
            format!("vjn_{secret}"),
            format!("vjn_{secret}."),
            format!("vjn_.{authority}"),
            format!("vjn_{secret}.{}", &authority[..62]),
            format!("vjn_{}.{authority}", secret.to_uppercase()),
            format!("vjn_{secret}.{authority}.{authority}"),
            format!("vjn_{secret}.{authority} "),
            format!("vjn_{}é.{authority}", &secret[..62]),
        ] {
            let refused = wrong.parse::<JoinToken>().unwrap_err();
            assert!(!refused.to_string().contains(&secret[..16]), "{wrong}");
        }
    }

    #[test]
    fn an_identity_has_one_spelling() {
        let node = Identity::Node(ID.parse().unwrap());
        assert_eq!(node.to_string(), format!("velum://node/{ID}"));
        assert_eq!(node.to_string().parse(), Ok(node));
        let server = Identity::Server("velumd-7".into());
        assert_eq!(server.to_string().parse(), Ok(server));
        for wrong in [
            "velum://node/".to_owned(),
            format!("velum://node/{}", ID.to_uppercase()),
            format!("velum://node/{}", ID.replace('-', "")),
            format!("velum://node/{ID}/"),
            format!("velum://node//{ID}"),
            format!("https://node/{ID}"),
            format!("VELUM://node/{ID}"),
            format!("velum://nodes/{ID}"),
            "velum://server/".into(),
            "velum://server/a/b".into(),
            "velum://server".into(),
            String::new(),
        ] {
            assert_eq!(wrong.parse::<Identity>(), Err(()), "{wrong}");
        }
    }

    #[test]
    fn an_address_says_where_a_node_is_and_who_must_be_there() {
        for right in [
            "unix:/run/velum/node.sock".to_owned(),
            format!("tls:{ID}@10.0.0.7:7443"),
            format!("tls:{ID}@rack-1.example:7443"),
            format!("tls:{ID}@[fe80::1]:7443"),
        ] {
            let address: NodeAddress = right.parse().unwrap();
            assert_eq!(address.to_string(), right);
        }
        for wrong in [
            "run/node.sock".to_owned(),
            "unix:run/node.sock".into(),
            "tls:10.0.0.7:7443".into(),
            format!("tls:{ID}@10.0.0.7"),
            format!("tls:{ID}@10.0.0.7:0"),
            format!("tls:{ID}@:7443"),
            format!("tls:{ID}@a b:7443"),
            format!("tls:{ID}@fe80::1:7443"),
            "tls:x@10.0.0.7:7443".into(),
            format!("TLS:{ID}@10.0.0.7:7443"),
        ] {
            let refused = wrong.parse::<NodeAddress>().unwrap_err();
            assert!(refused.to_string().contains(&format!("{wrong:?}")), "{refused}");
        }
    }
}
