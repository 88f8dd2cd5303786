//! The cells: what goes wrong, where.

use std::collections::BTreeSet;

use velum_model::operation::{OperationKindName, OperationState};
use velum_operation::steps_of;

/// Where a server is stopped, relative to a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    /// Its intent is about to be committed.
    BeforeIntent,
    /// Its intent is durable.
    AfterIntent,
    /// It is about to call the far side for the first time in this step.
    BeforeCall,
    /// The far side did a part of it: it is about to be asked for the second.
    BetweenEffects,
    /// The far side did it; it is about to be recorded.
    AfterEffect,
    /// It is recorded.
    AfterRecord,
    /// The intent to undo it is about to be committed.
    BeforeUndoIntent,
    /// The intent to undo it is durable.
    AfterUndoIntent,
    /// It is about to call the far side for the first time to undo it.
    BeforeUndoCall,
    /// The far side undid a part of it: it is about to be asked for the second.
    BetweenUndoEffects,
    /// The far side undid it; that is about to be recorded.
    AfterUndoEffect,
    /// That it is undone is recorded.
    AfterUndone,
}

/// What goes wrong with the calls of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// The first call fails, nothing changed; trying again may help.
    Error,
    /// Every call fails, nothing changed, and trying again does not help.
    Refusal,
    /// As a refusal, of every effect but the first.
    LaterRefusal,
    /// The first call acts, and its answer is lost.
    Timeout,
    /// Every call arrives twice.
    Twice,
    /// Every call arrives a second time long after: a minute later.
    Late,
}

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Harm {
    /// The server is killed at a point, and another one starts.
    Crash(Point),
    /// The server stands still at a point, another one takes over and finishes; then the first moves on.
    Stale(Point),
    /// Its instance is asked to be destroyed at a point; a call that is made there is under way for so long that the
    /// destroy is through before it arrives.
    Destroy(Point),
    /// Its calls are troubled while the step goes forward.
    Calls(Trouble),
    /// Its calls are troubled while the step is undone.
    UndoCalls(Trouble),
}

/// A cell of the matrix: what goes wrong, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The kind of operation.
    pub kind: OperationKindName,
    /// At which steps what goes wrong; the last is what the cell is about.
    pub harms: Vec<(&'static str, Harm)>,
}

impl Cell {
    /// As shown: `instance-create/define/Crash(AfterIntent)`.
    #[must_use]
    pub fn name(&self) -> String {
        let harms: Vec<String> = self
            .harms
            .iter()
            .map(|(step, harm)| format!("{step}/{harm:?}"))
            .collect();
        format!("{}/{}", self.kind.as_str(), harms.join("+"))
    }
}

/// Faults at a step, one a cell.
const SINGLE: [Harm; 14] = [
    Harm::Crash(Point::BeforeIntent),
    Harm::Crash(Point::AfterIntent),
    Harm::Crash(Point::BetweenEffects),
    Harm::Crash(Point::AfterEffect),
    Harm::Crash(Point::AfterRecord),
    Harm::Calls(Trouble::Error),
    Harm::Calls(Trouble::Refusal),
    Harm::Calls(Trouble::LaterRefusal),
    Harm::Calls(Trouble::Timeout),
    Harm::Calls(Trouble::Twice),
    Harm::Calls(Trouble::Late),
    Harm::Stale(Point::BeforeIntent),
    Harm::Stale(Point::BeforeCall),
    Harm::Stale(Point::AfterEffect),
];

/// When a destroy comes in the middle.
const DESTROY: [Point; 5] = [
    Point::BeforeIntent,
    Point::AfterIntent,
    Point::BeforeCall,
    Point::AfterEffect,
    Point::AfterRecord,
];

/// Whether a destroy may come while an operation of this kind is at work: what brings an instance up is cancelled, what
/// else works on it is waited for by whoever asks (409).
const fn is_cut_by_a_destroy(kind: OperationKindName) -> bool {
    matches!(
        kind,
        OperationKindName::InstanceCreate | OperationKindName::InstanceStart
    )
}

/// Crashes of the server that recovers from a crash.
const RECOVERY: [(Point, Point); 6] = [
    (Point::AfterIntent, Point::BeforeCall),
    (Point::AfterIntent, Point::AfterEffect),
    (Point::AfterIntent, Point::AfterRecord),
    (Point::AfterEffect, Point::BeforeCall),
    (Point::AfterEffect, Point::AfterEffect),
    (Point::AfterEffect, Point::AfterRecord),
];

