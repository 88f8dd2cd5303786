//! The provider against an array in memory.

use std::{cell::RefCell, collections::BTreeMap};

use my_provider::acme::Pool;
use serde_json::{Value, json};
use velum_guest::{
    codes::fault,
    common::{Attrs as _, Fault, Initiator, Outcome},
    connect::http::{Part, Request, Response},
    json_api::Far,
    provider::{Consumer, Source, VolumeSpec, code},
};

const ID: &str = "0192a2b4-5c6d-7e8f-9a0b-1c2d3e4f5a6b";
const NODE: &str = "0192a2b4-0000-7000-8000-000000000001";

/// Acme's API, as far as the provider uses it: volumes by id, with their hosts.
#[derive(Debug, Default)]
struct Acme {
    luns: RefCell<BTreeMap<String, Value>>,
}

impl Acme {
    fn answer(&self, method: &str, path: &[&str], body: &Value) -> (u16, Value) {
        let mut luns = self.luns.borrow_mut();
        let count = luns.len();
        match (method, path) {
            ("GET", [""]) => (
                200,
                json!({"capacity_bytes": 1u64 << 40, "free_bytes": 1u64 << 39}),
            ),
            ("GET", ["", "luns"]) => (
                200,
                json!({"luns": luns.values().cloned().collect::<Vec<_>>(), "next": null}),
            ),
            ("PUT", ["", "luns", id]) => {
                luns.entry((*id).to_owned()).or_insert_with(|| {
                    json!({"id": id, "name": format!("lun-{count}"), "size_bytes": body["size_bytes"],
                           "clone_of": body["clone_of"], "hosts": []})
                });
                (201, Value::Null)
            }
            (_, ["", "luns", id, rest @ ..]) => match luns.get_mut(*id) {
                None => (404, Value::Null),
                Some(found) if method == "DELETE" && rest.is_empty() => {
                    if found["hosts"] == json!([]) {
                        luns.remove(*id);
                        (204, Value::Null)
                    } else {
                        (409, json!("it is exported"))
                    }
                }
                Some(found) => one(found, method, rest, body),
            },
            other => panic!("{other:?}"),
        }
    }
}

fn one(lun: &mut Value, method: &str, path: &[&str], body: &Value) -> (u16, Value) {
    let hosts = lun["hosts"].as_array().cloned().unwrap_or_default();
    match (method, path) {
        ("GET", []) => (200, lun.clone()),
        ("POST", ["resize"]) => {
            lun["size_bytes"] = body["size_bytes"].clone();
            (204, Value::Null)
        }
        ("GET", ["hosts", node]) if hosts.contains(&json!(node)) => (
            200,
            json!({"wwn": format!("0x{}", lun["name"].as_str().unwrap()), "size_bytes": lun["size_bytes"]}),
        ),
        ("PUT", ["hosts", node]) => {
            if !hosts.contains(&json!(node)) {
                lun["hosts"].as_array_mut().unwrap().push(json!(node));
            }
            (204, Value::Null)
        }
        ("DELETE", ["hosts", node]) => {
            lun["hosts"]
                .as_array_mut()
                .unwrap()
                .retain(|host| host != node);
            (204, Value::Null)
        }
        _ => (404, Value::Null),
    }
}

impl Far for &Acme {
    fn send(&self, request: Request) -> Result<Response, Fault> {
        let body = match request.body.as_slice() {
            [Part::Bytes(bytes)] => serde_json::from_slice(bytes).unwrap(),
            _ => Value::Null,
        };
        let path: Vec<&str> = request
            .path
            .trim_start_matches("/api/pools/gold")
            .split('/')
            .collect();
        let (status, body) = self.answer(&request.method, &path, &body);
        Ok(Response {
            status,
            headers: Vec::new(),
            body: body.to_string().into_bytes(),
        })
    }
}

fn pool(acme: &Acme) -> Pool<&Acme> {
    Pool::at(acme, r#"{"pool": "gold"}"#).unwrap()
}

fn spec(size_bytes: u64) -> VolumeSpec {
    VolumeSpec {
        id: ID.to_owned(),
        size_bytes,
        format: code::FORMAT_RAW,
        source: Source {
            kind: code::SOURCE_BLANK,
            of: None,
        },
        attrs: Vec::new(),
    }
}

#[test]
fn the_same_order_twice_is_one_volume_that_can_be_found() {
    let acme = Acme::default();
    let pool = pool(&acme);
    for _ in 0..2 {
        let Ok(Outcome::Done(attrs)) = pool.create(&spec(1 << 30)) else {
            panic!("it is done")
        };
        assert_eq!(attrs.text(code::DONE_BACKEND_ID), Some("lun-0"));
    }
    assert_eq!(pool.find(ID).unwrap().unwrap().size_bytes, 1 << 30);
    assert_eq!(pool.observe(None).unwrap().volumes.len(), 1);
    let other = pool.create(&spec(2 << 30)).unwrap_err();
    assert_eq!(
        (other.code, other.unchanged),
        (fault::EXISTS_DIFFERENT, true)
    );
}

#[test]
fn a_volume_is_reached_while_it_is_published_and_stays_until_nobody_reaches_it() {
    let acme = Acme::default();
    let pool = pool(&acme);
    pool.create(&spec(1 << 30)).unwrap();
    let to = Consumer {
        node: NODE.to_owned(),
        initiators: vec![Initiator {
            kind: 1,
            value: "iqn.2026-01.example:host".to_owned(),
        }],
        mode: code::MODE_RW,
    };
    assert_eq!(pool.reached_by(ID, NODE), Ok(None));
    for _ in 0..2 {
        assert_eq!(pool.publish(ID, &to), Ok(Outcome::done()));
    }
    let reached = pool.reached_by(ID, NODE).unwrap().unwrap();
    assert_eq!(
        (reached.size_bytes, reached.identity.as_str()),
        (1 << 30, "0xlun-0")
    );
    assert_eq!(pool.delete(ID).unwrap_err().code, fault::BUSY);
    for _ in 0..2 {
        assert_eq!(pool.unpublish(ID, NODE), Ok(Outcome::done()));
        assert_eq!(pool.delete(ID), Ok(Outcome::done()));
    }
    assert_eq!(pool.find(ID), Ok(None));
}

#[test]
fn it_grows_and_says_how_much_room_there_is() {
    let acme = Acme::default();
    let pool = pool(&acme);
    pool.create(&spec(1 << 30)).unwrap();
    pool.expand(ID, 2 << 30).unwrap();
    assert_eq!(pool.find(ID).unwrap().unwrap().size_bytes, 2 << 30);
    assert_eq!(pool.probe().unwrap().free_bytes, 1 << 39);
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_asked() {
    let acme = Acme::default();
    assert!(Pool::at(&acme, r#"{"pool": "a/b"}"#).unwrap_err().unchanged);
    let odd = VolumeSpec {
        format: code::FORMAT_QCOW2,
        ..spec(1 << 30)
    };
    assert_eq!(
        pool(&acme).create(&odd).unwrap_err().code,
        fault::UNSUPPORTED
    );
    assert!(acme.luns.borrow().is_empty());
}
