//! `instance-destroy`: whatever there is of an instance goes. It may have cancelled a create or start in the middle:
//! then it waits for that to end first.

use velum_model::{operation::OperationState, storage::VolumeUse, tenancy::Scope};
use velum_store::{Change, OperationFilter};

use super::take_down;
use crate::{
    act::storage,
    step::{Acted, Cx, Kind, Step, StepFuture},
};

pub(super) const KIND: Kind = Kind {
    version: 1,
    steps: &[
        Step::plain("wait", "waiting for the operation before it", wait_for_others).pivot(),
        take_down::KILL,
        take_down::UNDEFINE,
        take_down::UNPUBLISH,
        take_down::UNSEED,
        Step::plain("root-volume", "removing the root volume", remove_root_volume),
    ],
    finish,
    abort,
    park: super::park_instance,
    explain: super::explain_guest,
};

/// The cancelled operation undoes in tens of milliseconds when its far side answers.
const LOOK_EVERY_MS: u64 = 100;

fn wait_for_others<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Acted> {
    Box::pin(async move {
        let filter = OperationFilter {
            subject: Some(cx.operation.subject.uuid()),
            ..OperationFilter::default()
        };
        let page = velum_model::page::Page {
            limit: velum_model::page::Page::MAX_LIMIT,
            after: None,
        };
        let others = cx
            .engine
            .parts
            .store
            .read()
            .operations(Scope::All, &filter, page)
            .await?;
        let busy = others.items.iter().find(|o| {
            o.id != cx.operation.id && matches!(o.state, OperationState::Running | OperationState::Undoing)
        });
        Ok(match busy {
            Some(other) => Acted::Wait {
                after_ms: LOOK_EVERY_MS,
                note: format!("waiting for {} to end", other.kind.as_str()),
            },
            None => Acted::done(),
        })
    })
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

/// It only goes forward.
fn abort<'a>(_: &'a Cx<'a>) -> StepFuture<'a, Vec<Change>> {
    Box::pin(async { Ok(Vec::new()) })
}
