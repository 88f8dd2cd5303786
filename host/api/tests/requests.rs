//! Requests as they come: what is refused, how it is worded, and what a record's life looks like over HTTP. The store is
//! real (SQLite in a directory of the test), nothing else is there.

mod bench;
mod parked;
mod queries;
mod servers;

use std::collections::BTreeMap;

use axum::http::{Method, StatusCode};
use bench::{Bench, TOKEN, ask};
use serde_json::json;

#[tokio::test]
async fn without_a_token_only_health_and_documentation_answer() {
    let bench = Bench::new().await;
    for path in [
        "/healthz",
        "/readyz",
        "/openapi.json",
        "/docs",
        "/docs/page.js",
        "/docs/page.css",
    ] {
        let answer = bench.send(ask(Method::GET, path).without_token()).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
    }
    for path in ["/v1/zones", "/v1/nowhere", "/metrics", "/"] {
        let answer = bench.send(ask(Method::GET, path).without_token()).await;
        answer.is_problem(StatusCode::UNAUTHORIZED, "/problems/unauthenticated");
        assert_eq!(
            answer.header("www-authenticate"),
            Some("Bearer realm=\"velum\""),
            "{path}"
        );
    }
    let wrong = ask(Method::GET, "/v1/zones")
        .without_token()
        .header("authorization", "Bearer wrong");
    bench
        .send(wrong)
        .await
        .is_problem(StatusCode::UNAUTHORIZED, "/problems/unauthenticated");
    let lower = ask(Method::GET, "/v1/zones")
        .without_token()
        .header("authorization", &format!("bearer {TOKEN}"));
    assert_eq!(bench.send(lower).await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_is_not_there_is_404_and_a_wrong_method_405() {
    let bench = Bench::new().await;
    let nil = "00000000-0000-0000-0000-000000000000";
    for path in [
        "/v1/nowhere",
        "/v1/zones/",
        "/v1/zones/x",
        "/v1/zones/%ff",
        &format!("/v1/zones/{nil}"),
    ] {
        bench
            .send(ask(Method::GET, path))
            .await
            .is_problem(StatusCode::NOT_FOUND, "/problems/not-found");
    }
    let answer = bench.send(ask(Method::DELETE, "/v1/zones")).await;
    answer.is_problem(StatusCode::METHOD_NOT_ALLOWED, "/problems/method-not-allowed");
    let allowed = answer.header("allow").unwrap_or_default();
    assert!(allowed.contains("GET") && allowed.contains("POST"), "{allowed}");
}

#[tokio::test]
async fn a_query_that_does_not_read_names_its_parameter() {
    let bench = Bench::new().await;
    for (query, parameter) in [
        ("limit=0", "?limit"),
        ("limit=501", "?limit"),
        ("limit=x", "?limit"),
        ("limit=1&limit=2", "?limit"),
        ("cursor=x", "?cursor"),
        ("name=a%20b", "?name"),
        ("nam=a", "?nam"),
    ] {
        let answer = bench.send(ask(Method::GET, &format!("/v1/zones?{query}"))).await;
        answer.is_problem(StatusCode::BAD_REQUEST, "/problems/bad-request");
        assert_eq!(
            answer.json["errors"][0]["pointer"], parameter,
            "{query}: {}",
            answer.text
        );
    }
    let answer = bench
        .send(ask(Method::GET, "/v1/compute-hosts?intent=asleep"))
        .await;
    answer.is_problem(StatusCode::BAD_REQUEST, "/problems/bad-request");
}

#[tokio::test]
async fn what_a_parser_says_is_put_in_plain_words() {
    let bench = Bench::new().await;
    for (query, words) in [
        ("zones?limit=x", "?limit: must be a whole number"),
        ("zones?limit=99999999999", "?limit: is too large a number"),
        ("clusters?pod_id=7", "?pod_id: must be an id (a UUID)"),
    ] {
        let answer = bench.send(ask(Method::GET, &format!("/v1/{query}"))).await;
        answer.is_problem(StatusCode::BAD_REQUEST, "/problems/bad-request");
        assert_eq!(answer.json["detail"], words, "{query}");
    }
    for (body, words) in [
        (
            json!({"name": "a", "policy_id": "7"}),
            "/policy_id: must be an id (a UUID)",
        ),
        (
            json!({"name": "a", "access": "open"}),
            "/access: is `open`, which is none of what is taken here: `",
        ),
    ] {
        let answer = bench.send(ask(Method::POST, "/v1/zones").json(&body)).await;
        let detail = answer.json["detail"].as_str().unwrap_or_default();
        assert!(detail.starts_with(words), "{}", answer.text);
    }
}

#[tokio::test]
async fn a_filter_of_operations_or_events_stands_alone() {
    let bench = Bench::new().await;
    let nil = "00000000-0000-0000-0000-000000000000";
    for good in [
        "operations?subject=volumes".to_owned(),
        format!("operations?subject_id={nil}"),
        format!("operations?subject=instances&subject_id={nil}"),
        "operations?kind=volume-create".to_owned(),
        "events?kind=instance.created&cursor=".to_owned(),
    ] {
        let answer = bench.send(ask(Method::GET, &format!("/v1/{good}"))).await;
        assert_eq!(answer.status, StatusCode::OK, "{good}: {}", answer.text);
    }
    let huge = format!("events?cursor={}:9223372036854775808.1", "0".repeat(32));
    for (bad, parameter) in [
        ("operations?subject=zones", "?subject"),
        ("operations?kind=x", "?kind"),
        (&format!("events?kind={}", "x".repeat(65)), "?kind"),
        ("events?kind=%00", "?kind"),
        ("plugins?version=%00", "?version"),
        (&huge, "?cursor"),
        (&format!("events?cursor={}", "0".repeat(50_000)), "?cursor"),
    ] {
        let answer = bench.send(ask(Method::GET, &format!("/v1/{bad}"))).await;
        answer.is_problem(StatusCode::BAD_REQUEST, "/problems/bad-request");
        assert_eq!(
            answer.json["errors"][0]["pointer"], parameter,
            "{bad}: {}",
            answer.text
        );
    }
}

#[tokio::test]
async fn a_body_that_does_not_read_is_told_why() {
    let bench = Bench::new().await;
    let post = || ask(Method::POST, "/v1/zones");
    bench
        .send(post().body("application/json", "{"))
        .await
        .is_problem(StatusCode::BAD_REQUEST, "/problems/malformed");
    bench
        .send(post().body("application/json", vec![b'"', 0xff, b'"']))
        .await
        .is_problem(StatusCode::BAD_REQUEST, "/problems/malformed");
    for kind in ["text/plain", "application/x-www-form-urlencoded"] {
        bench.send(post().body(kind, "{}")).await.is_problem(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "/problems/unsupported-media-type",
        );
    }
    let large = format!("{{\"name\":\"{}\"}}", "a".repeat(10 << 20));
    bench
        .send(post().body("application/json", large))
        .await
        .is_problem(StatusCode::PAYLOAD_TOO_LARGE, "/problems/too-large");
    let answer = bench.send(post().json(&json!({"name": "a b", "acces": 1}))).await;
    answer.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "/problems/invalid");
    assert_eq!(answer.json["errors"][0]["pointer"], "/acces");
    let body = json!({"name": "a b", "vcpus": 0, "memory_mib": 1, "host_tags": ["-"]});
    let answer = bench
        .send(ask(Method::POST, "/v1/compute-offerings").json(&body))
        .await;
    answer.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "/problems/invalid");
    assert_eq!(
        answer.json["errors"].as_array().map(Vec::len),
        Some(4),
        "{}",
        answer.text
    );
}

