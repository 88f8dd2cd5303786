//! From a decision to a commit: fences, events, operations, idempotency.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;
use velum_model::{
    id::*,
    infrastructure::Zone,
    operation::{Operation, OperationKindName, OperationState, Subject},
    tenancy::{BUILT_IN_PROJECT, Caller, Scope},
};
use velum_store::{
    Change, Commit, Committed, NewEvent, OperationWrite, Refused, StoreError, StoredAnswer, Table,
};

use crate::{
    error::ServiceError,
    request::{Answered, Keyed},
    services::Services,
};

/// How often a change without `If-Match` is tried when somebody else was faster: each time one of those who are at it wins, so that as
/// many get through at once as a script runs side by side. Each try costs a read and a commit; more in a row mean a fight that the
/// caller should know of.
const TRIES: u8 = 16;

/// Counts another try of a change. True when `result` lost against another change that the caller does not care for.
pub(crate) fn lost_a_race<T>(
    result: &Result<T, ServiceError>,
    expected: Option<u64>,
    tries: &mut u8,
) -> bool {
    *tries += 1;
    expected.is_none() && *tries < TRIES && matches!(result, Err(ServiceError::Stale { .. }))
}

/// The caller's `If-Match` against what is there.
pub(crate) fn expect(
    what: &'static str,
    id: Uuid,
    expected: Option<u64>,
    generation: u64,
) -> Result<(), ServiceError> {
    match expected {
        Some(expected) if expected != generation => Err(ServiceError::Stale { what, id }),
        _ => Ok(()),
    }
}

/// What only the administrator sees and changes. For others it is not there (law 13).
pub(crate) fn administer(caller: &Caller, what: &'static str) -> Result<(), ServiceError> {
    match caller.scope {
        Scope::All => Ok(()),
        Scope::Project(_) => Err(ServiceError::not_found(what, "that this token may see")),
    }
}

/// A row to be removed.
pub(crate) struct Removal {
    /// The noun, for messages and the event.
    pub what: &'static str,
    pub table: Table,
    pub collection: &'static str,
    pub id: Uuid,
    pub generation: u64,
    pub project: ProjectId,
    pub shard: Option<ShardId>,
}

/// An operation to be accepted.
pub(crate) struct Acceptance<P> {
    pub kind: OperationKindName,
    pub subject: Subject,
    pub project: ProjectId,
    pub shard: ShardId,
    pub params: P,
    /// What it locks beside its subject.
    pub also_locks: Option<Subject>,
    pub preempts: bool,
}

impl Services {
    /// The right to write to a shard.
    pub(crate) fn fence(&self, shard: ShardId) -> Result<(ShardId, u64), ServiceError> {
        let epoch = self.store().epoch(shard).ok_or(ServiceError::NotOwner)?;
        Ok((shard, epoch))
    }

    /// What was answered under this key before.
    pub(crate) async fn known<T>(
        &self,
        keyed: Option<&Keyed<T>>,
    ) -> Result<Option<StoredAnswer>, ServiceError> {
        let Some(keyed) = keyed else { return Ok(None) };
        let known = self
            .store()
            .idempotent(keyed.token, &keyed.key, &keyed.request_hash)
            .await;
        known.map_err(|error| ServiceError::from_store("look up the idempotency key", error))
    }

    /// Commits; `made` is what it makes true, and is answered.
    pub(crate) async fn make<T>(
        &self,
        attempt: &'static str,
        mut commit: Commit,
        keyed: Option<&Keyed<T>>,
        made: T,
    ) -> Result<Answered<T>, ServiceError> {
        commit.idempotency = keyed.map(|keyed| keyed.idempotency(&made));
        match self.store().commit(commit).await {
            Ok(Committed::Done) => Ok(Answered::Fresh(made)),
            Ok(Committed::Replayed(answer)) => Ok(Answered::Replayed(answer)),
            Err(error) => Err(ServiceError::from_store(attempt, error)),
        }
    }

    /// Commits what has no idempotency key.
    pub(crate) async fn commit(&self, attempt: &'static str, commit: Commit) -> Result<(), ServiceError> {
        self.make(attempt, commit, None, ()).await.map(drop)
    }

    /// Removes a row that nothing uses.
    pub(crate) async fn remove(
        &self,
        caller: &Caller,
        expected: Option<u64>,
        removal: Removal,
    ) -> Result<(), ServiceError> {
        self.remove_telling(caller, expected, removal, json!({})).await
    }

