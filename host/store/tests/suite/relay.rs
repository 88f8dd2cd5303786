//! A relay between a store and PostgreSQL that cuts one connection at its next COMMIT, on the near or the far side of it,
//! or goes silent: connections stay open, and nothing comes through.

use std::{
    mem,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

/// Where the next COMMIT is cut.
pub enum Cut {
    /// It does not reach the server.
    Before,
    /// The server has answered it, and the answer does not reach the store.
    After,
    /// The store's side is cut at once; the server gets it when the test says so.
    Late(oneshot::Receiver<()>),
}

/// What comes through.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// Everything, on connections that are opened from now on: what was open before stays as it is.
    None,
    /// Nothing.
    All,
    /// Nothing on connections that write under a mark.
    Writers,
}

/// A cut to come, and who wants to know of it.
type Trap = (Cut, oneshot::Sender<()>);

#[derive(Clone)]
pub struct Relay {
    port: u16,
    trap: Arc<Mutex<Option<Trap>>>,
    is_closed: Arc<AtomicBool>,
    /// And how often that was changed.
    silence: Arc<Mutex<(Silence, usize)>>,
    swallowed: Arc<AtomicUsize>,
}

/// The protocol's number in the message that a connection starts with.
const STARTUP: [u8; 4] = [0, 3, 0, 0];

/// Takes the next whole message of a client.
fn take_message(buffer: &mut Vec<u8>, is_started: &mut bool) -> Option<Vec<u8>> {
    let head = usize::from(*is_started);
    let length: [u8; 4] = buffer.get(head..head + 4)?.try_into().ok()?;
    let end = head + u32::from_be_bytes(length) as usize;
    if buffer.len() < end {
        return None;
    }
    let rest = buffer.split_off(end);
    let message = mem::replace(buffer, rest);
    *is_started |= message.get(4..8) == Some(STARTUP.as_slice());
    Some(message)
}

impl Relay {
    pub async fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let relay = Self {
            port: listener.local_addr().expect("an address").port(),
            trap: Arc::default(),
            is_closed: Arc::default(),
            silence: Arc::new(Mutex::new((Silence::None, 0))),
            swallowed: Arc::default(),
        };
        let own = relay.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                if own.is_closed.load(Ordering::SeqCst) {
                    continue;
                }
                let far = TcpStream::connect(("127.0.0.1", server)).await.expect("a server");
                let own = own.clone();
                tokio::spawn(async move { own.carry(near, far).await });
            }
        });
        relay
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgres://velum@127.0.0.1:{}/{database}", self.port)
    }

    /// Cuts at the next COMMIT. What is answered comes true when that has happened.
    pub fn cut(&self, cut: Cut) -> oneshot::Receiver<()> {
        let (told, tells) = oneshot::channel();
        *self.trap.lock().expect("no test panics with it") = Some((cut, told));
        tells
    }

    /// From now on new connections are closed at once, or not any more.
    pub fn close(&self, is_closed: bool) {
        self.is_closed.store(is_closed, Ordering::SeqCst);
    }

    /// From now on this much comes through.
    pub fn silence(&self, silence: Silence) {
        let mut now = self.silence.lock().expect("no test panics with it");
        *now = (silence, now.1 + 1);
    }

    /// How many connections have asked in vain.
    pub fn swallowed(&self) -> usize {
        self.swallowed.load(Ordering::SeqCst)
    }

    /// Whether what a connection sends is lost, which was opened after so many changes.
    fn loses(&self, message: &[u8], opened: usize) -> bool {
        let (silence, changes) = *self.silence.lock().expect("no test panics with it");
        match silence {
            Silence::None => opened != changes,
            Silence::All => true,
            Silence::Writers => message.windows(11).any(|part| part == b"writer_mark"),
        }
    }

    async fn carry(&self, mut near: TcpStream, mut far: TcpStream) {
        let opened = self.silence.lock().expect("no test panics with it").1;
        let (mut sent, mut answered) = ([0; 16 * 1024], [0; 16 * 1024]);
        let (mut buffer, mut is_started) = (Vec::new(), false);
        loop {
            tokio::select! {
                read = near.read(&mut sent) => {
                    let Ok(n @ 1..) = read else { return };
                    buffer.extend_from_slice(&sent[..n]);
                    while let Some(message) = take_message(&mut buffer, &mut is_started) {
                        if self.loses(&message, opened) {
                            self.swallowed.fetch_add(1, Ordering::SeqCst);
                            // Both sides believe that it lives, until one of them gives it up.
                            while near.read(&mut sent).await.is_ok_and(|n| n > 0) {}
                            return;
                        }
                        let is_commit = message.first() == Some(&b'Q') && message[5..] == *b"COMMIT\0";
                        let trap = if is_commit {
                            self.trap.lock().expect("no test panics with it").take()
                        } else {
                            None
                        };
                        if let Some((cut, told)) = trap {
                            // Whoever waits for the news may have what it wanted.
                            end(cut, &message, near, far).await;
                            let _ = told.send(());
                            return;
                        }
                        if far.write_all(&message).await.is_err() {
                            return;
                        }
                    }
                }
                read = far.read(&mut answered) => {
                    let Ok(n @ 1..) = read else { return };
                    if near.write_all(&answered[..n]).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

async fn end(cut: Cut, commit: &[u8], near: TcpStream, mut far: TcpStream) {
    match cut {
        Cut::Before => {}
        Cut::After => finish(commit, &mut far).await,
        Cut::Late(now) => {
            drop(near);
            now.await.expect("the test says when");
            finish(commit, &mut far).await;
        }
    }
}

/// Sends the COMMIT and reads that it was done.
async fn finish(commit: &[u8], far: &mut TcpStream) {
    far.write_all(commit).await.expect("sent");
    let mut answer = [0; 64];
    let n = far.read(&mut answer).await.expect("an answer");
    assert_eq!(answer[0], b'C', "{:?}", &answer[..n]);
    assert!(
        answer[..n].windows(6).any(|w| w == b"COMMIT"),
        "{:?}",
        &answer[..n]
    );
}
