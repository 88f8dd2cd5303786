//! The provider against an array that answers from a list: what is asked, in which words, and what is made of answers.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what a test's set-up cannot do is a failed test"
)]

use std::cell::RefCell;

use serde_json::{Value, json};
use storage_array::{
    array::{Pool, Secrets, describe},
    rest::Rest,
};
use velum_guest::{
    codes::fault,
    common::{Attrs as _, Fault, Initiator, Outcome},
    connect::http::{Part, Request, Response},
    json_api::Far,
    provider::{Consumer, Source, Volume, VolumeSpec, code},
};

const ID: &str = "0192a2b4-5c6d-7e8f-9a0b-1c2d3e4f5a6b";
const NODE: &str = "0192a2b4-0000-7000-8000-00000000000a";
const SETTINGS: &str =
    r#"{"pool": "tier1", "portals": ["10.0.0.9:3260"], "iqn_prefixes": ["iqn.2026-01.example.quarry:"]}"#;

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

    fn requests(&self) -> Vec<String> {
        self.asked
            .borrow()
            .iter()
            .map(|(request, _)| request.clone())
            .collect()
    }
}

impl Far for &Script {
    fn send(&self, request: Request) -> Result<Response, Fault> {
        // A secret is spliced in by the server: here it shows by its name.
        let mut body = Vec::new();
        for part in &request.body {
            match part {
                Part::Bytes(bytes) => body.extend_from_slice(bytes),
                Part::Secret((name, encoding)) => body.extend(format!("<{name}|{encoding}>").into_bytes()),
            }
        }
        let body = match body.as_slice() {
            [] => Value::Null,
            bytes => serde_json::from_slice(bytes).unwrap(),
        };
        let query: Vec<String> = request.query.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let mut line = format!("{} {}", request.method, request.path);
        if !query.is_empty() {
            line = format!("{line}?{}", query.join("&"));
        }
        self.asked.borrow_mut().push((line, body));
        let (status, body) = self
            .answers
            .borrow_mut()
            .pop()
            .expect("an answer for each request");
        let body = if body.is_null() {
            Vec::new()
        } else {
            body.to_string().into_bytes()
        };
        Ok(Response {
            status,
            headers: Vec::new(),
            body,
        })
    }
}

struct Named;

impl Secrets for Named {
    fn name(&self, purpose: &str, length: u16) -> Result<String, Fault> {
        assert!(purpose.len() <= 32, "the contract's bound");
        Ok(format!("{purpose}.{length}"))
    }
}

fn pool(script: &Script) -> Pool<&Script, Named> {
    let rest = Rest {
        look: script,
        change: script,
    };
    Pool::at(rest, Named, SETTINGS).unwrap()
}

fn lun(status: &str, copied_from: Option<&str>) -> Value {
    json!({"lunId": "lun-0007", "pool": "tier1", "label": "x", "sizeMb": 1024, "usedMb": 3, "serial": "QA1",
        "wwid": "naa.6", "clientRef": ID, "status": status, "copiedFrom": copied_from, "mappedTo": [NODE]})
}

fn page(items: &[Value]) -> (u16, Value) {
    (200, json!({"items": items, "nextPageToken": null}))
}

fn refused(status: u16, code: &str) -> (u16, Value) {
    (
        status,
        json!({"error": {"code": code, "message": "no", "lunId": null}}),
    )
}

fn volume() -> Volume {
    Volume {
        id: ID.to_owned(),
        backend_id: "lun-0007".to_owned(),
    }
}

fn spec(kind: u16, of: Option<Volume>) -> VolumeSpec {
    VolumeSpec {
        id: ID.to_owned(),
        size_bytes: 1 << 30,
        format: code::FORMAT_RAW,
        source: Source { kind, of },
        attrs: Vec::new(),
    }
}

fn layer() -> Option<Volume> {
    Some(Volume {
        id: "layer".to_owned(),
        backend_id: "lun-0001".to_owned(),
    })
}

fn consumer() -> Consumer {
    Consumer {
        node: NODE.to_owned(),
        initiators: vec![Initiator {
            kind: code::INITIATOR_IQN,
            value: "iqn.2026-01.internal.velum:node.1".to_owned(),
        }],
        mode: code::MODE_RW,
    }
}

