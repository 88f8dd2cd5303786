//! One planner a zone, on a thread of its own: it owns the zone's inventory, its free addresses and the instances of
//! its policies, and answers one ask after another. Policies are synchronous and hold state; a thread that owns them
//! needs no lock and never stalls the runtime.
//!
//! ```text
//! Watch (commits) ──news──▶ Inbox ──▶ thread: State { inventory, addresses, policies, tentative claims }
//! use cases ───────asks───▶       ◀── plans
//! Loader ──────────rows───▶
//! ```
//! News are taken before asks: whoever was answered by a commit is planned for with that commit in view.

mod claims;
mod digest;
mod inbox;
mod load;
mod policy;
mod recorded;
mod state;
mod watching;

use std::{net::Ipv4Addr, sync::Arc, thread};

use tokio::sync::{Mutex, mpsc, oneshot};
use uuid::Uuid;
use velum_model::{
    chance::Ids,
    decision::{Decision, RefusalCount},
    id::*,
    port::{placement::PolicyFailure, plugins::Plugins},
    resource::Resources,
    time::{Clock, Timestamp},
};
use velum_placement::{Ask, Choice, DiskAsk, PoolChoice};
use velum_store::{Reader, StoreError};

pub(crate) use claims::stand_in;
pub(crate) use digest::{Note, digest};
pub(crate) use inbox::Inbox;
pub(crate) use watching::{MISFITS, Misfit};

use crate::{
    desk::Desk,
    error::{SOON_S, ServiceError},
    history::Line,
    settings::Probation,
};
pub(crate) use inbox::Order;

/// What a machine needs, with the identities that its claims will be committed under.
#[derive(Clone, Debug)]
pub(crate) struct PlanAsk {
    /// Shape, tags, disks, ties.
    pub ask: Ask,
    /// The run that is to be.
    pub run: RunId,
    /// A volume for each disk of the ask.
    pub disks: Vec<DiskIds>,
    /// NICs: network, and the address if a certain one is wanted.
    pub nics: Vec<(NicId, NetworkId, Option<Ipv4Addr>)>,
    /// Policy in place of the zone's.
    pub policy: Option<PolicyId>,
    /// Claim nothing, only decide.
    pub dry_run: bool,
}

/// Identities of a disk's claims.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DiskIds {
    /// The volume. When an existing volume moves, a stand-in that goes once the move is committed.
    pub volume: VolumeId,
    /// The layer, should the pool have none.
    pub layer: LayerId,
}

/// Where everything goes. Claimed until it is committed or given back.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The compute host and the pools.
    pub choice: Choice,
    /// An address for each NIC, with its range.
    pub addresses: Vec<(IpRangeId, Ipv4Addr)>,
    /// For each disk, whether a layer of its template must go into the commit.
    pub wants_layer: Vec<bool>,
    /// When the run is expected to end, as the policy was told; none = nobody said.
    pub expected_end_at: Option<Timestamp>,
    /// Countable resources that the run holds there.
    pub resources: Resources,
    /// Why.
    pub decision: Box<Decision>,
}

/// Where a volume goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VolumePlan {
    /// The pool.
    pub choice: PoolChoice,
}

/// Why there is no plan.
#[derive(Clone, Debug)]
pub(crate) enum NoPlan {
    /// No compute host.
    NoCapacity(Box<Decision>),
    /// No pool.
    NoStorage(Vec<RefusalCount>),
    /// No address.
    NoAddress(NetworkId),
    /// The address that was wanted is not free.
    AddressTaken(NetworkId, Ipv4Addr),
    /// The address that was wanted is in no range of the network.
    AddressInNoRange(NetworkId, Ipv4Addr),
    /// The policy failed and may not be replaced.
    PolicyFailed(PolicyFailure),
    /// Too many asks wait.
    Full,
    /// The zone is gone.
    Gone,
}

/// The use cases' side of a planner.
pub(crate) struct Planner {
    zone: ZoneId,
    inbox: Arc<Inbox>,
    /// One load at a time.
    loading: Mutex<()>,
}

/// What a planner works with.
#[derive(Clone)]
pub(crate) struct PlannerParts {
    pub plugins: Arc<dyn Plugins>,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn Ids>,
    /// Where shadows are asked.
    pub desk: Arc<Desk>,
    /// How new versions of policies are watched.
    pub probation: Probation,
    /// Who takes back those that do not do.
    pub misfits: mpsc::Sender<Misfit>,
    /// Where every change of the inventory is told.
    pub line: Arc<Line>,
}

impl Planner {
    /// Starts the thread. It answers once the zone is loaded: [`Planner::load`].
    pub(crate) fn start(zone: ZoneId, parts: PlannerParts) -> std::io::Result<Self> {
        let inbox = Arc::new(Inbox::default());
        let state = state::State::new(zone, parts);
        let of_thread = Arc::clone(&inbox);
        thread::Builder::new()
            .name(format!("planner-{zone}"))
            .spawn(move || state.run(&of_thread))?;
        Ok(Self {
            zone,
            inbox,
            loading: Mutex::new(()),
        })
    }

    pub(crate) fn inbox(&self) -> Arc<Inbox> {
        Arc::clone(&self.inbox)
    }

    /// Whose it is.
    pub(crate) const fn zone(&self) -> ZoneId {
        self.zone
    }

    /// Reads the zone and hands it to the thread. Commits that come meanwhile are applied on top, so that nothing is
    /// missed.
    ///
    /// `first_epoch`: what the epochs of the inventory begin with at least.
    pub(crate) async fn load(&self, reader: &Reader, first_epoch: u64) -> Result<(), StoreError> {
        let _one = self.loading.lock().await;
        self.inbox.begin_load();
        match load::read(reader, self.zone, first_epoch).await {
            Ok(loaded) => {
                self.inbox.order(Order::Loaded(Box::new(loaded)));
                Ok(())
            }
            Err(error) => {
                self.inbox.abandon_load();
                Err(error)
            }
        }
    }