#[tokio::test]
async fn a_batch_may_be_as_large_as_its_instances_and_no_larger() {
    let bench = Bench::new().await;
    let nil = "00000000-0000-0000-0000-000000000000";
    let batch = |instances: usize| {
        let one = json!({
            "name": "a", "compute_offering_id": nil, "template_id": nil,
            "networks": [{"network_id": nil}], "user_data_base64": "A".repeat(40_000),
        });
        let body = json!({"zone_id": nil, "instances": vec![one; instances]});
        ask(Method::POST, "/v1/instances:batch").json(&body)
    };
    let answer = bench.send(batch(100)).await;
    answer.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "/problems/invalid");
    assert_eq!(
        answer.json["errors"][0]["pointer"], "/instances/1/name",
        "{}",
        answer.text
    );
    let answer = bench.send(batch(256)).await;
    answer.is_problem(StatusCode::PAYLOAD_TOO_LARGE, "/problems/too-large");
}

#[tokio::test]
async fn what_takes_no_body_takes_an_empty_object_and_nothing_else() {
    let bench = Bench::new().await;
    let nil = "00000000-0000-0000-0000-000000000000";
    for action in [
        "instances/ID/start",
        "compute-hosts/ID/maintenance",
        "compute-hosts/ID/enable",
        "volumes/ID/detach",
        "policies/ID/promote",
    ] {
        let path = format!("/v1/{}", action.replace("ID", nil));
        let post = |kind: &str, body: &str| ask(Method::POST, &path).body(kind, body);
        // It gets as far as what there is not.
        for (kind, body) in [
            ("application/json", ""),
            ("application/json", "{}"),
            ("application/json", " { }\r\n"),
            ("application/json", " \n"),
            ("text/plain", "{}"),
        ] {
            bench
                .send(post(kind, body))
                .await
                .is_problem(StatusCode::NOT_FOUND, "/problems/not-found");
        }
        for (body, pointer) in [
            (r#"{"force":true}"#, "/force"),
            ("[]", ""),
            ("null", ""),
            ("x", ""),
        ] {
            let answer = bench.send(post("application/json", body)).await;
            answer.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "/problems/invalid");
            assert_eq!(answer.json["errors"][0]["pointer"], pointer, "{action} {body}");
        }
        bench
            .send(post("application/json", "{"))
            .await
            .is_problem(StatusCode::BAD_REQUEST, "/problems/malformed");
    }
}

