//! What steps of several kinds do to the outside: storage, guests, the node.

pub(crate) mod guest;
pub(crate) mod rows;
pub(crate) mod secrets;
pub(crate) mod storage;
pub(crate) mod wiring;
