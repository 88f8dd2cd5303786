//! `volume-delete`: a data volume that nothing has attached.

use velum_store::Change;

use crate::{
    act::storage,
    step::{Acted, Cx, Kind, Step, StepFuture},
};

pub(super) const KIND: Kind = Kind {
    version: 1,
    steps: &[Step::plain("delete", "removing the volume", delete).pivot()],
    finish,
    abort,
    park: super::park_nothing,
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

/// It only goes forward.
fn abort<'a>(_: &'a Cx<'a>) -> StepFuture<'a, Vec<Change>> {
    Box::pin(async { Ok(Vec::new()) })
}
