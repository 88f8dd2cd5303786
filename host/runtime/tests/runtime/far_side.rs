//! Far sides: an HTTP origin and a node that answer what a test tells them, and remember what they were asked.

use std::{path::Path, sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, UnixListener},
};
use velum_connector::message::{Greeting, PROTOCOL, Reply, Request, frame};
use velum_model::{fault::Fault, port::node::NodeHello};

/// An origin on a free port of this machine.
pub struct Origin {
    pub url: String,
    /// Heads of requests as they arrived.
    pub heads: Arc<Mutex<Vec<String>>>,
}

impl Origin {
    /// Answers each request with this status after `pause`.
    pub async fn answering(status: u16, pause: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&heads);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let kept = Arc::clone(&kept);
                tokio::spawn(async move {
                    let mut head = vec![0; 8192];
                    let length = stream.read(&mut head).await.unwrap();
                    kept.lock()
                        .push(String::from_utf8_lossy(&head[..length]).into_owned());
                    tokio::time::sleep(pause).await;
                    let answer = format!(
                        "HTTP/1.1 {status} X\r\nlocation: /elsewhere\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}"
                    );
                    // The other end may be gone by now.
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        Self { url, heads }
    }
}

/// Answers requests to a node by `answer`.
pub type Answer = fn(&Request) -> Result<Value, Fault>;

/// A node behind a socket.
pub struct FakeNode {
    pub address: String,
    pub requests: Arc<Mutex<Vec<Request>>>,
}

impl FakeNode {
    pub fn answering(directory: &Path, answer: Answer) -> Self {
        let path = directory.join("node.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let kept = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let kept = Arc::clone(&kept);
                tokio::spawn(async move {
                    let greeting = Greeting {
                        protocol: PROTOCOL,
                        hello: NodeHello {
                            boot_id: "boot".to_owned(),
                            version: "0".to_owned(),
                            hostname: "fake".to_owned(),
                            initiators: Vec::new(),
                        },
                    };
                    let hello = frame::Frame::of(&greeting).unwrap();
                    frame::write(&mut stream, &hello).await.unwrap();
                    while let Ok(Some(asked)) = frame::read(&mut stream).await {
                        let request: Request = asked.message().unwrap();
                        let result = match &request.verb {
                            velum_connector::message::Verb::Epochs(_) => Ok(json!(null)),
                            _ => {
                                kept.lock().push(request.clone());
                                answer(&request)
                            }
                        };
                        let reply = Reply {
                            id: request.id,
                            result,
                        };
                        frame::write(&mut stream, &frame::Frame::of(&reply).unwrap())
                            .await
                            .unwrap();
                    }
                });
            }
        });
        Self {
            address: format!("unix:{}", path.display()),
            requests,
        }
    }
}
