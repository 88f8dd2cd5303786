//! Where a new machine goes. Pure: no I/O, no clock, no chance but the seed that comes in with the ask.
//!
//! ```text
//! Update ─▶ Inventory (columns of one zone, an epoch for each change)
//!              │
//! Ask ─▶ filter ─▶ candidates + a refusal for every other row
//!              │
//!           Ranker (a policy, or the built-in one) ─▶ choose ─▶ explain ─▶ Decision
//! ```
//! The same inventory, ask, seed and policy give the same decision, bit for bit ([`replay`]).

mod addresses;
mod ask;
mod builtin;
mod choose;
mod explain;
mod filter;
mod hosts;
mod inventory;
mod pools;
mod ranker;
mod replay;
mod row;
mod shadow;
mod update;

pub use addresses::{AddressBook, NoAddress, Positions};
pub use ask::{Ask, DiskAsk, TemplateAsk};
pub use choose::{Choice, Outcome, PoolChoice, PoolOutcome, choose, choose_pool};
pub use explain::{AskRecord, Circumstances, Detail, explain, pool_refusals};
pub use filter::{FILTER_VERSION, Filtered, filter};
pub use inventory::{Inventory, Snapshot};
pub use ranker::{PolicyLabel, Ranker, Verdict};
pub use replay::{Difference, replay};
pub use row::{Row, RowMask};
pub use shadow::{Comparison, ShadowAsk};
pub use update::{HostRow, LayerClaim, PoolRow, RunClaim, Update, VolumeClaim};
