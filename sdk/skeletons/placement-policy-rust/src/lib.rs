use velum_guest::placement::*;

/// Prefers the compute host that draws the least power, a number that operators set on their hosts.
pub struct Coolest;

impl Policy for Coolest {
    fn configure(_json: &str) -> Result<Self, String> {
        Ok(Self)
    }

    fn declare(&self) -> Declaration {
        Declaration::hosts().attribute("power_w")
    }

    fn score(&self, _ask: &Ask, host: &Host) -> Score {
        match host.attribute("power_w") {
            // Nobody wrote it down: last.
            0 => Score::of(0),
            watts => Score::of(100_000 - watts.min(99_999)),
        }
    }
}

velum_guest::export_policy!(Coolest);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_that_draws_less_is_better() {
        let hosts: [&[_]; 3] = [&[("power_w", 300)], &[("power_w", 120)], &[]];
        let scores = testing::scores::<Coolest>("{}", &Ask::default(), &hosts);
        assert!(scores[1] > scores[0] && scores[0] > scores[2]);
    }
}
