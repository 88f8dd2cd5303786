//! `volume-create`: a blank data volume on the pool that was claimed.

use velum_model::port::storage::{Source, registry};
use velum_store::Change;

use crate::{
    act::storage,
    step::{Acted, Cx, Kind, Step, StepFuture, TurnsBack},
};

pub(super) const KIND: Kind = Kind {
    version: 1,
    steps: &[Step::plain("create", "making the volume", create).undone_by(remove)],
    finish,
    abort,
    park: super::park_nothing,
    instance_is: None,
    turns_back: TurnsBack::Always,
    explain: super::explain_storage,
};

fn create<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Acted> {
    Box::pin(async move {
        let volume = cx.volume(cx.volume_id()?).await?;
        storage::create(
            cx,
            &volume,
            Source {
                kind: registry::SOURCE_BLANK,
                of: None,
            },
        )
        .await
    })
}

fn remove<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Vec<Change>> {
    Box::pin(async move {
        if let Some(volume) = cx.find_volume(cx.volume_id()?).await? {
            storage::delete_to_the_end(cx, &volume).await?;
        }
        Ok(Vec::new())
    })
}

fn finish<'a>(_: &'a Cx<'a>) -> StepFuture<'a, Vec<Change>> {
    Box::pin(async { Ok(Vec::new()) })
}

fn abort<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Vec<Change>> {
    Box::pin(async move { Ok(vec![Change::DeleteVolume(cx.volume_id()?)]) })
}
