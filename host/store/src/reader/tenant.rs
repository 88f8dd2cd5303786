//! How tenants' rows are read, and the reads that operations and placement make of them.

use std::{collections::BTreeMap, net::Ipv4Addr};

use serde::de::DeserializeOwned;
use uuid::Uuid;
use velum_model::{
    id::*,
    infrastructure::{ComputeHost, IpRange, Network, Nic, StoragePool},
    instance::{Instance, InstanceState, ObservedState, Run, RunRole},
    page::{Page, Paged},
    port::storage::Attachment,
    storage::*,
    tenancy::Scope,
};

use super::{Reader, Stored, ZoneInventory, hierarchy::stored, read_all};
use crate::{
    commit::StoreError,
    db::{Columns, Json, Row, Statement, Value, Word},
};

fn named<T: DeserializeOwned>(columns: &mut Columns<'_>, column: &'static str) -> Result<T, StoreError> {
    Ok(columns.take::<Word<T>>(column)?.0)
}

/// A run whose columns come next, if there is one.
fn run(columns: &mut Columns<'_>) -> Result<Option<Run>, StoreError> {
    let Some(id) = columns.take::<Option<RunId>>("run.id")? else {
        return Ok(None);
    };
    Ok(Some(Run {
        id,
        instance: columns.take("run.instance")?,
        compute_host: columns.take("run.compute_host")?,
        generation: columns.take("run.generation")?,
        role: named::<RunRole>(columns, "run.role")?,
        vcpus: columns.take("run.vcpus")?,
        memory: columns.take("run.memory")?,
        resources: columns.take("run.resources")?,
        created_at: columns.take("run.created_at")?,
        expected_end_at: columns.take("run.expected_end_at")?,
        observed: columns
            .take::<Option<Word<ObservedState>>>("seen.state")?
            .map_or(ObservedState::Unknown, |s| s.0),
        observed_at: columns.take("seen.seen_at")?,
    }))
}

fn template_state(word: &str, failure: Option<String>) -> Option<TemplateState> {
    Some(match word {
        "uploading" => TemplateState::Uploading,
        "registering" => TemplateState::Registering,
        "ready" => TemplateState::Ready,
        "failed" => TemplateState::Failed(failure.unwrap_or_default()),
        "deleting" => TemplateState::Deleting,
        _ => return None,
    })
}

fn unknown(table: &'static str, column: &'static str, word: &str) -> StoreError {
    StoreError::Inconsistent {
        table,
        column,
        row: String::new(),
        problem: format!("{word} is no state"),
    }
}

