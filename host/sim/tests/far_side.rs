//! The simulated far side over a real socket, as drivers and providers meet it.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::sync::Arc;

use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};
use uuid::Uuid;
use velum_sim::{
    Sim, app,
    listen::{Cuttable, Hangup},
    world::{Size, World},
};

const HOST: &str = "z1-h0001";
const IQN: &str = "iqn.2026-01.cloud.velum.sim:z1-h0001";

struct FarSide {
    base: String,
    client: Client,
    served: JoinHandle<()>,
}

impl Drop for FarSide {
    fn drop(&mut self) {
        self.served.abort();
    }
}

/// Who asks: epoch, object, generation, effect.
#[derive(Clone, Copy)]
struct By {
    epoch: u64,
    object: Uuid,
    generation: u64,
    effect: u128,
}

fn by(object: Uuid, effect: u128) -> By {
    By {
        epoch: 1,
        object,
        generation: 1,
        effect,
    }
}

impl FarSide {
    async fn of(size: Size) -> Self {
        Self::with(World::new(size)).await
    }

    async fn with(world: World) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let service = app(Sim::new(world)).into_make_service_with_connect_info::<Hangup>();
        let served = tokio::spawn(async move { axum::serve(Cuttable(listener), service).await.unwrap() });
        Self {
            base,
            client: Client::new(),
            served,
        }
    }

    async fn try_send(
        &self,
        method: Method,
        path: &str,
        by: Option<By>,
        body: Value,
    ) -> reqwest::Result<Response> {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if !body.is_null() {
            request = request.json(&body);
        }
        if let Some(by) = by {
            request = request
                .header("Velum-Shard", Uuid::from_u128(1).to_string())
                .header("Velum-Epoch", by.epoch)
                .header("Velum-Object", by.object.to_string())
                .header("Velum-Generation", by.generation)
                .header("Velum-Effect", Uuid::from_u128(by.effect).to_string());
        }
        request.send().await
    }

    async fn send(&self, method: Method, path: &str, by: Option<By>, body: Value) -> (StatusCode, Value) {
        let response = self.try_send(method, path, by, body).await.unwrap();
        let status = response.status();
        (status, response.json().await.unwrap())
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.send(Method::GET, path, None, Value::Null).await;
        assert!(status.is_success(), "{path}: {status} {body}");
        body
    }

    async fn put(&self, path: &str, by: By, body: Value) -> Value {
        let (status, answer) = self.send(Method::PUT, path, Some(by), body).await;
        assert_eq!(status, StatusCode::OK, "{path}: {answer}");
        answer["done"].clone()
    }

    async fn control(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.send(Method::POST, path, None, body).await;
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }

    /// A volume that `HOST` reaches, and its disk in slot 0.
    async fn disk(&self, n: u128) -> Value {
        let id = Uuid::from_u128(n);
        let blank = json!({"size_bytes": 1 << 30, "format": 1, "source": {"kind": 0, "of": null}});
        self.put(&format!("/pools/z1-p1/volumes/{id}"), by(id, n), blank)
            .await;
        let node = Uuid::from_u128(0xdead);
        let to = json!({"initiators": [{"kind": 1, "value": IQN}], "mode": 1});
        let path = format!("/pools/z1-p1/volumes/{id}/publications/{node}");
        self.put(&path, by(id, n), to).await;
        let reached = self.get(&path).await;
        assert_eq!(reached["kind"], 0x8001);
        json!({"slot": 0, "volume": id, "identity": reached["identity"], "readonly": false})
    }

    /// Defines a run of 1 vCPU and 1 GiB on `HOST`; answers its path and who asks.
    async fn defined(&self, n: u128, disks: Value) -> (String, By) {
        let run = Uuid::from_u128(n);
        let by = by(Uuid::from_u128(n + 1), n);
        let path = format!("/hosts/{HOST}/runs/{run}");
        let spec =
            json!({"generation": 1, "spec_digest": "d", "vcpus": 1, "memory_mib": 1024, "disks": disks});
        self.put(&path, by, spec).await;
        (path, by)
    }

    async fn violations(&self) -> Vec<String> {
        let audit = self.get("/sim/audit").await;
        assert_eq!(audit["sums"]["agree"], true);
        let all = audit["violations"].as_array().unwrap().clone();
        all.iter()
            .map(|v| v["kind"].as_str().unwrap().to_owned())
            .collect()
    }
}

