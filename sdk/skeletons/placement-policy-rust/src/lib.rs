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
        Score::of(100_000 - host.attribute("power_w").min(100_000))
    }
}

velum_guest::export_policy!(Coolest);
