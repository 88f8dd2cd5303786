//! The steps that take a run down: its guest, its volumes' publications, its seed. Shared by stop and destroy; each
//! finds nothing to do where there is no run.

use serde_json::Value;
use velum_model::{
    id::*,
    instance::Run,
    operation::{Operation, Subject},
};
use velum_store::{Change, Reader};

use crate::{
    act::{guest, storage, wiring},
    step::{Acted, Cx, Step, StepError, StepFuture},
};

pub(super) const KILL: Step = Step::plain("kill", "turning the guest off", kill).taking_away();
pub(super) const UNDEFINE: Step = Step::plain("undefine", "removing the guest", undefine).taking_away();
pub(super) const UNPUBLISH: Step = Step::plain("unpublish-volumes", "disconnecting its volumes", unpublish)
    .taking_away()
    .without(rows_of_publications);
pub(super) const UNSEED: Step = Step::plain("unseed", "removing its seed", unseed)
    .taking_away()
    .needless_if(no_node_has_a_seed);

/// The publications of every run that the instance has.
pub(super) fn rows_of_publications<'a>(
    reader: &'a Reader,
    operation: &'a Operation,
) -> StepFuture<'a, Vec<Change>> {
    Box::pin(async move {
        let Subject::Instance(instance) = operation.subject else {
            return Ok(Vec::new());
        };
        let mut changes = Vec::new();
        for run in reader.runs_of(instance).await? {
            let publications = reader.publications_of(run.id).await?;
            changes.extend(publications.into_iter().map(|p| Change::DeletePublication {
                volume: p.volume,
                run: run.id,
            }));
        }
        Ok(changes)
    })
}

/// The runs that the instance has: none, one, or two while it moves.
pub(super) async fn runs(cx: &Cx<'_>) -> Result<Vec<Run>, StepError> {
    let instance: InstanceId = cx.instance_id()?;
    Ok(cx.engine.parts.store.read().runs_of(instance).await?)
}

fn kill<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Acted> {
    Box::pin(async move {
        for run in runs(cx).await? {
            let host = cx.host(run.compute_host).await?;
            match guest::kill(cx, &host, &run).await? {
                Acted::Done { .. } => {}
                unfinished => return Ok(unfinished),
            }
        }
        Ok(Acted::done())
    })
}

fn undefine<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Acted> {
    Box::pin(async move {
        for run in runs(cx).await? {
            let host = cx.host(run.compute_host).await?;
            match guest::remove(cx, &host, &run).await? {
                Acted::Done { .. } => {}
                unfinished => return Ok(unfinished),
            }
        }
        Ok(Acted::done())
    })
}

fn unpublish<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Acted> {
    Box::pin(async move {
        let mut changes: Vec<Change> = Vec::new();
        for run in runs(cx).await? {
            for publication in cx.engine.parts.store.read().publications_of(run.id).await? {
                if let Some(volume) = cx.find_volume(publication.volume).await? {
                    changes.push(storage::unpublish(cx, &run, &volume).await?);
                }
            }
        }
        Ok(Acted::changing(changes))
    })
}

fn no_node_has_a_seed<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Option<Value>> {
    Box::pin(async move {
        for run in runs(cx).await? {
            if cx.host(run.compute_host).await?.row.node.is_some() {
                return Ok(None);
            }
        }
        Ok(Some(Value::Null))
    })
}

fn unseed<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Acted> {
    Box::pin(async move {
        for run in runs(cx).await? {
            let host = cx.host(run.compute_host).await?;
            wiring::remove_seed(cx, &host, &run).await?;
        }
        Ok(Acted::done())
    })
}