#[tokio::test]
async fn a_run_lives_from_definition_to_removal_and_leaves_nothing() {
    let far = FarSide::of(Size::default()).await;
    let disk = far.disk(100).await;
    let (path, by) = far.defined(200, json!([disk])).await;
    for (verb, state) in [
        ("start", 2),
        ("reboot", 2),
        ("shutdown", 1),
        ("start", 2),
        ("kill", 1),
    ] {
        let effect = By {
            effect: by.effect + state + verb.len() as u128,
            ..by
        };
        let body = if verb == "reboot" {
            json!({"hard": true})
        } else {
            Value::Null
        };
        // The second start is another change: another effect.
        let effect = By {
            effect: effect.effect
                + far.get("/sim/stats").await["calls"]["start"]
                    .as_u64()
                    .unwrap_or(0) as u128
                    * 100,
            ..effect
        };
        let (status, answer) = far
            .send(Method::POST, &format!("{path}/{verb}"), Some(effect), body)
            .await;
        assert_eq!(status, StatusCode::OK, "{verb}: {answer}");
        assert_eq!(far.get(&path).await["state"], state as u64, "after {verb}");
    }
    let volume = Uuid::from_u128(100);
    let node = Uuid::from_u128(0xdead);
    for gone in [
        path.clone(),
        format!("/pools/z1-p1/volumes/{volume}/publications/{node}"),
        format!("/pools/z1-p1/volumes/{volume}"),
    ] {
        let (status, answer) = far.send(Method::DELETE, &gone, Some(by), Value::Null).await;
        assert_eq!(status, StatusCode::OK, "{gone}: {answer}");
        assert_eq!(
            far.send(Method::GET, &gone, None, Value::Null).await.0,
            StatusCode::NOT_FOUND
        );
    }
    assert!(far.violations().await.is_empty());
    let audit = far.get("/sim/audit").await;
    assert_eq!((&audit["runs"], &audit["volumes"]), (&json!([]), &json!([])));
}

#[tokio::test]
async fn the_same_effect_acts_once_and_on_one_place_only() {
    let far = FarSide::of(Size::default()).await;
    let (path, by) = far.defined(200, json!([])).await;
    let start = format!("{path}/start");
    far.send(Method::POST, &start, Some(by), Value::Null).await;
    let kill = format!("{path}/kill");
    far.send(Method::POST, &kill, Some(by), Value::Null).await;
    let (status, _) = far.send(Method::POST, &start, Some(by), Value::Null).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        far.get(&path).await["state"],
        1,
        "the repeated start did not start it again"
    );
    let (other, _) = far.defined(300, json!([])).await;
    let (status, answer) = far
        .send(Method::POST, &format!("{other}/start"), Some(by), Value::Null)
        .await;
    assert_eq!((status, &answer["code"]), (StatusCode::CONFLICT, &json!(3)));
    assert_eq!(far.violations().await, ["effect-reused"]);
}

#[tokio::test]
async fn whoever_was_overtaken_is_fenced_even_when_the_request_was_on_its_way() {
    let far = FarSide::of(Size::default()).await;
    let (path, by) = far.defined(200, json!([])).await;
    let fault = far
        .control("/sim/faults", json!({"kind": "hang", "verb": "start"}))
        .await;
    let (client, url) = (far.client.clone(), format!("{}{path}/start", far.base));
    let headers = [
        ("Velum-Shard", Uuid::from_u128(1).to_string()),
        ("Velum-Epoch", "1".to_owned()),
        ("Velum-Object", by.object.to_string()),
        ("Velum-Generation", "1".to_owned()),
        ("Velum-Effect", Uuid::from_u128(7).to_string()),
    ];
    let late = tokio::spawn(async move {
        let request = headers
            .into_iter()
            .fold(client.post(url), |request, (name, value)| {
                request.header(name, value)
            });
        request.send().await.unwrap().json::<Value>().await.unwrap()
    });
    let fault = format!("/sim/faults/{}", fault["id"]);
    assert_eq!(far.get(&format!("{fault}?wait_ms=5000")).await["hits"], 1);
    let newer = By {
        epoch: 2,
        effect: 8,
        ..by
    };
    far.send(Method::POST, &format!("{path}/kill"), Some(newer), Value::Null)
        .await;
    far.send(Method::DELETE, &fault, None, Value::Null).await;
    let answer = late.await.unwrap();
    assert_eq!((&answer["code"], &answer["unchanged"]), (&json!(7), &json!(true)));
    assert_eq!(far.get(&path).await["state"], 1);
}

