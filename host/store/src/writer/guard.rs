//! Epochs, idempotency keys, operations with their locks; decisions and events.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use uuid::Uuid;
use velum_model::{
    OperationId, ShardId,
    operation::{Event, OperationState},
};

use super::{
    Failure,
    apply::{Transaction, guilty_of, ids},
};
use crate::{
    commit::{Change, Committed, OperationWrite, Refused, StoredAnswer, Table},
    db::Value,
    encode::{bare, bytes, hex, hex_option, records, row, text},
    sql::guard::{
        EPOCHS, INSERT_DECISION, INSERT_EVENT, INSERT_KEY, INSERT_LOCK, INSERT_OPERATION, KNOWN_KEYS,
        LOCK_HOLDERS, NUMBER_EVENTS, RELEASE_LOCKS, REQUEST_CANCEL, UPDATE_OPERATION,
    },
    sql::records::RETIRE_SHARD,
};

/// Whose locks an operation may take over.
#[derive(Clone, Copy)]
enum Preempts {
    Nobody,
    Parked,
    Anyone,
}

impl Preempts {
    const fn takes_from(self, is_parked: bool) -> bool {
        match self {
            Self::Nobody => false,
            Self::Parked => is_parked,
            Self::Anyone => true,
        }
    }
}

/// A key answers the same for so long.
const KEYS_LAST_MS: u64 = 24 * 60 * 60 * 1000;

/// The shard that numbers the events of what no zone owns.
pub(crate) const CLOUD: ShardId = ShardId::from_uuid(Uuid::nil());

