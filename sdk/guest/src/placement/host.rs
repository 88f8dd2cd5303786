//! Rows as a policy sees them.

use std::cell::Cell;

use super::{Ask, declaration::Declaration, table::Table};
use crate::codes::placement as code;

/// How many built-in columns have a place in the index of [`Places`].
const BUILT_IN: usize = 16;

/// Where a declared column lies.
#[derive(Clone, Debug, Default)]
pub struct Places {
    built_in: [Option<u16>; BUILT_IN],
    named: Vec<(String, u16)>,
    /// Of resources, with which of their columns it is.
    resources: Vec<(String, u16, u16)>,
    other: Vec<(u16, u16)>,
    facts: Vec<u16>,
}

impl Places {
    /// Of a declaration.
    pub fn of(declaration: &Declaration) -> Self {
        let mut places = Self {
            facts: declaration.facts.clone(),
            ..Self::default()
        };
        for (place, (id, name)) in (0u16..).zip(&declaration.columns) {
            match (name, places.built_in.get_mut(usize::from(*id))) {
                (Some(name), _) if *id == code::COLUMN_ATTRIBUTE => places.named.push((name.clone(), place)),
                (Some(name), _) => places.resources.push((name.clone(), *id, place)),
                (None, Some(known)) => *known = Some(place),
                (None, None) => places.other.push((*id, place)),
            }
        }
        places
    }

    fn column(&self, id: u16) -> Option<usize> {
        let place = match self.built_in.get(usize::from(id)) {
            Some(place) => *place,
            None => self
                .other
                .iter()
                .find(|(known, _)| *known == id)
                .map(|(_, place)| *place),
        };
        place.map(usize::from)
    }

    #[inline]
    fn resource(&self, id: u16, name: &str) -> Option<usize> {
        self.resources
            .iter()
            .find(|(known, of, _)| *of == id && is_same(known.as_bytes(), name.as_bytes()))
            .map(|(.., place)| usize::from(*place))
    }

    #[inline(always)]
    fn attribute(&self, name: &str) -> Option<usize> {
        self.named
            .iter()
            .find(|(known, _)| is_same(known.as_bytes(), name.as_bytes()))
            .map(|(_, place)| usize::from(*place))
    }
}

/// Whether two names are the same. Asked for every row: eight bytes at a time, in place; the function that `==` calls for it goes
/// byte by byte in a component, and was half of what a short policy cost.
#[inline(always)]
fn is_same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let (words, rest) = one.as_chunks::<8>();
    let (other_words, other_rest) = other.as_chunks::<8>();
    let word = |(one, other): (&[u8; 8], &[u8; 8])| u64::from_le_bytes(*one) == u64::from_le_bytes(*other);
    if !words.iter().zip(other_words).all(word) {
        return false;
    }
    let (halves, rest) = rest.as_chunks::<4>();
    let (other_halves, other_rest) = other_rest.as_chunks::<4>();
    let half = |(one, other): (&[u8; 4], &[u8; 4])| u32::from_le_bytes(*one) == u32::from_le_bytes(*other);
    halves.iter().zip(other_halves).all(half) && rest.iter().zip(other_rest).all(|(one, other)| one == other)
}

/// The rows that are asked about, and all that is held.
#[derive(Debug)]
pub struct View<'a> {
    places: &'a Places,
    table: &'a Table,
    asked: &'a [u32],
    /// The built-in columns by their codes: found once for a question, read for every row.
    built_in: [&'a [u32]; BUILT_IN],
}

impl<'a> View<'a> {
    pub(crate) fn new(places: &'a Places, table: &'a Table, asked: &'a [u32]) -> Self {
        let column = |place: Option<u16>| place.map_or(&[][..], |place| table.column(usize::from(place)));
        Self {
            places,
            table,
            asked,
            built_in: places.built_in.map(column),
        }
    }

    /// Numbers of the rows that want a score, in the order of the answer.
    #[must_use]
    pub const fn asked(&self) -> &'a [u32] {
        self.asked
    }

    /// How many rows are held.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.table.rows()
    }

    /// A declared column over all rows held, by its code; empty if it was not declared.
    #[must_use]
    pub fn column(&self, id: u16) -> &'a [u32] {
        self.places
            .column(id)
            .map_or(&[], |place| self.table.column(place))
    }

    /// A declared attribute over all rows held; empty if it was not declared.
    #[must_use]
    pub fn attribute(&self, name: &str) -> &'a [u32] {
        self.places
            .attribute(name)
            .map_or(&[], |place| self.table.column(place))
    }

    /// One row.
    #[must_use]
    #[inline]
    pub const fn host(&self, row: u32) -> Host<'_> {
        Host {
            view: self,
            row,
            undeclared: Cell::new(false),
        }
    }

    /// The rows that want a score, in the order of the answer.
    #[inline]
    pub fn hosts(&self) -> impl Iterator<Item = Host<'_>> {
        self.asked.iter().map(|row| self.host(*row))
    }
}

/// One row: a compute host, or a storage pool.
///
/// Reading what was not declared gives 0, and the row is refused with words that say so.
#[derive(Debug)]
pub struct Host<'a> {
    view: &'a View<'a>,
    row: u32,
    undeclared: Cell<bool>,
}

