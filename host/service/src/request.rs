//! What accompanies a request beside its arguments: an idempotency key, and what an accepted change answers.

use velum_model::{id::OperationId, id::TokenId};
use velum_store::{Idempotency, StoredAnswer};

/// Renders what is answered, once, to be stored with the commit under its idempotency key.
pub type Render<T> = Box<dyn Fn(&T) -> StoredAnswer + Send + Sync>;

/// An idempotency key with the request that it stands for, and how the border words its answer.
pub struct Keyed<T> {
    /// Whose key.
    pub token: TokenId,
    /// The key as given.
    pub key: String,
    /// SHA-256 over method, path and body.
    pub request_hash: Vec<u8>,
    /// Words the answer. Called before the commit, with what the commit makes true.
    pub render: Render<T>,
}

impl<T> std::fmt::Debug for Keyed<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyed")
            .field("token", &self.token)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl<T> Keyed<T> {
    /// What goes into the commit.
    pub(crate) fn idempotency(&self, answer: &T) -> Idempotency {
        Idempotency {
            token: self.token,
            key: self.key.clone(),
            request_hash: self.request_hash.clone(),
            answer: (self.render)(answer),
        }
    }
}

/// A change that went through, now or the first time.
#[derive(Clone, Debug, PartialEq)]
pub enum Answered<T> {
    /// It was made now.
    Fresh(T),
    /// The idempotency key was known: this was answered then.
    Replayed(StoredAnswer),
}

/// What was accepted to take time.
#[derive(Clone, Debug, PartialEq)]
pub struct Accepted<T> {
    /// The resource as it is now.
    pub resource: T,
    /// The operation that works on it.
    pub operation: OperationId,
}
