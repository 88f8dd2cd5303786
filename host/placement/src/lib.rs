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
//! The same inventory, ask, seed and policy give the same decision, bit for bit ([`replay`]), whatever was kept before. What an
//! inventory was is kept in [`HistoryPart`]s, so that a decision can be looked at again ([`look`]), made again, and given to another
//! policy ([`Evaluation`]).

mod addresses;
mod ask;
mod builtin;
mod candidates;
mod changed;
mod choose;
mod ends;
mod evaluate;
mod explain;
mod filter;
mod history;
mod hosts;
mod inventory;
pub mod load;
mod look;
mod members;
mod placer;
mod pools;
mod ranker;
mod replay;
mod resources;
mod row;
mod shadow;
mod standings;
mod ties;
mod update;

pub use addresses::{AddressBook, NoAddress, Positions};
pub use ask::{Ask, DiskAsk, TemplateAsk};
pub use choose::{Choice, Outcome, PoolChoice, PoolOutcome, choose, choose_pool};
pub use evaluate::{Evaluation, Move, Packing, Tally};
pub use explain::{AskRecord, Circumstances, Detail, explain, pool_refusals};
pub use filter::{FILTER_VERSION, Filtered, filter};
pub use history::{HISTORY_FORMAT, HistoryPart, Unreadable};
pub use inventory::{Inventory, Snapshot};
pub use look::{Candidate, Says, look};
pub use placer::{Placer, Wanted};
pub use ranker::{PolicyLabel, Ranker, Verdict};
pub use replay::{Difference, replay};
pub use row::{Row, RowMask};
pub use shadow::{Comparison, ShadowAsk};
pub use update::{HostRow, LayerClaim, Part, PoolRow, RunClaim, RunExtras, Update, VolumeClaim};
