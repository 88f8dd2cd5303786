//! Instants, and the clock that is the only source of them.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

/// An instant in microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From microseconds since the Unix epoch.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the Unix epoch.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The instant `millis` milliseconds later; the end of time when that does not fit.
    #[must_use]
    pub const fn plus_millis(self, millis: u64) -> Self {
        let micros = if millis > i64::MAX as u64 / 1000 {
            i64::MAX
        } else {
            (millis * 1000) as i64
        };
        Self(self.0.saturating_add(micros))
    }

    /// Whole minutes since the Unix epoch, the time of placement: 0 before it, the largest number when they do not fit (in the
    /// year 10136).
    #[must_use]
    pub const fn minute(self) -> u32 {
        let minutes = self.0 / MINUTE_MICROS;
        if minutes < 0 {
            0
        } else if minutes > u32::MAX as i64 {
            u32::MAX
        } else {
            minutes as u32
        }
    }

    /// The beginning of a minute since the Unix epoch.
    #[must_use]
    pub const fn of_minute(minute: u32) -> Self {
        Self(minute as i64 * MINUTE_MICROS)
    }

    /// Milliseconds from `earlier` to this instant, 0 when it is not earlier.
    #[must_use]
    pub const fn millis_since(self, earlier: Self) -> u64 {
        let micros = self.0.saturating_sub(earlier.0);
        if micros < 0 { 0 } else { micros as u64 / 1000 }
    }
}

/// Microseconds of a minute.
const MINUTE_MICROS: i64 = 60_000_000;

/// RFC 3339 in UTC with microseconds.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(instant) => fmt::Display::fmt(&instant, f),
            Err(_) => write!(f, "@{}us", self.0),
        }
    }
}

/// As it is displayed, or any other instant in RFC 3339; what is finer than a microsecond is cut off.
impl FromStr for Timestamp {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let instant: jiff::Timestamp = text.parse()?;
        Ok(Self(instant.as_microsecond()))
    }
}

/// The source of time. Tests hold a manual one.
pub trait Clock: Send + Sync {
    /// The present instant; never goes back within one process.
    fn now(&self) -> Timestamp;

    /// Time since a moment of this process's own, by a clock that nobody sets: what leases are measured with. Only
    /// differences mean anything, and only within the process.
    fn steady(&self) -> Duration {
        Duration::from_micros(self.now().micros().unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_begins_where_it_is_counted_from() {
        for minute in [0, 1, 29_700_000, u32::MAX] {
            let begins = Timestamp::of_minute(minute);
            assert_eq!(begins.minute(), minute);
            assert_eq!(begins.plus_millis(59_999).minute(), minute);
        }
        assert_eq!(Timestamp::of_minute(7).plus_millis(60_000).minute(), 8);
        assert_eq!(Timestamp::from_micros(-1).minute(), 0);
        assert_eq!(Timestamp::from_micros(i64::MAX).minute(), u32::MAX);
    }
}
