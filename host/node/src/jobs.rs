//! Long work that outlives the call that asked for it: asking again joins it.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use serde_json::Value;
use tokio::{sync::watch, task::AbortHandle};
use velum_model::fault::{Fault, code};

/// Results that nobody has come for: each is a few hundred bytes, and whoever asks again after it was dropped only
/// repeats idempotent work.
const KEPT: usize = 256;

type Answer = Result<Value, Fault>;

/// What is under way or waits to be fetched, by a name.
#[derive(Clone, Default)]
pub struct Jobs {
    running: Arc<Mutex<HashMap<String, Job>>>,
}

struct Job {
    result: watch::Receiver<Option<Answer>>,
    abort: AbortHandle,
}

/// Joins a job: its answer comes when it is done.
pub struct Joined {
    jobs: Jobs,
    name: String,
    result: watch::Receiver<Option<Answer>>,
}

impl Jobs {
    /// Begins `work` under a name, or joins what runs under it.
    pub fn join(&self, name: &str, work: impl Future<Output = Answer> + Send + 'static) -> Joined {
        let mut running = self.running.lock();
        if running.len() > KEPT {
            running.retain(|_, job| job.result.borrow().is_none());
        }
        let job = running.entry(name.to_owned()).or_insert_with(|| {
            let (sender, result) = watch::channel(None);
            let task = tokio::spawn(async move {
                let answer = work.await;
                sender.send_replace(Some(answer));
            });
            Job {
                result,
                abort: task.abort_handle(),
            }
        });
        Joined {
            jobs: self.clone(),
            name: name.to_owned(),
            result: job.result.clone(),
        }
    }

    /// Joins what runs under a name, if anything does.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Joined> {
        let result = self.running.lock().get(name)?.result.clone();
        Some(Joined {
            jobs: self.clone(),
            name: name.to_owned(),
            result,
        })
    }

    /// Ends what runs under a name.
    pub fn cancel(&self, name: &str) {
        if let Some(job) = self.running.lock().remove(name) {
            job.abort.abort();
        }
    }
}

impl Joined {
    /// Waits for the answer. Once it was given to one who waited it is forgotten.
    pub async fn answer(mut self) -> Answer {
        let answer = match self.result.wait_for(Option::is_some).await {
            Ok(answer) => answer.clone(),
            // The sender is gone without an answer: the work was cancelled.
            Err(_) => None,
        };
        self.jobs.running.lock().remove(&self.name);
        answer.unwrap_or_else(|| Err(Fault::new(code::CANCELLED, "the work was cancelled")))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicU32, Ordering},
        time::Duration,
    };

    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn asking_again_joins_the_work_and_gets_its_answer_even_when_nobody_waited() {
        let jobs = Jobs::default();
        let times = Arc::new(AtomicU32::new(0));
        let work = || {
            let times = Arc::clone(&times);
            async move {
                times.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(30)).await;
                Ok(json!(7))
            }
        };
        let impatient = jobs.join("a", work()).answer();
        assert!(
            tokio::time::timeout(Duration::from_millis(5), impatient)
                .await
                .is_err()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(jobs.join("a", work()).answer().await, Ok(json!(7)));
        assert_eq!(times.load(Ordering::Relaxed), 1);
        assert!(jobs.find("a").is_none());
        assert_eq!(jobs.join("a", work()).answer().await, Ok(json!(7)));
        assert_eq!(times.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn cancelled_work_ends() {
        let jobs = Jobs::default();
        let joined = jobs.join("a", std::future::pending());
        jobs.cancel("a");
        assert_eq!(joined.answer().await.unwrap_err().code, code::CANCELLED);
    }
}
