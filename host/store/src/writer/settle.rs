//! From a batch to its answers: commit, drop the guilty, split where it is not known who they are, try again.

use std::{collections::VecDeque, sync::atomic::Ordering};

use uuid::Uuid;

use super::{
    Batch, Failure, Waiting, Writer,
    apply::{Applied, Transaction},
    failure::{Kind, kind, shared},
    outcome::{Attempt, LEARN, Lost, conclude, not_committed},
};
use crate::{
    commit::{Change, Commit, Committed, Refused, StoreError},
    told::CommittedBatch,
};

/// How often a batch is tried again that another writer was faster than: each try waits for the other, so that more
/// than a few mean that something else is wrong.
const TRIES: u32 = 8;

struct Part {
    waiting: Vec<Waiting>,
    tries: u32,
    /// A statement missed some of its rows.
    asks_which: bool,
    /// Since when the database is away.
    lost: Option<Lost>,
}

impl Part {
    const fn of(waiting: Vec<Waiting>) -> Self {
        Self {
            waiting,
            tries: 0,
            asks_which: false,
            lost: None,
        }
    }
}

impl Writer {
    /// Commits a batch and answers everyone in it.
    pub(super) async fn settle(&mut self, batch: Vec<Waiting>) {
        self.settle_parts(VecDeque::from([Part::of(batch)])).await;
    }

    async fn settle_parts(&mut self, mut parts: VecDeque<Part>) {
        while let Some(part) = parts.pop_front() {
            if part.waiting.is_empty() {
                continue;
            }
            let attempt = self.attempt(&part.waiting, part.asks_which).await;
            self.count_statements();
            let failure = match attempt {
                Attempt::Durable(applied) => {
                    self.publish(part.waiting, applied);
                    continue;
                }
                Attempt::Failed(failure) => Some((part, failure)),
                Attempt::Unknown { seq, done, source } => {
                    self.learn(part, (self.id, seq), (done, source)).await
                }
            };
            let Some((part, failure)) = failure else { continue };
            for part in self.divide(part, failure).await.into_iter().rev() {
                parts.push_front(part);
            }
        }
    }

    /// The same of a batch whose COMMIT under this mark was not answered.
    pub(super) async fn settle_unknown(
        &mut self,
        batch: Vec<Waiting>,
        mark: (Uuid, i64),
        (done, source): (Applied, sqlx::Error),
    ) {
        let learned = self.learn(Part::of(batch), mark, (done, source)).await;
        if let Some((part, failure)) = learned {
            let parts = self.divide(part, failure).await;
            self.settle_parts(parts.into()).await;
        }
    }

    /// Looks what became of a transaction whose COMMIT was not answered. Everyone in it is answered, unless it did not happen.
    async fn learn(
        &mut self,
        part: Part,
        mark: (Uuid, i64),
        (done, source): (Applied, sqlx::Error),
    ) -> Option<(Part, Failure)> {
        tracing::warn!(error = %source, "COMMIT was not answered: looking whether it happened");
        match self.look(mark).await {
            Some(true) => {
                self.publish(part.waiting, done);
                None
            }
            Some(false) => Some((part, not_committed(source).into())),
            None => {
                let commits = Batch::of(&part.waiting).commits.into_iter().cloned().collect();
                self.leave(mark, commits, done);
                fail(part.waiting, LEARN, source);
                None
            }
        }
    }

    /// One transaction; rolled back unless it is durable.
    async fn attempt(&mut self, waiting: &[Waiting], asks_which: bool) -> Attempt<Applied> {
        let failed = |source| Failure::Database {
            attempt: "begin a transaction",
            source,
        };
        if let Err(error) = self.settle_left().await {
            return Attempt::Failed(error.into());
        }
        let (mark, since) = (self.next_mark(), self.epochs.now());
        let holder = self.holder.clone();
        let connection = match self.connected().await {
            Ok(connection) => connection,
            Err(source) => return Attempt::Failed(failed(source)),
        };
        let batch = Batch::of(waiting);
        let worked = match connection.begin_marked(&mark).await {
            Err(source) => Err(failed(source)),
            Ok(()) => {
                let applied = Transaction::new(connection, &batch, asks_which, mark.at, &holder)
                    .apply()
                    .await;
                applied.map(|applied| Applied { since, ..applied })
            }
        };
        let attempt = conclude(connection, mark.seq, worked).await;
        if !matches!(attempt, Attempt::Durable(_)) {
            self.abandon().await;
        }
        attempt
    }

