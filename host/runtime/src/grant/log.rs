//! `velum:common/log`: lines of plugins in the server's log, cut, cleaned and rationed.

use std::sync::Arc;

use parking_lot::Mutex;
use velum_model::time::{Clock, Timestamp};

/// Characters of one line: a fault's detail fits, a dump of an answer does not.
const MAX_CHARS: usize = 1024;
/// Lines that may come at once.
const BURST: u32 = 200;
/// Lines a second after that: an operator can still read them, and a loop that logs cannot fill a disk.
const PER_SECOND: u32 = 20;

/// The log of one plugin; its instances share the ration.
pub struct LogBook {
    plugin: String,
    clock: Arc<dyn Clock>,
    ration: Mutex<Ration>,
}

#[derive(Debug)]
struct Ration {
    left: u32,
    since: Timestamp,
    dropped: u64,
}

impl std::fmt::Debug for LogBook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogBook")
            .field("plugin", &self.plugin)
            .finish_non_exhaustive()
    }
}

impl LogBook {
    /// The log of `plugin`.
    #[must_use]
    pub fn new(plugin: String, clock: Arc<dyn Clock>) -> Self {
        let since = clock.now();
        Self {
            plugin,
            clock,
            ration: Mutex::new(Ration {
                left: BURST,
                since,
                dropped: 0,
            }),
        }
    }

    /// Writes a line. `level`: 0 trace to 4 error; others count as error.
    pub fn line(&self, level: u8, message: &str) {
        let Some(dropped) = self.take() else { return };
        let plugin = self.plugin.as_str();
        if dropped > 0 {
            tracing::warn!(plugin, dropped, "lines of this plugin were dropped: too many");
        }
        let message = clean(message, MAX_CHARS);
        match level {
            0 => tracing::trace!(plugin, "{message}"),
            1 => tracing::debug!(plugin, "{message}"),
            2 => tracing::info!(plugin, "{message}"),
            3 => tracing::warn!(plugin, "{message}"),
            _ => tracing::error!(plugin, "{message}"),
        }
    }

    /// Takes one line of the ration. Answers how many were dropped before it, or none if it must be dropped.
    fn take(&self) -> Option<u64> {
        let now = self.clock.now();
        let mut ration = self.ration.lock();
        let seconds = u32::try_from(now.millis_since(ration.since) / 1000).unwrap_or(u32::MAX);
        if seconds > 0 {
            ration.left = ration
                .left
                .saturating_add(seconds.saturating_mul(PER_SECOND))
                .min(BURST);
            ration.since = now;
        }
        if ration.left == 0 {
            ration.dropped += 1;
            return None;
        }
        ration.left -= 1;
        Some(std::mem::take(&mut ration.dropped))
    }
}

/// A text of a plugin as it may stand in a log, a fault or a terminal: no control characters, at most `max` characters.
#[must_use]
pub fn clean(text: &str, max: usize) -> String {
    text.chars()
        .take(max)
        .map(|c| if c.is_control() || is_direction(c) { ' ' } else { c })
        .collect()
}

/// Characters that change the direction of what follows, and so what an operator believes to read.
const fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    #[derive(Default)]
    struct Hands(AtomicI64);
    impl Clock for Hands {
        fn now(&self) -> Timestamp {
            Timestamp::from_micros(self.0.load(Ordering::Relaxed))
        }
    }

    #[test]
    fn a_plugin_that_logs_without_end_is_rationed_and_the_loss_is_told() {
        let clock = Arc::new(Hands::default());
        let book = LogBook::new("chatty".to_owned(), Arc::clone(&clock) as Arc<dyn Clock>);
        let written = (0..1000).filter(|_| book.take().is_some()).count();
        assert_eq!(written, BURST as usize);
        clock.0.store(1_000_000, Ordering::Relaxed);
        assert_eq!(
            book.take(),
            Some(800),
            "the first line after a pause tells what was lost"
        );
        assert_eq!(
            (0..100).filter(|_| book.take().is_some()).count(),
            PER_SECOND as usize - 1
        );
    }

    #[test]
    fn a_line_cannot_forge_others() {
        assert_eq!(
            clean("a\nINFO root logged in\u{1b}[2J", 100),
            "a INFO root logged in [2J"
        );
        assert_eq!(clean("\u{202e}evil", 100), " evil");
        assert_eq!(clean(&"x".repeat(5000), 10), "xxxxxxxxxx");
    }
}
