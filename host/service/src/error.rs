//! Why a use case did not do what it was asked. Rich enough for the border to make an RFC 9457 problem of each.

use uuid::Uuid;
use velum_model::{
    decision::{Decision, RefusalCount},
    grant::Capabilities,
    id::OperationId,
    plugin::Digest,
    port::plugins::PluginRefused,
};
use velum_store::{Refused, StoreError, Trouble};

/// Why a use case did not do what it was asked. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// There is no such resource, or the caller may not see it: 404.
    #[error("there is no {what} {id}")]
    NotFound {
        /// The noun, singular: `zone`, `compute host`.
        what: &'static str,
        /// What was asked for.
        id: String,
    },
    /// A field of the request cannot be accepted: 422.
    #[error("{field}: {problem}")]
    Invalid {
        /// JSON pointer into the request body: `/cidr`, `/networks/0/address`.
        field: String,
        /// What is wrong with it.
        problem: String,
        /// What to do about it.
        hint: String,
    },
    /// The name is in use: 409.
    #[error("the {what} {name} exists already")]
    NameTaken {
        /// The noun.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// Something points to it: 409.
    #[error("the {what} {id} is still used by {by}")]
    InUse {
        /// The noun.
        what: &'static str,
        /// Which.
        id: Uuid,
        /// What uses it, in words: `3 pods`.
        by: String,
    },
    /// An operation is at work on it: 409 with a link to the operation.
    #[error("operation {operation} is at work on it")]
    Locked {
        /// Which one.
        operation: OperationId,
    },
    /// It is not as the caller expected (`If-Match`): 412.
    #[error("the {what} {id} has changed since it was read")]
    Stale {
        /// The noun.
        what: &'static str,
        /// Which.
        id: Uuid,
    },
    /// Its state does not allow it: 409.
    #[error("{problem}")]
    InvalidState {
        /// The noun.
        what: &'static str,
        /// Which.
        id: Uuid,
        /// Why not, with what to do.
        problem: String,
    },
    /// An upload does not continue where the bytes that arrived end: 409 with the offset that is wanted.
    #[error("the upload goes on at byte {expected}, not {got}")]
    WrongOffset {
        /// Where it goes on.
        expected: u64,
        /// What was offered.
        got: u64,
    },
    /// No compute host takes the instance: 409 `no-capacity`.
    #[error("no compute host can take the instance")]
    NoCapacity {
        /// Every refusal, counted by reason.
        decision: Box<Decision>,
    },
    /// No storage pool takes the volume: 409 `no-capacity`.
    #[error("no storage pool can take the volume")]
    NoStorage {
        /// Pools refused, counted by reason (`hosts` counts pools here).
        refused: Vec<RefusalCount>,
    },
    /// A network, or a pod for its compute hosts, has no free address: 409 `no-addresses`.
    #[error("the {what} {name} has no free address")]
    NoAddresses {
        /// The noun: `network`, `pod`.
        what: &'static str,
        /// Which.
        id: Uuid,
        /// Its name.
        name: String,
    },
    /// The address that was asked for is taken: 409.
    #[error("the address {address} of the network {name} is not free")]
    AddressTaken {
        /// The address.
        address: std::net::Ipv4Addr,
        /// The network's name.
        name: String,
    },
    /// The address that was asked for is one of the network, and none of its ranges gives it: 409 `address-taken` too.
    #[error("the address {address} is in no IP range of the network {name}")]
    AddressInNoRange {
        /// The address.
        address: std::net::Ipv4Addr,
        /// The network's name.
        name: String,
    },
    /// One of several that are made together or not at all: as that one's own error, with which it is.
    #[error("{name}: {why}")]
    OfSeveral {
        /// JSON pointer into the request body: `/instances/2`.
        field: String,
        /// Its name.
        name: String,
        /// What is wrong with it.
        why: Box<ServiceError>,
    },
    /// What was shown does not authorize it: 401.
    #[error("{problem}")]
    Unauthenticated {
        /// Why not, with what to do.
        problem: String,
    },
    /// The idempotency key was used for another request: 422.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The policy failed and its fallback is to refuse: 503.
    #[error("the placement policy failed and may not be replaced: {problem}")]
    PolicyFailed {
        /// How it failed.
        problem: String,
        /// Seconds after which to try again.
        retry_after_s: u32,
    },
    /// Not now: 503 with `Retry-After`.
    #[error("{problem}")]
    Unavailable {
        /// What is going on.
        problem: String,
        /// Seconds after which to try again.
        retry_after_s: u32,
    },
    /// Another server owns the shard, or nobody does now; nothing was done: 503 with `Retry-After`, unless the border finds
    /// the owner.
    #[error("this server does not own the zone now")]
    NotOwner,
    /// A component is not accepted: 422.
    #[error(transparent)]
    PluginRefused(#[from] PluginRefused),
    /// Nobody whose word counts stands for a component: 422 `plugin-untrusted`.
    #[error("{problem}")]
    Untrusted {
        /// Why, with what to do.
        problem: String,
        /// The component.
        digest: Digest,
    },
    /// A component asks for what nobody granted yet: 422 `grant-needed`.
    #[error("{name} asks for {}what the operator has not granted", if *is_upgrade { "more than the version before: " } else { "" })]
    GrantNeeded {
        /// The component.
        digest: Digest,
        /// Name and version.
        name: String,
        /// Whether a version before it was granted something.
        is_upgrade: bool,
        /// What is new of what it asks for.
        new: Capabilities,
        /// All that it asks for: the grant that gives it everything.
        asks: Capabilities,
    },
    /// The database failed, or a row does not read: 500. The text is for the log, not for the caller.
    #[error("could not {attempt}")]
    Internal {
        /// What was attempted.
        attempt: &'static str,
        /// Why not.
        #[source]
        source: Box<StoreError>,
    },
}

/// Seconds after which a caller tries again when the writer or a planner is full: their queues drain in well under
/// one second, so one is the smallest honest answer.
pub(crate) const SOON_S: u32 = 1;
/// Seconds after which a caller tries again when this server does not own the shard: a lease runs for some seconds.
pub const LEASE_S: u32 = 5;

impl ServiceError {
    /// A refused field.
    pub(crate) fn invalid(
        field: impl Into<String>,
        problem: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self::Invalid {
            field: field.into(),
            problem: problem.into(),
            hint: hint.into(),
        }
    }

    /// A missing resource.
    pub(crate) fn not_found(what: &'static str, id: impl ToString) -> Self {
        Self::NotFound {
            what,
            id: id.to_string(),
        }
    }

    /// The same of a part of the body, with its field under `place`.
    pub(crate) fn within(self, place: &str) -> Self {
        match self {
            Self::Invalid { field, problem, hint } => Self::Invalid {
                field: format!("{place}{field}"),
                problem,
                hint,
            },
            other => other,
        }
    }

    /// An error of the store in the words of a caller. `attempt` completes "could not …".
    pub(crate) fn from_store(attempt: &'static str, error: StoreError) -> Self {
        match error {
            StoreError::Refused(refused) => Self::from_refusal(refused),
            StoreError::Busy { .. } => Self::Unavailable {
                problem: "too many changes wait to be written".into(),
                retry_after_s: SOON_S,
            },
            other => match other.trouble() {
                Some(trouble) => Self::away(attempt, trouble, &other),
                None => Self::Internal {
                    attempt,
                    source: Box::new(other),
                },
            },
        }
    }

    /// The database cannot be used now: not the caller's fault, and over some time.
    fn away(attempt: &'static str, trouble: Trouble, error: &StoreError) -> Self {
        tracing::warn!(
            attempt,
            error = error as &dyn std::error::Error,
            "the database cannot be used"
        );
        let problem = match trouble {
            Trouble::Away => "the database does not answer; nothing was changed",
            Trouble::Full => {
                "the disk of the database is full, so that nothing new can be taken; nothing was changed"
            }
            Trouble::Unknown => {
                "the database does not tell whether this was done: ask again under the same idempotency key"
            }
        };
        Self::Unavailable {
            problem: problem.into(),
            retry_after_s: LEASE_S,
        }
    }

    fn from_refusal(refused: Refused) -> Self {
        match refused {
            Refused::KeyReused => Self::KeyReused,
            Refused::NameTaken { table, name } => Self::NameTaken { what: table, name },
            Refused::Stale { table, id } => Self::Stale { what: table, id },
            Refused::NoRoom { table, id } => Self::InvalidState {
                what: table,
                id,
                problem: format!("the {table} {id} has no room for it"),
            },
            Refused::AddressTaken => Self::Unavailable {
                problem: "the address was taken meanwhile".into(),
                retry_after_s: SOON_S,
            },
            Refused::SlotTaken => Self::InvalidState {
                what: "volume",
                id: Uuid::nil(),
                problem: "the volume is attached already, or its slot was taken meanwhile".into(),
            },
            Refused::Locked { operation } => Self::Locked { operation },
            Refused::InUse { table, id, by } => Self::InUse { what: table, id, by },
            Refused::MissingReference { reference, .. } => Self::NotFound {
                what: "resource",
                id: reference,
            },
            Refused::Overlap { table, other } => Self::invalid(
                if table == "address range" {
                    "/first"
                } else {
                    "/cidr"
                },
                format!("overlaps {other}"),
                "choose addresses that nothing else has",
            ),
            Refused::Fenced { .. } => Self::NotOwner,
        }
    }
}
