//! Durable operations: the record of anything that takes time, and the engine that carries it to an end.
//!
//! An operation is accepted by one commit (law 1) and from then on belongs to the owner of its shard. Its kind is a
//! table of steps, each idempotent and with an undo:
//!
//! ```text
//!            ┌── intent committed ──▶ act ──▶ record (with the rows that it changes, and the next intent)
//! Running ───┤                         │
//!            └── fault ── before the pivot: undo what was done, backwards ──▶ claims deleted ──▶ Undone
//!                         │                 └─ or: claim another compute host, a bounded number of times
//!                         after the pivot: try again, ever more slowly ──▶ Parked (claims held, alarm up)
//! ```
//!
//! What is parked goes on when an operator says how: see [`parked`].
//!
//! What is found in `Intent` after a crash is observed first, then redone or recorded: recovery is the normal path.

mod act;
mod drive;
pub mod engine;
mod kind;
pub mod params;
pub mod parked;
pub mod reconcile;
mod resuming;
pub mod step;

use async_trait::async_trait;
use velum_model::{decision::Decision, id::*, instance::Run, storage::Volume};
use velum_store::Change;

pub use engine::{Checkpoint, Engine, EngineLimits, EngineParts};
pub use kind::{steps_of, version_of};

/// What is wanted when an attempt on a compute host failed before the pivot: the same instance somewhere else.
#[derive(Clone, Debug)]
pub struct ReplanAsk {
    /// Whose run it is.
    pub instance: InstanceId,
    /// The run that is given up; its claim is released in the same commit that makes the new one.
    pub failed_run: RunId,
    /// Compute hosts that failed, this one included.
    pub excluded: Vec<ComputeHostId>,
    /// The root volume, when it is not made yet and may go to another pool.
    pub unmade_root: Option<Volume>,
}

/// Another run in place of the one that failed.
#[derive(Clone, Debug)]
pub struct Replacement {
    /// The new run, of the next generation.
    pub run: Run,
    /// The root volume, when it had to move to another pool: same id.
    pub moved_root: Option<Volume>,
    /// The claims: `DeleteRun`, `InsertRun`, `InstanceDecision`, `TakePlaces` of what is in groups, and for a moved root its delete, insert
    /// and layer.
    pub changes: Vec<Change>,
    /// Why there.
    pub decision: Box<Decision>,
}

/// Places a retry elsewhere. Implemented by the service's planner.
#[async_trait]
pub trait Replan: Send + Sync {
    /// Plans and claims tentatively. None when there is no room elsewhere.
    async fn elsewhere(&self, ask: ReplanAsk) -> Option<Replacement>;
    /// The commit of a replacement was refused: forget its tentative claims.
    fn give_back(&self, replacement: &Replacement);
}
