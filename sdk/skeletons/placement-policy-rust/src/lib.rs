use velum_guest::placement::{Ask, Declaration, Host, Policy, Score};

struct LowPower;

impl Policy for LowPower {
    fn configure(_json: &str) -> Result<Self, String> {
        Ok(Self)
    }
    fn declare(&self) -> Declaration {
        Declaration::hosts().attribute("power")
    }
    fn score(&self, _ask: &Ask, host: &Host<'_>) -> Score {
        Score::of(1_000_000 - host.attribute("power").min(1_000_000))
    }
}

velum_guest::export_policy!(LowPower);
