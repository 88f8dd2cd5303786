//! `POST /v1/compute-hosts`

use std::collections::BTreeMap;

use serde_json::Value;
use velum_model::{
    ComputeHostId,
    infrastructure::{Cluster, ComputeHost, HostAbilities, HostState, Intent},
    plugin::{Digest, World},
    port::{
        hypervisor::NodeFacts,
        target::{Target, TargetKind},
    },
    quantity::{MemoryMib, Vcpus},
    resource::restated,
    tenancy::Caller,
};
use velum_store::{Change, Commit, Refused, StoreError};

use super::{
    NewComputeHost,
    address::{ADDRESS_TRIES, Promise},
};
use crate::{
    error::ServiceError,
    request::{Answered, Keyed},
    services::Services,
    targets::{check_addresses, check_attributes, probe, tidy_tags, unanswered},
    write::{administer, no_such, own_event},
};

/// What the driver says of a host.
pub(super) struct Found {
    pub facts: NodeFacts,
    pub abilities: HostAbilities,
}

impl Services {
    /// Registers a compute host that answers.
    ///
    /// # Errors
    /// The cluster does not exist, settings do not fit the driver's schema, the host or its node does not answer, the
    /// name or the private address is taken.
    pub async fn compute_host_create(
        &self,
        caller: &Caller,
        new: NewComputeHost,
        keyed: Option<Keyed<ComputeHost>>,
    ) -> Result<Answered<ComputeHost>, ServiceError> {
        administer(caller, "compute host")?;
        if let Some(answer) = self.known(keyed.as_ref()).await? {
            return Ok(Answered::Replayed(answer));
        }
        check_addresses(new.node.as_deref(), new.endpoint.as_deref())?;
        check_attributes(&new.attributes)?;
        let cluster = self.read().cluster(new.cluster).await;
        let cluster = cluster
            .map_err(|error| ServiceError::from_store("read the cluster", error))?
            .ok_or_else(|| no_such("/cluster_id", "cluster", new.cluster))?;
        let (driver, first) = self
            .plugin_for(
                caller,
                cluster.zone,
                &cluster.driver,
                (World::HypervisorDriver, "/cluster_id"),
            )
            .await?;
        let id: ComputeHostId = self.fresh();
        let target = Target {
            kind: TargetKind::ComputeHost,
            id: id.uuid(),
            config: object(new.config.clone()),
            node: new.node.clone(),
            endpoint: new.endpoint.clone(),
            secret: None,
        };
        let found = self.probe_host(&driver.digest, &target).await?;
        let mut host = self.host_of(id, new, &cluster, (driver.digest, found))?;
        host.config = target.config;
        self.store_host(caller, (host, first), &cluster, keyed.as_ref())
            .await
    }

    /// Asks node and driver what is there.
    pub(super) async fn probe_host(&self, driver: &Digest, target: &Target) -> Result<Found, ServiceError> {
        self.check_target(driver, &target.config)?;
        self.check_node(target.node.as_deref()).await?;
        let driver = self.plugins().hypervisor(driver)?;
        let asked = probe(async { Ok((driver.describe().await?, driver.probe(target).await?)) }).await;
        let (descriptor, facts) = asked.map_err(|fault| unanswered(target, &fault))?;
        let facts = facts.into_iter().next().ok_or_else(|| {
            ServiceError::invalid(
                "/config",
                "the driver finds no compute host there",
                "check the settings",
            )
        })?;
        let abilities = HostAbilities {
            arch: facts.arch,
            attachment_kinds: descriptor.attachment_kinds,
            nic_kinds: descriptor.nic_kinds,
            console_kinds: descriptor.console_kinds,
            interfaces: descriptor.interfaces,
            initiators: facts.initiators.clone(),
        };
        Ok(Found { facts, abilities })
    }

