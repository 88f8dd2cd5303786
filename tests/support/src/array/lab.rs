//! A test's hand on the array.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, State as Shared},
    http::StatusCode,
    routing::{get, post},
};
use serde::{Deserialize, Serialize};

use super::{
    api::working,
    fault::{Fault, Hit},
    state::{Refused, State},
};

type Of = Shared<Arc<State>>;

/// What is there: by the array's books, and by the words of `tgtd`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// Luns: their ids by their labels.
    pub luns: BTreeMap<String, String>,
    /// Hosts.
    pub hosts: Vec<String>,
    /// Targets that `tgtd` has.
    pub targets: Vec<String>,
    /// Sessions that `tgtd` has: initiators.
    pub sessions: Vec<String>,
    /// CHAP users that `tgtd` has.
    pub users: Vec<String>,
    /// Files of luns.
    pub files: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Serial {
    serial: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretBody {
    /// None: the one that it was given.
    secret: Option<String>,
}

pub(super) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/faults", get(hits).post(arm))
        .route("/luns/{lun}/serial", post(serial))
        .route("/hosts/{host}/secret", post(secret))
        .route("/left", get(left))
}

async fn arm(Shared(state): Of, Json(fault): Json<Fault>) -> StatusCode {
    state.faults.arm(fault);
    StatusCode::NO_CONTENT
}

async fn hits(Shared(state): Of) -> Json<Vec<Hit>> {
    Json(state.faults.hits())
}

async fn serial(
    Shared(state): Of,
    Path(lun): Path<String>,
    Json(body): Json<Serial>,
) -> Result<StatusCode, Refused> {
    working(move || state.swap_serial(&lun, body.serial)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn secret(
    Shared(state): Of,
    Path(host): Path<String>,
    Json(body): Json<SecretBody>,
) -> Result<StatusCode, Refused> {
    working(move || state.change_secret(&host, body.secret)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn left(Shared(state): Of) -> Result<Json<Left>, Refused> {
    working(move || {
        let (luns, hosts) = {
            let inside = state.inside.lock();
            let luns = inside
                .luns
                .values()
                .map(|lun| (lun.label.clone(), lun.id.clone()));
            (luns.collect(), inside.hosts.keys().cloned().collect())
        };
        let (targets, accounts) = (state.tgtd.show("target")?, state.tgtd.show("account")?);
        let after = |text: &str, mark: &str| -> Vec<String> {
            let lines = text.lines().filter_map(|line| line.trim().strip_prefix(mark));
            lines.map(|rest| rest.trim().to_owned()).collect()
        };
        let mut files = Vec::new();
        for entry in std::fs::read_dir(state.setup.directory.join("luns")).map_err(anyhow::Error::from)? {
            let entry = entry.map_err(anyhow::Error::from)?;
            files.push(entry.file_name().to_string_lossy().into_owned());
        }
        let named = |line: &String| line.split_once(": ").map(|(_, name)| name.to_owned());
        Ok(Left {
            luns,
            hosts,
            targets: after(&targets, "Target ").iter().filter_map(named).collect(),
            sessions: after(&targets, "Initiator: "),
            users: accounts
                .lines()
                .skip(1)
                .map(|line| line.trim().to_owned())
                .filter(|line| !line.is_empty())
                .collect(),
            files,
        })
    })
    .await
    .map(Json)
}
