//! Machines that join: what a token is good for, and who a machine is afterwards.

use crate::cloud::*;
use sha2::{Digest as _, Sha256};
use velum_model::{
    Timestamp,
    enrolment::{JoinToken, NodeToken},
    id::NodeTokenId,
    tenancy::{BUILT_IN_PROJECT, Caller, Scope},
};
use velum_service::*;
use velum_store::{Change, Commit};

/// An hour before the clock of these tests begins: late enough to be remembered.
const BEFORE: Timestamp = Timestamp::from_micros(1_700_000_000_000_000 - 3_600_000_000);

fn machine(token: &JoinToken, key: &str) -> NewNode {
    NewNode {
        token: token.clone(),
        request_pem: format!("key {key}"),
        at: "10.0.0.7:7443".parse().expect("an address"),
    }
}

async fn token(services: &Services) -> JoinToken {
    let made = services.node_token_create(&administrator(), None).await;
    made.expect("a token").token
}

fn why(refused: Result<JoinedNode, ServiceError>) -> String {
    match refused {
        Err(ServiceError::Unauthenticated { problem }) => problem,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_lets_one_machine_in_and_the_same_key_stays_the_same_node() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_, services, _) = open(directory.path()).await;
    let first = token(&services).await;
    let joined = services.node_enrol(machine(&first, "a")).await.expect("it joins");
    assert_eq!(
        joined.address.to_string(),
        format!("tls:{}@10.0.0.7:7443", joined.id)
    );
    let certificate = format!("key a is velum://node/{} at 10.0.0.7:7443", joined.id);
    assert_eq!(joined.certificate_pem, certificate);
    let again = why(services.node_enrol(machine(&first, "b")).await);
    assert!(again.contains("a machine joined with it at"), "{again}");

    let renewed = services.node_enrol(machine(&token(&services).await, "a")).await;
    assert_eq!(renewed.expect("it joins again").id, joined.id);
    let other = services.node_enrol(machine(&token(&services).await, "b")).await;
    assert_ne!(other.expect("another joins").id, joined.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_come_with_one_token_one_joins() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_, services, _) = open(directory.path()).await;
    let token = token(&services).await;
    let coming = (0..8).map(|n| {
        let (services, new) = (services.clone(), machine(&token, &format!("key-{n}")));
        tokio::spawn(async move { services.node_enrol(new).await })
    });
    let mut joined = 0;
    for came in futures::future::join_all(coming).await {
        match came.expect("it ends") {
            Ok(_) => joined += 1,
            refused => drop(why(refused)),
        }
    }
    assert_eq!(joined, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_ended_or_is_another_clouds_is_refused_and_says_so() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, services, _) = open(directory.path()).await;
    let fingerprint = "f9".repeat(32);
    let ended = JoinToken::new(&"0a".repeat(32), &fingerprint).expect("a token");
    let row = NodeToken {
        id: NodeTokenId::from_uuid(uuid::Uuid::from_u128(7)),
        hash: Sha256::digest(ended.secret()).to_vec(),
        created_by: "admin".into(),
        created_at: BEFORE,
        expires_at: BEFORE.plus_millis(1000),
        used_at: None,
    };
    let commit = Commit {
        changes: vec![Change::InsertNodeToken(row)],
        ..Commit::default()
    };
    store.commit(commit).await.expect("it is there");
    let late = why(services.node_enrol(machine(&ended, "a")).await);
    assert!(late.contains("it ended at"), "{late}");

    let foreign = JoinToken::new(token(&services).await.secret(), &"00".repeat(32)).expect("a token");
    let elsewhere = why(services.node_enrol(machine(&foreign, "a")).await);
    assert!(elsewhere.contains("another cloud"), "{elsewhere}");
    let unknown = JoinToken::new(&"00".repeat(32), &fingerprint).expect("a token");
    let unknown = why(services.node_enrol(machine(&unknown, "a")).await);
    assert!(unknown.contains("not known"), "{unknown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_none_uses_nothing_up() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_, services, _) = open(directory.path()).await;
    let token = token(&services).await;
    let new = NewNode {
        request_pem: "nonsense".into(),
        ..machine(&token, "a")
    };
    match services.node_enrol(new).await {
        Err(ServiceError::Invalid { field, .. }) => assert_eq!(field, "/request_pem"),
        other => panic!("{other:?}"),
    }
    services
        .node_enrol(machine(&token, "a"))
        .await
        .expect("it is still good");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_administrator_makes_tokens_and_within_bounds() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_, services, _) = open(directory.path()).await;
    let tenant = Caller {
        scope: Scope::Project(BUILT_IN_PROJECT),
        ..administrator()
    };
    assert!(matches!(
        services.node_token_create(&tenant, None).await,
        Err(ServiceError::NotFound { .. })
    ));
    for wrong in [0, TOKEN_VALID_MIN_S - 1, TOKEN_VALID_MAX_S + 1, u32::MAX] {
        match services.node_token_create(&administrator(), Some(wrong)).await {
            Err(ServiceError::Invalid { field, .. }) => assert_eq!(field, "/valid_s"),
            other => panic!("{other:?}"),
        }
    }
}
