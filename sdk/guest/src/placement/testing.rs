//! For native tests of policies: an inventory of a few rows, scored through everything that a component has.

use super::{Ask, Engine, Ranking, Score};
use crate::codes::placement as code;

/// Columns by the names that rows of [`scores`] give them.
const COLUMNS: [(&str, u16); 10] = [
    ("free_vcpus", code::COLUMN_FREE_VCPUS),
    ("free_memory_mib", code::COLUMN_FREE_MEMORY_MIB),
    ("total_vcpus", code::COLUMN_TOTAL_VCPUS),
    ("total_memory_mib", code::COLUMN_TOTAL_MEMORY_MIB),
    ("runs", code::COLUMN_RUNS),
    ("free_gib", code::COLUMN_FREE_GIB),
    ("total_gib", code::COLUMN_TOTAL_GIB),
    ("pod", code::COLUMN_POD),
    ("cluster", code::COLUMN_CLUSTER),
    ("latest_end", code::COLUMN_LATEST_END),
];

/// What a policy says of rows whose columns and attributes are given by name, resources as `free:gpu` and `total:gpu`; what a row lacks
/// is 0.
///
/// ```
/// use velum_guest::placement::*;
///
/// struct Emptiest;
/// impl Policy for Emptiest {
///     fn configure(_json: &str) -> Result<Self, String> {
///         Ok(Self)
///     }
///     fn score(&self, ask: &Ask, host: &Host) -> Score {
///         Score::of(host.free_vcpus() - ask.vcpus())
///     }
/// }
///
/// let ask = Ask::of(&[(code::DEMAND_VCPUS, 2)]);
/// let scores = testing::scores::<Emptiest>("{}", &ask, &[&[("free_vcpus", 4)], &[("free_vcpus", 16), ("runs", 3)]]);
/// assert_eq!(scores, [Score::of(2), Score::of(14)]);
/// ```
///
/// # Panics
/// When the policy refuses the configuration, and when a row names what the policy does not declare: it would be read by
/// nobody.
#[must_use]
#[expect(clippy::panic, reason = "a test wants to stop here")]
pub fn scores<P: Ranking>(config: &str, ask: &Ask, rows: &[&[(&str, u32)]]) -> Vec<Score> {
    let declared = match P::configure(config) {
        Ok(policy) => policy.declare().columns,
        Err(refused) => panic!("the configuration {config} is refused: {refused}"),
    };
    let place = |name: &str| {
        let built_in = COLUMNS
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, id)| *id);
        declared
            .iter()
            .position(|(id, called)| match (*id, called) {
                (_, None) => Some(*id) == built_in,
                (code::COLUMN_FREE_RESOURCE, Some(resource)) => name.strip_prefix("free:") == Some(resource),
                (code::COLUMN_TOTAL_RESOURCE, Some(resource)) => {
                    name.strip_prefix("total:") == Some(resource)
                }
                (_, Some(attribute)) => attribute == name,
            })
            .unwrap_or_else(|| panic!("the policy declares nothing that is called '{name}'"))
    };
    let row = |given: &&[(&str, u32)]| {
        let mut values = vec![0; declared.len()];
        for (name, value) in *given {
            values[place(name)] = *value;
        }
        values
    };
    Inventory::rows(rows.iter().map(row))
        .scores::<P>(config, ask, &[])
        .into_iter()
        .map(Score::received)
        .collect()
}

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
