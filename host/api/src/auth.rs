//! Who is asking. Established once for every request, before any handler: what is not open needs a token.

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderValue, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};
use velum_model::tenancy::Caller;

use crate::{
    error::{Answered, Refused},
    problem::Kind,
    state::ApiState,
    take::{may_be_large, turn},
};

/// The caller of a request, as [`authenticate`] established it.
#[derive(Clone, Debug)]
pub struct By(pub Caller);

impl<S: Send + Sync> FromRequestParts<S> for By {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| unauthenticated("send Authorization: Bearer TOKEN"))
    }
}

/// What shows what authorizes it in its body: a machine that joins has a join token and no other.
pub(crate) const BY_BODY: &str = "/v1/nodes:enroll";

/// What may be read without a token: health and documentation.
fn is_open(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz" | "/openapi.json" | "/docs") || path.starts_with("/docs/")
}

fn unauthenticated(detail: &str) -> Refused {
    Refused::new(Kind::Unauthenticated, detail)
}

/// Lets through what is open or carries a known token, and bounds how much is under way at once.
pub async fn authenticate(State(api): State<ApiState>, mut request: Request, next: Next) -> Response {
    if is_open(request.uri().path()) {
        return next.run(request).await;
    }
    let Ok(_place) = api.bounds.in_flight.try_acquire() else {
        return Refused::new(Kind::Unavailable, "too many requests are under way")
            .retry_after(1)
            .into_response();
    };
    if request.uri().path() == BY_BODY {
        return next.run(request).await;
    }
    let shown = request.headers().get(header::AUTHORIZATION).cloned();
    match caller(&api, shown.as_ref()).await {
        Ok(caller) => {
            let turn = match may_be_large(&request) {
                true => turn(&api).await.map(Some),
                false => Ok(None),
            };
            let _turn = match turn {
                Ok(turn) => turn,
                Err(refused) => return refused.into_response(),
            };
            request.extensions_mut().insert(By(caller));
            next.run(request).await
        }
        Err(refused) => refused.into_response(),
    }
}

async fn caller(api: &ApiState, shown: Option<&HeaderValue>) -> Answered<Caller> {
    let value = shown.map(HeaderValue::as_bytes);
    let value = value.ok_or_else(|| unauthenticated("send Authorization: Bearer TOKEN"))?;
    let token =
        bearer(value).ok_or_else(|| unauthenticated("the scheme must be Bearer, followed by the token"))?;
    let hash = Sha256::digest(token);
    let caller = api.services.authenticate(&hash).await?;
    caller.ok_or_else(|| unauthenticated("the token is not known"))
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_health_and_documentation_are_open() {
        for open in ["/healthz", "/readyz", "/openapi.json", "/docs", "/docs/page.js"] {
            assert!(is_open(open), "{open}");
        }
        for closed in [
            "/",
            "/v1/zones",
            "/metrics",
            "/docsx",
            "/healthz/",
            "/openapi.json/",
            BY_BODY,
        ] {
            assert!(!is_open(closed), "{closed}");
        }
    }

    #[test]
    fn a_bearer_token_is_read_whatever_the_case_of_its_scheme() {
        assert_eq!(bearer(b"Bearer abc"), Some(&b"abc"[..]));
        assert_eq!(bearer(b"bearer  abc "), Some(&b"abc"[..]));
        for bad in [
            &b""[..],
            b"Bearer",
            b"Bearer ",
            b"Basic abc",
            b"abc",
            b"Bearerabc",
        ] {
            assert_eq!(bearer(bad), None, "{bad:?}");
        }
    }
}
