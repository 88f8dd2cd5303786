//! What a plugin's process does: confines itself, loads its component, makes the calls that it is told to.

use std::{
    cell::RefCell, collections::HashMap, ffi::OsString, io, os::fd::AsFd as _, process::ExitCode, rc::Rc,
    sync::Arc,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::{
    io::BufReader,
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, oneshot},
    task::{AbortHandle, LocalSet},
};
use wasmtime::{Engine, component::Component};

use super::{
    confine::{self, Stage},
    message::{FROM_CHILD, FromChild, Load, QUEUE, TO_CHILD, ToChild, read, write},
    told_uid,
};
use crate::{
    engine::{EngineKind, Pool, Ticker},
    sandbox::{
        Sandbox,
        ask::{Ask, Desk, Reply},
        work::{Ended, Work},
    },
};

/// A process that cannot confine itself does not run foreign code, and has nobody to tell but its parent, which sees its end.
pub fn main(arguments: &[OsString]) -> ExitCode {
    match begin(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn begin(arguments: &[OsString]) -> io::Result<()> {
    confine::leave_the_world(told_uid(arguments.first())?)?;
    let (known, engine) = std::sync::mpsc::channel();
    // Its thread inherits what was given up before; the filter below holds for all threads. What engine there is to be is known
    // with the component.
    let ticker = Ticker::for_one_to_come(move || engine.recv().ok())?;
    let ticking = (Arc::new(ticker), known);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let socket = {
        let _inside = runtime.enter();
        let socket = io::stdin().as_fd().try_clone_to_owned()?;
        UnixStream::from_std(std::os::unix::net::UnixStream::from(socket))?
    };
    confine::filter(Stage::Loading)?;
    runtime.block_on(LocalSet::new().run_until(serve(ticking, socket)))
}

/// The ticker, and how it is told of the engine.
type Ticking = (Arc<Ticker>, std::sync::mpsc::Sender<Engine>);

async fn serve(ticking: Ticking, socket: UnixStream) -> io::Result<()> {
    let (from, to) = socket.into_split();
    let mut from = BufReader::new(from);
    let (outbox, messages) = mpsc::channel(QUEUE);
    let speaking = tokio::task::spawn_local(speak(messages, to));
    let line = Arc::new(Line {
        outbox,
        replies: Mutex::new(HashMap::new()),
    });
    let Some(ToChild::Load(load)) = read(&mut from, TO_CHILD).await? else {
        return Err(io::Error::other("the first message is no component"));
    };
    let sandbox = match loaded(load, ticking) {
        Ok(sandbox) => sandbox,
        Err(error) => {
            let why = format!("{error:#}");
            line.send(FromChild::Loaded(Err(why))).await?;
            drop(line);
            // It is said before the process ends.
            return speaking.await.map_err(io::Error::other)?;
        }
    };
    // From here on nothing may become code.
    confine::filter(Stage::Serving)?;
    line.send(FromChild::Loaded(Ok(()))).await?;
    tokio::select! {
        heard = listen(Rc::new(sandbox), line, from) => heard,
        // Who cannot answer any more has nothing left to do.
        spoken = speaking => spoken.map_err(io::Error::other)?,
    }
}

fn loaded(load: Load, (ticker, known): Ticking) -> wasmtime::Result<Sandbox> {
    confine::bound_memory(&load.bounds, load.code.len())?;
    let (engine, component) = pooled(&load)?;
    known.send(engine.clone())?;
    let what = (load.world, load.interfaces.as_slice());
    Sandbox::new(&engine, &component, what, load.bounds, ticker)
}

/// The component on an engine that has room for its calls. To make room for each and give it back is dear.
fn pooled(load: &Load) -> wasmtime::Result<(Engine, Component)> {
    let plain = EngineKind::Driver.engine()?;
    let component = component(&plain, &load.code)?;
    let Some(needs) = component.resources_required() else {
        return Ok((plain, component));
    };
    let pool = Pool {
        calls: load.bounds.calls,
        memory_bytes: load.bounds.memory_bytes,
        memories: needs.num_memories,
        tables: needs.num_tables,
    };
    // Where addresses are bounded, or a component is beyond what the pool has room for, each call is made its own.
    let pooled = EngineKind::Driver.pooled(&pool).and_then(|engine| {
        let component = self::component(&engine, &load.code)?;
        Ok((engine, component))
    });
    Ok(pooled.unwrap_or((plain, component)))
}

fn component(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    #[expect(
        unsafe_code,
        reason = "the server vouches for the bytes by their authentication code, and this process is what contains them if they were subverted while they were compiled"
    )]
    // SAFETY: see the reason; `deserialize` trusts that the bytes came from `precompile_component`.
    unsafe {
        Component::deserialize(engine, code)
    }
}

