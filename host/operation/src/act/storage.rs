//! Volumes, layers, publications.

use std::time::Duration;

use uuid::Uuid;
use velum_model::{
    fault::{Fault, code},
    id::*,
    instance::Run,
    port::{
        storage::{Attachment, Consumer, Source, VolumeRef, VolumeSpec, registry},
        target::{Attr, AttrValue, Call, Outcome},
    },
    storage::{Layer, Publication, Volume},
};
use velum_store::{Change, Commit};

use super::{
    rows::{Host, Pool},
    secrets,
};
use crate::step::{Acted, Cx, StepError};

/// Polls of long work inside one step, when the work belongs to something that many operations wait for (a layer).
const LAYER_POLLS: u32 = 600;

/// The provider's name of what it made.
fn backend_id(attrs: &[Attr]) -> Option<String> {
    attrs
        .iter()
        .find(|a| a.code == registry::DONE_BACKEND_ID)
        .and_then(|a| match &a.value {
            AttrValue::Text(text) => Some(text.clone()),
            _ => None,
        })
}

/// Asks the backend what it calls the volume with our id.
async fn found_name(pool: &Pool, id: Uuid) -> Result<Option<String>, StepError> {
    Ok(pool
        .provider
        .find(&pool.target(), id)
        .await?
        .map(|info| info.volume.backend_id))
}

/// The backend's name as the row has it, else as the backend itself does; none if it never was.
async fn name_of(pool: &Pool, id: Uuid, known: Option<&String>) -> Result<Option<String>, StepError> {
    match known {
        Some(name) => Ok(Some(name.clone())),
        None => found_name(pool, id).await,
    }
}

/// The volume is not to be found after its provider said that it made it.
fn vanished(id: Uuid) -> StepError {
    Fault::new(
        code::NONSENSE,
        format!("the provider made volume {id} but does not find it"),
    )
    .into()
}

fn preferred_format(pool: &Pool) -> u16 {
    let formats = &pool.row.abilities.formats;
    if formats.contains(&registry::FORMAT_QCOW2) {
        registry::FORMAT_QCOW2
    } else {
        formats.first().copied().unwrap_or(registry::FORMAT_RAW)
    }
}

/// Makes a volume out of `source`, or finds it made.
pub(crate) async fn create(cx: &Cx<'_>, volume: &Volume, source: Source) -> Result<Acted, StepError> {
    let pool = cx.pool(volume.pool).await?;
    let id = volume.id.uuid();
    let ready = |backend_id: String| {
        Acted::changing(vec![Change::VolumeReady {
            id: volume.id,
            backend_id,
            parent: volume.parent,
        }])
    };
    if cx.is_recovering
        && cx.job.is_none()
        && let Some(info) = pool.provider.find(&pool.target(), id).await?
        && info.state == registry::STATE_READY
    {
        return Ok(ready(info.volume.backend_id));
    }
    let call = cx.call(pool.target(), id, 0, "create");
    let outcome = match cx.job {
        Some(job) => pool.provider.poll(&call, &job.token).await?,
        None => {
            let format = preferred_format(&pool);
            let spec = VolumeSpec {
                id,
                size_bytes: volume.size.get(),
                format,
                source,
                attrs: Vec::new(),
            };
            pool.provider.create(&call, &spec).await?
        }
    };
    match outcome {
        Outcome::Working(job) => Ok(Acted::Working(job)),
        Outcome::Done(attrs) => match backend_id(&attrs) {
            Some(name) => Ok(ready(name)),
            None => found_name(&pool, id)
                .await?
                .map(ready)
                .ok_or_else(|| vanished(id)),
        },
    }
}

/// Removes a volume at its backend; nothing happens if it never was.
pub(crate) async fn delete(cx: &Cx<'_>, volume: &Volume) -> Result<Acted, StepError> {
    let pool = cx.pool(volume.pool).await?;
    let id = volume.id.uuid();
    let call = cx.call(pool.target(), id, 0, "delete");
    if let Some(job) = cx.job {
        return Ok(Acted::from_outcome(
            pool.provider.poll(&call, &job.token).await?,
            Vec::new(),
        ));
    }
    let Some(backend_id) = name_of(&pool, id, volume.backend_id.as_ref()).await? else {
        return Ok(Acted::done());
    };
    let outcome = pool.provider.delete(&call, &VolumeRef { id, backend_id }).await?;
    Ok(Acted::from_outcome(outcome, Vec::new()))
}

/// Removes a volume at its backend within an undo; long work is polled to its end.
pub(crate) async fn delete_to_the_end(cx: &Cx<'_>, volume: &Volume) -> Result<(), StepError> {
    let pool = cx.pool(volume.pool).await?;
    let id = volume.id.uuid();
    let Some(backend_id) = name_of(&pool, id, volume.backend_id.as_ref()).await? else {
        return Ok(());
    };
    let call = cx.call(pool.target(), id, 0, "undo-create");
    if let Outcome::Working(job) = pool.provider.delete(&call, &VolumeRef { id, backend_id }).await? {
        finish_inline(&pool, &call, &job.token, job.poll_after_ms).await?;
    }
    Ok(())
}

