//! The director of a seed: chance decides what goes wrong, until it is calm.

use std::time::Duration;

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use velum_model::{
    fault::{Fault, code},
    id::OperationId,
};
use velum_store::{DatabaseAsk, DatabaseFate};
use velum_support::Chance;

use crate::{
    server::{is_inside, short},
    wire::{About, Delivery, Director, Fate, Moment, When},
};

/// Crashes and standstills of one seed at most.
const STOPS: u32 = 4;

/// One in so many reads of a database, statements of a transaction, and transactions fails first: about one fault a seed.
const READS: u64 = 400;
const WRITES: u64 = 1_500;
const COMMITS: u64 = 150;
/// As many that follow fail too, at most. Whoever looks what became of a transaction waits some milliseconds of real time
/// after each.
const BROKEN: u64 = 5;
/// Lines of a trace at most: a seed of nine requests has some five hundred. Something that goes round in circles for ever is
/// told, not waited for.
const LINES: u64 = 100_000;

/// Hears each line of a trace as it is written.
pub type Tell = Box<dyn FnMut(&str) + Send>;

/// The weather of one seed.
pub(super) struct Storm(Mutex<Weather>);

struct Weather {
    chance: Chance,
    is_calm: bool,
    stops: u32,
    faults: u32,
    /// What the database is asked next that fails too.
    broken: u64,
    disk_faults: u32,
    began: Instant,
    /// Since then, as the simulation saw it last: a database that answers from outside sees another clock.
    elapsed: Duration,
    trace: Sha256,
    lines: u64,
    tell: Option<Tell>,
}

impl Storm {
    pub(super) fn new(seed: u64, tell: Option<Tell>) -> Self {
        let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5656_4c4d);
        chance.below(2);
        Self(Mutex::new(Weather {
            chance,
            is_calm: false,
            stops: 0,
            faults: 0,
            broken: 0,
            disk_faults: 0,
            began: Instant::now(),
            elapsed: Duration::ZERO,
            trace: Sha256::new(),
            lines: 0,
            tell,
        }))
    }

    pub(super) fn below(&self, bound: u64) -> u64 {
        self.0.lock().chance.below(bound)
    }

    pub(super) fn calm(&self) {
        self.0.lock().is_calm = true;
    }

    pub(super) fn note(&self, line: &str) {
        self.0.lock().note(line);
    }
}

impl Storm {
    /// How many faults there were, and the hash of the trace.
    pub(super) fn end(&self) -> (u32, String) {
        let mut weather = self.0.lock();
        let hash = hex::encode(std::mem::take(&mut weather.trace).finalize());
        (weather.faults, hash)
    }

    /// Whether more happened than ends by itself.
    pub(super) fn is_endless(&self) -> bool {
        self.0.lock().is_endless()
    }

    /// What the databases were asked and failed to do.
    pub(super) fn disk_faults(&self) -> u32 {
        self.0.lock().disk_faults
    }
}

impl Weather {
    fn note(&mut self, line: &str) {
        if is_inside() {
            self.elapsed = self.began.elapsed();
        }
        let line = format!("{:>10} {line}", self.elapsed.as_micros());
        self.trace.update(line.as_bytes());
        self.trace.update(b"\n");
        self.lines += 1;
        if let Some(tell) = &mut self.tell {
            tell(&line);
        }
    }

    fn is_endless(&self) -> bool {
        self.lines > LINES
    }

    /// Once in `of` times.
    fn once_in(&mut self, of: u64) -> bool {
        self.chance.below(of) == 0
    }

    fn stop(&mut self, of: u64) -> Fate {
        if self.is_endless() {
            return Fate::Dies;
        }
        if self.is_calm || self.stops >= STOPS || !self.once_in(of) {
            return Fate::Goes;
        }
        self.stops += 1;
        if self.once_in(2) {
            Fate::Dies
        } else {
            Fate::Freezes
        }
    }

    /// A disk that fails fails for a while: what is done about it is to go wrong too.
    fn disk(&mut self, ask: DatabaseAsk) -> DatabaseFate {
        if self.is_calm {
            return DatabaseFate::Answers;
        }
        let chance = match ask {
            DatabaseAsk::Read => READS,
            DatabaseAsk::Write => WRITES,
            DatabaseAsk::Commit => COMMITS,
        };
        if self.broken > 0 {
            self.broken -= 1;
        } else if self.once_in(chance) {
            self.broken = self.chance.below(BROKEN);
        } else {
            return DatabaseFate::Answers;
        }
        self.disk_faults += 1;
        if ask == DatabaseAsk::Commit && self.once_in(2) {
            DatabaseFate::FailsAfter
        } else {
            DatabaseFate::FailsBefore
        }
    }

    fn delivery(&mut self, about: About) -> Delivery {
        let mut delivery = Delivery {
            delay: Duration::from_millis(1 + self.chance.below(150)),
            ..Delivery::default()
        };
        if self.is_calm {
            return delivery;
        }
        let fault = self.chance.below(100);
        self.faults += u32::from(fault < 16);
        match fault {
            0..=1 => {
                delivery.copies = 0;
                delivery.before = Some(Fault::new(code::UNREACHABLE, "the weather"));
            }
            2..=3 => {
                delivery.copies = 0;
                delivery.before = Some(Fault::unchanged(code::BUSY, "the weather"));
            }
            // What fails for good only where an operation can still turn back.
            4 if matches!(
                about.verb,
                "create" | "publish" | "define" | "seed" | "link" | "start" | "fill"
            ) =>
            {
                delivery.copies = 0;
                delivery.before = Some(Fault::unchanged(code::EXHAUSTED, "the weather"));
            }
            5..=8 => delivery.after = Some(Fault::new(code::DEADLINE, "the weather")),
            9..=10 => delivery.copies = 2,
            11..=12 => delivery
                .late
                .push(Duration::from_millis(1 + self.chance.below(120_000))),
            13..=15 => delivery.delay = Duration::from_millis(self.chance.below(30_000)),
            _ => {}
        }
        delivery
    }
}

impl Director for Storm {
    fn at_commit(&self, life: u32, when: When, operation: OperationId, moment: &Moment) -> Fate {
        let mut weather = self.0.lock();
        let fate = weather.stop(80);
        weather.note(&format!(
            "{life} {when:?} {} {moment:?} {fate:?}",
            short(operation)
        ));
        fate
    }

    fn at_call(&self, life: u32, about: About) -> (Fate, Delivery) {
        let mut weather = self.0.lock();
        let fate = weather.stop(120);
        let delivery = weather.delivery(about);
        weather.note(&format!("{life} {} {fate:?} {delivery:?}", about.verb));
        (fate, delivery)
    }

    fn answered(&self, life: u32, about: About, answer: &str) {
        self.note(&format!("{life} {} answers {answer}", about.verb));
    }

    fn at_database(&self, life: u32, ask: DatabaseAsk) -> DatabaseFate {
        let mut weather = self.0.lock();
        let fate = weather.disk(ask);
        if fate != DatabaseFate::Answers {
            weather.note(&format!("{life} database {ask:?} {fate:?}"));
        }
        fate
    }
}