stored! {
    Nic, "nic",
    "SELECT nic.id, nic.instance, nic.network, nic.project, nic.slot, nic.mac, nic.address, nic.created_at FROM nic",
    |c| Nic {
        id: c.take("id")?,
        instance: c.take("instance")?,
        network: c.take("network")?,
        project: c.take("project")?,
        slot: c.take("slot")?,
        mac: c.take("mac")?,
        address: c.take("address")?,
        created_at: c.take("created_at")?,
    };
    Template, "template",
    "SELECT template.id, template.zone, template.project, template.image_store, template.name, template.format,
        template.upload_bytes, template.received_bytes, template.sha256, template.state, template.failure,
        template.virtual_bytes, template.reference, template.generation, template.created_at FROM template",
    |c| Template {
        id: c.take("id")?,
        zone: c.take("zone")?,
        project: c.take("project")?,
        image_store: c.take("image_store")?,
        name: c.take("name")?,
        format: named(c, "format")?,
        upload_bytes: c.take("upload_bytes")?,
        received_bytes: c.take("received_bytes")?,
        sha256: c.take("sha256")?,
        state: {
            let word: String = c.take("state")?;
            template_state(&word, c.take("failure")?).ok_or_else(|| unknown("template", "state", &word))?
        },
        virtual_bytes: c.take("virtual_bytes")?,
        reference: c.take("reference")?,
        generation: c.take("generation")?,
        created_at: c.take("created_at")?,
    };
    Instance, "instance",
    "SELECT instance.id, instance.zone, instance.project, instance.name, instance.offering, instance.template,
        instance.vcpus, instance.memory, instance.user_data, instance.expected_lifetime_s, instance.state,
        instance.last_host, instance.decision, instance.generation, instance.created_at, run.id, run.instance,
        run.compute_host, run.generation, run.role, run.vcpus, run.memory, run.resources, run.created_at,
        run.expected_end_at, seen.state, seen.seen_at
     FROM instance LEFT JOIN run ON run.instance = instance.id AND run.role = 'active'
     LEFT JOIN run_seen seen ON seen.id = run.id",
    |c| Instance {
        id: c.take("id")?,
        zone: c.take("zone")?,
        project: c.take("project")?,
        name: c.take("name")?,
        offering: c.take("offering")?,
        template: c.take("template")?,
        vcpus: c.take("vcpus")?,
        memory: c.take("memory")?,
        user_data: c.take("user_data")?,
        expected_lifetime: c.take("expected_lifetime_s")?,
        state: named::<InstanceState>(c, "state")?,
        last_host: c.take("last_host")?,
        decision: c.take("decision")?,
        generation: c.take("generation")?,
        created_at: c.take("created_at")?,
        run: run(c)?,
    };
    Run, "run",
    "SELECT run.id, run.instance, run.compute_host, run.generation, run.role, run.vcpus, run.memory,
        run.resources, run.created_at, run.expected_end_at, seen.state, seen.seen_at
     FROM run LEFT JOIN run_seen seen ON seen.id = run.id",
    |c| run(c)?.ok_or_else(|| unknown("run", "id", "null"))?;
    Volume, "volume",
    "SELECT volume.id, volume.zone, volume.project, volume.name, volume.used_as, volume.offering, volume.pool,
        volume.size, volume.parent, volume.backend_id, volume.state, attachment.instance, attachment.slot,
        volume.generation, volume.created_at
     FROM volume LEFT JOIN attachment ON attachment.volume = volume.id",
    |c| Volume {
        id: c.take("id")?,
        zone: c.take("zone")?,
        project: c.take("project")?,
        name: c.take("name")?,
        used_as: named(c, "used_as")?,
        offering: c.take("offering")?,
        pool: c.take("pool")?,
        size: c.take("size")?,
        parent: c.take("parent")?,
        backend_id: c.take("backend_id")?,
        state: named(c, "state")?,
        attachment: {
            let instance: Option<InstanceId> = c.take("instance")?;
            let slot: Option<u16> = c.take("slot")?;
            instance.zip(slot).map(|(instance, slot)| VolumeAttachment { instance, slot })
        },
        generation: c.take("generation")?,
        created_at: c.take("created_at")?,
    };
    Layer, "layer",
    "SELECT layer.id, layer.pool, layer.template, layer.size, layer.backend_id, layer.ready, layer.created_at
     FROM layer",
    |c| Layer {
        id: c.take("id")?,
        pool: c.take("pool")?,
        template: c.take("template")?,
        size: c.take("size")?,
        backend_id: c.take("backend_id")?,
        ready: c.take("ready")?,
        created_at: c.take("created_at")?,
    };
}

impl Stored for Publication {
    const TABLE: &'static str = "publication";
    const SELECT: &'static str = "SELECT publication.volume, publication.compute_host, publication.run,
        publication.attachment FROM publication";
    const ID: &'static str = "publication.volume";

    fn read(row: &Row) -> Result<Self, StoreError> {
        let mut c = row.columns(Self::TABLE);
        Ok(Self {
            volume: c.take("volume")?,
            compute_host: c.take("compute_host")?,
            run: c.take("run")?,
            attachment: c
                .take::<Option<Json<Attachment>>>("attachment")?
                .map(|json| json.0),
        })
    }

    fn id(&self) -> Uuid {
        self.volume.uuid()
    }
}

