//! The real sources of time and chance. All else in the server asks for them through the model's traits.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, Instant},
};

use uuid::Uuid;
use velum_model::{Timestamp, chance::Ids, time::Clock};

/// The system's clock, held back from going backwards within this process.
#[derive(Debug)]
pub struct SystemClock {
    latest: AtomicI64,
    started: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self {
            latest: AtomicI64::default(),
            started: Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that everybody else is given"
    )]
    fn now(&self) -> Timestamp {
        let micros = jiff::Timestamp::now().as_microsecond();
        let latest = self.latest.fetch_max(micros, Ordering::Relaxed);
        Timestamp::from_micros(micros.max(latest))
    }

    fn steady(&self) -> Duration {
        self.started.elapsed()
    }
}

/// The kernel's random numbers.
#[derive(Debug, Default)]
pub struct SystemIds;

impl Ids for SystemIds {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the source that everybody else is given"
    )]
    fn uuid(&self) -> Uuid {
        Uuid::now_v7()
    }

    fn seed(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.secret();
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }

    fn secret(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty()) {
                Ok(n) => filled += n,
                // Interrupted by a signal: the kernel's generator never fails otherwise once it is seeded.
                Err(_) => continue,
            }
        }
        bytes
    }
}
