//! One life of a server: it lives, stands still, or is dead. What is dead or stands still does nothing, wherever in its
//! work it was: every call to the far side and every commit asks here first.

use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;

use crate::wire::Fate;

const LIVES: u8 = 0;
const STANDS: u8 = 1;
const DEAD: u8 = 2;

/// See the module.
#[derive(Debug)]
pub struct Life {
    number: u32,
    state: AtomicU8,
    thawed: Notify,
    /// Told when it died or stands still.
    pub stopped: Notify,
}

impl Life {
    /// The first, second, … life.
    #[must_use]
    pub fn new(number: u32) -> Self {
        Self {
            number,
            state: AtomicU8::new(LIVES),
            thawed: Notify::new(),
            stopped: Notify::new(),
        }
    }

    /// Which life it is.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// Whether it lives and moves.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.state.load(Ordering::SeqCst) == LIVES
    }

    /// Whether it stands still.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.state.load(Ordering::SeqCst) == STANDS
    }

    /// Returns at once while it lives, when it is thawed, or never.
    pub async fn lives(&self) {
        loop {
            let thawed = self.thawed.notified();
            match self.state.load(Ordering::SeqCst) {
                LIVES => return,
                STANDS => thawed.await,
                _ => std::future::pending().await,
            }
        }
    }

    /// Lets it happen, and goes on if it still can.
    pub async fn meet(&self, fate: Fate) {
        match fate {
            Fate::Goes => {}
            Fate::Dies => self.kill(),
            Fate::Freezes => self.freeze(),
        }
        self.lives().await;
    }

    /// `kill -9`.
    pub fn kill(&self) {
        self.state.store(DEAD, Ordering::SeqCst);
        self.stopped.notify_one();
    }

    /// It stands still.
    pub fn freeze(&self) {
        if self.is_alive() {
            self.state.store(STANDS, Ordering::SeqCst);
            self.stopped.notify_one();
        }
    }

    /// It moves on from where it stood.
    pub fn thaw(&self) {
        if self.is_frozen() {
            self.state.store(LIVES, Ordering::SeqCst);
            self.thawed.notify_waiters();
        }
    }
}
