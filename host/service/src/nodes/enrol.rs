//! `POST /v1/nodes:enroll`

use sha2::{Digest as _, Sha256};
use velum_model::{
    enrolment::{EnrolledNode, Identity, NodeAddress, NodeToken},
    id::{NodeId, TokenId},
    tenancy::{Caller, Scope},
};
use velum_store::{Change, Commit};

use super::{JoinedNode, NewNode};
use crate::{error::ServiceError, services::Services, write::own_event};

/// How long the certificate of a node lasts; the machine is enrolled again before.
const CERTIFICATE_MS: u64 = 365 * 24 * 60 * 60 * 1000;

impl Services {
    /// Lets a machine join: authorized by its token alone, which is used up by it. One that joins again with the key that
    /// it has stays the node that it was.
    ///
    /// # Errors
    /// The token is not known, of another cloud, used or ended; the request is none.
    pub async fn node_enrol(&self, new: NewNode) -> Result<JoinedNode, ServiceError> {
        let authority = self.authority()?;
        if new.token.authority() != authority.fingerprint() {
            return Err(refused("it is of another cloud than this server"));
        }
        let token = self.usable(&new).await?;
        let invalid = |problem: String| {
            ServiceError::invalid("/request_pem", problem, "velum-node enroll makes and sends it")
        };
        let key_hash = authority.requested_key(&new.request_pem).map_err(invalid)?;
        let known = self.read().node_of_key(&key_hash).await;
        let known = known.map_err(|error| ServiceError::from_store("look for the node", error))?;
        let id: NodeId = known.unwrap_or_else(|| self.fresh());
        let now = self.now();
        let expires_at = now.plus_millis(CERTIFICATE_MS);
        let identity = Identity::Node(id);
        let certificate_pem = authority
            .certify(&new.request_pem, &identity, &new.at, (now, expires_at))
            .map_err(invalid)?;
        let caller = Caller {
            token: TokenId::from_uuid(token.id.uuid()),
            name: format!("join token of {}", token.created_by),
            scope: Scope::All,
        };
        let node = EnrolledNode {
            id,
            key_hash,
            address: new.at.to_string(),
            enrolled_at: now,
            expires_at,
        };
        let commit = Commit {
            changes: vec![Change::EnrolNode {
                node,
                token: token.id,
            }],
            events: vec![own_event(&caller, "node.enrolled", ("nodes", id.uuid()))],
            ..Commit::default()
        };
        // Handed out only once it is recorded.
        let recorded = self.commit("enrol the node", commit).await;
        recorded.map_err(|error| match error {
            ServiceError::Stale { .. } => refused("it was used meanwhile"),
            other => other,
        })?;
        Ok(JoinedNode {
            id,
            address: NodeAddress::Tls { node: id, at: new.at },
            certificate_pem,
            authority_pem: authority.certificate_pem(),
            expires_at,
        })
    }

    /// The token, if a machine may still join with it.
    async fn usable(&self, new: &NewNode) -> Result<NodeToken, ServiceError> {
        let hash = Sha256::digest(new.token.secret());
        let token = self.read().node_token_by_hash(&hash).await;
        let token = token
            .map_err(|error| ServiceError::from_store("look up the join token", error))?
            .ok_or_else(|| refused("it is not known here; it may have ended long ago"))?;
        if let Some(at) = token.used_at {
            return Err(refused(&format!("a machine joined with it at {at}")));
        }
        if token.expires_at <= self.now() {
            return Err(refused(&format!("it ended at {}", token.expires_at)));
        }
        Ok(token)
    }
}

fn refused(why: &str) -> ServiceError {
    ServiceError::Unauthenticated {
        problem: format!("the join token is refused: {why}; make another with velum node token"),
    }
}
