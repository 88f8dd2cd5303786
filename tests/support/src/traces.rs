//! What a real cloud leaves on its machine: domains, files of the pool, seeds, console logs, bridges; and whether that is
//! just what the server's books say.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
};

use anyhow::Context;
use velum_client::{Client, Filter};
use velum_wire::InstanceState;

use crate::{real::RealCloud, virsh::Domain};

/// What is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traces {
    /// Domains of this cloud, defined or running.
    pub domains: Vec<Domain>,
    /// Files in the pool.
    pub files: BTreeSet<String>,
    /// The node's records of who made them.
    pub made: BTreeSet<String>,
    /// Files that are being made.
    pub unfinished: BTreeSet<String>,
    /// Seeds.
    pub seeds: BTreeSet<String>,
    /// Console logs.
    pub logs: BTreeSet<String>,
    /// The node's records of bridges that it made.
    pub links: BTreeSet<String>,
    /// Images of the image store.
    pub images: BTreeSet<String>,
    /// Whether the bridge of the network is there.
    pub has_bridge: bool,
}

/// Names in a directory; none when it is not there. Directories of the node's own records are left out.
fn names(directory: &Path) -> anyhow::Result<BTreeSet<String>> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(e) => return Err(e).with_context(|| format!("could not list {}", directory.display())),
    };
    let mut found = BTreeSet::new();
    for entry in entries {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            found.insert(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(found)
}

impl Traces {
    /// Looks at the machine.
    ///
    /// # Errors
    /// When libvirt does not answer, or a directory cannot be read.
    pub fn of(cloud: &RealCloud) -> anyhow::Result<Self> {
        let home = cloud.directory();
        Ok(Self {
            domains: Domain::all_with(&home.display().to_string())?,
            files: names(&home.join("pool"))?,
            made: names(&home.join("pool/.velum/made"))?,
            unfinished: names(&home.join("pool/.velum/tmp"))?,
            seeds: names(&home.join("node/seeds"))?,
            logs: names(&home.join("node/console"))?,
            links: names(&home.join("node/links"))?,
            images: names(&home.join("images"))?,
            has_bridge: Path::new("/sys/class/net").join(cloud.bridge()).exists(),
        })
    }

    /// What is there against what the server's books say, while nothing is under way. `layers` templates are cached on
    /// the pool. Answers each difference in words.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn differences(&self, client: &Client, layers: usize) -> anyhow::Result<Vec<String>> {
        let mut found = Vec::new();
        let mut domains: BTreeMap<&str, Vec<&Domain>> = BTreeMap::new();
        for domain in &self.domains {
            match &domain.run {
                Some(run) => domains.entry(run).or_default().push(domain),
                None => found.push(format!("the domain {} has no owner tag", domain.name)),
            }
        }
        let mut runs = BTreeSet::new();
        for instance in client.instances().all(&Filter::new()).await? {
            let run = instance.run.as_ref().map(|run| run.id.to_string());
            let here = run.as_deref().and_then(|run| domains.remove(run));
            match (instance.state, run, here.as_deref()) {
                (InstanceState::Running, Some(run), Some([only])) if only.is_active => {
                    runs.insert(run);
                }
                (InstanceState::Stopped, None, None) => {}
                (state, run, here) => found.push(format!(
                    "{} is {state:?} with run {run:?}, and libvirt has {here:?}",
                    instance.name
                )),
            }
        }
        found.extend(
            domains
                .keys()
                .map(|run| format!("libvirt has a domain of run {run}, which no instance has")),
        );
        let volumes = client.volumes().all(&Filter::new()).await?;
        let volumes: BTreeSet<String> = volumes.iter().map(|v| format!("{}.qcow2", v.id)).collect();
        let missing: Vec<&String> = volumes.difference(&self.files).collect();
        if !missing.is_empty() {
            found.push(format!("the pool has no files of these volumes: {missing:?}"));
        }
        let others: Vec<&String> = self.files.difference(&volumes).collect();
        if others.len() != layers {
            found.push(format!(
                "beside volumes the pool has {others:?}; {layers} layers are expected"
            ));
        }
        if self.made != self.files {
            found.push(format!(
                "the pool's records are {:?}, its files {:?}",
                self.made, self.files
            ));
        }
        if !self.unfinished.is_empty() {
            found.push(format!("the pool has unfinished files: {:?}", self.unfinished));
        }
        let seeds: BTreeSet<String> = runs.iter().map(|run| format!("{run}.iso")).collect();
        if self.seeds != seeds {
            found.push(format!(
                "the seeds are {:?}, those of running guests {seeds:?}",
                self.seeds
            ));
        }
        let logs: BTreeSet<String> = runs.iter().map(|run| format!("{run}.log")).collect();
        if !self.logs.is_subset(&logs) {
            found.push(format!(
                "the console logs are {:?}, those of running guests {logs:?}",
                self.logs
            ));
        }
        Ok(found)
    }
}
