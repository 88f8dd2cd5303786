//! All routes, and what lies around them.

use std::sync::Arc;

use axum::{
    Router,
    extract::Request,
    http::HeaderValue,
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    auth, docs, error::Refused, forward, health, openapi, problem::Kind, queries, state::ApiState, trace, v1,
};

/// The routes that the contract names.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    let mut base = openapi::base();
    if let Some(components) = &mut base.components {
        let mut schemas = vec![(
            "Problem".to_owned(),
            <velum_wire::Problem as utoipa::PartialSchema>::schema(),
        )];
        velum_wire::Problem::schemas(&mut schemas);
        components.schemas.extend(schemas);
    }
    OpenApiRouter::with_openapi(base)
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::metrics))
        .merge(v1::routes())
}

/// The whole API.
pub fn router(state: ApiState) -> Router {
    let (router, api) = routes().split_for_parts();
    let contract = openapi::complete(api);
    let queries = Arc::new(queries::Queries::of(&contract));
    let contract: bytes::Bytes = contract.to_json().unwrap_or_default().into();
    router
        .route(
            "/openapi.json",
            get(move || std::future::ready(json(contract.clone()))),
        )
        .route("/docs", get(docs::page))
        .route("/docs/page.js", get(docs::script))
        .route("/docs/page.css", get(docs::style))
        .fallback(unknown)
        .method_not_allowed_fallback(not_allowed)
        .layer(CatchPanicLayer::custom(trace::panicked))
        .layer(middleware::from_fn_with_state(state.clone(), forward::to_owner))
        // After the token, as a handler would; before a body is read to see which server it is for.
        .layer(middleware::from_fn_with_state(queries, queries::refuse_unknown))
        .layer(middleware::from_fn_with_state(state.clone(), auth::authenticate))
        .layer(middleware::from_fn_with_state(state.clone(), trace::observe))
        .with_state(state)
}

fn json(body: bytes::Bytes) -> Response {
    let kind = HeaderValue::from_static("application/json");
    ([(axum::http::header::CONTENT_TYPE, kind)], body).into_response()
}

async fn unknown(request: Request) -> Refused {
    Refused::new(
        Kind::NotFound,
        format!(
            "nothing is at {}; /docs lists what there is",
            request.uri().path()
        ),
    )
}

async fn not_allowed(request: Request) -> Refused {
    Refused::new(
        Kind::MethodNotAllowed,
        format!(
            "{} does not take {}; the Allow header lists what it takes",
            request.uri().path(),
            request.method()
        ),
    )
}
