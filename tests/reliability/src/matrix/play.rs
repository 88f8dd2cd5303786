//! Plays a cell: a server, what goes wrong with it, its successors, and what is left in the end.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use tokio::time::Instant;
use velum_model::operation::OperationState;

use super::{
    begin::{begin, destroying},
    cells::{Cell, Seen},
    script::Plan,
};
use crate::{
    audit::audit,
    far::FarSide,
    ground::{Ground, LATER, operation},
    leave::leave,
    run::in_simulation,
    server::{Server, Start, Time},
    workers::Worker,
};

/// What became of a cell.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Whether each harm came about; a harm that did not is no evidence.
    pub hit: bool,
    /// How the operation ended.
    pub end: OperationState,
    /// What was wrong then.
    pub violations: Vec<String>,
    /// What its steps did.
    pub seen: Seen,
}

/// An operation that has not ended by then never will: three times what twenty tries with their back-off take.
const PATIENCE: Duration = Duration::from_secs(3600);
/// How long a server stands still: longer than its successor needs for everything.
const STANDSTILL: Duration = Duration::from_secs(900);

/// Plays one cell.
///
/// # Errors
/// Something that is not what is tested fails.
pub fn play(ground: &Ground, cell: &Cell, worker: &Worker) -> anyhow::Result<Outcome> {
    let stage = Stage {
        worker,
        far: ground.begin(&worker.file)?,
        plan: Arc::new(Plan::new(cell)),
    };
    in_simulation(async { stage.play(ground, cell).await }).with_context(|| cell.name())
}

struct Stage<'w> {
    worker: &'w Worker,
    far: FarSide,
    plan: Arc<Plan>,
}

impl Stage<'_> {
    async fn server(&self, life: u32, time: &Arc<Time>) -> anyhow::Result<Server> {
        Server::start(Start {
            database: &self.worker.file,
            far: &self.far,
            life,
            director: self.plan.clone(),
            time: time.clone(),
            outside: self.worker.outside(),
            // What fails for good is undone, not tried elsewhere: the undo is what is looked at.
            elsewhere: 0,
        })
        .await
    }

    async fn play(&self, ground: &Ground, cell: &Cell) -> anyhow::Result<Outcome> {
        let time = Arc::new(Time::from(LATER));
        let began = Instant::now();
        let mut servers = vec![self.server(1, &time).await?];
        let first = servers.first().context("there is one")?;
        let id = begin(first, &self.far, ground, cell.kind)?;
        self.plan.watch(id);
        self.plan.destroy_by(destroying(first, ground)?);
        let mut thaw_at: Option<Instant> = None;
        let end = loop {
            let current = servers.last().context("there is one")?;
            if !current.life.is_alive() {
                if current.life.is_frozen() {
                    thaw_at = Some(Instant::now() + STANDSTILL);
                } else {
                    current.end();
                }
                let next = self.server(servers.len() as u32 + 1, &time).await?;
                servers.push(next);
                continue;
            }
            let found = operation(current, id)?;
            if found.state.has_ended() || found.state == OperationState::Parked {
                break found.state;
            }
            anyhow::ensure!(
                began.elapsed() < PATIENCE,
                "it has not ended: {:?} {:#?}",
                found.state,
                found.journal
            );
            tokio::select! {
                biased;
                () = current.life.stopped.notified() => {}
                () = tokio::time::sleep(Duration::from_millis(500)) => {}
            }
        };
        // Who stood still moves on, and does nothing any more; what is late arrives.
        if let Some(at) = thaw_at {
            tokio::time::sleep_until(at).await;
            servers.iter().for_each(|server| server.life.thaw());
        }
        tokio::time::sleep(Duration::from_secs(120)).await;
        let current = servers.last().context("there is one")?;
        let mut violations = audit(&current.store, &self.far).await?;
        if violations.is_empty() && end != OperationState::Parked {
            violations = leave(current, &self.far).await?;
        }
        servers.iter().for_each(Server::end);
        Ok(Outcome {
            hit: self.plan.is_hit(),
            end,
            violations,
            seen: self.plan.seen(),
        })
    }
}
