//! What one call into a driver or provider may do: the place that it is bound to, its right, its time. The answers to what
//! guest code asks of the server are given here, on the server's side, whatever the process that the guest runs in became.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use serde::Serialize;
use tokio::time::Instant as Deadline;
use velum_connector::{Connections, http::HttpConnector};
use velum_model::{
    fault::{Fault, code},
    port::{
        Call, Effect, Fence, Target,
        hypervisor::{Disk, GuestSpec, RunHandle},
    },
};

use crate::{
    grant::{secrets::SecretKeeper, state::StateStore},
    plugin::{Shared, TRACE},
    sandbox::{
        ask::{Ask, Desk, Reply, reply},
        work::GuestPlace,
    },
    world::{bindings::velum::common::types as wit, convert},
};

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

    /// What of it the guest may know.
    #[must_use]
    pub fn for_guest(&self) -> GuestPlace {
        GuestPlace {
            target: self.target.id.to_string(),
            config: match &self.target.config {
                serde_json::Value::Null => "{}".to_owned(),
                settings => settings.to_string(),
            },
            run: self.run.map(|run| (run.id.to_string(), run.generation)),
        }
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

/// See the module.
pub struct Errand {
    /// The plugin.
    pub plugin: Arc<Shared>,
    /// Connectors.
    pub ports: Arc<Ports>,
    /// What it is bound to.
    pub place: Place,
    /// When answers end.
    until: Deadline,
    touched: AtomicBool,
    asks_left: AtomicU32,
}

impl Errand {
    /// An errand of `plugin` whose answers end at `until`.
    #[must_use]
    pub fn new(plugin: Arc<Shared>, ports: Arc<Ports>, place: Place, until: Deadline) -> Self {
        let asks_left = AtomicU32::new(plugin.bounds.host_calls);
        Self {
            plugin,
            ports,
            place,
            until,
            touched: AtomicBool::new(false),
            asks_left,
        }
    }

    /// Whether nothing of the call's effect can have happened: it is its first attempt, and it asked for no change.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.place.first && !self.touched.load(Ordering::Acquire)
    }

    fn count(&self) -> bool {
        self.asks_left
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1))
            .is_ok()
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
    /// `INVALID` when it is another; as [`Errand::warrant`].
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

    /// Time that is left for answers.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.until.saturating_duration_since(Deadline::now())
    }

    /// Waits for the far side, at most until the deadline.
    ///
    /// # Errors
    /// `DEADLINE`; what the far side answers.
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

#[async_trait]
impl Desk for Errand {
    async fn ask(&self, ask: Ask) -> Reply {
        if !self.count() {
            let bound = self.plugin.bounds.host_calls;
            return Reply::Stop(format!("more than {bound} host calls in one call"));
        }
        let (name, began) = (ask.name(), Instant::now());
        let reply = match ask {
            Ask::Log { level, message } => {
                self.plugin.log.line(level, &message);
                reply(&())
            }
            Ask::Http(ask) => self.http(ask).await,
            Ask::Libvirt(ask) => self.libvirt_ask(ask).await,
            Ask::Files(ask) => self.files(ask).await,
            Ask::State(ask) => self.state(ask).await,
            Ask::Mint { purpose, length } => answered(self.mint(&purpose, length).await),
        };
        tracing::trace!(
            target: TRACE,
            plugin = self.plugin.manifest.name.as_str(),
            effect = self.place.warrant.as_ref().map(|(_, effect)| tracing::field::display(effect.id)),
            connector = name,
            took_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX),
            "asked"
        );
        reply
    }
}

/// An answer as the guest gets it: a fault in the guest's words.
pub fn answered<T: Serialize>(answer: Result<T, Fault>) -> Reply {
    reply(&answer.map_err(convert::fault_to_guest))
}

/// Milliseconds, as far as they fit.
#[must_use]
pub fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
