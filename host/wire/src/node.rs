//! Machines that join the cloud as nodes of their own.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// A join token to make.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateNodeTokenBody {
    /// For how long a machine can join with it, seconds; an hour unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 60, maximum = 604_800)]
    pub valid_s: Option<u32>,
}

/// A join token. It is shown this once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeTokenView {
    /// `vjn_`, the secret, and the fingerprint of the authority that the machine is to expect.
    #[schema(pattern = "^vjn_[0-9a-f]{64}\\.[0-9a-f]{64}$")]
    pub token: String,
    /// From when on it is refused.
    #[schema(format = DateTime)]
    pub expires_at: String,
}

/// A machine that wants to join.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrollNodeBody {
    /// The join token; it is used up.
    #[schema(pattern = "^vjn_[0-9a-f]{64}\\.[0-9a-f]{64}$")]
    pub token: String,
    /// A certificate request (PKCS #10, PEM) for the key of the machine. Nothing but the key is taken from it.
    #[schema(max_length = 8192)]
    pub request_pem: String,
    /// Where servers reach the machine.
    #[schema(example = "10.0.0.7:7443", max_length = 261)]
    pub address: String,
}

/// A machine that joined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EnrolledNodeView {
    /// Who it is from now on. A machine that joins again with the same key stays who it was.
    pub id: Uuid,
    /// What a compute host on it is registered with.
    #[schema(example = "tls:018f3f3e-7a5b-7c3d-8e9f-0123456789ab@10.0.0.7:7443")]
    pub address: String,
    /// Its certificate, PEM.
    pub certificate_pem: String,
    /// The certificate of the authority, PEM.
    pub authority_pem: String,
    /// When its certificate ends.
    #[schema(format = DateTime)]
    pub expires_at: String,
}
