//! The socket: greeting, requests, answers.

use std::{sync::Arc, time::Duration};

use tokio::{
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Semaphore, mpsc},
    time::Instant,
};
use velum_connector::message::{
    Greeting, PROTOCOL, Reply, Request, Verb,
    frame::{self, Frame},
};
use velum_model::fault::{Fault, code};

use crate::node::Node;

/// Connections at a time: a server has one, each open console another.
const CONNECTIONS: usize = 256;

/// Requests of one connection in work: as many as a client has in flight.
const IN_WORK: usize = 64;

/// Answers that may wait for the socket of a client that does not read.
const OUTGOING: usize = 16;

/// The longest that a request may ask to be waited for.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// Serves until `stop` comes; then takes no new connection, and lets the effects under way end.
pub async fn serve(node: Arc<Node>, listener: UnixListener, stop: impl Future<Output = ()>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
                    tracing::warn!("more than {CONNECTIONS} connections: one is refused");
                    continue;
                };
                let node = Arc::clone(&node);
                tokio::spawn(async move {
                    converse(node, stream).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                // Out of descriptors: waiting helps, spinning does not.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn converse(node: Arc<Node>, mut stream: UnixStream) {
    let greeting = Greeting {
        protocol: PROTOCOL,
        hello: node.hello.clone(),
    };
    let greeted = match Frame::of(&greeting) {
        Ok(frame) => frame::write(&mut stream, &frame).await,
        Err(error) => Err(error),
    };
    if greeted.is_err() {
        return;
    }
    // A connection that is to become a console says so first.
    let Some((first, body)) = next_request(&mut stream).await else {
        return;
    };
    if matches!(first.verb, Verb::ConsoleOpen { .. }) {
        console(&node, stream, first).await;
        return;
    }
    let (reader, writer) = stream.into_split();
    let (answers, queue) = mpsc::channel(OUTGOING);
    let writing = tokio::spawn(write_all(writer, queue));
    read_all(node, reader, (first, body), answers).await;
    // It ends when the last request in work has answered.
    let _ = writing.await;
}

async fn next_request(from: &mut (impl tokio::io::AsyncRead + Unpin)) -> Option<(Request, Vec<u8>)> {
    let frame = match frame::read(from).await {
        Ok(frame) => frame?,
        Err(error) => {
            tracing::debug!(%error, "a connection broke");
            return None;
        }
    };
    match frame.message() {
        Ok(request) => Some((request, frame.body)),
        Err(error) => {
            tracing::warn!(%error, "a client sent what is no request");
            None
        }
    }
}

async fn read_all(
    node: Arc<Node>,
    mut reader: OwnedReadHalf,
    first: (Request, Vec<u8>),
    answers: mpsc::Sender<Frame>,
) {
    let room = Arc::new(Semaphore::new(IN_WORK));
    let mut next = Some(first);
    while let Some((request, body)) = next {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        let (node, answers) = (Arc::clone(&node), answers.clone());
        tokio::spawn(async move {
            let frame = answer(node, request, body).await;
            // A client that is gone needs no answer; what was done is remembered by the gate.
            let _ = answers.send(frame).await;
            drop(place);
        });
        next = next_request(&mut reader).await;
    }
}

async fn write_all(mut writer: OwnedWriteHalf, mut queue: mpsc::Receiver<Frame>) {
    while let Some(frame) = queue.recv().await {
        if let Err(error) = frame::write(&mut writer, &frame).await {
            tracing::debug!(%error, "answering a client failed");
            return;
        }
    }
}

async fn answer(node: Arc<Node>, request: Request, body: Vec<u8>) -> Frame {
    let id = request.id;
    let within = Duration::from_millis(u64::from(request.deadline_ms)).min(LONGEST);
    let until = Instant::now() + within;
    let (result, body) = if request.verb.is_effect() {
        let result = node
            .effect(request.fence, request.effect, request.verb, until)
            .await;
        (result, Vec::new())
    } else {
        let unchanged = !request.verb.may_change();
        match tokio::time::timeout_at(until, node.ask(request.verb, body)).await {
            Ok(Ok((answer, body))) => (Ok(answer), body),
            Ok(Err(fault)) => (Err(fault), Vec::new()),
            Err(_) => {
                let fault = Fault {
                    unchanged,
                    ..Fault::new(code::DEADLINE, "the node did not come to an answer in time")
                };
                (Err(fault), Vec::new())
            }
        }
    };
    if let Err(fault) = &result {
        tracing::debug!(id, %fault, "refused or failed");
    }
    frame_of(&Reply { id, result }, body)
}

fn frame_of(reply: &Reply, body: Vec<u8>) -> Frame {
    Frame::with_body(reply, body).unwrap_or_else(|error| {
        let too_long = Reply {
            id: reply.id,
            result: Err(Fault::new(
                code::EXHAUSTED,
                format!("the answer cannot be sent: {error}"),
            )),
        };
        // A fault of a hundred bytes is always a frame; an empty one would only end the connection.
        Frame::of(&too_long).unwrap_or_default()
    })
}

async fn console(node: &Node, mut stream: UnixStream, request: Request) {
    let opened = node.console(request.verb).await;
    let (result, terminal) = match opened {
        Ok(terminal) => (Ok(serde_json::Value::Null), Some(terminal)),
        Err(fault) => (Err(fault), None),
    };
    let reply = frame_of(
        &Reply {
            id: request.id,
            result,
        },
        Vec::new(),
    );
    if frame::write(&mut stream, &reply).await.is_ok()
        && let Some(terminal) = terminal
    {
        terminal.carry(stream).await;
    }
}
