//! Places a guest on the first compute host that takes it, in the order of the inventory: fills racks one after another.

use velum_guest::placement::{Ask, Config, Host, Policy, Score};

/// The lowest row.
#[derive(Clone, Copy, Debug)]
pub struct FirstFit;

impl Policy for FirstFit {
    fn configure(json: &str) -> Result<Self, String> {
        Config::parse(json)?.finish()?;
        Ok(Self)
    }

    fn score(&self, _: &Ask, host: &Host<'_>) -> Score {
        Score::of(Score::BEST.value().saturating_sub(host.row()))
    }
}

velum_guest::export_policy!(FirstFit);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use velum_guest::placement::testing::Inventory;

    use super::*;

    proptest! {
        #[test]
        fn the_lowest_row_asked_is_best(hosts in 1u32..200, rows in prop::collection::vec(0u32..200, 1..50)) {
            let rows: Vec<u32> = rows.into_iter().map(|row| row % hosts).collect();
            let inventory = Inventory::hosts((0..hosts).map(|_| [4, 4096, 8, 8192, 0]));
            let scores = inventory.scores::<FirstFit>("{}", &Ask::default(), &rows);
            let best = (0..rows.len()).max_by_key(|at| scores[*at]).unwrap();
            prop_assert_eq!(Some(&rows[best]), rows.iter().min());
        }
    }

    #[test]
    fn it_has_nothing_to_configure() {
        assert_eq!(
            FirstFit::configure(r#"{"x": 1}"#).unwrap_err(),
            "'x' is not known here"
        );
    }
}
