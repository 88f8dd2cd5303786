//! One call into a driver or provider: a fresh store, a place that it is bound to, a deadline around everything.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::time::Instant as Deadline;
use velum_connector::{Connections, http::HttpConnector};
use velum_model::{
    fault::{Fault, code},
    port::{
        Call, Effect, Fence, Target,
        hypervisor::{Disk, GuestSpec, RunHandle},
    },
};
use wasmtime::{
    Store, StoreLimits, StoreLimitsBuilder, UpdateDeadline,
    component::{Instance, InstancePre, Resource},
};

use crate::{
    counters::End,
    engine::{TICK, Ticker},
    grant::{log::clean, secrets::SecretKeeper, state::StateStore},
    plugin::Shared,
    world::{bindings::velum::common::types as wit, convert},
};

/// How long before the call's own deadline its host calls end, so that the plugin can still say what it knows.
const MARGIN: Duration = Duration::from_millis(200);
/// The shortest deadline of an effect: below it no far side can answer.
const SHORTEST: Duration = Duration::from_millis(100);
/// Handles that one call may hold: it has a target, a run and a few connections.
const HANDLES: usize = 1000;

/// The target of a call, as a resource: there is one.
#[derive(Debug)]
pub struct TargetHandle;
/// The run of a call, as a resource: there is at most one.
#[derive(Debug)]
pub struct RunResource;

/// The target as an argument.
#[must_use]
pub fn target() -> Resource<TargetHandle> {
    Resource::new_borrow(1)
}

/// The run as an argument.
#[must_use]
pub fn run() -> Resource<RunResource> {
    Resource::new_borrow(1)
}

/// What the caller ordered: what a node compares a driver's texts with.
#[derive(Clone, Debug, Default)]
pub enum Order {
    /// Nothing that has a text.
    #[default]
    None,
    /// A guest.
    Guest(Box<GuestSpec>),
    /// A disk.
    Disk(Box<Disk>),
}

/// Where a call may act, and under which right. The plugin can name nothing else.
#[derive(Clone, Debug)]
pub struct Place {
    /// The compute host or pool.
    pub target: Target,
    /// For calls that change something.
    pub warrant: Option<(Fence, Effect)>,
    /// For calls about a run.
    pub run: Option<RunHandle>,
    /// What was ordered.
    pub order: Order,
    /// Whether nothing of this effect can have happened before: then a call that touched nothing changed nothing.
    pub first: bool,
}

impl Place {
    /// For a question.
    #[must_use]
    pub fn asking(target: &Target) -> Self {
        Self {
            target: target.clone(),
            warrant: None,
            run: None,
            order: Order::None,
            first: true,
        }
    }

    /// For a change.
    #[must_use]
    pub fn acting(call: &Call) -> Self {
        Self {
            target: call.target.clone(),
            warrant: Some((call.fence, call.effect.clone())),
            run: None,
            order: Order::None,
            first: call.effect.attempt == 0,
        }
    }

    /// For the continuation of a change.
    #[must_use]
    pub fn going_on(call: &Call) -> Self {
        Self {
            first: false,
            ..Self::acting(call)
        }
    }

    /// About this run.
    #[must_use]
    pub fn of(mut self, run: RunHandle) -> Self {
        self.run = Some(run);
        self
    }

    /// With this order.
    #[must_use]
    pub fn ordering(mut self, order: Order) -> Self {
        self.order = order;
        self
    }
}

/// What connectors are made of; one for the server.
pub struct Ports {
    /// Nodes.
    pub nodes: Connections,
    /// HTTP origins.
    pub http: HttpConnector,
    /// Durable values of plugins.
    pub state: Arc<dyn StateStore>,
    /// Secrets that the server made.
    pub secrets: SecretKeeper,
}

/// What the store of one call holds: host functions see nothing else.
pub struct CallHost {
    limits: StoreLimits,
    host_calls_left: u32,
    touched: Arc<AtomicBool>,
    /// The plugin.
    pub plugin: Arc<Shared>,
    /// Connectors.
    pub ports: Arc<Ports>,
    /// What it is bound to.
    pub place: Place,
    /// When host calls end.
    pub until: Deadline,
}

impl CallHost {
    /// Counts a host call.
    ///
    /// # Errors
    /// A trap when there were too many.
    pub fn count(&mut self) -> wasmtime::Result<()> {
        self.host_calls_left = self.host_calls_left.checked_sub(1).ok_or_else(|| {
            wasmtime::Error::msg(format!(
                "more than {} host calls in one call",
                self.plugin.bounds.host_calls
            ))
        })?;
        Ok(())
    }

    /// Whether `plugin.toml` asked for a connector, and so was granted it.
    ///
    /// # Errors
    /// `DENIED`.
    pub fn granted(&self, connector: &str) -> Result<&serde_json::Value, Fault> {
        self.plugin
            .manifest
            .capabilities
            .get(connector)
            .ok_or_else(|| self.denied(format!("the connector {connector} is not granted to this plugin")))
    }

