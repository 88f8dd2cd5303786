//! Seeds: what a guest reads at its first boot (cloud-init's NoCloud on a disc labelled `cidata`).
//!
//! YAML is a superset of JSON, so the two documents are written as JSON: nothing that a user named can become a key.

pub mod iso;

use std::path::PathBuf;

use serde_json::{Value, json};
use velum_model::{
    fault::{Fault, code},
    id::RunId,
    port::node::{SeedNic, SeedSpec},
};

use crate::disk::{io_fault, remove_durably, unfinished, write_durably};

/// The longest user data.
const MAX_USER_DATA: usize = 64 << 10;

/// NICs in a seed: as many as a guest can have.
const MAX_NICS: usize = 128;

/// Where the seeds of this node lie.
#[derive(Clone, Debug)]
pub struct Seeds {
    directory: PathBuf,
}

impl Seeds {
    /// In this directory, which exists.
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Where the seed of a run lies, if it was written.
    #[must_use]
    pub fn path(&self, run: RunId) -> PathBuf {
        self.directory.join(format!("{run}.iso"))
    }

    /// Writes the seed of a run; answers its path. The same seed is the same bytes.
    ///
    /// # Errors
    /// `INVALID` for values that no seed can carry; what the disk says.
    pub fn write(&self, run: RunId, seed: &SeedSpec) -> Result<PathBuf, Fault> {
        check(seed)?;
        let meta = document(&meta_data(seed));
        let network = document(&network_config(seed));
        let image = iso::image(
            "cidata",
            &[
                ("meta-data", &meta),
                ("network-config", &network),
                ("user-data", &seed.user_data),
            ],
        );
        let path = self.path(run);
        // The hypervisor's user reads it when the guest starts; user data can hold secrets, so nobody else does.
        write_durably(&path, &image, 0o640).map_err(|e| io_fault("writing the seed", &path, &e))?;
        Ok(path)
    }

    /// The runs whose seeds lie here.
    ///
    /// # Errors
    /// What the disk says.
    pub fn written(&self) -> Result<Vec<RunId>, Fault> {
        let failed = |e: std::io::Error| Fault {
            unchanged: true,
            ..io_fault("listing", &self.directory, &e)
        };
        let mut runs = Vec::new();
        for entry in std::fs::read_dir(&self.directory).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            // What a write that a crash cut off left behind is no seed; it goes with the next one of its run.
            let id = name.to_str().and_then(|name| name.strip_suffix(".iso"));
            runs.extend(id.and_then(|id| id.parse::<RunId>().ok()));
        }
        Ok(runs)
    }

    /// Removes the seed of a run; done when it never was.
    ///
    /// # Errors
    /// What the disk says.
    pub fn remove(&self, run: RunId) -> Result<(), Fault> {
        // With what a write that a crash cut off left behind.
        for path in [self.path(run), unfinished(&self.path(run))] {
            remove_durably(&path).map_err(|e| io_fault("removing the seed", &path, &e))?;
        }
        Ok(())
    }
}

fn check(seed: &SeedSpec) -> Result<(), Fault> {
    let invalid = |what: String| Err(Fault::unchanged(code::INVALID, what));
    if seed.user_data.len() > MAX_USER_DATA {
        return invalid(format!(
            "the user data has {} bytes; {MAX_USER_DATA} are allowed",
            seed.user_data.len()
        ));
    }
    if seed.nics.len() > MAX_NICS {
        return invalid(format!("{} NICs; {MAX_NICS} are allowed", seed.nics.len()));
    }
    let host_name_fits = (1..=63).contains(&seed.hostname.len())
        && seed
            .hostname
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
    if !host_name_fits {
        return invalid(format!("{:?} is no host name", seed.hostname));
    }
    Ok(())
}

fn document(value: &Value) -> Vec<u8> {
    // `{:#}` of a Value cannot fail, and ends without a line feed, which some readers want.
    format!("{value:#}\n").into_bytes()
}

fn meta_data(seed: &SeedSpec) -> Value {
    json!({
        "instance-id": seed.instance.to_string(),
        "local-hostname": seed.hostname,
    })
}