    /// What remains to be tried of a part that failed; who is certainly refused is answered.
    async fn divide(&mut self, mut part: Part, failure: Failure) -> Vec<Part> {
        match failure {
            Failure::Guilty(guilty) => {
                let units = Batch::of(&part.waiting).units;
                let mut refusals: Vec<Option<Refused>> = part.waiting.iter().map(|_| None).collect();
                for (n, refused) in guilty {
                    if let Some(slot) = units.get(n).and_then(|&place| refusals.get_mut(place)) {
                        slot.get_or_insert(refused);
                    }
                }
                let mut rest = Vec::new();
                for (waiting, refused) in part.waiting.into_iter().zip(refusals) {
                    match refused {
                        Some(refused) => answer(waiting, Err(refused.into())),
                        None => rest.push(waiting),
                    }
                }
                vec![Part {
                    waiting: rest,
                    ..part
                }]
            }
            Failure::SomeMissed => vec![Part {
                asks_which: true,
                ..part
            }],
            Failure::OnlyAlone => vec![part],
            Failure::Unreadable(error) => {
                tracing::error!(%error, "a row of the database does not read");
                let text = error.to_string();
                for waiting in part.waiting {
                    answer(waiting, Err(StoreError::Unusable(text.clone())));
                }
                Vec::new()
            }
            Failure::Database { attempt, source } => match kind(&source) {
                Kind::Again if part.tries < TRIES => {
                    self.counters.count_retry();
                    part.tries += 1;
                    vec![part]
                }
                Kind::Lost if self.may_try_again(&source, &mut part.lost).await => vec![part],
                Kind::Commit if part.waiting.len() > 1 => {
                    let second = part.waiting.split_off(part.waiting.len() / 2);
                    vec![part, Part::of(second)]
                }
                Kind::Commit => {
                    self.refuse(part.waiting, attempt, source).await;
                    Vec::new()
                }
                _ => {
                    fail(part.waiting, attempt, source);
                    Vec::new()
                }
            },
        }
    }

    /// Says why what was alone in its batch was refused, by looking.
    async fn refuse(&mut self, waiting: Vec<Waiting>, attempt: &'static str, source: sqlx::Error) {
        for waiting in waiting {
            let mut error = None;
            if let Ok(connection) = self.connected().await {
                for commit in &waiting.commits {
                    error = super::diagnose::diagnose(connection, commit, attempt, &source).await;
                    if error.is_some() {
                        break;
                    }
                }
            }
            self.count_statements();
            let error = error.unwrap_or_else(|| {
                tracing::error!(attempt, error = %source, "a commit was refused for a reason that is not known");
                shared(attempt, sqlx::Error::Protocol(source.to_string()), 1)
                    .pop()
                    .unwrap_or_else(|| StoreError::Unusable(source.to_string()))
            });
            answer(waiting, Err(error));
        }
    }

    /// Tells of what is durable, then answers.
    pub(super) fn publish(&mut self, waiting: Vec<Waiting>, applied: Applied) {
        let (mut commits, mut waiters) = (Vec::new(), Vec::new());
        for waiting in waiting {
            waiters.push((waiting.commits.len(), waiting.answer, waiting._room));
            commits.extend(waiting.commits);
        }
        let mut replies = self.tell(commits, applied).into_iter();
        for (count, waiter, room) in waiters {
            // Those of one are answered alike.
            let reply = replies.by_ref().take(count).last();
            drop(room);
            if let Some(reply) = reply {
                // Whoever waited may have gone; what it wanted is durable all the same.
                drop(waiter.send(reply));
            }
        }
    }

    /// What another owns by now is not worked on: who goes on regardless would be refused again and again, until the next
    /// renewal says the same.
    fn give_up_fenced(&self, commits: &[Commit], replies: &[Option<Result<Committed, Refused>>]) {
        for (commit, reply) in commits.iter().zip(replies) {
            let Some(Err(Refused::Fenced { epoch: now, .. })) = reply else {
                continue;
            };
            self.counters.fenced.fetch_add(1, Ordering::Relaxed);
            if let Some((shard, was)) = commit.fence {
                self.epochs.found(shard, was, *now);
            }
        }
    }

    /// Tells of what is durable; answers what each commit is answered.
    pub(super) fn tell(&mut self, all: Vec<Commit>, applied: Applied) -> Vec<Result<Committed, StoreError>> {
        self.give_up_fenced(&all, &applied.replies);
        let mut commits = Vec::with_capacity(all.len());
        let mut replies = Vec::with_capacity(all.len());
        for (mut commit, reply) in all.into_iter().zip(applied.replies) {
            match reply {
                None => {
                    commit.changes.retain(|change| match change {
                        Change::InsertLayer(layer) => !applied.lost_layers.contains(&layer.id.uuid()),
                        _ => true,
                    });
                    commits.push(commit);
                    replies.push(Ok(Committed::Done));
                }
                Some(reply) => replies.push(reply.map_err(StoreError::from)),
            }
        }
        if !commits.is_empty() {
            self.counters.transactions.fetch_add(1, Ordering::Relaxed);
            self.counters
                .commits
                .fetch_add(commits.len() as u64, Ordering::Relaxed);
            for (shard, epoch) in &applied.new_shards {
                self.epochs.hold(*shard, *epoch, applied.since);
            }
            for shard in &applied.retired_shards {
                self.epochs.drop_shard(*shard);
            }
            let batch = CommittedBatch {
                commits,
                events: applied.events,
                compute_hosts: applied.compute_hosts,
                storage_pools: applied.storage_pools,
            };
            self.observer.committed(&batch);
            self.wrote.send_modify(|count| *count += 1);
            // So many small things are freed beside the writer: that was 2 % of the CPU of accepts by batches.
            tokio::spawn(async move { drop(batch) });
        }
        replies
    }
}

/// Answers an error of the database to all.
fn fail(waiting: Vec<Waiting>, attempt: &'static str, source: sqlx::Error) {
    tracing::error!(attempt, error = %source, commits = waiting.len(), "the database failed");
    let errors = shared(attempt, source, waiting.len());
    for (waiting, error) in waiting.into_iter().zip(errors) {
        answer(waiting, Err(error));
    }
}

fn answer(waiting: Waiting, reply: Result<Committed, StoreError>) {
    drop(waiting.answer.send(reply));
}