    /// Whether the thread lost track (too many news waited) and must be loaded again.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.inbox.is_in_doubt()
    }

    /// Plans and claims; the claims are given back when the answer is dropped unconfirmed.
    pub(crate) async fn plan(&self, ask: PlanAsk) -> Result<Claimed<Plan>, NoPlan> {
        let key = ask.run.uuid();
        let (answer, plan) = oneshot::channel();
        if !self.inbox.ask(Order::Plan(Box::new(ask), answer)) {
            return Err(NoPlan::Full);
        }
        // Held from here on: a caller that goes away while the thread plans leaves no claim behind.
        let mut claimed = Claimed::new(Arc::clone(&self.inbox), key);
        let plan = plan.await.map_err(|_| NoPlan::Gone)??;
        claimed.plan = Some(plan);
        Ok(claimed)
    }

    /// Plans several, one after another, each with the claims of those before it in view.
    pub(crate) async fn plan_many(
        &self,
        asks: Vec<PlanAsk>,
    ) -> Result<Vec<Result<Claimed<Plan>, NoPlan>>, NoPlan> {
        let keys: Vec<Uuid> = asks.iter().map(|ask| ask.run.uuid()).collect();
        let (answer, plans) = oneshot::channel();
        if !self.inbox.ask(Order::PlanMany(asks, answer)) {
            return Err(NoPlan::Full);
        }
        // As with one.
        let claimed: Vec<Claimed<Plan>> = keys
            .into_iter()
            .map(|key| Claimed::new(Arc::clone(&self.inbox), key))
            .collect();
        let plans = plans.await.map_err(|_| NoPlan::Gone)?;
        let each = claimed.into_iter().zip(plans).map(|(mut claimed, plan)| {
            claimed.plan = Some(plan?);
            Ok(claimed)
        });
        Ok(each.collect())
    }

    /// Plans a volume alone.
    pub(crate) async fn plan_volume(
        &self,
        volume: VolumeId,
        disk: DiskAsk,
    ) -> Result<Claimed<VolumePlan>, NoPlan> {
        let (answer, plan) = oneshot::channel();
        if !self.inbox.ask(Order::PlanVolume(volume, disk, answer)) {
            return Err(NoPlan::Full);
        }
        let mut claimed = Claimed::new(Arc::clone(&self.inbox), volume.uuid());
        let plan = plan.await.map_err(|_| NoPlan::Gone)??;
        claimed.plan = Some(plan);
        Ok(claimed)
    }

    /// Takes back the claims of a run or a volume that will not be committed. Nothing happens if they were committed.
    pub(crate) fn give_back(&self, key: Uuid) {
        self.inbox.order(Order::GiveBack(key));
    }
}

impl Drop for Planner {
    fn drop(&mut self) {
        self.inbox.stop();
    }
}

/// A plan whose claims go back when it is dropped without [`Claimed::commit`].
pub(crate) struct Claimed<P> {
    plan: Option<P>,
    inbox: Arc<Inbox>,
    key: Uuid,
    kept: bool,
}

impl<P> Claimed<P> {
    fn new(inbox: Arc<Inbox>, key: Uuid) -> Self {
        Self {
            plan: None,
            inbox,
            key,
            kept: false,
        }
    }

    /// The run or volume that the claims are for.
    pub(crate) const fn key(&self) -> Uuid {
        self.key
    }

    /// The plan; none only before it has arrived.
    pub(crate) fn plan(&self) -> Option<&P> {
        self.plan.as_ref()
    }

    /// It was committed: the claims stay. (The planner heard it from the store before the caller did.)
    pub(crate) fn commit(mut self) -> Option<P> {
        self.kept = true;
        self.plan.take()
    }
}

impl<P> Drop for Claimed<P> {
    fn drop(&mut self) {
        if !self.kept {
            self.inbox.order(Order::GiveBack(self.key));
        }
    }
}

/// Plans made for one request. A claim is refused only when the planner did not know of another server's or of a lost
/// answer; each further plan follows a fresh load of the zone, so a third refusal means that others are faster.
pub(crate) const PLANS: u32 = 3;

/// [`PLANS`] plans were refused.
pub(crate) fn outpaced() -> ServiceError {
    ServiceError::Unavailable {
        problem: format!("what {PLANS} plans chose was taken meanwhile each time"),
        retry_after_s: SOON_S,
    }
}

impl NoPlan {
    /// In the words of a caller; `network` names the network in question.
    pub(crate) fn into_error(self, network: impl FnOnce() -> String) -> ServiceError {
        match self {
            Self::NoCapacity(decision) => ServiceError::NoCapacity { decision },
            Self::NoStorage(refused) => ServiceError::NoStorage { refused },
            Self::NoAddress(id) => ServiceError::NoAddresses {
                what: "network",
                id: id.uuid(),
                name: network(),
            },
            Self::AddressTaken(_, address) => ServiceError::AddressTaken {
                address,
                name: network(),
            },
            Self::AddressInNoRange(_, address) => ServiceError::AddressInNoRange {
                address,
                name: network(),
            },
            Self::PolicyFailed(failure) => ServiceError::PolicyFailed {
                problem: failure.to_string(),
                retry_after_s: SOON_S,
            },
            Self::Full => ServiceError::Unavailable {
                problem: "too many placements wait".into(),
                retry_after_s: SOON_S,
            },
            // It ends when its shard goes to another server.
            Self::Gone => ServiceError::NotOwner,
        }
    }
}
