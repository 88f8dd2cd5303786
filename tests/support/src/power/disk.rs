//! A disk with a cache: what was written and what of it is certain.
//!
//! A sync that returned makes certain what had been written when it began. Of everything later any part may have
//! arrived when the power goes, unit by unit, in any order: a unit (a page, or a sector of a page that was torn) has what
//! was certain, or what it was after any of the later writes to it. A file's length is a fact of its own, and so are the
//! names in a directory, whose changes arrive in order, as journalling file systems have it.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;

use super::trace::{Call, Event, Phase, is_nameless};
use crate::Chance;

/// The least that arrives as a whole.
const SECTOR: u64 = 512;
/// What the system's cache writes at once.
const PAGE: u64 = 4096;

/// What arrived of a file's writes that were not certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Nothing.
    Nothing,
    /// Everything.
    Everything,
    /// Some pages, as they were at some time.
    Pages,
    /// Some sectors, as they were at some time.
    Sectors,
    /// What was written first, up to somewhere in the middle of a write.
    Oldest,
    /// What was written last, and the file's length.
    Newest,
    /// Some sectors; where others were written to is what was never written, and the file has its length.
    Garbled,
}

impl Arrival {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Nothing,
        Self::Everything,
        Self::Pages,
        Self::Sectors,
        Self::Oldest,
        Self::Newest,
        Self::Garbled,
    ];

    /// Any of them.
    pub fn of(chance: &mut Chance) -> Self {
        Self::ALL[chance.below(Self::ALL.len() as u64) as usize]
    }
}

/// What is left when the power is back.
#[derive(Clone, Debug, Default)]
pub struct Left {
    /// Files with their bytes.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    /// Writes that were not certain.
    pub uncertain: usize,
    /// Those of them that are nowhere.
    pub dropped: usize,
    /// Those of them that are there in part.
    pub torn: usize,
    /// Changes of names that are forgotten.
    pub forgotten: usize,
}

impl Left {
    /// Whether anything is missing.
    #[must_use]
    pub const fn is_effective(&self) -> bool {
        self.dropped + self.torn + self.forgotten > 0
    }
}

#[derive(Clone, Debug)]
enum Change {
    Write { offset: u64, data: Arc<[u8]> },
    Resize(u64),
}

#[derive(Clone, Debug)]
struct Pending {
    call: u64,
    change: Change,
    has_returned: bool,
}

#[derive(Clone, Debug, Default)]
struct File {
    certain: Vec<u8>,
    pending: Vec<Pending>,
}

/// A change of names: each gets a file, or loses the one it has.
#[derive(Clone, Debug)]
struct Renaming {
    call: u64,
    names: Vec<(PathBuf, Option<usize>)>,
}

/// What a sync under way will make certain.
#[derive(Clone, Debug)]
enum Syncing {
    File(usize, HashSet<u64>),
    Directory(PathBuf, HashSet<u64>),
}

/// Files and names, certain and not.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    files: Vec<File>,
    certain: BTreeMap<PathBuf, usize>,
    pending: Vec<Renaming>,
    under_way: HashMap<u64, Call>,
    syncing: HashMap<u64, Syncing>,
    lies_about: HashSet<u64>,
}

impl Disk {
    /// A disk with files that are certain.
    #[must_use]
    pub fn with(files: BTreeMap<PathBuf, Vec<u8>>) -> Self {
        let mut disk = Self::default();
        for (path, certain) in files {
            disk.certain.insert(path, disk.files.len());
            disk.files.push(File {
                certain,
                pending: Vec::new(),
            });
        }
        disk
    }

    /// It will say that the write of this call arrived, and it never does.
    pub fn lie_about(&mut self, call: u64) {
        self.lies_about.insert(call);
    }

    /// What happened next.
    ///
    /// # Errors
    /// When it cannot have happened: something was missed.
    pub fn apply(&mut self, event: &Event) -> anyhow::Result<()> {
        match &event.phase {
            Phase::Begins(call) => self.begin(event.call, call),
            Phase::Ends(answer) => self.end(event.call, *answer),
        }
    }

    /// Whether something of a file is not certain.
    #[must_use]
    pub fn is_uncertain(&self, path: &Path) -> bool {
        let file = self.now(path).and_then(|file| self.files.get(file));
        file.is_some_and(|file| !file.pending.is_empty())
    }