#[tokio::test]
async fn held_work_is_stepped_polled_and_cancelled() {
    let far = FarSide::of(Size::default()).await;
    far.control("/sim/hold", json!({"verb": "start"})).await;
    let (path, by) = far.defined(200, json!([])).await;
    let start = format!("{path}/start");
    let (status, answer) = far.send(Method::POST, &start, Some(by), Value::Null).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let job = format!(
        "/hosts/{HOST}/jobs/{}",
        answer["working"]["token"].as_str().unwrap()
    );
    assert_eq!(
        far.send(Method::GET, &job, None, Value::Null).await.0,
        StatusCode::ACCEPTED
    );
    assert_eq!(
        far.send(Method::POST, &start, Some(by), Value::Null).await.1,
        answer,
        "asked again"
    );
    assert_eq!(
        far.send(Method::DELETE, &job, Some(by), Value::Null).await.1["code"],
        1,
        "a start goes on"
    );
    assert_eq!(far.get(&path).await["state"], 1);
    assert_eq!(
        far.control("/sim/step", json!({})).await["stepped"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(far.get(&job).await, json!({"done": {}}));
    assert_eq!(far.get(&path).await["state"], 2);

    far.control("/sim/hold", json!({"verb": "create"})).await;
    let id = Uuid::from_u128(50);
    let volume = format!("/pools/z1-p1/volumes/{id}");
    let blank = json!({"size_bytes": 1 << 30, "format": 1, "source": {"kind": 0}});
    let (_, answer) = far
        .send(Method::PUT, &volume, Some(self::by(id, 50)), blank)
        .await;
    assert_eq!(far.get(&volume).await["state"], 2);
    let job = format!(
        "/pools/z1-p1/jobs/{}",
        answer["working"]["token"].as_str().unwrap()
    );
    far.send(Method::DELETE, &job, Some(self::by(id, 51)), Value::Null)
        .await;
    assert_eq!(far.send(Method::GET, &job, None, Value::Null).await.1["code"], 9);
    assert_eq!(
        far.send(Method::GET, &volume, None, Value::Null).await.0,
        StatusCode::NOT_FOUND
    );
    assert!(far.violations().await.is_empty());
}

#[tokio::test]
async fn work_takes_its_latency_and_then_is_done() {
    let size = Size {
        latency_ms: 30,
        ..Size::default()
    };
    let far = FarSide::of(size).await;
    let (path, by) = far.defined(200, json!([])).await;
    let (status, answer) = far
        .send(Method::POST, &format!("{path}/start"), Some(by), Value::Null)
        .await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let job = format!(
        "/hosts/{HOST}/jobs/{}",
        answer["working"]["token"].as_str().unwrap()
    );
    while far.send(Method::GET, &job, None, Value::Null).await.0 == StatusCode::ACCEPTED {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(far.get(&path).await["state"], 2);
}

#[tokio::test]
async fn a_run_that_must_not_be_is_refused_and_recorded() {
    let size = Size {
        memory_mib: 1024,
        pool_gib: 2,
        ..Size::default()
    };
    let far = FarSide::of(size).await;
    let disk = far.disk(100).await;
    let (first, who) = far.defined(200, json!([disk])).await;
    far.send(Method::POST, &format!("{first}/start"), Some(who), Value::Null)
        .await;

    let (second, other) = far.defined(300, json!([])).await;
    let (status, _) = far
        .send(Method::POST, &format!("{second}/start"), Some(other), Value::Null)
        .await;
    assert_eq!(status, StatusCode::INSUFFICIENT_STORAGE);

    let third = format!("/hosts/z1-h0002/runs/{}", Uuid::from_u128(400));
    let spec = json!({"generation": 1, "vcpus": 1, "memory_mib": 512, "disks": [disk]});
    far.put(&third, By { effect: 40, ..who }, spec.clone()).await;
    let (status, _) = far
        .send(Method::POST, &format!("{third}/start"), Some(who), Value::Null)
        .await;
    assert_eq!(status, StatusCode::CONFLICT, "the same effect elsewhere");
    let (status, _) = far
        .send(
            Method::POST,
            &format!("{third}/start"),
            Some(By { effect: 41, ..who }),
            Value::Null,
        )
        .await;
    assert_eq!(status, StatusCode::CONFLICT, "a second run of the instance");

    let fourth = format!("/hosts/z1-h0002/runs/{}", Uuid::from_u128(500));
    let stranger = by(Uuid::from_u128(501), 50);
    far.put(&fourth, stranger, spec).await;
    let (status, _) = far
        .send(
            Method::POST,
            &format!("{fourth}/start"),
            Some(stranger),
            Value::Null,
        )
        .await;
    assert_eq!(
        status,
        StatusCode::BAD_REQUEST,
        "a disk that is not published there"
    );

    assert_eq!(
        far.violations().await,
        ["over-capacity", "effect-reused", "double-run", "unpublished-disk"]
    );
}

#[tokio::test]
async fn a_change_of_a_volume_that_must_not_be_is_refused_and_recorded() {
    let size = Size {
        pool_gib: 2,
        ..Size::default()
    };
    let far = FarSide::of(size).await;
    let disk = far.disk(100).await;
    let (run, who) = far.defined(200, json!([disk])).await;
    far.send(Method::POST, &format!("{run}/start"), Some(who), Value::Null)
        .await;
    let volume = format!("/pools/z1-p1/volumes/{}", Uuid::from_u128(100));
    let to = json!({"initiators": [{"kind": 1, "value": IQN.replace("0001", "0002")}], "mode": 1});
    let there = format!("{volume}/publications/{}", Uuid::from_u128(0xbeef));
    assert_eq!(
        far.send(Method::PUT, &there, Some(by(Uuid::from_u128(100), 60)), to)
            .await
            .1["code"],
        5
    );
    let here = format!("{volume}/publications/{}", Uuid::from_u128(0xdead));
    for path in [&here, &volume] {
        let (_, answer) = far
            .send(
                Method::DELETE,
                path,
                Some(by(Uuid::from_u128(100), 61)),
                Value::Null,
            )
            .await;
        assert_eq!(answer["code"], 5, "{path}");
    }
    let large = json!({"size_bytes": 2_u64 << 30, "format": 1, "source": {"kind": 0}});
    let path = format!("/pools/z1-p1/volumes/{}", Uuid::from_u128(101));
    assert_eq!(
        far.send(Method::PUT, &path, Some(by(Uuid::from_u128(101), 62)), large)
            .await
            .1["code"],
        4
    );
    let expected = [
        "double-writer",
        "unpublish-in-use",
        "delete-in-use",
        "over-capacity",
    ];
    assert_eq!(far.violations().await, expected);
}

#[tokio::test]
async fn a_lost_answer_leaves_its_effect_and_a_failure_before_it_does_not() {
    let far = FarSide::of(Size::default()).await;
    let (path, by) = far.defined(200, json!([])).await;
    let start = format!("{path}/start");
    far.control(
        "/sim/faults",
        json!({"kind": "fail", "verb": "start", "code": 14}),
    )
    .await;
    let (status, answer) = far.send(Method::POST, &start, Some(by), Value::Null).await;
    assert_eq!(
        (status, &answer["unchanged"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!(true))
    );
    assert_eq!(far.get(&path).await["state"], 1);
    let run = Uuid::from_u128(200).to_string();
    far.control(
        "/sim/faults",
        json!({"kind": "drop", "object": run, "verb": "start", "skip": 0}),
    )
    .await;
    far.try_send(Method::POST, &start, Some(by), Value::Null)
        .await
        .unwrap_err();
    assert_eq!(far.get(&path).await["state"], 2);
    assert_eq!(
        far.send(Method::POST, &start, Some(by), Value::Null).await.1,
        json!({"done": {}})
    );
    let hits: Vec<Value> = far.get("/sim/faults").await["faults"].as_array().unwrap().clone();
    assert!(hits.iter().all(|fault| fault["hits"] == 1), "{hits:?}");
}

#[tokio::test]
async fn a_layer_comes_out_of_an_image_and_outlives_nothing_that_was_cloned_from_it() {
    let far = FarSide::of(Size::default()).await;
    let image = Uuid::from_u128(9);
    let bytes = vec![1_u8; 4096];
    let put = far
        .client
        .put(format!("{}/images/{image}?offset=0", far.base))
        .body(bytes.clone());
    assert_eq!(
        put.send().await.unwrap().json::<Value>().await.unwrap(),
        json!({"received": 4096})
    );
    let sha256 = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&bytes));
    let found = far
        .control(
            &format!("/images/{image}/finish"),
            json!({"format": 1, "sha256": sha256}),
        )
        .await;
    assert_eq!(found["virtual_bytes"], 4096);
    let (layer, clone) = (Uuid::from_u128(70), Uuid::from_u128(71));
    let path = |id: Uuid| format!("/pools/z1-p1/volumes/{id}");
    let of_image =
        json!({"size_bytes": 1 << 20, "format": 1, "source": {"kind": 4}, "image": found["reference"]});
    let backend_id = far.put(&path(layer), by(layer, 70), of_image).await["backend_id"].clone();
    let of_layer = json!({"size_bytes": 2 << 20, "format": 1,
        "source": {"kind": 3, "of": {"id": layer, "backend_id": backend_id}}});
    far.put(&path(clone), by(clone, 71), of_layer).await;
    assert_eq!(far.get(&path(clone)).await["parent"], backend_id);
    for (id, code) in [(layer, json!(5)), (clone, Value::Null), (layer, Value::Null)] {
        let answer = far
            .send(Method::DELETE, &path(id), Some(by(id, id.as_u128())), Value::Null)
            .await
            .1;
        assert_eq!(answer["code"], code, "{id}");
    }
    assert!(far.violations().await.is_empty());
}

#[tokio::test]
async fn a_host_without_power_does_not_answer_and_boots_anew() {
    let far = FarSide::of(Size::default()).await;
    let (path, by) = far.defined(200, json!([])).await;
    far.send(Method::POST, &format!("{path}/start"), Some(by), Value::Null)
        .await;
    let before = far.get(&format!("/hosts/{HOST}/runs")).await;
    let power = format!("/sim/hosts/{HOST}/power");
    far.control(&power, json!({"on": false})).await;
    let (status, answer) = far.send(Method::GET, &path, None, Value::Null).await;
    assert_eq!(
        (status, &answer["code"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!(8))
    );
    far.control(&power, json!({"on": true})).await;
    let after = far.get(&format!("/hosts/{HOST}/runs")).await;
    assert_ne!(before["boot_id"], after["boot_id"]);
    assert_eq!(
        (&before["runs"][0]["state"], &after["runs"][0]["state"]),
        (&json!(2), &json!(1))
    );
}

#[tokio::test]
async fn bad_requests_are_refused_as_json_that_says_what_is_wrong() {
    let far = FarSide::of(Size::default()).await;
    let who = Some(by(Uuid::from_u128(1), 1));
    let run = format!("/hosts/{HOST}/runs/{}", Uuid::from_u128(2));
    for (method, path, by, body, status) in [
        (Method::PUT, run.as_str(), None, json!({}), 400),
        (Method::PUT, run.as_str(), who, json!({"generation": 1}), 400),
        (
            Method::PUT,
            run.as_str(),
            who,
            json!({"generation": 1, "vcpus": 0, "memory_mib": 1}),
            400,
        ),
        (
            Method::PUT,
            run.as_str(),
            who,
            json!({"generation": 1, "vcpus": 1, "memory_mib": 1, "x": 1}),
            400,
        ),
        (Method::GET, "/hosts/z9-h0001", None, Value::Null, 404),
        (Method::GET, "/hosts/z1-h0001/runs/no-id", None, Value::Null, 400),
        (
            Method::GET,
            "/hosts/z1-h0001/runs?limit=x",
            None,
            Value::Null,
            400,
        ),
        (Method::GET, "/pools/z9-p1", None, Value::Null, 404),
        (Method::GET, "/nowhere", None, Value::Null, 404),
        (Method::POST, "/sim/hold", None, json!({"verb": "kill"}), 400),
    ] {
        let (got, answer) = far.send(method, path, by, body).await;
        assert_eq!(got.as_u16(), status, "{path}: {answer}");
        assert!(
            answer["code"].is_u64() && answer["detail"].is_string(),
            "{path}: {answer}"
        );
    }
}

#[test]
fn a_kept_far_side_is_the_same_when_it_is_read_again() {
    let directory = std::env::temp_dir().join(format!("velum-sim-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join("state.json");
    let mut world = World::new(Size::default());
    world.power(HOST, false).unwrap();
    velum_sim::keep::write(&path, &mut world).unwrap();
    let again = velum_sim::keep::read(&path).unwrap().unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
    assert_eq!(again.hosts.len(), 4);
    assert!(again.facts(HOST).is_err());
    let sim: Arc<Sim> = Sim::new(again);
    assert!(sim.world().facts("z1-h0002").is_ok());
}
