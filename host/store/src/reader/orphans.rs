//! How what no row owns is read, and what tells whether something has or had a row.

use std::collections::{HashMap, HashSet};

use serde_json::{Value as Json_, json};
use uuid::Uuid;
use velum_model::{
    id::{ComputeHostId, StoragePoolId},
    orphan::{Orphan, OrphanKind, OrphanPlace},
    time::Timestamp,
};

use super::{Reader, Stored, hierarchy::stored};
use crate::{
    commit::StoreError,
    db::{Columns, Row, Statement, Value, Word},
    encode::bare,
    sql::batch,
};

/// Our id of something at a far side and, of a publication, that of its compute host; else nil.
pub type Pair = (Uuid, Uuid);

fn place(columns: &mut Columns<'_>) -> Result<OrphanPlace, StoreError> {
    let host: Option<ComputeHostId> = columns.take("compute_host")?;
    let pool: Option<StoragePoolId> = columns.take("storage_pool")?;
    host.map(OrphanPlace::ComputeHost)
        .or(pool.map(OrphanPlace::StoragePool))
        .ok_or_else(|| StoreError::Inconsistent {
            table: "orphan",
            column: "compute_host",
            row: String::new(),
            problem: "it is nowhere".into(),
        })
}

stored! {
    Orphan, "orphan",
    "SELECT orphan.id, orphan.kind, orphan.compute_host, orphan.storage_pool, orphan.object, orphan.peer, orphan.name,
        orphan.generation, orphan.removed_at, orphan.first_seen, orphan.last_seen, orphan.observations,
        orphan.reported FROM orphan",
    |c| Orphan {
        id: c.take("id")?,
        kind: c.take::<Word<OrphanKind>>("kind")?.0,
        place: place(c)?,
        object: c.take("object")?,
        peer: Some(c.take::<ComputeHostId>("peer")?).filter(|id| !id.uuid().is_nil()),
        name: c.take("name")?,
        generation: c.take("generation")?,
        removed_at: c.take("removed_at")?,
        first_seen: c.take("first_seen")?,
        last_seen: c.take("last_seen")?,
        observations: c.take("observations")?,
        reported: c.take("reported")?,
    };
}

batch!(RUNS, "look which runs there are", { object id, peer id },
    "SELECT r.object, r.peer FROM r JOIN run ON run.id = r.object");
batch!(VOLUMES, "look which volumes and layers there are", { object id, peer id },
    "SELECT r.object, r.peer FROM r JOIN volume ON volume.id = r.object
     UNION ALL SELECT r.object, r.peer FROM r JOIN layer ON layer.id = r.object");
batch!(PUBLICATIONS, "look which publications there are", { object id, peer id },
    "SELECT r.object, r.peer FROM r JOIN publication p ON p.volume = r.object AND p.compute_host = r.peer");
batch!(TOMBSTONES, "look what had a row", { object id, peer id },
    "SELECT r.object, r.peer, t.removed_at FROM r JOIN tombstone t ON t.object = r.object AND t.peer = r.peer
     WHERE t.kind = $2");
const ORPHANS: Statement = Statement::common("count what no row owns", "SELECT COUNT(*) FROM orphan");

/// The fixed statements of this file.
#[cfg(test)]
pub(super) const ALL: &[&Statement] = &[&RUNS, &VOLUMES, &PUBLICATIONS, &TOMBSTONES, &ORPHANS];

fn asked(pairs: &[Pair]) -> Value {
    let row = |(object, peer): &Pair| json!({ "object": bare(*object), "peer": bare(*peer) });
    Value::from(Json_::Array(pairs.iter().map(row).collect()).to_string())
}

#[expect(clippy::missing_errors_doc, reason = "the module says it once for all")]
impl Reader {
    /// What no row owns at a place.
    pub async fn orphans_at(&self, place: OrphanPlace) -> Result<Vec<Orphan>, StoreError> {
        let condition = match place {
            OrphanPlace::ComputeHost(_) => "orphan.compute_host = ?",
            OrphanPlace::StoragePool(_) => "orphan.storage_pool = ?",
        };
        self.few(condition, Value::from(place.uuid()), "orphan.id").await
    }

    /// How much is known that no row owns.
    pub async fn orphans_known(&self) -> Result<u64, StoreError> {
        let rows = self.database.fetch(&ORPHANS, &[]).await?;
        rows.first().map_or(Ok(0), |row| row.only("orphan", "count"))
    }

    /// Which of these have a row, wherever it says that they are.
    pub async fn with_rows(&self, kind: OrphanKind, pairs: &[Pair]) -> Result<HashSet<Pair>, StoreError> {
        let statement = match kind {
            OrphanKind::Guest | OrphanKind::Seed => &RUNS,
            OrphanKind::Volume => &VOLUMES,
            OrphanKind::Publication => &PUBLICATIONS,
        };
        let rows = self.database.fetch(statement, &[asked(pairs)]).await?;
        rows.iter()
            .map(|row| {
                let mut c = row.columns("orphan");
                Ok((c.take("object")?, c.take("peer")?))
            })
            .collect()
    }

    /// Which of these had a row, and when it went.
    pub async fn had_rows(
        &self,
        kind: OrphanKind,
        pairs: &[Pair],
    ) -> Result<HashMap<Pair, Timestamp>, StoreError> {
        let of = match kind {
            OrphanKind::Guest | OrphanKind::Seed => "run",
            OrphanKind::Volume => "volume",
            OrphanKind::Publication => "publication",
        };
        let values = [asked(pairs), Value::from(of)];
        let rows = self.database.fetch(&TOMBSTONES, &values).await?;
        rows.iter()
            .map(|row| {
                let mut c = row.columns("tombstone");
                Ok(((c.take("object")?, c.take("peer")?), c.take("removed_at")?))
            })
            .collect()
    }
}
