//! What a zone stands on: the simulated far side, or this machine.

use std::path::PathBuf;

use serde_json::json;
use uuid::Uuid;
use velum_wire::{
    CreateComputeHostBody, CreateImageStoreBody, CreateStoragePoolBody, ImageFormat, NetworkLinkBody,
    NetworkLinkKind,
};

/// Where compute hosts, pool and images of a zone are.
#[derive(Clone, Debug)]
pub enum Ground {
    /// The far side at this origin.
    Simulated(String),
    /// This machine, through one node.
    Real(RealGround),
    /// Components that keep their guests and volumes for themselves, and break a rule.
    Flawed(FlawedGround),
}

/// Where a driver or a provider of `tests/guests` breaks one rule.
#[derive(Clone, Debug)]
pub struct FlawedGround {
    /// The far side's origin, for images.
    pub images: String,
    /// The flaw of the driver; `none` for one that keeps every rule.
    pub driver: String,
    /// The same of the provider.
    pub provider: String,
}

/// This machine.
#[derive(Clone, Debug)]
pub struct RealGround {
    /// Address of the node: `unix:/…`.
    pub node: String,
    /// Directory of the pool.
    pub pool: PathBuf,
    /// The pool of an array instead.
    pub array: Option<ArrayPool>,
    /// Directory of the image store.
    pub images: PathBuf,
    /// The bridge that the node makes.
    pub bridge: String,
    /// Processors that are said to be there: guests that halt at once need none.
    pub vcpus: u64,
}

/// A pool of a storage array.
#[derive(Clone, Debug)]
pub struct ArrayPool {
    /// Origin of the array's API.
    pub endpoint: String,
    /// File with the credential for it.
    pub credential: PathBuf,
    /// Settings of the pool.
    pub config: serde_json::Value,
}

/// The image of the template.
#[derive(Clone, Debug)]
pub struct Image {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What they are.
    pub format: ImageFormat,
}

impl Image {
    /// One MiB that boots nowhere.
    #[must_use]
    pub fn noise() -> Self {
        Self {
            bytes: (0..1_u32 << 20).map(|n| (n % 251) as u8).collect(),
            format: ImageFormat::Raw,
        }
    }

    /// One MiB whose boot sector halts the processor: a guest that needs no time.
    #[must_use]
    pub fn halting() -> Self {
        // cli; hlt; jmp to the hlt
        const CODE: [u8; 4] = [0xfa, 0xf4, 0xeb, 0xfd];
        let mut bytes = vec![0; 1 << 20];
        bytes[..CODE.len()].copy_from_slice(&CODE);
        bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
        Self {
            bytes,
            format: ImageFormat::Raw,
        }
    }
}

impl Ground {
    pub(crate) const fn driver(&self) -> &'static str {
        match self {
            Self::Simulated(_) => "hypervisor-sim",
            Self::Real(_) => "hypervisor-libvirt",
            Self::Flawed(_) => "driver-with-a-flaw",
        }
    }

    pub(crate) fn host(&self, cluster: Uuid, number: (u32, u32)) -> CreateComputeHostBody {
        let (zone, n) = number;
        let name = format!("z{zone}-h{n:04}");
        let body = CreateComputeHostBody {
            cluster_id: cluster,
            name: name.clone(),
            attributes: [("number".to_owned(), n)].into(),
            ..CreateComputeHostBody::default()
        };
        match self {
            Self::Simulated(url) => CreateComputeHostBody {
                config: json!({ "host": name }),
                endpoint: Some(url.clone()),
                ..body
            },
            Self::Real(real) => CreateComputeHostBody {
                config: json!({ "uri": "qemu:///system", "accel": "tcg" }),
                node: Some(real.node.clone()),
                vcpus: Some(real.vcpus),
                ..body
            },
            Self::Flawed(flawed) => CreateComputeHostBody {
                config: json!({ "flaw": flawed.driver }),
                ..body
            },
        }
    }

    pub(crate) fn pool(&self, zone: Uuid, number: u32) -> CreateStoragePoolBody {
        let body = CreateStoragePoolBody {
            zone_id: zone,
            name: format!("pool-{number}"),
            ..CreateStoragePoolBody::default()
        };
        match self {
            Self::Simulated(url) => CreateStoragePoolBody {
                provider: "storage-sim".into(),
                config: json!({ "pool": format!("z{number}-p1") }),
                endpoint: Some(url.clone()),
                ..body
            },
            Self::Real(RealGround {
                array: Some(array),
                node,
                ..
            }) => CreateStoragePoolBody {
                provider: "storage-array".into(),
                config: array.config.clone(),
                node: Some(node.clone()),
                endpoint: Some(array.endpoint.clone()),
                credential: Some(format!("file:{}", array.credential.display())),
                ..body
            },
            Self::Real(real) => CreateStoragePoolBody {
                provider: "storage-dir".into(),
                config: json!({ "directory": real.pool }),
                node: Some(real.node.clone()),
                ..body
            },
            Self::Flawed(flawed) => CreateStoragePoolBody {
                provider: "provider-with-a-flaw".into(),
                config: json!({ "flaw": flawed.provider }),
                ..body
            },
        }
    }

    pub(crate) fn image_store(&self, zone: Uuid, number: u32) -> CreateImageStoreBody {
        let (node, directory, endpoint) = match self {
            Self::Simulated(url) | Self::Flawed(FlawedGround { images: url, .. }) => {
                (None, None, Some(url.clone()))
            }
            Self::Real(real) => (
                Some(real.node.clone()),
                Some(real.images.display().to_string()),
                None,
            ),
        };
        CreateImageStoreBody {
            zone_id: zone,
            name: format!("images-{number}"),
            node,
            directory,
            endpoint,
        }
    }

    pub(crate) fn link(&self) -> NetworkLinkBody {
        match self {
            Self::Simulated(_) | Self::Flawed(_) => NetworkLinkBody {
                kind: NetworkLinkKind::Simulated,
                name: "sim0".into(),
            },
            Self::Real(real) => NetworkLinkBody {
                kind: NetworkLinkKind::NodeBridge,
                name: real.bridge.clone(),
            },
        }
    }
}
