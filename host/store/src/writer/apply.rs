//! One transaction over a batch: what is checked and written in which order.

use std::collections::{BTreeMap, HashSet};

use uuid::Uuid;
use velum_model::{ShardId, Timestamp, operation::Event};

use super::{Batch, Failure, room::Claims};
use crate::{
    commit::{Change, Commit, Committed, Refused},
    db::{Connection, Row, Statement, Value},
    encode::{Keyed, RowValues},
    told::{HostRoom, PoolRoom},
};

/// What a transaction did, once it is durable.
#[derive(Default)]
pub(super) struct Applied {
    /// Of each commit: none when it was applied, else what it is answered instead.
    pub(super) replies: Vec<Option<Result<Committed, Refused>>>,
    pub(super) events: Vec<Event>,
    pub(super) compute_hosts: Vec<HostRoom>,
    pub(super) storage_pools: Vec<PoolRoom>,
    /// Layers that were there already.
    pub(super) lost_layers: HashSet<Uuid>,
    pub(super) new_shards: Vec<(ShardId, u64)>,
    pub(super) retired_shards: Vec<ShardId>,
    /// When the transaction was begun, on the steady clock.
    pub(super) since: std::time::Duration,
}

/// A transaction over a batch.
pub(super) struct Transaction<'t> {
    pub(super) connection: &'t mut Connection,
    pub(super) commits: &'t [&'t Commit],
    /// The decision of each as it is stored.
    pub(super) decisions: &'t [Option<&'t str>],
    /// Of each commit: those with the same number are made together or not at all.
    units: &'t [usize],
    /// Whether statements are asked which rows they changed, not only how many.
    asks_which: bool,
    /// Whether the batch before this one may not be durable yet.
    pub(super) is_beside: bool,
    pub(super) now: Timestamp,
    pub(super) holder: &'t str,
    pub(super) applied: Applied,
    pub(super) claims: Claims,
    pub(super) host_rooms: BTreeMap<Uuid, HostRoom>,
    pub(super) pool_rooms: BTreeMap<Uuid, PoolRoom>,
}

impl<'t> Transaction<'t> {
    pub(super) fn new(
        connection: &'t mut Connection,
        batch: &'t Batch<'t>,
        asks_which: bool,
        now: Timestamp,
        holder: &'t str,
    ) -> Self {
        let applied = Applied {
            replies: batch.commits.iter().map(|_| None).collect(),
            ..Applied::default()
        };
        Self {
            connection,
            commits: &batch.commits,
            decisions: &batch.decisions,
            units: &batch.units,
            asks_which,
            is_beside: false,
            now,
            holder,
            applied,
            claims: Claims::default(),
            host_rooms: BTreeMap::new(),
            pool_rooms: BTreeMap::new(),
        }
    }

    /// The same, beside a batch that may not be durable yet.
    pub(super) fn beside(self) -> Self {
        Self {
            is_beside: true,
            ..self
        }
    }

    /// Applies everything.
    pub(super) async fn apply(mut self) -> Result<Applied, Failure> {
        self.check_epochs().await?;
        self.write_rows().await?;
        self.write_shared().await
    }

    /// Writes what each commit has of its own.
    pub(super) async fn write_rows(&mut self) -> Result<(), Failure> {
        self.keep_keys().await?;
        self.write_operations().await?;
        self.apply_changes().await?;
        self.write_decisions().await
    }

    /// Whether every commit that is still in is of its shard's epoch: none is taken out, for their rows are written. From then
    /// on a takeover waits for this transaction.
    pub(super) async fn epochs_hold(&mut self) -> Result<bool, Failure> {
        let before = self.alive().count();
        self.check_epochs().await?;
        Ok(self.alive().count() == before)
    }

    /// Writes what all share (room, event numbers), in the order of ids: the last, so that it is held shortly.
    pub(super) async fn write_shared(mut self) -> Result<Applied, Failure> {
        self.claim_room().await?;
        self.write_events().await?;
        self.retire_shards().await?;
        self.applied.compute_hosts = self.host_rooms.into_values().collect();
        self.applied.storage_pools = self.pool_rooms.into_values().collect();
        Ok(self.applied)
    }

    /// The commits that are still in, with their places.
    pub(super) fn alive(&self) -> impl Iterator<Item = (usize, &'t Commit)> + use<'t, '_> {
        let replies = &self.applied.replies;
        self.commits
            .iter()
            .enumerate()
            .filter(|(n, _)| replies.get(*n).is_some_and(Option::is_none))
            .map(|(n, commit)| (n, *commit))
    }