    /// A refusal by the grant, counted.
    #[must_use]
    pub fn denied(&self, why: impl Into<String>) -> Fault {
        self.plugin.counters.denied();
        Fault::unchanged(code::DENIED, why)
    }

    /// The right to change something, with what is left of the call's time as its deadline; notes that something may
    /// have changed.
    ///
    /// # Errors
    /// `DENIED` in a call that may change nothing.
    pub fn warrant(&self) -> Result<(Fence, Effect), Fault> {
        let Some((fence, effect)) = &self.place.warrant else {
            return Err(self.denied("this call may look and not change: it has no effect id"));
        };
        self.touched.store(true, Ordering::Release);
        let effect = Effect {
            deadline_ms: millis(self.left()).min(effect.deadline_ms),
            ..effect.clone()
        };
        Ok((*fence, effect))
    }

    /// The same under the effect that the plugin names, which must be the call's own.
    ///
    /// # Errors
    /// `INVALID` when it is another; as [`CallHost::warrant`].
    pub fn warrant_of(&self, named: &wit::Effect) -> Result<(Fence, Effect), Fault> {
        match &self.place.warrant {
            Some((_, effect)) if effect.id.to_string() != named.id => Err(Fault::unchanged(
                code::INVALID,
                "that is not the effect of this call",
            )),
            _ => self.warrant(),
        }
    }

    /// The run of this call.
    ///
    /// # Errors
    /// `INVALID` when it is about none.
    pub fn run(&self) -> Result<RunHandle, Fault> {
        self.place
            .run
            .ok_or_else(|| Fault::unchanged(code::INVALID, "this call is about no run"))
    }

    /// A text of the target's settings.
    ///
    /// # Errors
    /// `INVALID` when it is not there.
    pub fn setting(&self, key: &str) -> Result<&str, Fault> {
        self.place
            .target
            .config
            .get(key)
            .and_then(serde_json::Value::as_str)
            .ok_or_else(|| {
                Fault::unchanged(
                    code::INVALID,
                    format!("the target's settings have no text '{key}'"),
                )
            })
    }

    /// The node of the target.
    ///
    /// # Errors
    /// `UNREACHABLE` when it has none.
    pub fn node(&self) -> Result<velum_connector::NodeClient, Fault> {
        let address = self.place.target.node.as_deref().ok_or_else(|| {
            Fault::unchanged(code::UNREACHABLE, "the target has no node that could do this")
        })?;
        self.ports.nodes.client(address)
    }

    /// Time that is left for host calls.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.until.saturating_duration_since(Deadline::now())
    }

    /// Waits for a host call, at most until the deadline.
    ///
    /// # Errors
    /// `DEADLINE`; what the host call answers.
    pub async fn within<T>(&self, work: impl Future<Output = Result<T, Fault>> + Send) -> Result<T, Fault> {
        match tokio::time::timeout_at(self.until, work).await {
            Ok(answer) => answer,
            Err(_) => Err(Fault::new(
                code::DEADLINE,
                "the far side did not answer within the call's deadline",
            )),
        }
    }
}

/// A fault as the plugin sees it.
pub fn refused<T>(answer: Result<T, Fault>) -> Result<T, wit::Fault> {
    answer.map_err(convert::fault_to_guest)
}

/// What a call into a guest is, once its exports are loaded.
pub type Pending<'a, R> = Pin<Box<dyn Future<Output = wasmtime::Result<R>> + Send + 'a>>;

/// Makes calls into one component.
pub struct Caller {
    /// Its code with its imports.
    pub pre: InstancePre<CallHost>,
    /// The plugin.
    pub plugin: Arc<Shared>,
    /// Connectors.
    pub ports: Arc<Ports>,
    /// Epochs.
    pub ticker: Arc<Ticker>,
}

/// Guest code ran too long.
#[derive(Debug, thiserror::Error)]
#[error("it computed longer than it may")]
struct Overtime;

/// What the two closures of a call are: how to find the exports, and which to call.
pub struct Asked<L, C> {
    /// Loads the exports of the interface.
    pub load: L,
    /// Calls one of them.
    pub call: C,
}

