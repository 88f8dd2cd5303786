//! What handlers take from a request. Everything that can be wrong with it is refused here, as a problem.

mod body;
mod field;
mod headers;
mod path;
mod query;
mod words;

pub use body::{Body, Chunk, MaybePosted, NoBody, Posted, Sent, component, may_be_large, turn, whole};
pub use field::Fields;
pub use headers::IfMatch;
pub use path::PathId;
pub(crate) use query::list_query;
pub use query::{Query, addressed, digested, moment, named, page, word};
pub use words::plainly;
