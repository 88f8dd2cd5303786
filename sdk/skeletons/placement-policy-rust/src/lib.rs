use velum_guest::placement::*;

/// Prefers the compute host that draws the least power, a number that operators set on their hosts.
struct Coolest;

impl Policy for Coolest {
    fn configure(_json: &str) -> Result<Self, String> {
        Ok(Self)
    }

    fn declare(&self) -> Declaration {
        Declaration::hosts().attribute("power_w")
    }

    fn score(&self, _ask: &Ask, host: &Host) -> Score {
        Score::of(100_000 - host.attribute("power_w").min(100_000))
    }
}

velum_guest::export_policy!(Coolest);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_that_draws_less_is_better() {
        let scores = testing::scores::<Coolest>("{}", &Ask::default(), &[&[("power_w", 300)], &[("power_w", 120)]]);
        assert!(scores[1] > scores[0]);
    }
}
