//! The driver against a far side that answers from a list: what is asked, in which words, and what is made of answers.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what a test's set-up cannot do is a failed test"
)]

use std::cell::RefCell;

use hypervisor_sim::verbs::Host;
use serde_json::{Value, json};
use velum_guest::{
    codes::fault,
    common::{Attachment, Attr, Fault, Outcome},
    connect::http::{Part, Request, Response},
    driver::{Disk, GuestSpec, Nic, code},
    json_api::{Api, Far},
};

const RUN: &str = "0192a2b4-5c6d-7e8f-9a0b-1c2d3e4f5a6b";
const SETTINGS: &str = r#"{"host": "z1-h0001"}"#;

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
    fn asked(&self) -> Vec<String> {
        self.asked.borrow().iter().map(|(line, _)| line.clone()).collect()
    }
}

impl Far for &Script {
    fn send(&self, request: Request) -> Result<Response, Fault> {
        let query: Vec<String> = request
            .query
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let line = format!("{} {} {}", request.method, request.path, query.join("&"));
        let body = match request.body.as_slice() {
            [] => Value::Null,
            [Part::Bytes(bytes)] => serde_json::from_slice(bytes).unwrap(),
            other => panic!("{other:?}"),
        };
        self.asked.borrow_mut().push((line.trim().to_owned(), body));
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

fn host(script: &Script) -> Host<&Script> {
    Host::at(Api::over(script), SETTINGS).unwrap()
}

fn done() -> (u16, Value) {
    (200, json!({"done": {}}))
}

fn refused(status: u16, code: u16) -> (u16, Value) {
    (
        status,
        json!({"code": code, "unchanged": true, "detail": "no", "retry_after_ms": null}),
    )
}

fn disk(slot: u16) -> Disk {
    Disk {
        slot,
        volume: format!("volume-{slot}"),
        attachment: Attachment {
            kind: 0x8001,
            format: 1,
            identity: format!("sim-{slot}"),
            size_bytes: 1,
            params: Vec::new(),
            secret: None,
        },
        bus: code::BUS_VIRTIO,
        readonly: false,
        boot_order: None,
        attrs: Vec::new(),
    }
}

fn spec() -> GuestSpec {
    GuestSpec {
        vcpus: 2,
        vcpus_max: 2,
        memory_mib: 2048,
        memory_max_mib: 2048,
        arch: code::ARCH_X86_64,
        disks: vec![disk(0)],
        nics: vec![Nic {
            slot: 0,
            id: "nic".to_owned(),
            mac: "52:54:00:00:00:01".to_owned(),
            kind: code::NIC_SIMULATED,
            link: "sim0".to_owned(),
            attrs: Vec::new(),
        }],
        attrs: vec![
            Attr::text(1, "web-1"),
            Attr::bytes(2, *b"\x00\xff"),
            Attr::flag(0x8002, true),
            Attr::number(0x8003, 7),
        ],
    }
}

#[test]
fn a_spec_travels_in_the_far_sides_words() {
    let script = Script::answering(&[done(), done()]);
    let host = host(&script);
    let run = host.run(RUN.to_owned(), 3).unwrap();
    assert_eq!(run.ensure(&spec()), Ok(Outcome::done()));
    assert_eq!(run.ensure(&spec()), Ok(Outcome::done()));
    let asked = script.asked.borrow();
    let (line, body) = &asked[0];
    assert_eq!(line, &format!("PUT /hosts/z1-h0001/runs/{RUN}"));
    assert_eq!(asked[0], asked[1], "the same order is the same request");
    let mut body = body.clone();
    let digest = body["spec_digest"].take();
    assert_eq!(digest.as_str().unwrap().len(), "sha256:".len() + 64);
    let expected = json!({
        "generation": 3, "spec_digest": null, "vcpus": 2, "memory_mib": 2048,
        "disks": [{"slot": 0, "volume": "volume-0", "identity": "sim-0", "readonly": false}],
        "nics": [{"slot": 0, "id": "nic", "mac": "52:54:00:00:00:01", "link": "sim0"}],
        "attrs": [
            {"code": 1, "value": {"text": "web-1"}}, {"code": 2, "value": {"bytes": "00ff"}},
            {"code": 0x8002, "value": {"flag": true}}, {"code": 0x8003, "value": {"number": 7}},
        ],
    });
    assert_eq!(body, expected);
}

#[test]
fn each_verb_has_its_request() {
    let script = Script::answering(&vec![done(); 9]);
    let host = host(&script);
    let run = host.run(RUN.to_owned(), 1).unwrap();
    let mut answers = vec![
        run.start(&spec()),
        run.shutdown(),
        run.kill(),
        run.reboot(true),
        run.remove(),
    ];
    answers.extend([
        run.attach_disk(&disk(2)),
        run.detach_disk(2),
        host.poll("start.1"),
        host.cancel("start.1"),
    ]);
    assert!(answers.iter().all(|answer| *answer == Ok(Outcome::done())));
    let at = format!("/hosts/z1-h0001/runs/{RUN}");
    let expected = [
        format!("POST {at}/start"),
        format!("POST {at}/shutdown"),
        format!("POST {at}/kill"),
        format!("POST {at}/reboot"),
        format!("DELETE {at}"),
        format!("PUT {at}/disks/2"),
        format!("DELETE {at}/disks/2"),
        "GET /hosts/z1-h0001/jobs/start.1".to_owned(),
        "DELETE /hosts/z1-h0001/jobs/start.1".to_owned(),
    ];
    assert_eq!(script.asked(), expected);
    assert_eq!(script.asked.borrow()[3].1, json!({"hard": true}));
}

#[test]
fn long_work_is_a_token() {
    let working = json!({"working": {"token": "start.1", "poll_after_ms": 50, "permyriad": 0, "cancellable": false, "note": "booting"}});
    let script = Script::answering(&[(202, working), refused(409, fault::CANCELLED)]);
    let host = host(&script);
    let Outcome::Working(job) = host.run(RUN.to_owned(), 1).unwrap().start(&spec()).unwrap() else {
        panic!("it works on")
    };
    assert_eq!((job.token.as_str(), job.poll_after_ms), ("start.1", 50));
    assert_eq!(host.poll(&job.token).unwrap_err().code, fault::CANCELLED);
}

#[test]
fn a_run_that_the_far_side_forgot_is_defined_before_it_starts() {
    let script = Script::answering(&[refused(404, fault::NOT_FOUND), done(), done()]);
    assert_eq!(
        host(&script).run(RUN.to_owned(), 1).unwrap().start(&spec()),
        Ok(Outcome::done())
    );
    let verbs: Vec<String> = script
        .asked()
        .iter()
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect();
    assert_eq!(verbs, ["POST", "PUT", "POST"]);
}

#[test]
fn a_running_run_is_turned_off_before_it_is_removed() {
    let script = Script::answering(&[refused(409, fault::BUSY), done(), done()]);
    assert_eq!(
        host(&script).run(RUN.to_owned(), 1).unwrap().remove(),
        Ok(Outcome::done())
    );
    assert!(script.asked()[1].ends_with("/kill"));
}

#[test]
fn what_is_seen_is_read() {
    let seen = json!({"run": RUN, "node": "z1-h0001", "state": 2, "reason": 0, "generation": 3, "spec_digest": "sha256:0",
        "disks": [[0, "sim-0"]], "instance": "i"});
    let facts = json!({"host": "z1-h0001", "zone": "z1", "boot_id": "b", "vcpus": 32, "memory_mib": 131_072, "arch": 1,
        "cpu_baseline": "sim-v1", "hypervisor": "velum-sim 0.1.0", "kvm": false,
        "initiators": [{"kind": 1, "value": "iqn.x"}]});
    let page = json!({"boot_id": "b", "sequence": 9, "complete": true, "runs": [seen], "next": "x"});
    let script = Script::answering(&[(200, seen.clone()), refused(404, 2), (200, page), (200, facts)]);
    let host = host(&script);
    let run = host.run(RUN.to_owned(), 3).unwrap();
    let observed = run.observe().unwrap().unwrap();
    assert_eq!(
        (observed.state, observed.generation, observed.disks.len()),
        (code::STATE_RUNNING, 3, 1)
    );
    assert_eq!(run.observe(), Ok(None));
    let inventory = host.observe(Some("a")).unwrap();
    assert_eq!(
        (
            inventory.runs.len(),
            inventory.sequence,
            inventory.next.as_deref()
        ),
        (1, 9, Some("x"))
    );
    let facts = host.probe().unwrap();
    assert_eq!(
        (facts.node.as_str(), facts.vcpus, facts.initiators.len()),
        ("z1-h0001", 32, 1)
    );
    assert_eq!(script.asked()[2], "GET /hosts/z1-h0001/runs after=a");
}

#[test]
fn what_would_leave_its_path_is_refused_without_a_request() {
    let script = Script::default();
    for settings in ["{}", r#"{"host": "../pools/x"}"#, r#"{"host": "a", "b": 1}"#] {
        assert_eq!(
            Host::at(Api::over(&script), settings).unwrap_err().code,
            fault::INVALID
        );
    }
    let host = host(&script);
    assert_eq!(host.run("a/b".to_owned(), 1).unwrap_err().code, fault::INVALID);
    assert_eq!(host.poll("../x").unwrap_err().code, fault::INVALID);
    let mut critical = spec();
    critical.attrs.push(Attr::flag(0x4001, true));
    assert_eq!(
        host.run(RUN.to_owned(), 1)
            .unwrap()
            .ensure(&critical)
            .unwrap_err()
            .code,
        fault::UNSUPPORTED
    );
    assert!(script.asked().is_empty());
}
