//! Bad input: a problem that names the field and says what to do, nothing changed, never a 500.

use anyhow::Context;
use reqwest::Method;
use serde_json::{Value, json};
use velum_client::Filter;
use velum_integration::{Story, at};
use velum_wire::Problem;

const NOWHERE: &str = "018f3f3e-7a5b-7c3d-8e9f-0123456789ab";

/// A request that must be refused: with this status, naming this field.
struct Bad {
    what: &'static str,
    method: Method,
    path: String,
    body: Value,
    status: u16,
    field: &'static str,
}

fn post(what: &'static str, path: &str, body: Value, status: u16, field: &'static str) -> Bad {
    Bad {
        what,
        method: Method::POST,
        path: path.to_owned(),
        body,
        status,
        field,
    }
}

fn table(story: &Story) -> Vec<Bad> {
    let mut bad = infrastructure(story);
    bad.extend(networks(story));
    bad.extend(tenants(story));
    bad.extend(queries(story));
    bad
}

fn infrastructure(story: &Story) -> Vec<Bad> {
    let world = &story.world;
    let pod = |cidr: &str, gateway: &str| json!({"zone_id": world.zone, "name": "p", "cidr": cidr, "gateway": gateway});
    let cluster = |over: Value| {
        merged(
            json!({"pod_id": world.pod, "name": "c", "driver": "hypervisor-sim"}),
            over,
        )
    };
    let pool = |over: Value| {
        let base = json!({"zone_id": world.zone, "name": "p", "provider": "storage-sim", "config": {"pool": "z1-p1"},
            "endpoint": story.cloud.sim_url});
        merged(base, over)
    };
    vec![
        post(
            "an unknown field",
            "/v1/zones",
            json!({"name": "z", "nmae": "y"}),
            422,
            "/nmae",
        ),
        post("no name", "/v1/zones", json!({}), 422, "/name"),
        post("an empty name", "/v1/zones", json!({"name": ""}), 422, "/name"),
        post(
            "a name with a slash",
            "/v1/zones",
            json!({"name": "a/b"}),
            422,
            "/name",
        ),
        post(
            "a name that is a number",
            "/v1/zones",
            json!({"name": 7}),
            422,
            "/name",
        ),
        post(
            "a long name",
            "/v1/zones",
            json!({"name": "x".repeat(64)}),
            422,
            "/name",
        ),
        post(
            "an unknown word",
            "/v1/zones",
            json!({"name": "z", "access": "secret"}),
            422,
            "/access",
        ),
        post(
            "a policy that is none",
            "/v1/zones",
            json!({"name": "z", "policy_id": NOWHERE}),
            422,
            "/policy_id",
        ),
        post(
            "a zone's id for a policy's",
            "/v1/zones",
            json!({"name": "z", "policy_id": world.zone}),
            422,
            "/policy_id",
        ),
        post(
            "a foreign zone",
            "/v1/pods",
            merged(pod("10.9.0.0/24", "10.9.0.1"), json!({"zone_id": NOWHERE})),
            422,
            "/zone_id",
        ),
        post(
            "an id that is none",
            "/v1/pods",
            merged(pod("10.9.0.0/24", "10.9.0.1"), json!({"zone_id": "x"})),
            422,
            "/zone_id",
        ),
        post(
            "a pod that overlaps",
            "/v1/pods",
            pod("172.16.8.0/24", "172.16.8.1"),
            422,
            "/cidr",
        ),
        post("no CIDR", "/v1/pods", pod("10.9.0.0", "10.9.0.1"), 422, "/cidr"),
        post(
            "a gateway outside",
            "/v1/pods",
            pod("10.9.0.0/24", "10.8.0.1"),
            422,
            "/gateway",
        ),
        post(
            "a driver that is not installed",
            "/v1/clusters",
            cluster(json!({"driver": "hypervisor-none"})),
            422,
            "/driver",
        ),
        post(
            "too little overcommit",
            "/v1/clusters",
            cluster(json!({"cpu_overcommit_permille": 999})),
            422,
            "/cpu_overcommit_permille",
        ),
        post(
            "too much overcommit",
            "/v1/clusters",
            cluster(json!({"memory_overcommit_permille": 20001})),
            422,
            "/memory_overcommit_permille",
        ),
        post(
            "a host that the far side does not know",
            "/v1/compute-hosts",
            json!({"cluster_id": world.cluster, "name": "h", "config": {"host": "nobody"}, "endpoint": story.cloud.sim_url}),
            422,
            "",
        ),
        post(
            "settings that the schema refuses",
            "/v1/compute-hosts",
            json!({"cluster_id": world.cluster, "name": "h", "config": {"hots": "z1-h0001"}, "endpoint": story.cloud.sim_url}),
            422,
            "/config",
        ),
        post(
            "an attribute that is no number",
            "/v1/compute-hosts",
            json!({"cluster_id": world.cluster, "name": "h", "attributes": {"power": "much"}}),
            422,
            "/attributes/power",
        ),
        post(
            "a pool that the far side does not know",
            "/v1/storage-pools",
            pool(json!({"config": {"pool": "none"}})),
            422,
            "",
        ),
        post(
            "a provider that is a driver",
            "/v1/storage-pools",
            pool(json!({"provider": "hypervisor-sim"})),
            422,
            "/provider",
        ),
        post(
            "an image store that is nowhere",
            "/v1/image-stores",
            json!({"zone_id": world.zone, "name": "i"}),
            422,
            "",
        ),
    ]
}

