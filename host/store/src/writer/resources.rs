//! Countable resources of compute hosts: what is stated of them, and what runs claim and release. A commit without any costs no
//! statement.

use std::collections::{BTreeSet, HashMap, HashSet};

use uuid::Uuid;

use super::{
    Failure,
    apply::Transaction,
    room::{Limits, NO_LIMIT, Resource, guilty},
};
use crate::{
    commit::{Change, StoreError},
    db::Columns,
    encode::{bare, hex, row},
    sql::{
        claims::{RESOURCE_LIMITS, RESOURCE_ROOM},
        records::{FORGET_RESOURCES, STATE_RESOURCES},
    },
};

impl Transaction<'_> {
    /// What compute hosts that are new or changed have. What is taken away goes at once if nobody holds it.
    pub(super) async fn state_resources(&mut self) -> Result<(), Failure> {
        let (mut rows, mut fewer) = (Vec::new(), BTreeSet::new());
        for (_, commit) in self.alive() {
            for change in &commit.changes {
                let (Change::InsertComputeHost(host) | Change::UpdateComputeHost(host)) = change else {
                    continue;
                };
                for (name, resource) in &host.resources {
                    rows.push(row!({
                        "compute_host": hex(host.id), "name": name.as_str(), "amount": resource.total,
                    }));
                    if resource.total == 0 {
                        fewer.insert(host.id.uuid());
                    }
                }
            }
        }
        self.run(&STATE_RESOURCES, rows, &[]).await?;
        let fewer = fewer.into_iter().map(|id| row!({ "id": bare(id) })).collect();
        self.run(&FORGET_RESOURCES, fewer, &[]).await?;
        Ok(())
    }

    /// Changes the counters of what runs that come and go hold.
    pub(super) async fn claim_resources(&mut self) -> Result<(), Failure> {
        let sums = self.claims.resources.sums();
        let rows = sums
            .iter()
            .map(|((host, name), ([claimed, _], [released, _]))| {
                row!({
                    "compute_host": bare(*host), "name": name.as_str(), "claimed": claimed, "released": released,
                })
            })
            .collect();
        let answered = self.run(&RESOURCE_ROOM, rows, &[]).await?;
        if answered.len() == sums.len() {
            return Ok(());
        }
        // As of compute hosts: those that did go through show their claims already.
        let mut changed: HashSet<Resource> = HashSet::new();
        for row in &answered {
            changed.insert(resource(&mut row.columns("compute_host_resource"))?);
        }
        let rows = sums
            .keys()
            .map(|(host, name)| row!({ "compute_host": bare(*host), "name": name.as_str() }))
            .collect();
        let mut limits: HashMap<Resource, Limits> = HashMap::new();
        for row in self.run(&RESOURCE_LIMITS, rows, &[]).await? {
            let mut columns = row.columns("compute_host_resource");
            let of = resource(&mut columns)?;
            let amount = (columns.take("amount_limit")?, columns.take("amount_used")?);
            let amount = if changed.contains(&of) { NO_LIMIT } else { amount };
            limits.insert(of, [amount, NO_LIMIT]);
        }
        let too_many = self.claims.resources.too_many(&limits);
        let of_hosts: Vec<(usize, Uuid)> = too_many.into_iter().map(|(n, (host, _))| (n, host)).collect();
        Err(guilty("compute host", of_hosts, &RESOURCE_ROOM))
    }
}

fn resource(columns: &mut Columns<'_>) -> Result<Resource, StoreError> {
    Ok((columns.take("compute_host")?, columns.take("name")?))
}
