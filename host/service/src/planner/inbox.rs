//! The planner thread's inbox: news, orders and asks, each bounded in its own way.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;
use uuid::Uuid;
use velum_model::id::VolumeId;
use velum_placement::DiskAsk;

use super::{NoPlan, Plan, PlanAsk, VolumePlan, digest::News, load::Loaded};

/// Asks that may wait. A plan takes well under a millisecond, so the last of them waits less than a caller's patience
/// of a second.
const ASKS: usize = 1024;
/// Batches of news that may wait. At 256 commits each that is far more than any writer is ahead of a thread that only
/// adds numbers; beyond, the planner forgets them and is loaded anew.
const NEWS: usize = 4096;

/// What the thread is told to do.
pub(crate) enum Order {
    /// Find a place for a machine.
    Plan(Box<PlanAsk>, oneshot::Sender<Result<Plan, NoPlan>>),
    /// Find a place for each of several machines, one after another.
    PlanMany(Vec<PlanAsk>, oneshot::Sender<Vec<Result<Plan, NoPlan>>>),
    /// Find a pool for a volume.
    PlanVolume(VolumeId, DiskAsk, oneshot::Sender<Result<VolumePlan, NoPlan>>),
    /// Tell the history everything. Whoever asks for it writes parts one after another.
    Tell,
    /// Take back tentative claims. Bounded by the asks that made them.
    GiveBack(Uuid),
    /// The zone as it was read. One at a time.
    Loaded(Box<Loaded>),
}

impl Order {
    /// For how many asks it counts.
    const fn weight(&self) -> usize {
        match self {
            Self::PlanMany(asks, _) => asks.len(),
            _ => 1,
        }
    }
}

/// What the thread takes out at once.
pub(crate) enum Work {
    /// Commits to follow.
    News(Arc<News>),
    /// Something to do.
    Order(Order),
    /// A load begins: remember the news from here on.
    BeginLoad,
    /// The end.
    Stop,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Inbox {
    queue: Mutex<Queue>,
    ready: Condvar,
}

#[derive(Default)]
struct Queue {
    /// News, loads and what takes claims back: before asks, in the order of their coming.
    first: VecDeque<Work>,
    /// How many of `first` are news.
    news: usize,
    asks: VecDeque<Order>,
    /// Machines and volumes that they are about.
    asked: usize,
    /// Asks wait until the zone was loaded once.
    loaded: bool,
    in_doubt: bool,
    stopped: bool,
}

impl Inbox {
    /// Queues an ask. False when too many wait.
    pub(crate) fn ask(&self, order: Order) -> bool {
        let mut queue = self.queue.lock();
        let room = queue.asked < ASKS && !queue.stopped;
        if room {
            queue.asked += order.weight();
            queue.asks.push_back(order);
            self.ready.notify_one();
        }
        room
    }

    /// Queues what must not be refused.
    pub(crate) fn order(&self, order: Order) {
        let mut queue = self.queue.lock();
        if matches!(order, Order::Loaded(_)) {
            queue.loaded = true;
        }
        queue.first.push_back(Work::Order(order));
        self.ready.notify_one();
    }

    /// Queues news. Never blocks the writer: what does not fit is forgotten, and the zone is loaded anew.
    pub(crate) fn tell(&self, news: Arc<News>) {
        let mut queue = self.queue.lock();
        if queue.news >= NEWS {
            queue.in_doubt = true;
            return;
        }
        queue.news += 1;
        queue.first.push_back(Work::News(news));
        self.ready.notify_one();
    }

    pub(crate) fn begin_load(&self) {
        let mut queue = self.queue.lock();
        queue.in_doubt = false;
        queue.first.push_back(Work::BeginLoad);
        self.ready.notify_one();
    }

    pub(crate) fn abandon_load(&self) {
        self.queue.lock().in_doubt = true;
    }

    pub(crate) fn is_in_doubt(&self) -> bool {
        self.queue.lock().in_doubt
    }

    pub(crate) fn stop(&self) {
        self.queue.lock().stopped = true;
        self.ready.notify_all();
    }

    /// Waits for the next piece of work.
    pub(crate) fn next(&self) -> Work {
        let mut queue = self.queue.lock();
        loop {
            if queue.stopped {
                return Work::Stop;
            }
            if let Some(work) = queue.first.pop_front() {
                queue.news -= usize::from(matches!(work, Work::News(_)));
                return work;
            }
            if queue.loaded
                && let Some(order) = queue.asks.pop_front()
            {
                queue.asked -= order.weight();
                return Work::Order(order);
            }
            self.ready.wait(&mut queue);
        }
    }
}