fn networks(story: &Story) -> Vec<Bad> {
    let world = &story.world;
    let range = |first: &str, last: &str| json!({"network_id": world.network, "first": first, "last": last});
    vec![
        post(
            "a range that overlaps",
            "/v1/ip-ranges",
            range("10.1.200.0", "10.1.200.9"),
            422,
            "/first",
        ),
        post(
            "a range that ends before it begins",
            "/v1/ip-ranges",
            range("10.1.255.252", "10.1.255.251"),
            422,
            "",
        ),
        post(
            "a range outside its network",
            "/v1/ip-ranges",
            range("10.2.0.1", "10.2.0.9"),
            422,
            "/first",
        ),
        post(
            "a range of nothing",
            "/v1/ip-ranges",
            json!({"first": "10.1.255.251", "last": "10.1.255.252"}),
            422,
            "",
        ),
        post(
            "an address that is none",
            "/v1/ip-ranges",
            range("10.1.255.999", "10.1.255.252"),
            422,
            "/first",
        ),
        post(
            "an offering that is none",
            "/v1/networks",
            json!({"zone_id": world.zone, "network_offering_id": NOWHERE, "name": "n",
            "cidr": "10.7.0.0/24", "gateway": "10.7.0.1", "link": {"kind": "simulated", "name": "sim0"}}),
            422,
            "/network_offering_id",
        ),
        post(
            "a shape of nothing",
            "/v1/compute-offerings",
            json!({"name": "o", "vcpus": 0, "memory_mib": 256}),
            422,
            "/vcpus",
        ),
        post(
            "memory out of range",
            "/v1/compute-offerings",
            json!({"name": "o", "vcpus": 1, "memory_mib": 3}),
            422,
            "/memory_mib",
        ),
        post(
            "memory that is negative",
            "/v1/compute-offerings",
            json!({"name": "o", "vcpus": 1, "memory_mib": -1}),
            422,
            "/memory_mib",
        ),
        post(
            "a disk of nothing",
            "/v1/disk-offerings",
            json!({"name": "o", "size_bytes": 0}),
            422,
            "/size_bytes",
        ),
    ]
}

