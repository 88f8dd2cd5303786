//! What an operator says of a parked operation, as requests.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use velum_model::{
    Id, OperationId, ShardId, Timestamp, TokenId,
    operation::{Operation, OperationKindName, OperationState, StepRecord, StepState, Subject},
    tenancy::{BUILT_IN_PROJECT, Scope},
};
use velum_store::{Commit, OperationWrite};

use crate::bench::{Ask, Bench, ask};

/// The shard that exists before any zone.
const SHARD: ShardId = ShardId::from_uuid(Uuid::nil());

/// A removal of a volume that waits for the array.
async fn parked(bench: &Bench, n: u128) -> OperationId {
    let id = Id::from_uuid(Uuid::from_u128(n));
    let at = Timestamp::from_micros(1);
    let operation = Operation {
        id,
        kind: OperationKindName::VolumeDelete,
        version: 1,
        shard: SHARD,
        epoch: 1,
        project: BUILT_IN_PROJECT,
        subject: Subject::Volume(Id::from_uuid(Uuid::from_u128(n << 8))),
        state: OperationState::Parked,
        params: json!({}),
        journal: vec![StepRecord {
            step: "delete".into(),
            state: StepState::Intent,
            attempt: 20,
            output: Value::Null,
            job: None,
            fault: None,
            asserted: None,
            at,
        }],
        progress: 0,
        note: "parked at delete: the operator decides".into(),
        error: None,
        caller: "admin".into(),
        due_at: at,
        cancel_requested: false,
        generation: 1,
        created_at: at,
        ended_at: None,
    };
    let epoch = bench.store.epoch(SHARD).expect("it is owned");
    let commit = Commit {
        fence: Some((SHARD, epoch)),
        operation: Some(OperationWrite::Insert {
            locks: vec![operation.subject],
            operation: Box::new(operation),
            preempts: false,
        }),
        ..Commit::default()
    };
    bench.store.commit(commit).await.expect("it is there");
    id
}

fn say(id: OperationId, verb: &str) -> Ask {
    ask(Method::POST, &format!("/v1/operations/{id}/{verb}"))
}

#[tokio::test]
async fn an_operator_decides_and_is_answered_the_operation() {
    let bench = Bench::new().await;
    let id = parked(&bench, 1).await;
    let listed = bench.send(ask(Method::GET, "/v1/operations?state=parked")).await;
    assert_eq!(listed.json["items"][0]["id"], json!(id), "{}", listed.text);
    let gone = || {
        say(id, "assert-gone")
            .header("if-match", "\"1\"")
            .header("idempotency-key", "k-1")
            .json(&json!({"reason": "the array was scrapped"}))
    };
    let first = bench.send(gone()).await;
    assert_eq!(first.status, StatusCode::ACCEPTED, "{}", first.text);
    let place = format!("/v1/operations/{id}");
    assert_eq!(
        (first.header("location"), first.header("etag")),
        (Some(place.as_str()), Some("\"2\""))
    );
    let step = &first.json["steps"][0];
    assert_eq!(
        (first.json["state"].as_str(), step["state"].as_str()),
        (Some("running"), Some("done"))
    );
    assert_eq!(step["asserted"]["by"], "admin");
    assert_eq!(step["asserted"]["reason"], "the array was scrapped");
    let again = bench.send(gone()).await;
    assert_eq!(
        (
            again.status,
            again.text.as_str(),
            again.header("idempotency-replayed")
        ),
        (StatusCode::ACCEPTED, first.text.as_str(), Some("true"))
    );
    let events = bench
        .send(ask(Method::GET, "/v1/events?kind=operation.assert-gone"))
        .await;
    let event = &events.json["items"][0];
    assert_eq!(
        (event["caller"].as_str(), event["operation_id"].clone()),
        (Some("admin"), json!(id)),
        "{}",
        events.text
    );
    assert_eq!(
        event["data"],
        json!({"step": "delete", "reason": "the array was scrapped"})
    );
    let late = bench.send(say(id, "retry")).await;
    late.is_problem(StatusCode::CONFLICT, "/problems/invalid-state");
    let detail = late.json["detail"].as_str().expect("it says why");
    assert!(detail.contains("the operation is running"), "{detail}");
}

#[tokio::test]
async fn what_cannot_be_said_is_refused_by_name() {
    let bench = Bench::new().await;
    let id = parked(&bench, 1).await;
    let undo = bench.send(say(id, "undo").json(&json!({}))).await;
    undo.is_problem(StatusCode::CONFLICT, "/problems/invalid-state");
    for (verb, body) in [
        ("assert-gone", json!({"reason": "  "})),
        ("assert-gone", json!({"reason": "a\nb"})),
        ("assert-gone", json!({})),
        ("retry", json!({"reason": "x".repeat(501)})),
        ("undo", json!({"reason": 7})),
    ] {
        let refused = bench.send(say(id, verb).json(&body)).await;
        refused.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "/problems/invalid");
        assert_eq!(
            refused.json["errors"][0]["pointer"], "/reason",
            "{}",
            refused.text
        );
    }
    let stale = say(id, "retry").header("if-match", "\"9\"");
    bench
        .send(stale)
        .await
        .is_problem(StatusCode::PRECONDITION_FAILED, "/problems/stale");
    let nobody = OperationId::from_uuid(Uuid::from_u128(99));
    bench
        .send(say(nobody, "retry"))
        .await
        .is_problem(StatusCode::NOT_FOUND, "/problems/not-found");
    let retried = bench.send(say(id, "retry")).await;
    assert_eq!(retried.status, StatusCode::ACCEPTED, "{}", retried.text);
    assert_eq!(retried.json["steps"][0]["attempt"], 0);
}

#[tokio::test]
async fn a_tenant_neither_decides_nor_sees_what_no_row_owns() {
    let bench = Bench::new().await;
    let id = parked(&bench, 1).await;
    let token = TokenId::from_uuid(Uuid::from_u128(2));
    let hash = Sha256::digest(b"a-tenants-token");
    bench
        .store
        .insert_token(token, "tenant", &hash, Scope::Project(BUILT_IN_PROJECT))
        .await
        .expect("a token");
    let tenant = |ask: Ask| {
        ask.without_token()
            .header("authorization", "Bearer a-tenants-token")
    };
    for verb in ["retry", "undo", "assert-gone"] {
        let body = json!({"reason": "let me"});
        bench
            .send(tenant(say(id, verb)).json(&body))
            .await
            .is_problem(StatusCode::NOT_FOUND, "/problems/not-found");
    }
    bench
        .send(tenant(ask(Method::GET, "/v1/orphans")))
        .await
        .is_problem(StatusCode::NOT_FOUND, "/problems/not-found");
    let none = bench.send(ask(Method::GET, "/v1/orphans?kind=guest")).await;
    assert_eq!(none.json["items"], json!([]), "{}", none.text);
}
