//! `velum operation`: what goes on, and what became of it.

use clap::{Args, Subcommand};
use uuid::Uuid;
use velum_client::{Answered, Filter, Operations, Outcome};
use velum_wire::{OperationState, OperationView};

use crate::{
    failure::Failure,
    kind::{self, Shown},
    progress::{ended_badly, finish},
    session::{Most, Session, Wait},
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
    Show(Which),
    /// Waits for one operation; fails (4) when it is undone or parked.
    Wait(Which),
    /// Lets a parked operation try again the step that failed.
    ///
    /// Forward or backwards as it went, with its attempts counted anew. Use it when what was in the way is gone: a
    /// compute host answers again, a pool has room. `velum operation show` says at which step it is parked and why.
    Retry(Decide),
    /// Turns a parked operation back: what it did is undone, last step first.
    ///
    /// Use it when it will not succeed. Past the point from which it only goes forward by itself this takes away what
    /// a tenant may have seen: of an instance-create nothing is left, its root volume neither; after an instance-start
    /// the instance is stopped; after a volume-attach the volume is free; an instance-reboot is given up and the guest
    /// stays as it is. What removes things (a destroy, a stop, a delete, a detach) has no way back.
    Undo(Decide),
    /// Lets a parked operation go on without what it could not reach: your word that it is gone for good.
    ///
    /// Use it when a compute host or an array is lost and what the step would take away (a guest, a volume, a seed)
    /// went with it. The step counts as done and nothing is asked of the far side. Be sure: another guest may run on
    /// the strength of it, and if the first one still does, both write to the same volumes. Your word stands in the
    /// operation and in the event log. A step that makes something cannot be asserted: undo the operation first.
    AssertGone(AssertGone),
}

/// What an operator can do about an operation that is parked.
const WHAT_NEXT: &str = "It waits for an operator: `velum operation retry` when what was in the way is gone, `undo` when \
    it is to be given up, `assert-gone` when what it could not reach is lost for good (--help says more).";

/// Which operation, and why.
#[derive(Args, Debug)]
pub struct Decide {
    /// Its id.
    #[arg(value_parser = id)]
    pub id: Uuid,
    /// Why, for the event log.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    #[command(flatten)]
    pub wait: Wait,
}

/// Which operation, and how it is known.
#[derive(Args, Debug)]
pub struct AssertGone {
    /// Its id.
    #[arg(value_parser = id)]
    pub id: Uuid,
    /// How you know that it is gone.
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    #[command(flatten)]
    pub wait: Wait,
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
pub struct Which {
    /// Its id.
    #[arg(value_parser = id)]
    pub id: Uuid,
}

/// Operations have no names.
fn id(text: &str) -> Result<Uuid, &'static str> {
    text.parse()
        .map_err(|_| "it is no id of an operation; `velum operation list` shows them")
}

/// Shows an operation that goes on backwards or may: undone is what was wanted then.
async fn undone(session: &Session, answered: Answered<OperationView>, wait: Wait) -> Result<(), Failure> {
    if !wait.wait {
        return kind::answered::<Operations>(session, answered, wait).await;
    }
    match session.client.wait(answered.value.id).await? {
        Outcome::Done(view) | Outcome::Undone(view) => kind::show_view::<Operations>(session, &view).await,
        Outcome::Parked(view) => Err(ended_badly(&view)),
    }
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
        Command::Show(Which { id }) => {
            let view = session.client.operations().get(id).await?;
            kind::show_view::<Operations>(session, &view).await?;
            if view.state == OperationState::Parked {
                session.say(WHAT_NEXT);
            }
            Ok(())
        }
        Command::Wait(wait) => {
            let view = finish(session, wait.id).await?;
            kind::show_view::<Operations>(session, &view).await
        }
        Command::Retry(Decide { id, reason, wait }) => {
            let answered = session.client.operations().retry(id, reason).await?;
            kind::answered::<Operations>(session, answered, wait).await
        }
        Command::Undo(Decide { id, reason, wait }) => {
            let answered = session.client.operations().undo(id, reason).await?;
            undone(session, answered, wait).await
        }
        Command::AssertGone(AssertGone { id, reason, wait }) => {
            let answered = session.client.operations().assert_gone(id, reason).await?;
            undone(session, answered, wait).await
        }
    }
}
