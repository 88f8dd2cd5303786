//! `velum affinity-group`: instances that are to be near each other, or apart.

use clap::{Args, Subcommand, ValueEnum};
use velum_client::{AffinityGroups, Filter};
use velum_wire::{
    AffinityKind, AffinityLevel, AffinityStrength, CreateAffinityGroupBody, UpdateAffinityGroupBody,
};

use crate::{
    failure::Failure,
    kind::{self, One, Rows, Shown},
    session::{NO_WAIT, Session},
    table::{Column, Kind, column, text},
};

impl Shown for AffinityGroups {
    const NOUN: &'static str = "affinity group";
    const COLUMNS: &'static [Column] = &[
        text("NAME", "name"),
        column("ZONE", "zone_id", Kind::Of("zones")),
        text("KIND", "kind"),
        text("STRENGTH", "strength"),
        text("LEVEL", "level"),
        text("MEMBERS", "members"),
        text("ID", "id"),
    ];
}

/// Instances that are to be near each other, or apart.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists affinity groups.
    List(List),
    /// Shows one affinity group; `velum instance list --affinity-group` lists its members.
    Show(One),
    /// Makes an affinity group; instances join it with `velum instance create --affinity-group`.
    Create(Create),
    /// Changes what an affinity group is called.
    Update(Update),
    /// Removes an affinity group that no instance is in.
    Delete(One),
}

/// Which affinity groups.
#[derive(Args, Debug)]
pub struct List {
    #[command(flatten)]
    pub rows: Rows,
    /// Only those of this zone.
    #[arg(long, value_name = "NAME|ID")]
    pub zone: Option<String>,
}

/// Which way a group draws its members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Draws {
    /// Together.
    Affinity,
    /// Apart.
    AntiAffinity,
}

impl From<Draws> for AffinityKind {
    fn from(draws: Draws) -> Self {
        match draws {
            Draws::Affinity => Self::Affinity,
            Draws::AntiAffinity => Self::AntiAffinity,
        }
    }
}

/// What members are together on, or apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Level {
    /// The compute host.
    ComputeHost,
    /// The pod: a rack.
    Pod,
}

impl From<Level> for AffinityLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::ComputeHost => Self::ComputeHost,
            Level::Pod => Self::Pod,
        }
    }
}

/// What a new affinity group is.
#[derive(Args, Debug)]
pub struct Create {
    /// Its name, unique in the project and zone.
    pub name: String,
    /// Its zone [default: the only one].
    #[arg(long, value_name = "NAME|ID")]
    pub zone: Option<String>,
    /// Which way it draws its members.
    #[arg(long, value_enum)]
    pub kind: Draws,
    /// Where members cannot be placed as it wants they are placed all the same, as near to that as possible.
    #[arg(long)]
    pub preferred: bool,
    /// What its members are together on, or apart by.
    #[arg(long, value_enum, default_value = "compute-host")]
    pub level: Level,
    /// One line for people.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub description: String,
}

/// What changes.
#[derive(Args, Debug)]
pub struct Update {
    #[command(flatten)]
    pub one: One,
    /// Its new name.
    #[arg(long = "rename", value_name = "NAME")]
    pub rename: Option<String>,
    /// One line for people.
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
}

/// Runs `velum affinity-group`.
pub async fn run(session: &Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::List(list) => {
            let filter = kind::in_zone(session, list.zone.as_deref()).await?;
            kind::list::<AffinityGroups>(session, &list.rows, filter).await
        }
        Command::Show(one) => kind::show::<AffinityGroups>(session, &one).await,
        Command::Create(new) => create(session, new).await,
        Command::Update(change) => {
            let id = kind::resolve::<AffinityGroups>(session, &change.one.name, &Filter::new()).await?;
            let body = UpdateAffinityGroupBody {
                name: change.rename,
                description: change.description,
            };
            let answer = session.client.affinity_groups().update(id, &body, None).await?;
            kind::answered::<AffinityGroups>(session, answer, NO_WAIT).await
        }
        Command::Delete(one) => kind::delete::<AffinityGroups>(session, &one, NO_WAIT).await,
    }
}

async fn create(session: &Session, new: Create) -> Result<(), Failure> {
    let body = CreateAffinityGroupBody {
        zone_id: kind::zone_or_only(session, new.zone.as_deref()).await?,
        name: new.name,
        description: new.description,
        kind: new.kind.into(),
        strength: if new.preferred {
            AffinityStrength::Preferred
        } else {
            AffinityStrength::Required
        },
        level: new.level.into(),
    };
    let answer = session.client.affinity_groups().create(&body).await?;
    kind::answered::<AffinityGroups>(session, answer, NO_WAIT).await
}
