//! Two servers on one database: whichever is asked, the one that owns the zone does it.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::bench::{Bench, ask};

async fn zone(bench: &Bench) -> Value {
    let made = bench
        .send(ask(Method::POST, "/v1/zones").json(&json!({"name": "here"})))
        .await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    made.json["id"].clone()
}

fn pod(zone: &Value, name: &str) -> Value {
    json!({"zone_id": zone, "name": name, "cidr": "172.16.0.0/20", "gateway": "172.16.0.1"})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_asked_the_owner_does_it() {
    let [mut first, second] = Bench::two().await;
    let zone = zone(&first).await;
    let made = second
        .send(
            ask(Method::POST, "/v1/pods")
                .header("x-request-id", "asked-of-the-second")
                .json(&pod(&zone, "rack")),
        )
        .await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    assert_eq!(made.header("x-request-id"), Some("asked-of-the-second"));
    let place = made.header("location").expect("a place").to_owned();
    // Read where it was asked for, changed through both, under the generations that each answered.
    let read = second.send(ask(Method::GET, &place)).await;
    assert_eq!(read.json, made.json);
    let rename = |tag: &str, name: &str| {
        ask(Method::PATCH, &place)
            .header("if-match", tag)
            .json(&json!({"name": name}))
    };
    let tag = read.header("etag").expect("a tag").to_owned();
    let changed = second.send(rename(&tag, "rack-2")).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
    first
        .send(rename(&tag, "rack-3"))
        .await
        .is_problem(StatusCode::PRECONDITION_FAILED, "/problems/stale");
    // A refusal comes back word for word.
    second
        .send(ask(Method::POST, "/v1/pods").json(&json!({"zone_id": zone, "nam": "x"})))
        .await
        .is_problem(StatusCode::UNPROCESSABLE_ENTITY, "/problems/invalid");
    // One hop: what came from another server goes no further.
    let passed_on = second
        .send(
            ask(Method::POST, "/v1/pods")
                .header("velum-forwarded", "true")
                .json(&pod(&zone, "other")),
        )
        .await;
    passed_on.is_problem(StatusCode::SERVICE_UNAVAILABLE, "/problems/unavailable");
    assert_eq!(passed_on.header("velum-not-owner"), Some("true"));
    assert!(passed_on.header("retry-after").is_some());

    // The first leaves: what it is asked from then on, the second does, without a word to the caller.
    let membership = first.membership.take().expect("it is a member");
    first.store.leave(membership).await.expect("left");
    let path = format!("/v1/zones/{}", zone.as_str().expect("an id"));
    let renamed = second
        .send(ask(Method::PATCH, &path).json(&json!({"name": "there"})))
        .await;
    assert_eq!(renamed.status, StatusCode::OK, "{}", renamed.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_counts_on_every_server() {
    let [first, second] = Bench::two().await;
    let zone = zone(&first).await;
    let keyed = || {
        let request = ask(Method::POST, "/v1/pods").header("idempotency-key", "k-1");
        request.json(&pod(&zone, "rack"))
    };
    let (one, other) = tokio::join!(first.send(keyed()), second.send(keyed()));
    for answer in [&one, &other] {
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    }
    assert_eq!(one.text, other.text);
    let replayed = [&one, &other].map(|answer| answer.header("idempotency-replayed").is_some());
    assert!(
        replayed[0] != replayed[1],
        "one effect, one repetition: {replayed:?}"
    );
    // Rows that no shard owns are written by whoever is asked, and keyed all the same.
    let offering = || {
        let request = ask(Method::POST, "/v1/network-offerings").header("idempotency-key", "k-2");
        request.json(&json!({"name": "shared"}))
    };
    let (one, other) = tokio::join!(first.send(offering()), second.send(offering()));
    assert_eq!((one.status, &one.text), (StatusCode::CREATED, &other.text));
}