impl Caller {
    /// Calls the guest and checks its answer.
    ///
    /// # Errors
    /// The plugin's own fault, or `TRAPPED`, `DEADLINE`, `NONSENSE`, `UNAVAILABLE`, `BUSY`.
    pub async fn call<G, R, A>(
        &self,
        place: Place,
        asked: Asked<
            impl FnOnce(&mut Store<CallHost>, &Instance) -> wasmtime::Result<G> + Send,
            impl for<'a> FnOnce(&'a mut Store<CallHost>, &'a G) -> Pending<'a, Result<R, wit::Fault>> + Send,
        >,
        check: impl FnOnce(R) -> Result<A, String> + Send,
    ) -> Result<A, Fault>
    where
        G: Send + Sync,
        R: Send,
    {
        self.plugin.enter().map_err(|open| Fault {
            retry_after_ms: u32::try_from(open.retry_after_ms).ok(),
            ..Fault::unchanged(
                code::UNAVAILABLE,
                "the plugin's breaker is open after failures in a row",
            )
        })?;
        let deadline = self.deadline(&place);
        let until = Deadline::now() + deadline;
        let _permit = tokio::time::timeout_at(until, self.plugin.in_flight.acquire())
            .await
            .ok()
            .and_then(Result::ok)
            .ok_or_else(|| {
                Fault::unchanged(code::UNAVAILABLE, "too many calls of this plugin are in flight")
            })?;
        let touched = Arc::new(AtomicBool::new(false));
        let first = place.first;
        let began = Instant::now();
        let _ticking = self.ticker.running();
        let mut store = self.store(place, until, Arc::clone(&touched));
        let work = async {
            let instance = self.pre.instantiate_async(&mut store).await?;
            let guest = (asked.load)(&mut store, &instance)?;
            (asked.call)(&mut store, &guest).await
        };
        let answer = tokio::time::timeout_at(until, work).await;
        let untouched = first && !touched.load(Ordering::Acquire);
        let (end, answer) = judge(answer, untouched, check);
        self.plugin.ended(end, began.elapsed(), 0);
        answer
    }

    fn deadline(&self, place: &Place) -> Duration {
        let bounds = &self.plugin.bounds;
        match &place.warrant {
            Some((_, effect)) => Duration::from_millis(u64::from(effect.deadline_ms))
                .clamp(SHORTEST, bounds.effect_deadline_ceiling),
            None => bounds.reading_deadline,
        }
    }

    fn store(&self, place: Place, until: Deadline, touched: Arc<AtomicBool>) -> Store<CallHost> {
        let bounds = &self.plugin.bounds;
        let limits = StoreLimitsBuilder::new()
            .memory_size(self.plugin.limits.memory_bytes)
            .table_elements(100_000)
            .instances(64)
            .tables(64)
            .memories(8)
            .trap_on_grow_failure(true)
            .build();
        let half = until.saturating_duration_since(Deadline::now()) / 2;
        let host = CallHost {
            limits,
            host_calls_left: bounds.host_calls,
            touched,
            plugin: Arc::clone(&self.plugin),
            ports: Arc::clone(&self.ports),
            place,
            until: until.checked_sub(MARGIN.min(half)).unwrap_or(until),
        };
        let mut store = Store::new(self.pre.engine(), host);
        store.limiter(|host| &mut host.limits);
        store.set_hostcall_fuel(bounds.transfer_bytes);
        store.set_max_component_handles(HANDLES);
        store.set_epoch_deadline(1);
        let mut ticks_left = bounds.guest_time.as_millis() / TICK.as_millis().max(1);
        store.epoch_deadline_callback(move |_| {
            // A tick that passed in a host call counts once: what remains is time in guest code.
            ticks_left = ticks_left.checked_sub(1).ok_or(Overtime)?;
            Ok(UpdateDeadline::Yield(1))
        });
        store
    }
}

type Waited<R> = Result<wasmtime::Result<Result<R, wit::Fault>>, tokio::time::error::Elapsed>;

fn judge<R, A>(
    answer: Waited<R>,
    untouched: bool,
    check: impl FnOnce(R) -> Result<A, String>,
) -> (End, Result<A, Fault>) {
    let server = |code: u16, detail: String| Fault {
        code,
        unchanged: untouched,
        retry_after_ms: None,
        detail,
    };
    match answer {
        Ok(Ok(Ok(answer))) => match check(answer) {
            Ok(answer) => (End::Answered, Ok(answer)),
            Err(problem) => (
                End::Nonsense,
                Err(server(
                    code::NONSENSE,
                    format!("the plugin's answer is not usable: {problem}"),
                )),
            ),
        },
        Ok(Ok(Err(fault))) => (End::Refused, Err(convert::fault_from_guest(fault))),
        Ok(Err(error)) if error.is::<Overtime>() => (
            End::Late,
            Err(server(
                code::DEADLINE,
                "the plugin computed longer than it may".to_owned(),
            )),
        ),
        Ok(Err(error)) => (
            End::Trapped,
            Err(server(
                code::TRAPPED,
                clean(&format!("the plugin trapped: {error:#}"), 300),
            )),
        ),
        Err(_) => (
            End::Late,
            Err(server(
                code::DEADLINE,
                "the plugin did not answer within the deadline".to_owned(),
            )),
        ),
    }
}

/// Milliseconds, as far as they fit.
#[must_use]
pub fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
