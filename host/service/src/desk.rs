//! Where shadows are asked: one thread beside the planners, with a bounded pile of asks in front of it. What does not fit is
//! dropped and counted: a request never waits for a shadow, and never learns that there is one.

use std::{
    collections::{BTreeMap, HashMap, VecDeque, hash_map::Entry},
    sync::{Arc, Weak},
    thread,
};

use parking_lot::{Condvar, Mutex};
use uuid::Uuid;
use velum_model::{
    id::ShadowId,
    plugin::PolicyShadow,
    port::{
        placement::{PlacementPolicy, PolicyDescriptor, PolicyFailure},
        plugins::Plugins,
    },
    shadow::ShadowCounts,
    time::Clock,
};
use velum_placement::ShadowAsk;

/// Asks that wait. A shadow answers some thousand a second; more than this many are a second's worth of a busy cloud, and
/// what matters is a sample.
const ASKS: usize = 256;
/// Bytes of asks that wait: 80 kB each at 5,000 compute hosts, 3 MB at 100,000.
const BYTES: usize = 64 << 20;
/// Instances kept: a shadow that ended leaves one behind until others push it out.
const INSTANCES: usize = 8;

/// An ask that was decided, on its way to a shadow.
pub(crate) struct Shadowed {
    pub shadow: Arc<PolicyShadow>,
    /// None as long as nobody knows what the shadow wants to be shown: then it is asked for that.
    pub ask: Option<ShadowAsk>,
}

impl Shadowed {
    fn bytes(&self) -> usize {
        self.ask.as_ref().map_or(0, ShadowAsk::bytes)
    }
}

/// What a planner knows of an ask at once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Decided {
    pub fuel: u64,
    pub micros: u64,
    pub has_failed: bool,
}

#[derive(Default)]
struct Pile {
    asks: VecDeque<Shadowed>,
    bytes: usize,
    is_running: bool,
}

/// See the module.
pub(crate) struct Desk {
    plugins: Arc<dyn Plugins>,
    clock: Arc<dyn Clock>,
    /// Names this run of the server among those that count.
    run: Uuid,
    pile: Mutex<Pile>,
    ready: Condvar,
    counts: Mutex<BTreeMap<ShadowId, Counted>>,
    /// What each shadow wants to be shown, once it has said so. An interpreter takes a second to start: that is not done
    /// where requests wait.
    wants: Mutex<HashMap<ShadowId, Arc<PolicyDescriptor>>>,
}

#[derive(Default)]
struct Counted {
    counts: ShadowCounts,
    is_kept: bool,
}

impl Desk {
    pub(crate) fn new(plugins: Arc<dyn Plugins>, clock: Arc<dyn Clock>, run: Uuid) -> Arc<Self> {
        Arc::new(Self {
            plugins,
            clock,
            run,
            pile: Mutex::default(),
            ready: Condvar::new(),
            counts: Mutex::default(),
            wants: Mutex::default(),
        })
    }

    /// Which run of the server counts here.
    pub(crate) const fn run(&self) -> Uuid {
        self.run
    }

    /// Counts an ask of the policy; answers whether the shadow can be shown it.
    pub(crate) fn decided(&self, shadow: ShadowId, decided: Decided) -> bool {
        let has_room = {
            let pile = self.pile.lock();
            pile.asks.len() < ASKS && pile.bytes < BYTES
        };
        self.count(shadow, |counts| {
            counts.asks += 1;
            counts.active_fuel += decided.fuel;
            counts.active_micros += decided.micros;
            counts.active_failed += u64::from(decided.has_failed);
            counts.dropped += u64::from(!has_room && !decided.has_failed);
        });
        has_room && !decided.has_failed
    }

    /// Lays an ask on the pile. The thread is started with the first.
    pub(crate) fn offer(self: &Arc<Self>, asked: Shadowed) {
        let mut pile = self.pile.lock();
        pile.bytes += asked.bytes();
        pile.asks.push_back(asked);
        if !pile.is_running {
            let desk = Arc::downgrade(self);
            let started = thread::Builder::new()
                .name("shadows".into())
                .spawn(move || work(&desk));
            pile.is_running = started.is_ok();
            if let Err(error) = started {
                tracing::warn!(%error, "could not start the thread that asks shadows");
                *pile = Pile::default();
            }
        }
        self.ready.notify_one();
    }

    fn count(&self, shadow: ShadowId, with: impl FnOnce(&mut ShadowCounts)) {
        let mut counts = self.counts.lock();
        let counted = counts.entry(shadow).or_default();
        with(&mut counted.counts);
        counted.is_kept = false;
    }

