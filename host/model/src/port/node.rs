//! The port of `velum-node` for what the server itself orders there: links, seeds, image layers, consoles. What a
//! plugin is granted of a node goes through `velum-connector` instead.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use stream::ByteStream;
use uuid::Uuid;

use super::{
    hypervisor::ConsolePlace,
    secret::Secret,
    storage::{Attachment, Initiator},
    target::{Effect, Fence},
};
use crate::{
    fault::{Fault, code},
    id::RunId,
    net::Link,
};

/// Byte streams, without naming an I/O library.
pub mod stream {
    use std::pin::Pin;

    /// A console, both ways.
    pub struct ByteStream {
        /// Yields what the guest writes.
        pub reader: Box<dyn Reader>,
        /// Takes what the guest reads.
        pub writer: Box<dyn Writer>,
    }

    /// The reading half.
    pub trait Reader: Send {
        /// The next bytes; empty at the end.
        fn read(&mut self) -> Pin<Box<dyn Future<Output = std::io::Result<Vec<u8>>> + Send + '_>>;
    }

    /// The writing half.
    pub trait Writer: Send {
        /// Writes all of it.
        fn write<'a>(
            &'a mut self,
            bytes: &'a [u8],
        ) -> Pin<Box<dyn Future<Output = std::io::Result<()>> + Send + 'a>>;
    }
}

/// What the node first says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeHello {
    /// Changes when the machine boots.
    pub boot_id: String,
    /// Version of `velum-node`.
    pub version: String,
    /// The machine's own name.
    pub hostname: String,
    /// How storage sees it.
    #[serde(default)]
    pub initiators: Vec<Initiator>,
}

/// A network as a node is to realize it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkSpec {
    /// Our id of the network.
    pub network: Uuid,
    /// What it maps to.
    pub link: Link,
    /// Gateway with prefix, put on the bridge when the node makes it (`10.10.0.1/24`).
    pub gateway: Option<String>,
}

/// One NIC in a seed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeedNic {
    /// By which the guest finds the device.
    pub mac: String,
    /// Address with prefix.
    pub address: String,
    /// Default gateway, on the first NIC.
    pub gateway: Option<String>,
    /// Resolvers.
    pub dns: Vec<String>,
}

/// The cloud-init seed (NoCloud, volume id `cidata`): meta-data, network-config (version 2), user-data as it was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeedSpec {
    /// Instance id that cloud-init compares.
    pub instance: Uuid,
    /// Host name.
    pub hostname: String,
    /// NICs in slot order.
    pub nics: Vec<SeedNic>,
    /// Opaque bytes, at most 64 KiB.
    pub user_data: Vec<u8>,
}

/// `velum-node` of one compute host.
#[async_trait]
pub trait Node: Send + Sync {
    /// Who it is.
    async fn hello(&self) -> Result<NodeHello, Fault>;
    /// Makes or checks the link of a network; answers the name to plug a NIC into.
    async fn ensure_link(&self, fence: &Fence, effect: &Effect, spec: &LinkSpec) -> Result<String, Fault>;
    /// Removes a link that the node made and nothing uses.
    async fn remove_link(&self, fence: &Fence, effect: &Effect, network: Uuid) -> Result<(), Fault>;
    /// The networks that the node made a link for.
    async fn made_links(&self) -> Result<Vec<Uuid>, Fault>;
    /// Writes the seed of a run; answers its path on the node.
    async fn write_seed(
        &self,
        fence: &Fence,
        effect: &Effect,
        run: RunId,
        seed: &SeedSpec,
    ) -> Result<String, Fault>;
    /// The runs whose seeds lie on the node.
    async fn written_seeds(&self) -> Result<Vec<RunId>, Fault>;
    /// Removes it; done when it never was.
    async fn remove_seed(&self, fence: &Fence, effect: &Effect, run: RunId) -> Result<(), Fault>;
    /// Copies an image of the node's image store into a published, writable volume, converting to its format.
    /// Idempotent by effect; blocks until done or the effect's deadline (then `DEADLINE`: ask again, it goes on).
    async fn fill_layer(
        &self,
        fence: &Fence,
        effect: &Effect,
        image: &str,
        into: &Attachment,
    ) -> Result<(), Fault>;
    /// Hands over the secret of an attachment, by its identity, for what follows within minutes: verifying, filling,
    /// starting a guest, attaching a disk. It lies in the node's memory alone. A node without volumes that ask for one
    /// refuses.
    async fn hold_secret(&self, attachment: &Attachment, _secret: &Secret) -> Result<(), Fault> {
        Err(Fault::unchanged(
            code::UNSUPPORTED,
            format!("this node holds no secret for {}", attachment.identity),
        ))
    }
    /// Checks that the device of an attachment is what it claims: exists, size, identity (law of trust: verified on
    /// the node before the guest sees it).
    async fn verify_attachment(&self, attachment: &Attachment) -> Result<(), Fault>;
    /// Opens a console that a driver located.
    async fn open_console(
        &self,
        target_uri: &str,
        run: RunId,
        place: &ConsolePlace,
    ) -> Result<ByteStream, Fault>;
    /// The last bytes that the serial console of a run wrote (at most `limit`), from the node's log of it.
    async fn console_log(&self, run: RunId, limit: u32) -> Result<Vec<u8>, Fault>;
}

/// Where nodes and image stores are found by their address.
pub trait Nodes: Send + Sync {
    /// The node at an address (`unix:/run/velum/node.sock`, `tls:NODE@HOST:PORT`); connects lazily and again after a loss.
    fn node(&self, address: &str) -> Result<std::sync::Arc<dyn Node>, Fault>;
    /// The image store in a directory of the node at `address`.
    fn directory_store(
        &self,
        address: &str,
        directory: &str,
    ) -> Result<std::sync::Arc<dyn super::image::ImageStore>, Fault>;
    /// The image store behind an HTTP endpoint.
    fn http_store(&self, endpoint: &str) -> Result<std::sync::Arc<dyn super::image::ImageStore>, Fault>;
    /// What makes certificates for nodes on machines of their own; none where there is no such thing.
    fn authority(&self) -> Option<std::sync::Arc<dyn super::authority::Authority>> {
        None
    }
}
