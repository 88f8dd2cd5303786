//! `volume-delete`: a data volume that nothing has attached.

use velum_model::storage::VolumeState;
use velum_store::Change;

use crate::{
    act::storage,
    step::{Acted, Cx, Kind, Step, StepFuture, TurnsBack},
};

pub(super) const KIND: Kind = Kind {
    version: 1,
    steps: &[Step::plain("delete", "removing the volume", delete)
        .pivot()
        .taking_away()],
    finish,
    abort,
    park: super::park_nothing,
    instance_is: None,
    turns_back: TurnsBack::BeforePivot("the volume may be gone already: retry, or say that it is"),
    explain: super::explain_storage,
};

fn delete<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Acted> {
    Box::pin(async move {
        match cx.find_volume(cx.volume_id()?).await? {
            Some(volume) => storage::delete(cx, &volume).await,
            None => Ok(Acted::done()),
        }
    })
}

fn finish<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Vec<Change>> {
    Box::pin(async move { Ok(vec![Change::DeleteVolume(cx.volume_id()?)]) })
}

/// The provider refused, and changed nothing: the volume is what it was.
fn abort<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Vec<Change>> {
    Box::pin(async move {
        Ok(vec![Change::VolumeState {
            id: cx.volume_id()?,
            from: VolumeState::Deleting,
            to: VolumeState::Ready,
        }])
    })
}
