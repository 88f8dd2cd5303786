//! Scores of rows, kept so that the best are found without looking at all of them.

use crate::row::{Around, Row, RowMask};

/// Rows of a block. The best 17 of 100,000 rows lie in 18 blocks at most: 4,608 rows and 391 blocks are looked at.
const BLOCK: usize = 256;

/// The scores of a zone's rows: those of each block of rows, and the best of each block.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standings {
    /// One more than the score; 0 without one.
    of_row: Vec<u32>,
    of_block: Vec<u32>,
}

/// A row with its score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) row: Row,
    pub(crate) score: u32,
}

impl Standings {
    /// Without a score for any of so many rows.
    pub(crate) fn none(rows: u32) -> Self {
        let mut standings = Self::default();
        standings.grow(rows);
        standings
    }

    /// Has room for so many rows from now on.
    pub(crate) fn grow(&mut self, rows: u32) {
        let rows = rows as usize;
        self.of_row.resize(rows, 0);
        self.of_block.resize(rows.div_ceil(BLOCK), 0);
    }

    /// Gives a row its score, or takes it away.
    pub(crate) fn set(&mut self, row: Row, score: Option<u32>) {
        let value = score.map_or(0, |score| score.saturating_add(1));
        let block = row as usize / BLOCK;
        let Some(cell) = self.of_row.get_mut(row as usize) else {
            return;
        };
        let before = std::mem::replace(cell, value);
        let Some(best) = self.of_block.get_mut(block) else {
            return;
        };
        if value >= *best {
            *best = value;
        } else if before == *best {
            let rows = self.of_row.chunks(BLOCK).nth(block);
            *best = rows.into_iter().flatten().copied().max().unwrap_or(0);
        }
    }

    /// The best `count` that are not among `skipped`, best first; equals in the order of `around`.
    pub(crate) fn best(&self, around: Around, count: usize, skipped: &RowMask) -> Vec<Standing> {
        // Each skipped row may stand where one that is wanted would.
        let wanted = count + skipped.count() as usize;
        let mut best = Best {
            around,
            count,
            least: 1,
            found: Vec::with_capacity(count.min(self.of_row.len()) + 1),
        };
        let first = around.start() as usize / BLOCK;
        self.look_at(first, skipped, &mut best);
        for block in self.promising(first, wanted) {
            if !best.may_have(
                self.of_block.get(block).copied().unwrap_or(0),
                (block * BLOCK) as Row,
            ) {
                // The blocks behind it have less, or the same in later places.
                break;
            }
            self.look_at(block, skipped, &mut best);
        }
        best.found
            .iter()
            .map(|&(value, _, row)| Standing {
                row,
                score: value - 1,
            })
            .collect()
    }

    /// The best `count` of a few rows that are not among `skipped`, best first; equals in the order of `around`.
    pub(crate) fn best_of(
        &self,
        rows: &[Row],
        around: Around,
        count: usize,
        skipped: &RowMask,
    ) -> Vec<Standing> {
        let value = |row: Row| self.of_row.get(row as usize).copied().unwrap_or(0);
        let mut best: Vec<(u32, u32, Row)> = rows
            .iter()
            .filter(|&&row| value(row) > 0 && !skipped.contains(row))
            .map(|&row| (u32::MAX - value(row), around.place(row), row))
            .collect();
        best.sort_unstable();
        best.truncate(count);
        let standing = |(less, _, row)| Standing {
            row,
            score: u32::MAX - less - 1,
        };
        best.into_iter().map(standing).collect()
    }

    /// Blocks in which the best so many rows lie, best first, beside the block in which the order begins, which is its first and its
    /// last: for any other block there are as many before it that hold a better row, or an equal one in an earlier place.
    fn promising(&self, first: usize, wanted: usize) -> Vec<usize> {
        let blocks = self.of_block.len().max(1);
        let place = |block: usize| (block + blocks - first) % blocks;
        let mut others: Vec<(u32, usize)> = self
            .of_block
            .iter()
            .enumerate()
            .filter(|&(block, &best)| best > 0 && block != first)
            .map(|(block, &best)| (u32::MAX - best, place(block)))
            .collect();
        if others.len() > wanted {
            others.select_nth_unstable(wanted);
            others.truncate(wanted);
        }
        others.sort_unstable();
        others
            .into_iter()
            .map(|(_, place)| (first + place) % blocks)
            .collect()
    }

    fn look_at(&self, block: usize, skipped: &RowMask, best: &mut Best) {
        let begin = block * BLOCK;
        let rows = self.of_row.iter().skip(begin).take(BLOCK);
        for (row, &value) in (begin as Row..).zip(rows) {
            if value >= best.least && best.may_have(value, row) && !skipped.contains(row) {
                best.offer(value, row);
            }
        }
    }
}

/// The best so far.
struct Best {
    around: Around,
    count: usize,
    /// The value below which no row can be among them any more.
    least: u32,
    /// Value, place, row; best first.
    found: Vec<(u32, u32, Row)>,
}

impl Best {
    /// Whether a row can be among them.
    fn may_have(&self, value: u32, row: Row) -> bool {
        match self.found.last() {
            Some(&(_, last, _)) if self.found.len() >= self.count => {
                value > self.least || (value == self.least && self.around.place(row) < last)
            }
            _ => value >= self.least,
        }
    }

    fn offer(&mut self, value: u32, row: Row) {
        let place = self.around.place(row);
        let at = self
            .found
            .partition_point(|&(other, earlier, _)| other > value || (other == value && earlier < place));
        self.found.insert(at, (value, place, row));
        self.found.truncate(self.count);
        if let Some(&(least, ..)) = self.found.last().filter(|_| self.found.len() >= self.count) {
            self.least = least;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_best_are_those_of_a_whole_sort(
            // Few scores, so that there are many equals.
            scores in prop::collection::vec(prop::option::of(0u32..4), 1..1500),
            changes in prop::collection::vec((0usize..1500, prop::option::of(0u32..4)), 0..200),
            skipped in prop::collection::vec(0u32..1500, 0..20),
            seed: u64, count in 1usize..40,
        ) {
            let rows = scores.len() as u32;
            let mut standings = Standings::none(rows);
            let mut plain = scores.clone();
            for (row, score) in scores.into_iter().enumerate() {
                standings.set(row as Row, score);
            }
            for (row, score) in changes {
                if let Some(cell) = plain.get_mut(row) {
                    *cell = score;
                    standings.set(row as Row, score);
                }
            }
            let mut mask = RowMask::default();
            skipped.iter().for_each(|&row| mask.insert(row));
            let around = Around::of(seed, rows);
            let mut all: Vec<(u32, u32, Row)> = (0..rows)
                .filter(|row| !skipped.contains(row))
                .filter_map(|row| Some((u32::MAX - plain[row as usize]?, around.place(row), row)))
                .collect();
            all.sort_unstable();
            let expected: Vec<Standing> = all
                .into_iter()
                .take(count)
                .map(|(score, _, row)| Standing { row, score: u32::MAX - score })
                .collect();
            prop_assert_eq!(&standings.best(around, count, &mask), &expected);
            let each: Vec<Row> = (0..rows).collect();
            prop_assert_eq!(&standings.best_of(&each, around, count, &mask), &expected);
        }
    }
}
