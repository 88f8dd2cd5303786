//! A node in this process, on a socket of its own, and what a server would send it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::{sync::oneshot, task::JoinHandle};
use uuid::Uuid;
use velum_connector::{Connections, NodeClient, Warrant, http::HttpConnector};
use velum_model::{
    id::RunId,
    port::{
        Effect, Fence,
        hypervisor::{Disk, GuestSpec, NicSpec, RunHandle, registry as guest},
        storage::{Attachment, registry as volume},
        target::Attr,
    },
};
use velum_node::{Node, bind, serve};

/// A node that serves until it is stopped.
pub struct Machine {
    pub dir: PathBuf,
    pub connections: Connections,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Machine {
    /// Starts a node with its state, pool and images below `dir`.
    pub async fn start(dir: &Path, uri: &str) -> Self {
        for part in ["pool", "images"] {
            std::fs::create_dir_all(dir.join(part)).unwrap();
        }
        let allowed = vec![dir.join("pool"), dir.join("images")];
        let node = Node::open(&dir.join("state"), vec![uri.to_owned()], allowed)
            .await
            .unwrap();
        let listener = bind(&dir.join("node.sock"), None).unwrap();
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(serve(Arc::new(node), listener, async {
            let _ = stopped.await;
        }));
        Self {
            dir: dir.to_owned(),
            connections: server(),
            stop,
            serving,
        }
    }

    /// Stops it, as if it had died: connections that stand are not told.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        self.serving.await.unwrap();
    }

    pub fn address(&self) -> String {
        format!("unix:{}/node.sock", self.dir.display())
    }

    pub fn client(&self) -> NodeClient {
        self.connections.client(&self.address()).unwrap()
    }

    pub fn pool(&self) -> String {
        self.dir.join("pool").display().to_string()
    }

    pub fn images(&self) -> String {
        self.dir.join("images").display().to_string()
    }
}

/// Another server's connections.
pub fn server() -> Connections {
    Connections::new(HttpConnector::new().unwrap())
}

/// The right and identity of an effect.
pub struct Paper {
    pub fence: Fence,
    pub effect: Effect,
}

impl Paper {
    pub fn warrant(&self) -> Warrant<'_> {
        Warrant {
            fence: &self.fence,
            effect: &self.effect,
        }
    }
}

pub const SHARD: Uuid = Uuid::from_u128(0x5a);

/// Papers for an effect on an object, of epoch 1 and generation 1.
pub fn paper(object: u128, effect: u128) -> Paper {
    paper_of(object, effect, 1, 1)
}

pub fn paper_of(object: u128, effect: u128, epoch: u64, generation: u64) -> Paper {
    Paper {
        fence: Fence {
            shard: SHARD,
            epoch,
            object: Uuid::from_u128(object),
            generation,
        },
        effect: Effect {
            id: Uuid::from_u128(effect),
            attempt: 0,
            deadline_ms: 60_000,
        },
    }
}

/// A run that no other test has.
pub fn run(number: u128) -> RunHandle {
    RunHandle {
        id: RunId::from_uuid(Uuid::from_u128((u128::from(std::process::id()) << 64) + number)),
        generation: 1,
    }
}

pub fn attachment(path: &str, size_bytes: u64) -> Attachment {
    Attachment {
        kind: volume::ATTACH_FILE,
        format: volume::FORMAT_QCOW2,
        identity: format!("id-{}", path.rsplit('/').next().unwrap_or_default()),
        size_bytes,
        params: vec![Attr::text(volume::PARAM_PATH, path)],
        secret: None,
    }
}

pub fn disk(slot: u16, path: &str, size_bytes: u64) -> Disk {
    Disk {
        slot,
        volume: Uuid::from_u128(u128::from(slot) + 1),
        attachment: attachment(path, size_bytes),
        bus: guest::BUS_VIRTIO,
        readonly: false,
        boot_order: None,
        attrs: Vec::new(),
    }
}

/// An order of a small guest.
pub fn order(disks: Vec<Disk>, nics: Vec<NicSpec>, seed: Option<&str>) -> GuestSpec {
    GuestSpec {
        vcpus: 1,
        vcpus_max: 1,
        memory_mib: 64,
        memory_max_mib: 64,
        arch: guest::ARCH_X86_64,
        disks,
        nics,
        attrs: seed
            .map(|path| Attr::text(guest::GUEST_SEED, path))
            .into_iter()
            .collect(),
    }
}

/// What a driver would write for that order.
pub fn xml(kind: &str, arch: &str, run: RunHandle, order: &GuestSpec) -> String {
    let path = |params: &[Attr]| match &params[0].value {
        velum_model::port::target::AttrValue::Text(path) => path.clone(),
        other => panic!("{other:?}"),
    };
    let mut devices = String::new();
    for disk in &order.disks {
        devices += &disk_xml(disk);
    }
    for seed in &order.attrs {
        devices += &format!(
            "<disk type='file' device='cdrom'><driver name='qemu' type='raw'/><source file='{}'/>\
             <target dev='sda' bus='sata'/><readonly/></disk>",
            path(std::slice::from_ref(seed))
        );
    }
    for nic in &order.nics {
        devices += &format!(
            "<interface type='bridge'><mac address='{}'/><source bridge='{}'/><model type='virtio'/></interface>",
            nic.mac, nic.link
        );
    }
    let machine = if kind == "test" { "" } else { " machine='q35'" };
    format!(
        "<domain type='{kind}'><name>x</name><uuid>{}</uuid><memory unit='MiB'>{}</memory><vcpu>{}</vcpu>\
         <os><type arch='{arch}'{machine}>hvm</type></os><features><acpi/></features>\
         <devices>{devices}</devices></domain>",
        run.id, order.memory_mib, order.vcpus
    )
}

pub fn disk_xml(disk: &Disk) -> String {
    let path = match &disk.attachment.params[0].value {
        velum_model::port::target::AttrValue::Text(path) => path.clone(),
        other => panic!("{other:?}"),
    };
    let letter = char::from(b'a' + u8::try_from(disk.slot).unwrap());
    format!(
        "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{path}'/>\
         <target dev='vd{letter}' bus='virtio'/></disk>"
    )
}
