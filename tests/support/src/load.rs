//! Load that can be repeated: guests of a mix of shapes that come and go.
//!
//! The mix is that of a general cloud: most guests are small, most want 2 to 4 GiB for each vCPU, a few are as large as half a
//! compute host. Lifetimes are heavy-tailed: the median is 0.6 of the mean, and one in a hundred stays for more than six times
//! the mean (the shape that Azure and Huawei publish of theirs; their traces themselves may not be shipped).

use crate::chance::Chance;

/// What a guest is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// vCPUs.
    pub vcpus: u32,
    /// MiB of memory.
    pub memory_mib: u64,
    /// GiB of its disk.
    pub disk_gib: u64,
}

/// A guest that comes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arrival {
    /// When, in mean lifetimes since the beginning.
    pub at: f64,
    /// When it goes.
    pub until: f64,
    /// What it is given.
    pub shape: Shape,
}

/// vCPUs, and how many of a hundred guests have them.
const VCPUS: [(u32, u64); 7] = [(1, 30), (2, 29), (4, 20), (8, 11), (16, 6), (32, 3), (48, 1)];
/// GiB of memory for each vCPU, of a hundred.
const GIB_EACH: [(u32, u64); 4] = [(1, 10), (2, 35), (4, 40), (8, 15)];
/// Tens of GiB of disk for each vCPU, of a hundred; 20 GiB come on top.
const TENS_EACH: [(u32, u64); 3] = [(1, 60), (2, 30), (6, 10)];
/// A lifetime is a lognormal with these parameters, cut at `LONGEST`, over its own mean.
const SIGMA: f64 = 1.0;
const LONGEST: f64 = 20.0;
/// The mean of a lognormal (0, 1) that is cut at 20.
const MEAN: f64 = 1.638;

/// vCPUs and MiB of a guest on average: what a load is measured against.
#[must_use]
pub fn mean_shape() -> (f64, f64) {
    let mean = |of: &[(u32, u64)]| -> f64 {
        of.iter()
            .map(|&(value, share)| f64::from(value) * share as f64 / 100.0)
            .sum()
    };
    let vcpus = mean(&VCPUS);
    (vcpus, vcpus * mean(&GIB_EACH) * 1024.0)
}

/// Guests without end; see the module.
#[derive(Debug)]
pub struct Load {
    chance: Chance,
    now: f64,
    alive: f64,
}

impl Load {
    /// The guests of a seed, of which `alive` are there at once on average, if none is refused.
    #[must_use]
    pub fn new(seed: u64, alive: f64) -> Self {
        let mut chance = Chance(seed);
        // Seeds that lie close together begin alike.
        for _ in 0..8 {
            chance.below(1);
        }
        Self {
            chance,
            now: 0.0,
            alive,
        }
    }

    /// Between 0 and 1, never 0.
    fn share(&mut self) -> f64 {
        const PARTS: u64 = 1 << 30;
        (self.chance.below(PARTS) + 1) as f64 / (PARTS + 1) as f64
    }

    fn drawn(&mut self, of: &[(u32, u64)]) -> u32 {
        let mut at = self.chance.below(100);
        for &(value, share) in of {
            if at < share {
                return value;
            }
            at -= share;
        }
        of.last().map_or(0, |&(value, _)| value)
    }

    /// Box and Muller's normal.
    fn normal(&mut self) -> f64 {
        let (radius, angle) = (self.share(), self.share());
        (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
    }
}

impl Iterator for Load {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        self.now -= self.share().ln() / self.alive;
        let vcpus = self.drawn(&VCPUS);
        let shape = Shape {
            vcpus,
            memory_mib: u64::from(vcpus) * u64::from(self.drawn(&GIB_EACH)) * 1024,
            disk_gib: 20 + 10 * u64::from(vcpus) * u64::from(self.drawn(&TENS_EACH)),
        };
        let lifetime = (self.normal() * SIGMA).exp().min(LONGEST) / MEAN;
        Some(Arrival {
            at: self.now,
            until: self.now + lifetime,
            shape,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_guests_and_another_one_others() {
        let of = |seed| Load::new(seed, 100.0).take(50).collect::<Vec<_>>();
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }

    #[test]
    fn the_guests_are_what_the_mix_says() {
        const MANY: usize = 200_000;
        let guests: Vec<Arrival> = Load::new(7, 1000.0).take(MANY).collect();
        let mean = |of: fn(&Arrival) -> f64| guests.iter().map(of).sum::<f64>() / MANY as f64;
        let near = |found: f64, wanted: f64| (found / wanted - 1.0).abs() < 0.02;
        let (vcpus, memory) = mean_shape();
        assert!(near(mean(|guest| f64::from(guest.shape.vcpus)), vcpus));
        assert!(near(mean(|guest| guest.shape.memory_mib as f64), memory));
        assert!(near(mean(|guest| guest.until - guest.at), 1.0));
        // So many come in a mean lifetime as are to be there at once.
        let last = guests.last().map_or(0.0, |guest| guest.at);
        assert!(near(MANY as f64 / last, 1000.0));
    }
}
