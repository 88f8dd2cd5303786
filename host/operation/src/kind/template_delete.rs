//! `template-delete`: its layers on the pools, then the image.

use velum_model::{
    operation::{Operation, Subject},
    storage::TemplateState,
};
use velum_store::{Change, Commit, Reader, Table};

use crate::{
    act::storage,
    step::{Acted, Cx, Kind, Step, StepFuture, TurnsBack},
};

pub(super) const KIND: Kind = Kind {
    version: 1,
    steps: &[
        Step::plain("layers", "removing it from the pools", layers)
            .pivot()
            .taking_away()
            .without(rows_of_layers),
        Step::plain("image", "removing the image", image).taking_away(),
    ],
    finish,
    abort,
    park: super::park_nothing,
    instance_is: None,
    turns_back: TurnsBack::Never(
        "what is gone of the template does not come back: retry, or say that what could not be reached is gone",
    ),
    explain: super::explain_image,
};

/// Each layer's row goes when the layer is gone: were one of several refused, the others' rows would promise layers that
/// no pool has any more.
fn layers<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Acted> {
    Box::pin(async move {
        for layer in cx
            .engine
            .parts
            .store
            .read()
            .layers_of_template(cx.template_id()?)
            .await?
        {
            storage::delete_layer(cx, &layer).await?;
            let commit = Commit {
                fence: Some((cx.operation.shard, cx.epoch)),
                changes: vec![Change::DeleteLayer(layer.id)],
                ..Commit::default()
            };
            cx.engine.commit(commit).await?;
        }
        Ok(Acted::done())
    })
}

fn rows_of_layers<'a>(reader: &'a Reader, operation: &'a Operation) -> StepFuture<'a, Vec<Change>> {
    Box::pin(async move {
        let Subject::Template(template) = operation.subject else {
            return Ok(Vec::new());
        };
        let layers = reader.layers_of_template(template).await?;
        Ok(layers
            .into_iter()
            .map(|layer| Change::DeleteLayer(layer.id))
            .collect())
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

/// Nothing was removed but layers, which are made again when somebody wants them: it is what it was.
fn abort<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Vec<Change>> {
    Box::pin(async move {
        let template = cx.template(cx.template_id()?).await?;
        let to = if template.reference.is_some() {
            TemplateState::Ready
        } else if template.received_bytes < template.upload_bytes.get() {
            TemplateState::Uploading
        } else {
            TemplateState::Failed("its image was not accepted".into())
        };
        Ok(vec![Change::TemplateState {
            id: template.id,
            to,
            virtual_bytes: None,
            reference: None,
        }])
    })
}