#[tokio::test]
async fn a_record_is_made_read_changed_and_removed() {
    let bench = Bench::new().await;
    let made = bench
        .send(ask(Method::POST, "/v1/disk-offerings").json(&json!({"name": "small"})))
        .await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let place = made.header("location").expect("a place").to_owned();
    let etag = made.header("etag").expect("a tag").to_owned();
    let read = bench.send(ask(Method::GET, &place)).await;
    assert_eq!(
        (read.status, read.header("etag")),
        (StatusCode::OK, Some(etag.as_str()))
    );
    assert_eq!(read.json["size_bytes"], serde_json::Value::Null);

    let rename = |tag: &str| {
        ask(Method::PATCH, &place)
            .header("if-match", tag)
            .json(&json!({"name": "tiny"}))
    };
    let changed = bench.send(rename(&etag)).await;
    assert_eq!(
        (changed.status, changed.json["name"].as_str()),
        (StatusCode::OK, Some("tiny")),
        "{}",
        changed.text
    );
    assert_ne!(changed.header("etag"), Some(etag.as_str()));
    for stale in [etag.as_str(), "\"x\"", "W/\"2\"", "7"] {
        bench
            .send(rename(stale))
            .await
            .is_problem(StatusCode::PRECONDITION_FAILED, "/problems/stale");
    }

    let twice = bench
        .send(ask(Method::POST, "/v1/disk-offerings").json(&json!({"name": "tiny"})))
        .await;
    twice.is_problem(StatusCode::CONFLICT, "/problems/name-taken");
    let list = bench
        .send(ask(Method::GET, "/v1/disk-offerings?name=tiny&limit=1"))
        .await;
    assert_eq!(list.json["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(list.json["next_cursor"], serde_json::Value::Null);

    assert_eq!(
        bench.send(ask(Method::DELETE, &place)).await.status,
        StatusCode::NO_CONTENT
    );
    bench
        .send(ask(Method::GET, &place))
        .await
        .is_problem(StatusCode::NOT_FOUND, "/problems/not-found");
}

#[tokio::test]
async fn an_offering_says_which_resources_it_asks_for() {
    let bench = Bench::new().await;
    let post = |resources: serde_json::Value| {
        let body = json!({"name": "gpu", "vcpus": 1, "memory_mib": 256, "resources": resources});
        ask(Method::POST, "/v1/compute-offerings").json(&body)
    };
    for (wrong, pointers) in [
        (
            json!({"GPU": 1, "a/b": 1, "gpu": 0}),
            vec!["/resources/GPU", "/resources/a~1b", "/resources/gpu"],
        ),
        (json!({"gpu": (1_u64 << 31) + 1}), vec!["/resources/gpu"]),
        (json!({"gpu": -1}), vec!["/resources/gpu"]),
        (json!(["gpu"]), vec!["/resources"]),
        ((0..9).map(|n| (format!("r{n}"), 1)).collect(), vec!["/resources"]),
    ] {
        let answer = bench.send(post(wrong)).await;
        answer.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "/problems/invalid");
        let told = answer.json["errors"].as_array().into_iter().flatten();
        let told: Vec<_> = told.filter_map(|error| error["pointer"].as_str()).collect();
        assert_eq!(told, pointers, "{}", answer.text);
    }
    let made = bench
        .send(post(json!({"gpu": 2, "hugepages-1g": 1_u64 << 31})))
        .await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let read = bench
        .send(ask(Method::GET, made.header("location").expect("a place")))
        .await;
    assert_eq!(
        read.json["resources"],
        json!({"gpu": 2, "hugepages-1g": 1_u64 << 31})
    );
    let none = json!({"name": "none", "vcpus": 1, "memory_mib": 256});
    let made = bench
        .send(ask(Method::POST, "/v1/compute-offerings").json(&none))
        .await;
    assert_eq!(made.json["resources"], json!({}));
}

#[tokio::test]
async fn a_compute_host_has_sixteen_resources_and_not_one_more() {
    let bench = Bench::new().await;
    let cluster = "00000000-0000-0000-0000-000000000009";
    for (count, pointer) in [(17, "/resources"), (16, "/cluster_id")] {
        let resources: BTreeMap<_, _> = (0..count).map(|n| (format!("r{n}"), 1)).collect();
        let body = json!({"cluster_id": cluster, "name": "host-1", "resources": resources});
        let answer = bench
            .send(ask(Method::POST, "/v1/compute-hosts").json(&body))
            .await;
        answer.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "/problems/invalid");
        assert_eq!(answer.json["errors"][0]["pointer"], pointer, "{}", answer.text);
    }
}

