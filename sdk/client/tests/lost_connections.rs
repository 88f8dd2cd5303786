//! What the client does when connections break: against a server that follows a script.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::StreamExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use velum_client::{Client, ClientError, Filter, Patience};
use velum_wire::CreateZoneBody;

const ID: &str = "018f3f3e-7a5b-7c3d-8e9f-0123456789ab";
const ZONE: &str = r#"{"id":"018f3f3e-7a5b-7c3d-8e9f-0123456789ab","name":"z","access":"public","project_id":null,
    "policy_id":null,"pool_policy_id":null,"generation":1,"created_at":"2026-11-22T15:47:07Z"}"#;

/// What the server does with one connection.
enum Turn {
    /// Reads the request and hangs up.
    HangUp,
    /// Answers: status line and further headers, media type, body.
    Answer(&'static str, &'static str, String),
}

/// Serves the turns in order, one a connection; answers its address and what it was asked.
async fn server(turns: Vec<Turn>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = asked.clone();
    let mut turns = VecDeque::from(turns);
    tokio::spawn(async move {
        while let Some(turn) = turns.pop_front() {
            let Ok((mut stream, _)) = listener.accept().await else {
                return;
            };
            let request = read_request(&mut stream).await;
            seen.lock().expect("nobody panicked").push(request);
            if let Turn::Answer(head, kind, body) = turn {
                let text = format!(
                    "HTTP/1.1 {head}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(text.as_bytes()).await;
            }
            let _ = stream.shutdown().await;
        }
    });
    (address, asked)
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 65536];
    loop {
        let n = stream.read(&mut buffer).await.unwrap_or(0);
        bytes.extend_from_slice(&buffer[..n]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            assert!(n > 0, "a request without end: {text}");
            continue;
        };
        let length = head
            .lines()
            .find_map(|l| l.strip_prefix("content-length: "))
            .map_or(0, |l| l.parse().unwrap_or(0));
        if body.len() >= length {
            return text;
        }
    }
}

fn json(head: &'static str, body: &str) -> Turn {
    Turn::Answer(head, "application/json", body.to_owned())
}

fn quick(address: &str) -> Client {
    let patience = Patience {
        attempts: 3,
        pause: Duration::from_millis(5),
        longest: Duration::from_millis(50),
    };
    Client::with_patience(address, Some("token"), patience).expect("a good address")
}

fn header<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    request
        .lines()
        .find_map(|l| l.strip_prefix(name)?.strip_prefix(": "))
}

#[tokio::test]
async fn a_lost_answer_to_a_post_is_asked_for_again_under_the_same_key() {
    let (address, asked) = server(vec![Turn::HangUp, Turn::HangUp, json("201 Created", ZONE)]).await;
    let body = CreateZoneBody {
        name: "z".into(),
        ..CreateZoneBody::default()
    };
    let made = quick(&address).zones().create(&body).await.expect("it is made");
    assert_eq!(made.value.name, "z");
    let asked = asked.lock().expect("nobody panicked");
    let keys: Vec<_> = asked.iter().map(|r| header(r, "idempotency-key")).collect();
    assert_eq!(keys.len(), 3);
    assert!(
        keys[0].is_some_and(|k| k.len() == 32) && keys.iter().all(|k| *k == keys[0]),
        "{keys:?}"
    );
    assert!(
        asked
            .iter()
            .all(|r| header(r, "authorization") == Some("Bearer token"))
    );
}

#[tokio::test]
async fn a_lost_answer_to_a_change_is_not_asked_for_again() {
    let (address, asked) = server(vec![Turn::HangUp, json("200 OK", ZONE)]).await;
    let id = ID.parse().expect("an id");
    let lost = quick(&address)
        .zones()
        .delete(id)
        .await
        .expect_err("whether it acted is not known");
    assert!(
        matches!(lost, ClientError::Unreachable { unsent: false, .. }),
        "{lost:?}"
    );
    assert_eq!(asked.lock().expect("nobody panicked").len(), 1);
}