    /// The same, with something more in its event.
    pub(crate) async fn remove_telling(
        &self,
        caller: &Caller,
        expected: Option<u64>,
        removal: Removal,
        data: Value,
    ) -> Result<(), ServiceError> {
        expect(removal.what, removal.id, expected, removal.generation)?;
        let kind = format!("{}.deleted", removal.what.replace(' ', "-"));
        let about = (removal.collection, removal.id);
        let told = NewEvent {
            data,
            ..event(caller, kind, removal.project, about)
        };
        let commit = Commit {
            fence: removal.shard.map(|shard| self.fence(shard)).transpose()?,
            changes: vec![Change::Delete {
                table: removal.table,
                id: removal.id,
                generation: removal.generation,
            }],
            events: vec![told],
            ..Commit::default()
        };
        self.commit("remove the row", commit).await
    }

    /// The operation's row and lock rows, for the commit that accepts it.
    pub(crate) fn accept<P: Serialize>(
        &self,
        caller: &Caller,
        acceptance: Acceptance<P>,
    ) -> Result<(OperationId, OperationWrite, (ShardId, u64)), ServiceError> {
        let fence = self.fence(acceptance.shard)?;
        let now = self.now();
        let operation = Operation {
            id: self.fresh(),
            kind: acceptance.kind,
            version: velum_operation::version_of(acceptance.kind),
            shard: fence.0,
            epoch: fence.1,
            project: acceptance.project,
            subject: acceptance.subject,
            state: OperationState::Running,
            // Structs of ids and numbers always have a JSON form.
            params: serde_json::to_value(&acceptance.params).unwrap_or(Value::Null),
            journal: Vec::new(),
            progress: 0,
            note: "accepted".into(),
            error: None,
            caller: caller.name.clone(),
            due_at: now,
            cancel_requested: false,
            generation: 1,
            created_at: now,
            ended_at: None,
        };
        let id = operation.id;
        let mut locks = vec![acceptance.subject];
        locks.extend(acceptance.also_locks);
        let write = OperationWrite::Insert {
            operation: Box::new(operation),
            locks,
            preempts: acceptance.preempts,
        };
        Ok((id, write, fence))
    }

    /// A zone that a body refers to.
    pub(crate) async fn zone_named(
        &self,
        caller: &Caller,
        id: ZoneId,
        field: &str,
    ) -> Result<Arc<Zone>, ServiceError> {
        let zone = self.zone_row(id).await;
        zone.map_err(|error| ServiceError::from_store("read the zone", error))?
            .filter(|zone| is_visible(caller, zone))
            .ok_or_else(|| no_such(field, "zone", id))
    }
}

/// Whether a caller may use a zone.
pub(crate) fn is_visible(caller: &Caller, zone: &Zone) -> bool {
    match zone.access {
        velum_model::infrastructure::ZoneAccess::Public => true,
        velum_model::infrastructure::ZoneAccess::Private(owner) => caller.scope.sees(owner),
    }
}

/// A body refers to what is not there.
pub(crate) fn no_such(field: &str, what: &str, id: impl ToString) -> ServiceError {
    let hint =
        format!("list what there is and use its id; it may be deleted, or of another kind than a {what}");
    ServiceError::invalid(field, format!("there is no {what} {}", id.to_string()), hint)
}

/// What it means that something was to be dedicated to a project that is not there.
pub(crate) fn no_tenant(error: ServiceError, to: Option<Option<ProjectId>>) -> ServiceError {
    match (error, to.flatten()) {
        (ServiceError::NotFound { what: "resource", .. }, Some(project)) => {
            no_such("/dedicated_to", "project", project)
        }
        (other, _) => other,
    }
}

/// Something that happened to a resource `(collection, id)`.
pub(crate) fn event(
    caller: &Caller,
    kind: impl Into<String>,
    project: ProjectId,
    resource: (&'static str, Uuid),
) -> NewEvent {
    NewEvent {
        kind: kind.into(),
        project,
        collection: resource.0,
        resource: resource.1,
        operation: None,
        caller: caller.name.clone(),
        data: json!({}),
    }
}

/// Something that happened to a resource of the operator's own.
pub(crate) fn own_event(caller: &Caller, kind: &str, resource: (&'static str, Uuid)) -> NewEvent {
    event(caller, kind, BUILT_IN_PROJECT, resource)
}

/// An event done by an operation that was just accepted.
pub(crate) fn accepted_event(
    caller: &Caller,
    kind: &str,
    project: ProjectId,
    operation: OperationId,
    resource: (&'static str, Uuid),
) -> NewEvent {
    NewEvent {
        operation: Some(operation),
        ..event(caller, kind, project, resource)
    }
}

/// Whether a commit was refused because a claim does not fit any more: then it is planned again.
pub(crate) fn is_outdated(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Refused(Refused::NoRoom { .. } | Refused::AddressTaken)
    )
}
