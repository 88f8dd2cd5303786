//! `POST /v1/operations/{id}/retry`, `…/undo` and `…/assert-gone`

use serde_json::json;
use velum_model::{
    OperationId,
    operation::Operation,
    tenancy::{BUILT_IN_PROJECT, Caller},
};
use velum_operation::parked::{NotResumed, Resumed, Verb, Word};
use velum_store::{Commit, NewEvent, OperationWrite};

use super::{OperatorsWord, REASON_MAX};
use crate::{
    error::ServiceError,
    request::{Answered, Keyed},
    services::Services,
    write::{accepted_event, administer, expect},
};

impl Services {
    /// Lets a parked operation go on as an operator says. The engine hears of the commit and takes it up.
    ///
    /// # Errors
    /// It does not exist or is not parked, another operation has taken over, the verb does not fit where it is,
    /// `expected` is not its generation, the reason is too long, or missing where a word stands for a proof.
    pub async fn operation_decide(
        &self,
        caller: &Caller,
        id: OperationId,
        expected: Option<u64>,
        said: OperatorsWord,
        keyed: Option<Keyed<Operation>>,
    ) -> Result<Answered<Operation>, ServiceError> {
        administer(caller, "operation")?;
        let OperatorsWord { verb, reason } = said;
        let word = Word {
            by: caller.name.clone(),
            reason: checked(verb, reason)?,
            at: self.now(),
        };
        if let Some(answer) = self.known(keyed.as_ref()).await? {
            return Ok(Answered::Replayed(answer));
        }
        let operation = self.operation_get(caller, id).await?;
        expect("operation", id.uuid(), expected, operation.generation)?;
        let resumed = verb.apply(&self.read(), operation, &word).await;
        let Resumed {
            mut operation,
            changes,
            step,
        } = resumed.map_err(|error| refused(id, error))?;
        let fence = self.fence(operation.shard)?;
        operation.epoch = fence.1;
        // The operator's own event: why is nothing that a tenant need read.
        let event = NewEvent {
            data: json!({ "step": step, "reason": word.reason }),
            ..accepted_event(
                caller,
                &format!("operation.{}", verb.as_str()),
                BUILT_IN_PROJECT,
                id,
                ("operations", id.uuid()),
            )
        };
        let commit = Commit {
            fence: Some(fence),
            operation: Some(OperationWrite::Update(Box::new(operation.clone()))),
            changes,
            events: vec![event],
            ..Commit::default()
        };
        operation.generation += 1;
        self.make("let the operation go on", commit, keyed.as_ref(), operation)
            .await
    }
}

/// The reason as it is kept; empty where none need be given.
fn checked(verb: Verb, reason: Option<String>) -> Result<String, ServiceError> {
    let reason = reason.unwrap_or_default().trim().to_owned();
    if reason.is_empty() && verb == Verb::AssertGone {
        return Err(ServiceError::invalid(
            "/reason",
            "is empty",
            "say how it is known: another guest may run on the strength of it",
        ));
    }
    readable(reason)
}

/// A reason that can be kept and shown.
pub(crate) fn readable(reason: String) -> Result<String, ServiceError> {
    let length = reason.chars().count();
    if length > REASON_MAX {
        return Err(ServiceError::invalid(
            "/reason",
            format!("has {length} characters"),
            format!("at most {REASON_MAX} are kept"),
        ));
    }
    if reason.chars().any(char::is_control) {
        let hint = "write it on one line, without control characters";
        return Err(ServiceError::invalid("/reason", "does not print", hint));
    }
    Ok(reason)
}

fn refused(id: OperationId, error: NotResumed) -> ServiceError {
    match error {
        NotResumed::Refused(problem) => ServiceError::InvalidState {
            what: "operation",
            id: id.uuid(),
            problem,
        },
        NotResumed::Store(error) => ServiceError::from_store("read what the operation is about", error),
    }
}
