//! The real sources of time and chance, for programs that start a sandbox.

use std::{
    ffi::OsString,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use uuid::Uuid;
use velum_model::{
    chance::Ids,
    time::{Clock, Timestamp},
};

use crate::Sources;

impl Sources {
    /// The clock and the random numbers of this machine; components are compiled, and drivers and providers run, by
    /// `command`, a program whose `main` calls [`crate::child_main`] before anything else.
    #[must_use]
    pub fn of_this_machine(command: OsString) -> Self {
        Self {
            clock: Arc::new(SystemClock {
                latest: AtomicI64::default(),
                started: Instant::now(),
            }),
            ids: Arc::new(SystemIds),
            compile_command: vec![command],
        }
    }
}

/// The system's clock, held back from going backwards.
struct SystemClock {
    latest: AtomicI64,
    started: Instant,
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
struct SystemIds;

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

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the source that everybody else is given"
    )]
    fn secret(&self) -> [u8; 32] {
        // 122 random bits each, of the kernel's; what a sandbox guards with them is gone with it.
        let (a, b) = (Uuid::new_v4(), Uuid::new_v4());
        let mut secret = [0; 32];
        let bytes = a.as_bytes().iter().chain(b.as_bytes());
        secret
            .iter_mut()
            .zip(bytes)
            .for_each(|(into, byte)| *into = *byte);
        secret
    }
}
