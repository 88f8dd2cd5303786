//! Query parameters that a route does not take are refused by every route, before it does anything.

#![expect(
    clippy::expect_used,
    reason = "a contract that does not read is a failed test"
)]

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::bench::{Bench, ask};

/// Every operation under `/v1/`: its method, its path with an id of nothing, the query parameters that it takes.
fn operations() -> Vec<(Method, String, Vec<String>)> {
    let contract = serde_json::to_value(velum_api::openapi()).expect("the contract is JSON");
    let mut all = Vec::new();
    for (path, item) in contract["paths"].as_object().expect("paths") {
        if !path.starts_with("/v1/") {
            continue;
        }
        for (verb, operation) in item.as_object().expect("an item") {
            let method: Method = verb.to_uppercase().parse().expect("a method");
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let queries = parameters.filter(|parameter| parameter["in"] == "query");
            let names = queries
                .filter_map(|parameter| parameter["name"].as_str())
                .map(str::to_owned)
                .collect();
            all.push((
                method,
                path.replace("{id}", &uuid::Uuid::nil().to_string()),
                names,
            ));
        }
    }
    assert!(all.len() > 80, "only {} operations", all.len());
    all
}

#[tokio::test]
async fn every_route_refuses_a_parameter_that_it_does_not_take() {
    let bench = Bench::new().await;
    for (method, path, _) in operations() {
        let asked = format!("{path}?nonesuch=true");
        // The body is another wrong: the query is told first, since nothing of the body was read.
        let answer = bench
            .send(ask(method.clone(), &asked).body("text/plain", "x"))
            .await;
        answer.is_problem(StatusCode::BAD_REQUEST, "/problems/bad-request");
        assert_eq!(
            answer.json["errors"][0]["pointer"], "?nonesuch",
            "{method} {path}: {}",
            answer.text
        );
    }
}

#[tokio::test]
async fn every_route_takes_the_parameters_of_the_contract() {
    let bench = Bench::new().await;
    for (method, path, names) in operations() {
        for name in names {
            let answer = bench.send(ask(method.clone(), &format!("{path}?{name}="))).await;
            assert!(
                !answer.text.contains("is not taken here"),
                "{method} {path}: {}",
                answer.text
            );
        }
    }
}

#[tokio::test]
async fn nothing_is_made_changed_or_removed_under_a_parameter_that_is_not_taken() {
    let bench = Bench::new().await;
    let zone = json!({"name": "east"});
    let post = |path: &str| ask(Method::POST, path).json(&zone);
    let refused = bench.send(post("/v1/zones?dry_run=true")).await;
    refused.is_problem(StatusCode::BAD_REQUEST, "/problems/bad-request");
    assert_eq!(
        refused.json["errors"][0],
        json!({"pointer": "?dry_run", "problem": "is not taken here; this takes no query parameters"})
    );
    let none = bench.send(ask(Method::GET, "/v1/zones")).await;
    assert_eq!(none.json["items"], json!([]));
    // What is no parameter at all is not one too many.
    let made = bench.send(post("/v1/zones?")).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let place = made.header("location").expect("a place").to_owned();
    for method in [Method::GET, Method::HEAD, Method::PATCH, Method::DELETE] {
        for query in ["dry_run=true", "dry_run", "dry%5Frun=1", "limit=1&dry_run=true"] {
            let asked = ask(method.clone(), &format!("{place}?{query}"));
            let answer = bench.send(asked.json(&json!({"name": "west"}))).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{method} {query}");
        }
    }
    let kept = bench.send(ask(Method::GET, &place)).await;
    assert_eq!(kept.json["name"], "east", "{}", kept.text);
}

#[tokio::test]
async fn an_unknown_parameter_of_a_list_is_told_with_those_that_it_takes() {
    let bench = Bench::new().await;
    for method in [Method::GET, Method::HEAD] {
        let answer = bench.send(ask(method.clone(), "/v1/zones?nam=a")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        let told = answer.json["errors"][0]["problem"].as_str().unwrap_or_default();
        // HEAD is answered without words.
        let is_told = told.contains("limit") && told.contains("name");
        assert!(is_told || method == Method::HEAD, "{told}");
    }
    let misspelled = bench
        .send(ask(Method::POST, "/v1/instances?dryrun=true").json(&json!({})))
        .await;
    misspelled.is_problem(StatusCode::BAD_REQUEST, "/problems/bad-request");
    assert_eq!(
        misspelled.json["errors"][0],
        json!({"pointer": "?dryrun", "problem": "is not taken here; this takes dry_run"})
    );
}

#[tokio::test]
async fn a_query_is_looked_at_after_the_token_and_where_there_is_a_route() {
    let bench = Bench::new().await;
    for (method, path) in [
        (Method::GET, "/v1/zones?nam=a"),
        (Method::POST, "/v1/zones?dry_run=true"),
    ] {
        bench
            .send(ask(method, path).without_token())
            .await
            .is_problem(StatusCode::UNAUTHORIZED, "/problems/unauthenticated");
    }
    for path in [
        "/healthz?full=1",
        "/readyz?full=1",
        "/openapi.json?v=2",
        "/docs?v=2",
        "/docs/page.js?v=2",
    ] {
        let answer = bench.send(ask(Method::GET, path).without_token()).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
    }
    // The bench records no figures, and says so as without a query.
    for path in ["/metrics?name=x", "/v1/nowhere?x=1", "/nowhere?x=1"] {
        bench
            .send(ask(Method::GET, path))
            .await
            .is_problem(StatusCode::NOT_FOUND, "/problems/not-found");
    }
    bench
        .send(ask(Method::DELETE, "/v1/zones?x=1"))
        .await
        .is_problem(StatusCode::METHOD_NOT_ALLOWED, "/problems/method-not-allowed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_passes_requests_on_refuses_it_itself() {
    let [first, second] = Bench::two().await;
    let made = first
        .send(ask(Method::POST, "/v1/zones").json(&json!({"name": "here"})))
        .await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let place = made.header("location").expect("a place").to_owned();
    for bench in [&first, &second] {
        let answer = bench
            .send(ask(Method::DELETE, &format!("{place}?dry_run=true")))
            .await;
        answer.is_problem(StatusCode::BAD_REQUEST, "/problems/bad-request");
    }
    let kept = second.send(ask(Method::GET, &place)).await;
    assert_eq!(kept.status, StatusCode::OK, "{}", kept.text);
    assert_ne!(kept.json["name"], Value::Null);
}