fn tenants(story: &Story) -> Vec<Bad> {
    let world = &story.world;
    let instance = |over: Value| {
        let base = serde_json::to_value(world.instance("i")).unwrap_or_default();
        post_instance(merged(base, over))
    };
    let template = |over: Value| {
        let base = json!({"zone_id": world.zone, "name": "t", "format": "raw", "upload_bytes": 512, "sha256": "0".repeat(64)});
        merged(base, over)
    };
    vec![
        Bad {
            what: "a template that is none",
            field: "/template_id",
            ..instance(json!({"template_id": NOWHERE}))
        },
        Bad {
            what: "a zone's id for an offering's",
            field: "/compute_offering_id",
            ..instance(json!({"compute_offering_id": world.zone}))
        },
        Bad {
            what: "a network that is none",
            field: "/networks/0",
            ..instance(json!({"networks": [{"network_id": NOWHERE}]}))
        },
        Bad {
            what: "no network",
            field: "/networks",
            ..instance(json!({"networks": []}))
        },
        Bad {
            what: "an address outside",
            field: "/networks/0",
            ..instance(json!({"networks": [{"network_id": world.network, "address": "10.9.0.1"}]}))
        },
        Bad {
            what: "a root volume below the template",
            field: "/root_size_bytes",
            ..instance(json!({"root_size_bytes": 1}))
        },
        Bad {
            what: "both kinds of user data",
            field: "/user_data",
            ..instance(json!({"user_data": "a", "user_data_base64": "YQ=="}))
        },
        Bad {
            what: "user data that is too long",
            field: "/user_data",
            ..instance(json!({"user_data": "x".repeat(64 * 1024 + 1)}))
        },
        Bad {
            what: "base64 that is none",
            field: "/user_data_base64",
            ..instance(json!({"user_data_base64": "???"}))
        },
        post(
            "a checksum that is none",
            "/v1/templates",
            template(json!({"sha256": "abc"})),
            422,
            "/sha256",
        ),
        post(
            "a format that is none",
            "/v1/templates",
            template(json!({"format": "vmdk"})),
            422,
            "/format",
        ),
        post(
            "an image of nothing",
            "/v1/templates",
            template(json!({"upload_bytes": 0})),
            422,
            "/upload_bytes",
        ),
        post(
            "a plugin that is no component",
            "/v1/plugins",
            json!({"component_base64": "AGFzbQ=="}),
            422,
            "",
        ),
        post(
            "a policy without a component",
            "/v1/policies",
            json!({"name": "p"}),
            422,
            "",
        ),
        post(
            "a digest that is none",
            "/v1/policies",
            json!({"name": "p", "digest": "sha256:1"}),
            422,
            "/digest",
        ),
    ]
}

fn post_instance(body: Value) -> Bad {
    post("", "/v1/instances", body, 422, "")
}

fn queries(story: &Story) -> Vec<Bad> {
    let get = |what, path: &str, status, field| Bad {
        what,
        method: Method::GET,
        path: path.to_owned(),
        body: Value::Null,
        status,
        field,
    };
    let zone = story.world.zone;
    vec![
        get("a limit of nothing", "/v1/zones?limit=0", 400, "?limit"),
        get("a limit that is too large", "/v1/zones?limit=501", 400, "?limit"),
        get("a cursor that is none", "/v1/zones?cursor=x", 400, "?cursor"),
        get("a filter that is none", "/v1/zones?colour=red", 400, "?colour"),
        get("an id that is none", "/v1/zones/x", 404, ""),
        get("an id of another type", &format!("/v1/pods/{zone}"), 404, ""),
        get("a collection that is none", "/v1/teapots", 404, ""),
        get(
            "a wait that is too long",
            &format!("/v1/operations/{NOWHERE}?wait_ms=99999999"),
            400,
            "?wait_ms",
        ),
    ]
}

