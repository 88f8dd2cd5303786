//! `instance-destroy`: whatever there is of an instance goes. It may have cancelled a create or start in the middle:
//! then it waits for that to end first. An operation that is parked on the instance it ends: all that such a one could
//! have made is what the destroy removes.

use velum_model::{
    instance::InstanceState,
    operation::{Operation, OperationError, OperationKindName, OperationState, Subject},
    page::Page,
    storage::VolumeUse,
    tenancy::Scope,
};
use velum_store::{Change, Commit, OperationFilter, OperationWrite};

use super::take_down;
use crate::{
    act::storage,
    drive::journal::ended_event,
    step::{Acted, Cx, Kind, Step, StepError, StepFuture, TurnsBack},
};

pub(super) const KIND: Kind = Kind {
    version: 1,
    steps: &[
        Step::plain("wait", "waiting for the operation before it", wait_for_others).pivot(),
        take_down::KILL,
        take_down::UNDEFINE,
        take_down::UNPUBLISH,
        take_down::UNSEED,
        Step::plain("root-volume", "removing the root volume", remove_root_volume).taking_away(),
    ],
    finish,
    abort,
    park: super::park_instance,
    instance_is: Some(InstanceState::Destroying),
    turns_back: TurnsBack::Never(
        "what is gone of the instance does not come back: retry, or say that what could not be reached is gone",
    ),
    explain: super::explain_guest,
};

/// The cancelled operation undoes in tens of milliseconds when its far side answers.
const LOOK_EVERY_MS: u64 = 100;

fn wait_for_others<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Acted> {
    Box::pin(async move {
        for state in [OperationState::Running, OperationState::Undoing] {
            if let Some(other) = others(cx, state).await?.first() {
                return Ok(Acted::Wait {
                    after_ms: LOOK_EVERY_MS,
                    note: format!("waiting for {} to end", other.kind.as_str()),
                });
            }
        }
        for parked in parked(cx).await? {
            supersede(cx, parked).await?;
        }
        Ok(Acted::done())
    })
}

/// Other operations on the instance that are in this state: one that works, and one for each time that one was parked.
async fn others(cx: &Cx<'_>, state: OperationState) -> Result<Vec<Operation>, StepError> {
    let filter = OperationFilter {
        subject: Some(cx.operation.subject.uuid()),
        state: Some(state),
        ..OperationFilter::default()
    };
    let page = Page {
        limit: Page::MAX_LIMIT,
        after: None,
    };
    let reader = cx.engine.parts.store.read();
    let mut found = reader.operations(Scope::All, &filter, page).await?.items;
    found.retain(|other| other.id != cx.operation.id);
    Ok(found)
}

/// What is parked on the instance, or with a volume half in it.
async fn parked(cx: &Cx<'_>) -> Result<Vec<Operation>, StepError> {
    let mut found = others(cx, OperationState::Parked).await?;
    let reader = cx.engine.parts.store.read();
    for volume in reader.volumes_of(cx.instance_id()?).await? {
        let Some(holder) = reader.holder_of(Subject::Volume(volume.id)).await? else {
            continue;
        };
        let holder = reader.operation(Scope::All, holder).await?;
        found.extend(holder.filter(|o| {
            let is_half_in = matches!(
                o.kind,
                OperationKindName::VolumeAttach | OperationKindName::VolumeDetach
            );
            is_half_in && o.state == OperationState::Parked
        }));
    }
    Ok(found)
}

/// Ends a parked operation: it has no lock any more, and what it left is the destroy's to remove.
async fn supersede(cx: &Cx<'_>, mut parked: Operation) -> Result<(), StepError> {
    tracing::info!(operation = %cx.operation.id, parked = %parked.id, "ends a parked operation: its instance goes");
    parked.state = OperationState::Undone;
    parked.note = format!("superseded by the operation {}", cx.operation.id);
    parked.error = Some(OperationError {
        code: "cancelled".into(),
        message: "it was parked, and its instance was destroyed".into(),
    });
    parked.epoch = cx.epoch;
    parked.ended_at = Some(cx.engine.parts.clock.now());
    let commit = Commit {
        fence: Some((parked.shard, cx.epoch)),
        events: vec![ended_event(&parked)],
        operation: Some(OperationWrite::Update(Box::new(parked))),
        ..Commit::default()
    };
    cx.engine.parts.store.commit(commit).await?;
    Ok(())
}

fn remove_root_volume<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Acted> {
    Box::pin(async move {
        for volume in cx.engine.parts.store.read().volumes_of(cx.instance_id()?).await? {
            if volume.used_as == VolumeUse::Root {
                return storage::delete(cx, &volume).await;
            }
        }
        Ok(Acted::done())
    })
}

fn finish<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Vec<Change>> {
    Box::pin(async move {
        let instance = cx.instance_id()?;
        let reader = cx.engine.parts.store.read();
        let mut changes = Vec::new();
        for run in take_down::runs(cx).await? {
            for publication in reader.publications_of(run.id).await? {
                changes.push(Change::DeletePublication {
                    volume: publication.volume,
                    run: run.id,
                });
            }
            changes.push(Change::DeleteRun(run.id));
        }
        for volume in reader.volumes_of(instance).await? {
            changes.push(match volume.used_as {
                VolumeUse::Root => Change::DeleteVolume(volume.id),
                VolumeUse::Data => Change::DetachVolume(volume.id),
            });
        }
        for nic in reader.nics_of(instance).await? {
            changes.push(Change::DeleteNic(nic.id));
        }
        changes.push(Change::DeleteInstance(instance));
        Ok(changes)
    })
}

/// It never turns back.
fn abort<'a>(_: &'a Cx<'a>) -> StepFuture<'a, Vec<Change>> {
    Box::pin(async { Ok(Vec::new()) })
}
