//! Why the database refused a commit, found out by looking: which name, which reference, what still uses a row.

use std::collections::HashSet;

use uuid::Uuid;
use velum_model::{
    infrastructure::{IpRangeUse, PoolScope, ZoneAccess},
    plugin::Digest,
};

use super::failure::is_foreign_key;
use crate::{
    commit::{Change, Commit, OperationWrite, Refused, StoreError, Table},
    db::{Connection, Value},
    sql::look::{PLUGIN_EXISTS, exists, users},
};

/// The refusal that explains the error, if one does.
pub(super) async fn diagnose(
    connection: &mut Connection,
    commit: &Commit,
    attempt: &'static str,
    source: &sqlx::Error,
) -> Option<StoreError> {
    let found = if is_foreign_key(source) {
        match in_use(connection, commit).await {
            Ok(None) => missing_reference(connection, commit).await,
            other => other,
        }
    } else {
        Ok(unique_or_check(commit, source))
    };
    match found {
        Ok(refused) => refused.map(StoreError::from),
        Err(source) => Some(StoreError::Database { attempt, source }),
    }
}

fn unique_or_check(commit: &Commit, source: &sqlx::Error) -> Option<Refused> {
    let sqlx::Error::Database(said) = source else { return None };
    if said.is_unique_violation() {
        let identity = commit.changes.iter().find_map(|change| match change {
            Change::PublicationReady { attachment, .. } => Some(attachment.identity.clone()),
            _ => None,
        });
        if let Some(name) = identity {
            return Some(Refused::NameTaken { table: "identity of volume", name });
        }
        let (table, name) = commit.changes.iter().find_map(name_of)?;
        return Some(Refused::NameTaken { table, name });
    }
    // The guards refuse before the CHECKs do: one that refuses all the same is a claim that they let through.
    let text = said.message();
    let table = match () {
        () if text.contains("compute_host") => "compute host",
        () if text.contains("storage_pool") => "storage pool",
        () => return None,
    };
    said.is_check_violation().then_some(Refused::NoRoom { table, id: Uuid::nil() })
}

/// The first row that the commit removes and something still uses.
async fn in_use(connection: &mut Connection, commit: &Commit) -> Result<Option<Refused>, sqlx::Error> {
    for change in &commit.changes {
        let Some((table, id)) = removed(change) else { continue };
        for (statement, one, many) in users(table) {
            let rows = connection.fetch(statement, &[Value::from(id)]).await?;
            let count: u64 = rows.first().and_then(|row| row.only(table, "count").ok()).unwrap_or(0);
            if count > 0 {
                let by = if count == 1 { (*one).to_owned() } else { format!("{count} {many}") };
                return Ok(Some(Refused::InUse { table, id, by }));
            }
        }
    }
    Ok(None)
}

/// The first reference of the commit that leads nowhere. What it inserts itself was rolled back, and is there when it
/// counts.
async fn missing_reference(
    connection: &mut Connection,
    commit: &Commit,
) -> Result<Option<Refused>, sqlx::Error> {
    let own: HashSet<Uuid> = commit.changes.iter().map(|change| row_of(change).1).collect();
    if let Some(OperationWrite::Insert { operation, .. }) = &commit.operation {
        let wanted = [("project", operation.project.uuid())];
        if let Some(reference) = nowhere(connection, &wanted, &own).await? {
            return Ok(Some(Refused::MissingReference { table: "operation", reference }));
        }
    }
    for change in &commit.changes {
        let (table, _) = row_of(change);
        if let Some(reference) = nowhere(connection, &references(change), &own).await? {
            return Ok(Some(Refused::MissingReference { table, reference }));
        }
        if let Some(digest) = component(change) {
            let rows = connection.fetch(&PLUGIN_EXISTS, &[Value::from(digest.as_str())]).await?;
            if rows.is_empty() {
                return Ok(Some(Refused::MissingReference { table, reference: format!("plugin {digest}") }));
            }
        }
    }
    Ok(None)
}