    fn now(&self, path: &Path) -> Option<usize> {
        let renamed = self.pending.iter().rev().flat_map(|change| &change.names);
        let last = renamed
            .filter(|(name, _)| name == path)
            .map(|(_, file)| *file)
            .next();
        last.unwrap_or_else(|| self.certain.get(path).copied())
    }

    fn begin(&mut self, number: u64, call: &Call) -> anyhow::Result<()> {
        match call {
            Call::Write { path, offset, data } => {
                let data = Arc::clone(data);
                self.change(
                    number,
                    path,
                    Change::Write {
                        offset: *offset,
                        data,
                    },
                )?;
            }
            Call::Append { path, data } => {
                let file = self.now(path).and_then(|file| self.files.get(file));
                let (offset, data) = (file.map_or(0, File::length), Arc::clone(data));
                self.change(number, path, Change::Write { offset, data })?;
            }
            Call::Resize { path, bytes } => self.change(number, path, Change::Resize(*bytes))?,
            Call::Sync { path } => {
                let syncing = match self.now(path).and_then(|at| Some((at, self.files.get(at)?))) {
                    Some((at, file)) => {
                        let returned = file.pending.iter().filter(|pending| pending.has_returned);
                        Syncing::File(at, returned.map(|pending| pending.call).collect())
                    }
                    None => {
                        let calls = self.pending.iter().map(|change| change.call).collect();
                        Syncing::Directory(path.clone(), calls)
                    }
                };
                self.syncing.insert(number, syncing);
            }
            // What they change is known when they return; nobody relies on it before.
            Call::Create { .. } | Call::Remove { .. } | Call::Rename { .. } => {}
        }
        self.under_way.insert(number, call.clone());
        Ok(())
    }

    fn change(&mut self, call: u64, path: &Path, change: Change) -> anyhow::Result<()> {
        if self.lies_about.contains(&call) || is_nameless(path) {
            return Ok(());
        }
        let at = self
            .now(path)
            .with_context(|| format!("{} was never made", path.display()))?;
        let file = self.files.get_mut(at).context("a name without a file")?;
        file.pending.push(Pending {
            call,
            change,
            has_returned: false,
        });
        Ok(())
    }

    fn end(&mut self, number: u64, answer: Option<u64>) -> anyhow::Result<()> {
        let call = self.under_way.remove(&number).context("it never began")?;
        match call {
            Call::Write { path, data, .. } | Call::Append { path, data } => {
                self.wrote(number, &path, data.len() as u64, answer)?
            }
            Call::Resize { path, .. } => self.wrote(number, &path, 0, answer.map(|_| 0))?,
            Call::Sync { .. } => {
                let syncing = self.syncing.remove(&number).context("it never began")?;
                if answer.is_some() {
                    self.make_certain(&syncing);
                }
            }
            Call::Create { path, truncates } if answer.is_some() => match self.now(&path) {
                Some(file) if truncates => {
                    let file = self.files.get_mut(file).context("a name without a file")?;
                    file.pending.push(Pending {
                        call: number,
                        change: Change::Resize(0),
                        has_returned: true,
                    });
                }
                Some(_) => {}
                None => {
                    self.files.push(File::default());
                    self.rename(number, vec![(path, Some(self.files.len() - 1))]);
                }
            },
            Call::Remove { path } if answer.is_some() => self.rename(number, vec![(path, None)]),
            Call::Rename { from, to } if answer.is_some() => {
                let file = self.now(&from);
                self.rename(number, vec![(from, None), (to, file)]);
            }
            Call::Create { .. } | Call::Remove { .. } | Call::Rename { .. } => {}
        }
        Ok(())
    }

    /// A write returned. One that failed or was cut short may have left anything of it behind.
    fn wrote(&mut self, call: u64, path: &Path, wanted: u64, answer: Option<u64>) -> anyhow::Result<()> {
        let Some(at) = self.now(path) else { return Ok(()) };
        let file = self.files.get_mut(at).context("a name without a file")?;
        let pending = file.pending.iter_mut().find(|pending| pending.call == call);
        if let Some(pending) = pending
            && answer == Some(wanted)
        {
            pending.has_returned = true;
        }
        Ok(())
    }

