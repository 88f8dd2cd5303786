//! The director of a cell: brings about what is to go wrong, once, and writes down what the steps do.

use std::time::Duration;

use parking_lot::Mutex;
use velum_model::{
    fault::{Fault, code},
    id::OperationId,
};

use super::cells::{Cell, Harm, Mark, Point, Seen, Trouble};
use crate::wire::{About, Delivery, Director, Fate, Moment, When};

/// What the cell still waits for.
struct Script {
    seen: Seen,
    harms: Vec<(&'static str, Harm)>,
    /// Harms that came about.
    hits: Vec<bool>,
    /// The step that the operation is in, and whether it is being undone.
    now: Option<(String, bool)>,
    /// Whether the present step has called the far side since the server that works on it began.
    has_called: bool,
    /// Effects that the present step asked for since then.
    effects: u32,
    /// The operation; the far side's other callers are left alone.
    about: Option<OperationId>,
}

/// See the module.
pub(super) struct Plan {
    script: Mutex<Script>,
    destroy: Mutex<Option<Box<dyn Fn() -> bool + Send>>>,
}

impl Plan {
    pub(super) fn new(cell: &Cell) -> Self {
        let script = Script {
            seen: Seen::new(),
            harms: cell.harms.clone(),
            hits: vec![false; cell.harms.len()],
            now: None,
            has_called: false,
            effects: 0,
            about: None,
        };
        Self {
            script: Mutex::new(script),
            destroy: Mutex::default(),
        }
    }

    /// The operation that the cell is about.
    pub(super) fn watch(&self, operation: OperationId) {
        self.script.lock().about = Some(operation);
    }

    /// How the instance is destroyed, when a cell wants it.
    pub(super) fn destroy_by(&self, destroy: impl Fn() -> bool + Send + 'static) {
        *self.destroy.lock() = Some(Box::new(destroy));
    }

    /// A destroy that is refused is no evidence.
    fn destroy(&self) {
        let is_accepted = self.destroy.lock().as_ref().is_some_and(|destroy| destroy());
        if !is_accepted {
            self.script.lock().hits.fill(false);
        }
    }

    /// What its steps did so far.
    pub(super) fn seen(&self) -> Seen {
        self.script.lock().seen.clone()
    }

    pub(super) fn is_hit(&self) -> bool {
        self.script.lock().hits.iter().all(|hit| *hit)
    }
}

/// What comes at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comes {
    Nothing,
    Stop(Fate),
    Destroy,
}

/// Long enough for a destroy to be through.
const LONG: Duration = Duration::from_secs(300);

impl Script {
    /// Another step, or another server in it.
    fn fresh(&mut self) {
        (self.has_called, self.effects) = (false, 0);
    }

    /// The harm at a point of a step, once.
    fn at(&mut self, step: &str, point: Point) -> Comes {
        let open = self.hits.iter().position(|hit| !hit);
        let found = self.harms.iter().zip(&self.hits).position(|((of, harm), hit)| {
            let is_there = matches!(harm, Harm::Crash(p) | Harm::Stale(p) | Harm::Destroy(p) if *p == point);
            *of == step && is_there && !hit
        });
        // A second crash waits for the first.
        let Some(at) = found.filter(|at| {
            open == Some(*at)
                || self
                    .harms
                    .iter()
                    .take(*at)
                    .zip(&self.hits)
                    .all(|((_, harm), hit)| *hit || matches!(harm, Harm::Calls(_)))
        }) else {
            return Comes::Nothing;
        };
        if let Some(hit) = self.hits.get_mut(at) {
            *hit = true;
        }
        match self.harms.get(at) {
            Some((_, Harm::Stale(_))) => Comes::Stop(Fate::Freezes),
            Some((_, Harm::Destroy(_))) => Comes::Destroy,
            _ => Comes::Stop(Fate::Dies),
        }
    }

    /// What becomes of the server before it asks the far side.
    fn before_call(&mut self, is_effect: bool) -> Comes {
        let Some((step, is_undo)) = self.now.clone() else {
            return Comes::Nothing;
        };
        let mut comes = Comes::Nothing;
        if !self.has_called {
            self.has_called = true;
            let first = if is_undo {
                Point::BeforeUndoCall
            } else {
                Point::BeforeCall
            };
            comes = self.at(&step, first);
        }
        self.effects += u32::from(is_effect);
        if is_effect && self.effects == 2 {
            let (second, mark) = if is_undo {
                (Point::BetweenUndoEffects, Mark::UndoEffects)
            } else {
                (Point::BetweenEffects, Mark::Effects)
            };
            self.seen.insert((step.clone(), mark));
            comes = self.at(&step, second);
        }
        if comes != Comes::Nothing {
            self.fresh();
        }
        comes
    }

