//! `instance-create`: template cached, root volume, publish, links, seed, define, start, confirm.

use serde_json::Value;
use velum_model::{
    instance::InstanceState,
    port::storage::{Source, VolumeRef, registry},
};
use velum_store::Change;

use super::bring_up;
use crate::{
    act::storage,
    params::InstanceCreate,
    step::{Acted, Cx, Kind, Step, StepError, StepFuture, TurnsBack},
};

pub(super) const KIND: Kind = Kind {
    version: 1,
    steps: &[
        Step::plain(
            "cache-template",
            "bringing the template to the pool",
            cache_template,
        )
        .needless_if(template_is_cached),
        Step::plain("root-volume", "making the root volume", root_volume).undone_by(remove_root_volume),
        bring_up::PUBLISH,
        bring_up::LINKS,
        bring_up::SEED,
        bring_up::DEFINE,
        bring_up::START,
        bring_up::CONFIRM,
    ],
    finish,
    abort,
    park: super::park_instance,
    instance_is: Some(InstanceState::Creating),
    turns_back: TurnsBack::Always,
    explain: super::explain_guest,
};

fn cache_template<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Acted> {
    Box::pin(async move {
        let params: InstanceCreate = cx.params()?;
        let volume = cx.ordered_volume(params.root_volume).await?;
        let instance = cx.instance(cx.instance_id()?).await?;
        let pool = cx.pool(volume.pool).await?;
        storage::cache_template(cx, &pool, instance.template).await?;
        Ok(Acted::done())
    })
}

fn template_is_cached<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Option<Value>> {
    Box::pin(async move {
        let params: InstanceCreate = cx.params()?;
        let volume = cx.ordered_volume(params.root_volume).await?;
        let instance = cx.instance(cx.instance_id()?).await?;
        let layer = cx.layer_of(volume.pool, instance.template).await?;
        Ok(layer.ready.then_some(Value::Null))
    })
}

fn root_volume<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Acted> {
    Box::pin(async move {
        let params: InstanceCreate = cx.params()?;
        let mut volume = cx.ordered_volume(params.root_volume).await?;
        let instance = cx.instance(cx.instance_id()?).await?;
        let layer = cx.layer_of(volume.pool, instance.template).await?;
        let backend_id = layer
            .backend_id
            .clone()
            .ok_or_else(|| StepError::missing("the backend's name of layer", layer.id))?;
        volume.parent = Some(layer.id);
        let of = Some(VolumeRef {
            id: layer.id.uuid(),
            backend_id,
        });
        storage::create(
            cx,
            &volume,
            Source {
                kind: registry::SOURCE_LAYER,
                of,
            },
        )
        .await
    })
}

fn remove_root_volume<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Vec<Change>> {
    Box::pin(async move {
        let params: InstanceCreate = cx.params()?;
        if let Some(volume) = cx.find_volume(params.root_volume).await? {
            storage::delete_to_the_end(cx, &volume).await?;
        }
        Ok(Vec::new())
    })
}

fn finish<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Vec<Change>> {
    Box::pin(async move {
        // A destroy that came after the pivot has set the state already.
        if cx.operation.cancel_requested {
            return Ok(Vec::new());
        }
        let from = vec![InstanceState::Creating];
        Ok(vec![Change::InstanceState {
            id: cx.instance_id()?,
            from,
            to: InstanceState::Running,
        }])
    })
}

/// As if it had never been.
fn abort<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Vec<Change>> {
    Box::pin(async move {
        let params: InstanceCreate = cx.params()?;
        let instance = cx.instance_id()?;
        let mut changes = vec![
            Change::DeleteRun(params.run),
            Change::DeleteVolume(params.root_volume),
        ];
        for nic in cx.engine.parts.store.read().nics_of(instance).await? {
            changes.push(Change::DeleteNic(nic.id));
        }
        changes.push(Change::DeleteInstance(instance));
        Ok(changes)
    })
}
