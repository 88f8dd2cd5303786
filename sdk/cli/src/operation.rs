//! `velum operation`: what goes on, and what became of it.

use clap::{Args, Subcommand};
use uuid::Uuid;
use velum_client::{Filter, Operations};

use crate::{
    failure::Failure,
    kind::{self, One, Shown},
    progress::finish,
    session::{Most, Session},
    table::{Column, Kind, column, text},
};

impl Shown for Operations {
    const NOUN: &'static str = "operation";
    const COLUMNS: &'static [Column] = &[
        text("ID", "id"),
        text("KIND", "kind"),
        column("STATE", "state", Kind::State),
        text("%", "progress_percent"),
        text("OF", "subject.collection"),
        text("SUBJECT", "subject.id"),
        column("ACCEPTED", "created_at", Kind::Time),
        text("NOTE", "note"),
    ];
    const HAS_NAME: bool = false;
}

/// What takes time: durable records that survive the server.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists operations.
    List(List),
    /// Shows one operation with its steps.
    Show(One),
    /// Waits for one operation; fails (4) when it is undone or parked.
    Wait(WaitFor),
}

/// Which operations.
#[derive(Args, Debug)]
pub struct List {
    #[command(flatten)]
    pub most: Most,
    /// Only those in this state: running, undoing, done, undone, parked.
    #[arg(long)]
    pub state: Option<String>,
    /// Only those of this kind, like instance-create.
    #[arg(long)]
    pub kind: Option<String>,
    /// Only those about the resource of this id.
    #[arg(long, value_name = "ID")]
    pub subject: Option<Uuid>,
}

/// Which operation.
#[derive(Args, Debug)]
pub struct WaitFor {
    /// Its id.
    pub id: Uuid,
}

/// Runs `velum operation`.
pub async fn run(session: &Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::List(list) => {
            let filter = Filter::new()
                .with_some("state", list.state)
                .with_some("kind", list.kind)
                .with_some("subject_id", list.subject);
            kind::list_limited::<Operations>(session, list.most.limit, filter).await
        }
        Command::Show(one) => kind::show::<Operations>(session, &one).await,
        Command::Wait(wait) => {
            let view = finish(session, wait.id).await?;
            kind::show_view::<Operations>(session, &view).await
        }
    }
}
