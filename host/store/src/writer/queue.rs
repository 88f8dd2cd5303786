//! What waits for the writer, and what of it goes into the next transaction.

use std::collections::{HashSet, VecDeque};

use tokio::sync::mpsc;

use super::{BATCH, BATCH_BYTES, Message, Waiting};

/// What waits for the writer.
pub(super) struct Queue {
    /// In the order in which they came.
    messages: mpsc::Receiver<Message>,
    /// What waits for one batch and not for those that came before it: a renewal.
    urgent: mpsc::Receiver<Message>,
    /// Commits that were taken from the messages.
    pub(super) pending: VecDeque<Waiting>,
    /// Something else that was: those that are pending came before it.
    aside: Option<Message>,
}

impl Queue {
    pub(super) fn new((messages, urgent): (mpsc::Receiver<Message>, mpsc::Receiver<Message>)) -> Self {
        Self {
            messages,
            urgent,
            pending: VecDeque::new(),
            aside: None,
        }
    }

    /// The next that is urgent, if there is one by now.
    pub(super) fn urgent(&mut self) -> Option<Message> {
        self.urgent.try_recv().ok()
    }

    /// Whether something else than commits is to be done next.
    pub(super) fn has_other(&self) -> bool {
        self.aside.is_some() || !self.urgent.is_empty()
    }

    /// Something else than a commit, once nothing that came before it is pending.
    pub(super) fn other(&mut self) -> Option<Message> {
        self.aside.take_if(|_| self.pending.is_empty())
    }

    /// Waits for something to do. False when nobody can ask any more.
    pub(super) async fn wait(&mut self) -> bool {
        if !self.pending.is_empty() || self.aside.is_some() {
            return true;
        }
        let message = tokio::select! {
            biased;
            Some(message) = self.urgent.recv() => Some(message),
            message = self.messages.recv() => message,
        };
        match message {
            Some(Message::Commit(waiting)) => self.pending.push_back(waiting),
            Some(other) => self.aside = Some(other),
            None => return false,
        }
        true
    }

    /// Takes what waits by now along; nothing is waited for.
    pub(super) fn gather(&mut self) {
        while self.pending.len() < 2 * BATCH && self.aside.is_none() {
            match self.messages.try_recv() {
                Ok(Message::Commit(waiting)) => self.pending.push_back(waiting),
                Ok(other) => self.aside = Some(other),
                Err(_) => break,
            }
        }
    }

    /// Takes the next batch: in order, leaving behind what touches a row that an earlier one touches, and whatever of the
    /// same row comes after that.
    pub(super) fn take(&mut self) -> Vec<Waiting> {
        self.take_beside(&[], |_| true)
    }

    /// The same beside a batch that touches these and is not durable yet, up to the first that may not be written beside it.
    pub(super) fn take_beside(&mut self, others: &[u64], may: impl Fn(&Waiting) -> bool) -> Vec<Waiting> {
        let mut touched: HashSet<u64> = others.iter().copied().collect();
        let (mut batch, mut left) = (Vec::new(), VecDeque::new());
        let (mut commits, mut bytes) = (0, 0);
        while let Some(waiting) = self.pending.pop_front() {
            if !may(&waiting) {
                self.pending.push_front(waiting);
                break;
            }
            let is_free = !waiting.keys.iter().any(|key| touched.contains(key));
            touched.extend(&waiting.keys);
            let fits = commits + waiting.commits.len() <= BATCH && bytes + waiting.weight <= BATCH_BYTES;
            if is_free && (fits || batch.is_empty()) {
                commits += waiting.commits.len();
                bytes += waiting.weight;
                batch.push(waiting);
            } else {
                left.push_back(waiting);
            }
        }
        left.append(&mut self.pending);
        self.pending = left;
        batch
    }

    /// What was taken and did not come to anything waits again, before all others.
    pub(super) fn give_back(&mut self, batch: Vec<Waiting>) {
        for waiting in batch.into_iter().rev() {
            self.pending.push_front(waiting);
        }
    }
}
