//! `GET` and `POST /v1/publishers/{id}/keys`, `POST /v1/publishers/{id}/keys/revoke`

use serde_json::json;
use velum_bundle::PublicKey;
use velum_model::{
    PublisherId, PublisherKeyId,
    page::Page,
    plugin::Plugin,
    tenancy::Caller,
    trust::{Publisher, PublisherKey, Revocation},
};
use velum_store::{Change, Commit, NewEvent, PluginFilter, StoreError};

use crate::{
    error::ServiceError,
    operations::readable,
    request::{Answered, Keyed},
    services::Services,
    write::{administer, own_event},
};

/// Keys of one publisher, revoked ones counted: a new one every year for a working life.
const KEYS_MAX: usize = 32;

impl Services {
    /// The keys of a publisher, oldest first, revoked ones too.
    ///
    /// # Errors
    /// It does not exist, or the database failed.
    pub async fn publisher_keys(
        &self,
        caller: &Caller,
        id: PublisherId,
    ) -> Result<Vec<PublisherKey>, ServiceError> {
        self.publisher_get(caller, id).await?;
        self.read().keys_of(id).await.map_err(unread)
    }

    /// Adds a key: what is signed with it is trusted as this publisher's from now on.
    ///
    /// # Errors
    /// The publisher does not exist, the text is no ed25519 public key, the key is known already.
    pub async fn publisher_key_add(
        &self,
        caller: &Caller,
        id: PublisherId,
        public_key: &str,
        keyed: Option<Keyed<PublisherKey>>,
    ) -> Result<Answered<PublisherKey>, ServiceError> {
        let publisher = self.publisher_get(caller, id).await?;
        if let Some(answer) = self.known(keyed.as_ref()).await? {
            return Ok(Answered::Replayed(answer));
        }
        let field = "/public_key";
        let read = PublicKey::from_pem(public_key).map_err(|error| {
            let hint = "give the text of the file that `velum plugin keygen` wrote for others";
            ServiceError::invalid(field, error.to_string(), hint)
        })?;
        let key_id = read.id().to_string();
        if let Some(known) = self.read().publisher_key(&key_id).await.map_err(unread)? {
            return Err(self.key_is_known(&publisher, &known).await?);
        }
        if self.read().keys_of(id).await.map_err(unread)?.len() >= KEYS_MAX {
            return Err(ServiceError::invalid(
                field,
                format!("a publisher has at most {KEYS_MAX} keys, revoked ones counted"),
                "make another publisher",
            ));
        }
        let key = PublisherKey {
            id: self.fresh(),
            publisher: id,
            key_id: key_id.clone(),
            public_key: read.to_pem(),
            added_by: caller.name.clone(),
            created_at: self.now(),
            revoked: None,
        };
        let told = NewEvent {
            data: json!({ "key_id": key_id }),
            ..own_event(caller, "publisher.key-added", ("publishers", id.uuid()))
        };
        let commit = Commit {
            changes: vec![Change::InsertPublisherKey(key.clone())],
            events: vec![told],
            ..Commit::default()
        };
        self.make("store the key", commit, keyed.as_ref(), key).await
    }

    async fn key_is_known(
        &self,
        publisher: &Publisher,
        known: &PublisherKey,
    ) -> Result<ServiceError, ServiceError> {
        let whose = match known.publisher == publisher.id {
            true => Some(publisher.clone()),
            false => self.read().publisher(known.publisher).await.map_err(unread)?,
        };
        let whose = whose.map_or_else(|| "another publisher".into(), |whose| whose.name.to_string());
        let (state, hint) = match &known.revoked {
            None => ("", "nothing is to be done"),
            Some(_) => (
                ", and it was revoked",
                "a revoked key stays revoked: add another one",
            ),
        };
        let problem = format!("the key {} belongs to {whose} already{state}", known.key_id);
        Ok(ServiceError::invalid("/public_key", problem, hint))
    }

    /// Revokes a key of a publisher, named by its id or by what signatures call it. What is signed with it is refused from
    /// now on and no version of it is activated any more; what runs goes on, and is marked.
    ///
    /// # Errors
    /// Publisher or key do not exist, the reason is missing or too long, it was revoked already.
    pub async fn publisher_key_revoke(
        &self,
        caller: &Caller,
        id: PublisherId,
        (named, reason): (&str, String),
        keyed: Option<Keyed<PublisherKey>>,
    ) -> Result<Answered<PublisherKey>, ServiceError> {
        administer(caller, "publisher")?;
        let reason = readable(reason.trim().to_owned())?;
        if reason.is_empty() {
            return Err(ServiceError::invalid(
                "/reason",
                "is empty",
                "say what happened to the key: whoever finds a plugin marked will want to know",
            ));
        }
        if let Some(answer) = self.known(keyed.as_ref()).await? {
            return Ok(Answered::Replayed(answer));
        }
        let keys = self.publisher_keys(caller, id).await?;
        let is_named = |key: &PublisherKey| key.key_id == named || key.id.to_string() == named;
        let Some(mut key) = keys.into_iter().find(is_named) else {
            return Err(ServiceError::invalid(
                "/key_id",
                format!("the publisher has no key {named}"),
                "list its keys and give the id of one",
            ));
        };
        if let Some(known) = &key.revoked {
            return Err(ServiceError::InvalidState {
                what: "publisher key",
                id: key.id.uuid(),
                problem: format!("the key {} was revoked already: {}", key.key_id, known.reason),
            });
        }
        let revocation = Revocation {
            at: self.now(),
            by: caller.name.clone(),
            reason,
        };
        key.revoked = Some(revocation.clone());
        let signed = self.signed_with(key.id).await?;
        let commit = Commit {
            changes: vec![Change::RevokePublisherKey {
                id: key.id,
                revocation,
            }],
            events: events_of_revocation(caller, id, &key, &signed),
            ..Commit::default()
        };
        self.make("revoke the key", commit, keyed.as_ref(), key).await
    }

    /// The plugins that a key signed: those of one page, which are more than a server holds.
    async fn signed_with(&self, key: PublisherKeyId) -> Result<Vec<Plugin>, ServiceError> {
        let filter = PluginFilter {
            key: Some(key),
            ..PluginFilter::default()
        };
        let all = Page {
            limit: Page::MAX_LIMIT,
            after: None,
        };
        let plugins = self.read().plugins(&filter, all).await;
        Ok(plugins.map_err(unread)?.items)
    }
}

/// One about the key, and one about each plugin that it signed: whoever watches a plugin hears it.
fn events_of_revocation(
    caller: &Caller,
    publisher: PublisherId,
    key: &PublisherKey,
    signed: &[Plugin],
) -> Vec<NewEvent> {
    let reason = key.revoked.as_ref().map(|revoked| revoked.reason.clone());
    let about_key = NewEvent {
        data: json!({ "key_id": key.key_id, "reason": reason, "plugins": signed.len() }),
        ..own_event(caller, "publisher.key-revoked", ("publishers", publisher.uuid()))
    };
    let about_plugin = |plugin: &Plugin| NewEvent {
        data: json!({
            "name": plugin.manifest.name, "version": plugin.manifest.version, "digest": plugin.digest,
            "key_id": key.key_id, "reason": reason,
        }),
        ..own_event(caller, "plugin.key-revoked", ("plugins", plugin.id.uuid()))
    };
    std::iter::once(about_key)
        .chain(signed.iter().map(about_plugin))
        .collect()
}

fn unread(error: StoreError) -> ServiceError {
    ServiceError::from_store("read the publisher's keys", error)
}