async fn listen(sandbox: Rc<Sandbox>, line: Arc<Line>, mut from: BufReader<OwnedReadHalf>) -> io::Result<()> {
    let calls: Rc<RefCell<HashMap<u64, AbortHandle>>> = Rc::default();
    while let Some(message) = read(&mut from, TO_CHILD).await? {
        match message {
            ToChild::Load(_) => return Err(io::Error::other("a second component")),
            ToChild::Call { call, work } => {
                let task = begin_call(&sandbox, &line, &calls, (call, work));
                calls.borrow_mut().insert(call, task);
            }
            ToChild::Reply { call, reply } => {
                let waiting = line.replies.lock().remove(&call);
                if let Some(waiting) = waiting {
                    // The call may have ended meanwhile.
                    let _ = waiting.send(reply);
                }
            }
            ToChild::Abort { call } => {
                let task = calls.borrow_mut().remove(&call);
                if let Some(task) = task {
                    // Dropping the future drops the store with it: neither is used again.
                    task.abort();
                    line.replies.lock().remove(&call);
                    let end = Ended::Overtime;
                    line.send(FromChild::Ended { call, end }).await?;
                }
            }
        }
    }
    Ok(())
}

fn begin_call(
    sandbox: &Rc<Sandbox>,
    line: &Arc<Line>,
    calls: &Rc<RefCell<HashMap<u64, AbortHandle>>>,
    (call, work): (u64, Work),
) -> AbortHandle {
    let (sandbox, line, calls) = (Rc::clone(sandbox), Arc::clone(line), Rc::clone(calls));
    tokio::task::spawn_local(async move {
        let desk = Arc::new(Asking {
            call,
            line: Arc::clone(&line),
        });
        let end = sandbox.run(work, desk).await;
        calls.borrow_mut().remove(&call);
        // A server that is gone is noticed by whoever listens to it.
        let _ = line.send(FromChild::Ended { call, end }).await;
    })
    .abort_handle()
}

/// Writes what is to be said, a message after the other.
async fn speak(mut messages: mpsc::Receiver<FromChild>, mut to: OwnedWriteHalf) -> io::Result<()> {
    while let Some(message) = messages.recv().await {
        write(&mut to, &message, FROM_CHILD).await?;
    }
    Ok(())
}

/// The way to the server.
struct Line {
    /// To the one who writes: a call that is ended must not leave half of a message behind.
    outbox: mpsc::Sender<FromChild>,
    /// Calls that wait for an answer.
    replies: Mutex<HashMap<u64, oneshot::Sender<Reply>>>,
}

impl Line {
    async fn send(&self, message: FromChild) -> io::Result<()> {
        let sent = self.outbox.send(message).await;
        sent.map_err(|_| io::Error::other("the server does not listen any more"))
    }
}

/// The desk of one call.
struct Asking {
    call: u64,
    line: Arc<Line>,
}

#[async_trait]
impl Desk for Asking {
    async fn ask(&self, ask: Ask) -> Reply {
        let (told, waiting) = oneshot::channel();
        self.line.replies.lock().insert(self.call, told);
        let message = FromChild::Ask { call: self.call, ask };
        if let Err(error) = self.line.send(message).await {
            return Reply::Stop(format!("the server cannot be asked: {error}"));
        }
        waiting
            .await
            .unwrap_or_else(|_| Reply::Stop("the server is gone".to_owned()))
    }
}