async fn nowhere(
    connection: &mut Connection,
    wanted: &[(&'static str, Uuid)],
    own: &HashSet<Uuid>,
) -> Result<Option<String>, sqlx::Error> {
    for (table, id) in wanted {
        if own.contains(id) {
            continue;
        }
        let Some(statement) = exists(table) else { continue };
        if connection.fetch(statement, &[Value::from(*id)]).await?.is_empty() {
            return Ok(Some(format!("{table} {id}")));
        }
    }
    Ok(None)
}

/// What a change removes and others may still point to.
fn removed(change: &Change) -> Option<(&'static str, Uuid)> {
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
fn component(change: &Change) -> Option<&Digest> {
    match change {
        Change::InsertComputeHost(host) | Change::UpdateComputeHost(host) => Some(&host.driver),
        Change::InsertStoragePool(pool) | Change::UpdateStoragePool(pool) => Some(&pool.provider),
        Change::InsertPolicy(policy) | Change::UpdatePolicy(policy) => Some(&policy.digest),
        _ => None,
    }
}

/// The rows that a row points to.
fn references(change: &Change) -> Vec<(&'static str, Uuid)> {
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
        Change::InsertPod(row) => to.push(("zone", Some(row.zone.uuid()))),
        Change::InsertCluster(row) => {
            to.extend([("zone", Some(row.zone.uuid())), ("pod", Some(row.pod.uuid())), ("shard", Some(row.shard.uuid()))]);
        }
        Change::InsertComputeHost(row) => {
            to.extend([("zone", row.zone.uuid()), ("pod", row.pod.uuid()), ("cluster", row.cluster.uuid())].map(some));
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
                [("zone", row.zone.uuid()), ("project", row.project.uuid()), ("network offering", row.offering.uuid())]
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
        other => tenant_references(other, &mut to),
    }
    to.into_iter().filter_map(|(table, id)| id.map(|id| (table, id))).collect()
}

fn some((table, id): (&'static str, Uuid)) -> (&'static str, Option<Uuid>) {
    (table, Some(id))
}

fn tenant_references(change: &Change, to: &mut Vec<(&'static str, Option<Uuid>)>) {
    match change {
        Change::InsertTemplate(row) => to.extend(
            [("zone", row.zone.uuid()), ("project", row.project.uuid()), ("image store", row.image_store.uuid())]
                .map(some),
        ),
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
            to.extend([("instance", row.instance.uuid()), ("compute host", row.compute_host.uuid())].map(some));
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
        Change::InsertVolume(row) => {
            to.extend(
                [("zone", row.zone.uuid()), ("project", row.project.uuid()), ("storage pool", row.pool.uuid())]
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
            to.extend([("storage pool", row.pool.uuid()), ("template", row.template.uuid())].map(some));
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
        Change::InsertInstance(row) => &row.name,
        Change::InsertVolume(row) => &row.name,
        Change::InsertPlugin(row) => {
            return Some(("plugin", format!("{} {}", row.manifest.name, row.manifest.version)));
        }
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
        Change::InsertComputeOffering(row) | Change::UpdateComputeOffering(row) => ("compute offering", row.id.uuid()),
        Change::InsertDiskOffering(row) | Change::UpdateDiskOffering(row) => ("disk offering", row.id.uuid()),
        Change::InsertNetworkOffering(row) | Change::UpdateNetworkOffering(row) => ("network offering", row.id.uuid()),
        Change::InsertPlugin(row) => ("plugin", row.id.uuid()),
        Change::InsertPolicy(row) | Change::UpdatePolicy(row) => ("policy", row.id.uuid()),
        Change::Delete { table, id, .. } => (table.words(), *id),
        Change::InsertTemplate(row) => ("template", row.id.uuid()),
        Change::TemplateReceived { id, .. } | Change::TemplateState { id, .. } => ("template", id.uuid()),
        other => tenant_row_of(other),
    }
}

fn tenant_row_of(change: &Change) -> (&'static str, Uuid) {
    match change {
        Change::InsertInstance(row) => ("instance", row.id.uuid()),
        Change::InstanceState { id, .. } | Change::InstanceDecision { id, .. } | Change::DeleteInstance(id) => {
            ("instance", id.uuid())
        }
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
        }
    }
}
