//! Machines that join the cloud as nodes of their own.

mod enrol;
mod token;

use std::sync::Arc;

use velum_model::{
    Timestamp,
    enrolment::{HostPort, JoinToken, NodeAddress},
    id::NodeId,
    port::authority::Authority,
};

use crate::{error::ServiceError, services::Services};

/// The shortest time that a join token can be good for: less is over before somebody has typed it in.
pub const TOKEN_VALID_MIN_S: u32 = 60;
/// The longest: a week; whoever finds an older one cannot use it.
pub const TOKEN_VALID_MAX_S: u32 = 7 * 24 * 60 * 60;
/// What it is unless said: an hour.
pub const TOKEN_VALID_S: u32 = 60 * 60;

/// A join token that was made, to be shown once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeNodeToken {
    /// The token.
    pub token: JoinToken,
    /// From when on it is refused.
    pub expires_at: Timestamp,
}

/// A machine that wants to join.
#[derive(Clone, Debug)]
pub struct NewNode {
    /// What it was given.
    pub token: JoinToken,
    /// Its certificate request.
    pub request_pem: String,
    /// Where servers reach it.
    pub at: HostPort,
}

/// A machine that joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedNode {
    /// Who it is from now on.
    pub id: NodeId,
    /// What a compute host is registered with.
    pub address: NodeAddress,
    /// Its certificate.
    pub certificate_pem: String,
    /// The authority's.
    pub authority_pem: String,
    /// When its certificate ends.
    pub expires_at: Timestamp,
}

impl Services {
    fn authority(&self) -> Result<Arc<dyn Authority>, ServiceError> {
        self.nodes().authority().ok_or_else(|| ServiceError::Unavailable {
            problem: "this server has no authority for nodes on other machines".into(),
            retry_after_s: crate::error::LEASE_S,
        })
    }
}
