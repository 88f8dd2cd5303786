use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinHandle,
};
use uuid::Uuid;
use velum_model::port::{Effect, Fence};

use super::*;

/// Answers one connection with `answer` and gives back what it was sent.
async fn far_side(answer: &'static str) -> (SocketAddr, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut seen = Vec::new();
        let mut buffer = [0; 4096];
        while !seen.windows(4).any(|w| w == b"\r\n\r\n") {
            let count = stream.read(&mut buffer).await.unwrap();
            seen.extend_from_slice(&buffer[..count]);
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(seen).unwrap()
    });
    (address, seen)
}

fn get(path: &str) -> HttpRequest {
    HttpRequest {
        method: "GET".to_owned(),
        path: path.to_owned(),
        timeout_ms: 2000,
        ..HttpRequest::default()
    }
}

#[tokio::test]
async fn a_request_carries_the_credential_and_the_fence_and_the_answer_no_cookie() {
    let (address, seen) =
        far_side("HTTP/1.1 200 OK\r\nset-cookie: a=b\r\nx-version: 7\r\ncontent-length: 2\r\n\r\nhi").await;
    let fence = Fence {
        shard: Uuid::from_u128(1),
        epoch: 7,
        object: Uuid::from_u128(2),
        generation: 3,
    };
    let effect = Effect {
        id: Uuid::from_u128(4),
        attempt: 0,
        deadline_ms: 1000,
    };
    let mut request = get("/v1/runs");
    request.query = vec![("after".to_owned(), "a&b=c".to_owned())];
    let response = HttpConnector::new()
        .unwrap()
        .send(
            &format!("http://{address}/base"),
            Some(&Credential::Bearer("t0ken".to_owned())),
            Some(Warrant {
                fence: &fence,
                effect: &effect,
            }),
            request,
        )
        .await
        .unwrap();
    assert_eq!(
        (response.status, response.body.as_slice()),
        (200, b"hi".as_slice())
    );
    assert!(
        response
            .headers
            .contains(&("x-version".to_owned(), "7".to_owned()))
    );
    assert!(response.headers.iter().all(|(name, _)| name != "set-cookie"));
    let seen = seen.await.unwrap();
    assert!(
        seen.starts_with("GET /base/v1/runs?after=a%26b%3Dc HTTP/1.1\r\n"),
        "{seen}"
    );
    for line in [
        "authorization: Bearer t0ken",
        "velum-epoch: 7",
        "velum-generation: 3",
        "velum-shard: 00000000-0000-0000-0000-000000000001",
        "velum-object: 00000000-0000-0000-0000-000000000002",
        "velum-effect: 00000000-0000-0000-0000-000000000004",
    ] {
        assert!(seen.contains(line), "{line} in {seen}");
    }
}

#[tokio::test]
async fn a_redirect_is_refused_and_nothing_else_is_connected_to() {
    let (address, _) =
        far_side("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n").await;
    let fault = HttpConnector::new()
        .unwrap()
        .send(&format!("http://{address}"), None, None, get("/"))
        .await
        .unwrap_err();
    assert_eq!(fault.code, code::DENIED);
    assert!(fault.unchanged);
}

#[tokio::test]
async fn a_far_side_that_is_away_or_silent_is_said_so() {
    let http = HttpConnector::new().unwrap();
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let mut post = get("/");
    post.method = "POST".to_owned();
    let fault = http
        .send(&format!("http://{closed}"), None, None, post.clone())
        .await
        .unwrap_err();
    assert_eq!((fault.code, fault.unchanged), (code::UNREACHABLE, true));

    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    post.timeout_ms = 100;
    let origin = format!("http://{}", silent.local_addr().unwrap());
    let fault = http.send(&origin, None, None, post).await.unwrap_err();
    assert_eq!((fault.code, fault.unchanged), (code::DEADLINE, false));
}

#[test]
fn a_path_stays_below_its_origin() {
    let below = |path: &str| url_below("http://10.0.0.1:80/api/", path, &[]);
    assert_eq!(
        below("/v1/a%20b").unwrap().as_str(),
        "http://10.0.0.1/api/v1/a%20b"
    );
    for bad in [
        "",
        "v1",
        "/../x",
        "/a/%2e%2E/x",
        "/.%2e/x",
        "/a?b",
        "/a#b",
        "/a\\b",
        "/ä",
        "/a b",
        "/a\r\nb",
    ] {
        assert_eq!(below(bad).unwrap_err().code, code::INVALID, "{bad:?}");
    }
    assert_eq!(below("//evil/x").unwrap().host_str(), Some("10.0.0.1"));
}

#[test]
fn an_address_that_can_be_no_origin_is_refused_in_every_spelling() {
    for bad in [
        "http://169.254.169.254",
        "http://2852039166",
        "http://0xa9.0xfe.0xa9.0xfe",
        "http://0.0.0.0",
        "http://224.0.0.1",
        "http://[::ffff:169.254.169.254]",
        "http://[fe80::1]",
        "http://[::]",
    ] {
        assert_eq!(url_below(bad, "/", &[]).unwrap_err().code, code::DENIED, "{bad}");
    }
    for bad in [
        "file:///etc/passwd",
        "http://a:b@10.0.0.1",
        "nonsense",
        "http://10.0.0.1?x=y",
    ] {
        assert_eq!(url_below(bad, "/", &[]).unwrap_err().code, code::INVALID, "{bad}");
    }
    assert_eq!(
        url_below("https://10.0.0.1", "/", &[]).unwrap_err().code,
        code::UNSUPPORTED
    );
    assert!(url_below("http://127.0.0.1:7001", "/", &[]).is_ok());
}

#[test]
fn headers_that_are_the_servers_own_cannot_be_set() {
    for own in ["Host", "authorization", "Cookie", "velum-epoch", "content-length"] {
        let fault = plugin_headers(&[(own.to_owned(), "x".to_owned())]).unwrap_err();
        assert_eq!(fault.code, code::DENIED, "{own}");
    }
    let injected = plugin_headers(&[("x-a".to_owned(), "b\r\nhost: c".to_owned())]).unwrap_err();
    assert_eq!(injected.code, code::INVALID);
}