fn merged(mut base: Value, over: Value) -> Value {
    if let (Value::Object(base), Value::Object(over)) = (&mut base, over) {
        base.extend(over);
    }
    base
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_request_is_told_which_field_is_wrong_and_changes_nothing() -> anyhow::Result<()> {
    let story = Story::with_hosts(1).await?;
    let before = everything(&story).await?;
    let mut wrong = Vec::new();
    for bad in table(&story) {
        let (status, text) = send(&story, &bad).await?;
        let problem: Option<Problem> = serde_json::from_str(&text).ok();
        let names = problem.as_ref().is_some_and(|p| {
            bad.field.is_empty()
                || p.errors
                    .iter()
                    .any(|e| e.pointer.starts_with(bad.field) && !e.problem.is_empty())
        });
        if status != bad.status || !names {
            wrong.push(format!(
                "{}: wanted {} naming '{}', got {status}: {text}",
                bad.what, bad.status, bad.field
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of the table:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert_eq!(everything(&story).await?, before, "nothing changed");
    Ok(())
}

async fn send(story: &Story, bad: &Bad) -> anyhow::Result<(u16, String)> {
    let request = reqwest::Client::new()
        .request(bad.method.clone(), format!("{}{}", story.cloud.url, bad.path))
        .bearer_auth(story.cloud.token()?);
    let request = if bad.body.is_null() {
        request
    } else {
        request.json(&bad.body)
    };
    let response = request.send().await.with_context(|| bad.what.to_owned())?;
    Ok((response.status().as_u16(), response.text().await?))
}

/// Ids of everything that requests make, and how much happened.
async fn everything(story: &Story) -> anyhow::Result<Vec<(String, Vec<String>)>> {
    const COLLECTIONS: [&str; 15] = [
        "zones",
        "pods",
        "clusters",
        "compute-hosts",
        "storage-pools",
        "image-stores",
        "ip-ranges",
        "ip-addresses",
        "networks",
        "compute-offerings",
        "disk-offerings",
        "templates",
        "instances",
        "policies",
        "plugins",
    ];
    let mut all = Vec::new();
    for name in COLLECTIONS {
        let page = story.client.get_json(&format!("/v1/{name}?limit=500")).await?;
        let items = page
            .get("items")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        all.push((
            name.to_owned(),
            items.iter().map(|i| at(i, "id").to_string()).collect(),
        ));
    }
    Ok(all)
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_request_are_refused() -> anyhow::Result<()> {
    let story = Story::with_hosts(1).await?;
    let http = reqwest::Client::new();
    let post = |body: Vec<u8>, kind: &'static str| {
        http.post(format!("{}/v1/zones", story.cloud.url))
            .header(
                "authorization",
                format!("Bearer {}", story.cloud.token().unwrap_or_default()),
            )
            .header("content-type", kind)
            .body(body)
            .send()
    };
    for (what, body, kind, expected) in [
        ("no JSON", b"{".to_vec(), "application/json", 400),
        (
            "invalid UTF-8",
            b"{\"name\": \"\xff\xfe\"}".to_vec(),
            "application/json",
            400,
        ),
        ("JSON of another shape", b"[1]".to_vec(), "application/json", 422),
        (
            "another type",
            b"name=z".to_vec(),
            "application/x-www-form-urlencoded",
            415,
        ),
    ] {
        assert_eq!(post(body, kind).await?.status().as_u16(), expected, "{what}");
    }
    // The server may hang up before ten megabytes have arrived; if it answers, then with 413.
    if let Ok(response) = post(vec![b' '; 10 << 20], "application/json").await {
        assert_eq!(response.status().as_u16(), 413);
    }
    story.cloud.client()?.ready().await?;
    let zones = story.client.zones().all(&Filter::new()).await?;
    assert_eq!(zones.len(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_there_is_only_health_and_documentation() -> anyhow::Result<()> {
    let story = Story::with_hosts(1).await?;
    let http = reqwest::Client::new();
    let get = |path: &str, token: Option<&str>| {
        let request = http.get(format!("{}{path}", story.cloud.url));
        match token {
            Some(token) => request.bearer_auth(token).send(),
            None => request.send(),
        }
    };
    for open in ["/healthz", "/readyz", "/openapi.json"] {
        assert_eq!(get(open, None).await?.status().as_u16(), 200, "{open}");
    }
    for closed in ["/v1/zones", "/v1/events", "/v1/plugins"] {
        assert_eq!(get(closed, None).await?.status().as_u16(), 401, "{closed}");
        assert_eq!(
            get(closed, Some("not-the-token")).await?.status().as_u16(),
            401,
            "{closed}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_not_what_was_promised_is_refused_by_name() -> anyhow::Result<()> {
    let story = Story::with_hosts(1).await?;
    let templates = story.client.templates();
    let body = velum_wire::CreateTemplateBody {
        zone_id: story.world.zone,
        image_store_id: None,
        name: "false".into(),
        format: velum_wire::ImageFormat::Qcow2,
        upload_bytes: 1024,
        sha256: "0".repeat(64),
    };
    let template = templates.create(&body).await?.value;
    let mut source = std::io::Cursor::new(vec![7; 1024]);
    if let Some(operation) = templates.upload(template.id, &mut source, |_| {}).await? {
        story.ended(operation).await?;
    }
    let refused = templates.get(template.id).await?;
    assert_eq!(refused.state, velum_wire::TemplateState::Failed);
    assert!(refused.failure.is_some_and(|why| !why.is_empty()));
    let mut instance = story.world.instance("from-false");
    instance.template_id = template.id;
    let answer = story
        .client
        .instances()
        .create(&instance)
        .await
        .expect_err("it cannot be used");
    assert!(answer.status().is_some_and(|s| s == 409 || s == 422), "{answer}");
    if let Some(operation) = templates.delete(template.id).await? {
        story.done(operation).await?;
    }
    story.cloud.assert_nothing_left().await
}
