//! Links: the bridges that networks map to.
//!
//! A bridge that the node makes is written down before it is made (`STATE/links/NETWORK.json`), so that after a crash or
//! a boot it is known to be ours. Others' bridges and libvirt's networks are only looked for.

use std::{
    ffi::OsString,
    io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use velum_model::{
    fault::{Fault, code},
    net::LinkKind,
    port::node::LinkSpec,
};

use crate::{
    disk::{io_fault, remove_durably, write_durably},
    tool,
};

/// The longest name of a network device (IFNAMSIZ without its end).
const MAX_NAME: usize = 15;

/// How long one `ip` command may take.
const IP: Duration = Duration::from_secs(10);

/// The links of this machine.
#[derive(Debug)]
pub struct Links {
    records: PathBuf,
    /// Where the kernel shows network devices; another directory in tests.
    devices: PathBuf,
    /// One change at a time: two networks could ask for one name.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Serialize, Deserialize)]
struct Made {
    name: String,
    gateway: Option<String>,
}

fn invalid(what: String) -> Fault {
    Fault::unchanged(code::INVALID, what)
}

impl Links {
    /// With its records in this directory, which exists.
    #[must_use]
    pub fn new(records: PathBuf) -> Self {
        Self {
            records,
            devices: PathBuf::from("/sys/class/net"),
            turn: tokio::sync::Mutex::default(),
        }
    }

    fn record(&self, network: Uuid) -> PathBuf {
        self.records.join(format!("{network}.json"))
    }

    fn is_bridge(&self, name: &str) -> bool {
        self.devices.join(name).join("bridge").is_dir()
    }

    /// Makes or checks a bridge; answers its name. Libvirt's networks are the caller's to look for.
    ///
    /// # Errors
    /// `INVALID`, `NOT_FOUND`, `EXISTS_DIFFERENT` and `UNSUPPORTED` say what to do.
    pub async fn ensure(&self, spec: &LinkSpec) -> Result<String, Fault> {
        let name = &spec.link.name;
        check_name(name)?;
        let _turn = self.turn.lock().await;
        match spec.link.kind {
            LinkKind::Bridge if self.is_bridge(name) => Ok(name.clone()),
            LinkKind::Bridge => Err(Fault::unchanged(
                code::NOT_FOUND,
                format!(
                    "this machine has no bridge {name}: make it (ip link add {name} type bridge), or let the node make one (node-bridge)"
                ),
            )),
            LinkKind::NodeBridge => {
                self.make(spec).await?;
                Ok(name.clone())
            }
            LinkKind::LibvirtNetwork | LinkKind::Simulated => Err(Fault::unchanged(
                code::UNSUPPORTED,
                format!("a link of kind {:?} is not of this node's making", spec.link.kind),
            )),
        }
    }

    async fn make(&self, spec: &LinkSpec) -> Result<(), Fault> {
        let name = spec.link.name.as_str();
        if let Some(gateway) = &spec.gateway {
            check_gateway(gateway)?;
        }
        let ours = self.read(spec.network)?;
        if self.devices.join(name).exists() {
            let is_ours = ours.as_ref().is_some_and(|made| made.name == name) && self.is_bridge(name);
            if !is_ours {
                return Err(Fault::unchanged(
                    code::EXISTS_DIFFERENT,
                    format!(
                        "a network device {name} is there and was not made for this network: name the link otherwise, or use kind bridge"
                    ),
                ));
            }
        }
        let made = Made {
            name: name.to_owned(),
            gateway: spec.gateway.clone(),
        };
        let record = self.record(spec.network);
        let text = serde_json::to_vec(&made).map_err(|e| invalid(e.to_string()))?;
        write_durably(&record, &text, 0o644).map_err(|e| io_fault("writing", &record, &e))?;
        if !self.is_bridge(name) {
            // Guests' first packets shall not wait for a spanning tree that a bridge of our own does not need.
            ip(&[
                "link",
                "add",
                "name",
                name,
                "type",
                "bridge",
                "stp_state",
                "0",
                "forward_delay",
                "0",
            ])
            .await?;
        }
        if let Some(gateway) = &spec.gateway {
            ip(&["address", "replace", gateway, "dev", name]).await?;
        }
        ip(&["link", "set", "dev", name, "up"]).await
    }

    fn read(&self, network: Uuid) -> Result<Option<Made>, Fault> {
        let record = self.record(network);
        match std::fs::read(&record) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|e| Fault::unchanged(code::FAILED, format!("{} is damaged: {e}", record.display()))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(io_fault("reading", &record, &e)),
        }
    }

    /// The networks that the node made a bridge for.
    ///
    /// # Errors
    /// What the disk says.
    pub fn made(&self) -> Result<Vec<Uuid>, Fault> {
        let failed = |e: io::Error| Fault {
            unchanged: true,
            ..io_fault("listing", &self.records, &e)
        };
        let mut networks = Vec::new();
        for entry in std::fs::read_dir(&self.records).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            // What a write that a crash cut off left behind is no record.
            let id = name.to_str().and_then(|name| name.strip_suffix(".json"));
            networks.extend(id.and_then(|id| id.parse::<Uuid>().ok()));
        }
        Ok(networks)
    }

    /// Removes the bridge that the node made for a network; done when it made none.
    ///
    /// # Errors
    /// `BUSY` while something is plugged into it.
    pub async fn remove(&self, network: Uuid) -> Result<(), Fault> {
        let _turn = self.turn.lock().await;
        let Some(made) = self.read(network)? else {
            return Ok(());
        };
        if self.is_bridge(&made.name) {
            let ports = std::fs::read_dir(self.devices.join(&made.name).join("brif"));
            let used = ports.is_ok_and(|mut ports| ports.next().is_some());
            if used {
                return Err(Fault::unchanged(
                    code::BUSY,
                    format!("guests are still plugged into the bridge {}", made.name),
                ));
            }
            ip(&["link", "delete", "dev", &made.name, "type", "bridge"]).await?;
        }
        let record = self.record(network);
        remove_durably(&record)
            .map(drop)
            .map_err(|e| io_fault("removing", &record, &e))
    }
}

