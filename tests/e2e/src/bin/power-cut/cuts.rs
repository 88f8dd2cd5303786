//! Moments at which the power may go, of a record of what a server wrote.

use std::{collections::BTreeMap, path::Path};

use velum_support::{
    Chance,
    power::{Call, Event, Phase},
};

use crate::load::Promise;

/// Moments of one kind, as how many events were before.
type Moments = Vec<usize>;

/// The log begins again with a header of its own; frames come behind it.
const HEADER: usize = 32;
/// What follows the first write to a log that begins again, and may still get into its way.
const AFTER_RESTART: usize = 8;

/// A record, and what is where in it.
pub struct Record<'a> {
    pub events: &'a [Event],
    database: &'a Path,
    log: &'a Path,
    /// Moments by what is going on.
    kinds: BTreeMap<&'static str, Moments>,
    /// Syncs of the database that came back: ends of checkpoints.
    pub checkpoints: usize,
    /// How often the log began again.
    pub restarts: usize,
    /// Syncs of the log that came back.
    pub commits: usize,
}

impl<'a> Record<'a> {
    pub fn of(events: &'a [Event], database: &'a Path, log: &'a Path) -> Self {
        let mut record = Self {
            events,
            database,
            log,
            kinds: BTreeMap::new(),
            checkpoints: 0,
            restarts: 0,
            commits: 0,
        };
        record.find();
        record
    }

    fn find(&mut self) {
        let mut under_way = BTreeMap::new();
        // Whether the database was written to since it was last synced.
        let mut is_copying = false;
        let events = self.events;
        for (at, event) in events.iter().enumerate() {
            let call = match &event.phase {
                Phase::Begins(call) => {
                    under_way.insert(event.call, call);
                    Some(call)
                }
                Phase::Ends(_) => under_way.remove(&event.call),
            };
            let (is_end, after) = (matches!(event.phase, Phase::Ends(Some(_))), at + 1);
            match call {
                Some(Call::Sync { path }) => {
                    self.note("syncs", [at, after]);
                    self.commits += usize::from(is_end && path == self.log);
                    if is_copying && path == self.database {
                        self.note("checkpoints", [at, after]);
                        self.checkpoints += usize::from(is_end);
                        is_copying &= !is_end;
                    }
                }
                Some(Call::Write { path, .. } | Call::Resize { path, .. }) if path == self.database => {
                    is_copying = true;
                    self.note("checkpoints", [after]);
                }
                Some(Call::Write {
                    path,
                    offset: 0,
                    data,
                }) if path == self.log && data.len() == HEADER => {
                    let until = (after + AFTER_RESTART).min(self.events.len());
                    self.note("restarts", at..=until);
                    self.restarts += usize::from(is_end);
                }
                Some(Call::Create { .. } | Call::Remove { .. } | Call::Rename { .. }) => {
                    self.note("names", [at, after]);
                }
                _ if is_copying => self.note("checkpoints", [after]),
                _ => {}
            }
        }
        self.note("anywhere", 0..=self.events.len());
    }

    fn note(&mut self, kind: &'static str, moments: impl IntoIterator<Item = usize>) {
        self.kinds.entry(kind).or_default().extend(moments);
    }

    /// So many moments in order, as many of each kind as there is room for.
    pub fn moments(&self, count: usize, chance: &mut Chance) -> Vec<(usize, &'static str)> {
        let kinds = self.kinds.iter().cycle().take(count);
        let mut moments: Vec<(usize, &'static str)> = kinds
            .filter_map(|(kind, moments)| {
                let at = chance.below(moments.len() as u64) as usize;
                Some((*moments.get(at)?, *kind))
            })
            .collect();
        moments.sort_unstable();
        moments
    }

    /// Moments before an instant at which names and syncs were on the way.
    pub fn moments_until(&self, instant: i64, count: usize, chance: &mut Chance) -> Vec<usize> {
        let end = self.events.partition_point(|event| event.at < instant);
        let kinds = ["names", "syncs"].iter().filter_map(|kind| self.kinds.get(kind));
        let early: Vec<usize> = kinds.flatten().copied().filter(|at| *at < end).collect();
        let any = (0..count).filter_map(|_| early.get(chance.below(early.len() as u64) as usize));
        any.copied().collect()
    }

    /// The instant just before what follows a moment: whatever was answered by then is a promise.
    pub fn instant(&self, moment: usize) -> i64 {
        self.events.get(moment).map_or(i64::MAX, |event| event.at)
    }

    /// A lie that a promise does not survive, and the moment after the answer: the first frame that was written to the log
    /// after the request, if nothing of it was copied to the database by then.
    pub fn lie(&self, promise: &Promise) -> Option<(u64, usize)> {
        let from = self.events.partition_point(|event| event.at < promise.asked);
        let to = self.events.partition_point(|event| event.at <= promise.at);
        let mut lie = None;
        for event in self.events.get(from..to)? {
            match &event.phase {
                Phase::Begins(Call::Write { path, .. }) if path == self.database => return None,
                Phase::Begins(Call::Write { path, offset, .. }) if path == self.log => {
                    if *offset < HEADER as u64 {
                        return None;
                    }
                    lie = lie.or(Some(event.call));
                }
                _ => {}
            }
        }
        Some((lie?, to))
    }
}
