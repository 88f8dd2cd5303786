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
    what: String,
    method: Method,
    path: String,
    body: Value,
    status: u16,
    field: String,
}

fn table(story: &Story) -> anyhow::Result<Vec<Bad>> {
    let lines = include_str!("bad_input.txt")
        .lines()
        .filter(|line| !line.starts_with('#'));
    lines
        .map(|line| read(story, line).with_context(|| line.to_owned()))
        .collect()
}

fn read(story: &Story, line: &str) -> anyhow::Result<Bad> {
    let mut line = line.to_owned();
    for (name, value) in names(story) {
        line = line.replace(name, &value);
    }
    let columns: Vec<&str> = line.split('|').map(str::trim).collect();
    let [what, request, body, status, field] = columns[..] else {
        anyhow::bail!("five columns")
    };
    let (method, path) = request.split_once(' ').context("a method and a path")?;
    Ok(Bad {
        what: what.to_owned(),
        method: method.parse()?,
        path: path.to_owned(),
        body: read_body(story, body)?,
        status: status.parse()?,
        field: field.to_owned(),
    })
}

fn names(story: &Story) -> [(&'static str, String); 6] {
    [
        ("$NOWHERE", NOWHERE.to_owned()),
        ("$ZONE", story.world.zone.to_string()),
        ("$NETWORK", story.world.network.to_string()),
        ("$POD", story.world.pod.to_string()),
        ("$X65537", "x".repeat(65_537)),
        ("$X64", "x".repeat(64)),
    ]
}

fn read_body(story: &Story, text: &str) -> anyhow::Result<Value> {
    if text.is_empty() {
        return Ok(Value::Null);
    }
    let Some(text) = text.strip_prefix('@') else {
        return Ok(serde_json::from_str(text)?);
    };
    let (name, over) = text
        .split_once(' ')
        .context("a good body and what is different")?;
    let (mut base, over): (Value, Value) = (good(story, name)?, serde_json::from_str(over)?);
    if let (Value::Object(base), Value::Object(over)) = (&mut base, over) {
        base.extend(over);
    }
    Ok(base)
}

/// A body that would be taken as it is.
fn good(story: &Story, name: &str) -> anyhow::Result<Value> {
    let (world, sim) = (&story.world, &story.cloud.sim_url);
    let link = json!({"kind": "simulated", "name": "sim0"});
    Ok(match name {
        "pod" => json!({"zone_id": world.zone, "name": "p", "cidr": "10.9.0.0/24", "gateway": "10.9.0.1"}),
        "cluster" => json!({"pod_id": world.pod, "name": "c", "driver": "hypervisor-sim"}),
        "host" => {
            json!({"cluster_id": world.cluster, "name": "h", "config": {"host": "z1-h0002"}, "endpoint": sim})
        }
        "pool" => {
            json!({"zone_id": world.zone, "name": "p", "provider": "storage-sim", "config": {"pool": "z1-p1"},
                "endpoint": sim})
        }
        "range" => json!({"network_id": world.network, "first": "10.1.255.251", "last": "10.1.255.252"}),
        "network" => {
            json!({"zone_id": world.zone, "network_offering_id": world.offering, "name": "n",
                "cidr": "10.7.0.0/24", "gateway": "10.7.0.1", "link": link})
        }
        "instance" => serde_json::to_value(world.instance("i"))?,
        "template" => {
            json!({"zone_id": world.zone, "name": "t", "format": "raw", "upload_bytes": 512,
                "sha256": "0".repeat(64)})
        }
        _ => anyhow::bail!("there is no good body called {name}"),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_request_is_told_which_field_is_wrong_and_changes_nothing() -> anyhow::Result<()> {
    let story = Story::with_hosts(1).await?;
    let before = everything(&story).await?;
    let mut wrong = Vec::new();
    for bad in table(&story)? {
        let (status, text) = send(&story, &bad).await?;
        let problem: Option<Problem> = serde_json::from_str(&text).ok();
        let names = problem.as_ref().is_some_and(|p| {
            bad.field.is_empty()
                || p.errors
                    .iter()
                    .any(|e| e.pointer.starts_with(&bad.field) && !e.problem.is_empty())
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
    let response = request.send().await.with_context(|| bad.what.clone())?;
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
