//! The steps that bring a run up: its volumes, its links, its seed, its guest. Shared by create and start.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use velum_model::{fault::Fault, id::*, instance::Run, storage::Volume};
use velum_store::Change;

use super::take_down;
use crate::{
    act::{guest, rows::Host, storage, wiring},
    step::{Acted, Cx, Step, StepError, StepFuture},
};

/// What the arguments of create and start have in common.
#[derive(Deserialize)]
struct WithRun {
    run: RunId,
}

/// Steps from published volumes to a running guest; the start is the pivot.
pub(super) const PUBLISH: Step = Step::plain("publish-volumes", "connecting its volumes", publish)
    .elsewhere()
    .intending(intend_publications)
    .undone_by(unpublish)
    .without(take_down::rows_of_publications);
pub(super) const LINKS: Step = Step::plain("links", "connecting its networks", links)
    .elsewhere()
    .needless_if(links_without_node);
pub(super) const SEED: Step = Step::plain("seed", "writing its seed", seed)
    .elsewhere()
    .needless_if(seed_without_node)
    .undone_by(unseed);
pub(super) const DEFINE: Step = Step::plain("define", "defining the guest", define)
    .elsewhere()
    .undone_by(undefine);
pub(super) const START: Step = Step::plain("start", "starting the guest", start)
    .pivot()
    .elsewhere()
    .undone_by(stop);
pub(super) const CONFIRM: Step = Step::plain("confirm", "waiting until the guest runs", confirm);

pub(super) async fn run_of(cx: &Cx<'_>) -> Result<Run, StepError> {
    let WithRun { run } = cx.params()?;
    cx.run(run).await
}

async fn place(cx: &Cx<'_>) -> Result<(Run, Host, Vec<Volume>), StepError> {
    let run = run_of(cx).await?;
    let host = cx.host(run.compute_host).await?;
    let volumes = cx.engine.parts.store.read().volumes_of(run.instance).await?;
    Ok((run, host, volumes))
}

fn intend_publications<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Vec<Change>> {
    Box::pin(async move {
        let run = run_of(cx).await?;
        let volumes = cx.engine.parts.store.read().volumes_of(run.instance).await?;
        Ok(storage::publications(&run, &volumes))
    })
}

fn publish<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Acted> {
    Box::pin(async move {
        let (run, host, volumes) = place(cx).await?;
        let mut changes = Vec::new();
        for volume in &volumes {
            let attachment = storage::publish(cx, &host, &run, volume).await?;
            changes.push(Change::PublicationReady {
                volume: volume.id,
                run: run.id,
                attachment,
            });
        }
        Ok(Acted::changing(changes))
    })
}

fn unpublish<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Vec<Change>> {
    Box::pin(async move {
        let WithRun { run } = cx.params()?;
        let Some(run) = cx.find_run(run).await? else {
            return Ok(Vec::new());
        };
        let mut changes = Vec::new();
        for volume in cx.engine.parts.store.read().volumes_of(run.instance).await? {
            changes.push(storage::unpublish(cx, &run, &volume).await?);
        }
        Ok(changes)
    })
}

fn links<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Acted> {
    Box::pin(async move {
        let run = run_of(cx).await?;
        let host = cx.host(run.compute_host).await?;
        let nics = cx.nics(run.instance).await?;
        let links = wiring::ensure_links(cx, &host, &run, &nics).await?;
        Ok(Acted::Done {
            output: json!(links),
            changes: Vec::new(),
        })
    })
}

/// A compute host without a node is told of its links in the spec.
fn links_without_node<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Option<Value>> {
    Box::pin(async move {
        let run = run_of(cx).await?;
        let host = cx.host(run.compute_host).await?;
        if host.row.node.is_some() {
            return Ok(None);
        }
        let nics = cx.nics(run.instance).await?;
        Ok(Some(json!(wiring::ensure_links(cx, &host, &run, &nics).await?)))
    })
}

