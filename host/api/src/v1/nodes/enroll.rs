//! `POST /v1/nodes:enroll`

use axum::extract::State;
use velum_model::enrolment::{HostPort, JoinToken};
use velum_service::NewNode;
use velum_wire::{EnrollNodeBody, EnrolledNodeView};

use crate::{
    answer::{self, Answer},
    error::Answered,
    state::ApiState,
    take::{Body, Fields},
};

/// Lets a machine join the cloud.
///
/// Authorized by the join token alone, which is used up. The key in the request is certified for the node that the
/// machine is from now on.
#[utoipa::path(
    post,
    path = "/v1/nodes:enroll",
    request_body = EnrollNodeBody,
    responses((status = 200, body = EnrolledNodeView, description = "It joined"))
)]
pub async fn enroll(State(api): State<ApiState>, Body(body): Body<EnrollNodeBody>) -> Answered<Answer> {
    let mut fields = Fields::new();
    let token: Option<JoinToken> = match body.token.parse() {
        Ok(token) => Some(token),
        Err(why) => {
            fields.refuse("/token", format!("{why}; velum node token makes one"));
            None
        }
    };
    let at: Option<HostPort> = match body.address.parse() {
        Ok(at) => Some(at),
        Err(()) => {
            fields.refuse("/address", "is no ADDRESS:PORT, like 10.0.0.7:7443");
            None
        }
    };
    let new = token.zip(at).map(|(token, at)| NewNode {
        token,
        request_pem: body.request_pem,
        at,
    });
    let new = fields.answer(new)?;
    let joined = api.services.node_enrol(new).await?;
    Ok(answer::plain(&EnrolledNodeView {
        id: joined.id.uuid(),
        address: joined.address.to_string(),
        certificate_pem: joined.certificate_pem,
        authority_pem: joined.authority_pem,
        expires_at: joined.expires_at.to_string(),
    }))
}
