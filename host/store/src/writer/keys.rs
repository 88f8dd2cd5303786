//! Which rows a commit touches: two that touch the same are never in one batch, so that the first of them is decided
//! before the second is looked at.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use uuid::Uuid;
use velum_model::{affinity::AffinityKind, port::storage::Attachment};

use crate::commit::{Change, Commit, OperationWrite};

/// A row, or what must be unique.
#[derive(Hash)]
enum Key {
    /// A row by its id; a lock by its subject.
    Row(Uuid),
    /// An idempotency key.
    Idempotency(Uuid, String),
    /// A name in its scope.
    Name(&'static str, Uuid, String),
    /// Something that two ids name.
    Pair(Uuid, Uuid),
}

/// The keys of a commit, each as a number. Two keys that happen to be one number only part two commits that could have
/// been made together.
pub(super) fn of(commit: &Commit) -> Vec<u64> {
    let number = |key: &Key| {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        hasher.finish()
    };
    all_of(commit).iter().map(number).collect()
}

fn all_of(commit: &Commit) -> Vec<Key> {
    let mut keys = Vec::with_capacity(commit.changes.len() + 4);
    if let Some(idempotency) = &commit.idempotency {
        keys.push(Key::Idempotency(
            idempotency.token.uuid(),
            idempotency.key.clone(),
        ));
    }
    match &commit.operation {
        Some(OperationWrite::Insert { operation, locks, .. }) => {
            keys.push(Key::Row(operation.id.uuid()));
            keys.extend(locks.iter().map(|subject| Key::Row(subject.uuid())));
        }
        Some(OperationWrite::Update(operation)) => keys.push(Key::Row(operation.id.uuid())),
        None => {}
    }
    for change in &commit.changes {
        of_change(change, &mut keys);
    }
    keys
}

fn of_change(change: &Change, keys: &mut Vec<Key>) {
    let nowhere = Uuid::nil();
    let name = |table, scope, name: &velum_model::Name| Key::Name(table, scope, name.as_str().to_owned());
    match change {
        Change::InsertZone(row) | Change::UpdateZone(row) => {
            keys.extend([Key::Row(row.id.uuid()), name("zone", nowhere, &row.name)]);
        }
        Change::InsertPod(row) | Change::UpdatePod(row) => {
            // Pods of a zone are compared with one another.
            keys.extend([Key::Row(row.id.uuid()), Key::Pair(row.zone.uuid(), nowhere)]);
        }
        Change::InsertCluster(row) | Change::UpdateCluster(row) => {
            keys.extend([
                Key::Row(row.id.uuid()),
                name("cluster", row.pod.uuid(), &row.name),
            ]);
        }
        Change::InsertComputeHost(row) | Change::UpdateComputeHost(row) => {
            keys.extend([
                Key::Row(row.id.uuid()),
                name("compute host", row.zone.uuid(), &row.name),
            ]);
        }
        Change::InsertStoragePool(row) | Change::UpdateStoragePool(row) => {
            keys.extend([
                Key::Row(row.id.uuid()),
                name("storage pool", row.zone.uuid(), &row.name),
            ]);
        }
        Change::InsertImageStore(row) => keys.push(Key::Row(row.id.uuid())),
        Change::InsertIpRange(row) => {
            keys.extend([Key::Row(row.id.uuid()), Key::Pair(row.zone.uuid(), nowhere)])
        }
        Change::InsertNetwork(row) | Change::UpdateNetwork(row) => {
            keys.extend([
                Key::Row(row.id.uuid()),
                name("network", row.zone.uuid(), &row.name),
            ]);
        }
        Change::InsertComputeOffering(row) | Change::UpdateComputeOffering(row) => {
            keys.push(Key::Row(row.id.uuid()))
        }
        Change::InsertDiskOffering(row) | Change::UpdateDiskOffering(row) => {
            keys.push(Key::Row(row.id.uuid()))
        }
        Change::InsertNetworkOffering(row) | Change::UpdateNetworkOffering(row) => {
            keys.push(Key::Row(row.id.uuid()))
        }
        Change::InsertPolicy(row) | Change::UpdatePolicy(row) => keys.push(Key::Row(row.id.uuid())),
        Change::Delete { id, .. } => keys.push(Key::Row(*id)),
        Change::InsertTemplate(row) => keys.push(Key::Row(row.id.uuid())),
        Change::InsertInstance(row) => {
            keys.extend([
                Key::Row(row.id.uuid()),
                name("instance", row.zone.uuid(), &row.name),
            ]);
        }
        Change::InsertRun(row) => keys.extend([Key::Row(row.id.uuid()), Key::Row(row.instance.uuid())]),
        Change::InsertNic { nic, .. } => keys.push(Key::Row(nic.id.uuid())),
        Change::InsertVolume(row) => {
            keys.extend([
                Key::Row(row.id.uuid()),
                name("volume", row.zone.uuid(), &row.name),
            ]);
        }
        Change::InsertLayer(row) => keys.push(Key::Pair(row.pool.uuid(), row.template.uuid())),
        Change::EnrolNode { node, token } => {
            keys.extend([Key::Row(node.id.uuid()), Key::Row(token.uuid())]);
        }
        other if of_affinity(other, keys) || of_publication(other, keys) => {}
        other => keys.push(of_plugin(other).unwrap_or_else(|| Key::Row(of_rest(other)))),
    }
}

/// Adds the keys of a change to affinity groups and their members. False when it is another.
fn of_affinity(change: &Change, keys: &mut Vec<Key>) -> bool {
    match change {
        Change::InsertAffinityGroup(row) | Change::UpdateAffinityGroup(row) => {
            let name = row.name.as_str().to_owned();
            keys.extend([
                Key::Row(row.id.uuid()),
                Key::Name("affinity group", row.zone.uuid(), name),
            ]);
        }
        // The instance and the run have keys already. Two that want to be apart in one place are decided one after the other.
        Change::JoinAffinityGroups { .. } => {}
        Change::TakePlaces {
            compute_host, ties, ..
        } => {
            let apart = ties.iter().filter(|tie| tie.kind == AffinityKind::AntiAffinity);
            keys.extend(apart.map(|tie| Key::Pair(tie.group.uuid(), compute_host.uuid())));
        }
        _ => return false,
    }
    true
}

/// Adds the keys of a change to publications: of volumes that say they are the same, the second is looked at when the first is known.
/// False when it is another.
fn of_publication(change: &Change, keys: &mut Vec<Key>) -> bool {
    let identity = |attachment: &Attachment| Key::Name("identity", Uuid::nil(), attachment.identity.clone());
    match change {
        Change::InsertPublication(row) => {
            keys.push(Key::Row(row.volume.uuid()));
            keys.extend(row.attachment.iter().map(identity));
        }
        Change::PublicationReady {
            volume, attachment, ..
        } => keys.extend([Key::Row(volume.uuid()), identity(attachment)]),
        Change::DeletePublication { volume, .. } => keys.push(Key::Row(volume.uuid())),
        _ => return false,
    }
    true
}

/// The key of a change to plugins, to what is trusted, or to what a policy was and may become.
fn of_plugin(change: &Change) -> Option<Key> {
    let name = |table, scope, name: &velum_model::Name| Key::Name(table, scope, name.as_str().to_owned());
    Some(match change {
        Change::InsertPlugin(row) => Key::Row(row.id.uuid()),
        Change::ClaimPluginName { name: claimed, .. } => name("plugin", Uuid::nil(), &claimed.name),
        Change::InsertActivation(row) | Change::UpdateActivation(row) => {
            name("activation", row.zone.uuid(), &row.name)
        }
        Change::InsertPublisher(row) => name("publisher", Uuid::nil(), &row.name),
        Change::InsertPublisherKey(row) => Key::Name("publisher key", Uuid::nil(), row.key_id.clone()),
        Change::InsertPolicyVersion(row) => Key::Row(row.policy.uuid()),
        Change::BeginShadow(row) => Key::Row(row.policy.uuid()),
        Change::EndShadow { policy, .. } => Key::Row(policy.uuid()),
        _ => return None,
    })
}

/// The id of a change that touches one row by its id.
fn of_rest(change: &Change) -> Uuid {
    match change {
        Change::ObserveComputeHost { id, .. } => id.uuid(),
        Change::TemplateReceived { id, .. } | Change::TemplateState { id, .. } => id.uuid(),
        Change::InstanceState { id, .. }
        | Change::InstanceDecision { id, .. }
        | Change::DeleteInstance(id) => id.uuid(),
        Change::ObserveRun { id, .. } | Change::DeleteRun(id) => id.uuid(),
        Change::DeleteNic(id) => id.uuid(),
        Change::VolumeReady { id, .. }
        | Change::VolumeState { id, .. }
        | Change::AttachVolume { id, .. }
        | Change::DetachVolume(id)
        | Change::DeleteVolume(id) => id.uuid(),
        Change::LayerReady { id, .. } | Change::DeleteLayer(id) => id.uuid(),
        Change::SeeOrphan(orphan) => orphan.id.uuid(),
        Change::ForgetOrphan(id) => id.uuid(),
        Change::InsertNodeToken(token) => token.id.uuid(),
        Change::UpdatePublisher(publisher) => publisher.id.uuid(),
        Change::RevokePublisherKey { id, .. } => id.uuid(),
        Change::CountShadow { shadow, .. } => shadow.uuid(),
        _ => Uuid::nil(),
    }
}

/// Bytes of a commit that can be many.
pub(super) fn weight(commit: &Commit) -> usize {
    commit
        .changes
        .iter()
        .map(|change| match change {
            Change::InsertInstance(instance) => instance.user_data.len(),
            _ => 0,
        })
        .sum()
}