    fn rename(&mut self, call: u64, names: Vec<(PathBuf, Option<usize>)>) {
        self.pending.push(Renaming { call, names });
    }

    fn make_certain(&mut self, syncing: &Syncing) {
        match syncing {
            Syncing::File(at, calls) => {
                let Some(file) = self.files.get_mut(*at) else {
                    return;
                };
                let certain = &mut file.certain;
                file.pending.retain(|pending| {
                    let is_certain = calls.contains(&pending.call);
                    if is_certain {
                        pending.change.whole(certain);
                    }
                    !is_certain
                });
            }
            Syncing::Directory(directory, calls) => {
                let is_in = |change: &Renaming| {
                    calls.contains(&change.call)
                        && change
                            .names
                            .iter()
                            .all(|(name, _)| name.parent() == Some(directory))
                };
                let (certain, rest) = std::mem::take(&mut self.pending).into_iter().partition(is_in);
                self.pending = rest;
                carry_out(&mut self.certain, certain);
            }
        }
    }

    /// What is left when the power goes now.
    #[must_use]
    pub fn cut(&self, chance: &mut Chance, arrival: impl Fn(&Path) -> Arrival) -> Left {
        let mut left = Left::default();
        let mut names = self.certain.clone();
        let kept = match self.pending.first().and_then(|first| first.names.first()) {
            None => 0,
            Some((name, _)) => match arrival(name) {
                Arrival::Nothing => 0,
                Arrival::Everything => self.pending.len(),
                _ => chance.below(self.pending.len() as u64 + 1) as usize,
            },
        };
        left.forgotten = self.pending.len() - kept;
        carry_out(&mut names, self.pending.iter().take(kept).cloned().collect());
        for (name, at) in names {
            if let Some(file) = self.files.get(at) {
                let bytes = file.after_cut(chance, arrival(&name), &mut left);
                left.files.insert(name, bytes);
            }
        }
        left
    }

    /// What the files are as long as the power stays; without what is under way, if it is not to count.
    #[must_use]
    pub fn files(&self, with_under_way: bool) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut names = self.certain.clone();
        carry_out(&mut names, self.pending.clone());
        let whole = |at: usize| {
            let file = self.files.get(at)?;
            let mut bytes = file.certain.clone();
            let pending = file.pending.iter();
            for pending in pending.filter(|pending| with_under_way || pending.has_returned) {
                pending.change.whole(&mut bytes);
            }
            Some(bytes)
        };
        names
            .into_iter()
            .filter_map(|(name, at)| Some((name, whole(at)?)))
            .collect()
    }
}

/// Carries changes of names out.
fn carry_out(names: &mut BTreeMap<PathBuf, usize>, changes: Vec<Renaming>) {
    for (name, file) in changes.into_iter().flat_map(|change| change.names) {
        match file {
            Some(file) => names.insert(name, file),
            None => names.remove(&name),
        };
    }
}

impl Change {
    /// Carries it out.
    fn whole(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Resize(length) => bytes.resize(*length as usize, 0),
            Self::Write { offset, data } => {
                let end = *offset as usize + data.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                if let Some(place) = bytes.get_mut(*offset as usize..end) {
                    place.copy_from_slice(data);
                }
            }
        }
    }

    /// The length of the file afterwards.
    fn length(&self, before: u64) -> u64 {
        match self {
            Self::Resize(length) => *length,
            Self::Write { offset, data } => before.max(offset + data.len() as u64),
        }
    }

    /// The bytes that it changes in a file of this length.
    fn range(&self, length: u64) -> (u64, u64) {
        match self {
            Self::Resize(shorter) => (*shorter, length.max(*shorter)),
            Self::Write { offset, data } => (*offset, offset + data.len() as u64),
        }
    }
}

/// A pending change with the units that it touches, and how often each was touched before.
struct Touch<'a> {
    change: &'a Change,
    range: (u64, u64),
    units: Vec<(u64, u32)>,
}

impl File {
    /// As long as the power stays.
    fn length(&self) -> u64 {
        let certain = self.certain.len() as u64;
        let pending = self.pending.iter();
        pending.fold(certain, |length, pending| pending.change.length(length))
    }

