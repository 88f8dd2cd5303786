//! What the engine between the contract and a policy's trait promises.
#![expect(
    clippy::unwrap_used,
    reason = "what a test's set-up cannot do is a failed test"
)]

use proptest::prelude::*;
use velum_guest::{
    bindings::policy::exports::velum::placement::policy as wit,
    placement::{
        Ask, Config, Declaration, Engine, Host, Policy, Ranking, Score, View, code,
        testing::{Inventory, scores},
    },
};

/// Scores by an operator's attribute; refuses where it is 0.
struct Coolest;

impl Policy for Coolest {
    fn configure(json: &str) -> Result<Self, String> {
        Config::parse(json)?.finish().map(|()| Self)
    }
    fn declare(&self) -> Declaration {
        Declaration::hosts()
            .attribute("power_w")
            .fact(code::FACT_PREVIOUS_HOST)
            .refusal(7, "power is not known")
    }
    fn score(&self, ask: &Ask, host: &Host<'_>) -> Score {
        match host.attribute("power_w") {
            0 => Score::refuse(7),
            watts => Score::of(100_000 - watts.min(99_000) + host.fact(ask, code::FACT_PREVIOUS_HOST)),
        }
    }
}

/// Ranks by the whole view.
struct Median;

impl Ranking for Median {
    fn configure(_: &str) -> Result<Self, String> {
        Ok(Self)
    }
    fn declare(&self) -> Declaration {
        Declaration::bare(code::ROW_STORAGE_POOL)
            .column(code::COLUMN_FREE_GIB)
            .compares_rows()
    }
    fn rank(&self, _: &Ask, view: &View<'_>) -> Vec<Score> {
        let mut sorted = view.column(code::COLUMN_FREE_GIB).to_vec();
        sorted.sort_unstable();
        let median = sorted.get(sorted.len() / 2).copied().unwrap_or(0);
        view.hosts()
            .map(|pool| Score::of(1000u32.saturating_sub(pool.free_gib().abs_diff(median))))
            .collect()
    }
}

/// Reads what it does not declare.
struct Careless;

impl Policy for Careless {
    fn configure(_: &str) -> Result<Self, String> {
        Ok(Self)
    }
    fn score(&self, _: &Ask, host: &Host<'_>) -> Score {
        Score::of(host.attribute("price"))
    }
}

const COLUMNS: usize = 6;

fn engine() -> Engine<Coolest> {
    let mut engine = Engine::new();
    engine.configure("{}").unwrap();
    engine
}

#[test]
fn an_attribute_is_a_column_by_name() {
    let described = engine().describe("coolest");
    assert_eq!(described.name, "coolest");
    assert_eq!(described.columns.len(), COLUMNS);
    assert_eq!(
        (described.columns[5].id, described.columns[5].name.as_deref()),
        (0, Some("power_w"))
    );
    assert_eq!(described.refusals[0], (7, "power is not known".to_owned()));
    let inventory = Inventory::rows([
        vec![1, 1, 1, 1, 0, 250],
        vec![1, 1, 1, 1, 0, 100],
        vec![1, 1, 1, 1, 0, 0],
    ]);
    let scores = inventory.scores::<Coolest>("{}", &Ask::default(), &[]);
    assert_eq!(scores, [99_750, 99_900, code::REFUSE + 7]);
}

/// Leaves as few GPUs as it can, and looks at an attribute of the same name.
struct Tight;

impl Policy for Tight {
    fn configure(_: &str) -> Result<Self, String> {
        Ok(Self)
    }
    fn declare(&self) -> Declaration {
        Declaration::hosts()
            .attribute("gpu")
            .resource("gpu")
            .resource("gpu")
    }
    fn score(&self, ask: &Ask, host: &Host<'_>) -> Score {
        let left = host.free_resource("gpu") - ask.resource("gpu");
        Score::of(100 * host.total_resource("gpu") - 10 * left + host.attribute("gpu"))
    }
}

#[test]
fn a_resource_is_two_columns_and_a_demand_that_points_to_one() {
    let mut engine = Engine::<Tight>::new();
    engine.configure("{}").unwrap();
    let described = engine.describe("tight");
    let columns: Vec<(u16, Option<&str>)> = described
        .columns
        .iter()
        .skip(5)
        .map(|column| (column.id, column.name.as_deref()))
        .collect();
    assert_eq!(columns, [(0, Some("gpu")), (11, Some("gpu")), (12, Some("gpu"))]);
    assert_eq!(described.demands, [1, 2, 0x206]);
    let rows: [&[_]; 2] = [
        &[("free:gpu", 3), ("total:gpu", 4), ("gpu", 7)],
        &[("free:gpu", 2), ("total:gpu", 2)],
    ];
    let ask = Ask::default().with_resource("gpu", 2);
    assert_eq!(
        scores::<Tight>("{}", &ask, &rows),
        [Score::of(397), Score::of(200)]
    );
    // As it travels: the amount stands where the demand does.
    let values = Inventory::rows([vec![0, 0, 0, 0, 0, 7, 3, 4]]).values();
    assert!(engine.load(1, 1, values));
    let travelling = wit::Ask {
        demand: vec![0, 0, 2],
        attrs: Vec::new(),
        facts: Vec::new(),
        seed: 0,
    };
    assert_eq!(engine.score(1, travelling, &[]), [397]);
}

