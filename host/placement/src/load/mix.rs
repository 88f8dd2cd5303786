//! What a load is made of.

use super::chance::{Chance, exp, ln};

/// What a guest is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// vCPUs.
    pub vcpus: u32,
    /// MiB of memory.
    pub memory_mib: u64,
    /// GiB of its root disk.
    pub disk_gib: u64,
}

/// Values with their weights: a value is drawn as often as its share of all weights says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weighted(Vec<(u32, u32)>);

impl Weighted {
    /// Of (value, weight).
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = (u32, u32)>) -> Self {
        Self(values.into_iter().collect())
    }

    fn total(&self) -> u64 {
        self.0.iter().map(|&(_, weight)| u64::from(weight)).sum()
    }

    fn drawn(&self, chance: &mut Chance) -> u32 {
        let mut at = chance.below(self.total());
        for &(value, weight) in &self.0 {
            if at < u64::from(weight) {
                return value;
            }
            at -= u64::from(weight);
        }
        0
    }

    fn mean(&self) -> f64 {
        let sum: f64 = self
            .0
            .iter()
            .map(|&(value, weight)| f64::from(value) * f64::from(weight))
            .sum();
        sum / (self.total().max(1) as f64)
    }
}

/// Guests that live alike: lifetimes are lognormal, so that the longest are many times the median.
#[derive(Clone, Debug, PartialEq)]
pub struct LifetimeClass {
    /// How many of the guests are of this class, by its share of all weights.
    pub weight: u32,
    /// Half of them live longer than this many seconds.
    pub median_s: u64,
    /// Deviation of the lifetime's logarithm; at 1.0 one in six lives longer than 2.7 medians.
    pub sigma: f64,
}

impl LifetimeClass {
    fn mean_s(&self) -> f64 {
        self.median_s as f64 * exp(self.sigma * self.sigma / 2.0)
    }
}

/// What is known of a guest's lifetime when it comes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Foresight {
    /// Guests in a hundred whose lifetime nobody tells.
    pub untold_percent: u32,
    /// Deviation of the logarithm of expected over true lifetimes: 0 = as it will be, 0.7 = two of three expectations within
    /// half and double of it.
    pub error_sigma: f64,
}

impl Foresight {
    /// Every lifetime is told, and true.
    pub const PERFECT: Self = Self {
        untold_percent: 0,
        error_sigma: 0.0,
    };
    /// One in ten is untold, a third of the others is off by more than the double.
    pub const NOISY: Self = Self {
        untold_percent: 10,
        error_sigma: 0.7,
    };
}

/// What comes, and for how long.
#[derive(Clone, Debug, PartialEq)]
pub struct Mix {
    /// vCPUs of a guest.
    pub vcpus: Weighted,
    /// GiB of memory for each vCPU.
    pub gib_each: Weighted,
    /// GiB of root disk.
    pub disk_gib: Weighted,
    /// How long guests live.
    pub lifetimes: Vec<LifetimeClass>,
    /// What is known of it.
    pub foresight: Foresight,
}

impl Mix {
    /// A general cloud, after what Azure, Google and Huawei publish of theirs (none of their traces may be shipped): most guests
    /// are small, most want 2 to 4 GiB for each vCPU, a few are as large as half a compute host; nearly nine in ten live for
    /// less than a day, and the few that live for weeks are nearly all that is there at any one time.
    #[must_use]
    pub fn general() -> Self {
        let class = |weight, median_s, sigma| LifetimeClass {
            weight,
            median_s,
            sigma,
        };
        Self {
            vcpus: Weighted::of([(1, 30), (2, 29), (4, 20), (8, 11), (16, 6), (32, 3), (48, 1)]),
            gib_each: Weighted::of([(1, 10), (2, 35), (4, 40), (8, 15)]),
            disk_gib: Weighted::of([(20, 50), (40, 25), (80, 15), (200, 10)]),
            lifetimes: vec![
                // Builds and tests: a quarter of an hour.
                class(55, 15 * 60, 1.0),
                // What works through a shift or a night.
                class(30, 5 * 3600, 0.9),
                // Services: a week and more.
                class(15, 8 * 86_400, 0.9),
            ],
            foresight: Foresight::PERFECT,
        }
    }

    /// The same, with other knowledge of lifetimes.
    #[must_use]
    pub fn with_foresight(self, foresight: Foresight) -> Self {
        Self { foresight, ..self }
    }

    /// vCPUs and MiB of a guest on average: what a load is measured against.
    #[must_use]
    pub fn mean_shape(&self) -> (f64, f64) {
        let vcpus = self.vcpus.mean();
        (vcpus, vcpus * self.gib_each.mean() * 1024.0)
    }

    /// Seconds that a guest lives on average.
    #[must_use]
    pub fn mean_lifetime_s(&self) -> f64 {
        let weights: f64 = self.lifetimes.iter().map(|class| f64::from(class.weight)).sum();
        let sum: f64 = self
            .lifetimes
            .iter()
            .map(|class| f64::from(class.weight) * class.mean_s())
            .sum();
        if weights > 0.0 { sum / weights } else { 0.0 }
    }

    pub(super) fn shape(&self, chance: &mut Chance) -> Shape {
        let vcpus = self.vcpus.drawn(chance);
        Shape {
            vcpus,
            memory_mib: u64::from(vcpus) * u64::from(self.gib_each.drawn(chance)) * 1024,
            disk_gib: u64::from(self.disk_gib.drawn(chance)),
        }
    }

    /// Seconds that a guest which comes now will live.
    pub(super) fn lifetime_s(&self, chance: &mut Chance) -> f64 {
        let weights = Weighted::of((0..).zip(self.lifetimes.iter().map(|class| class.weight)));
        let class = self.lifetimes.get(weights.drawn(chance) as usize);
        class.map_or(0.0, |class| {
            class.median_s as f64 * exp(class.sigma * chance.normal())
        })
    }

    /// Seconds that a guest lives in all, and still has, which is met at a moment long after the beginning: of a class as many are
    /// there as come, times how long they stay, and among them the long ones are more often met than they come. A lognormal weighed
    /// with itself is another one, its logarithm moved by the square of its deviation.
    pub(super) fn met_s(&self, chance: &mut Chance) -> (f64, f64) {
        let mut at = chance.share() * self.mean_lifetime_s() * self.weights();
        let mut lifetime = 0.0;
        for class in &self.lifetimes {
            let share = f64::from(class.weight) * class.mean_s();
            if at < share {
                let moved = ln(class.median_s.max(1) as f64) + class.sigma * class.sigma;
                lifetime = exp(moved + class.sigma * chance.normal());
                break;
            }
            at -= share;
        }
        (lifetime, lifetime * chance.share())
    }

    fn weights(&self) -> f64 {
        self.lifetimes.iter().map(|class| f64::from(class.weight)).sum()
    }

    /// What is expected of a lifetime; none when nobody tells.
    pub(super) fn expected_s(&self, lifetime_s: f64, chance: &mut Chance) -> Option<f64> {
        // Both are drawn in any case: guests are the same whatever is known of them.
        let (percent, error) = (chance.below(100), chance.normal());
        let is_told = percent >= u64::from(self.foresight.untold_percent);
        is_told.then(|| lifetime_s * exp(self.foresight.error_sigma * error))
    }
}
