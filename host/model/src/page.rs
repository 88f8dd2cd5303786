//! Pages by keyset: a page continues after the last id of the one before.

use uuid::Uuid;

/// Which part of a list is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// At most so many rows.
    pub limit: u32,
    /// Only rows whose id is greater.
    pub after: Option<Uuid>,
}

impl Page {
    /// What is answered when nobody asks for a number.
    pub const DEFAULT_LIMIT: u32 = 100;
    /// One page of the widest row stays under 1 MiB of JSON.
    pub const MAX_LIMIT: u32 = 500;
}

impl Default for Page {
    fn default() -> Self {
        Self {
            limit: Self::DEFAULT_LIMIT,
            after: None,
        }
    }
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paged<T> {
    /// The rows, in order of their ids.
    pub items: Vec<T>,
    /// Where the next page begins; none when this was the last.
    pub next: Option<Uuid>,
}

impl<T> Paged<T> {
    /// Cuts what a query for `limit + 1` rows answered into a page.
    #[must_use]
    pub fn cut(mut items: Vec<T>, limit: u32, id: impl Fn(&T) -> Uuid) -> Self {
        let limit = limit as usize;
        let next = (items.len() > limit)
            .then(|| items.get(limit.saturating_sub(1)).map(&id))
            .flatten();
        items.truncate(limit);
        Self { items, next }
    }

    /// The same page of something else.
    #[must_use]
    pub fn map<U>(self, each: impl FnMut(T) -> U) -> Paged<U> {
        Paged {
            items: self.items.into_iter().map(each).collect(),
            next: self.next,
        }
    }
}