#[tokio::test]
async fn a_busy_server_is_asked_again_when_it_says_so_and_a_refusal_is_not() {
    let problem = r#"{"type":"/problems/unavailable","title":"Not now","status":503}"#;
    let page = format!(r#"{{"items":[{ZONE}],"next_cursor":null}}"#);
    let (address, _) = server(vec![
        json("503 Busy\r\nretry-after: 0", problem),
        json("200 OK", &page),
    ])
    .await;
    let zones = quick(&address)
        .zones()
        .all(&Filter::named("z"))
        .await
        .expect("it was worth waiting");
    assert_eq!(zones.len(), 1);

    let (address, asked) = server(vec![json("503 Busy", problem), json("200 OK", &page)]).await;
    let refused = quick(&address)
        .zones()
        .all(&Filter::new())
        .await
        .expect_err("it says nothing of coming back");
    assert!(refused.is("unavailable"));
    assert_eq!(asked.lock().expect("nobody panicked").len(), 1);
}

#[tokio::test]
async fn pages_are_followed_to_the_last() {
    let first = format!(r#"{{"items":[{ZONE},{ZONE}],"next_cursor":"abc"}}"#);
    let last = format!(r#"{{"items":[{ZONE}],"next_cursor":null}}"#);
    let (address, asked) = server(vec![json("200 OK", &first), json("200 OK", &last)]).await;
    let zones = quick(&address)
        .zones()
        .all(&Filter::new().with("name", "a b"))
        .await
        .expect("both pages");
    assert_eq!(zones.len(), 3);
    let asked = asked.lock().expect("nobody panicked");
    assert!(
        asked[0].starts_with("GET /v1/zones?name=a+b&limit=500 "),
        "{}",
        asked[0]
    );
    assert!(
        asked[1].starts_with("GET /v1/zones?name=a+b&limit=500&cursor=abc "),
        "{}",
        asked[1]
    );
}

#[tokio::test]
async fn events_go_on_after_the_last_one_seen() {
    let event = |n: u32| {
        let data = format!(
            r#"{{"id":"e{n}","shard_id":"{ID}","epoch":1,"seq":{n},"at":"","kind":"zone.created","project_id":"{ID}",
            "collection":"zones","resource_id":"{ID}","operation_id":null,"caller":"admin","data":{{}}}}"#
        );
        format!("id: e{n}\ndata: {}\n\n", data.replace('\n', ""))
    };
    let stream = |text: String| Turn::Answer("200 OK", "text/event-stream", text);
    let (address, asked) = server(vec![
        stream(event(1) + &event(2)),
        Turn::HangUp,
        stream(": hello\n\n".to_owned() + &event(3)),
    ])
    .await;
    let mut events = quick(&address).events().follow(Filter::new(), None);
    let mut seen = Vec::new();
    while seen.len() < 3 {
        seen.push(events.next().await.expect("it goes on").expect("an event").id);
    }
    assert_eq!(seen, ["e1", "e2", "e3"]);
    let asked = asked.lock().expect("nobody panicked");
    let from: Vec<_> = asked.iter().map(|r| header(r, "last-event-id")).collect();
    assert_eq!(from, [None, Some("e2"), Some("e2")]);
    assert!(
        asked
            .iter()
            .all(|r| header(r, "accept") == Some("text/event-stream"))
    );
}

#[tokio::test]
async fn an_upload_goes_on_where_the_server_says() {
    let template = |state: &str, received: u64| {
        format!(
            r#"{{"id":"{ID}","zone_id":"{ID}","project_id":"{ID}","image_store_id":"{ID}","name":"t","format":"raw",
            "upload_bytes":10,"received_bytes":{received},"sha256":"","state":"{state}","failure":null,
            "virtual_bytes":null,"generation":1,"created_at":""}}"#
        )
    };
    let arrived = |n: u64| {
        format!(
            r#"{{"template_id":"{ID}","received_bytes":{n},"upload_bytes":10,"complete":{}}}"#,
            n == 10
        )
    };
    let accepted = "202 Accepted\r\nlocation: /v1/operations/018f3f3e-7a5b-7c3d-8e9f-0123456789ab";
    let (address, asked) = server(vec![
        json("200 OK", &template("uploading", 2)),
        Turn::HangUp,
        json("200 OK", &template("uploading", 6)),
        json(accepted, &arrived(10)),
    ])
    .await;
    let mut source = std::io::Cursor::new(b"0123456789".to_vec());
    let mut watched = Vec::new();
    let client = quick(&address);
    let id = ID.parse().expect("an id");
    let operation = client
        .templates()
        .upload(id, &mut source, |at| watched.push(at))
        .await
        .expect("it arrives");
    assert_eq!(operation, Some(id));
    assert_eq!(watched, [2, 6, 10]);
    let asked = asked.lock().expect("nobody panicked");
    assert!(
        asked[1].starts_with("PUT /v1/templates/") && asked[1].ends_with("\r\n\r\n23456789"),
        "{}",
        asked[1]
    );
    assert!(
        asked[3].contains("?offset=6 ") && asked[3].ends_with("\r\n\r\n6789"),
        "{}",
        asked[3]
    );
}
