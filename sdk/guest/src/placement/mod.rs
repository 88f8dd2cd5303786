//! Placement policies: [`Policy`] scores one row at a time, [`Ranking`] a whole view. Either becomes a component with
//! [`crate::export_policy`]. Columns, deltas and epochs stay in here.

mod ask;
mod declaration;
mod engine;
mod host;
mod score;
mod table;
pub mod testing;

pub use ask::Ask;
pub use declaration::Declaration;
#[doc(hidden)]
pub use engine::Engine;
pub use host::{Host, View};
pub use score::Score;

pub use crate::{codes::placement as code, config::Config};

/// A policy that scores one row at a time: a compute host, or a storage pool.
///
/// It must be a function of its configuration, the row and the ask, and of nothing else: decisions are replayed.
pub trait Policy: Sized + 'static {
    /// Takes the operator's configuration, a JSON object ([`Config`] reads it).
    ///
    /// # Errors
    /// What to change in the configuration, in words.
    fn configure(json: &str) -> Result<Self, String>;

    /// What it wants to know. By default the room and the runs of compute hosts, and the vCPUs and memory asked for.
    fn declare(&self) -> Declaration {
        Declaration::hosts()
    }

    /// How good this row is for this ask: higher is better.
    fn score(&self, ask: &Ask, host: &Host<'_>) -> Score;
}

/// A policy that scores all rows asked at once, for those that compare rows with each other or want the loop.
pub trait Ranking: Sized + 'static {
    /// Takes the operator's configuration, a JSON object ([`Config`] reads it).
    ///
    /// # Errors
    /// What to change in the configuration, in words.
    fn configure(json: &str) -> Result<Self, String>;

    /// What it wants to know.
    fn declare(&self) -> Declaration;

    /// A score for each row of [`View::asked`], in its order.
    fn rank(&self, ask: &Ask, view: &View<'_>) -> Vec<Score>;
}

impl<P: Policy> Ranking for P {
    fn configure(json: &str) -> Result<Self, String> {
        P::configure(json)
    }
    fn declare(&self) -> Declaration {
        Policy::declare(self)
    }
    fn rank(&self, ask: &Ask, view: &View<'_>) -> Vec<Score> {
        view.hosts()
            .map(|host| {
                let score = self.score(ask, &host);
                if host.read_undeclared() {
                    Score::UNDECLARED
                } else {
                    score
                }
            })
            .collect()
    }
}

/// Makes a component of a [`Policy`] or [`Ranking`]. Its name is that of the crate.
#[macro_export]
macro_rules! export_policy {
    ($policy:ty) => {
        // The names of a component's exports are none that a native linker takes.
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::{bindings::policy::exports::velum::placement::policy as wit, placement::Engine};

            std::thread_local! {
                static HELD: std::cell::RefCell<Engine<$policy>> = std::cell::RefCell::new(Engine::new());
            }
            struct Component;
            impl wit::Guest for Component {
                fn describe() -> wit::Descriptor {
                    HELD.with_borrow(|held| held.describe(env!("CARGO_PKG_NAME")))
                }
                fn configure(json: String) -> Result<(), String> {
                    HELD.with_borrow_mut(|held| held.configure(&json))
                }
                fn load(epoch: u64, rows: u32, values: Vec<u32>) -> bool {
                    HELD.with_borrow_mut(|held| held.load(epoch, rows, values))
                }
                fn apply(before: u64, after: u64, rows: Vec<u32>, values: Vec<u32>) -> bool {
                    HELD.with_borrow_mut(|held| held.apply(before, after, &rows, &values))
                }
                fn score(epoch: u64, ask: wit::Ask, rows: Vec<u32>) -> Vec<u32> {
                    HELD.with_borrow(|held| held.score(epoch, ask, &rows))
                }
            }
    $crate::bindings::policy::export!(Component with_types_in $crate::bindings::policy);
        };
    };
}
