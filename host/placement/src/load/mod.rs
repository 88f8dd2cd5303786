//! A load that can be repeated: guests of a [`Mix`] of shapes and lifetimes that come and go, in the order of time.
//!
//! Arrivals are Poisson. The guests of a seed are the same on every machine, and so are their times; what is known of their lifetimes
//! ([`Foresight`]) changes neither. A load begins with the guests that would be there long after its beginning, so that whoever
//! measures need not wait until the longest lifetimes have passed.
//!
//! ```
//! use velum_placement::load::{Event, Load, Mix};
//!
//! let mut there = 0;
//! for event in Load::new(Mix::general(), 7, 1_000).take(10_000) {
//!     match event {
//!         Event::Comes(guest) => there += i64::from(guest.shape.vcpus > 0),
//!         Event::Goes { .. } => there -= 1,
//!     }
//! }
//! assert!((900..1_100).contains(&there), "{there}");
//! ```

mod chance;
mod mix;

use std::{cmp::Reverse, collections::BinaryHeap};

use chance::Chance;
pub use mix::{Foresight, LifetimeClass, Mix, Shape, Weighted};

/// A guest that comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guest {
    /// Its number, from 0 in the order of coming.
    pub number: u64,
    /// When it comes, in milliseconds since the load's beginning.
    pub at_ms: u64,
    /// When it goes, if it is let in.
    pub until_ms: u64,
    /// How long it is expected to live when it comes, in seconds; none when nobody tells.
    pub expected_lifetime_s: Option<u64>,
    /// What it is given.
    pub shape: Shape,
}

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A guest wants in.
    Comes(Guest),
    /// A guest that came goes; whoever had refused it has nothing to do.
    Goes {
        /// Its number.
        number: u64,
        /// When, in milliseconds since the load's beginning.
        at_ms: u64,
    },
}

/// Events without end; see the module.
#[derive(Clone, Debug)]
pub struct Load {
    mix: Mix,
    chance: Chance,
    /// Guests that are there at the beginning and did not come yet.
    first: u64,
    /// Guests that come in a second.
    rate: f64,
    now_s: f64,
    next: Option<Guest>,
    numbered: u64,
    leaving: BinaryHeap<Reverse<(u64, u64)>>,
}

impl Load {
    /// The load of a seed, in which `alive` guests are there at once on average, those of the beginning included, if none is refused.
    #[must_use]
    pub fn new(mix: Mix, seed: u64, alive: u64) -> Self {
        let mean = mix.mean_lifetime_s();
        Self {
            rate: if mean > 0.0 { alive as f64 / mean } else { 1.0 },
            mix,
            chance: Chance::new(seed),
            first: alive,
            now_s: 0.0,
            next: None,
            numbered: 0,
            leaving: BinaryHeap::new(),
        }
    }

    /// How many guests are there at once when they want `percent` of what the scarcer of vCPUs and memory has room for.
    #[must_use]
    pub fn alive_for(mix: &Mix, vcpus: u64, memory_mib: u64, percent: u32) -> u64 {
        let (of_one, memory_of_one) = mix.mean_shape();
        let room = (vcpus as f64 / of_one).min(memory_mib as f64 / memory_of_one);
        (room * f64::from(percent) / 100.0) as u64
    }

    /// The same guests without those that are there at the beginning.
    #[must_use]
    pub fn from_empty(self) -> Self {
        Self { first: 0, ..self }
    }

    fn come(&mut self) -> Guest {
        let (lifetime, left) = if self.first > 0 {
            self.first -= 1;
            self.mix.met_s(&mut self.chance)
        } else {
            self.now_s += self.chance.exponential() / self.rate;
            let lifetime = self.mix.lifetime_s(&mut self.chance);
            (lifetime, lifetime)
        };
        let shape = self.mix.shape(&mut self.chance);
        let expected = self.mix.expected_s(lifetime, &mut self.chance);
        let number = self.numbered;
        self.numbered += 1;
        // Who is met in the midst of its life is expected for what is left of it, and for a minute at least.
        let shown = expected.map(|expected| (expected - (lifetime - left)).max(60.0));
        let at_ms = (self.now_s * 1000.0) as u64;
        Guest {
            number,
            at_ms,
            until_ms: at_ms + (left * 1000.0) as u64,
            expected_lifetime_s: shown.map(|shown| shown as u64),
            shape,
        }
    }
}

