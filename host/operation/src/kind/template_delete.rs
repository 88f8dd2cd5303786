//! `template-delete`: its layers on the pools, then the image.

use velum_store::{Change, Table};

use crate::{
    act::storage,
    step::{Acted, Cx, Kind, Step, StepFuture},
};

pub(super) const KIND: Kind = Kind {
    version: 1,
    steps: &[
        Step::plain("layers", "removing it from the pools", layers).pivot(),
        Step::plain("image", "removing the image", image),
    ],
    finish,
    abort,
    park: super::park_nothing,
    explain: super::explain_image,
};

fn layers<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Acted> {
    Box::pin(async move {
        let mut changes = Vec::new();
        for layer in cx
            .engine
            .parts
            .store
            .read()
            .layers_of_template(cx.template_id()?)
            .await?
        {
            storage::delete_layer(cx, &layer).await?;
            changes.push(Change::DeleteLayer(layer.id));
        }
        Ok(Acted::changing(changes))
    })
}

fn image<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Acted> {
    Box::pin(async move {
        let template = cx.template(cx.template_id()?).await?;
        cx.image_store(template.image_store)
            .await?
            .remove(template.id.uuid())
            .await?;
        Ok(Acted::done())
    })
}

fn finish<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Vec<Change>> {
    Box::pin(async move {
        let template = cx.template(cx.template_id()?).await?;
        let (id, generation) = (template.id.uuid(), template.generation);
        Ok(vec![Change::Delete {
            table: Table::Template,
            id,
            generation,
        }])
    })
}

/// It only goes forward.
fn abort<'a>(_: &'a Cx<'a>) -> StepFuture<'a, Vec<Change>> {
    Box::pin(async { Ok(Vec::new()) })
}
