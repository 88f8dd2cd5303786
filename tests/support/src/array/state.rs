//! What the array has: luns, hosts, which of the ones is shown to which of the others.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use axum::http::StatusCode;
use parking_lot::Mutex;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{
    copy::Task,
    fault::Faults,
    tgt::{Tgtd, Unit},
};

/// A MiB, in which the array counts.
pub(super) const MB: u64 = 1 << 20;

/// How an array is to be.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Its name: part of the names of its targets and of its serial numbers.
    pub name: String,
    /// Where its units lie.
    pub directory: PathBuf,
    /// Where its targets are reached.
    pub portal: SocketAddr,
    /// What its one pool holds, MiB.
    pub pool_mb: u64,
    /// What requests carry in `X-Auth-Token`.
    pub token: String,
}

/// The name of the one pool.
pub(super) const POOL: &str = "tier1";

/// A lun.
#[derive(Clone, Debug)]
pub(super) struct Lun {
    pub(super) id: String,
    pub(super) label: String,
    pub(super) size_mb: u64,
    pub(super) serial: String,
    /// What initiators are told instead, by a test's hand.
    pub(super) swapped: Option<String>,
    pub(super) wwid: String,
    pub(super) client_ref: String,
    pub(super) copied_from: Option<String>,
    pub(super) is_copying: bool,
    /// Hosts, and the number of the unit there.
    pub(super) shown_to: BTreeMap<String, u16>,
}

/// A host with its target.
#[derive(Clone, Debug)]
pub(super) struct Host {
    pub(super) target: u32,
    pub(super) initiators: Vec<String>,
    pub(super) user: String,
    pub(super) secret: String,
}

#[derive(Debug, Default)]
pub(super) struct Inside {
    pub(super) luns: BTreeMap<String, Lun>,
    pub(super) hosts: BTreeMap<String, Host>,
    pub(super) tasks: BTreeMap<String, Task>,
    next_lun: u64,
    next_target: u32,
    next_task: u64,
}

/// The array.
#[derive(Debug)]
pub struct State {
    pub(super) setup: Setup,
    pub(super) tgtd: Tgtd,
    pub(super) faults: Faults,
    pub(super) inside: Mutex<Inside>,
}

/// Why a request is not carried out.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: String,
    /// The lun that stands in the way.
    pub(super) lun: Option<String>,
}

impl Refused {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            lun: None,
        }
    }
}

impl From<anyhow::Error> for Refused {
    fn from(error: anyhow::Error) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "INTERNAL",
            format!("{error:#}"),
        )
    }
}

/// How a host reaches a lun.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Mapping {
    pub(super) lun_id: String,
    pub(super) host: String,
    pub(super) unit: u16,
    pub(super) target_iqn: String,
    pub(super) portals: Vec<String>,
}

/// A host as it is shown. Its secret is not.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HostView {
    pub(super) host: String,
    pub(super) target_iqn: String,
    pub(super) portals: Vec<String>,
    pub(super) initiators: Vec<String>,
    pub(super) chap_user: String,
}

impl State {
    /// Starts `tgtd` with nothing.
    ///
    /// # Errors
    /// When the directory cannot be made, or `tgtd` does not come up.
    pub fn start(setup: Setup) -> anyhow::Result<Arc<Self>> {
        std::fs::create_dir_all(setup.directory.join("luns")).context("could not make the directory")?;
        Ok(Arc::new(Self {
            tgtd: Tgtd::start(&setup.directory, setup.portal)?,
            setup,
            faults: Faults::default(),
            inside: Mutex::default(),
        }))
    }

    pub(super) fn file(&self, lun: &str) -> PathBuf {
        self.setup.directory.join("luns").join(lun)
    }

    pub(super) fn target_iqn(&self, host: &str) -> String {
        format!("iqn.2026-01.example.quarry:{}:{host}", self.setup.name)
    }

    pub(super) fn portals(&self) -> Vec<String> {
        vec![self.setup.portal.to_string()]
    }

