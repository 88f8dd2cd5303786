//! From a batch to its answers: commit, drop the guilty, split where it is not known who they are, try again.

use std::{collections::VecDeque, sync::atomic::Ordering};

use super::{
    Failure, Waiting, Writer,
    apply::{Applied, Transaction},
    failure::{Kind, kind, shared},
};
use crate::{
    commit::{Change, Commit, Committed, Refused, StoreError},
    store::CommittedBatch,
};

/// How often a batch is tried again that another writer was faster than: each try waits for the other, so that more
/// than a few mean that something else is wrong.
const TRIES: u32 = 8;

struct Part {
    waiting: Vec<Waiting>,
    tries: u32,
}

impl Writer {
    /// Commits a batch and answers everyone in it.
    pub(super) async fn settle(&mut self, batch: Vec<Waiting>) {
        let mut parts = VecDeque::from([Part {
            waiting: batch,
            tries: 0,
        }]);
        while let Some(part) = parts.pop_front() {
            if part.waiting.is_empty() {
                continue;
            }
            let outcome = self.attempt(&part.waiting).await;
            self.count_statements();
            match outcome {
                Ok(applied) => self.publish(part.waiting, applied),
                Err(failure) => {
                    for part in self.divide(part, failure).await.into_iter().rev() {
                        parts.push_front(part);
                    }
                }
            }
        }
    }

    /// One transaction; rolled back unless it is durable.
    async fn attempt(&mut self, waiting: &[Waiting]) -> Result<Applied, Failure> {
        let failed = |source| Failure::Database {
            attempt: "begin a transaction",
            source,
        };
        let now = self.clock.now();
        let (holder, lease_until) = (self.holder.clone(), now.plus_millis(self.lease_ms));
        let connection = self.connected().await.map_err(failed)?;
        let commits: Vec<&Commit> = waiting.iter().map(|w| &w.commit).collect();
        let outcome = match connection.begin().await {
            Err(source) => Err(failed(source)),
            Ok(()) => match Transaction::new(connection, &commits, now, &holder, lease_until)
                .apply()
                .await
            {
                Ok(applied) => match connection.commit().await {
                    Ok(()) => return Ok(applied),
                    Err(source) => Err(Failure::Database {
                        attempt: "commit a transaction",
                        source,
                    }),
                },
                Err(failure) => Err(failure),
            },
        };
        if let Err(error) = connection.roll_back().await {
            tracing::warn!(%error, "the writer's connection is given up");
            self.count_statements();
            self.connection = None;
        }
        outcome
    }

    /// What remains to be tried of a part that failed; who is certainly refused is answered.
    async fn divide(&mut self, mut part: Part, failure: Failure) -> Vec<Part> {
        match failure {
            Failure::Guilty(guilty) => {
                let mut refusals: Vec<Option<Refused>> = part.waiting.iter().map(|_| None).collect();
                for (n, refused) in guilty {
                    if let Some(slot) = refusals.get_mut(n) {
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
                    tries: part.tries,
                }]
            }
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
                    part.tries += 1;
                    vec![part]
                }
                Kind::Commit if part.waiting.len() > 1 => {
                    let second = part.waiting.split_off(part.waiting.len() / 2);
                    vec![
                        part,
                        Part {
                            waiting: second,
                            tries: 0,
                        },
                    ]
                }
                Kind::Commit => {
                    self.refuse(part.waiting, attempt, source).await;
                    Vec::new()
                }
                _ => {
                    tracing::error!(attempt, error = %source, commits = part.waiting.len(), "the database failed");
                    let errors = shared(attempt, source, part.waiting.len());
                    for (waiting, error) in part.waiting.into_iter().zip(errors) {
                        answer(waiting, Err(error));
                    }
                    Vec::new()
                }
            },
        }
    }

    /// Says why the only commit of a batch was refused, by looking.
    async fn refuse(&mut self, waiting: Vec<Waiting>, attempt: &'static str, source: sqlx::Error) {
        for waiting in waiting {
            let error = match self.connected().await {
                Ok(connection) => {
                    super::diagnose::diagnose(connection, &waiting.commit, attempt, &source).await
                }
                Err(_) => None,
            };
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
    fn publish(&mut self, waiting: Vec<Waiting>, applied: Applied) {
        let mut commits = Vec::with_capacity(waiting.len());
        let mut answers = Vec::with_capacity(waiting.len());
        for (Waiting { mut commit, answer }, reply) in waiting.into_iter().zip(applied.replies) {
            match reply {
                None => {
                    commit.changes.retain(|change| match change {
                        Change::InsertLayer(layer) => !applied.lost_layers.contains(&layer.id.uuid()),
                        _ => true,
                    });
                    commits.push(commit);
                    answers.push((answer, Ok(Committed::Done)));
                }
                Some(reply) => answers.push((answer, reply.map_err(StoreError::from))),
            }
        }
        if !commits.is_empty() {
            self.counters.transactions.fetch_add(1, Ordering::Relaxed);
            self.counters
                .commits
                .fetch_add(commits.len() as u64, Ordering::Relaxed);
            self.epochs.change(|epochs| {
                epochs.extend(applied.new_shards);
                for shard in &applied.retired_shards {
                    epochs.remove(shard);
                }
            });
            self.observer.committed(&CommittedBatch {
                commits,
                events: applied.events,
                compute_hosts: applied.compute_hosts,
                storage_pools: applied.storage_pools,
            });
            self.wrote.send_modify(|count| *count += 1);
        }
        for (waiter, reply) in answers {
            // Whoever waited may have gone; what it wanted is durable all the same.
            drop(waiter.send(reply));
        }
    }
}

fn answer(waiting: Waiting, reply: Result<Committed, StoreError>) {
    drop(waiting.answer.send(reply));
}
