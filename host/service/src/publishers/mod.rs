//! Publishers: who makes plugins, and the keys by which their word is known.

mod change;
mod create;
mod delete;
mod keys;

use velum_model::Name;

/// A publisher to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPublisher {
    /// Its name, as its signatures spell it. Unique, and never changed.
    pub name: Name,
    /// One line for people.
    pub description: String,
}

/// What is to change of a publisher; none = stays. Its name is in its signatures and stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangePublisher {
    /// Another description.
    pub description: Option<String>,
}
