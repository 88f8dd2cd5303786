//! What planners need to know of a batch of commits.

use std::net::Ipv4Addr;

use uuid::Uuid;
use velum_model::{
    id::*,
    infrastructure::{IpRange, IpRangeUse, Network},
    plugin::{Policy, PolicyShadow},
    tenancy::BUILT_IN_PROJECT,
};
use velum_placement::{HostRow, LayerClaim, Part, PoolRow, RunClaim, RunExtras, Update, VolumeClaim};
use velum_store::{Change, Commit, CommittedBatch, OperationWrite, Table};

/// One batch, in commit order.
pub(crate) type News = Vec<Note>;

/// One thing that changed.
#[derive(Clone, Debug)]
pub(crate) enum Note {
    /// A change of one zone's inventory.
    In(ZoneId, Update),
    /// A change of an inventory; zones that do not know what it is about ignore it.
    Anywhere(Update),
    /// The claims of this run or volume are committed: they are no longer tentative.
    Confirmed(Uuid),
    /// A zone names other policies.
    Policies(ZoneId, Option<PolicyId>, Option<PolicyId>),
    /// A policy is new or changed.
    Policy(Box<Policy>),
    /// A policy has a shadow.
    Shadow(Box<PolicyShadow>),
    /// A policy has no shadow any more; with an id, not this one.
    ShadowGone(PolicyId, Option<ShadowId>),
    /// A range of a network.
    Range(IpRange, NetworkId),
    /// A network, whose gateway is nobody's.
    Network(Box<Network>),
    /// A row is gone from a table that several kinds of rows of a planner come from.
    Gone(Table, Uuid),
    /// A NIC has an address.
    Nic(NicId, IpRangeId, Ipv4Addr),
    /// A NIC is gone.
    NicGone(NicId),
}

/// Takes what planners need out of a batch.
pub(crate) fn digest(batch: &CommittedBatch) -> News {
    let mut news = Vec::new();
    for commit in &batch.commits {
        let owner = owner_of(commit);
        news.extend(
            commit
                .changes
                .iter()
                .flat_map(|change| notes(change, commit, owner))
                .flatten(),
        );
    }
    news
}

/// Whose runs a commit makes.
fn owner_of(commit: &Commit) -> ProjectId {
    match (&commit.operation, &commit.decision) {
        (Some(OperationWrite::Insert { operation, .. } | OperationWrite::Update(operation)), _) => {
            operation.project
        }
        (None, Some(decision)) => decision.project,
        (None, None) => BUILT_IN_PROJECT,
    }
}

/// At most two notes a change.
fn notes(change: &Change, commit: &Commit, owner: ProjectId) -> [Option<Note>; 2] {
    let one = |note| [Some(note), None];
    match change {
        Change::InsertZone(zone) | Change::UpdateZone(zone) => {
            one(Note::Policies(zone.id, zone.policy, zone.pool_policy))
        }
        Change::InsertPod(pod) | Change::UpdatePod(pod) => {
            let dedicated = dedicated(Part::Pod(pod.id), pod.dedicated_to);
            one(Note::In(pod.zone, dedicated))
        }
        Change::InsertCluster(cluster) | Change::UpdateCluster(cluster) => {
            let dedicated = dedicated(Part::Cluster(cluster.id), cluster.dedicated_to);
            let update = Update::Cluster {
                id: cluster.id,
                cpu: cluster.cpu_overcommit,
                memory: cluster.memory_overcommit,
            };
            [update, dedicated].map(|update| Some(Note::In(cluster.zone, update)))
        }
        Change::InsertComputeHost(host) | Change::UpdateComputeHost(host) => {
            let dedicated = dedicated(Part::ComputeHost(host.id), host.dedicated_to);
            let row = Update::Host(Box::new(HostRow::from(host.as_ref())));
            [row, dedicated].map(|update| Some(Note::In(host.zone, update)))
        }
        Change::ObserveComputeHost { id, state, .. } => one(Note::Anywhere(Update::HostSeen {
            id: *id,
            state: *state,
        })),
        Change::InsertStoragePool(pool) | Change::UpdateStoragePool(pool) => {
            let row = PoolRow::from(pool.as_ref());
            one(Note::In(pool.zone, Update::Pool(Box::new(row))))
        }
        Change::InsertIpRange(range) => match range.used_for {
            IpRangeUse::Public(network) => one(Note::Range(range.clone(), network)),
            IpRangeUse::Private(_) => [None, None],
        },
        Change::InsertNetwork(network) => one(Note::Network(Box::new(network.clone()))),
        Change::InsertPolicy(policy) => one(Note::Policy(Box::new(policy.clone()))),
        // A change carries the generation that it read; the row has the next one.
        Change::UpdatePolicy(policy) => one(Note::Policy(Box::new(Policy {
            generation: policy.generation + 1,
            ..policy.clone()
        }))),
        Change::BeginShadow(shadow) => one(Note::Shadow(shadow.clone())),
        Change::EndShadow { policy, id } => one(Note::ShadowGone(*policy, Some(*id))),
        Change::Delete { table, id, .. } => one(gone(*table, *id)),
        Change::InsertNic { nic, range, .. } => one(Note::Nic(nic.id, *range, nic.address)),
        Change::DeleteNic(id) => one(Note::NicGone(*id)),
        other => claims(other, commit, owner),
    }
}

fn gone(table: Table, id: Uuid) -> Note {
    match table {
        Table::ComputeHost => Note::Anywhere(Update::HostGone(Id::from_uuid(id))),
        Table::StoragePool => Note::Anywhere(Update::PoolGone(Id::from_uuid(id))),
        Table::Cluster => Note::Anywhere(dedicated(Part::Cluster(Id::from_uuid(id)), None)),
        Table::Pod => Note::Anywhere(dedicated(Part::Pod(Id::from_uuid(id)), None)),
        other => Note::Gone(other, id),
    }
}

fn dedicated(part: Part, to: Option<ProjectId>) -> Update {
    Update::Dedicated { part, to }
}

/// The groups in which a new run takes its places.
fn groups_of(commit: &Commit, id: RunId) -> Vec<AffinityGroupId> {
    let ties = commit.changes.iter().find_map(|change| match change {
        Change::TakePlaces { run, ties, .. } if *run == id => Some(ties),
        _ => None,
    });
    ties.into_iter().flatten().map(|tie| tie.group).collect()
}

fn claims(change: &Change, commit: &Commit, owner: ProjectId) -> [Option<Note>; 2] {
    let update = match change {
        Change::InsertRun(run) => {
            let extras = RunExtras {
                groups: groups_of(commit, run.id),
                resources: run.resources.clone(),
            };
            let claim = Update::run(RunClaim::of(run, owner), extras);
            return [Some(Note::Anywhere(claim)), Some(Note::Confirmed(run.id.uuid()))];
        }
        Change::InsertVolume(volume) => {
            let claim = Update::Volume(VolumeClaim::from(volume.as_ref()));
            return [
                Some(Note::Anywhere(claim)),
                Some(Note::Confirmed(volume.id.uuid())),
            ];
        }
        Change::DeleteRun(id) => Update::RunGone(*id),
        Change::DeleteVolume(id) => Update::VolumeGone(*id),
        Change::InsertLayer(layer) => Update::Layer(LayerClaim::from(layer)),
        Change::LayerReady { id, .. } => Update::LayerReady(*id),
        Change::DeleteLayer(id) => Update::LayerGone(*id),
        _ => return [None, None],
    };
    [Some(Note::Anywhere(update)), None]
}
