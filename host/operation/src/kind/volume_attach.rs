//! `volume-attach`: publish to the run's compute host, then hand the disk to the guest. Without a run the slot alone
//! was claimed, and the next start does the rest.

use velum_model::{
    id::*,
    instance::Run,
    port::target::Outcome,
    storage::{Publication, Volume},
};
use velum_store::Change;

use crate::{
    act::{guest, rows::handle, secrets, storage},
    params::VolumeAttach,
    step::{Acted, Cx, Kind, Step, StepError, StepFuture, TurnsBack},
};

pub(super) const KIND: Kind = Kind {
    version: 1,
    steps: &[
        Step::plain("publish", "connecting the volume", publish)
            .intending(intend)
            .undone_by(unpublish)
            .without(super::row_of_publication),
        Step::plain("plug", "handing the disk to the guest", plug)
            .pivot()
            .undone_by(unplug),
    ],
    finish,
    abort,
    park: super::park_nothing,
    instance_is: None,
    turns_back: TurnsBack::Always,
    explain: super::explain_guest,
};

/// Volume and run; no run when the instance is stopped.
async fn parts(cx: &Cx<'_>) -> Result<(Volume, Option<Run>, u16), StepError> {
    let params: VolumeAttach = cx.params()?;
    let run = match params.run {
        Some(run) => cx.find_run(run).await?,
        None => None,
    };
    Ok((cx.volume(cx.volume_id()?).await?, run, params.slot))
}

fn intend<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Vec<Change>> {
    Box::pin(async move {
        let (volume, run, _) = parts(cx).await?;
        let Some(run) = run else { return Ok(Vec::new()) };
        Ok(vec![Change::InsertPublication(Publication {
            volume: volume.id,
            compute_host: run.compute_host,
            run: run.id,
            attachment: None,
        })])
    })
}

fn publish<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Acted> {
    Box::pin(async move {
        let (volume, run, _) = parts(cx).await?;
        let Some(run) = run else { return Ok(Acted::done()) };
        let host = cx.host(run.compute_host).await?;
        let attachment = storage::publish(cx, &host, &run, &volume).await?;
        Ok(Acted::changing(vec![Change::PublicationReady {
            volume: volume.id,
            run: run.id,
            attachment,
        }]))
    })
}

fn unpublish<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Vec<Change>> {
    Box::pin(async move {
        let (volume, run, _) = parts(cx).await?;
        match run {
            Some(run) => Ok(vec![storage::unpublish(cx, &run, &volume).await?]),
            None => Ok(Vec::new()),
        }
    })
}

fn plug<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Acted> {
    Box::pin(async move {
        let (volume, run, slot) = parts(cx).await?;
        let Some(run) = run else { return Ok(Acted::done()) };
        let host = cx.host(run.compute_host).await?;
        let call = cx.call(
            host.target(),
            run.instance.uuid(),
            run.generation,
            &format!("plug/{}", volume.id),
        );
        let outcome = match cx.job {
            Some(job) => host.driver.poll(&call, handle(&run), &job.token).await?,
            None => {
                let disk = guest::disk(&volume, slot, published(cx, run.id, volume.id).await?);
                secrets::hand_over_of(cx, &host, [&disk]).await?;
                host.driver.attach_disk(&call, handle(&run), &disk).await?
            }
        };
        Ok(Acted::from_outcome(outcome, Vec::new()))
    })
}

async fn published(
    cx: &Cx<'_>,
    run: RunId,
    volume: VolumeId,
) -> Result<velum_model::port::storage::Attachment, StepError> {
    let all = cx.engine.parts.store.read().publications_of(run).await?;
    let own = all
        .into_iter()
        .find(|p| p.volume == volume)
        .and_then(|p| p.attachment);
    own.ok_or_else(|| StepError::missing("the attachment of volume", volume))
}

fn unplug<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Vec<Change>> {
    Box::pin(async move {
        let (volume, run, slot) = parts(cx).await?;
        let Some(run) = run else { return Ok(Vec::new()) };
        let host = cx.host(run.compute_host).await?;
        let call = cx.call(
            host.target(),
            run.instance.uuid(),
            run.generation,
            &format!("unplug/{}", volume.id),
        );
        match guest::absent_is_done(host.driver.detach_disk(&call, handle(&run), slot).await)? {
            Outcome::Done(_) => Ok(Vec::new()),
            Outcome::Working(_) => Err(velum_model::fault::Fault::new(
                velum_model::fault::code::BUSY,
                "the guest has not let go yet",
            )
            .into()),
        }
    })
}

fn finish<'a>(_: &'a Cx<'a>) -> StepFuture<'a, Vec<Change>> {
    Box::pin(async { Ok(Vec::new()) })
}

fn abort<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Vec<Change>> {
    Box::pin(async move { Ok(vec![Change::DetachVolume(cx.volume_id()?)]) })
}
