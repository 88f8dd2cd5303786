//! For native tests of policies: an inventory of a few rows, scored through everything that a component has.

use super::{Ask, Engine, Ranking};

/// Rows of numbers, column by column as the policy declares them.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    rows: Vec<Vec<u32>>,
}

impl Inventory {
    /// Compute hosts as `Declaration::hosts` wants them: free vCPUs, free MiB, total vCPUs, total MiB, runs.
    pub fn hosts(hosts: impl IntoIterator<Item = [u32; 5]>) -> Self {
        Self {
            rows: hosts.into_iter().map(|host| host.to_vec()).collect(),
        }
    }

    /// Rows with a value for each column that the policy declares, in its order.
    pub fn rows(rows: impl IntoIterator<Item = Vec<u32>>) -> Self {
        Self {
            rows: rows.into_iter().collect(),
        }
    }

    /// Column after column, as it travels.
    #[must_use]
    pub fn values(&self) -> Vec<u32> {
        let columns = self.rows.first().map_or(0, Vec::len);
        (0..columns)
            .flat_map(|column| self.rows.iter().map(move |row| row[column]))
            .collect()
    }

    /// What a policy answers for the rows asked, as it travels.
    ///
    /// # Panics
    /// When the policy refuses the configuration or the shape of the rows.
    #[must_use]
    #[expect(clippy::panic, reason = "a test wants to stop here")]
    pub fn scores<P: Ranking>(&self, config: &str, ask: &Ask, rows: &[u32]) -> Vec<u32> {
        let mut engine = Engine::<P>::new();
        if let Err(refused) = engine.configure(config) {
            panic!("the configuration {config} is refused: {refused}");
        }
        let count = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        if !engine.load(1, count, self.values()) {
            panic!("the rows do not have one value for each declared column");
        }
        engine.scores(1, ask, rows)
    }
}
