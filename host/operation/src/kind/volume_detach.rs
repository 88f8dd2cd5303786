//! `volume-detach`: backwards through what attach did; done only when the device is gone.

use velum_model::{instance::Run, storage::Volume};
use velum_store::Change;

use crate::{
    act::{guest, rows::handle, storage},
    params::VolumeDetach,
    step::{Acted, Cx, Kind, Step, StepError, StepFuture, TurnsBack},
};

pub(super) const KIND: Kind = Kind {
    version: 1,
    steps: &[
        Step::plain("unplug", "waiting for the guest to let go of the disk", unplug)
            .pivot()
            .taking_away(),
        Step::plain("unpublish", "disconnecting the volume", unpublish)
            .taking_away()
            .without(super::row_of_publication),
    ],
    finish,
    abort,
    park: super::park_nothing,
    instance_is: None,
    turns_back: TurnsBack::BeforePivot(
        "the guest may have let go of the disk already: retry, or say that what could not be reached is gone",
    ),
    explain: super::explain_guest,
};

async fn parts(cx: &Cx<'_>) -> Result<(Volume, Option<Run>, u16), StepError> {
    let params: VolumeDetach = cx.params()?;
    let run = match params.run {
        Some(run) => cx.find_run(run).await?,
        None => None,
    };
    Ok((cx.volume(cx.volume_id()?).await?, run, params.slot))
}

fn unplug<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Acted> {
    Box::pin(async move {
        let (volume, run, slot) = parts(cx).await?;
        let Some(run) = run else { return Ok(Acted::done()) };
        let host = cx.host(run.compute_host).await?;
        let call = cx.call(
            host.target(),
            run.instance.uuid(),
            run.generation,
            &format!("unplug/{}", volume.id),
        );
        let outcome = match cx.job {
            Some(job) => host.driver.poll(&call, handle(&run), &job.token).await?,
            None => guest::absent_is_done(host.driver.detach_disk(&call, handle(&run), slot).await)?,
        };
        Ok(Acted::from_outcome(outcome, Vec::new()))
    })
}

fn unpublish<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Acted> {
    Box::pin(async move {
        let (volume, run, _) = parts(cx).await?;
        match run {
            Some(run) => Ok(Acted::changing(vec![
                storage::unpublish(cx, &run, &volume).await?,
            ])),
            None => Ok(Acted::done()),
        }
    })
}

fn finish<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Vec<Change>> {
    Box::pin(async move { Ok(vec![Change::DetachVolume(cx.volume_id()?)]) })
}

/// The guest still has it.
fn abort<'a>(_: &'a Cx<'a>) -> StepFuture<'a, Vec<Change>> {
    Box::pin(async { Ok(Vec::new()) })
}
