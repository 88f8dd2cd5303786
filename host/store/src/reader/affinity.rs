//! How affinity groups are read, and who is in them.

use uuid::Uuid;
use velum_model::{affinity::*, id::*};

use super::{
    Reader, Stored,
    hierarchy::{named, stored},
};
use crate::{
    commit::StoreError,
    db::{Row, Statement, Value},
};

stored! {
    AffinityGroup, "affinity_group",
    "SELECT affinity_group.id, affinity_group.zone, affinity_group.project, affinity_group.name,
        affinity_group.description, affinity_group.kind, affinity_group.strength, affinity_group.level,
        (SELECT COUNT(*) FROM affinity_member m WHERE m.affinity_group = affinity_group.id),
        affinity_group.generation, affinity_group.created_at FROM affinity_group",
    |c| AffinityGroup {
        id: c.take("id")?,
        zone: c.take("zone")?,
        project: c.take("project")?,
        name: c.take("name")?,
        description: c.take("description")?,
        kind: named(c, "kind")?,
        strength: named(c, "strength")?,
        level: named(c, "level")?,
        members: c.take("members")?,
        generation: c.take("generation")?,
        created_at: c.take("created_at")?,
    };
}

const RUNS: Statement = Statement::common(
    "read the runs of the members of affinity groups",
    "SELECT r.id, m.affinity_group FROM affinity_group g JOIN affinity_member m ON m.affinity_group = g.id
     JOIN run r ON r.instance = m.instance WHERE g.zone = $1 ORDER BY r.id, m.affinity_group",
);

/// The fixed statements of this file.
#[cfg(test)]
pub(super) const ALL: &[&Statement] = &[&RUNS];

#[expect(clippy::missing_errors_doc, reason = "the module says it once for all")]
impl Reader {
    /// The affinity groups that an instance is in: at most [`AFFINITY_GROUPS_MAX`].
    pub async fn affinity_groups_of(&self, instance: InstanceId) -> Result<Vec<AffinityGroup>, StoreError> {
        self.few(
            "affinity_group.id IN (SELECT affinity_group FROM affinity_member WHERE instance = ?)",
            Value::from(instance),
            "affinity_group.id",
        )
        .await
    }

    /// Which affinity groups some instances (no more than a page of them) are in.
    pub async fn members_of_all(
        &self,
        instances: &[InstanceId],
    ) -> Result<Vec<(InstanceId, AffinityGroupId)>, StoreError> {
        if instances.is_empty() {
            return Ok(Vec::new());
        }
        let places: Vec<String> = (1..=instances.len()).map(|n| format!("${n}")).collect();
        let text = format!(
            "SELECT instance, affinity_group FROM affinity_member WHERE instance IN ({}) \
             ORDER BY instance, affinity_group",
            places.join(", ")
        );
        let ids: Vec<Value> = instances.iter().map(|id| Value::from(*id)).collect();
        pairs(&self.database.fetch_text("affinity_member", text, &ids).await?)
    }

    /// The runs of a zone whose instances are in affinity groups, with each group.
    pub async fn runs_in_affinity_groups(
        &self,
        zone: ZoneId,
    ) -> Result<Vec<(RunId, AffinityGroupId)>, StoreError> {
        pairs(&self.database.fetch(&RUNS, &[Value::from(zone)]).await?)
    }
}

fn pairs<Of>(rows: &[Row]) -> Result<Vec<(Id<Of>, AffinityGroupId)>, StoreError> {
    let pair = |row: &Row| {
        let mut columns = row.columns("affinity_member");
        Ok((columns.take("of")?, columns.take("affinity_group")?))
    };
    rows.iter().map(pair).collect()
}
