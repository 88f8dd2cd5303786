//! How an answer of the database is waited for.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
};

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asking {
    /// The task waits, its thread does other work.
    Waits,
    /// The thread waits. In a simulation the database is outside of what is simulated: no time passes while it answers,
    /// and nothing else happens that would come in another order the next time.
    Blocks,
}

impl Asking {
    /// How many readers there is a use for, when as many would be good for requests that wait.
    pub(crate) const fn readers(self, many: usize) -> usize {
        match self {
            Self::Waits => many,
            Self::Blocks => 1,
        }
    }

    /// Waits for an answer.
    pub(crate) async fn answer<T>(self, asked: impl Future<Output = T>) -> T {
        match self {
            Self::Waits => asked.await,
            Self::Blocks => block_on(asked),
        }
    }
}

/// A thread that waits for one future. One inside another waits on the same thread and takes its wake-ups away, so that
/// each remembers whether it was meant.
struct Waiting {
    thread: Thread,
    is_woken: AtomicBool,
}

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        self.is_woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// Runs a future on this thread, inside another if need be (tokio's and futures' own refuse that), without time passing
/// on a runtime whose clock stands: how a simulation asks what answers from a thread of its own.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    // Without tokio's budget, which only a task that goes back to its runtime gets anew.
    let mut future = pin!(tokio::task::unconstrained(future));
    let waiting = Arc::new(Waiting {
        thread: thread::current(),
        is_woken: AtomicBool::new(false),
    });
    let waker = Waker::from(Arc::clone(&waiting));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(answer) = future.as_mut().poll(&mut context) {
            return answer;
        }
        while !waiting.is_woken.swap(false, Ordering::Acquire) {
            thread::park();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        pin::pin,
        task::{Context, Poll},
    };

    use super::block_on;

    /// Ready the second time that it is asked; the first time it lets somebody else go on, too.
    fn slow(mut also: impl FnMut()) -> impl Future<Output = ()> {
        let mut is_asked = false;
        poll_fn(move |context: &mut Context<'_>| {
            if is_asked {
                return Poll::Ready(());
            }
            is_asked = true;
            also();
            context.waker().wake_by_ref();
            Poll::Pending
        })
    }

    /// One that is woken while another inside it waits must not wait for ever.
    #[test]
    fn a_wait_inside_another_takes_nothing_from_it() {
        let (outer, woken) = tokio::sync::oneshot::channel();
        let (mut outer, mut woken) = (Some(outer), pin!(woken));
        let both = poll_fn(|context| {
            let poll = woken.as_mut().poll(context).map(|answer| answer.is_ok());
            if let Some(outer) = outer.take() {
                let mut outer = Some(outer);
                block_on(slow(|| {
                    assert!(outer.take().is_some_and(|outer| outer.send(()).is_ok()));
                }));
            }
            poll
        });
        assert!(block_on(both));
    }
}