    /// Names of a new lun: its id, its serial number, its world wide name.
    pub(super) fn name_lun(&self, inside: &mut Inside) -> (String, String, String) {
        inside.next_lun += 1;
        let number = inside.next_lun;
        // Of two arrays no two serial numbers are the same, nor of two runs of a test.
        let seed = format!("{}/{}/{number}", self.setup.name, self.setup.directory.display());
        let digest = hex::encode(Sha256::digest(seed.as_bytes()));
        (
            format!("lun-{number:04}"),
            format!("QA{}", &digest[..16]),
            format!("naa.6{}", &digest[16..47]),
        )
    }

    pub(super) fn name_task(inside: &mut Inside) -> String {
        inside.next_task += 1;
        format!("task-{}", inside.next_task)
    }

    fn unit<'a>(lun: &'a Lun, file: &'a Path, target: u32, number: u16) -> Unit<'a> {
        Unit {
            target,
            number,
            file,
            serial: lun.swapped.as_ref().unwrap_or(&lun.serial),
            wwid: &lun.wwid,
        }
    }

    /// Makes a host, or changes it to this.
    pub(super) fn put_host(
        &self,
        name: &str,
        initiators: Vec<String>,
        user: String,
        secret: String,
    ) -> Result<HostView, Refused> {
        let mut inside = self.inside.lock();
        let taken = inside
            .hosts
            .iter()
            .any(|(other, host)| other != name && host.user == user);
        if taken {
            return Err(Refused::new(
                StatusCode::CONFLICT,
                "USER_TAKEN",
                "another host has this CHAP user",
            ));
        }
        if let Some(host) = inside.hosts.get(name).cloned() {
            for gone in host.initiators.iter().filter(|i| !initiators.contains(i)) {
                self.tgtd.disallow(host.target, gone)?;
            }
            for new in initiators.iter().filter(|i| !host.initiators.contains(i)) {
                self.tgtd.allow(host.target, new)?;
            }
            if (&host.user, &host.secret) != (&user, &secret) {
                self.tgtd.delete_account(&host.user)?;
                self.tgtd.new_account(host.target, &user, &secret)?;
            }
        } else {
            inside.next_target += 1;
            let target = inside.next_target;
            self.tgtd.new_target(target, &self.target_iqn(name))?;
            self.tgtd.new_account(target, &user, &secret)?;
            for initiator in &initiators {
                self.tgtd.allow(target, initiator)?;
            }
        }
        let target = inside
            .hosts
            .get(name)
            .map_or(inside.next_target, |host| host.target);
        let host = Host {
            target,
            initiators,
            user,
            secret,
        };
        let view = self.view_host(name, &host);
        inside.hosts.insert(name.to_owned(), host);
        Ok(view)
    }

    pub(super) fn view_host(&self, name: &str, host: &Host) -> HostView {
        HostView {
            host: name.to_owned(),
            target_iqn: self.target_iqn(name),
            portals: self.portals(),
            initiators: host.initiators.clone(),
            chap_user: host.user.clone(),
        }
    }

    pub(super) fn delete_host(&self, name: &str) -> Result<(), Refused> {
        let mut inside = self.inside.lock();
        let Some(host) = inside.hosts.get(name).cloned() else {
            return Err(no_host(name));
        };
        if inside.luns.values().any(|lun| lun.shown_to.contains_key(name)) {
            return Err(Refused::new(
                StatusCode::CONFLICT,
                "HOST_HAS_MAPPINGS",
                format!("luns are mapped to {name}"),
            ));
        }
        self.tgtd.delete_target(host.target)?;
        self.tgtd.delete_account(&host.user)?;
        inside.hosts.remove(name);
        Ok(())
    }

