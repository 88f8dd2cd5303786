//! What a change is about in words: its row, its name, what it points to, what it brings and removes.

use uuid::Uuid;
use velum_model::{
    ProjectId,
    infrastructure::{IpRangeUse, PoolScope, ZoneAccess},
    plugin::Digest,
    trust::Origin,
};

use crate::commit::{Change, Table};

/// What a change brings and others may point to.
pub(super) fn inserted(change: &Change) -> Vec<Uuid> {
    match change {
        Change::InsertZone(zone) => vec![zone.id.uuid(), zone.shard.uuid()],
        Change::InsertRun(run) => vec![run.id.uuid()],
        Change::InsertPod(_)
        | Change::InsertCluster(_)
        | Change::InsertComputeHost(_)
        | Change::InsertStoragePool(_)
        | Change::InsertImageStore(_)
        | Change::InsertIpRange(_)
        | Change::InsertNetwork(_)
        | Change::InsertComputeOffering(_)
        | Change::InsertDiskOffering(_)
        | Change::InsertNetworkOffering(_)
        | Change::InsertPlugin(_)
        | Change::InsertPolicy(_)
        | Change::InsertPublisher(_)
        | Change::InsertPublisherKey(_)
        | Change::InsertTemplate(_)
        | Change::InsertAffinityGroup(_)
        | Change::InsertInstance(_)
        | Change::InsertVolume(_)
        | Change::InsertLayer(_) => vec![row_of(change).1],
        _ => Vec::new(),
    }
}

/// What a change removes and others may still point to.
pub(super) fn removed(change: &Change) -> Option<(&'static str, Uuid)> {
    Some(match change {
        Change::Delete { table, id, .. } => (table.words(), *id),
        Change::DeleteInstance(id) => ("instance", id.uuid()),
        Change::DeleteRun(id) => ("run", id.uuid()),
        Change::DeleteVolume(id) => ("volume", id.uuid()),
        Change::DeleteLayer(id) => ("layer", id.uuid()),
        _ => return None,
    })
}

/// The component that a row names.
pub(super) fn component(change: &Change) -> Option<&Digest> {
    match change {
        Change::InsertComputeHost(host) | Change::UpdateComputeHost(host) => Some(&host.driver),
        Change::InsertStoragePool(pool) | Change::UpdateStoragePool(pool) => Some(&pool.provider),
        Change::InsertPolicy(policy) | Change::UpdatePolicy(policy) => Some(&policy.digest),
        Change::InsertActivation(of) | Change::UpdateActivation(of) => Some(&of.digest),
        Change::BeginShadow(shadow) => Some(&shadow.digest),
        _ => None,
    }
}

