//! Power cuts: what a server writes to its database is recorded ([`Recorder`]), and a model of a disk ([`Disk`]) says what
//! may be left of it when the power goes at any moment.
//!
//! The recorder is strace: it sees every write with its bytes, where each began and where it had returned, in one order for
//! all threads, and it needs nothing of the server. Only calls that change files stop the server (a filter in the kernel
//! lets the others pass), which costs it some tens of microseconds each. That nothing was missed is known in the end: what
//! the model has then must be what the files are.

mod disk;
mod recorder;
mod trace;

pub use disk::{Arrival, Disk, Left};
pub use recorder::Recorder;
pub use trace::{Call, Event, Phase, read};