#[test]
fn a_fact_is_of_its_rows_alone() {
    let inventory = Inventory::rows((0..4).map(|_| vec![1, 1, 1, 1, 0, 100]));
    let ask = Ask::default().with_fact(code::FACT_PREVIOUS_HOST, vec![(3, 1), (1, 1)]);
    assert_eq!(
        inventory.scores::<Coolest>("{}", &ask, &[3, 2, 1, 0]),
        [99_901, 99_900, 99_901, 99_900]
    );
}

#[test]
fn reading_an_undeclared_attribute_refuses_with_words() {
    let inventory = Inventory::hosts([[1, 1, 1, 1, 0]]);
    let scores = inventory.scores::<Careless>("{}", &Ask::default(), &[0]);
    assert_eq!(scores, [u32::MAX]);
    let described = Engine::<Careless>::new().describe("careless");
    assert!(
        described
            .refusals
            .iter()
            .any(|(code, words)| *code == 0xffff && words.contains("does not declare"))
    );
}

#[test]
fn a_ranking_sees_all_rows() {
    let pools = Inventory::rows([vec![10], vec![50], vec![900]]);
    assert_eq!(
        pools.scores::<Median>("{}", &Ask::default(), &[0, 1, 2]),
        [960, 1000, 150]
    );
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let mut engine = engine();
    assert!(!engine.load(1, 2, vec![0; COLUMNS * 2 - 1]), "a value is missing");
    assert!(!engine.apply(1, 2, &[0], &[0; COLUMNS]), "nothing is loaded");
    assert!(engine.load(5, 2, vec![9; COLUMNS * 2]));
    let before = engine.scores(5, &Ask::default(), &[]);
    assert!(!engine.apply(4, 6, &[0], &[1; COLUMNS]), "another epoch");
    assert!(!engine.apply(5, 6, &[2], &[1; COLUMNS]), "no such row");
    assert!(!engine.apply(5, 6, &[0, 1], &[1; COLUMNS]), "values are missing");
    assert_eq!(engine.scores(5, &Ask::default(), &[]), before);
    assert!(engine.scores(6, &Ask::default(), &[]).is_empty(), "another epoch");
    assert!(engine.scores(5, &Ask::default(), &[2]).is_empty(), "no such row");
    assert!(engine.configure("[]").is_err());
    assert_eq!(
        engine.scores(5, &Ask::default(), &[]),
        before,
        "a refused configuration changes nothing"
    );
}

#[test]
fn the_seed_and_rows_travel_with_the_ask() {
    assert_eq!(Score::of(u32::MAX), Score::BEST);
    assert_eq!(Score::refuse(3).refusal(), Some(3));
    assert_eq!(Score::BEST.refusal(), None);
}

/// Changes to some rows: row and its values.
fn changes(rows: u32) -> impl Strategy<Value = Vec<Vec<(u32, [u32; COLUMNS])>>> {
    prop::collection::vec(
        prop::collection::vec((0..rows, prop::array::uniform6(0u32..200)), 0..5),
        0..6,
    )
}

proptest! {
    #[test]
    fn deltas_end_where_a_load_of_the_result_does(
        table in prop::collection::vec(prop::array::uniform6(0u32..200), 12),
        changes in changes(12),
    ) {
        let mut table: Vec<Vec<u32>> = table.iter().map(|row| row.to_vec()).collect();
        let mut warm = engine();
        prop_assert!(warm.load(0, 12, Inventory::rows(table.clone()).values()));
        let mut epoch = 0;
        for change in &changes {
            let rows: Vec<u32> = change.iter().map(|(row, _)| *row).collect();
            let values: Vec<u32> =
                (0..COLUMNS).flat_map(|column| change.iter().map(move |(_, values)| values[column])).collect();
            prop_assert!(warm.apply(epoch, epoch + 1, &rows, &values));
            epoch += 1;
            for (row, values) in change {
                table[*row as usize] = values.to_vec();
            }
        }
        let mut fresh = engine();
        prop_assert!(fresh.load(epoch, 12, Inventory::rows(table).values()));
        let ask = Ask::of(&[(code::DEMAND_VCPUS, 2)]);
        prop_assert_eq!(warm.scores(epoch, &ask, &[]), fresh.scores(epoch, &ask, &[]));
        prop_assert_eq!(warm.scores(epoch, &ask, &[3, 1]), fresh.scores(epoch, &ask, &[3, 1]));
    }
}