fn network_config(seed: &SeedSpec) -> Value {
    let ethernets: serde_json::Map<String, Value> = seed
        .nics
        .iter()
        .enumerate()
        .map(|(slot, nic)| (format!("nic{slot}"), ethernet(nic)))
        .collect();
    json!({ "version": 2, "ethernets": ethernets })
}

fn ethernet(nic: &SeedNic) -> Value {
    let mut device = json!({
        "match": { "macaddress": nic.mac },
        "addresses": [nic.address],
    });
    if let Some(gateway) = &nic.gateway {
        device["routes"] = json!([{ "to": "default", "via": gateway }]);
    }
    if !nic.dns.is_empty() {
        device["nameservers"] = json!({ "addresses": nic.dns });
    }
    device
}

#[cfg(test)]
mod tests {
    use std::{path::Path, process::Command};

    use uuid::Uuid;

    use super::*;

    fn seed() -> SeedSpec {
        SeedSpec {
            instance: Uuid::from_u128(5),
            hostname: "web-1".to_owned(),
            nics: vec![SeedNic {
                mac: "06:56:00:00:00:01".to_owned(),
                address: "10.10.0.5/24".to_owned(),
                gateway: Some("10.10.0.1".to_owned()),
                dns: vec!["10.10.0.1\": {}\nevil: true".to_owned()],
            }],
            user_data: b"#!/bin/sh\necho marker\n".to_vec(),
        }
    }

    /// Reads a file of the disc with a tool that is not ours.
    fn extracted(disc: &Path, tree: &str, name: &str) -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let done = Command::new("xorriso")
            .args(["-osirrox", "on", "-read_fs", tree, "-indev"])
            .arg(disc)
            .args(["-extract", name])
            .arg(&out)
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        std::fs::read(out).unwrap()
    }

    #[test]
    fn a_seed_is_a_disc_that_others_can_read() {
        let dir = tempfile::tempdir().unwrap();
        let seeds = Seeds::new(dir.path().to_owned());
        let run: RunId = "00000000-0000-0000-0000-000000000007".parse().unwrap();
        let path = seeds.write(run, &seed()).unwrap();
        assert_eq!(path, seeds.path(run));
        let first = std::fs::read(&path).unwrap();
        seeds.write(run, &seed()).unwrap();
        assert_eq!(
            std::fs::read(&path).unwrap(),
            first,
            "the same seed, the same bytes"
        );

        assert_eq!(extracted(&path, "norock", "/user-data"), seed().user_data);
        let meta: Value = serde_json::from_slice(&extracted(&path, "norock", "/meta-data")).unwrap();
        assert_eq!(meta["local-hostname"], "web-1");
        assert_eq!(meta["instance-id"], "00000000-0000-0000-0000-000000000005");
        let network: Value = serde_json::from_slice(&extracted(&path, "norock", "/network-config")).unwrap();
        let nic = &network["ethernets"]["nic0"];
        assert_eq!(nic["match"]["macaddress"], "06:56:00:00:00:01");
        assert_eq!(nic["routes"][0]["via"], "10.10.0.1");
        assert_eq!(nic["nameservers"]["addresses"][0], "10.10.0.1\": {}\nevil: true");
        assert_eq!(network.as_object().unwrap().len(), 2, "nothing was injected");
        // Also without Joliet.
        assert_eq!(extracted(&path, "nojoliet", "/USER-DATA"), seed().user_data);

        seeds.remove(run).unwrap();
        seeds.remove(run).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn the_disc_is_labelled_so_that_cloud_init_finds_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.iso");
        std::fs::write(&path, iso::image("cidata", &[("user-data", b"x")])).unwrap();
        let label = Command::new("blkid")
            .args(["-p", "-o", "value", "-s", "LABEL"])
            .arg(&path)
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&label.stdout).trim(), "cidata");
    }

    #[test]
    fn what_no_seed_can_carry_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let seeds = Seeds::new(dir.path().to_owned());
        let run: RunId = "00000000-0000-0000-0000-000000000007".parse().unwrap();
        let long = SeedSpec {
            user_data: vec![0; MAX_USER_DATA + 1],
            ..seed()
        };
        let name = SeedSpec {
            hostname: "a\nb".to_owned(),
            ..seed()
        };
        for bad in [long, name] {
            let fault = seeds.write(run, &bad).unwrap_err();
            assert_eq!((fault.code, fault.unchanged), (code::INVALID, true));
        }
    }
}
