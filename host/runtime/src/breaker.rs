//! The breaker of one plugin: after several failures in a row its calls are refused for a while, then one may try.

use parking_lot::Mutex;
use velum_model::time::Timestamp;

/// See the module.
#[derive(Debug)]
pub struct Breaker {
    failures: u32,
    pause_ms: u64,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed {
        in_a_row: u32,
    },
    Open {
        until: Timestamp,
    },
    /// One call is trying since then.
    HalfOpen {
        since: Timestamp,
    },
}

/// Why a call is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its breaker is open after failures in a row; it is tried again in {retry_after_ms} ms")]
pub struct Open {
    /// When to try again, in milliseconds.
    pub retry_after_ms: u64,
}

impl Breaker {
    /// Opens after `failures` in a row, for `pause_ms` milliseconds.
    #[must_use]
    pub const fn new(failures: u32, pause_ms: u64) -> Self {
        Self {
            failures,
            pause_ms,
            state: Mutex::new(State::Closed { in_a_row: 0 }),
        }
    }

    /// Asks to make a call.
    ///
    /// # Errors
    /// [`Open`] when it must not be made now.
    pub fn enter(&self, now: Timestamp) -> Result<(), Open> {
        let mut state = self.state.lock();
        // A call that tries and never reports (its caller went away) holds the place for one more pause only.
        let opens_at = match *state {
            State::Closed { .. } => return Ok(()),
            State::Open { until } => until,
            State::HalfOpen { since } => since.plus_millis(self.pause_ms),
        };
        if now < opens_at {
            return Err(Open {
                retry_after_ms: opens_at.millis_since(now).max(1),
            });
        }
        *state = State::HalfOpen { since: now };
        Ok(())
    }

    /// For how many milliseconds calls are still refused; `None` when they are made. Asks for nothing, unlike [`Self::enter`].
    pub fn pause(&self, now: Timestamp) -> Option<u64> {
        let opens_at = match *self.state.lock() {
            State::Closed { .. } => return None,
            State::Open { until } => until,
            State::HalfOpen { since } => since.plus_millis(self.pause_ms),
        };
        Some(opens_at.millis_since(now))
    }

    /// A call ended as it should, or with a fault that the plugin itself answered.
    pub fn worked(&self) {
        *self.state.lock() = State::Closed { in_a_row: 0 };
    }

    /// A call trapped, missed its deadline or answered nonsense. Answers whether the breaker opened by it.
    pub fn failed(&self, now: Timestamp) -> bool {
        let mut state = self.state.lock();
        let in_a_row = match *state {
            State::Closed { in_a_row } => in_a_row.saturating_add(1),
            State::HalfOpen { .. } => self.failures,
            State::Open { .. } => return false,
        };
        let opens = in_a_row >= self.failures;
        *state = if opens {
            State::Open {
                until: now.plus_millis(self.pause_ms),
            }
        } else {
            State::Closed { in_a_row }
        };
        opens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_micros(millis * 1000)
    }

    #[test]
    fn a_breaker_opens_after_failures_in_a_row_and_lets_one_call_try_later() {
        let breaker = Breaker::new(3, 1000);
        for _ in 0..2 {
            assert!(!breaker.failed(at(0)));
        }
        breaker.worked();
        for _ in 0..2 {
            assert!(!breaker.failed(at(0)));
        }
        assert!(breaker.failed(at(0)));
        assert_eq!(
            (breaker.pause(at(400)), breaker.pause(at(1500))),
            (Some(600), Some(0))
        );
        assert_eq!(breaker.enter(at(400)), Err(Open { retry_after_ms: 600 }));
        assert_eq!(breaker.enter(at(1000)), Ok(()));
        assert!(breaker.enter(at(1001)).is_err(), "one tries, the others wait");
        assert!(breaker.failed(at(1002)), "it opens again at once");
        assert!(breaker.enter(at(1500)).is_err());
        assert_eq!(breaker.enter(at(2002)), Ok(()));
        breaker.worked();
        assert_eq!(breaker.pause(at(2003)), None);
        assert_eq!(breaker.enter(at(2003)), Ok(()));
        assert_eq!(breaker.enter(at(2003)), Ok(()));
    }

    #[test]
    fn a_trying_call_that_never_reports_does_not_hold_the_breaker_for_ever() {
        let breaker = Breaker::new(1, 1000);
        breaker.failed(at(0));
        assert_eq!(breaker.enter(at(1000)), Ok(()));
        assert!(breaker.enter(at(1999)).is_err());
        assert_eq!(breaker.enter(at(2000)), Ok(()));
    }
}