impl Iterator for Load {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        let guest = match self.next.take() {
            Some(guest) => guest,
            None => self.come(),
        };
        if let Some(&Reverse((at_ms, number))) = self.leaving.peek()
            && at_ms <= guest.at_ms
        {
            self.leaving.pop();
            self.next = Some(guest);
            return Some(Event::Goes { number, at_ms });
        }
        self.leaving.push(Reverse((guest.until_ms, guest.number)));
        Some(Event::Comes(guest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guests(load: Load) -> impl Iterator<Item = Guest> {
        load.filter_map(|event| match event {
            Event::Comes(guest) => Some(guest),
            Event::Goes { .. } => None,
        })
    }

    fn events(seed: u64, foresight: Foresight) -> Vec<Event> {
        let mix = Mix::general().with_foresight(foresight);
        Load::new(mix, seed, 500).take(5_000).collect()
    }

    #[test]
    fn a_seed_gives_the_same_events_and_another_one_others() {
        assert_eq!(events(1, Foresight::NOISY), events(1, Foresight::NOISY));
        assert_ne!(events(1, Foresight::NOISY), events(2, Foresight::NOISY));
    }

    #[test]
    fn the_events_of_a_seed_are_these_on_every_machine() {
        let folded = events(7, Foresight::NOISY).iter().fold(0_u64, |sum, event| {
            let number = match event {
                Event::Comes(guest) => guest.at_ms ^ guest.until_ms ^ guest.expected_lifetime_s.unwrap_or(1),
                Event::Goes { number, at_ms } => at_ms ^ number,
            };
            sum.rotate_left(5) ^ number
        });
        assert_eq!(folded, 12_546_813_142_889_039_723);
    }

    #[test]
    fn what_is_known_of_lifetimes_changes_nothing_else() {
        let known = |foresight| -> Vec<(u64, u64, Shape)> {
            let mix = Mix::general().with_foresight(foresight);
            let guests = guests(Load::new(mix, 3, 500));
            guests
                .take(3_000)
                .map(|guest| (guest.at_ms, guest.until_ms, guest.shape))
                .collect()
        };
        assert_eq!(known(Foresight::PERFECT), known(Foresight::NOISY));
    }

    #[test]
    fn events_come_in_the_order_of_time_and_nobody_goes_who_did_not_come() {
        let mut there = std::collections::HashMap::new();
        let mut last = 0;
        for event in events(5, Foresight::PERFECT) {
            let at = match event {
                Event::Comes(guest) => {
                    assert_eq!(there.insert(guest.number, guest.until_ms), None);
                    guest.at_ms
                }
                Event::Goes { number, at_ms } => {
                    assert_eq!(there.remove(&number), Some(at_ms));
                    at_ms
                }
            };
            assert!(at >= last);
            last = at;
        }
    }

    #[test]
    fn so_many_are_there_at_any_time_as_were_asked_for() {
        let mut there = 0_u64;
        let (mut sum, mut looks, mut next_ms) = (0_u64, 0_u64, 0);
        for event in Load::new(Mix::general(), 11, 2_000) {
            let at = match &event {
                Event::Comes(guest) => guest.at_ms,
                Event::Goes { at_ms, .. } => *at_ms,
            };
            while next_ms < at {
                (sum, looks) = (sum + there, looks + 1);
                next_ms += 3_600_000;
            }
            match event {
                Event::Comes(_) => there += 1,
                Event::Goes { .. } => there -= 1,
            }
            if at > 60 * 86_400_000 {
                break;
            }
        }
        let mean = sum / looks;
        assert!((1_900..=2_100).contains(&mean), "{mean}");
    }

    #[test]
    fn guests_are_what_the_mix_says() {
        const MANY: usize = 200_000;
        let mix = Mix::general();
        let (vcpus, memory) = mix.mean_shape();
        let lifetime = mix.mean_lifetime_s();
        let drawn: Vec<Guest> = guests(Load::new(mix, 7, 1_000).from_empty()).take(MANY).collect();
        let mean = |of: fn(&Guest) -> f64| drawn.iter().map(of).sum::<f64>() / MANY as f64;
        let near = |found: f64, wanted: f64| (found / wanted - 1.0).abs() < 0.03;
        assert!(near(mean(|guest| f64::from(guest.shape.vcpus)), vcpus));
        assert!(near(mean(|guest| guest.shape.memory_mib as f64), memory));
        assert!(near(
            mean(|guest| (guest.until_ms - guest.at_ms) as f64 / 1000.0),
            lifetime
        ));
        let brief = drawn
            .iter()
            .filter(|guest| guest.until_ms - guest.at_ms < 86_400_000)
            .count();
        assert!(
            (83..92).contains(&(brief * 100 / MANY)),
            "{brief} live for less than a day"
        );
    }

    #[test]
    fn a_load_is_measured_against_what_is_scarcer() {
        let mix = Mix::general();
        let (vcpus, memory) = mix.mean_shape();
        let alive = Load::alive_for(&mix, (vcpus * 100.0) as u64, u64::MAX / 2, 100);
        assert!((99..=100).contains(&alive), "{alive}");
        let alive = Load::alive_for(&mix, u64::MAX / 2, (memory * 100.0) as u64, 50);
        assert!((49..=50).contains(&alive), "{alive}");
    }
}
