//! Where nodes and image stores are found by their address.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use velum_model::{
    enrolment::NodeAddress,
    fault::{Fault, code},
    port::{
        authority::Authority,
        image::ImageStore,
        node::{Node, Nodes},
    },
};

use crate::{
    http::HttpConnector,
    image::{DirectoryStore, HttpStore},
    message::ShardEpoch,
    node::{NodeClient, place::Place},
    tls::Dialler,
};

/// Every node and image store that this server talks to. Clones share the connections.
#[derive(Clone, Debug)]
pub struct Connections {
    nodes: Arc<Mutex<HashMap<String, NodeClient>>>,
    epochs: Arc<Mutex<Vec<ShardEpoch>>>,
    http: HttpConnector,
    /// Reaches nodes on other machines.
    dialler: Option<Dialler>,
}

impl Connections {
    /// No connection yet; `http` reaches the image stores that are not on a node.
    #[must_use]
    pub fn new(http: HttpConnector) -> Self {
        Self {
            nodes: Arc::default(),
            epochs: Arc::default(),
            http,
            dialler: None,
        }
    }

    /// The same, also to nodes on other machines.
    #[must_use]
    pub fn with_tls(self, dialler: Dialler) -> Self {
        Self {
            dialler: Some(dialler),
            ..self
        }
    }

    /// The client of the node at an address. Does not connect yet.
    ///
    /// # Errors
    /// `INVALID` when it is no address of a node; `UNSUPPORTED` when it is on another machine and nothing leads there.
    pub fn client(&self, address: &str) -> Result<NodeClient, Fault> {
        let known = self.nodes.lock().get(address).cloned();
        if let Some(client) = known {
            return Ok(client);
        }
        let parsed: NodeAddress = address
            .parse()
            .map_err(|why| Fault::unchanged(code::INVALID, format!("{why}")))?;
        let place = match parsed {
            NodeAddress::Socket(path) => Place::Socket(path),
            NodeAddress::Tls { node, at } => {
                let dialler = self.dialler.clone().ok_or_else(|| {
                    Fault::unchanged(
                        code::UNSUPPORTED,
                        "nodes on other machines are not reached from here",
                    )
                })?;
                Place::Tls { dialler, node, at }
            }
        };
        let mut nodes = self.nodes.lock();
        let client = nodes
            .entry(address.to_owned())
            .or_insert_with(|| NodeClient::announcing(place, Arc::clone(&self.epochs)));
        Ok(client.clone())
    }

    /// The epochs under which this server owns its shards from now on. Nodes that are connected are told at once, all
    /// others when they are connected: before anything else, so that an older owner is refused from then on.
    ///
    /// # Errors
    /// The first `FENCED`: a newer owner was there and this server must stop. A node that is away is no error.
    pub async fn announce(&self, epochs: Vec<ShardEpoch>) -> Result<(), Fault> {
        *self.epochs.lock() = epochs;
        let nodes: Vec<NodeClient> = self.nodes.lock().values().cloned().collect();
        let told = futures::future::join_all(nodes.iter().map(NodeClient::announce)).await;
        for answer in told {
            match answer {
                Err(fault) if fault.code == code::FENCED => return Err(fault),
                Err(fault) => {
                    tracing::warn!(%fault, "a node could not be told the epochs; it will be on connecting")
                }
                Ok(()) => {}
            }
        }
        Ok(())
    }
}

impl Nodes for Connections {
    fn node(&self, address: &str) -> Result<Arc<dyn Node>, Fault> {
        Ok(Arc::new(self.client(address)?))
    }

    fn directory_store(&self, address: &str, directory: &str) -> Result<Arc<dyn ImageStore>, Fault> {
        Ok(Arc::new(DirectoryStore::new(self.client(address)?, directory)))
    }

    fn http_store(&self, endpoint: &str) -> Result<Arc<dyn ImageStore>, Fault> {
        Ok(Arc::new(HttpStore::new(self.http.clone(), endpoint)?))
    }

    fn authority(&self) -> Option<Arc<dyn Authority>> {
        let dialler = self.dialler.as_ref()?;
        Some(dialler.authority())
    }
}