/// The rows of publications of an instance's volumes to the compute host of a run, before the provider is asked.
pub(crate) fn publications(run: &Run, volumes: &[Volume]) -> Vec<Change> {
    volumes
        .iter()
        .map(|volume| {
            Change::InsertPublication(Publication {
                volume: volume.id,
                compute_host: run.compute_host,
                run: run.id,
                attachment: None,
            })
        })
        .collect()
}

/// Makes a volume reachable from the compute host of a run, and checks there that it is what it claims to be.
pub(crate) async fn publish(
    cx: &Cx<'_>,
    host: &Host,
    run: &Run,
    volume: &Volume,
) -> Result<Attachment, StepError> {
    let pool = cx.pool(volume.pool).await?;
    let reference = volume
        .reference()
        .ok_or_else(|| StepError::missing("the backend's name of volume", volume.id))?;
    let call = cx.call(
        pool.target(),
        volume.id.uuid(),
        0,
        &format!("publish/{}/{}", run.id, volume.id),
    );
    let consumer = Consumer {
        node: host.row.id.uuid(),
        initiators: host.row.abilities.initiators.clone(),
        mode: registry::MODE_RW,
    };
    if let Outcome::Working(job) = pool.provider.publish(&call, &reference, &consumer).await? {
        finish_inline(&pool, &call, &job.token, job.poll_after_ms).await?;
    }
    let attachment = pool
        .provider
        .reached_by(&pool.target(), &reference, host.row.id.uuid())
        .await?
        .ok_or_else(|| {
            Fault::new(
                code::NONSENSE,
                format!(
                    "the provider published volume {} but says it is not reached",
                    volume.id
                ),
            )
        })?;
    check_attachment(volume, &attachment)?;
    if let Some(node) = cx.node(host.row.node.as_ref())? {
        secrets::hand_over(cx, node.as_ref(), &pool, &attachment).await?;
        node.verify_attachment(&attachment).await?;
    }
    Ok(attachment)
}

/// An attachment is believed only with the size that was ordered.
fn check_attachment(volume: &Volume, attachment: &Attachment) -> Result<(), StepError> {
    if attachment.size_bytes < volume.size.get() {
        let detail = format!(
            "the provider offers {} bytes for volume {}, which has {}",
            attachment.size_bytes,
            volume.id,
            volume.size.get()
        );
        return Err(Fault::new(code::NONSENSE, detail).into());
    }
    Ok(())
}

/// Ends the reach of a run's compute host to a volume. Answers the row that goes.
pub(crate) async fn unpublish(cx: &Cx<'_>, run: &Run, volume: &Volume) -> Result<Change, StepError> {
    if let Some(reference) = volume.reference() {
        let pool = cx.pool(volume.pool).await?;
        let role = format!("unpublish/{}/{}", run.id, volume.id);
        let call = cx.call(pool.target(), volume.id.uuid(), 0, &role);
        let outcome = pool
            .provider
            .unpublish(&call, &reference, run.compute_host.uuid())
            .await?;
        if let Outcome::Working(job) = outcome {
            finish_inline(&pool, &call, &job.token, job.poll_after_ms).await?;
        }
    }
    Ok(Change::DeletePublication {
        volume: volume.id,
        run: run.id,
    })
}

/// Polls work to its end inside the step; bounded, then `DEADLINE`.
pub(crate) async fn finish_inline(
    pool: &Pool,
    call: &Call,
    token: &str,
    poll_after_ms: u32,
) -> Result<Vec<Attr>, StepError> {
    let mut pause = poll_after_ms;
    for _ in 0..LAYER_POLLS {
        tokio::time::sleep(Duration::from_millis(u64::from(pause.clamp(10, 5_000)))).await;
        match pool.provider.poll(call, token).await? {
            Outcome::Done(attrs) => return Ok(attrs),
            Outcome::Working(job) => pause = job.poll_after_ms,
        }
    }
    Err(Fault::new(code::DEADLINE, "the far side did not finish in time").into())
}

/// The layer of a template on a pool, made and filled if it is not. Many operations may want the same: one works, the
/// rest wait for its lock and then find it ready.
pub(crate) async fn cache_template(
    cx: &Cx<'_>,
    pool: &Pool,
    template: TemplateId,
) -> Result<Layer, StepError> {
    let layer = cx.layer_of(pool.row.id, template).await?;
    if layer.ready {
        return Ok(layer);
    }
    let lock = cx.engine.layer_lock(layer.id.uuid());
    let _filling = lock.lock().await;
    let layer = cx.layer_of(pool.row.id, template).await?;
    if layer.ready {
        return Ok(layer);
    }
    let backend_id = fill(cx, pool, &layer, template).await?;
    let commit = Commit {
        fence: Some((cx.operation.shard, cx.epoch)),
        changes: vec![Change::LayerReady {
            id: layer.id,
            backend_id: backend_id.clone(),
        }],
        ..Commit::default()
    };
    cx.engine.commit(commit).await?;
    cx.engine.drop_layer_lock(layer.id.uuid());
    Ok(Layer {
        ready: true,
        backend_id: Some(backend_id),
        ..layer
    })
}