    fn trouble(&mut self, life: u32, is_effect: bool) -> Option<Trouble> {
        let (step, is_undo) = self.now.clone()?;
        if life > 1 && !is_undo {
            self.seen.insert((step.clone(), Mark::RecoveryCall));
        }
        let marks: &[Mark] = match (is_undo, is_effect) {
            (false, false) => &[Mark::Call],
            (false, true) => &[Mark::Call, Mark::Effect],
            (true, false) => &[Mark::UndoCall],
            (true, true) => &[Mark::UndoCall, Mark::UndoEffect],
        };
        self.seen.extend(marks.iter().map(|mark| (step.clone(), *mark)));
        let at = self.harms.iter().position(|(of, harm)| {
            *of == step
                && match harm {
                    Harm::Calls(_) => !is_undo,
                    Harm::UndoCalls(_) => is_undo,
                    Harm::Crash(_) | Harm::Stale(_) | Harm::Destroy(_) => false,
                }
        })?;
        let (_, Harm::Calls(trouble) | Harm::UndoCalls(trouble)) = self.harms.get(at)? else {
            return None;
        };
        let (trouble, is_new) = (*trouble, !self.hits.get(at)?);
        // Questions fail too where an error is what goes wrong; what acts is what is repeated.
        let fits = match trouble {
            Trouble::Error => is_new,
            Trouble::Refusal => true,
            Trouble::LaterRefusal => is_effect && self.effects > 1,
            Trouble::Timeout => is_new && is_effect,
            Trouble::Twice | Trouble::Late => is_effect,
        };
        if !fits {
            return None;
        }
        if let Some(hit) = self.hits.get_mut(at) {
            *hit = true;
        }
        Some(trouble)
    }
}

impl Director for Plan {
    fn at_commit(&self, _: u32, when: When, operation: OperationId, moment: &Moment) -> Fate {
        let mut script = self.script.lock();
        if script.about.is_some_and(|about| about != operation) {
            return Fate::Goes;
        }
        let mut points: Vec<(String, Point)> = Vec::new();
        match moment {
            Moment::Intent { step, .. } => drop(script.seen.insert((step.clone(), Mark::Step))),
            Moment::UndoIntent(step) => drop(script.seen.insert((step.clone(), Mark::Undo))),
            Moment::End { .. } | Moment::Undone(_) | Moment::Other => {}
        }
        match (moment, when) {
            (Moment::Intent { step, done }, When::Before) => {
                points.extend(done.iter().map(|done| (done.clone(), Point::AfterEffect)));
                points.push((step.clone(), Point::BeforeIntent));
            }
            (Moment::Intent { step, done }, When::After) => {
                script.now = Some((step.clone(), false));
                script.fresh();
                points.extend(done.iter().map(|done| (done.clone(), Point::AfterRecord)));
                points.push((step.clone(), Point::AfterIntent));
            }
            (Moment::End { done, .. }, When::Before) => {
                points.extend(done.iter().map(|done| (done.clone(), Point::AfterEffect)));
            }
            (Moment::End { done, .. }, When::After) => {
                script.now = None;
                points.extend(done.iter().map(|done| (done.clone(), Point::AfterRecord)));
            }
            (Moment::UndoIntent(step), When::Before) => points.push((step.clone(), Point::BeforeUndoIntent)),
            (Moment::UndoIntent(step), When::After) => {
                script.now = Some((step.clone(), true));
                script.fresh();
                points.push((step.clone(), Point::AfterUndoIntent));
            }
            (Moment::Undone(step), When::Before) => points.push((step.clone(), Point::AfterUndoEffect)),
            (Moment::Undone(step), When::After) => points.push((step.clone(), Point::AfterUndone)),
            (Moment::Other, _) => {}
        }
        for (step, point) in points {
            match script.at(&step, point) {
                Comes::Nothing => {}
                Comes::Stop(fate) => {
                    script.fresh();
                    return fate;
                }
                Comes::Destroy => {
                    drop(script);
                    self.destroy();
                    return Fate::Goes;
                }
            }
        }
        Fate::Goes
    }

    fn at_call(&self, life: u32, about: About) -> (Fate, Delivery) {
        let mut script = self.script.lock();
        let mut delivery = Delivery::default();
        let fate = match script.before_call(about.is_effect) {
            Comes::Nothing => Fate::Goes,
            Comes::Stop(fate) => fate,
            Comes::Destroy => {
                delivery.delay = LONG;
                drop(script);
                self.destroy();
                return (Fate::Goes, delivery);
            }
        };
        match script.trouble(life, about.is_effect) {
            None => {}
            Some(Trouble::Error) => {
                delivery.copies = 0;
                delivery.before = Some(Fault::unchanged(code::FAILED, "the matrix wants it so"));
            }
            Some(Trouble::Refusal | Trouble::LaterRefusal) => {
                delivery.copies = 0;
                delivery.before = Some(Fault::unchanged(code::EXHAUSTED, "the matrix wants it so"));
            }
            Some(Trouble::Timeout) => {
                delivery.after = Some(Fault::new(code::DEADLINE, "the matrix wants it so"));
            }
            Some(Trouble::Twice) => delivery.copies = 2,
            Some(Trouble::Late) => delivery.late.push(Duration::from_secs(60)),
        }
        (fate, delivery)
    }

    fn answered(&self, _: u32, _: About, _: &str) {}
}
