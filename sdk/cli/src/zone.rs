//! `velum zone`: data centres.

use clap::{Args, Subcommand, ValueEnum};
use uuid::Uuid;
use velum_client::{Filter, Zones};
use velum_wire::{CreateZoneBody, UpdateZoneBody, ZoneAccess};

use crate::{
    args::BUILT_IN,
    failure::Failure,
    kind::{self, One, Rows, Shown},
    policy::Policies,
    session::{NO_WAIT, Session},
    table::{Column, Kind, column, text},
};

impl Shown for Zones {
    const NOUN: &'static str = "zone";
    const COLUMNS: &'static [Column] = &[
        text("NAME", "name"),
        text("ACCESS", "access"),
        column("POLICY", "policy_id", Kind::Of("policies")),
        text("ID", "id"),
    ];
}

/// Data centres.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists zones.
    List(Rows),
    /// Shows one zone.
    Show(One),
    /// Makes a zone.
    Create(Create),
    /// Changes a zone: its name, who may use it, which policy places guests.
    Update(Update),
    /// Removes an empty zone.
    Delete(One),
}

/// Who may use a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Access {
    /// Everyone.
    Public,
    /// One project.
    Private,
}

impl From<Access> for ZoneAccess {
    fn from(access: Access) -> Self {
        match access {
            Access::Public => Self::Public,
            Access::Private => Self::Private,
        }
    }
}

/// What a new zone is.
#[derive(Args, Debug)]
pub struct Create {
    /// Its name, unique in the cloud.
    pub name: String,
    /// Who may use it.
    #[arg(long, value_enum, default_value = "public")]
    pub access: Access,
    /// Policy that chooses compute hosts [default: the built-in one].
    #[arg(long, value_name = "NAME|ID")]
    pub policy: Option<String>,
    /// Policy that chooses storage pools [default: the built-in one].
    #[arg(long, value_name = "NAME|ID")]
    pub pool_policy: Option<String>,
}

/// What changes.
#[derive(Args, Debug)]
pub struct Update {
    #[command(flatten)]
    pub one: One,
    /// Its new name.
    #[arg(long = "rename", value_name = "NAME")]
    pub rename: Option<String>,
    /// Who may use it.
    #[arg(long, value_enum)]
    pub access: Option<Access>,
    /// Policy that chooses compute hosts; 'built-in' returns to the server's own.
    #[arg(long, value_name = "NAME|ID|built-in")]
    pub policy: Option<String>,
    /// Policy that chooses storage pools; 'built-in' returns to the server's own.
    #[arg(long, value_name = "NAME|ID|built-in")]
    pub pool_policy: Option<String>,
}

/// Runs `velum zone`.
pub async fn run(session: &Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::List(rows) => kind::list::<Zones>(session, &rows, Filter::new()).await,
        Command::Show(one) => kind::show::<Zones>(session, &one).await,
        Command::Create(new) => create(session, new).await,
        Command::Update(change) => update(session, change).await,
        Command::Delete(one) => kind::delete::<Zones>(session, &one, NO_WAIT).await,
    }
}

async fn create(session: &Session, new: Create) -> Result<(), Failure> {
    let body = CreateZoneBody {
        name: new.name,
        access: new.access.into(),
        project_id: None,
        policy_id: kind::resolve_some::<Policies>(session, new.policy.as_deref(), &Filter::new()).await?,
        pool_policy_id: kind::resolve_some::<Policies>(session, new.pool_policy.as_deref(), &Filter::new())
            .await?,
    };
    kind::answered::<Zones>(session, session.client.zones().create(&body).await?, NO_WAIT).await
}

async fn update(session: &Session, change: Update) -> Result<(), Failure> {
    let id = kind::resolve::<Zones>(session, &change.one.name, &Filter::new()).await?;
    let body = UpdateZoneBody {
        name: change.rename,
        access: change.access.map(Into::into),
        project_id: None,
        policy_id: policy_choice(session, change.policy.as_deref()).await?,
        pool_policy_id: policy_choice(session, change.pool_policy.as_deref()).await?,
    };
    kind::answered::<Zones>(
        session,
        session.client.zones().update(id, &body, None).await?,
        NO_WAIT,
    )
    .await
}

/// A policy by name, `built-in` for none, or no change.
pub async fn policy_choice(session: &Session, name: Option<&str>) -> Result<Option<Option<Uuid>>, Failure> {
    match name {
        None => Ok(None),
        Some(BUILT_IN) => Ok(Some(None)),
        Some(name) => kind::resolve::<Policies>(session, name, &Filter::new())
            .await
            .map(|id| Some(Some(id))),
    }
}