#[tokio::test]
async fn a_key_gets_the_same_answer_again_and_never_another() {
    let bench = Bench::new().await;
    let post = |name: &str| {
        let request = ask(Method::POST, "/v1/network-offerings").header("idempotency-key", "k-1");
        request.json(&json!({"name": name}))
    };
    let first = bench.send(post("shared")).await;
    let again = bench.send(post("shared")).await;
    assert_eq!(
        (first.status, again.status),
        (StatusCode::CREATED, StatusCode::CREATED),
        "{}",
        again.text
    );
    assert_eq!(first.text, again.text);
    for header in ["location", "etag", "content-type"] {
        assert_eq!(first.header(header), again.header(header), "{header}");
    }
    assert_eq!(
        (
            first.header("idempotency-replayed"),
            again.header("idempotency-replayed")
        ),
        (None, Some("true"))
    );
    bench.send(post("other")).await.is_problem(
        StatusCode::UNPROCESSABLE_ENTITY,
        "/problems/idempotency-key-reused",
    );
    let long = ask(Method::POST, "/v1/network-offerings").header("idempotency-key", &"k".repeat(256));
    bench
        .send(long.json(&json!({"name": "x"})))
        .await
        .is_problem(StatusCode::BAD_REQUEST, "/problems/bad-request");
}