    fn after_cut(&self, chance: &mut Chance, arrival: Arrival, left: &mut Left) -> Vec<u8> {
        left.uncertain += self.pending.len();
        let unit = if arrival == Arrival::Pages { PAGE } else { SECTOR };
        let (touches, lengths) = self.touches(unit);
        let versions = versions(&touches, arrival, chance);
        let length = match arrival {
            Arrival::Nothing => lengths.first(),
            Arrival::Everything | Arrival::Newest | Arrival::Garbled => lengths.last(),
            _ => lengths.get(chance.below(lengths.len() as u64) as usize),
        };
        let longest = lengths.iter().max().copied().unwrap_or_default();
        let mut bytes = self.certain.clone();
        bytes.resize(longest as usize, 0);
        for touch in &touches {
            let mut arrived = 0;
            for (at, before) in &touch.units {
                let has_arrived = *before < versions.get(at).copied().unwrap_or_default();
                arrived += usize::from(has_arrived);
                let (from, to) = (touch.range.0.max(at * unit), touch.range.1.min((at + 1) * unit));
                let place = bytes.get_mut(from as usize..to as usize).unwrap_or_default();
                if has_arrived {
                    touch.change.part(from, place);
                } else if arrival == Arrival::Garbled && chance.below(3) == 0 {
                    place.fill_with(|| chance.below(256) as u8);
                }
            }
            left.dropped += usize::from(arrived == 0 && !touch.units.is_empty());
            left.torn += usize::from(arrived > 0 && arrived < touch.units.len());
        }
        bytes.truncate(length.copied().unwrap_or_default() as usize);
        bytes
    }

    /// Each pending change with its units, and the lengths that the file had, the certain one first.
    fn touches(&self, unit: u64) -> (Vec<Touch<'_>>, Vec<u64>) {
        let mut lengths = vec![self.certain.len() as u64];
        let mut counts: HashMap<u64, u32> = HashMap::new();
        let mut touches = Vec::with_capacity(self.pending.len());
        for pending in &self.pending {
            let length = lengths.last().copied().unwrap_or_default();
            let range = pending.change.range(length);
            let units = if range.0 < range.1 {
                range.0 / unit..range.1.div_ceil(unit)
            } else {
                0..0
            };
            let units = units.map(|at| {
                let count = counts.entry(at).or_default();
                *count += 1;
                (at, *count - 1)
            });
            touches.push(Touch {
                change: &pending.change,
                range,
                units: units.collect(),
            });
            lengths.push(pending.change.length(length));
        }
        (touches, lengths)
    }
}

impl Change {
    /// Carries it out on the bytes at a place in its range.
    fn part(&self, from: u64, place: &mut [u8]) {
        match self {
            Self::Resize(_) => place.fill(0),
            Self::Write { offset, data } => {
                let begin = (from - offset) as usize;
                if let Some(data) = data.get(begin..begin + place.len()) {
                    place.copy_from_slice(data);
                }
            }
        }
    }
}

/// How many of its changes each unit has.
fn versions(touches: &[Touch<'_>], arrival: Arrival, chance: &mut Chance) -> BTreeMap<u64, u32> {
    let middle = chance.below(touches.len() as u64) as usize;
    let mut versions = BTreeMap::new();
    for (number, touch) in touches.iter().enumerate() {
        let here = chance.below(touch.units.len() as u64 + 1) as usize;
        for (n, (at, before)) in touch.units.iter().enumerate() {
            let version = versions.entry(*at).or_insert(0);
            let has_arrived = match arrival {
                Arrival::Oldest => number < middle || (number == middle && n < here),
                Arrival::Newest => number >= middle,
                Arrival::Everything => true,
                _ => false,
            };
            if has_arrived {
                *version = before + 1;
            }
        }
    }
    if matches!(arrival, Arrival::Pages | Arrival::Sectors | Arrival::Garbled) {
        let mut counts: BTreeMap<u64, u32> = BTreeMap::new();
        for (at, before) in touches.iter().flat_map(|touch| &touch.units) {
            counts.insert(*at, before + 1);
        }
        for (at, count) in counts {
            versions.insert(at, chance.below(u64::from(count) + 1) as u32);
        }
    }
    versions
}

#[cfg(test)]
mod tests;
