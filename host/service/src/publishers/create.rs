//! `POST /v1/publishers`

use velum_model::{tenancy::Caller, trust::Publisher};
use velum_store::{Change, Commit};

use super::NewPublisher;
use crate::{
    error::ServiceError,
    request::{Answered, Keyed},
    services::Services,
    write::{administer, own_event},
};

impl Services {
    /// Makes a publisher. Nothing is trusted by that: its keys are.
    ///
    /// # Errors
    /// The name is taken.
    pub async fn publisher_create(
        &self,
        caller: &Caller,
        new: NewPublisher,
        keyed: Option<Keyed<Publisher>>,
    ) -> Result<Answered<Publisher>, ServiceError> {
        administer(caller, "publisher")?;
        if let Some(answer) = self.known(keyed.as_ref()).await? {
            return Ok(Answered::Replayed(answer));
        }
        let publisher = Publisher {
            id: self.fresh(),
            name: new.name,
            description: new.description,
            generation: 1,
            created_at: self.now(),
        };
        let about = ("publishers", publisher.id.uuid());
        let commit = Commit {
            changes: vec![Change::InsertPublisher(publisher.clone())],
            events: vec![own_event(caller, "publisher.created", about)],
            ..Commit::default()
        };
        self.make("store the publisher", commit, keyed.as_ref(), publisher)
            .await
    }
}