#[tokio::test]
async fn events_come_in_pages_and_as_a_stream() {
    let bench = Bench::new().await;
    bench
        .send(ask(Method::POST, "/v1/disk-offerings").json(&json!({"name": "small"})))
        .await;
    let page = bench.send(ask(Method::GET, "/v1/events")).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    for bad in ["x", "%00", "1:2:3"] {
        let answer = bench
            .send(ask(Method::GET, &format!("/v1/events?cursor={bad}")))
            .await;
        answer.is_problem(StatusCode::BAD_REQUEST, "/problems/bad-request");
    }
    let stream = ask(Method::GET, "/v1/events").header("accept", "text/event-stream");
    assert_eq!(bench.kind_of(stream).await, "text/event-stream");
}

#[tokio::test]
async fn a_console_is_a_websocket_and_says_so() {
    let bench = Bench::new().await;
    let path = "/v1/instances/00000000-0000-0000-0000-000000000000/console";
    bench
        .send(ask(Method::GET, path))
        .await
        .is_problem(StatusCode::UPGRADE_REQUIRED, "/problems/upgrade-required");
}

#[tokio::test]
async fn a_component_comes_alone_or_in_json() {
    let bench = Bench::new().await;
    let post = || ask(Method::POST, "/v1/plugins");
    let refused = bench.send(post().body("application/wasm", vec![0, 1, 2])).await;
    refused.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "/problems/plugin-refused");
    let refused = bench
        .send(post().json(&json!({"component_base64": "AAEC", "manifest": "x"})))
        .await;
    refused.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "/problems/plugin-refused");
    let refused = bench.send(post().json(&json!({"component_base64": "***"}))).await;
    refused.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "/problems/invalid");
    assert_eq!(refused.json["errors"][0]["pointer"], "/component_base64");
    let refused = bench.send(post().body("text/plain", "x")).await;
    refused.is_problem(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "/problems/unsupported-media-type",
    );
}

#[tokio::test]
async fn every_answer_carries_the_name_of_its_request() {
    let bench = Bench::new().await;
    let named = bench
        .send(ask(Method::GET, "/healthz").header("x-request-id", "proxy-7"))
        .await;
    assert_eq!(named.header("x-request-id"), Some("proxy-7"));
    let odd = bench
        .send(ask(Method::GET, "/v1/nowhere").header("x-request-id", "a b"))
        .await;
    let id = odd.header("x-request-id").expect("a name of its own");
    assert_ne!(id, "a b");
    assert_eq!(odd.json["request_id"], id);
}

#[tokio::test]
async fn an_affinity_group_is_made_read_changed_listed_and_removed() {
    let bench = Bench::new().await;
    let zone = bench
        .send(ask(Method::POST, "/v1/zones").json(&json!({"name": "east"})))
        .await;
    let zone_id = zone.json["id"].clone();
    let body = json!({"zone_id": zone_id, "name": "web", "kind": "anti-affinity"});
    let made = bench
        .send(ask(Method::POST, "/v1/affinity-groups").json(&body))
        .await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let place = made.header("location").expect("a place").to_owned();
    let said = |field: &str| made.json[field].clone();
    assert_eq!(
        [
            said("strength"),
            said("level"),
            said("members"),
            said("description")
        ],
        [json!("required"), json!("compute-host"), json!(0), json!("")]
    );
    let taken = bench
        .send(ask(Method::POST, "/v1/affinity-groups").json(&body))
        .await;
    taken.is_problem(StatusCode::CONFLICT, "/problems/name-taken");

    let change = json!({"name": "front", "description": "faces the world"});
    let changed = bench.send(ask(Method::PATCH, &place).json(&change)).await;
    assert_eq!(
        (changed.status, &changed.json["name"], &changed.json["generation"]),
        (StatusCode::OK, &json!("front"), &json!(2)),
        "{}",
        changed.text
    );
    for (query, count) in [
        ("kind=anti-affinity&name=front", 1),
        ("kind=affinity", 0),
        ("name=web", 0),
    ] {
        let listed = bench
            .send(ask(Method::GET, &format!("/v1/affinity-groups?{query}")))
            .await;
        let items = listed.json["items"].as_array().map(Vec::len);
        assert_eq!(items, Some(count), "{query}: {}", listed.text);
    }
    let gone = bench.send(ask(Method::DELETE, &place)).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT, "{}", gone.text);
    let gone = bench.send(ask(Method::GET, &place)).await;
    gone.is_problem(StatusCode::NOT_FOUND, "/problems/not-found");
}

