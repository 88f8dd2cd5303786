//! A far side in memory: guests on compute hosts, volumes in a pool, seeds, links, images, each place behind a gate. It
//! keeps what it was told, says what is wrong with it, and can be copied with all that is in it.

mod gate;
mod guests;
mod ports;
mod storage;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use parking_lot::Mutex;
use uuid::Uuid;
use velum_model::{
    fault::Fault,
    port::{
        Effect, Fence,
        target::{Attr, Job, Outcome},
    },
};

pub use gate::Gate;
pub use ports::Ports;

/// What an effect answers, and is answered again when it is repeated.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Done.
    Done(Vec<Attr>),
    /// It goes on; ask by the token.
    Working(String),
    /// A word: a path, the name of a link.
    Text(String),
}

impl Answer {
    /// As drivers and providers say it.
    fn outcome(self) -> Outcome {
        match self {
            Self::Done(attrs) => Outcome::Done(attrs),
            Self::Text(_) => Outcome::Done(Vec::new()),
            Self::Working(token) => Outcome::Working(Job {
                token,
                poll_after_ms: 50,
                permyriad: Some(5_000),
                cancellable: false,
                note: "half way".into(),
            }),
        }
    }

    /// As nodes say it.
    fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Done(_) | Self::Working(_) => String::new(),
        }
    }
}

/// A volume or a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// Its size.
    pub bytes: u64,
    /// Polls until it is ready.
    pub polls: u32,
}

/// A guest that is defined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    /// The compute host.
    pub host: Uuid,
    /// Whose incarnation it is.
    pub instance: Uuid,
    /// Whether it is on.
    pub is_on: bool,
    /// Polls until a guest that was asked to shut down is off.
    pub polls: u32,
    /// Its disks: slot to volume.
    pub disks: BTreeMap<u16, Uuid>,
}

/// Everything that exists.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Volumes and layers by our id.
    pub volumes: BTreeMap<Uuid, Made>,
    /// Which volume is reached from where.
    pub published: BTreeSet<(Uuid, Uuid)>,
    /// Guests by run.
    pub guests: BTreeMap<Uuid, Guest>,
    /// Seeds: (node, run).
    pub seeds: BTreeSet<(String, Uuid)>,
    /// Links: (node, network).
    pub links: BTreeSet<(String, Uuid)>,
    /// Images: bytes received.
    pub images: BTreeMap<Uuid, u64>,
    /// What must never have happened.
    pub violations: Vec<String>,
    gates: BTreeMap<String, Gate>,
    calls: BTreeMap<&'static str, u64>,
    /// Creations of volumes take this many polls.
    pub slowness: u32,
    /// Gates let everybody through: for showing what they are good for.
    pub has_open_gates: bool,
}

impl State {
    /// The gate of a place.
    fn gate(&mut self, place: &str) -> &mut Gate {
        self.gates.entry(place.to_owned()).or_default()
    }

    /// An effect in its place's critical section.
    fn effect(
        &mut self,
        place: &str,
        (fence, effect): (&Fence, &Effect),
        verb: &'static str,
        act: impl FnOnce(&mut Self) -> Result<Answer, Fault>,
    ) -> Result<Answer, Fault> {
        *self.calls.entry(verb).or_default() += 1;
        if !self.has_open_gates
            && let Some(answer) = self.gate(place).enter(fence, effect, verb)?
        {
            return Ok(answer);
        }
        let answer = act(self)?;
        self.gate(place).done(fence, effect, verb, answer.clone());
        Ok(answer)
    }

    /// Every place learns of a new owner of a shard.
    pub fn announce(&mut self, shard: Uuid, epoch: u64) {
        for gate in self.gates.values_mut() {
            gate.announce(shard, epoch);
        }
    }

    /// Effects that a gate refused.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.gates.values().map(Gate::refused).sum()
    }

    fn violation(&mut self, what: String) {
        self.violations.push(what);
    }
}

/// The far side; clones share it.
#[derive(Clone, Debug, Default)]
pub struct FarSide(Arc<Mutex<State>>);

impl FarSide {
    /// One with all this in it.
    #[must_use]
    pub fn with(state: State) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    /// A copy of everything.
    #[must_use]
    pub fn state(&self) -> State {
        self.0.lock().clone()
    }

    /// Looks or changes, at one instant.
    pub fn at_once<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.0.lock())
    }
}