fn backend(outcome: Outcome) -> String {
    let Outcome::Done(attrs) = outcome else {
        panic!("it is done")
    };
    attrs.text(code::DONE_BACKEND_ID).unwrap().to_owned()
}

#[test]
fn an_empty_lun_is_made_under_our_id_once() {
    let script = Script::answering(&[
        page(&[]),
        (201, lun("online", None)),
        page(&[lun("online", None)]),
    ]);
    let pool = pool(&script);
    for _ in 0..2 {
        assert_eq!(
            backend(pool.create(&spec(code::SOURCE_BLANK, None)).unwrap()),
            "lun-0007"
        );
    }
    let asked = script.asked.borrow();
    assert_eq!(asked[0].0, format!("GET /api/v2/luns?pool=tier1&clientRef={ID}"));
    assert_eq!(asked[1].0, "POST /api/v2/luns");
    assert_eq!(
        asked[1].1,
        json!({"pool": "tier1", "label": format!("velum-{ID}"), "sizeMb": 1024, "clientRef": ID})
    );
}

#[test]
fn a_copy_is_work_that_ends_with_the_name_of_the_lun() {
    let script = Script::answering(&[
        page(&[]),
        (202, json!({"taskId": "task-3", "lunId": "lun-0007"})),
        (200, json!({"state": "running", "percent": 40, "message": ""})),
        (200, json!({"state": "done", "percent": 100})),
        // The array forgot the task: the lun itself tells.
        refused(404, "NO_SUCH_TASK"),
        (200, lun("copying", Some("lun-0001"))),
    ]);
    let pool = pool(&script);
    let Outcome::Working(job) = pool.create(&spec(code::SOURCE_LAYER, layer())).unwrap() else {
        panic!("it works on")
    };
    let Outcome::Working(later) = pool.poll(&job.token).unwrap() else {
        panic!("it works on")
    };
    assert_eq!(
        (later.permyriad, later.token.as_str()),
        (Some(4000), job.token.as_str())
    );
    assert_eq!(backend(pool.poll(&job.token).unwrap()), "lun-0007");
    assert!(matches!(pool.poll(&job.token), Ok(Outcome::Working(_))));
    assert_eq!(script.requests()[1], "POST /api/v2/luns/lun-0001/copy");
    assert_eq!(script.requests()[2], "GET /api/v2/tasks/task-3");
    for bad in ["", "../x", "lun/..", "a/b/c"] {
        assert_eq!(pool.poll(bad).unwrap_err().code, fault::INVALID, "{bad}");
    }
}

#[test]
fn after_a_lost_answer_what_is_there_is_found() {
    // The copy goes on, and only the lun knows of it.
    let script = Script::answering(&[
        page(&[lun("copying", Some("lun-0001"))]),
        (200, lun("online", Some("lun-0001"))),
    ]);
    let pool = pool(&script);
    let Outcome::Working(job) = pool.create(&spec(code::SOURCE_LAYER, layer())).unwrap() else {
        panic!("it works on")
    };
    assert_eq!(backend(pool.poll(&job.token).unwrap()), "lun-0007");
    // Another call was faster between looking and making.
    let script = Script::answering(&[
        page(&[]),
        refused(409, "DUPLICATE_CLIENT_REF"),
        page(&[lun("online", None)]),
    ]);
    assert_eq!(
        backend(
            self::pool(&script)
                .create(&spec(code::SOURCE_BLANK, None))
                .unwrap()
        ),
        "lun-0007"
    );
}

#[test]
fn something_else_under_our_id_is_not_taken() {
    for (there, wanted) in [
        (lun("online", Some("lun-0002")), spec(code::SOURCE_LAYER, layer())),
        (lun("online", Some("lun-0001")), spec(code::SOURCE_BLANK, None)),
        (
            lun("online", None),
            VolumeSpec {
                size_bytes: 1 << 31,
                ..spec(code::SOURCE_BLANK, None)
            },
        ),
    ] {
        let script = Script::answering(&[page(&[there])]);
        let refused = pool(&script).create(&wanted).unwrap_err();
        assert_eq!((refused.code, refused.unchanged), (fault::EXISTS_DIFFERENT, true));
    }
}