/// The rows that a row points to.
pub(super) fn references(change: &Change) -> Vec<(&'static str, Uuid)> {
    let mut to: Vec<(&'static str, Option<Uuid>)> = Vec::new();
    match change {
        Change::InsertZone(row) | Change::UpdateZone(row) => {
            let owner = match row.access {
                ZoneAccess::Public => None,
                ZoneAccess::Private(project) => Some(project.uuid()),
            };
            to.push(("project", owner));
            to.extend([row.policy, row.pool_policy].map(|policy| ("policy", policy.map(|id| id.uuid()))));
        }
        Change::InsertPod(row) => {
            to.extend([("zone", Some(row.zone.uuid())), dedicated(row.dedicated_to)]);
        }
        Change::InsertCluster(row) => {
            to.extend([
                ("zone", Some(row.zone.uuid())),
                ("pod", Some(row.pod.uuid())),
                ("shard", Some(row.shard.uuid())),
                dedicated(row.dedicated_to),
            ]);
        }
        Change::UpdatePod(row) => to.push(dedicated(row.dedicated_to)),
        Change::UpdateCluster(row) => to.push(dedicated(row.dedicated_to)),
        Change::UpdateComputeHost(row) => to.push(dedicated(row.dedicated_to)),
        Change::InsertComputeHost(row) => {
            to.extend(
                [
                    ("zone", row.zone.uuid()),
                    ("pod", row.pod.uuid()),
                    ("cluster", row.cluster.uuid()),
                ]
                .map(some),
            );
            to.push(dedicated(row.dedicated_to));
        }
        Change::InsertStoragePool(row) => {
            to.push(("zone", Some(row.zone.uuid())));
            match row.scope {
                PoolScope::Zone => {}
                PoolScope::Cluster(id) => to.push(("cluster", Some(id.uuid()))),
                PoolScope::ComputeHost(id) => to.push(("compute host", Some(id.uuid()))),
            }
        }
        Change::InsertImageStore(row) => to.push(("zone", Some(row.zone.uuid()))),
        Change::InsertNetwork(row) => {
            to.extend(
                [
                    ("zone", row.zone.uuid()),
                    ("project", row.project.uuid()),
                    ("network offering", row.offering.uuid()),
                ]
                .map(some),
            );
        }
        Change::InsertIpRange(row) => {
            to.push(("zone", Some(row.zone.uuid())));
            to.push(match row.used_for {
                IpRangeUse::Public(network) => ("network", Some(network.uuid())),
                IpRangeUse::Private(pod) => ("pod", Some(pod.uuid())),
            });
        }
        Change::InsertComputeOffering(row) | Change::UpdateComputeOffering(row) => {
            to.push(("policy", row.policy.map(|id| id.uuid())));
        }
        other => plugin_references(other, &mut to),
    }
    to.into_iter()
        .filter_map(|(table, id)| id.map(|id| (table, id)))
        .collect()
}

fn plugin_references(change: &Change, to: &mut Vec<(&'static str, Option<Uuid>)>) {
    match change {
        Change::InsertPublisherKey(row) => to.push(("publisher", Some(row.publisher.uuid()))),
        Change::InsertPlugin(row) => {
            if let Origin::Signed(signature) = &row.origin {
                to.push(("publisher key", Some(signature.key.uuid())));
            }
        }
        Change::InsertActivation(row) => to.push(("zone", Some(row.zone.uuid()))),
        Change::InsertPolicyVersion(row) => to.push(("policy", Some(row.policy.uuid()))),
        Change::BeginShadow(row) => to.push(("policy", Some(row.policy.uuid()))),
        other => tenant_references(other, to),
    }
}

fn dedicated(to: Option<ProjectId>) -> (&'static str, Option<Uuid>) {
    ("project", to.map(|project| project.uuid()))
}

fn some((table, id): (&'static str, Uuid)) -> (&'static str, Option<Uuid>) {
    (table, Some(id))
}

fn tenant_references(change: &Change, to: &mut Vec<(&'static str, Option<Uuid>)>) {
    match change {
        Change::InsertTemplate(row) => to.extend(
            [
                ("zone", row.zone.uuid()),
                ("project", row.project.uuid()),
                ("image store", row.image_store.uuid()),
            ]
            .map(some),
        ),
        Change::InsertAffinityGroup(row) => {
            to.extend([("zone", row.zone.uuid()), ("project", row.project.uuid())].map(some));
        }
        Change::InsertInstance(row) => to.extend(
            [
                ("zone", row.zone.uuid()),
                ("project", row.project.uuid()),
                ("compute offering", row.offering.uuid()),
                ("template", row.template.uuid()),
            ]
            .map(some),
        ),
        Change::InsertRun(row) => {
            to.extend(
                [
                    ("instance", row.instance.uuid()),
                    ("compute host", row.compute_host.uuid()),
                ]
                .map(some),
            );
        }
        Change::InsertNic { nic, range, .. } => to.extend(
            [
                ("instance", nic.instance.uuid()),
                ("network", nic.network.uuid()),
                ("project", nic.project.uuid()),
                ("address range", range.uuid()),
            ]
            .map(some),
        ),
        other => storage_references(other, to),
    }
}

fn storage_references(change: &Change, to: &mut Vec<(&'static str, Option<Uuid>)>) {
    match change {
        Change::InsertVolume(row) => {
            to.extend(
                [
                    ("zone", row.zone.uuid()),
                    ("project", row.project.uuid()),
                    ("storage pool", row.pool.uuid()),
                ]
                .map(some),
            );
            to.push(("disk offering", row.offering.map(|id| id.uuid())));
            to.push(("layer", row.parent.map(|id| id.uuid())));
            to.push(("instance", row.attachment.map(|at| at.instance.uuid())));
        }
        Change::AttachVolume { id, instance, .. } => {
            to.extend([("volume", id.uuid()), ("instance", instance.uuid())].map(some));
        }
        Change::VolumeReady { parent, .. } => to.push(("layer", parent.map(|id| id.uuid()))),
        Change::InsertLayer(row) => {
            to.extend(
                [
                    ("storage pool", row.pool.uuid()),
                    ("template", row.template.uuid()),
                ]
                .map(some),
            );
        }
        Change::InsertPublication(row) => to.extend(
            [
                ("volume", row.volume.uuid()),
                ("run", row.run.uuid()),
                ("compute host", row.compute_host.uuid()),
            ]
            .map(some),
        ),
        _ => {}
    }
}

/// The name that a change gives a row, and of which table in words.
pub(super) fn name_of(change: &Change) -> Option<(&'static str, String)> {
    let name = match change {
        Change::InsertZone(row) | Change::UpdateZone(row) => &row.name,
        Change::InsertPod(row) | Change::UpdatePod(row) => &row.name,
        Change::InsertCluster(row) | Change::UpdateCluster(row) => &row.name,
        Change::InsertComputeHost(row) | Change::UpdateComputeHost(row) => &row.name,
        Change::InsertStoragePool(row) | Change::UpdateStoragePool(row) => &row.name,
        Change::InsertImageStore(row) => &row.name,
        Change::InsertNetwork(row) | Change::UpdateNetwork(row) => &row.name,
        Change::InsertComputeOffering(row) | Change::UpdateComputeOffering(row) => &row.name,
        Change::InsertDiskOffering(row) | Change::UpdateDiskOffering(row) => &row.name,
        Change::InsertNetworkOffering(row) | Change::UpdateNetworkOffering(row) => &row.name,
        Change::InsertPolicy(row) | Change::UpdatePolicy(row) => &row.name,
        Change::InsertTemplate(row) => &row.name,
        Change::InsertAffinityGroup(row) | Change::UpdateAffinityGroup(row) => &row.name,
        Change::InsertInstance(row) => &row.name,
        Change::InsertVolume(row) => &row.name,
        Change::InsertPublisher(row) => &row.name,
        Change::InsertPlugin(row) => {
            return Some((
                "plugin",
                format!("{} {}", row.manifest.name, row.manifest.version),
            ));
        }
        Change::InsertPublisherKey(row) => return Some(("publisher key", row.key_id.clone())),
        Change::BeginShadow(row) => return Some(("shadow of policy", row.policy.to_string())),
        _ => return None,
    };
    Some((row_of(change).0, name.as_str().to_owned()))
}

/// The row that a change is about, and of which table in words.
pub(super) fn row_of(change: &Change) -> (&'static str, Uuid) {
    match change {
        Change::InsertZone(row) | Change::UpdateZone(row) => ("zone", row.id.uuid()),
        Change::InsertPod(row) | Change::UpdatePod(row) => ("pod", row.id.uuid()),
        Change::InsertCluster(row) | Change::UpdateCluster(row) => ("cluster", row.id.uuid()),
        Change::InsertComputeHost(row) | Change::UpdateComputeHost(row) => ("compute host", row.id.uuid()),
        Change::ObserveComputeHost { id, .. } => ("compute host", id.uuid()),
        Change::InsertStoragePool(row) | Change::UpdateStoragePool(row) => ("storage pool", row.id.uuid()),
        Change::InsertImageStore(row) => ("image store", row.id.uuid()),
        Change::InsertIpRange(row) => ("address range", row.id.uuid()),
        Change::InsertNetwork(row) | Change::UpdateNetwork(row) => ("network", row.id.uuid()),
        Change::InsertComputeOffering(row) | Change::UpdateComputeOffering(row) => {
            ("compute offering", row.id.uuid())
        }
        Change::InsertDiskOffering(row) | Change::UpdateDiskOffering(row) => ("disk offering", row.id.uuid()),
        Change::InsertNetworkOffering(row) | Change::UpdateNetworkOffering(row) => {
            ("network offering", row.id.uuid())
        }
        Change::InsertPlugin(row) => ("plugin", row.id.uuid()),
        Change::InsertPolicy(row) | Change::UpdatePolicy(row) => ("policy", row.id.uuid()),
        Change::InsertPublisher(row) | Change::UpdatePublisher(row) => ("publisher", row.id.uuid()),
        Change::InsertPublisherKey(row) => ("publisher key", row.id.uuid()),
        Change::RevokePublisherKey { id, .. } => ("publisher key", id.uuid()),
        Change::ClaimPluginName { plugin, .. } => ("name of plugin", plugin.uuid()),
        Change::InsertActivation(row) | Change::UpdateActivation(row) => ("activation", row.id.uuid()),
        Change::InsertPolicyVersion(row) => ("policy", row.policy.uuid()),
        Change::BeginShadow(row) => ("shadow", row.id.uuid()),
        Change::EndShadow { id, .. } => ("shadow", id.uuid()),
        Change::Delete { table, id, .. } => (table.words(), *id),
        Change::InsertTemplate(row) => ("template", row.id.uuid()),
        Change::TemplateReceived { id, .. } | Change::TemplateState { id, .. } => ("template", id.uuid()),
        other => tenant_row_of(other),
    }
}

fn tenant_row_of(change: &Change) -> (&'static str, Uuid) {
    match change {
        Change::InsertAffinityGroup(row) | Change::UpdateAffinityGroup(row) => {
            ("affinity group", row.id.uuid())
        }
        Change::JoinAffinityGroups { instance, .. } => ("instance", instance.uuid()),
        Change::TakePlaces { run, .. } => ("run", run.uuid()),
        Change::InsertInstance(row) => ("instance", row.id.uuid()),
        Change::InstanceState { id, .. }
        | Change::InstanceDecision { id, .. }
        | Change::DeleteInstance(id) => ("instance", id.uuid()),
        // What refuses a new run is the one that its instance has.
        Change::InsertRun(run) => ("instance", run.instance.uuid()),
        Change::ObserveRun { id, .. } | Change::DeleteRun(id) => ("run", id.uuid()),
        Change::InsertNic { nic, .. } => ("NIC", nic.id.uuid()),
        Change::DeleteNic(id) => ("NIC", id.uuid()),
        Change::InsertVolume(row) => ("volume", row.id.uuid()),
        Change::VolumeReady { id, .. }
        | Change::VolumeState { id, .. }
        | Change::AttachVolume { id, .. }
        | Change::DetachVolume(id)
        | Change::DeleteVolume(id) => ("volume", id.uuid()),
        Change::InsertPublication(row) => ("publication", row.volume.uuid()),
        Change::PublicationReady { volume, .. } | Change::DeletePublication { volume, .. } => {
            ("publication", volume.uuid())
        }
        Change::InsertLayer(row) => ("layer", row.id.uuid()),
        Change::LayerReady { id, .. } | Change::DeleteLayer(id) => ("layer", id.uuid()),
        Change::SeeOrphan(orphan) => ("orphan", orphan.id.uuid()),
        Change::ForgetOrphan(id) => ("orphan", id.uuid()),
        Change::InsertNodeToken(row) => ("node token", row.id.uuid()),
        // Two machines do not get the same id: it is the token that was used meanwhile.
        Change::EnrolNode { token, .. } => ("node token", token.uuid()),
        _ => ("row", Uuid::nil()),
    }
}

impl Table {
    /// The table in words, singular.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Zone => "zone",
            Self::Pod => "pod",
            Self::Cluster => "cluster",
            Self::ComputeHost => "compute host",
            Self::StoragePool => "storage pool",
            Self::ImageStore => "image store",
            Self::IpRange => "address range",
            Self::Network => "network",
            Self::ComputeOffering => "compute offering",
            Self::DiskOffering => "disk offering",
            Self::NetworkOffering => "network offering",
            Self::Template => "template",
            Self::Plugin => "plugin",
            Self::Policy => "policy",
            Self::Publisher => "publisher",
            Self::AffinityGroup => "affinity group",
        }
    }
}