/// The same of the seed.
fn seed_without_node<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Option<Value>> {
    Box::pin(async move {
        let run = run_of(cx).await?;
        let host = cx.host(run.compute_host).await?;
        Ok(host.row.node.is_none().then_some(Value::Null))
    })
}

fn seed<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Acted> {
    Box::pin(async move {
        let run = run_of(cx).await?;
        let host = cx.host(run.compute_host).await?;
        let instance = cx.instance(run.instance).await?;
        let nics = cx.nics(run.instance).await?;
        let path = wiring::write_seed(cx, &host, &run, &instance, &nics).await?;
        Ok(Acted::Done {
            output: json!(path),
            changes: Vec::new(),
        })
    })
}

fn unseed<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Vec<Change>> {
    Box::pin(async move {
        let WithRun { run } = cx.params()?;
        if let Some(run) = cx.find_run(run).await? {
            let host = cx.host(run.compute_host).await?;
            wiring::remove_seed(cx, &host, &run).await?;
        }
        Ok(Vec::new())
    })
}

/// The spec of the guest, out of the rows and of what earlier steps left.
async fn spec(
    cx: &Cx<'_>,
    run: &Run,
    host: &Host,
) -> Result<velum_model::port::hypervisor::GuestSpec, StepError> {
    let instance = cx.instance(run.instance).await?;
    let disks = cx.disks(run).await?;
    let nics = cx.nics(run.instance).await?;
    let links: BTreeMap<NicId, String> = cx
        .output("links")
        .and_then(|v| serde_json::from_value(v.clone()).ok())
        .unwrap_or_default();
    let seed: Option<String> = cx
        .output("seed")
        .and_then(|v| serde_json::from_value(v.clone()).ok())
        .flatten();
    let nics = nics.iter().map(|(nic, network)| {
        let link = links
            .get(&nic.id)
            .cloned()
            .unwrap_or_else(|| network.link.name.clone());
        (nic, network, link)
    });
    Ok(guest::spec(&guest::Parts {
        instance: &instance,
        volumes: disks
            .iter()
            .map(|(volume, attachment)| (volume, attachment.clone()))
            .collect(),
        nics: nics.collect(),
        seed,
        arch: host.row.abilities.arch,
    }))
}

fn define<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Acted> {
    Box::pin(async move {
        let run = run_of(cx).await?;
        let host = cx.host(run.compute_host).await?;
        let spec = spec(cx, &run, &host).await?;
        guest::ensure(cx, &host, &run, &spec).await
    })
}

fn start<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Acted> {
    Box::pin(async move {
        let run = run_of(cx).await?;
        let host = cx.host(run.compute_host).await?;
        let spec = spec(cx, &run, &host).await?;
        guest::start(cx, &host, &run, &spec).await
    })
}

fn confirm<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Acted> {
    Box::pin(async move {
        let run = run_of(cx).await?;
        let host = cx.host(run.compute_host).await?;
        guest::confirm(cx, &host, &run).await
    })
}

/// An undo must have ended: long work is waited for by trying the undo again.
fn ended(acted: Acted) -> Result<Vec<Change>, StepError> {
    match acted {
        Acted::Done { changes, .. } => Ok(changes),
        Acted::Working(_) | Acted::Wait { .. } => {
            Err(Fault::new(velum_model::fault::code::BUSY, "the far side is still at it").into())
        }
    }
}

fn stop<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Vec<Change>> {
    Box::pin(async move {
        let WithRun { run } = cx.params()?;
        let Some(run) = cx.find_run(run).await? else {
            return Ok(Vec::new());
        };
        let host = cx.host(run.compute_host).await?;
        ended(guest::kill(cx, &host, &run).await?)
    })
}

fn undefine<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Vec<Change>> {
    Box::pin(async move {
        let WithRun { run } = cx.params()?;
        let Some(run) = cx.find_run(run).await? else {
            return Ok(Vec::new());
        };
        let host = cx.host(run.compute_host).await?;
        ended(guest::kill(cx, &host, &run).await?)?;
        ended(guest::remove(cx, &host, &run).await?)
    })
}