/// The numbered MACs: `06:56` and a number (`velum_model::net::Mac::numbered`).
const HIGHEST_MAC: Statement = Statement::common(
    "read the highest MAC address",
    "SELECT CAST(COALESCE(MAX(mac), 0) AS BIGINT) FROM nic WHERE mac BETWEEN $1 AND $2",
);
const CLAIMED: Statement = Statement::common(
    "read the claimed addresses of a range",
    "SELECT address FROM ip_address WHERE ip_range = $1 ORDER BY address",
);

/// What a zone's inventory is read with, in this order.
fn inventory_texts() -> [String; 7] {
    let of = |select: &str, rest: &str| format!("{select} {rest}");
    [
        of(ComputeHost::SELECT, "WHERE compute_host.zone = $1 ORDER BY compute_host.id"),
        of(StoragePool::SELECT, "WHERE storage_pool.zone = $1 ORDER BY storage_pool.id"),
        of(
            Layer::SELECT,
            "JOIN storage_pool ON storage_pool.id = layer.pool WHERE storage_pool.zone = $1 ORDER BY layer.id",
        ),
        of(Network::SELECT, "WHERE network.zone = $1 ORDER BY network.id"),
        of(
            IpRange::SELECT,
            "WHERE ip_range.zone = $1 AND ip_range.network IS NOT NULL ORDER BY ip_range.id",
        ),
        "SELECT ip_address.ip_range, ip_address.address
         FROM ip_range JOIN ip_address ON ip_address.ip_range = ip_range.id
         WHERE ip_range.zone = $1 AND ip_range.network IS NOT NULL ORDER BY ip_address.ip_range, ip_address.address"
            .into(),
        "SELECT run.compute_host, COUNT(*)
         FROM compute_host JOIN run ON run.compute_host = compute_host.id
         WHERE compute_host.zone = $1 GROUP BY run.compute_host"
            .into(),
    ]
}

/// The fixed statements of this file.
#[cfg(test)]
pub(super) const ALL: &[&Statement] = &[&HIGHEST_MAC, &CLAIMED];

#[expect(clippy::missing_errors_doc, reason = "the module says it once for all")]
impl Reader {
    /// The NICs of an instance, by slot.
    pub async fn nics_of(&self, instance: InstanceId) -> Result<Vec<Nic>, StoreError> {
        self.few("nic.instance = ?", Value::from(instance), "nic.slot")
            .await
    }

    /// The NICs of some instances (no more than a page of them), by slot.
    pub async fn nics_of_all(&self, instances: &[InstanceId]) -> Result<Vec<Nic>, StoreError> {
        let ids = instances.iter().map(|id| Value::from(*id));
        self.hanging_on("nic.instance", ids, "nic.slot, nic.id").await
    }

    /// The volumes of some instances (no more than a page of them), by slot.
    pub async fn volumes_of_all(&self, instances: &[InstanceId]) -> Result<Vec<Volume>, StoreError> {
        let ids = instances.iter().map(|id| Value::from(*id));
        self.hanging_on("attachment.instance", ids, "attachment.slot, volume.id")
            .await
    }

    /// The volumes of an instance, by slot.
    pub async fn volumes_of(&self, instance: InstanceId) -> Result<Vec<Volume>, StoreError> {
        self.few(
            "attachment.instance = ?",
            Value::from(instance),
            "attachment.slot",
        )
        .await
    }

    /// A run.
    pub async fn run(&self, id: RunId) -> Result<Option<Run>, StoreError> {
        self.one(Scope::All, id.uuid()).await
    }

    /// The runs of an instance, oldest first.
    pub async fn runs_of(&self, instance: InstanceId) -> Result<Vec<Run>, StoreError> {
        self.few(
            "run.instance = ?",
            Value::from(instance),
            "run.generation, run.id",
        )
        .await
    }

    /// The runs on a compute host.
    pub async fn runs_on(&self, host: ComputeHostId, page: Page) -> Result<Paged<Run>, StoreError> {
        let on = vec![("run.compute_host = ?", Value::from(host))];
        self.page(Scope::All, on, page).await
    }

