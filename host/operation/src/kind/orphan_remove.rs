//! `orphan-remove`: something at a far side that had a row once and has none any more. Every step looks again whether a row
//! has come to own it; then there is nothing to remove.

use uuid::Uuid;
use velum_model::{
    id::*,
    orphan::{Orphan, OrphanKind, OrphanPlace},
    port::{hypervisor::RunHandle, storage::VolumeInfo},
};
use velum_store::Change;

use crate::{
    act::{
        guest::absent_is_done,
        rows::{Host, Pool},
        storage::finish_inline,
    },
    params::OrphanRemove,
    step::{Acted, Cx, Kind, Step, StepError, StepFuture, TurnsBack},
};

pub(super) const KIND: Kind = Kind {
    version: 1,
    steps: &[
        Step::plain("release", "taking it out of use", release)
            .pivot()
            .taking_away(),
        Step::plain("remove", "removing it", remove).taking_away(),
    ],
    finish,
    abort,
    park: super::park_nothing,
    instance_is: None,
    turns_back: TurnsBack::Never("it has no owner to give it back to: retry, or say that it is gone"),
    explain: super::explain_guest,
};

/// The orphan, unless it has an owner now or its place is gone.
async fn orphan(cx: &Cx<'_>) -> Result<Option<Orphan>, StepError> {
    let OrphanRemove { orphan } = cx.params()?;
    let reader = cx.engine.parts.store.read();
    let pair = (
        orphan.object,
        orphan.peer.map_or(Uuid::nil(), ComputeHostId::uuid),
    );
    let is_owned = !reader.with_rows(orphan.kind, &[pair]).await?.is_empty();
    let is_known = reader.orphan(orphan.id).await?.is_some();
    Ok(Some(orphan).filter(|_| is_known && !is_owned))
}

async fn host_of(cx: &Cx<'_>, orphan: &Orphan) -> Result<Host, StepError> {
    match orphan.place {
        OrphanPlace::ComputeHost(id) => cx.host(id).await,
        OrphanPlace::StoragePool(id) => Err(StepError::missing("the compute host of", id)),
    }
}

async fn pool_of(cx: &Cx<'_>, orphan: &Orphan) -> Result<Pool, StepError> {
    match orphan.place {
        OrphanPlace::StoragePool(id) => cx.pool(id).await,
        OrphanPlace::ComputeHost(id) => Err(StepError::missing("the pool of", id)),
    }
}

/// The volume as its backend has it; none when it is gone.
async fn volume_of(pool: &Pool, orphan: &Orphan) -> Result<Option<VolumeInfo>, StepError> {
    Ok(pool.provider.find(&pool.target(), orphan.object).await?)
}

/// A guest's handle. Its own id is what the gate counts by: nothing else acts on a run without a row.
const fn handle(orphan: &Orphan) -> RunHandle {
    RunHandle {
        id: RunId::from_uuid(orphan.object),
        generation: orphan.generation,
    }
}

/// A guest is turned off; a volume is taken from whoever reaches it.
fn release<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Acted> {
    Box::pin(async move {
        let Some(orphan) = orphan(cx).await? else {
            return Ok(Acted::done());
        };
        match orphan.kind {
            OrphanKind::Guest => {
                let host = host_of(cx, &orphan).await?;
                let call = cx.call(host.target(), orphan.object, orphan.generation, "kill");
                let outcome = match cx.job {
                    Some(job) => host.driver.poll(&call, handle(&orphan), &job.token).await?,
                    None => absent_is_done(host.driver.kill(&call, handle(&orphan)).await)?,
                };
                Ok(Acted::from_outcome(outcome, Vec::new()))
            }
            OrphanKind::Volume => {
                let pool = pool_of(cx, &orphan).await?;
                let Some(info) = volume_of(&pool, &orphan).await? else {
                    return Ok(Acted::done());
                };
                for node in info.published.iter().filter_map(|node| node.parse().ok()) {
                    unpublish(cx, &pool, &info, node).await?;
                }
                Ok(Acted::done())
            }
            OrphanKind::Publication | OrphanKind::Seed => Ok(Acted::done()),
        }
    })
}

async fn unpublish(cx: &Cx<'_>, pool: &Pool, info: &VolumeInfo, node: Uuid) -> Result<(), StepError> {
    let call = cx.call(pool.target(), info.volume.id, 0, &format!("unpublish/{node}"));
    let outcome = pool.provider.unpublish(&call, &info.volume, node).await?;
    if let velum_model::port::Outcome::Working(job) = outcome {
        finish_inline(pool, &call, &job.token, job.poll_after_ms).await?;
    }
    Ok(())
}

fn remove<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Acted> {
    Box::pin(async move {
        let Some(orphan) = orphan(cx).await? else {
            return Ok(Acted::done());
        };
        match orphan.kind {
            OrphanKind::Guest => {
                let host = host_of(cx, &orphan).await?;
                let call = cx.call(host.target(), orphan.object, orphan.generation, "remove");
                let outcome = match cx.job {
                    Some(job) => host.driver.poll(&call, handle(&orphan), &job.token).await?,
                    None => absent_is_done(host.driver.remove(&call, handle(&orphan)).await)?,
                };
                Ok(Acted::from_outcome(outcome, Vec::new()))
            }
            OrphanKind::Volume => {
                let pool = pool_of(cx, &orphan).await?;
                let call = cx.call(pool.target(), orphan.object, 0, "delete");
                if let Some(job) = cx.job {
                    let outcome = pool.provider.poll(&call, &job.token).await?;
                    return Ok(Acted::from_outcome(outcome, Vec::new()));
                }
                let Some(info) = volume_of(&pool, &orphan).await? else {
                    return Ok(Acted::done());
                };
                let outcome = pool.provider.delete(&call, &info.volume).await?;
                Ok(Acted::from_outcome(outcome, Vec::new()))
            }
            OrphanKind::Publication => {
                let pool = pool_of(cx, &orphan).await?;
                if let (Some(info), Some(node)) = (volume_of(&pool, &orphan).await?, orphan.peer) {
                    unpublish(cx, &pool, &info, node.uuid()).await?;
                }
                Ok(Acted::done())
            }
            OrphanKind::Seed => {
                let host = host_of(cx, &orphan).await?;
                if let Some(node) = cx.node(host.row.node.as_ref())? {
                    let fence = cx.fence(orphan.object, 0);
                    node.remove_seed(&fence, &cx.effect("unseed"), RunId::from_uuid(orphan.object))
                        .await?;
                }
                Ok(Acted::done())
            }
        }
    })
}

/// What is still to be seen is found anew.
fn finish<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Vec<Change>> {
    Box::pin(async move {
        let OrphanRemove { orphan } = cx.params()?;
        Ok(vec![Change::ForgetOrphan(orphan.id)])
    })
}

/// It never turns back.
fn abort<'a>(_: &'a Cx<'a>) -> StepFuture<'a, Vec<Change>> {
    Box::pin(async { Ok(Vec::new()) })
}
