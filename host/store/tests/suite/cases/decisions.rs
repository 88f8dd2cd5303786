//! Decisions are found by when and how they came out, forgotten when they are old, and zones have histories.

use uuid::Uuid;
use velum_model::{Id, Timestamp, decision::Decision, id::*, page::Page, tenancy::Scope};
use velum_store::{Commit, DecisionFilter, Histories, PartLabel};

use crate::world::World;

const ALL: Page = Page {
    limit: Page::MAX_LIMIT,
    after: None,
};

/// One made at a moment, as ids of version 7 say it.
fn at(w: &World, millis: u64, placed: bool) -> Decision {
    let host = Id::from_uuid(Uuid::from_u128(1));
    let decision = w.decision(Id::from_uuid(Uuid::from_u128(u128::from(millis))), host);
    Decision {
        id: Id::from_uuid(Uuid::from_u128((u128::from(millis) << 80) | 7)),
        winner: decision.winner.filter(|_| placed),
        at: Timestamp::from_micros(0).plus_millis(millis),
        ..decision
    }
}

async fn keep(w: &World, decision: Decision) {
    let commit = Commit {
        decision: Some(Box::new(decision)),
        ..Commit::default()
    };
    w.store.commit(commit).await.expect("kept");
}

async fn found(w: &World, filter: DecisionFilter) -> Vec<Decision> {
    let read = w.store.read();
    let page = read.decisions(Scope::All, &filter, ALL).await;
    page.expect("readable").items
}

pub async fn decisions_are_found_by_when_and_how_they_came_out(url: String) {
    let w = World::open(&url).await;
    let all = [at(&w, 1000, true), at(&w, 2000, false), at(&w, 3000, true)];
    for decision in &all {
        keep(&w, decision.clone()).await;
    }
    let placed = |placed| DecisionFilter {
        placed: Some(placed),
        ..DecisionFilter::default()
    };
    assert_eq!(found(&w, placed(false)).await, all[1..2]);
    assert_eq!(found(&w, placed(true)).await.len(), 2);
    let between = DecisionFilter {
        since: Some(all[1].at),
        until: Some(all[2].at),
        ..DecisionFilter::default()
    };
    assert_eq!(found(&w, between).await, all[1..2]);
    let last = w.store.read().last_decisions(w.zone.id, 2).await;
    assert_eq!(last.expect("readable"), all[1..]);
}

pub async fn old_decisions_are_forgotten_but_those_that_placed_what_is_there(url: String) {
    let w = World::open(&url).await;
    let host = w.add_host("h1", 8, 8192).await;
    let (instance, mut commit) = w.accepting("vm", host.id, 10);
    let decision = Decision {
        instance: instance.id,
        ..at(&w, 1500, true)
    };
    for change in &mut commit.changes {
        if let velum_store::Change::InsertInstance(row) = change {
            row.decision = Some(decision.id);
        }
    }
    commit.decision = Some(Box::new(decision.clone()));
    w.store.commit(commit).await.expect("accepted");
    for millis in [1000, 2000, 3000] {
        keep(&w, at(&w, millis, true)).await;
    }
    let before = Timestamp::from_micros(0).plus_millis(2500);
    let mut after = None;
    let mut rounds = 0;
    loop {
        after = w.store.forget_decisions(before, after).await.expect("forgotten");
        rounds += 1;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(rounds, 2);
    let left = found(&w, DecisionFilter::default()).await;
    let left: Vec<DecisionId> = left.into_iter().map(|decision| decision.id).collect();
    assert_eq!(left, [decision.id, at(&w, 3000, true).id]);
    let gone = w.store.read().decision(Scope::All, at(&w, 1000, true).id).await;
    assert_eq!(gone.expect("readable"), None);
}

pub async fn a_history_is_read_from_its_last_whole_on_and_bounded(url: String) {
    let w = World::open(&url).await;
    let histories = Histories::in_rows(&w.store, 250);
    let zone = w.zone.id;
    let other = Id::from_uuid(Uuid::from_u128(9));
    let label = |first, last, is_whole| PartLabel {
        first,
        last,
        is_whole,
    };
    let all = [
        label(10, 10, true),
        label(11, 12, false),
        label(12, 12, true),
        label(13, 20, false),
    ];
    assert_eq!(histories.reach(zone).await.expect("readable"), None);
    for part in all {
        histories
            .add(zone, part, vec![part.first as u8; 50])
            .await
            .expect("kept");
    }
    let labels = |from, until| histories.labels(zone, from, until);
    assert_eq!(labels(9, 99).await.expect("readable"), []);
    assert_eq!(labels(11, 15).await.expect("readable"), all);
    assert_eq!(labels(12, 12).await.expect("readable"), all[2..3]);
    assert_eq!(histories.reach(zone).await.expect("readable"), Some((10, 20)));
    for part in all {
        let body = histories.read(zone, part).await.expect("readable");
        assert_eq!(body, Some(vec![part.first as u8; 50]));
    }
    // The oldest of the first zone goes; the newest whole of each stays, however large.
    histories
        .add(other, label(30, 30, true), vec![1; 400])
        .await
        .expect("kept");
    assert_eq!(histories.reach(zone).await.expect("readable"), Some((12, 20)));
    assert_eq!(histories.reach(other).await.expect("readable"), Some((30, 30)));
}