#[tokio::test]
async fn an_affinity_group_that_does_not_read_is_told_why() {
    let bench = Bench::new().await;
    let zone = bench
        .send(ask(Method::POST, "/v1/zones").json(&json!({"name": "east"})))
        .await;
    let zone_id = zone.json["id"].clone();
    let body = json!({"zone_id": zone_id, "name": "web", "kind": "anti-affinity", "strength": "preferred"});
    let made = bench
        .send(ask(Method::POST, "/v1/affinity-groups").json(&body))
        .await;
    let place = made.header("location").expect("a place").to_owned();
    for (bad, pointer) in [
        (json!({"kind": "beside"}), "/kind"),
        (json!({"kind": "affinity", "name": "a b"}), "/name"),
        (
            json!({"kind": "affinity", "description": "two\nlines"}),
            "/description",
        ),
        (json!({"kind": "affinity", "level": "planet"}), "/level"),
    ] {
        let mut body = json!({"zone_id": zone_id, "name": "other"});
        for (field, value) in bad.as_object().expect("fields") {
            body[field] = value.clone();
        }
        let refused = bench
            .send(ask(Method::POST, "/v1/affinity-groups").json(&body))
            .await;
        refused.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "/problems/invalid");
        assert_eq!(refused.json["errors"][0]["pointer"], pointer, "{}", refused.text);
    }
    // What it asks of its members is not changed, and too many are refused at the border.
    let kind = bench
        .send(ask(Method::PATCH, &place).json(&json!({"kind": "affinity"})))
        .await;
    kind.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "/problems/invalid");
    let nine = vec![made.json["id"].clone(); 9];
    let instance = json!({
        "zone_id": zone_id, "name": "vm", "compute_offering_id": zone_id, "template_id": zone_id,
        "networks": [{"network_id": zone_id}], "affinity_group_ids": nine,
    });
    let refused = bench
        .send(ask(Method::POST, "/v1/instances").json(&instance))
        .await;
    refused.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "/problems/invalid");
    assert_eq!(
        refused.json["errors"][0]["pointer"], "/affinity_group_ids",
        "{}",
        refused.text
    );
}

#[tokio::test]
async fn a_pod_is_dedicated_to_a_project_and_to_none_again() {
    let bench = Bench::new().await;
    let zone = bench
        .send(ask(Method::POST, "/v1/zones").json(&json!({"name": "east"})))
        .await;
    let pod =
        json!({"zone_id": zone.json["id"], "name": "rack-1", "cidr": "10.1.0.0/24", "gateway": "10.1.0.1"});
    let pod = bench.send(ask(Method::POST, "/v1/pods").json(&pod)).await;
    let place = pod.header("location").expect("a place").to_owned();
    assert_eq!(pod.json["dedicated_to"], serde_json::Value::Null);
    let built_in = json!("00000000-0000-0000-0000-000000000001");
    for (to, is) in [
        (json!({"dedicated_to": built_in}), &built_in),
        (json!({"name": "rack-2"}), &built_in),
        (json!({"dedicated_to": null}), &serde_json::Value::Null),
    ] {
        let changed = bench.send(ask(Method::PATCH, &place).json(&to)).await;
        assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
        assert_eq!(&changed.json["dedicated_to"], is, "{to}");
    }
    let nobody = json!({"dedicated_to": "00000000-0000-0000-0000-000000000009"});
    let refused = bench.send(ask(Method::PATCH, &place).json(&nobody)).await;
    refused.is_problem(StatusCode::UNPROCESSABLE_ENTITY, "/problems/invalid");
    assert_eq!(
        refused.json["errors"][0]["pointer"], "/dedicated_to",
        "{}",
        refused.text
    );
}
