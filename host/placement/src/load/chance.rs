//! Chance that is the same on every machine. Draws are integers; what is continuous is made of them with `+ - * /` and square
//! roots alone, which IEEE 754 defines to the last bit, and not with the logarithms of a platform's library, which it does not.

use std::f64::consts::{LN_2, SQRT_2};

/// The increment of SplitMix64.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// A seeded sequence: SplitMix64.
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// A number below `bound`; 0 when that is 0. The bias is below `bound` in 2^64.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.draw()) * u128::from(bound)) >> 64) as u64
    }

    /// Between 0 and 1, neither of them: 53 bits, and half a step beside each.
    pub(super) fn share(&mut self) -> f64 {
        const STEPS: f64 = (1_u64 << 53) as f64;
        ((self.draw() >> 11) as f64 + 0.5) / STEPS
    }

    /// Exponential of mean 1: what lies between two arrivals that know nothing of each other.
    pub(super) fn exponential(&mut self) -> f64 {
        -ln(self.share())
    }

    /// Normal of mean 0 and deviation 1, by Marsaglia's polar method, which needs no sines.
    pub(super) fn normal(&mut self) -> f64 {
        loop {
            let (x, y) = (2.0 * self.share() - 1.0, 2.0 * self.share() - 1.0);
            let square = x * x + y * y;
            if square < 1.0 && square > 0.0 {
                return x * (-2.0 * ln(square) / square).sqrt();
            }
        }
    }
}

/// The natural logarithm of a positive normal number, to 1 in 10^14.
pub(super) fn ln(x: f64) -> f64 {
    const FRACTION: u64 = (1 << 52) - 1;
    let bits = x.to_bits();
    let mut exponent = ((bits >> 52) & 0x7ff) as i32 - 1023;
    // Between 1 and 2, then around 1, where the series is short.
    let mut part = f64::from_bits((bits & FRACTION) | (1023 << 52));
    if part > SQRT_2 {
        part /= 2.0;
        exponent += 1;
    }
    // ln(part) = 2 (t + t^3/3 + t^5/5 + ...), |t| < 0.172: the eleventh term is below 10^-17.
    let t = (part - 1.0) / (part + 1.0);
    let square = t * t;
    let sum = (0..11)
        .rev()
        .fold(0.0, |sum, n| sum * square + 1.0 / f64::from(2 * n + 1));
    f64::from(exponent) * LN_2 + 2.0 * t * sum
}

/// e to the `x`, to 1 in 10^14; x between -600 and 600.
pub(super) fn exp(x: f64) -> f64 {
    let halvings = (x / LN_2 + if x < 0.0 { -0.5 } else { 0.5 }) as i64;
    let rest = x - halvings as f64 * LN_2;
    // |rest| < 0.35: the fifteenth term of Taylor's is below 10^-18.
    let sum = (1..15).rev().fold(1.0, |sum, n| 1.0 + sum * rest / f64::from(n));
    let power = f64::from_bits(((1023 + halvings.clamp(-1000, 1000)) as u64) << 52);
    sum * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_and_powers_are_those_of_the_library() {
        for n in 1..2000 {
            let x = f64::from(n) * 0.013;
            assert!((ln(x) - x.ln()).abs() < 1e-13 * x.ln().abs().max(1.0), "ln {x}");
            assert!((exp(x) / x.exp() - 1.0).abs() < 1e-13, "exp {x}");
            assert!((exp(-x) / (-x).exp() - 1.0).abs() < 1e-13, "exp -{x}");
        }
        assert_eq!((ln(1.0), exp(0.0)), (0.0, 1.0));
    }

    #[test]
    fn draws_have_the_moments_that_they_are_named_for() {
        const MANY: usize = 200_000;
        let mut chance = Chance::new(1);
        let mean = |of: &mut dyn FnMut() -> f64| (0..MANY).map(|_| of()).sum::<f64>() / MANY as f64;
        assert!((mean(&mut || chance.share()) - 0.5).abs() < 0.01);
        assert!((mean(&mut || chance.exponential()) - 1.0).abs() < 0.02);
        assert!(mean(&mut || chance.normal()).abs() < 0.01);
        assert!((mean(&mut || chance.normal().powi(2)) - 1.0).abs() < 0.02);
        assert!((mean(&mut || chance.below(10) as f64) - 4.5).abs() < 0.05);
        assert_eq!(chance.below(0), 0);
    }

    #[test]
    fn the_sequence_is_this_one_on_every_machine() {
        let mut chance = Chance::new(42);
        let draws = (chance.draw(), chance.below(1000));
        assert_eq!(draws, (13_679_457_532_755_275_413, 159));
        let drawn = (chance.exponential().to_bits(), chance.normal().to_bits());
        assert_eq!(drawn, (4_608_434_303_126_720_448, 13_815_353_748_653_958_709));
    }
}
