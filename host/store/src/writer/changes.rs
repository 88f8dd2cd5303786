//! The order in which changes are applied: what goes before what comes, parents before what points to them, deletions
//! of records at the end. One statement a kind.

use std::collections::BTreeSet;

use uuid::Uuid;
use velum_model::resource::Resources;

use super::{
    Failure,
    apply::{Transaction, guilty_of, ids},
    records::{stale, taken},
};
use crate::{
    commit::{Change, Refused},
    db::Value,
    encode::{RowValues, bare, claims, nodes as of_nodes, rest, row},
    sql::{claims as hot, nodes, orphans},
};

/// How long a token is known after it ended: whoever comes late is told why it is refused.
const TOKEN_KEPT_US: i64 = 24 * 60 * 60 * 1_000_000;

/// What goes in a batch, each once: what a far side still has of it later was ours.
#[derive(Default)]
struct Graves(BTreeSet<(&'static str, Uuid, Uuid)>);

impl Graves {
    fn dig(&mut self, kind: &'static str, object: Uuid, peer: Uuid) {
        self.0.insert((kind, object, peer));
    }

    fn rows(self) -> Vec<RowValues> {
        let row = |(kind, object, peer)| row!({ "kind": kind, "object": bare(object), "peer": bare(peer) });
        self.0.into_iter().map(row).collect()
    }
}

/// Whether a change may be written while the batch before it is being committed: it touches rows of its own alone, and what it
/// shares with others is claimed last. Places in groups are weighed against those that others have taken.
pub(super) fn is_apart(change: &Change) -> bool {
    is_hot(change)
        && !matches!(
            change,
            Change::JoinAffinityGroups { .. } | Change::TakePlaces { .. }
        )
}

fn is_hot(change: &Change) -> bool {
    use Change as C;
    matches!(
        change,
        C::InsertInstance(_)
            | C::InstanceState { .. }
            | C::InstanceDecision { .. }
            | C::DeleteInstance(_)
            | C::JoinAffinityGroups { .. }
            | C::TakePlaces { .. }
            | C::InsertRun(_)
            | C::ObserveRun { .. }
            | C::DeleteRun(_)
            | C::InsertNic { .. }
            | C::DeleteNic(_)
            | C::InsertVolume(_)
            | C::VolumeReady { .. }
            | C::VolumeState { .. }
            | C::AttachVolume { .. }
            | C::DetachVolume(_)
            | C::DeleteVolume(_)
            | C::InsertPublication(_)
            | C::PublicationReady { .. }
            | C::DeletePublication { .. }
            | C::InsertLayer(_)
            | C::LayerReady { .. }
            | C::DeleteLayer(_)
            | C::SeeOrphan(_)
            | C::ForgetOrphan(_)
    )
}

impl Transaction<'_> {
    pub(super) async fn apply_changes(&mut self) -> Result<(), Failure> {
        self.release().await?;
        if self.has(|change| !is_hot(change)) {
            self.write_plugins().await?;
            self.write_hierarchy().await?;
            self.write_catalogue().await?;
            self.write_nodes().await?;
        }
        self.write_instances().await?;
        self.write_affinity().await?;
        self.write_volumes().await?;
        if self.has(|change| matches!(change, Change::SeeOrphan(_) | Change::ForgetOrphan(_))) {
            // The last sighting of a place that is gone changes nothing.
            self.ask(&orphans::SEE_ORPHAN, rest::see_orphan).await?;
            self.ask(&orphans::FORGET_ORPHAN, rest::forget_orphan).await?;
        }
        if self.has(|change| matches!(change, Change::Delete { .. })) {
            self.delete_records().await?;
        }
        Ok(())
    }

    /// What goes: first, so that a commit can put something else in its place.
    async fn release(&mut self) -> Result<(), Failure> {
        let mut gone = Graves::default();
        for row in self
            .ask(&hot::DELETE_PUBLICATION, claims::delete_publication)
            .await?
        {
            let mut columns = row.columns("publication");
            gone.dig(
                "publication",
                columns.take("volume")?,
                columns.take("compute_host")?,
            );
        }
        self.ask(&hot::DELETE_ATTACHMENT, claims::detach).await?;
        self.ask(&hot::DELETE_NIC, claims::delete_nic).await?;
        self.ask(&hot::DELETE_ROOT_ATTACHMENT, claims::delete_volume)
            .await?;
        for row in self.ask(&hot::DELETE_VOLUME, claims::delete_volume).await? {
            let mut columns = row.columns("volume");
            gone.dig("volume", columns.take("id")?, Uuid::nil());
            self.claims
                .pools
                .release(columns.take("pool")?, [columns.take("size")?, 0]);
        }
        let mut left = Vec::new();
        for row in self.ask(&hot::DELETE_RUN, claims::delete_run).await? {
            let mut columns = row.columns("run");
            gone.dig("run", columns.take("id")?, Uuid::nil());
            let (instance, host): (Uuid, Uuid) = (columns.take("instance")?, columns.take("compute_host")?);
            self.claims
                .hosts
                .release(host, [columns.take("vcpus")?, columns.take("memory")?]);
            for (name, amount) in columns.take::<Resources>("resources")? {
                let amount = u64::from(amount);
                self.claims.resources.release((host, name), [amount, 0]);
            }
            left.push(row!({ "id": bare(instance), "host": bare(host) }));
        }
        self.run(&hot::INSTANCE_LAST_HOST, left, &[]).await?;
        for row in self.ask(&hot::DELETE_LAYER, claims::delete_layer).await? {
            let mut columns = row.columns("layer");
            gone.dig("volume", columns.take("id")?, Uuid::nil());
            self.claims
                .pools
                .release(columns.take("pool")?, [columns.take("size")?, 0]);
        }
        let now = [Value::from(self.now.micros())];
        self.run(&orphans::INSERT_TOMBSTONE, gone.rows(), &now).await?;
        self.ask(&hot::DELETE_INSTANCE, claims::delete_instance).await?;
        Ok(())
    }

    /// The authority, tokens, and machines that join: the machine first, which its token points to.
    async fn write_nodes(&mut self) -> Result<(), Failure> {
        self.ask(&nodes::KEEP_AUTHORITY, of_nodes::keep_authority).await?;
        self.each(&nodes::INSERT_NODE_TOKEN, of_nodes::insert_node_token, stale)
            .await?;
        if self.has(|change| matches!(change, Change::InsertNodeToken(_))) {
            let ended = Value::from(self.now.micros() - TOKEN_KEPT_US);
            let expired = self.connection.fetch(&nodes::EXPIRE_NODE_TOKENS, &[ended]).await;
            expired.map_err(|source| Failure::Database {
                attempt: nodes::EXPIRE_NODE_TOKENS.does,
                source,
            })?;
        }
        self.each(&nodes::ENROL_NODE, of_nodes::enrol_node, stale).await?;
        self.each(&nodes::USE_NODE_TOKEN, of_nodes::use_node_token, stale)
            .await?;
        Ok(())
    }

    /// Instances, runs, NICs.
    async fn write_instances(&mut self) -> Result<(), Failure> {
        self.each(&hot::INSERT_INSTANCE, claims::insert_instance, taken)
            .await?;
        self.each(&hot::INSTANCE_STATE, claims::instance_state, stale)
            .await?;
        self.each(&hot::INSTANCE_DECISION, claims::instance_decision, stale)
            .await?;
        self.each(&hot::INSERT_RUN, claims::insert_run, stale).await?;
        self.each(&hot::OBSERVE_RUN, claims::observe_run, stale).await?;
        self.claim_for_runs();
        let missed = self.missed(&hot::INSERT_NIC, claims::insert_nic).await?;
        if !missed.is_empty() {
            let macs = ids(&self.ask(&hot::MAC_TAKEN, claims::insert_nic).await?, "nic")?;
            let refused = |id| match macs.contains(&id) {
                true => Refused::AddressTaken,
                false => Refused::SlotTaken,
            };
            let guilty = missed.into_iter().map(|(id, n, _)| (n, refused(id)));
            return guilty_of(guilty.collect());
        }
        self.each(&hot::CLAIM_ADDRESS, claims::claim_address, |_| {
            Refused::AddressTaken
        })
        .await?;
        Ok(())
    }

    /// Notes what new runs claim of their compute hosts.
    fn claim_for_runs(&mut self) {
        let mut runs = Vec::new();
        for (n, commit) in self.alive() {
            let changes = commit.changes.iter();
            runs.extend(changes.filter_map(|change| match change {
                Change::InsertRun(run) => Some((n, run)),
                _ => None,
            }));
        }
        for (n, run) in runs {
            let host = run.compute_host.uuid();
            let amounts = [u64::from(run.vcpus), u64::from(run.memory)];
            self.claims.hosts.claim(n, host, amounts);
            for (name, amount) in &run.resources {
                let of = (host, name.clone());
                self.claims.resources.claim(n, of, [u64::from(*amount), 0]);
            }
        }
    }

    /// Layers, volumes, attachments, publications.
    async fn write_volumes(&mut self) -> Result<(), Failure> {
        let there = ids(
            &self.ask(&hot::INSERT_LAYER, claims::insert_layer).await?,
            "layer",
        )?;
        self.each(&hot::LAYER_READY, claims::layer_ready, stale).await?;
        self.each(&hot::INSERT_VOLUME, claims::insert_volume, taken)
            .await?;
        let (mut sizes, mut lost) = (Vec::new(), Vec::new());
        for (n, commit) in self.alive() {
            for change in &commit.changes {
                match change {
                    Change::InsertLayer(layer) if there.contains(&layer.id.uuid()) => {
                        sizes.push((n, layer.pool.uuid(), u64::from(layer.size)));
                    }
                    Change::InsertLayer(layer) => lost.push(layer.id.uuid()),
                    Change::InsertVolume(volume) => {
                        sizes.push((n, volume.pool.uuid(), u64::from(volume.size)));
                    }
                    _ => {}
                }
            }
        }
        self.applied.lost_layers.extend(lost);
        for (n, pool, size) in sizes {
            self.claims.pools.claim(n, pool, [size, 0]);
        }
        self.each(&hot::INSERT_ATTACHMENT, claims::attach, |_| Refused::SlotTaken)
            .await?;
        self.each(&hot::VOLUME_READY, claims::volume_ready, stale).await?;
        self.each(&hot::VOLUME_STATE, claims::volume_state, stale).await?;
        self.each(&hot::INSERT_PUBLICATION, claims::insert_publication, stale)
            .await?;
        let missed = self
            .missed(&hot::PUBLICATION_READY, claims::publication_ready)
            .await?;
        if !missed.is_empty() {
            let taken = self.ask(&hot::IDENTITY_TAKEN, claims::publication_ready).await?;
            let taken = ids(&taken, "publication")?;
            let refused = |id: Uuid| match taken.contains(&id) {
                true => Refused::NameTaken {
                    table: Refused::IDENTITY,
                    name: id.to_string(),
                },
                false => Refused::Stale {
                    table: "publication",
                    id,
                },
            };
            let guilty = missed.into_iter().map(|(id, n, _)| (n, refused(id)));
            return guilty_of(guilty.collect());
        }
        Ok(())
    }
}