#[test]
fn what_the_array_cannot_is_refused_before_it_is_asked() {
    let script = Script::default();
    let pool = pool(&script);
    let odd = VolumeSpec {
        size_bytes: (1 << 30) + 1,
        ..spec(code::SOURCE_BLANK, None)
    };
    assert_eq!(pool.create(&odd).unwrap_err().code, fault::INVALID);
    let qcow2 = VolumeSpec {
        format: code::FORMAT_QCOW2,
        ..spec(code::SOURCE_BLANK, None)
    };
    assert_eq!(pool.create(&qcow2).unwrap_err().code, fault::UNSUPPORTED);
    let snapshot = spec(code::SOURCE_SNAPSHOT, layer());
    assert_eq!(pool.create(&snapshot).unwrap_err().code, fault::UNSUPPORTED);
    let mut readers = consumer();
    readers.mode = code::MODE_RO;
    assert_eq!(
        pool.publish(&volume(), &readers).unwrap_err().code,
        fault::UNSUPPORTED
    );
    let mut nameless = consumer();
    nameless.initiators[0].kind = 2;
    let why = pool.publish(&volume(), &nameless).unwrap_err();
    assert!(why.detail.contains("IQN"), "{}", why.detail);
    assert!(script.requests().is_empty());
}

#[test]
fn only_our_own_lun_is_removed() {
    let script = Script::answering(&[
        (200, lun("online", None)),
        (204, Value::Null),
        refused(404, "NO_SUCH_LUN"),
    ]);
    let own = pool(&script);
    assert_eq!(own.delete(&volume()), Ok(Outcome::done()));
    assert_eq!(own.delete(&volume()), Ok(Outcome::done()));
    let script = Script::answering(&[(200, lun("online", None))]);
    let other = Volume {
        id: NODE.to_owned(),
        ..volume()
    };
    let refused = pool(&script).delete(&other).unwrap_err();
    assert_eq!((refused.code, refused.unchanged), (fault::EXISTS_DIFFERENT, true));
    assert_eq!(script.requests(), ["GET /api/v2/luns/lun-0007"]);
}

#[test]
fn a_node_becomes_a_host_with_a_secret_that_is_named() {
    let script = Script::answering(&[(200, json!({})), (200, json!({}))]);
    assert_eq!(pool(&script).publish(&volume(), &consumer()), Ok(Outcome::done()));
    let asked = script.asked.borrow();
    assert_eq!(asked[0].0, format!("PUT /api/v2/hosts/{NODE}"));
    let secret = format!("<{}.16|1>", NODE.replace('-', ""));
    assert_eq!(
        asked[0].1,
        json!({"initiators": ["iqn.2026-01.internal.velum:node.1"],
            "chap": {"user": format!("velum-{NODE}"), "secret": secret}})
    );
    assert_eq!(asked[1].0, format!("PUT /api/v2/luns/lun-0007/mappings/{NODE}"));
}

#[test]
fn a_host_that_went_in_between_is_made_again() {
    let script = Script::answering(&[
        (200, json!({})),
        refused(404, "NO_SUCH_HOST"),
        (200, json!({})),
        (200, json!({})),
    ]);
    assert_eq!(pool(&script).publish(&volume(), &consumer()), Ok(Outcome::done()));
    // But a lun that is not there is no reason to try again.
    let script = Script::answering(&[(200, json!({})), refused(404, "NO_SUCH_LUN")]);
    assert_eq!(
        pool(&script).publish(&volume(), &consumer()).unwrap_err().code,
        fault::NOT_FOUND
    );
}

#[test]
fn the_last_lun_of_a_host_takes_the_host_with_it() {
    for (host, ends) in [
        ((204, Value::Null), true),
        (refused(409, "HOST_HAS_MAPPINGS"), true),
        (refused(404, "NO_SUCH_HOST"), true),
        (refused(500, "INTERNAL"), false),
    ] {
        let script = Script::answering(&[refused(404, "NOT_MAPPED"), host]);
        assert_eq!(pool(&script).unpublish(&volume(), NODE).is_ok(), ends);
        assert_eq!(script.requests()[1], format!("DELETE /api/v2/hosts/{NODE}"));
    }
}

