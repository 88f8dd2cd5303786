//! The authority, join tokens, and the machines that join.

use uuid::Uuid;
use velum_model::{
    enrolment::{AuthorityRecord, EnrolledNode, NodeToken},
    id::{NodeId, NodeTokenId},
};
use velum_store::{Change, Commit, Committed, Refused, StoreError};

use crate::world::World;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

fn token(w: &World, n: u8, valid_ms: u64) -> NodeToken {
    let now = w.clock.now();
    NodeToken {
        id: NodeTokenId::from_uuid(Uuid::from_u128(u128::from(n))),
        hash: vec![n; 32],
        created_by: "admin".into(),
        created_at: now,
        expires_at: now.plus_millis(valid_ms),
        used_at: None,
    }
}

fn node(w: &World, id: u128, key: u8) -> EnrolledNode {
    EnrolledNode {
        id: NodeId::from_uuid(Uuid::from_u128(id)),
        key_hash: vec![key; 32],
        address: format!("10.0.0.{key}:7443"),
        enrolled_at: w.clock.now(),
        expires_at: w.clock.now().plus_millis(365 * DAY_MS),
    }
}

async fn make(w: &World, change: Change) -> Result<(), StoreError> {
    let commit = Commit {
        changes: vec![change],
        ..Commit::default()
    };
    match w.store.commit(commit).await? {
        Committed::Done => Ok(()),
        other => panic!("{other:?}"),
    }
}

async fn join(w: &World, node: EnrolledNode, token: &NodeToken) -> Result<(), StoreError> {
    make(
        w,
        Change::EnrolNode {
            node,
            token: token.id,
        },
    )
    .await
}

fn is_refused(token: &NodeToken, result: Result<(), StoreError>) -> bool {
    matches!(
        result,
        Err(StoreError::Refused(Refused::Stale { table: "node token", id })) if id == token.id.uuid()
    )
}

pub async fn the_first_authority_stays(url: String) {
    let w = World::open(&url).await;
    let read = w.store.read();
    assert_eq!(read.authority().await.expect("readable"), None);
    let record = |n: u8| AuthorityRecord {
        certificate: vec![n; 300],
        key: vec![n, 0, 255],
        created_at: w.clock.now(),
    };
    let (first, second) = (record(1), record(2));
    make(&w, Change::KeepAuthority(first.clone()))
        .await
        .expect("kept");
    make(&w, Change::KeepAuthority(second))
        .await
        .expect("there is one already");
    assert_eq!(read.authority().await.expect("readable"), Some(first));
}

pub async fn a_join_token_is_used_once_and_in_time(url: String) {
    let w = World::open(&url).await;
    let read = w.store.read();
    let (once, short, other) = (token(&w, 1, DAY_MS), token(&w, 2, 0), token(&w, 3, DAY_MS));
    for token in [&once, &short, &other] {
        make(&w, Change::InsertNodeToken(token.clone()))
            .await
            .expect("made");
    }
    let known = read.node_token_by_hash(&once.hash).await.expect("readable");
    assert_eq!(known.as_ref(), Some(&once));
    assert_eq!(read.node_token_by_hash(&[9; 32]).await.expect("readable"), None);

    let ended = join(&w, node(&w, 7, 7), &short).await;
    assert!(is_refused(&short, ended));
    assert_eq!(
        read.node_of_key(&[7; 32]).await.expect("readable"),
        None,
        "nothing of it is there"
    );
    let joined = node(&w, 7, 7);
    join(&w, joined.clone(), &once).await.expect("joined");
    let used = read.node_token_by_hash(&once.hash).await.expect("readable");
    assert_eq!(used.and_then(|token| token.used_at), Some(joined.enrolled_at));
    assert!(is_refused(&once, join(&w, node(&w, 8, 8), &once).await));
    assert_eq!(
        read.node_of_key(&[7; 32]).await.expect("readable"),
        Some(joined.id)
    );

    // Its key under another id is not believed; under its own it is the same row again.
    assert!(join(&w, node(&w, 9, 7), &other).await.is_err());
    join(&w, node(&w, 7, 7), &other).await.expect("joined again");
    assert_eq!(
        read.node_of_key(&[7; 32]).await.expect("readable"),
        Some(joined.id)
    );
}
