//! The provider against an array that answers from a list: what is asked, in which words, and what is made of answers.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what a test's set-up cannot do is a failed test"
)]

use std::cell::RefCell;

use serde_json::{Value, json};
use storage_sim::array::{Pool, describe};
use velum_guest::{
    codes::fault,
    common::{Attr, Attrs as _, Fault, Initiator, Outcome},
    connect::http::{Part, Request, Response},
    json_api::{Api, Far},
    provider::{Consumer, Source, Volume, VolumeSpec, code},
};

const ID: &str = "0192a2b4-5c6d-7e8f-9a0b-1c2d3e4f5a6b";

/// Answers in turn, and what was asked.
#[derive(Debug, Default)]
struct Script {
    answers: RefCell<Vec<(u16, Value)>>,
    asked: RefCell<Vec<(String, Value)>>,
}

impl Script {
    fn answering(answers: &[(u16, Value)]) -> Self {
        let mut answers = answers.to_vec();
        answers.reverse();
        Self {
            answers: RefCell::new(answers),
            ..Self::default()
        }
    }
}

impl Far for &Script {
    fn send(&self, request: Request) -> Result<Response, Fault> {
        let body = match request.body.as_slice() {
            [] => Value::Null,
            [Part::Bytes(bytes)] => serde_json::from_slice(bytes).unwrap(),
            other => panic!("{other:?}"),
        };
        self.asked
            .borrow_mut()
            .push((format!("{} {}", request.method, request.path), body));
        let (status, body) = self
            .answers
            .borrow_mut()
            .pop()
            .expect("an answer for each request");
        Ok(Response {
            status,
            headers: Vec::new(),
            body: body.to_string().into_bytes(),
        })
    }
}