#[test]
fn an_attachment_says_portal_target_unit_user_and_the_name_of_the_secret() {
    let mapping = json!({"lunId": "lun-0007", "host": NODE, "unit": 3,
        "targetIqn": "iqn.2026-01.example.quarry:q1:h", "portals": ["10.0.0.8:3260", "10.0.0.9:3260"]});
    let script = Script::answering(&[
        (200, mapping),
        (200, lun("online", None)),
        refused(404, "NOT_MAPPED"),
    ]);
    let pool = pool(&script);
    let found = pool.reached_by(&volume(), NODE).unwrap().unwrap();
    assert_eq!((found.kind, found.format), (code::ATTACH_ISCSI, code::FORMAT_RAW));
    assert_eq!((found.identity.as_str(), found.size_bytes), ("QA1", 1 << 30));
    assert_eq!(
        found.params.text(code::PARAM_PORTAL),
        Some("10.0.0.9:3260"),
        "the granted one"
    );
    assert_eq!(
        found.params.text(code::PARAM_TARGET),
        Some("iqn.2026-01.example.quarry:q1:h")
    );
    assert_eq!(found.params.number(code::PARAM_LUN), Some(3));
    let user = format!("velum-{NODE}");
    assert_eq!(found.params.text(code::PARAM_USER), Some(user.as_str()));
    assert_eq!(found.secret, Some(format!("{}.16", NODE.replace('-', ""))));
    assert_eq!(pool.reached_by(&volume(), NODE), Ok(None));
}

#[test]
fn the_luns_of_others_are_passed_over() {
    let mut foreign = lun("online", None);
    foreign["clientRef"] = json!("backup-of-the-mail-server");
    let (status, mut body) = page(&[lun("copying", None), foreign]);
    body["nextPageToken"] = json!("lun-0099");
    let script = Script::answering(&[(status, body)]);
    let seen = pool(&script).observe(Some("lun-0001")).unwrap();
    assert_eq!(seen.volumes.len(), 1);
    assert_eq!(seen.volumes[0].state, code::STATE_CREATING);
    assert_eq!(seen.volumes[0].published, [NODE]);
    assert_eq!((seen.complete, seen.next.as_deref()), (true, Some("lun-0099")));
    assert_eq!(
        script.requests(),
        ["GET /api/v2/luns?pool=tier1&pageSize=100&pageToken=lun-0001"]
    );
}

#[test]
fn errors_say_whether_something_changed() {
    for ((status, word), (code, unchanged)) in [
        ((507, "POOL_FULL"), (fault::EXHAUSTED, true)),
        ((409, "COPY_IN_PROGRESS"), (fault::BUSY, true)),
        ((401, "BAD_TOKEN"), (fault::DENIED, true)),
        ((400, "BAD_SIZE"), (fault::INVALID, true)),
        ((500, "INTERNAL"), (fault::FAILED, false)),
        ((503, "REBOOTING"), (fault::UNREACHABLE, false)),
    ] {
        let script = Script::answering(&[page(&[]), refused(status, word)]);
        let fault = pool(&script).create(&spec(code::SOURCE_BLANK, None)).unwrap_err();
        assert_eq!((fault.code, fault.unchanged), (code, unchanged), "{word}");
        assert!(fault.detail.starts_with("the array says: no"), "{}", fault.detail);
    }
    // Of what is only read nothing changes, however it fails.
    let script = Script::answering(&[refused(500, "INTERNAL")]);
    assert!(pool(&script).find(ID).unwrap_err().unchanged);
    let script = Script::answering(&[(200, json!([]))]);
    assert_eq!(pool(&script).probe().unwrap_err().code, fault::NONSENSE);
}

#[test]
fn settings_and_space() {
    let script = Script::answering(&[(
        200,
        json!({"name": "tier1", "totalMb": 2048, "freeMb": 24, "lunCount": 9}),
    )]);
    let space = pool(&script).probe().unwrap();
    assert_eq!((space.capacity_bytes, space.free_bytes), (2 << 30, 24 << 20));
    for bad in [
        "{}",
        "[]",
        r#"{"pool": "a/b", "portals": [], "iqn_prefixes": []}"#,
        r#"{"pol": "x"}"#,
    ] {
        let rest = Rest {
            look: &script,
            change: &script,
        };
        assert_eq!(
            Pool::at(rest, Named, bad).map(drop).unwrap_err().code,
            fault::INVALID,
            "{bad}"
        );
    }
    let described = describe();
    assert_eq!(described.attachment_kinds, [code::ATTACH_ISCSI]);
    assert!(!described.features.contains(&code::FEATURE_FILLS_LAYERS));
}
