//! Where a node is, and how it is connected to.

use std::{fmt, path::PathBuf};

use tokio::net::UnixStream;
use velum_model::{enrolment::HostPort, id::NodeId};

use super::link::Halves;
use crate::tls::Dialler;

/// Where a node is.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// On this machine.
    Socket(PathBuf),
    /// On another, which must be this one.
    Tls {
        dialler: Dialler,
        node: NodeId,
        at: HostPort,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "{}", path.display()),
            Self::Tls { at, .. } => write!(f, "{at}"),
        }
    }
}

impl Place {
    /// A connection, or in words why there is none.
    pub(super) async fn connect(&self) -> Result<Halves, String> {
        match self {
            Self::Socket(path) => {
                let stream = UnixStream::connect(path).await.map_err(|why| why.to_string())?;
                let (reader, writer) = stream.into_split();
                Ok(Halves {
                    reader: Box::new(reader),
                    writer: Box::new(writer),
                })
            }
            Self::Tls { dialler, node, at } => {
                let stream = dialler.dial(*node, at).await.map_err(|why| why.0)?;
                let (reader, writer) = tokio::io::split(stream);
                Ok(Halves {
                    reader: Box::new(reader),
                    writer: Box::new(writer),
                })
            }
        }
    }
}