    /// What changed since it was kept last.
    pub(crate) fn unkept(&self) -> Vec<(ShadowId, ShadowCounts)> {
        let mut counts = self.counts.lock();
        let unkept = counts.iter_mut().filter(|(_, counted)| !counted.is_kept);
        unkept
            .map(|(shadow, counted)| {
                counted.is_kept = true;
                (*shadow, counted.counts.clone())
            })
            .collect()
    }

    /// It was not kept after all.
    pub(crate) fn keep_again(&self, shadow: ShadowId) {
        if let Some(counted) = self.counts.lock().get_mut(&shadow) {
            counted.is_kept = false;
        }
    }

    /// A shadow ended.
    pub(crate) fn forget(&self, shadow: ShadowId) {
        self.counts.lock().remove(&shadow);
        self.wants.lock().remove(&shadow);
    }

    /// What a shadow wants to be shown; none before it has said so.
    pub(crate) fn wants(&self, shadow: ShadowId) -> Option<Arc<PolicyDescriptor>> {
        self.wants.lock().get(&shadow).cloned()
    }

    /// The next ask, for as long as anybody could bring one.
    fn next(desk: &Weak<Self>) -> Option<(Arc<Self>, Shadowed)> {
        loop {
            let here = desk.upgrade()?;
            let mut pile = here.pile.lock();
            if pile.asks.is_empty() {
                // Now and then it looks whether the desk is still there.
                here.ready.wait_for(&mut pile, LOOK_UP);
            }
            let next = pile.asks.pop_front();
            pile.bytes -= next.as_ref().map_or(0, Shadowed::bytes);
            drop(pile);
            if let Some(asked) = next {
                return Some((here, asked));
            }
        }
    }

    fn answer(&self, asked: &Shadowed, instances: &mut Instances) {
        let id = asked.shadow.id;
        let Some(ask) = &asked.ask else {
            return self.introduce(&asked.shadow, instances);
        };
        match self.asked(&asked.shadow, ask, instances) {
            Ok((comparison, fuel, micros)) => self.count(id, |counts| {
                counts.compared += 1;
                counts.same_winner += u64::from(comparison.same_winner);
                counts.ranked += u64::from(comparison.rank_permille.is_some());
                counts.rank_permille += u64::from(comparison.rank_permille.unwrap_or(0));
                counts.refusals_added += u64::from(comparison.refusals_added);
                counts.refused_all += u64::from(comparison.refused_all);
                counts.fuel += fuel;
                counts.micros += micros;
            }),
            Err(failure) => {
                instances.remove(&id);
                self.count(id, |counts| counts.failed(&failure));
            }
        }
    }

    /// Lets a shadow say what it wants to be shown; the ask at which it was met counts as not shown.
    fn introduce(&self, shadow: &PolicyShadow, instances: &mut Instances) {
        let met = self
            .instance(shadow, instances)
            .map(|policy| policy.descriptor().clone());
        match met {
            Ok(wants) => {
                self.wants.lock().insert(shadow.id, Arc::new(wants));
                self.count(shadow.id, |counts| counts.dropped += 1);
            }
            Err(failure) => self.count(shadow.id, |counts| counts.failed(&failure)),
        }
    }

    fn instance<'i>(
        &self,
        shadow: &PolicyShadow,
        instances: &'i mut Instances,
    ) -> Result<&'i mut Box<dyn PlacementPolicy>, PolicyFailure> {
        if instances.len() >= INSTANCES && !instances.contains_key(&shadow.id) {
            instances.clear();
        }
        match instances.entry(shadow.id) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(place) => {
                let made = self.plugins.policy_aside(&shadow.digest, &shadow.config);
                let made = made.map_err(|refused| PolicyFailure::Unavailable(refused.to_string()))?;
                Ok(place.insert(made))
            }
        }
    }

    fn asked(
        &self,
        shadow: &PolicyShadow,
        ask: &ShadowAsk,
        instances: &mut Instances,
    ) -> Result<(velum_placement::Comparison, u64, u64), PolicyFailure> {
        let policy = self.instance(shadow, instances)?;
        ask.show(policy.as_mut())?;
        let began = self.clock.now();
        let comparison = ask.judge(policy.as_mut())?;
        let micros = self.clock.now().micros().saturating_sub(began.micros());
        Ok((comparison, policy.fuel_used(), u64::try_from(micros).unwrap_or(0)))
    }
}

/// How long the thread waits before it looks whether it is still wanted.
const LOOK_UP: std::time::Duration = std::time::Duration::from_secs(1);

type Instances = HashMap<ShadowId, Box<dyn PlacementPolicy>>;

fn work(desk: &Weak<Desk>) {
    let mut instances = Instances::new();
    while let Some((here, asked)) = Desk::next(desk) {
        here.answer(&asked, &mut instances);
    }
}
