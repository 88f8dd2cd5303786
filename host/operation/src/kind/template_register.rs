//! `template-register`: the image store checks the upload, inspects it and converts it once.

use velum_model::storage::TemplateState;
use velum_store::Change;

use crate::step::{Acted, Cx, Kind, Step, StepFuture, TurnsBack};

pub(super) const KIND: Kind = Kind {
    version: 1,
    steps: &[Step::plain(
        "inspect",
        "checking and converting the image",
        inspect,
    )],
    finish,
    abort,
    park: super::park_nothing,
    instance_is: None,
    turns_back: TurnsBack::Always,
    explain: super::explain_image,
};

fn inspect<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Acted> {
    Box::pin(async move {
        let template = cx.template(cx.template_id()?).await?;
        let store = cx.image_store(template.image_store).await?;
        let found = store
            .finish(template.id.uuid(), template.format.code(), &template.sha256)
            .await?;
        Ok(Acted::changing(vec![Change::TemplateState {
            id: template.id,
            to: TemplateState::Ready,
            virtual_bytes: Some(found.virtual_bytes),
            reference: Some(found.reference),
        }]))
    })
}

fn finish<'a>(_: &'a Cx<'a>) -> StepFuture<'a, Vec<Change>> {
    Box::pin(async { Ok(Vec::new()) })
}

/// The template stays, failed, with the reason: whoever uploaded it must be able to read why.
fn abort<'a>(cx: &'a Cx<'a>) -> StepFuture<'a, Vec<Change>> {
    Box::pin(async move {
        let reason = cx
            .operation
            .error
            .as_ref()
            .map_or_else(String::new, |e| e.message.clone());
        Ok(vec![Change::TemplateState {
            id: cx.template_id()?,
            to: TemplateState::Failed(reason),
            virtual_bytes: None,
            reference: None,
        }])
    })
}