    fn host_of(
        &self,
        id: ComputeHostId,
        new: NewComputeHost,
        cluster: &Cluster,
        (driver, found): (Digest, Found),
    ) -> Result<ComputeHost, ServiceError> {
        let vcpus = match new.vcpus {
            Some(vcpus) => vcpus,
            None => Vcpus::new(u64::from(found.facts.vcpus)).map_err(|e| unusable("/vcpus", &e))?,
        };
        let memory = match new.memory {
            Some(memory) => memory,
            None => MemoryMib::new(found.facts.memory_mib).map_err(|e| unusable("/memory_mib", &e))?,
        };
        let now = self.now();
        Ok(ComputeHost {
            id,
            zone: cluster.zone,
            pod: cluster.pod,
            cluster: cluster.id,
            name: new.name,
            driver,
            config: new.config,
            node: new.node,
            endpoint: new.endpoint,
            private_address: new.private_address,
            vcpus,
            memory,
            vcpus_ceiling: cluster.cpu_overcommit.ceiling(u64::from(vcpus.get())),
            memory_ceiling: cluster.memory_overcommit.ceiling(memory.get()),
            vcpus_used: 0,
            memory_used: 0,
            resources: restated(&BTreeMap::new(), &new.resources),
            tags: tidy_tags(new.tags, "/tags")?,
            attributes: new.attributes,
            abilities: found.abilities,
            intent: Intent::Enabled,
            dedicated_to: None,
            observed: HostState::Up,
            boot_id: Some(found.facts.boot_id),
            observed_at: Some(now),
            driven_since: None,
            generation: 1,
            created_at: now,
        })
    }

    /// Stores the host with a private address, if its pod has any: the one that was asked for, or the lowest free.
    async fn store_host(
        &self,
        caller: &Caller,
        (mut host, first): (ComputeHost, Option<Change>),
        cluster: &Cluster,
        keyed: Option<&Keyed<ComputeHost>>,
    ) -> Result<Answered<ComputeHost>, ServiceError> {
        let wanted = host.private_address;
        for _ in 0..ADDRESS_TRIES {
            let promise = self.private_address(&host, wanted).await?;
            host.private_address = promise.as_ref().map(Promise::address);
            let mut changes = vec![Change::InsertComputeHost(Box::new(host.clone()))];
            changes.extend(first.clone());
            let commit = Commit {
                fence: Some(self.fence(cluster.shard)?),
                idempotency: keyed.map(|keyed| keyed.idempotency(&host)),
                changes,
                events: vec![own_event(
                    caller,
                    "compute-host.created",
                    ("compute-hosts", host.id.uuid()),
                )],
                ..Commit::default()
            };
            match self.store().commit(commit).await {
                Ok(velum_store::Committed::Done) => return Ok(Answered::Fresh(host)),
                Ok(velum_store::Committed::Replayed(answer)) => return Ok(Answered::Replayed(answer)),
                Err(StoreError::Refused(Refused::AddressTaken)) if wanted.is_none() => {}
                Err(StoreError::Refused(Refused::AddressTaken)) => break,
                Err(error) => return Err(ServiceError::from_store("store the compute host", error)),
            }
        }
        Err(match wanted {
            Some(address) => ServiceError::invalid(
                "/private_address",
                format!("{address} is taken"),
                "choose another, or leave it out to get a free one",
            ),
            None => ServiceError::Unavailable {
                problem: "every private address that was tried was taken meanwhile".into(),
                retry_after_s: crate::error::SOON_S,
            },
        })
    }
}

/// Settings left out are an empty object: what schemas describe.
pub(crate) fn object(config: Value) -> Value {
    match config {
        Value::Null => Value::Object(serde_json::Map::new()),
        other => other,
    }
}

fn unusable(field: &str, problem: &dyn std::fmt::Display) -> ServiceError {
    ServiceError::invalid(
        field,
        format!("what the probe found {problem}"),
        "give the capacity that guests may have",
    )
}

/// Handles of calls are made for a target; a probe needs no more.
pub(crate) fn target_of(host: &ComputeHost, config: Value) -> Target {
    Target {
        kind: TargetKind::ComputeHost,
        id: host.id.uuid(),
        config,
        node: host.node.clone(),
        endpoint: host.endpoint.clone(),
        secret: None,
    }
}
