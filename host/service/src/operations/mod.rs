//! Operations: what an operator says of one that is parked.

mod decide;

pub(crate) use decide::readable;

use velum_operation::parked::Verb;

/// What an operator says of a parked operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorsWord {
    /// What is to become of it.
    pub verb: Verb,
    /// Why; at most [`REASON_MAX`] characters on one line.
    pub reason: Option<String>,
}

/// The longest reason that an operator may give: it stands in the journal and in an event for good, and a ticket's number
/// with a few sentences fits.
pub const REASON_MAX: usize = 500;
