//! The memory of effects: the same identity is the same change, however often it is asked for.

use std::collections::{HashMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::refusal::Refused;

/// Effects remembered. A caller retries within minutes; at the 2,000 changes a second that a bench reaches, this is over
/// a minute and a half, and some 50 MB.
const REMEMBERED: usize = 200_000;

/// What became of an effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Fate {
    /// It is so; what was answered.
    Done(Value),
    /// It goes on.
    Working,
    /// Its work failed or was cancelled.
    Failed(Refused),
}

/// An effect that acted here.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The path that it was asked under.
    pub place: String,
    /// What became of it.
    pub fate: Fate,
}

/// Effects by token (`verb.effect-id`), the oldest forgotten first.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Effects {
    records: HashMap<String, Record>,
    order: VecDeque<String>,
}

impl Effects {
    /// What is remembered under a token.
    #[must_use]
    pub fn get(&self, token: &str) -> Option<&Record> {
        self.records.get(token)
    }

    /// Remembers, in place of what was known.
    pub fn put(&mut self, token: &str, place: &str, fate: Fate) {
        let record = Record {
            place: place.to_owned(),
            fate,
        };
        if self.records.insert(token.to_owned(), record).is_none() {
            self.order.push_back(token.to_owned());
        }
        while self.order.len() > REMEMBERED {
            if let Some(oldest) = self.order.pop_front() {
                self.records.remove(&oldest);
            }
        }
    }

    /// Changes the fate of what is remembered.
    pub fn settle(&mut self, token: &str, fate: Fate) {
        if let Some(record) = self.records.get_mut(token) {
            record.fate = fate;
        }
    }
}