    /// Takes a commit out, with those that are made together with it: they are answered this, and nothing of them was
    /// written.
    pub(super) fn drop_commit(&mut self, n: usize, reply: &Result<Committed, Refused>) {
        let unit = self.units.get(n);
        for (slot, of) in self.applied.replies.iter_mut().zip(self.units) {
            if Some(of) == unit {
                *slot = Some(reply.clone());
            }
        }
    }

    /// Runs a statement over rows.
    pub(super) async fn run(
        &mut self,
        statement: &Statement,
        rows: Vec<RowValues>,
        more: &[Value],
    ) -> Result<Vec<Row>, Failure> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let answered = self.connection.fetch_rows(statement, rows, more).await;
        answered.map_err(|source| Failure::of(statement, source))
    }

    /// Runs a statement that answers each row which it changes. None: these were all; it is asked which only in a batch that
    /// is known to miss some, for what is answered costs as much as what is written.
    pub(super) async fn run_all(
        &mut self,
        statement: &Statement,
        rows: Vec<RowValues>,
        more: &[Value],
    ) -> Result<Option<Vec<Row>>, Failure> {
        let all = rows.len();
        if self.asks_which {
            let answered = self.run(statement, rows, more).await?;
            return Ok((answered.len() < all).then_some(answered));
        }
        if all == 0 {
            return Ok(None);
        }
        match self.connection.change_rows(statement, rows, more).await {
            Ok(changed) if changed == all => Ok(None),
            Ok(_) => Err(Failure::SomeMissed),
            Err(source) => Err(Failure::of(statement, source)),
        }
    }

    /// The changes of one kind as rows, all commits', with whose each is.
    fn rows_of(&self, encode: impl Fn(&Change) -> Keyed) -> (Vec<RowValues>, Vec<(Uuid, usize, &'t Change)>) {
        let (mut rows, mut owners) = (Vec::new(), Vec::new());
        for (n, commit) in self.alive() {
            for change in &commit.changes {
                if let Some((key, row)) = encode(change) {
                    rows.push(row);
                    owners.push((key, n, change));
                }
            }
        }
        (rows, owners)
    }

    /// Applies the changes of one kind, all commits' at once, and answers what the statement does.
    pub(super) async fn ask(
        &mut self,
        statement: &Statement,
        encode: impl Fn(&Change) -> Keyed + Send,
    ) -> Result<Vec<Row>, Failure> {
        let (rows, _) = self.rows_of(encode);
        self.run(statement, rows, &[]).await
    }

    /// The same of a statement that is to change all of them: `missing` says what it means that it did not.
    pub(super) async fn each(
        &mut self,
        statement: &Statement,
        encode: impl Fn(&Change) -> Keyed + Send,
        missing: impl Fn(&Change) -> Refused + Send,
    ) -> Result<(), Failure> {
        let missed = self.missed(statement, encode).await?;
        let guilty = missed.into_iter().map(|(_, n, change)| (n, missing(change)));
        guilty_of(guilty.collect())
    }

    /// The same, answering those that it did not change: their ids and whose they are.
    pub(super) async fn missed(
        &mut self,
        statement: &Statement,
        encode: impl Fn(&Change) -> Keyed + Send,
    ) -> Result<Vec<(Uuid, usize, &'t Change)>, Failure> {
        let (rows, mut owners) = self.rows_of(encode);
        let Some(answered) = self.run_all(statement, rows, &[]).await? else {
            return Ok(Vec::new());
        };
        let there = ids(&answered, statement.does)?;
        owners.retain(|(key, _, _)| !there.contains(key));
        Ok(owners)
    }

    /// Which commit a row of a kind belongs to.
    pub(super) fn owners(&self, encode: impl Fn(&Change) -> Keyed) -> BTreeMap<Uuid, usize> {
        let mut owners = BTreeMap::new();
        for (n, commit) in self.alive() {
            owners.extend(commit.changes.iter().filter_map(&encode).map(|(key, _)| (key, n)));
        }
        owners
    }

    /// Whether any commit has a change of this sort.
    pub(super) fn has(&self, sort: impl Fn(&Change) -> bool) -> bool {
        self.alive().any(|(_, commit)| commit.changes.iter().any(&sort))
    }
}

/// Refuses those of whom there are reasons.
pub(super) fn guilty_of(guilty: Vec<(usize, Refused)>) -> Result<(), Failure> {
    if guilty.is_empty() {
        Ok(())
    } else {
        Err(Failure::Guilty(guilty))
    }
}

/// The first column of rows.
pub(super) fn ids(rows: &[Row], table: &'static str) -> Result<HashSet<Uuid>, Failure> {
    rows.iter()
        .map(|row| row.only(table, "id").map_err(Failure::from))
        .collect()
}
