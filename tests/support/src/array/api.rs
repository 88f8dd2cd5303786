//! The REST API.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, Query, Request, State as Shared},
    http::{Response, StatusCode},
    middleware::{self, Next},
    response::IntoResponse,
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::net::TcpListener;

use super::{
    fault, lab,
    luns::NewLun,
    state::{POOL, Refused, State, no_host, not_mapped},
};

/// An error as the array words it.
pub(super) fn refusal(status: StatusCode, code: &str, message: &str) -> Response<Body> {
    let body = json!({ "error": { "code": code, "message": message, "lunId": null } });
    (status, Json(body)).into_response()
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response<Body> {
        let body = json!({ "error": { "code": self.code, "message": self.message, "lunId": self.lun } });
        (self.status, Json(body)).into_response()
    }
}

type Of = Shared<Arc<State>>;

/// Serves until the process ends.
///
/// # Errors
/// When the listener breaks.
pub async fn serve(state: Arc<State>, listener: TcpListener) -> anyhow::Result<()> {
    let api = Router::new()
        .route("/pools/{pool}", get(pool))
        .route("/luns", get(list).post(create))
        .route("/luns/{lun}", get(lun).delete(delete_lun))
        .route("/luns/{lun}/resize", post(resize))
        .route("/luns/{lun}/copy", post(copy))
        .route("/luns/{lun}/mappings/{host}", get(mapping).put(map).delete(unmap))
        .route("/hosts/{host}", get(host).put(put_host).delete(delete_host))
        .route("/tasks/{task}", get(task).delete(cancel))
        .layer(middleware::from_fn_with_state(Arc::clone(&state), at_the_door));
    let app = Router::new()
        .nest("/api/v2", api)
        .nest("/lab", lab::routes())
        .fallback(|| async { refusal(StatusCode::NOT_FOUND, "NO_SUCH_ROUTE", "there is nothing here") })
        .with_state(state);
    Ok(axum::serve(listener, app).await?)
}

/// Who has no token learns nothing; then what a test has in store for the request.
async fn at_the_door(Shared(state): Of, request: Request, next: Next) -> Response<Body> {
    let token = request.headers().get("x-auth-token");
    if token.and_then(|value| value.to_str().ok()) != Some(state.setup.token.as_str()) {
        return refusal(
            StatusCode::UNAUTHORIZED,
            "BAD_TOKEN",
            "X-Auth-Token is missing or wrong",
        );
    }
    let (method, path) = (
        request.method().as_str().to_owned(),
        request.uri().path().to_owned(),
    );
    match state.faults.meet(&method, &path) {
        Some(met) => fault::misbehave(met, next.run(request)).await,
        None => next.run(request).await,
    }
}

/// Work that waits for `tgtadm` runs where it may block.
pub(super) async fn working<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refused> + Send + 'static,
) -> Result<T, Refused> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Refused::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", error.to_string()))?
}

type Answer<T> = Result<Json<T>, Refused>;

