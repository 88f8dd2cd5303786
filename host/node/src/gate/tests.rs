use std::io::Write as _;

use serde_json::json;

use super::*;

fn fence(epoch: u64, object: u128, generation: u64) -> Fence {
    Fence {
        shard: Uuid::from_u128(1),
        epoch,
        object: Uuid::from_u128(object),
        generation,
    }
}

fn effect(id: u128) -> Effect {
    Effect {
        id: Uuid::from_u128(id),
        attempt: 0,
        deadline_ms: 1000,
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_millis(200)
}

async fn enter(gate: &Gate, fence: &Fence, id: u128) -> Result<Entry, Fault> {
    gate.enter(fence, &effect(id), "verb", soon()).await
}

async fn passes(gate: &Gate, fence: &Fence, id: u128) -> Permit {
    match enter(gate, fence, id).await.unwrap() {
        Entry::Fresh(permit) => permit,
        Entry::Known(answer) => panic!("was done before: {answer}"),
    }
}

async fn is_fenced(gate: &Gate, fence: &Fence) -> bool {
    matches!(enter(gate, fence, 99).await, Err(f) if f.code == code::FENCED && f.unchanged)
}

#[tokio::test]
async fn a_lower_epoch_or_incarnation_is_refused_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..2 {
        let gate = Gate::open(dir.path()).unwrap();
        if round == 0 {
            drop(passes(&gate, &fence(5, 10, 2), 1).await);
        }
        assert!(is_fenced(&gate, &fence(5, 10, 1)).await, "older incarnation");
        assert!(
            is_fenced(&gate, &fence(4, 10, 9)).await,
            "older epoch, same object"
        );
        assert!(
            is_fenced(&gate, &fence(4, 11, 9)).await,
            "older epoch, unknown object"
        );
        drop(passes(&gate, &fence(5, 10, 2), 2).await);
    }
    // A newer owner may act on an older incarnation: it cleans up.
    let gate = Gate::open(dir.path()).unwrap();
    drop(passes(&gate, &fence(6, 10, 1), 3).await);
    assert!(is_fenced(&gate, &fence(5, 10, 2)).await);
}

#[tokio::test]
async fn a_repeated_effect_is_answered_as_before_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let gate = Gate::open(dir.path()).unwrap();
    let answer = json!({"path": "/x"});
    passes(&gate, &fence(1, 10, 1), 7)
        .await
        .done(&answer)
        .await
        .unwrap();
    // One that failed is not remembered.
    drop(passes(&gate, &fence(1, 10, 1), 8).await);
    drop(gate);
    let gate = Gate::open(dir.path()).unwrap();
    match enter(&gate, &fence(1, 10, 1), 7).await.unwrap() {
        Entry::Known(known) => assert_eq!(known, answer),
        Entry::Fresh(_) => panic!("forgotten"),
    }
    drop(passes(&gate, &fence(1, 10, 1), 8).await);
    let other_verb = gate
        .enter(&fence(1, 10, 1), &effect(7), "other", soon())
        .await
        .unwrap();
    assert!(matches!(other_verb, Entry::Fresh(_)), "one id, two verbs");
}

#[tokio::test]
async fn two_effects_on_one_object_never_overlap_and_the_late_one_is_judged_late() {
    let dir = tempfile::tempdir().unwrap();
    let gate = Gate::open(dir.path()).unwrap();
    let first = passes(&gate, &fence(1, 10, 1), 1).await;
    let waits = enter(&gate, &fence(1, 10, 1), 2).await;
    assert!(matches!(waits, Err(f) if f.code == code::DEADLINE && f.unchanged));
    // Other objects are not held up.
    drop(passes(&gate, &fence(1, 11, 1), 3).await);
    // One that waits in the queue while a newer epoch comes is refused when its turn comes.
    let late = tokio::spawn({
        let gate = gate.clone();
        async move { enter(&gate, &fence(1, 10, 1), 4).await.map(|_| ()) }
    });
    tokio::task::yield_now().await;
    drop(passes(&gate, &fence(2, 12, 1), 5).await);
    drop(first);
    assert!(matches!(late.await.unwrap(), Err(f) if f.code == code::FENCED));
}

#[tokio::test]
async fn an_announcement_waits_for_older_effects_and_refuses_older_owners() {
    let dir = tempfile::tempdir().unwrap();
    let gate = Gate::open(dir.path()).unwrap();
    let shard = Uuid::from_u128(1);
    let under_way = passes(&gate, &fence(1, 10, 1), 1).await;
    let two = [ShardEpoch { shard, epoch: 2 }];
    let waits = gate.announce(&two, Duration::from_millis(50)).await;
    assert!(matches!(waits, Err(f) if f.code == code::DEADLINE));
    assert!(
        is_fenced(&gate, &fence(1, 11, 1)).await,
        "none can begin any more"
    );
    let told = tokio::spawn({
        let gate = gate.clone();
        async move { gate.announce(&two, Duration::from_secs(5)).await }
    });
    under_way.done(&json!(null)).await.unwrap();
    told.await.unwrap().unwrap();
    let one = [ShardEpoch { shard, epoch: 1 }];
    let fault = gate.announce(&one, Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(fault.code, code::FENCED);
}

#[tokio::test]
async fn long_work_does_not_hold_up_an_announcement_but_keeps_its_object() {
    let dir = tempfile::tempdir().unwrap();
    let gate = Gate::open(dir.path()).unwrap();
    let mut copying = passes(&gate, &fence(1, 10, 1), 1).await;
    copying.is_long();
    let two = [ShardEpoch {
        shard: Uuid::from_u128(1),
        epoch: 2,
    }];
    gate.announce(&two, Duration::from_millis(100)).await.unwrap();
    assert!(matches!(
        enter(&gate, &fence(2, 10, 1), 2).await,
        Err(f) if f.code == code::DEADLINE
    ));
}

#[tokio::test]
async fn a_torn_end_is_dropped_and_damage_before_it_stops_the_gate() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gate.log");
    {
        let gate = Gate::open(dir.path()).unwrap();
        drop(passes(&gate, &fence(5, 10, 2), 1).await);
    }
    let whole = std::fs::read(&path).unwrap();
    for torn in [
        &b"0123"[..],
        b"0123456789abcdef {\"shard\":",
        b"0123456789abcdef {}\n",
    ] {
        std::fs::write(&path, &whole).unwrap();
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(torn).unwrap();
        let gate = Gate::open(dir.path()).unwrap();
        assert!(is_fenced(&gate, &fence(4, 10, 2)).await);
    }
    let mut damaged = whole.clone();
    damaged[20] ^= 1;
    damaged.extend_from_slice(&whole);
    std::fs::write(&path, damaged).unwrap();
    assert!(matches!(
        Gate::open(dir.path()),
        Err(LogError::Damaged { line: 1, .. })
    ));
}

#[test]
fn only_objects_of_a_past_epoch_are_forgotten_the_oldest_first() {
    let mut image = Image::default();
    let shard = Uuid::from_u128(1);
    for object in 0..10u128 {
        image.apply(Record::Object {
            shard,
            epoch: if object < 6 { 1 } else { 2 },
            object: Uuid::from_u128(object),
            generation: 1,
        });
    }
    image.forget(7);
    let left: Vec<u128> = image
        .compacted()
        .iter()
        .filter_map(|record| match record {
            Record::Object { object, .. } => Some(object.as_u128()),
            _ => None,
        })
        .collect();
    assert_eq!(left, [3, 4, 5, 6, 7, 8, 9]);
    image.forget(1);
    assert_eq!(image.compacted().len(), 1 + 4, "those of the running epoch stay");
}
