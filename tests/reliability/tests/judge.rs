//! That the judges of these suites find what is wrong: each is shown something, and must say so.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;
use uuid::Uuid;
use velum_model::operation::{OperationKindName, OperationState};
use velum_reliability::{
    audit::audit,
    far::{Made, State},
    ground::{Ground, LATER, new_file},
    matrix::{Cell, Harm, Point, Trouble, cells, play},
    run::{Nothing, in_simulation},
    server::{Server, Start, Time},
    simulation,
    workers::Worker,
};

static WORKER: LazyLock<Worker> = LazyLock::new(|| Worker::new().expect("a worker"));

fn ground() -> Ground {
    Ground::build(WORKER.outside()).expect("the cloud is built")
}

/// What the audit says after something was changed on the far side.
fn after(ground: &Ground, change: impl FnOnce(&mut State)) -> Vec<String> {
    let (_directory, database) = new_file().expect("a file");
    let far = ground.begin(&database).expect("a copy");
    far.at_once(change);
    in_simulation(async {
        let server = Server::start(Start {
            database: &database,
            far: &far,
            life: 1,
            director: Arc::new(Nothing),
            time: Arc::new(Time::from(LATER)),
            outside: WORKER.outside(),
            elsewhere: 0,
        })
        .await?;
        let found = audit(&server.store, &far).await?;
        server.end();
        Ok(found)
    })
    .expect("it is audited")
}

#[test]
fn the_audit_finds_what_differs() {
    let ground = ground();
    assert_eq!(after(&ground, |_| ()), Vec::<String>::new());
    let new = Uuid::from_u128(1);
    let made = Made { bytes: 1, polls: 0 };
    type Change = Box<dyn FnOnce(&mut State)>;
    let changes: [(&str, Change); 8] = [
        (
            "is orphaned",
            Box::new(move |far| {
                far.volumes.insert(new, made);
            }),
        ),
        (
            "volume",
            Box::new(|far| {
                far.volumes.pop_first();
            }),
        ),
        (
            "publication",
            Box::new(|far| {
                far.published.pop_first();
            }),
        ),
        (
            "guest",
            Box::new(|far| {
                far.guests.pop_first();
            }),
        ),
        (
            "running guest",
            Box::new(|far| far.guests.values_mut().for_each(|guest| guest.is_on = false)),
        ),
        (
            "seed",
            Box::new(|far| {
                far.seeds.pop_first();
            }),
        ),
        (
            "image",
            Box::new(|far| {
                far.images.pop_first();
            }),
        ),
        (
            "violation",
            Box::new(|far| far.violations.push("two guests on one disk".into())),
        ),
    ];
    for (word, change) in changes {
        let found = after(&ground, change);
        assert!(found.iter().any(|line| line.contains(word)), "{word}: {found:?}");
    }
}

/// A server stands still before it writes a seed; its successor makes the seed, fails later and undoes everything. Then the
/// first one moves on. Only the gate keeps its seed from being written.
#[test]
fn without_gates_an_overtaken_server_is_found_out() {
    let cell = Cell {
        kind: OperationKindName::InstanceCreate,
        harms: vec![
            ("define", Harm::Calls(Trouble::Refusal)),
            ("seed", Harm::Stale(Point::BeforeCall)),
        ],
    };
    let mut ground = ground();
    let with = play(&ground, &cell, &WORKER).expect("it is played");
    assert!(with.hit, "{with:?}");
    assert_eq!(with.end, OperationState::Undone);
    assert_eq!(with.violations, Vec::<String>::new());
    ground.open_gates();
    let without = play(&ground, &cell, &WORKER).expect("it is played");
    assert!(
        without
            .violations
            .iter()
            .any(|v| v.contains("seed") && v.contains("orphaned")),
        "{without:?}"
    );
}

#[test]
fn a_fault_that_does_not_come_about_is_no_evidence() {
    let cell = Cell {
        kind: OperationKindName::VolumeCreate,
        harms: vec![("no-such-step", Harm::Crash(Point::AfterIntent))],
    };
    let outcome = play(&ground(), &cell, &WORKER).expect("it is played");
    assert!(!outcome.hit, "{outcome:?}");
}

#[test]
fn every_step_of_every_kind_has_its_cells() {
    let cells = cells();
    for kind in OperationKindName::ALL {
        for step in velum_operation::steps_of(kind) {
            let of = |harm: Harm| {
                cells
                    .iter()
                    .any(|cell| cell.kind == kind && cell.harms == vec![(step, harm)])
            };
            assert!(of(Harm::Crash(Point::BeforeIntent)), "{kind:?} {step}");
            assert!(of(Harm::Stale(Point::BeforeCall)), "{kind:?} {step}");
            assert!(of(Harm::Calls(Trouble::Late)), "{kind:?} {step}");
        }
    }
}

#[test]
fn a_seed_is_played_the_same_way_each_time() {
    let ground = ground();
    for seed in [7, 8] {
        let play = || {
            let lines = Arc::new(Mutex::new(Vec::new()));
            let kept = Arc::clone(&lines);
            let tell = Box::new(move |line: &str| kept.lock().push(line.to_owned()));
            let outcome = simulation::play(&ground, seed, &WORKER, Some(tell)).expect("it is played");
            (std::mem::take(&mut *lines.lock()), outcome.hash)
        };
        let (first, second) = (play(), play());
        assert!(!first.0.is_empty());
        assert_eq!(first, second, "seed {seed}");
    }
}
