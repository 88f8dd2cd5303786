//! How operations, decisions and events are read, and what is asked of tokens.

use std::collections::HashMap;

use serde_json::{Value as Json_, json};
use uuid::Uuid;
use velum_model::{
    decision::Decision,
    id::*,
    operation::{Event, Operation, OperationError, OperationKindName, OperationState, StepRecord, Subject},
    tenancy::Scope,
    time::Timestamp,
};

use super::{Query, Reader, Stored, conditions::Conditions, hierarchy::stored};
use crate::{
    commit::StoreError,
    cursor::EventCursor,
    db::{Columns, Json, Row, Statement, Value},
    encode::hex,
    filter::EventFilter,
    sql::batch,
};

fn parsed<T>(
    columns: &mut Columns<'_>,
    column: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<T, StoreError> {
    let text: String = columns.take(column)?;
    parse(&text).ok_or_else(|| StoreError::Inconsistent {
        table: "operation",
        column,
        row: String::new(),
        problem: format!("{text} is not known"),
    })
}

fn subject(columns: &mut Columns<'_>) -> Result<Subject, StoreError> {
    let collection: String = columns.take("subject_kind")?;
    let id: Uuid = columns.take("subject")?;
    Subject::of(&collection, id).ok_or_else(|| StoreError::Inconsistent {
        table: "operation",
        column: "subject_kind",
        row: id.to_string(),
        problem: format!("{collection} is no subject"),
    })
}

macro_rules! operation_columns {
    () => {
        "SELECT operation.id, operation.kind, operation.version, operation.shard, operation.epoch,
            operation.project, operation.subject_kind, operation.subject, operation.state, operation.params,
            operation.journal, operation.progress, operation.note, operation.error, operation.caller,
            operation.due_at, operation.cancel_requested, operation.generation, operation.created_at,
            operation.ended_at FROM operation"
    };
}

stored! {
    Operation, "operation",
    operation_columns!(),
    |c| Operation {
        id: c.take("id")?,
        kind: parsed(c, "kind", OperationKindName::parse)?,
        version: c.take("version")?,
        shard: c.take("shard")?,
        epoch: c.take("epoch")?,
        project: c.take("project")?,
        subject: subject(c)?,
        state: parsed(c, "state", OperationState::parse)?,
        params: c.take::<Json<Json_>>("params")?.0,
        journal: c.take::<Json<Vec<StepRecord>>>("journal")?.0,
        progress: c.take("progress")?,
        note: c.take("note")?,
        error: c.take::<Option<Json<OperationError>>>("error")?.map(|json| json.0),
        caller: c.take("caller")?,
        due_at: c.take("due_at")?,
        cancel_requested: c.take("cancel_requested")?,
        generation: c.take("generation")?,
        created_at: c.take("created_at")?,
        ended_at: c.take("ended_at")?,
    };
    Decision, "decision",
    "SELECT decision.body FROM decision",
    |c| c.take::<Json<Decision>>("body")?.0;
}

impl Stored for Event {
    const TABLE: &'static str = "event";
    const SELECT: &'static str =
        "SELECT event.shard, event.epoch, event.seq, event.at, event.kind, event.project,
        event.collection, event.resource, event.operation, event.caller, event.data FROM event";
    const ID: &'static str = "event.seq";

    fn read(row: &Row) -> Result<Self, StoreError> {
        let mut c = row.columns(Self::TABLE);
        Ok(Self {
            shard: c.take("shard")?,
            epoch: c.take("epoch")?,
            seq: c.take("seq")?,
            at: c.take("at")?,
            kind: c.take("kind")?,
            project: c.take("project")?,
            collection: c.take("collection")?,
            resource: c.take("resource")?,
            operation: c.take("operation")?,
            caller: c.take("caller")?,
            data: c.take::<Json<Json_>>("data")?.0,
        })
    }

    fn id(&self) -> Uuid {
        self.resource
    }
}

batch!(DUE, "read due operations", { id id },
    operation_columns!(),
    " WHERE operation.state IN ('running', 'undoing') AND operation.due_at <= $2
        AND operation.shard IN (SELECT id FROM r)
      ORDER BY operation.due_at, operation.id LIMIT $3");
batch!(UNFINISHED, "read unfinished operations", { id id },
    operation_columns!(),
    " WHERE operation.state IN ('running', 'undoing', 'parked') AND operation.shard IN (SELECT id FROM r)
      ORDER BY operation.id LIMIT $2");
const HOLDER: Statement = Statement::common(
    "read who holds a lock",
    "SELECT operation FROM subject_lock WHERE subject = $1",
);
const PARKED: Statement = Statement::common(
    "count parked operations",
    "SELECT COUNT(*) FROM operation WHERE state = 'parked'",
);
const END_OF_EVENTS: Statement = Statement::common(
    "read where the events end",
    "SELECT shard.id, shard.epoch, shard.next_seq - 1 FROM shard ORDER BY shard.id",
);
const TOKEN: Statement = Statement::common(
    "read a token",
    "SELECT token.id, token.name, token.project FROM token WHERE token.hash = $1",
);

/// The shard of a row of each collection that shards own.
macro_rules! shards_of {
    ($($collection:literal $text:expr;)*) => {
        const SHARD_OF: &[(&str, Statement)] = &[$(
            ($collection, Statement::common("look up the shard of a row", $text)),
        )*];
        /// The fixed statements of this file.
        #[cfg(test)]
        pub(super) const ALL: &[&Statement] = {
            &[&DUE, &UNFINISHED, &HOLDER, &PARKED, &END_OF_EVENTS, &TOKEN $(, &Statement::common($collection, $text))*]
        };
    };
}

macro_rules! by_zone {
    ($table:literal) => {
        concat!(
            "SELECT zone.shard FROM ",
            $table,
            " t JOIN zone ON zone.id = t.zone WHERE t.id = $1"
        )
    };
}

shards_of! {
    "zones" "SELECT zone.shard FROM zone WHERE zone.id = $1";
    "pods" by_zone!("pod");
    "clusters" by_zone!("cluster");
    "compute-hosts" by_zone!("compute_host");
    "storage-pools" by_zone!("storage_pool");
    "image-stores" by_zone!("image_store");
    "ip-ranges" by_zone!("ip_range");
    "networks" by_zone!("network");
    "affinity-groups" by_zone!("affinity_group");
    "templates" by_zone!("template");
    "instances" by_zone!("instance");
    "volumes" by_zone!("volume");
    "operations" "SELECT operation.shard FROM operation WHERE operation.id = $1";
}

#[expect(clippy::missing_errors_doc, reason = "the module says it once for all")]
impl Reader {
    /// The latest decisions of a zone, oldest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn last_decisions(&self, zone: ZoneId, count: u32) -> Result<Vec<Decision>, StoreError> {
        let mut query = Query::of::<Decision>();
        query.and("decision.zone = ?", Value::from(zone));
        query.order_and_limit("decision.id DESC", count);
        let mut decisions = self.query::<Decision>(query).await?;
        decisions.reverse();
        Ok(decisions)
    }

    /// Which operation holds the lock of a resource.
    pub async fn holder_of(&self, subject: Subject) -> Result<Option<OperationId>, StoreError> {
        let rows = self
            .database
            .fetch(&HOLDER, &[Value::from(subject.uuid())])
            .await?;
        rows.first()
            .map(|row| row.only("subject_lock", "operation"))
            .transpose()
    }

    /// How many operations wait for an operator.
    pub async fn parked_operations(&self) -> Result<u64, StoreError> {
        let rows = self.database.fetch(&PARKED, &[]).await?;
        rows.first().map_or(Ok(0), |row| row.only("operation", "count"))
    }

    /// Operations to run now: of shards that this server owns, not ended, not parked, due; oldest first.
    pub async fn due_operations(&self, now: Timestamp, limit: u32) -> Result<Vec<Operation>, StoreError> {
        let values = [self.owned(), Value::from(now.micros()), Value::from(limit)];
        super::read_all(&self.database.fetch(&DUE, &values).await?)
    }

    /// Operations of owned shards that have not ended, parked ones too; in the order of their ids, which is that of their making.
    pub async fn unfinished_operations(&self, limit: u32) -> Result<Vec<Operation>, StoreError> {
        super::read_all(
            &self
                .database
                .fetch(&UNFINISHED, &[self.owned(), Value::from(limit)])
                .await?,
        )
    }

    fn owned(&self) -> Value {
        let rows = self
            .epochs
            .all()
            .into_iter()
            .map(|(shard, _)| json!({ "id": hex(shard) }))
            .collect();
        Value::from(Json_::Array(rows).to_string())
    }

    /// Events after a position, in the order of their time; each shard's in the order of its numbers. Where a number is
    /// missing the shard's events end for now: what has it is on its way, and nothing may overtake it.
    pub async fn events_after(&self, cursor: &EventCursor, limit: u32) -> Result<Vec<Event>, StoreError> {
        let mut next: HashMap<ShardId, u64> = HashMap::new();
        let mut events = self
            .events(Scope::All, &EventFilter::default(), cursor, limit)
            .await?;
        events.retain(|event| {
            let next = next
                .entry(event.shard)
                .or_insert_with(|| cursor.after(event.shard).1 + 1);
            let follows = event.seq == *next;
            *next += u64::from(follows);
            follows
        });
        Ok(events)
    }

    /// Events that a scope sees and a filter matches, after a position.
    pub async fn events(
        &self,
        scope: Scope,
        filter: &EventFilter,
        cursor: &EventCursor,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        let mut events: Vec<Event> = Vec::new();
        for row in self.database.fetch(&END_OF_EVENTS, &[]).await? {
            let mut columns = row.columns("shard");
            let (shard, _): (ShardId, u64) = (columns.take("id")?, columns.take("epoch")?);
            let (epoch, seq) = cursor.after(shard);
            // Most shards have nothing new.
            if columns.take::<u64>("next_seq")? <= seq {
                continue;
            }
            let mut query = Query::of::<Event>();
            query.and("event.shard = ?", Value::from(shard));
            // Numbers go on from epoch to epoch, so that the pair is ordered as the number alone is.
            query.and("event.epoch >= ?", Value::from(epoch));
            query.and("event.seq > ?", Value::from(seq));
            query.scope::<Event>(scope);
            for (condition, value) in filter.conditions() {
                query.and(condition, value);
            }
            query.order_and_limit("event.epoch, event.seq", limit);
            events.extend(self.query::<Event>(query).await?);
        }
        // Stable: what happened at one instant stays in the order of its numbers. A shard's clock may have gone back
        // between two servers; then its numbers lead.
        let mut events = order(events);
        events.truncate(limit as usize);
        Ok(events)
    }

    /// The same with the position that whoever wants more goes on from. Nothing is given that became known after it was looked where
    /// the log ends.
    pub async fn events_that_match(
        &self,
        scope: Scope,
        filter: &EventFilter,
        cursor: &EventCursor,
        limit: u32,
    ) -> Result<(Vec<Event>, EventCursor), StoreError> {
        let end = self.end_of_events().await?;
        let mut events = self.events(scope, filter, cursor, limit).await?;
        let is_last = events.len() < limit as usize;
        events.retain(|event| end.is_past(event));
        let mut position = cursor.clone();
        if is_last {
            position.advance_with(&end);
        } else {
            events.iter().for_each(|event| position.advance(event));
        }
        Ok((events, position))
    }

    /// Where the log ends now.
    pub async fn end_of_events(&self) -> Result<EventCursor, StoreError> {
        let mut cursor = EventCursor::default();
        for row in self.database.fetch(&END_OF_EVENTS, &[]).await? {
            let mut c = row.columns("shard");
            cursor.advance_to(c.take("id")?, c.take("epoch")?, c.take("next_seq")?);
        }
        Ok(cursor)
    }

    /// The shard that owns a resource of a collection; none when there is no such resource, or its collection belongs to
    /// no shard.
    pub async fn shard_of(&self, collection: &str, id: Uuid) -> Result<Option<ShardId>, StoreError> {
        let Some((_, statement)) = SHARD_OF.iter().find(|(known, _)| *known == collection) else {
            return Ok(None);
        };
        let rows = self.database.fetch(statement, &[Value::from(id)]).await?;
        rows.first().map(|row| row.only("zone", "shard")).transpose()
    }

    /// The token of a hash: its id, name and scope.
    pub async fn token_by_hash(&self, hash: &[u8]) -> Result<Option<(TokenId, String, Scope)>, StoreError> {
        let rows = self.database.fetch_short(&TOKEN, &[Value::from(hash)]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let mut c = row.columns("token");
        let (id, name) = (c.take("id")?, c.take("name")?);
        let project: Option<ProjectId> = c.take("project")?;
        Ok(Some((id, name, project.map_or(Scope::All, Scope::Project))))
    }
}

/// Merges the shards' events by time, never changing the order within a shard.
fn order(events: Vec<Event>) -> Vec<Event> {
    let mut latest: HashMap<ShardId, Timestamp> = HashMap::new();
    let mut keyed: Vec<(Timestamp, Event)> = Vec::with_capacity(events.len());
    for event in events {
        let at = latest.entry(event.shard).or_insert(event.at);
        *at = (*at).max(event.at);
        keyed.push((*at, event));
    }
    keyed.sort_by_key(|(at, _)| *at);
    keyed.into_iter().map(|(_, event)| event).collect()
}