/// Faults while a step is undone.
const UNDO: [Harm; 13] = [
    Harm::Crash(Point::BeforeUndoIntent),
    Harm::Crash(Point::AfterUndoIntent),
    Harm::Crash(Point::BeforeUndoCall),
    Harm::Crash(Point::BetweenUndoEffects),
    Harm::Crash(Point::AfterUndoEffect),
    Harm::Crash(Point::AfterUndone),
    Harm::UndoCalls(Trouble::Error),
    Harm::UndoCalls(Trouble::Timeout),
    Harm::UndoCalls(Trouble::Twice),
    Harm::UndoCalls(Trouble::Late),
    Harm::Stale(Point::BeforeUndoIntent),
    Harm::Stale(Point::BeforeUndoCall),
    Harm::Stale(Point::AfterUndoEffect),
];

/// Every cell, from the registry of kinds and steps.
#[must_use]
pub fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for kind in OperationKindName::ALL {
        let steps = steps_of(kind);
        for step in &steps {
            for harm in SINGLE {
                cells.push(Cell {
                    kind,
                    harms: vec![(step, harm)],
                });
            }
            for point in DESTROY.into_iter().filter(|_| is_cut_by_a_destroy(kind)) {
                cells.push(Cell {
                    kind,
                    harms: vec![(step, Harm::Destroy(point))],
                });
            }
            for (first, second) in RECOVERY {
                cells.push(Cell {
                    kind,
                    harms: vec![(step, Harm::Crash(first)), (step, Harm::Crash(second))],
                });
            }
        }
        // What fails for good at a step undoes it and the earlier ones.
        for (at, failing) in steps.iter().enumerate() {
            for step in steps.iter().take(at + 1) {
                for harm in UNDO {
                    cells.push(Cell {
                        kind,
                        harms: vec![(failing, Harm::Calls(Trouble::Refusal)), (step, harm)],
                    });
                }
            }
        }
    }
    cells
}

/// What a step was seen to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// It was begun and recorded.
    Step,
    /// It asked the far side something.
    Call,
    /// It asked the far side something when another server had begun it.
    RecoveryCall,
    /// It changed something there.
    Effect,
    /// It was undone.
    Undo,
    /// To undo it, the far side was asked something.
    UndoCall,
    /// It changed two things there, one after the other.
    Effects,
    /// To undo it, something was changed there.
    UndoEffect,
    /// To undo it, two things were changed there.
    UndoEffects,
}

/// What steps were seen to do when nothing went wrong but what the run was for.
pub type Seen = BTreeSet<(String, Mark)>;

impl Cell {
    /// The harms that make a run in which the last one can come about: what it does not see then cannot be harmed.
    #[must_use]
    pub fn ground(&self) -> Self {
        let (_, before) = self
            .harms
            .split_last()
            .unwrap_or((&("", Harm::Calls(Trouble::Error)), &[]));
        Self {
            kind: self.kind,
            harms: before.to_vec(),
        }
    }

    /// Whether its harms can come about, given what a run of [`Cell::ground`] saw.
    #[must_use]
    pub fn applies(&self, seen: &Seen) -> bool {
        let needs = |at: usize, harm: &Harm| match harm {
            Harm::Crash(Point::BeforeCall) if at > 0 => Mark::RecoveryCall,
            Harm::Crash(point) | Harm::Stale(point) | Harm::Destroy(point) => match point {
                Point::BeforeIntent | Point::AfterIntent | Point::AfterEffect | Point::AfterRecord => {
                    Mark::Step
                }
                Point::BetweenEffects => Mark::Effects,
                Point::BetweenUndoEffects => Mark::UndoEffects,
                Point::BeforeCall => Mark::Call,
                Point::BeforeUndoCall => Mark::UndoCall,
                Point::BeforeUndoIntent
                | Point::AfterUndoIntent
                | Point::AfterUndoEffect
                | Point::AfterUndone => Mark::Undo,
            },
            Harm::Calls(Trouble::Error | Trouble::Refusal) => Mark::Call,
            Harm::Calls(Trouble::LaterRefusal) => Mark::Effects,
            Harm::Calls(_) => Mark::Effect,
            Harm::UndoCalls(Trouble::Error | Trouble::Refusal | Trouble::LaterRefusal) => Mark::UndoCall,
            Harm::UndoCalls(_) => Mark::UndoEffect,
        };
        self.harms
            .iter()
            .enumerate()
            .all(|(at, (step, harm))| seen.contains(&((*step).to_owned(), needs(at, harm))))
    }
}

/// How a cell may end: what only interrupts is finished, what fails for good is undone before the pivot and parked after
/// it.
#[must_use]
pub fn is_fair(cell: &Cell, end: OperationState) -> bool {
    let fails = cell
        .harms
        .iter()
        .any(|(_, harm)| matches!(harm, Harm::Calls(Trouble::Refusal | Trouble::LaterRefusal)));
    let is_destroyed = cell
        .harms
        .iter()
        .any(|(_, harm)| matches!(harm, Harm::Destroy(_)));
    match end {
        OperationState::Undone if is_destroyed => true,
        OperationState::Done => true,
        OperationState::Undone | OperationState::Parked => fails,
        OperationState::Running | OperationState::Undoing => false,
    }
}