    /// Shows a lun to a host.
    pub(super) fn map(&self, lun_id: &str, name: &str) -> Result<Mapping, Refused> {
        let mut inside = self.inside.lock();
        let target = inside.hosts.get(name).ok_or_else(|| no_host(name))?.target;
        let used: Vec<u16> = inside
            .luns
            .values()
            .filter_map(|lun| lun.shown_to.get(name).copied())
            .collect();
        let lun = inside.luns.get_mut(lun_id).ok_or_else(|| no_lun(lun_id))?;
        if lun.is_copying {
            return Err(Refused::new(
                StatusCode::CONFLICT,
                "COPY_IN_PROGRESS",
                format!("{lun_id} is being copied"),
            ));
        }
        let number = match lun.shown_to.get(name) {
            Some(number) => *number,
            None => {
                let free = (1..=255).find(|number| !used.contains(number));
                let number = free.ok_or_else(|| {
                    Refused::new(
                        StatusCode::CONFLICT,
                        "NO_UNIT_LEFT",
                        "255 luns are mapped to this host",
                    )
                })?;
                let file = self.file(lun_id);
                self.tgtd.new_unit(Self::unit(lun, &file, target, number))?;
                lun.shown_to.insert(name.to_owned(), number);
                number
            }
        };
        Ok(self.mapping(lun_id, name, number))
    }

    pub(super) fn mapping(&self, lun: &str, host: &str, unit: u16) -> Mapping {
        Mapping {
            lun_id: lun.to_owned(),
            host: host.to_owned(),
            unit,
            target_iqn: self.target_iqn(host),
            portals: self.portals(),
        }
    }

    pub(super) fn unmap(&self, lun_id: &str, name: &str) -> Result<(), Refused> {
        let mut inside = self.inside.lock();
        let target = inside.hosts.get(name).map(|host| host.target);
        let lun = inside.luns.get_mut(lun_id).ok_or_else(|| no_lun(lun_id))?;
        let found = lun.shown_to.get(name).copied().zip(target);
        let (number, target) = found.ok_or_else(|| not_mapped(lun_id, name))?;
        self.tgtd.delete_unit(target, number)?;
        lun.shown_to.remove(name);
        Ok(())
    }

    /// A test's hand: the lun tells initiators another serial number from now on, or its own again. The books keep what
    /// was promised.
    pub(super) fn swap_serial(&self, lun_id: &str, serial: Option<String>) -> Result<(), Refused> {
        let mut inside = self.inside.lock();
        let targets: BTreeMap<String, u32> = inside
            .hosts
            .iter()
            .map(|(name, host)| (name.clone(), host.target))
            .collect();
        let lun = inside.luns.get_mut(lun_id).ok_or_else(|| no_lun(lun_id))?;
        lun.swapped = serial;
        for (host, number) in &lun.shown_to {
            if let Some(target) = targets.get(host) {
                let file = self.file(lun_id);
                self.tgtd.label_unit(Self::unit(lun, &file, *target, *number))?;
            }
        }
        Ok(())
    }

    /// A test's hand: the array has another secret for a host than it was given, or that one again.
    pub(super) fn change_secret(&self, name: &str, secret: Option<String>) -> Result<(), Refused> {
        let inside = self.inside.lock();
        let host = inside.hosts.get(name).ok_or_else(|| no_host(name))?;
        let secret = secret.unwrap_or_else(|| host.secret.clone());
        self.tgtd.delete_account(&host.user)?;
        Ok(self.tgtd.new_account(host.target, &host.user, &secret)?)
    }
}

pub(super) fn no_host(name: &str) -> Refused {
    Refused::new(
        StatusCode::NOT_FOUND,
        "NO_SUCH_HOST",
        format!("there is no host {name}"),
    )
}

pub(super) fn no_lun(id: &str) -> Refused {
    Refused::new(
        StatusCode::NOT_FOUND,
        "NO_SUCH_LUN",
        format!("there is no lun {id}"),
    )
}

pub(super) fn not_mapped(lun: &str, host: &str) -> Refused {
    Refused::new(
        StatusCode::NOT_FOUND,
        "NOT_MAPPED",
        format!("{lun} is not mapped to {host}"),
    )
}
