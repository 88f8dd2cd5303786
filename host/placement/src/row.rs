//! Rows and sets of rows.

/// A dense row number: a compute host or a pool. It stays with its host until the host goes; then another may get it.
pub type Row = u32;

/// A set of rows as bits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowMask {
    words: Vec<u64>,
}

impl RowMask {
    /// Adds a row.
    pub fn insert(&mut self, row: Row) {
        let word = row as usize / 64;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        if let Some(bits) = self.words.get_mut(word) {
            *bits |= 1 << (row % 64);
        }
    }

    /// Takes a row out.
    pub fn remove(&mut self, row: Row) {
        if let Some(bits) = self.words.get_mut(row as usize / 64) {
            *bits &= !(1 << (row % 64));
        }
    }

    /// Whether a row is in it.
    #[must_use]
    pub fn contains(&self, row: Row) -> bool {
        self.words
            .get(row as usize / 64)
            .is_some_and(|bits| bits & (1 << (row % 64)) != 0)
    }

    /// Adds the rows of another.
    pub fn add(&mut self, other: &Self) {
        if other.words.len() > self.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (word, more) in self.words.iter_mut().zip(&other.words) {
            *word |= more;
        }
    }

    /// Rows below `rows` that are not in it.
    #[must_use]
    pub fn others(&self, rows: u32) -> Self {
        let mut others = Self::default();
        for word in 0..rows.div_ceil(64) {
            let bits = self.words.get(word as usize).copied().unwrap_or(0);
            let last = rows - word * 64;
            let there = if last < 64 { (1 << last) - 1 } else { u64::MAX };
            others.words.push(!bits & there);
        }
        others
    }

    /// How many rows are in it.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.words.iter().map(|bits| bits.count_ones()).sum()
    }

    /// The rows, ascending.
    pub fn rows(&self) -> impl Iterator<Item = Row> + '_ {
        self.words.iter().enumerate().flat_map(|(word, &bits)| {
            (0..64u32)
                .filter(move |bit| bits & (1 << bit) != 0)
                .map(move |bit| word as u32 * 64 + bit)
        })
    }
}

/// The order among rows that are otherwise equal: from one that the seed draws onwards, and around the end. Whoever keeps rows in their
/// order finds the first of many equals without looking at all of them, which no hash of seed and identity allows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Around {
    start: Row,
    rows: u32,
}

impl Around {
    pub(crate) fn of(seed: u64, rows: u32) -> Self {
        let drawn = u128::from(mix(seed, 0)) * u128::from(rows);
        Self {
            start: (drawn >> 64) as Row,
            rows,
        }
    }

    /// How many rows there are.
    pub(crate) const fn rows(self) -> u32 {
        self.rows
    }

    /// Where the order begins.
    pub(crate) const fn start(self) -> Row {
        self.start
    }

    /// A row's place in the order, from 0.
    pub(crate) const fn place(self, row: Row) -> u32 {
        if row >= self.start {
            row - self.start
        } else {
            row + (self.rows - self.start)
        }
    }
}

/// A well-mixed number out of a seed and an identity: how samples are drawn and pools that are equal told apart, independent of
/// row numbers. The finalizer of SplitMix64.
#[must_use]
pub(crate) fn mix(seed: u64, identity: u128) -> u64 {
    let mut x = seed ^ (identity as u64).rotate_left(17) ^ (identity >> 64) as u64;
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
