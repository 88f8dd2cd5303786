//! Where a new machine goes. Pure: no I/O, no clock, no chance but the seed that comes in with the ask.
//!
//! ```text
//! Update ─▶ Inventory (columns of one zone, an epoch for each change)
//!              │
//! Ask ─▶ filter ─▶ Candidates + a refusal for every other row   ┐ kept by the Placer for each shape
//!              │                                                  │ of asks, and looked at again for
//!           Ranker (a policy, or the built-in one) ─▶ Standings  ┘ the rows that changed
//!              │
//!           choose ─▶ explain ─▶ Decision
//! ```
//! The same inventory, ask, seed and policy give the same decision, bit for bit ([`replay`]), whatever was kept before.

mod addresses;
mod ask;
mod builtin;
mod candidates;
mod changed;
mod choose;
mod explain;
mod filter;
mod hosts;
mod inventory;
mod members;
mod placer;
mod pools;
mod ranker;
mod replay;
mod row;
mod shadow;
mod standings;
mod ties;
mod update;

pub use addresses::{AddressBook, NoAddress, Positions};
pub use ask::{Ask, DiskAsk, TemplateAsk};
pub use choose::{Choice, Outcome, PoolChoice, PoolOutcome, choose, choose_pool};
pub use explain::{AskRecord, Circumstances, Detail, explain, pool_refusals};
pub use filter::{FILTER_VERSION, Filtered, filter};
pub use inventory::{Inventory, Snapshot};
pub use placer::{Placer, Wanted};
pub use ranker::{PolicyLabel, Ranker, Verdict};
pub use replay::{Difference, replay};
pub use row::{Row, RowMask};
pub use shadow::{Comparison, ShadowAsk};
pub use update::{HostRow, LayerClaim, Part, PoolRow, RunClaim, Update, VolumeClaim};