async fn ip(arguments: &[&str]) -> Result<(), Fault> {
    let mut program = vec![OsString::from("ip")];
    program.extend(arguments.iter().map(OsString::from));
    tool::run(&program, Path::new("/"), None, IP)
        .await
        .map_err(|failed| failed.fault(&format!("ip {}", arguments.join(" "))))
}

/// Checks a device name; also one that libvirt gave its network has this form.
///
/// # Errors
/// `INVALID`.
pub fn check_name(name: &str) -> Result<(), Fault> {
    let fits = (1..=MAX_NAME).contains(&name.len())
        && name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if fits {
        Ok(())
    } else {
        Err(invalid(format!(
            "{name:?} is no name of a bridge: 1 to {MAX_NAME} of a-z, A-Z, 0-9, '-', '_', '.', the first a letter or a digit"
        )))
    }
}

fn check_gateway(gateway: &str) -> Result<(), Fault> {
    let fits = gateway.split_once('/').is_some_and(|(address, prefix)| {
        address.parse::<Ipv4Addr>().is_ok() && prefix.parse::<u8>().is_ok_and(|bits| (1..=32).contains(&bits))
    });
    if fits {
        Ok(())
    } else {
        Err(invalid(format!(
            "{gateway:?} is no gateway: write it as 10.0.0.1/24"
        )))
    }
}

#[cfg(test)]
mod tests {
    use velum_model::net::Link;

    use super::*;

    fn spec(kind: LinkKind, name: &str, gateway: Option<&str>) -> LinkSpec {
        LinkSpec {
            network: Uuid::from_u128(1),
            link: Link {
                kind,
                name: name.to_owned(),
            },
            gateway: gateway.map(str::to_owned),
        }
    }

    #[tokio::test]
    async fn what_is_no_link_is_refused_before_anything_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let links = Links::new(dir.path().to_owned());
        for (bad, expected) in [
            (spec(LinkKind::Bridge, "vlm-absent", None), code::NOT_FOUND),
            (spec(LinkKind::NodeBridge, "", None), code::INVALID),
            (
                spec(LinkKind::NodeBridge, "a-name-that-is-too-long", None),
                code::INVALID,
            ),
            (spec(LinkKind::NodeBridge, "-d", None), code::INVALID),
            (spec(LinkKind::NodeBridge, "a b", None), code::INVALID),
            (spec(LinkKind::NodeBridge, "../x", None), code::INVALID),
            (
                spec(LinkKind::NodeBridge, "vlm0", Some("10.0.0.1")),
                code::INVALID,
            ),
            (
                spec(LinkKind::NodeBridge, "vlm0", Some("10.0.0.1/24 dev lo")),
                code::INVALID,
            ),
            // Somebody else's device.
            (spec(LinkKind::NodeBridge, "lo", None), code::EXISTS_DIFFERENT),
            (spec(LinkKind::Simulated, "x", None), code::UNSUPPORTED),
        ] {
            let fault = links.ensure(&bad).await.unwrap_err();
            assert!(fault.code == expected && fault.unchanged, "{bad:?}: {fault}");
        }
        assert!(links.made().unwrap().is_empty());
        links.remove(Uuid::from_u128(1)).await.unwrap();
    }

    #[tokio::test]
    async fn a_link_is_told_from_its_record_until_it_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let links = Links::new(dir.path().to_owned());
        let network = Uuid::from_u128(7);
        let made = Made {
            name: "vlm-absent".to_owned(),
            gateway: None,
        };
        std::fs::write(links.record(network), serde_json::to_vec(&made).unwrap()).unwrap();
        std::fs::write(dir.path().join(".new-half.json"), "").unwrap();
        assert_eq!(links.made().unwrap(), [network]);
        // The bridge went with the last boot of the machine: only its record is left to remove.
        links.remove(network).await.unwrap();
        assert!(links.made().unwrap().is_empty());
    }
}
