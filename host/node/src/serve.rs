//! The sockets: greeting, requests, answers. Over TLS they are the same as over the Unix socket.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UnixListener},
    sync::{Semaphore, mpsc},
    time::Instant,
};
use tokio_rustls::TlsAcceptor;
use velum_connector::{
    message::{
        Greeting, PROTOCOL, Reply, Request, Verb,
        frame::{self, Frame},
    },
    tls,
};
use velum_model::fault::{Fault, code};

use crate::{guard::Guard, node::Node};

/// Connections at a time: a server has one, each open console another.
const CONNECTIONS: usize = 256;

/// Connections that have not shown yet that they are a server's: they hold no place of those that have.
const HANDSHAKES: usize = 64;

/// How long a connection may take to show it: two ways there and back, on a busy machine.
const HANDSHAKE: Duration = Duration::from_secs(10);

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
                    let (reader, writer) = stream.into_split();
                    converse(node, (Box::new(reader), Box::new(writer))).await;
                    drop(place);
                });
            }
            Err(error) => not_accepted(&error).await,
        }
    }
}

/// The same over TLS, for nobody but servers of the node's own cloud.
pub async fn serve_tls(node: Arc<Node>, listener: TcpListener, guard: Guard, stop: impl Future<Output = ()>) {
    let (room, entrance) = (
        Arc::new(Semaphore::new(CONNECTIONS)),
        Arc::new(Semaphore::new(HANDSHAKES)),
    );
    let acceptor = guard.acceptor();
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Ok(entering) = Arc::clone(&entrance).try_acquire_owned() else {
                    tracing::warn!(%peer, "more than {HANDSHAKES} connections are being set up: one is refused");
                    continue;
                };
                let (node, room, acceptor) = (Arc::clone(&node), Arc::clone(&room), acceptor.clone());
                tokio::spawn(async move {
                    let admitted = admit(&acceptor, stream, peer).await;
                    drop(entering);
                    let Some(halves) = admitted else { return };
                    let Ok(_place) = room.try_acquire_owned() else {
                        tracing::warn!("more than {CONNECTIONS} connections: one is refused");
                        return;
                    };
                    converse(node, halves).await;
                });
            }
            Err(error) => not_accepted(&error).await,
        }
    }
}

async fn not_accepted(error: &io::Error) {
    tracing::warn!(%error, "accepting a connection failed");
    // Out of descriptors: waiting helps, spinning does not.
    tokio::time::sleep(Duration::from_millis(100)).await;
}

/// Both ways of a connection.
type Halves = (Reader, Writer);
type Reader = Box<dyn AsyncRead + Send + Unpin>;
type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// A connection whose other end is a server of the node's own cloud.
async fn admit(acceptor: &TlsAcceptor, stream: TcpStream, peer: SocketAddr) -> Option<Halves> {
    if let Err(error) = tls::tend(&stream) {
        tracing::debug!(%peer, %error, "a connection ended before it began");
        return None;
    }
    match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => {
            let (reader, writer) = tokio::io::split(stream);
            Some((Box::new(reader), Box::new(writer)))
        }
        Ok(Err(error)) => {
            tracing::warn!(%peer, why = tls::words(&error), "a connection was refused");
            None
        }
        Err(_) => {
            tracing::warn!(%peer, "a connection did not say in time who it is");
            None
        }
    }
}

async fn converse(node: Arc<Node>, (mut reader, mut writer): Halves) {
    let greeting = Greeting {
        protocol: PROTOCOL,
        hello: node.hello.clone(),
    };
    let greeted = match Frame::of(&greeting) {
        Ok(frame) => frame::write(&mut writer, &frame).await,
        Err(error) => Err(error),
    };
    if greeted.is_err() {
        return;
    }
    // A connection that is to become a console says so first.
    let Some((first, body)) = next_request(&mut reader).await else {
        return;
    };
    if matches!(first.verb, Verb::ConsoleOpen { .. }) {
        console(&node, (reader, writer), first).await;
        return;
    }
    let (answers, queue) = mpsc::channel(OUTGOING);
    let writing = tokio::spawn(write_all(writer, queue));
    read_all(node, reader, (first, body), answers).await;
    // It ends when the last request in work has answered.
    let _ = writing.await;
}

async fn next_request(from: &mut (impl AsyncRead + Unpin)) -> Option<(Request, Vec<u8>)> {
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
    mut reader: Reader,
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

async fn write_all(mut writer: Writer, mut queue: mpsc::Receiver<Frame>) {
    while let Some(frame) = queue.recv().await {
        if let Err(error) = frame::write(&mut writer, &frame).await {
            tracing::debug!(%error, "answering a client failed");
            return;
        }
    }
    // Over TLS this is what tells the end from a line that was cut.
    let _ = writer.shutdown().await;
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

async fn console(node: &Node, (reader, mut writer): Halves, request: Request) {
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
    if frame::write(&mut writer, &reply).await.is_ok()
        && let Some(terminal) = terminal
    {
        terminal.carry(reader, writer).await;
    }
}
