//! The driver against a far side in memory.

use std::{cell::RefCell, collections::BTreeMap};

use my_driver::acme::Host;
use serde_json::{Value, json};
use velum_guest::{
    codes::fault,
    common::{Attachment, Attr, Fault, Outcome},
    connect::http::{Part, Request, Response},
    driver::{Disk, GuestSpec, code},
    json_api::Far,
};

const RUN: &str = "0192a2b4-5c6d-7e8f-9a0b-1c2d3e4f5a6b";

/// Acme's API, as far as the driver uses it.
#[derive(Debug, Default)]
struct Acme {
    guests: RefCell<BTreeMap<String, Value>>,
}

impl Far for &Acme {
    fn send(&self, request: Request) -> Result<Response, Fault> {
        let body = match request.body.as_slice() {
            [Part::Bytes(bytes)] => serde_json::from_slice(bytes).unwrap(),
            _ => Value::Null,
        };
        let mut guests = self.guests.borrow_mut();
        let path: Vec<&str> = request
            .path
            .trim_start_matches("/api/hosts/rack1-07")
            .split('/')
            .collect();
        let (status, body) = match (request.method.as_str(), path.as_slice()) {
            ("GET", [""]) => (
                200,
                json!({"boot": "b1", "cpus": 64, "memory_mib": 262_144, "model": "acme-v3"}),
            ),
            ("GET", ["", "guests"]) => {
                let all: Vec<_> = guests.values().cloned().collect();
                (
                    200,
                    json!({"boot": "b1", "report": 1, "guests": all, "next": null}),
                )
            }
            ("GET", ["", "guests", id]) => guests
                .get(*id)
                .map_or((404, Value::Null), |guest| (200, guest.clone())),
            ("PUT", ["", "guests", id]) => {
                let power = guests
                    .get(*id)
                    .map_or(json!("off"), |guest| guest["power"].clone());
                let mut guest = body;
                guest["power"] = power;
                guests.insert((*id).to_owned(), guest);
                (201, Value::Null)
            }
            ("POST", ["", "guests", id, "power"]) => match guests.get_mut(*id) {
                None => (404, Value::Null),
                Some(guest) => {
                    let on = matches!(body["power"].as_str(), Some("on" | "reboot" | "reset"));
                    guest["power"] = json!(if on { "on" } else { "off" });
                    (204, Value::Null)
                }
            },
            ("DELETE", ["", "guests", id]) => {
                let gone = guests.remove(*id).is_some();
                (if gone { 204 } else { 404 }, Value::Null)
            }
            other => panic!("{other:?}"),
        };
        Ok(Response {
            status,
            headers: Vec::new(),
            body: body.to_string().into_bytes(),
        })
    }
}

fn host(acme: &Acme) -> Host<&Acme> {
    Host::at(acme, r#"{"host": "rack1-07"}"#).unwrap()
}

fn spec() -> GuestSpec {
    GuestSpec {
        vcpus: 2,
        vcpus_max: 2,
        memory_mib: 2048,
        memory_max_mib: 2048,
        arch: code::ARCH_X86_64,
        disks: vec![Disk {
            slot: 0,
            volume: "v".to_owned(),
            attachment: Attachment {
                kind: velum_guest::codes::storage::ATTACH_BLOCK,
                format: velum_guest::codes::storage::FORMAT_RAW,
                identity: "wwn-1".to_owned(),
                size_bytes: 1 << 30,
                params: vec![Attr::text(
                    velum_guest::codes::storage::PARAM_PATH,
                    "/dev/disk/by-id/wwn-1",
                )],
                secret: None,
            },
            bus: code::BUS_VIRTIO,
            readonly: false,
            boot_order: Some(1),
            attrs: Vec::new(),
        }],
        nics: Vec::new(),
        attrs: Vec::new(),
    }
}

#[test]
fn the_same_order_twice_is_one_guest_that_can_be_found() {
    let acme = Acme::default();
    let host = host(&acme);
    let run = host.run(RUN, 16).unwrap();
    for _ in 0..2 {
        assert_eq!(run.ensure(&spec()), Ok(Outcome::done()));
        assert_eq!(run.start(&spec()), Ok(Outcome::done()));
    }
    let seen = host.observe(None).unwrap();
    assert_eq!(seen.runs.len(), 1);
    assert_eq!(
        (seen.runs[0].run_id.as_str(), seen.runs[0].generation),
        (RUN, 16)
    );
    assert_eq!(seen.runs[0].state, code::STATE_RUNNING);
    assert_eq!(seen.runs[0].disks, [(0, "wwn-1".to_owned())]);
}

#[test]
fn what_is_gone_is_off_and_can_be_removed_again() {
    let acme = Acme::default();
    let host = host(&acme);
    let run = host.run(RUN, 16).unwrap();
    run.start(&spec()).unwrap();
    for _ in 0..2 {
        assert_eq!(run.power("off"), Ok(Outcome::done()));
        assert_eq!(run.remove(), Ok(Outcome::done()));
        assert_eq!(run.observe(), Ok(None));
    }
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_asked() {
    let acme = Acme::default();
    assert!(
        Host::at(&acme, r#"{"host": "../other"}"#)
            .unwrap_err()
            .unchanged
    );
    let host = host(&acme);
    let mut odd = spec();
    odd.attrs.push(Attr::number(0x4001, 1));
    let refused = host.run(RUN, 1).unwrap().ensure(&odd).unwrap_err();
    assert_eq!(
        (refused.code, refused.unchanged),
        (fault::UNSUPPORTED, true)
    );
    assert!(acme.guests.borrow().is_empty());
}

#[test]
fn the_host_says_what_it_is() {
    let facts = host(&Acme::default()).probe().unwrap();
    assert_eq!((facts.vcpus, facts.boot_id.as_str()), (64, "b1"));
}