impl Host<'_> {
    #[inline]
    fn at(&self, place: Option<usize>) -> u32 {
        if let Some(place) = place {
            self.view.table.value(place, self.row as usize)
        } else {
            self.undeclared.set(true);
            0
        }
    }

    /// A built-in column. A row that is held has a value in each that was declared.
    #[inline(always)]
    fn built_in(&self, id: u16) -> u32 {
        let column = self
            .view
            .built_in
            .get(usize::from(id))
            .copied()
            .unwrap_or_default();
        if let Some(value) = column.get(self.row as usize) {
            *value
        } else {
            self.undeclared.set(true);
            0
        }
    }

    pub(crate) const fn read_undeclared(&self) -> bool {
        self.undeclared.get()
    }

    /// A declared column by its code.
    #[must_use]
    #[inline]
    pub fn column(&self, id: u16) -> u32 {
        if usize::from(id) < BUILT_IN {
            self.built_in(id)
        } else {
            self.at(self.view.places.column(id))
        }
    }

    /// A declared numeric attribute that operators set; 0 where the row has none.
    #[must_use]
    #[inline(always)]
    pub fn attribute(&self, name: &str) -> u32 {
        self.at(self.view.places.attribute(name))
    }

    /// How much of a declared countable resource may still be promised; 0 where the row has none.
    #[must_use]
    #[inline]
    pub fn free_resource(&self, name: &str) -> u32 {
        self.at(self.view.places.resource(code::COLUMN_FREE_RESOURCE, name))
    }

    /// How much of a declared countable resource may be promised in all; 0 where the row has none.
    #[must_use]
    #[inline]
    pub fn total_resource(&self, name: &str) -> u32 {
        self.at(self.view.places.resource(code::COLUMN_TOTAL_RESOURCE, name))
    }

    /// vCPUs that may still be promised.
    #[must_use]
    #[inline]
    pub fn free_vcpus(&self) -> u32 {
        self.column(code::COLUMN_FREE_VCPUS)
    }

    /// MiB of memory that may still be promised.
    #[must_use]
    #[inline]
    pub fn free_memory_mib(&self) -> u32 {
        self.column(code::COLUMN_FREE_MEMORY_MIB)
    }

    /// vCPUs that may be promised in all.
    #[must_use]
    #[inline]
    pub fn total_vcpus(&self) -> u32 {
        self.column(code::COLUMN_TOTAL_VCPUS)
    }

    /// MiB of memory that may be promised in all.
    #[must_use]
    #[inline]
    pub fn total_memory_mib(&self) -> u32 {
        self.column(code::COLUMN_TOTAL_MEMORY_MIB)
    }

    /// Active runs.
    #[must_use]
    #[inline]
    pub fn runs(&self) -> u32 {
        self.column(code::COLUMN_RUNS)
    }

    /// GiB that may still be promised (pools).
    #[must_use]
    #[inline]
    pub fn free_gib(&self) -> u32 {
        self.column(code::COLUMN_FREE_GIB)
    }

    /// GiB that may be promised in all (pools).
    #[must_use]
    #[inline]
    pub fn total_gib(&self) -> u32 {
        self.column(code::COLUMN_TOTAL_GIB)
    }

    /// A number that rows of the same pod share; must be declared.
    #[must_use]
    #[inline]
    pub fn pod(&self) -> u32 {
        self.column(code::COLUMN_POD)
    }

    /// A number that rows of the same cluster share; must be declared.
    #[must_use]
    #[inline]
    pub fn cluster(&self) -> u32 {
        self.column(code::COLUMN_CLUSTER)
    }

    /// The latest minute since 1970 at which a run of the row is expected to end; 0 without runs, [`code::NO_END`] with one of
    /// which nobody said when; must be declared.
    #[must_use]
    #[inline]
    pub fn latest_end(&self) -> u32 {
        self.column(code::COLUMN_LATEST_END)
    }

    /// What a declared fact of the request says of this row; 0 if nothing.
    #[must_use]
    pub fn fact(&self, ask: &Ask, id: u16) -> u32 {
        if !self.view.places.facts.contains(&id) {
            self.undeclared.set(true);
        }
        ask.fact(id, self.row)
    }

    /// Whether the template is cached on a pool that the row reaches; must be declared.
    #[must_use]
    pub fn template_cached(&self, ask: &Ask) -> bool {
        self.fact(ask, code::FACT_TEMPLATE_CACHED) != 0
    }

    /// Whether the instance ran here before; must be declared.
    #[must_use]
    pub fn is_previous(&self, ask: &Ask) -> bool {
        self.fact(ask, code::FACT_PREVIOUS_HOST) != 0
    }

    /// How many instances of the same project the row has; must be declared.
    #[must_use]
    pub fn same_project(&self, ask: &Ask) -> u32 {
        self.fact(ask, code::FACT_SAME_PROJECT)
    }

    /// How many instances of the same project run in the pod of the row; must be declared.
    #[must_use]
    pub fn same_project_in_pod(&self, ask: &Ask) -> u32 {
        self.fact(ask, code::FACT_SAME_PROJECT_IN_POD)
    }

    /// How many members of the affinity groups of the instance the row has; must be declared.
    #[must_use]
    pub fn kin(&self, ask: &Ask) -> u32 {
        self.fact(ask, code::FACT_KIN)
    }

    /// Its number. It is the same row from one load to the next and means nothing else.
    #[must_use]
    pub const fn row(&self) -> u32 {
        self.row
    }
}

#[cfg(test)]
mod tests {
    use super::is_same;

    #[test]
    fn names_are_the_same_when_every_byte_is() {
        let name = b"abcdefghijklmnopqrstuvwxyz";
        for length in 0..=name.len() {
            let one = &name[..length];
            assert!(is_same(one, one));
            for at in 0..length {
                let mut other = one.to_vec();
                other[at] ^= 1;
                assert!(!is_same(one, &other), "{length} {at}");
            }
            assert!(!is_same(one, &[one, b"x"].concat()));
        }
    }
}