    /// The publications of a run.
    pub async fn publications_of(&self, run: RunId) -> Result<Vec<Publication>, StoreError> {
        self.few("publication.run = ?", Value::from(run), "publication.volume")
            .await
    }

    /// The publications of a volume: two while its instance moves.
    pub async fn publications_of_volume(&self, volume: VolumeId) -> Result<Vec<Publication>, StoreError> {
        self.few("publication.volume = ?", Value::from(volume), "publication.run")
            .await
    }

    /// A layer.
    pub async fn layer(&self, id: LayerId) -> Result<Option<Layer>, StoreError> {
        self.one(Scope::All, id.uuid()).await
    }

    /// What a pool holds of a template.
    pub async fn layer_of(
        &self,
        pool: StoragePoolId,
        template: TemplateId,
    ) -> Result<Option<Layer>, StoreError> {
        let of = vec![
            ("layer.pool = ?", Value::from(pool)),
            ("layer.template = ?", Value::from(template)),
        ];
        Ok(self.page(Scope::All, of, Page::default()).await?.items.pop())
    }

    /// The layers of a template on all pools.
    pub async fn layers_of_template(&self, template: TemplateId) -> Result<Vec<Layer>, StoreError> {
        self.few("layer.template = ?", Value::from(template), "layer.id")
            .await
    }

    /// The address ranges of a network.
    pub async fn ranges_of_network(&self, network: NetworkId) -> Result<Vec<IpRange>, StoreError> {
        self.few("ip_range.network = ?", Value::from(network), "ip_range.id")
            .await
    }

    /// The claimed addresses of a range, ascending.
    pub async fn claimed_addresses(&self, range: IpRangeId) -> Result<Vec<Ipv4Addr>, StoreError> {
        let rows = self.database.fetch(&CLAIMED, &[Value::from(range)]).await?;
        rows.iter().map(|row| row.only("ip_address", "address")).collect()
    }

    /// The highest number that a numbered MAC has; 0 when there is none.
    pub async fn mac_numbers_used(&self) -> Result<u32, StoreError> {
        let bound = |number| {
            Value::from(crate::encode::claims::mac_number(
                velum_model::net::Mac::numbered(number),
            ))
        };
        let rows = self
            .database
            .fetch(&HIGHEST_MAC, &[bound(0), bound(u32::MAX)])
            .await?;
        let highest: u64 = rows.first().map_or(Ok(0), |row| row.only("nic", "mac"))?;
        Ok(u32::try_from(highest & u64::from(u32::MAX)).unwrap_or(u32::MAX))
    }

    /// All that placement looks at in a zone; empty for an unknown zone.
    pub async fn zone_inventory(&self, zone: ZoneId) -> Result<ZoneInventory, StoreError> {
        let value = [Value::from(zone)];
        let answers = self
            .database
            .snapshot("read a zone's inventory", inventory_texts(), &value)
            .await?;
        let rows = |n: usize| answers.get(n).map_or(&[][..], Vec::as_slice);
        let mut claimed: BTreeMap<IpRangeId, Vec<Ipv4Addr>> = BTreeMap::new();
        for row in rows(5) {
            let mut c = row.columns("ip_address");
            claimed
                .entry(c.take("ip_range")?)
                .or_default()
                .push(c.take("address")?);
        }
        let mut runs_per_host = BTreeMap::new();
        for row in rows(6) {
            let mut c = row.columns("run");
            runs_per_host.insert(c.take("compute_host")?, c.take("count")?);
        }
        let ranges: Vec<IpRange> = read_all(rows(4))?;
        Ok(ZoneInventory {
            hosts: read_all(rows(0))?,
            pools: read_all(rows(1))?,
            layers: read_all(rows(2))?,
            networks: read_all(rows(3))?,
            ranges: ranges
                .into_iter()
                .map(|range| {
                    let of = claimed.remove(&range.id).unwrap_or_default();
                    (range, of)
                })
                .collect(),
            runs_per_host,
        })
    }
}
