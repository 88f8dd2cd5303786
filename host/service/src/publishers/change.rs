//! `PATCH /v1/publishers/{id}`

use velum_model::{PublisherId, tenancy::Caller, trust::Publisher};
use velum_store::{Change, Commit};

use super::ChangePublisher;
use crate::{
    error::ServiceError,
    services::Services,
    write::{expect, lost_a_race, own_event},
};

impl Services {
    /// Changes a publisher's description.
    ///
    /// # Errors
    /// It does not exist, `expected` is not its generation.
    pub async fn publisher_change(
        &self,
        caller: &Caller,
        id: PublisherId,
        expected: Option<u64>,
        change: ChangePublisher,
    ) -> Result<Publisher, ServiceError> {
        let mut tries = 0;
        loop {
            let changed = self.publisher_change_once(caller, id, expected, &change).await;
            if !lost_a_race(&changed, expected, &mut tries) {
                return changed;
            }
        }
    }

    async fn publisher_change_once(
        &self,
        caller: &Caller,
        id: PublisherId,
        expected: Option<u64>,
        change: &ChangePublisher,
    ) -> Result<Publisher, ServiceError> {
        let mut publisher = self.publisher_get(caller, id).await?;
        expect("publisher", id.uuid(), expected, publisher.generation)?;
        if let Some(description) = &change.description {
            publisher.description = description.clone();
        }
        let commit = Commit {
            changes: vec![Change::UpdatePublisher(publisher.clone())],
            events: vec![own_event(caller, "publisher.changed", ("publishers", id.uuid()))],
            ..Commit::default()
        };
        self.commit("change the publisher", commit).await?;
        publisher.generation += 1;
        Ok(publisher)
    }
}
