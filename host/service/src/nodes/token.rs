//! `POST /v1/node-tokens`

use sha2::{Digest as _, Sha256};
use velum_model::{
    enrolment::{JoinToken, NodeToken},
    tenancy::Caller,
};
use velum_store::{Change, Commit};

use super::{MadeNodeToken, TOKEN_VALID_MAX_S, TOKEN_VALID_MIN_S, TOKEN_VALID_S};
use crate::{
    error::ServiceError,
    services::Services,
    write::{administer, own_event},
};

impl Services {
    /// Makes a token that one machine can join with. There is no idempotency key: under one the secret would have to be
    /// kept. One that got lost ends by itself.
    ///
    /// # Errors
    /// The caller is no administrator, or the time is out of bounds.
    pub async fn node_token_create(
        &self,
        caller: &Caller,
        valid_s: Option<u32>,
    ) -> Result<MadeNodeToken, ServiceError> {
        administer(caller, "node token")?;
        let valid_s = valid_s.unwrap_or(TOKEN_VALID_S);
        if !(TOKEN_VALID_MIN_S..=TOKEN_VALID_MAX_S).contains(&valid_s) {
            return Err(ServiceError::invalid(
                "/valid_s",
                format!("must be between {TOKEN_VALID_MIN_S} and {TOKEN_VALID_MAX_S} s, not {valid_s}"),
                "leave it out for an hour",
            ));
        }
        let secret = hex::encode(self.secret());
        let token = JoinToken::new(&secret, self.authority()?.fingerprint());
        let token = token.map_err(|why| ServiceError::Unavailable {
            problem: format!("no token could be made: {why}"),
            retry_after_s: crate::error::SOON_S,
        })?;
        let now = self.now();
        let row = NodeToken {
            id: self.fresh(),
            hash: Sha256::digest(token.secret()).to_vec(),
            created_by: caller.name.clone(),
            created_at: now,
            expires_at: now.plus_millis(u64::from(valid_s) * 1000),
            used_at: None,
        };
        let expires_at = row.expires_at;
        let event = own_event(caller, "node-token.created", ("node-tokens", row.id.uuid()));
        let commit = Commit {
            changes: vec![Change::InsertNodeToken(row)],
            events: vec![event],
            ..Commit::default()
        };
        self.commit("store the join token", commit).await?;
        Ok(MadeNodeToken { token, expires_at })
    }
}
