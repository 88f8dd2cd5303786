//! Bodies about publishers, checked.

use velum_service::{ChangePublisher, NewPublisher};
use velum_wire::{CreatePublisherBody, UpdatePublisherBody};

use crate::{error::Answered, take::Fields};

/// A publisher to be made.
pub fn new(body: CreatePublisherBody) -> Answered<NewPublisher> {
    let mut fields = Fields::new();
    let name = fields.name("/name", body.name);
    let description = fields.line("/description", body.description);
    let new = match (name, description) {
        (Some(name), Some(description)) => Some(NewPublisher { name, description }),
        _ => None,
    };
    fields.answer(new)
}

/// What is to change of one.
pub fn change(body: UpdatePublisherBody) -> Answered<ChangePublisher> {
    let mut fields = Fields::new();
    let description = match body.description {
        Some(text) => fields.line("/description", text).map(Some),
        None => Some(None),
    };
    fields.answer(description.map(|description| ChangePublisher { description }))
}