async fn pool(Shared(state): Of, Path(name): Path<String>) -> Answer<impl Serialize> {
    if name == POOL {
        Ok(Json(state.pool()))
    } else {
        Err(Refused::new(
            StatusCode::NOT_FOUND,
            "NO_SUCH_POOL",
            format!("there is no pool {name}"),
        ))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Listing {
    pool: Option<String>,
    client_ref: Option<String>,
    page_size: Option<usize>,
    page_token: Option<String>,
}

async fn list(Shared(state): Of, Query(query): Query<Listing>) -> Answer<impl Serialize> {
    if query.pool.as_ref().is_some_and(|pool| pool != POOL) {
        return Err(Refused::new(
            StatusCode::NOT_FOUND,
            "NO_SUCH_POOL",
            "there is no such pool",
        ));
    }
    Ok(Json(state.list_luns(
        query.client_ref.as_deref(),
        query.page_size,
        query.page_token.as_deref(),
    )))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Creation {
    pool: Option<String>,
    label: String,
    size_mb: u64,
    client_ref: String,
}

impl Creation {
    fn lun(self) -> NewLun {
        NewLun {
            label: self.label,
            size_mb: self.size_mb,
            client_ref: self.client_ref,
            copied_from: None,
        }
    }
}

async fn create(
    Shared(state): Of,
    Json(body): Json<Creation>,
) -> Result<(StatusCode, Json<impl Serialize>), Refused> {
    if body.pool.as_deref() != Some(POOL) {
        return Err(Refused::new(
            StatusCode::NOT_FOUND,
            "NO_SUCH_POOL",
            "there is no such pool",
        ));
    }
    let made = state.create_lun(body.lun())?;
    Ok((StatusCode::CREATED, Json(made)))
}

async fn lun(Shared(state): Of, Path(lun): Path<String>) -> Answer<impl Serialize> {
    state.lun(&lun).map(Json)
}

async fn delete_lun(Shared(state): Of, Path(lun): Path<String>) -> Result<StatusCode, Refused> {
    state.delete_lun(&lun).map(|()| StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Resize {
    size_mb: u64,
}

async fn resize(
    Shared(state): Of,
    Path(lun): Path<String>,
    Json(body): Json<Resize>,
) -> Answer<impl Serialize> {
    state.resize_lun(&lun, body.size_mb).map(Json)
}

async fn copy(
    Shared(state): Of,
    Path(lun): Path<String>,
    Json(body): Json<Creation>,
) -> Result<(StatusCode, Json<impl Serialize>), Refused> {
    let begun = state.begin_copy(&lun, body.lun())?;
    Ok((StatusCode::ACCEPTED, Json(begun)))
}

async fn task(Shared(state): Of, Path(task): Path<String>) -> Answer<impl Serialize> {
    state.task(&task).map(Json)
}

async fn cancel(Shared(state): Of, Path(task): Path<String>) -> Result<StatusCode, Refused> {
    state.cancel_task(&task).map(|()| StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Chap {
    user: String,
    secret: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HostBody {
    initiators: Vec<String>,
    chap: Chap,
}

async fn put_host(
    Shared(state): Of,
    Path(host): Path<String>,
    Json(body): Json<HostBody>,
) -> Answer<impl Serialize> {
    let plain = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._:".contains(&b))
    };
    let fits = plain(&host)
        && !body.initiators.is_empty()
        && body.initiators.iter().all(|name| plain(name))
        && plain(&body.chap.user)
        && (12..=16).contains(&body.chap.secret.len());
    if !fits {
        return Err(Refused::new(
            StatusCode::BAD_REQUEST,
            "BAD_HOST",
            "a host has initiators, a CHAP user and a secret of 12 to 16 characters",
        ));
    }
    working(move || state.put_host(&host, body.initiators, body.chap.user, body.chap.secret))
        .await
        .map(Json)
}

async fn host(Shared(state): Of, Path(name): Path<String>) -> Answer<impl Serialize> {
    let inside = state.inside.lock();
    let found = inside.hosts.get(&name).ok_or_else(|| no_host(&name))?;
    Ok(Json(state.view_host(&name, found)))
}

async fn delete_host(Shared(state): Of, Path(host): Path<String>) -> Result<StatusCode, Refused> {
    working(move || state.delete_host(&host)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn map(Shared(state): Of, Path((lun, host)): Path<(String, String)>) -> Answer<impl Serialize> {
    working(move || state.map(&lun, &host)).await.map(Json)
}

async fn mapping(Shared(state): Of, Path((lun, host)): Path<(String, String)>) -> Answer<impl Serialize> {
    let inside = state.inside.lock();
    let number = inside
        .luns
        .get(&lun)
        .and_then(|lun| lun.shown_to.get(&host).copied())
        .ok_or_else(|| not_mapped(&lun, &host))?;
    Ok(Json(state.mapping(&lun, &host, number)))
}

async fn unmap(Shared(state): Of, Path((lun, host)): Path<(String, String)>) -> Result<StatusCode, Refused> {
    working(move || state.unmap(&lun, &host)).await?;
    Ok(StatusCode::NO_CONTENT)
}
