//! `GET` and `POST /v1/publishers/{id}/keys`, `POST /v1/publishers/{id}/keys/revoke`

use axum::extract::State;
use velum_model::{PublisherKind, page::Paged, trust::PublisherKey};
use velum_service::StoredAnswer;
use velum_wire::{AddPublisherKeyBody, Page, PublisherKeyView, RevokePublisherKeyBody};

use super::view::key;
use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::{PathId, Posted},
};

/// Lists the keys of a publisher, oldest first, revoked ones too: all at once, for they are few.
#[utoipa::path(
    get,
    path = "/v1/publishers/{id}/keys",
    responses((status = 200, body = Page<PublisherKeyView>, description = "Its keys"))
)]
pub async fn list_keys(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<PublisherKind>,
) -> Answered<Answer> {
    let items = api.services.publisher_keys(&caller, path.id).await?;
    Ok(answer::listed(Paged { items, next: None }, |item| key(&item)))
}

/// Adds a key to a publisher: what is signed with it is trusted as the publisher's from now on.
#[utoipa::path(
    post,
    path = "/v1/publishers/{id}/keys",
    request_body = AddPublisherKeyBody,
    responses((status = 201, body = PublisherKeyView, description = "It is trusted"))
)]
pub async fn add_key(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<PublisherKind>,
    Posted { body, ticket }: Posted<AddPublisherKeyBody>,
) -> Answered<Answer> {
    let added = api
        .services
        .publisher_key_add(&caller, path.id, &body.public_key, ticket.keyed(&caller, added))
        .await?;
    Ok(Answer::of(added, self::added))
}

/// Revokes a key: what is signed with it is refused from now on. Plugins that it signed are marked and go on as they are,
/// but none of them is activated any more.
#[utoipa::path(
    post,
    path = "/v1/publishers/{id}/keys/revoke",
    request_body = RevokePublisherKeyBody,
    responses((status = 200, body = PublisherKeyView, description = "It is revoked"))
)]
pub async fn revoke_key(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<PublisherKind>,
    Posted { body, ticket }: Posted<RevokePublisherKeyBody>,
) -> Answered<Answer> {
    let said = (body.key_id.as_str(), body.reason);
    let revoked = api
        .services
        .publisher_key_revoke(&caller, path.id, said, ticket.keyed(&caller, revoked))
        .await?;
    Ok(Answer::of(revoked, self::revoked))
}

fn added(added: &PublisherKey) -> StoredAnswer {
    let location = format!("/v1/publishers/{}/keys", added.publisher);
    answer::created(location, None, &key(added))
}

fn revoked(revoked: &PublisherKey) -> StoredAnswer {
    answer::done(&key(revoked))
}