impl Transaction<'_> {
    /// Refuses commits under an epoch that is not the shard's.
    pub(super) async fn check_epochs(&mut self) -> Result<(), Failure> {
        let shards: BTreeSet<Uuid> = self
            .alive()
            .filter_map(|(_, commit)| commit.fence)
            .map(|(shard, _)| shard.uuid())
            .collect();
        let rows = shards.iter().map(|id| row!({ "id": bare(*id) })).collect();
        let mut epochs: HashMap<ShardId, u64> = HashMap::new();
        for row in self.run(&EPOCHS, rows, &[]).await? {
            let mut columns = row.columns("shard");
            epochs.insert(columns.take("id")?, columns.take("epoch")?);
        }
        let fenced: Vec<_> = self
            .alive()
            .filter_map(|(n, commit)| {
                let (shard, epoch) = commit.fence?;
                let now = epochs.get(&shard).copied().unwrap_or(0);
                (now != epoch).then_some((n, Refused::Fenced { shard, epoch: now }))
            })
            .collect();
        for (n, refused) in fenced {
            self.drop_commit(n, &Err(refused));
        }
        Ok(())
    }

    /// Keeps the keys that are new; commits with a known one are answered what was answered then.
    pub(super) async fn keep_keys(&mut self) -> Result<(), Failure> {
        let expires = self.now.plus_millis(KEYS_LAST_MS);
        let mut rows = Vec::new();
        let mut with_key: Vec<(usize, Uuid, String)> = Vec::new();
        for (n, commit) in self.alive() {
            if let Some(kept) = &commit.idempotency {
                rows.push(row!({
                    "token": hex(kept.token), "key": kept.key, "request_hash": bytes(&kept.request_hash),
                    "status": kept.answer.status, "location": kept.answer.location, "etag": kept.answer.etag,
                    "body": kept.answer.body, "expires_at": expires,
                }));
                with_key.push((n, kept.token.uuid(), kept.key.clone()));
            }
        }
        let now = [Value::from(self.now.micros())];
        let Some(inserted) = self.run_all(&INSERT_KEY, rows, &now).await? else {
            return Ok(());
        };
        let mut new = HashSet::new();
        for row in &inserted {
            let mut columns = row.columns("idempotency");
            new.insert((columns.take::<Uuid>("token")?, columns.take::<String>("key")?));
        }
        with_key.retain(|(_, token, key)| !new.contains(&(*token, key.clone())));
        self.answer_known(with_key).await
    }

    async fn answer_known(&mut self, known: Vec<(usize, Uuid, String)>) -> Result<(), Failure> {
        let rows = known
            .iter()
            .map(|(_, token, key)| row!({ "token": bare(*token), "key": key }))
            .collect();
        let now = [Value::from(self.now.micros())];
        let mut answers: HashMap<(Uuid, String), (Vec<u8>, StoredAnswer)> = HashMap::new();
        for row in self.run(&KNOWN_KEYS, rows, &now).await? {
            let mut columns = row.columns("idempotency");
            let key = (columns.take("token")?, columns.take("key")?);
            answers.insert(key, (columns.take("request_hash")?, read_answer(&mut columns)?));
        }
        for (n, token, key) in known {
            let hash = self
                .commits
                .get(n)
                .and_then(|c| c.idempotency.as_ref())
                .map(|i| &i.request_hash);
            let reply = match answers.remove(&(token, key)) {
                Some((kept, answer)) if Some(&kept) == hash => Ok(Committed::Replayed(answer)),
                _ => Err(Refused::KeyReused),
            };
            self.drop_commit(n, &reply);
        }
        Ok(())
    }

    /// Writes the operations, takes and releases their locks.
    pub(super) async fn write_operations(&mut self) -> Result<(), Failure> {
        let (mut inserts, mut updates, mut ended) = (Vec::new(), Vec::new(), Vec::new());
        let (mut new, mut old) = (Vec::new(), Vec::new());
        for (n, commit) in self.alive() {
            match &commit.operation {
                Some(OperationWrite::Insert { operation, .. }) => {
                    inserts.push(crate::encode::operation::insert(operation));
                    new.push((operation.id.uuid(), n));
                }
                Some(OperationWrite::Update(operation)) => {
                    updates.push(crate::encode::operation::update(operation));
                    old.push((operation.id.uuid(), n));
                    if operation.state.has_ended() {
                        ended.push(row!({ "operation": hex(operation.id) }));
                    }
                }
                None => {}
            }
        }
        let mut guilty = Vec::new();
        for (statement, rows, mut owners) in [
            (&INSERT_OPERATION, inserts, new),
            (&UPDATE_OPERATION, updates, old),
        ] {
            let Some(answered) = self.run_all(statement, rows, &[]).await? else {
                continue;
            };
            let there = ids(&answered, "operation")?;
            owners.retain(|(id, _)| !there.contains(id));
            let table = "operation";
            guilty.extend(
                owners
                    .into_iter()
                    .map(|(id, n)| (n, Refused::Stale { table, id })),
            );
        }
        guilty_of(guilty)?;
        self.run(&RELEASE_LOCKS, ended, &[]).await?;
        self.take_locks().await
    }

    async fn take_locks(&mut self) -> Result<(), Failure> {
        let mut rows = Vec::new();
        let mut wanted: Vec<(Uuid, usize, Preempts)> = Vec::new();
        for (n, commit) in self.alive() {
            if let Some(OperationWrite::Insert {
                operation,
                locks,
                preempts,
            }) = &commit.operation
                && !operation.state.has_ended()
            {
                let preempts = match (preempts, operation.kind.supersedes_parked()) {
                    (true, _) => Preempts::Anyone,
                    (false, true) => Preempts::Parked,
                    (false, false) => Preempts::Nobody,
                };
                for subject in locks {
                    rows.push(row!({
                        "subject": bare(subject.uuid()), "subject_kind": subject.collection(),
                        "operation": hex(operation.id),
                    }));
                    wanted.push((subject.uuid(), n, preempts));
                }
            }
        }
        if rows.is_empty() {
            return Ok(());
        }
        // Another's lock is looked for first: taking it over is only for who may preempt.
        let asked = wanted
            .iter()
            .map(|(subject, ..)| row!({ "subject": bare(*subject) }))
            .collect();
        let mut holders: HashMap<Uuid, (OperationId, bool)> = HashMap::new();
        for row in self.run(&LOCK_HOLDERS, asked, &[]).await? {
            let mut columns = row.columns("subject_lock");
            let (subject, holder): (Uuid, OperationId) =
                (columns.take("subject")?, columns.take("operation")?);
            let state: String = columns.take("state")?;
            holders.insert(subject, (holder, state == OperationState::Parked.as_str()));
        }
        // A batch that is not durable yet may let one go on that is parked, or end it.
        if self.is_beside && !holders.is_empty() {
            return Err(Failure::OnlyAlone);
        }
        let guilty: Vec<_> = wanted
            .iter()
            .filter_map(|(subject, n, preempts)| {
                let (holder, is_parked) = holders.get(subject)?;
                (!preempts.takes_from(*is_parked)).then_some((*n, Refused::Locked { operation: *holder }))
            })
            .collect();
        if !guilty.is_empty() {
            return Err(Failure::Guilty(guilty));
        }
        let cancelled: BTreeSet<OperationId> = holders.into_values().map(|(holder, _)| holder).collect();
        let cancelled = cancelled.into_iter().map(|id| row!({ "id": hex(id) })).collect();
        self.run(&REQUEST_CANCEL, cancelled, &[]).await?;
        // Nobody else's lock is in the way by now.
        self.run_all(&INSERT_LOCK, rows, &[]).await?;
        Ok(())
    }

    /// Writes the decisions.
    pub(super) async fn write_decisions(&mut self) -> Result<(), Failure> {
        let rows: Vec<_> = self
            .alive()
            .filter_map(|(n, commit)| {
                let (decision, body) = (commit.decision.as_deref()?, self.decisions.get(n)?);
                Some(row!({
                    "id": hex(decision.id), "project": hex(decision.project), "zone": hex(decision.zone),
                    "instance": hex(decision.instance), "body": body,
                    "placed": i64::from(decision.winner.is_some()),
                }))
            })
            .collect();
        let Some(answered) = self.run_all(&INSERT_DECISION, rows, &[]).await? else {
            return Ok(());
        };
        let (there, table) = (ids(&answered, "decision")?, "decision");
        let missed = self.alive().filter_map(|(n, commit)| {
            let id = commit.decision.as_deref()?.id.uuid();
            (!there.contains(&id)).then_some((n, Refused::Stale { table, id }))
        });
        guilty_of(missed.collect())
    }

    /// Numbers and writes the events: dense in each shard.
    pub(super) async fn write_events(&mut self) -> Result<(), Failure> {
        let mut counts: BTreeMap<Uuid, u64> = BTreeMap::new();
        for (_, commit) in self.alive() {
            let shard = commit.fence.map_or(CLOUD, |(shard, _)| shard);
            if !commit.events.is_empty() {
                *counts.entry(shard.uuid()).or_default() += commit.events.len() as u64;
            }
        }
        let rows = counts
            .iter()
            .map(|(id, count)| row!({ "id": bare(*id), "count": count }))
            .collect();
        let mut next: HashMap<Uuid, (u64, u64)> = HashMap::new();
        for row in self.run(&NUMBER_EVENTS, rows, &[]).await? {
            let mut columns = row.columns("shard");
            let (id, epoch, after): (Uuid, u64, u64) = (
                columns.take("id")?,
                columns.take("epoch")?,
                columns.take("next_seq")?,
            );
            next.insert(
                id,
                (epoch, after.saturating_sub(counts.get(&id).copied().unwrap_or(0))),
            );
        }
        let mut events = Vec::new();
        for (n, commit) in self.alive() {
            let shard = commit.fence.map_or(CLOUD, |(shard, _)| shard);
            for event in &commit.events {
                let Some((epoch, seq)) = next.get_mut(&shard.uuid()) else {
                    return Err(Failure::Guilty(vec![(n, Refused::Fenced { shard, epoch: 0 })]));
                };
                events.push(Event {
                    shard,
                    epoch: *epoch,
                    seq: *seq,
                    at: self.now,
                    kind: event.kind.clone(),
                    project: event.project,
                    collection: event.collection.to_owned(),
                    resource: event.resource,
                    operation: event.operation,
                    caller: event.caller.clone(),
                    data: event.data.clone(),
                });
                *seq += 1;
            }
        }
        let rows = events
            .iter()
            .map(|event| {
                row!({
                    "shard": hex(event.shard), "epoch": event.epoch, "seq": event.seq, "at": event.at,
                    "kind": event.kind, "project": hex(event.project), "collection": event.collection,
                    "resource": bare(event.resource), "operation": hex_option(event.operation),
                    "caller": event.caller, "data": text(&event.data),
                })
            })
            .collect();
        self.run(&INSERT_EVENT, rows, &[]).await?;
        self.applied.events = events;
        Ok(())
    }

    /// Retires the shards of zones that went, and notes the shards of zones that came.
    pub(super) async fn retire_shards(&mut self) -> Result<(), Failure> {
        let mut gone = BTreeSet::new();
        let mut new = Vec::new();
        for (_, commit) in self.alive() {
            for change in &commit.changes {
                match change {
                    Change::InsertZone(zone) => new.push((zone.shard, 1)),
                    other if records::delete(other, Table::Zone).is_some() => {
                        gone.extend(commit.fence.map(|(shard, _)| shard));
                    }
                    _ => {}
                }
            }
        }
        let rows = gone.iter().map(|shard| row!({ "id": hex(*shard) })).collect();
        let retired = self.run(&RETIRE_SHARD, rows, &[]).await?;
        self.applied.new_shards = new;
        self.applied.retired_shards = ids(&retired, "shard")?
            .into_iter()
            .map(ShardId::from_uuid)
            .collect();
        Ok(())
    }
}

/// The columns of a stored answer.
pub(crate) fn read_answer(
    columns: &mut crate::db::Columns<'_>,
) -> Result<StoredAnswer, crate::commit::StoreError> {
    Ok(StoredAnswer {
        status: columns.take("status")?,
        location: columns.take("location")?,
        etag: columns.take("etag")?,
        body: columns.take("body")?,
    })
}