fn pool(script: &Script) -> Pool<&Script> {
    Pool::at(Api::over(script), r#"{"pool": "z1-p1"}"#).unwrap()
}

fn done() -> (u16, Value) {
    (200, json!({"done": {}}))
}

fn spec(kind: u16, of: Option<Volume>) -> VolumeSpec {
    VolumeSpec {
        id: ID.to_owned(),
        size_bytes: 1 << 30,
        format: code::FORMAT_RAW,
        source: Source { kind, of },
        attrs: vec![Attr::text(code::SPEC_IMAGE_REF, "sim-image:x")],
    }
}

#[test]
fn a_volume_is_ordered_with_what_it_comes_from() {
    let made = (200, json!({"done": {"backend_id": "sv-1"}}));
    let script = Script::answering(&[made.clone(), made.clone(), made]);
    let pool = pool(&script);
    let layer = Volume {
        id: "l".to_owned(),
        backend_id: "sv-l".to_owned(),
    };
    for spec in [
        spec(code::SOURCE_BLANK, None),
        spec(code::SOURCE_LAYER, Some(layer)),
        spec(code::SOURCE_IMAGE, None),
    ] {
        let Outcome::Done(attrs) = pool.create(&spec).unwrap() else {
            panic!("it is done")
        };
        assert_eq!(attrs.text(code::DONE_BACKEND_ID), Some("sv-1"));
    }
    let asked = script.asked.borrow();
    assert_eq!(asked[0].0, format!("PUT /pools/z1-p1/volumes/{ID}"));
    assert_eq!(
        asked[0].1,
        json!({"size_bytes": 1 << 30, "format": 1, "source": {"kind": 0, "of": null}, "image": null})
    );
    assert_eq!(
        asked[1].1["source"],
        json!({"kind": 3, "of": {"id": "l", "backend_id": "sv-l"}})
    );
    assert_eq!(
        (&asked[1].1["image"], &asked[2].1["image"]),
        (&Value::Null, &json!("sim-image:x"))
    );
}

#[test]
fn work_that_goes_on_ends_with_the_name_of_what_it_made() {
    let working = json!({"working": {"token": "create.1", "poll_after_ms": 50, "permyriad": null, "cancellable": true, "note": "copying"}});
    let script = Script::answering(&[
        (202, working),
        (200, json!({"done": {"backend_id": "sv-1"}})),
        done(),
    ]);
    let pool = pool(&script);
    let Outcome::Working(job) = pool.create(&spec(code::SOURCE_IMAGE, None)).unwrap() else {
        panic!("it works on")
    };
    let Outcome::Done(attrs) = pool.poll(&job.token).unwrap() else {
        panic!("it is done")
    };
    assert_eq!(attrs.text(code::DONE_BACKEND_ID), Some("sv-1"));
    assert_eq!(pool.cancel(&job.token), Ok(Outcome::done()));
    let asked = script.asked.borrow();
    assert_eq!(
        (asked[1].0.as_str(), asked[2].0.as_str()),
        (
            "GET /pools/z1-p1/jobs/create.1",
            "DELETE /pools/z1-p1/jobs/create.1"
        )
    );
}

#[test]
fn each_verb_has_its_request() {
    let script = Script::answering(&vec![done(); 4]);
    let pool = pool(&script);
    let to = Consumer {
        node: "n".to_owned(),
        initiators: vec![Initiator {
            kind: 1,
            value: "iqn.x".to_owned(),
        }],
        mode: code::MODE_RW,
    };
    let answers = [
        pool.publish(ID, &to),
        pool.unpublish(ID, "n"),
        pool.expand(ID, 7),
        pool.delete(ID),
    ];
    assert!(answers.iter().all(|answer| *answer == Ok(Outcome::done())));
    let at = format!("/pools/z1-p1/volumes/{ID}");
    let expected = [
        (
            format!("PUT {at}/publications/n"),
            json!({"initiators": [{"kind": 1, "value": "iqn.x"}], "mode": 1}),
        ),
        (format!("DELETE {at}/publications/n"), Value::Null),
        (format!("POST {at}/expand"), json!({"size_bytes": 7})),
        (format!("DELETE {at}"), Value::Null),
    ];
    assert_eq!(*script.asked.borrow(), expected);
}

#[test]
fn what_the_array_says_is_read() {
    let info = json!({"id": ID, "backend_id": "sv-1", "size_bytes": 5, "allocated_bytes": 1, "format": 1, "parent": "sv-l",
        "state": 1, "published": ["n"], "identity": "sim-1"});
    let attachment = json!({"kind": 32769, "format": 1, "identity": "sim-1", "size_bytes": 5, "params": []});
    let absent = json!({"code": 2, "unchanged": true, "detail": "no", "retry_after_ms": null});
    let space =
        json!({"pool": "z1-p1", "zone": "z1", "capacity_bytes": 10, "free_bytes": 4, "granularity_bytes": 1});
    let page = json!({"volumes": [info], "complete": true, "next": null});
    let script = Script::answering(&[
        (200, info.clone()),
        (404, absent.clone()),
        (200, attachment),
        (404, absent),
        (200, space),
        (200, page),
    ]);
    let pool = pool(&script);
    let found = pool.find(ID).unwrap().unwrap();
    assert_eq!(
        (
            found.volume.backend_id.as_str(),
            found.parent.as_deref(),
            found.state
        ),
        ("sv-1", Some("sv-l"), 1)
    );
    assert_eq!(pool.find(ID), Ok(None));
    let reached = pool.reached_by(ID, "n").unwrap().unwrap();
    assert_eq!(
        (reached.kind, reached.identity.as_str(), reached.size_bytes),
        (code::ATTACH_SIMULATED, "sim-1", 5)
    );
    assert_eq!(pool.reached_by(ID, "n"), Ok(None));
    assert_eq!(pool.probe().unwrap().free_bytes, 4);
    assert_eq!(pool.observe(None).unwrap().volumes.len(), 1);
    assert!(describe().features.contains(&code::FEATURE_FILLS_LAYERS));
}

#[test]
fn what_would_leave_its_path_is_refused_without_a_request() {
    let script = Script::default();
    for settings in ["{}", r#"{"pool": "../hosts/x"}"#, r#"{"pool": "a", "b": 1}"#] {
        assert_eq!(
            Pool::at(Api::over(&script), settings).unwrap_err().code,
            fault::INVALID
        );
    }
    let pool = pool(&script);
    assert_eq!(pool.delete("a/../b").unwrap_err().code, fault::INVALID);
    assert_eq!(pool.reached_by(ID, "..").unwrap_err().code, fault::INVALID);
    assert_eq!(pool.poll("x y").unwrap_err().code, fault::INVALID);
    assert!(script.asked.borrow().is_empty());
}
