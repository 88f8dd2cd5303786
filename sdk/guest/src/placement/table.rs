//! The inventory as a policy holds it: columns of numbers, at one epoch.

/// Columns at an epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    epoch: u64,
    rows: usize,
    columns: usize,
    /// Column after column.
    values: Vec<u32>,
}

impl Table {
    /// Takes a whole inventory; none if the lengths do not fit.
    pub fn load(epoch: u64, rows: u32, columns: usize, values: Vec<u32>) -> Option<Self> {
        let rows = rows as usize;
        (rows.checked_mul(columns)? == values.len()).then_some(Self {
            epoch,
            rows,
            columns,
            values,
        })
    }

    /// Changes rows; false, with nothing changed, if this is not `before` or the lengths do not fit.
    pub fn apply(&mut self, before: u64, after: u64, rows: &[u32], values: &[u32]) -> bool {
        let fits = self.epoch == before
            && rows.len().checked_mul(self.columns) == Some(values.len())
            && rows.iter().all(|row| (*row as usize) < self.rows);
        if !fits {
            return false;
        }
        for column in 0..self.columns {
            let new = &values[column * rows.len()..(column + 1) * rows.len()];
            let held = &mut self.values[column * self.rows..(column + 1) * self.rows];
            for (row, value) in rows.iter().zip(new) {
                held[*row as usize] = *value;
            }
        }
        self.epoch = after;
        true
    }

    /// The epoch that it holds.
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// How many rows there are.
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// A whole column by its position in the declaration; empty if there is none.
    pub fn column(&self, position: usize) -> &[u32] {
        self.values
            .get(position * self.rows..(position + 1) * self.rows)
            .unwrap_or(&[])
    }

    /// One value; 0 where there is none.
    #[inline]
    pub fn value(&self, position: usize, row: usize) -> u32 {
        self.values.get(position * self.rows + row).copied().unwrap_or(0)
    }
}