/// Makes the layer at the backend and gets the image into it. Identities derive from the layer, not from the
/// operation: whoever fills it, it is the same effect.
async fn fill(cx: &Cx<'_>, pool: &Pool, layer: &Layer, template: TemplateId) -> Result<String, StepError> {
    let template = cx.template(template).await?;
    let image = template
        .reference
        .clone()
        .ok_or_else(|| StepError::missing("the image of template", template.id))?;
    let id = layer.id.uuid();
    let call = |role: &str| {
        let mut call = cx.call(pool.target(), id, 0, role);
        call.effect.id = velum_model::chance::derived(id, role);
        call
    };
    let spec = VolumeSpec {
        id,
        size_bytes: layer.size.get(),
        format: preferred_format(pool),
        source: Source {
            kind: registry::SOURCE_IMAGE,
            of: None,
        },
        attrs: vec![Attr::text(registry::SPEC_IMAGE_REF, image.clone())],
    };
    let create = call("layer-create");
    let attrs = match pool.provider.create(&create, &spec).await? {
        Outcome::Done(attrs) => attrs,
        Outcome::Working(job) => finish_inline(pool, &create, &job.token, job.poll_after_ms).await?,
    };
    let name = match backend_id(&attrs) {
        Some(name) => name,
        None => found_name(pool, id).await?.ok_or_else(|| vanished(id))?,
    };
    if !pool.has_feature(registry::FEATURE_FILLS_LAYERS) {
        move_image(
            cx,
            pool,
            &VolumeRef {
                id,
                backend_id: name.clone(),
            },
            &image,
            call,
        )
        .await?;
    }
    Ok(name)
}

/// Gets the bytes of an image into a layer through the mover of the pool's node.
async fn move_image(
    cx: &Cx<'_>,
    pool: &Pool,
    layer: &VolumeRef,
    image: &str,
    call: impl Fn(&str) -> Call,
) -> Result<(), StepError> {
    let node = cx.node(pool.row.node.as_ref())?.ok_or_else(|| {
        Fault::unchanged(
            code::UNSUPPORTED,
            "the pool has no node, and its provider does not fill layers by itself",
        )
    })?;
    let consumer = Consumer {
        node: pool.row.id.uuid(),
        initiators: node.hello().await?.initiators,
        mode: registry::MODE_MOVER,
    };
    let publish = call("layer-publish");
    if let Outcome::Working(job) = pool.provider.publish(&publish, layer, &consumer).await? {
        finish_inline(pool, &publish, &job.token, job.poll_after_ms).await?;
    }
    let attachment = pool
        .provider
        .reached_by(&pool.target(), layer, consumer.node)
        .await?
        .ok_or_else(|| {
            Fault::new(
                code::NONSENSE,
                "the provider published the layer to the mover but says it is not reached",
            )
        })?;
    secrets::hand_over(cx, node.as_ref(), pool, &attachment).await?;
    let fill = call("layer-fill");
    for attempt in 0..LAYER_POLLS {
        match node
            .fill_layer(&fill.fence, &fill.effect, image, &attachment)
            .await
        {
            Ok(()) => break,
            // A large image takes longer than one call may: it goes on, ask again.
            Err(fault) if fault.code == code::DEADLINE && attempt + 1 < LAYER_POLLS => {}
            Err(fault) => return Err(fault.into()),
        }
    }
    let unpublish = call("layer-unpublish");
    if let Outcome::Working(job) = pool.provider.unpublish(&unpublish, layer, consumer.node).await? {
        finish_inline(pool, &unpublish, &job.token, job.poll_after_ms).await?;
    }
    Ok(())
}

/// Removes a layer at its backend; nothing happens if it never was. A filling that was cut off or refused has left it
/// reached by the mover: it is taken back first, for no backend removes what is still reached.
pub(crate) async fn delete_layer(cx: &Cx<'_>, layer: &Layer) -> Result<(), StepError> {
    let pool = cx.pool(layer.pool).await?;
    let id = layer.id.uuid();
    let Some(backend_id) = name_of(&pool, id, layer.backend_id.as_ref()).await? else {
        return Ok(());
    };
    let reference = VolumeRef { id, backend_id };
    if !layer.ready && !pool.has_feature(registry::FEATURE_FILLS_LAYERS) {
        let call = cx.call(pool.target(), id, 0, &format!("layer-unpublish/{id}"));
        let mover = pool.row.id.uuid();
        if let Outcome::Working(job) = pool.provider.unpublish(&call, &reference, mover).await? {
            finish_inline(&pool, &call, &job.token, job.poll_after_ms).await?;
        }
    }
    let call = cx.call(pool.target(), id, 0, &format!("layer-delete/{id}"));
    if let Outcome::Working(job) = pool.provider.delete(&call, &reference).await? {
        finish_inline(&pool, &call, &job.token, job.poll_after_ms).await?;
    }
    Ok(())
}
