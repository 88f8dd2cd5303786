//! The array's JSON. It counts in MiB and calls them MB.

use serde::{Deserialize, Serialize};

/// A pool.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolBody {
    /// All of it.
    pub total_mb: u64,
    /// What is not promised yet.
    pub free_mb: u64,
}

/// A lun.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LunBody {
    /// The array's name of it.
    pub lun_id: String,
    /// Its size.
    pub size_mb: u64,
    /// What it occupies.
    pub used_mb: u64,
    /// What the unit itself says of itself.
    pub serial: String,
    /// What it was made under; ours is our id of the volume.
    pub client_ref: String,
    /// `online` or `copying`.
    pub status: String,
    /// What it is a copy of.
    pub copied_from: Option<String>,
    /// Hosts that reach it.
    #[serde(default)]
    pub mapped_to: Vec<String>,
}

impl LunBody {
    /// Whether its content is not whole yet.
    #[must_use]
    pub fn is_copying(&self) -> bool {
        self.status != "online"
    }
}

/// A page of luns.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PageBody {
    /// The luns.
    pub items: Vec<LunBody>,
    /// Where the next page begins.
    pub next_page_token: Option<String>,
}

/// A lun to be made, empty or as a copy.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewLunBody<'a> {
    /// Where; copies are made where their source is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<&'a str>,
    /// What the array's own operators read.
    pub label: &'a str,
    /// Its size.
    pub size_mb: u64,
    /// The only thing by which the array knows a repetition.
    pub client_ref: &'a str,
}

/// A lun's new size.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResizeBody {
    /// In MiB.
    pub size_mb: u64,
}

/// A copy that was begun.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BegunBody {
    /// The work.
    pub task_id: String,
    /// What it makes.
    pub lun_id: String,
}

/// Work.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskBody {
    /// `running`, `done` or `failed`.
    pub state: String,
    /// Of a hundred.
    pub percent: u64,
    /// Why it failed.
    #[serde(default)]
    pub message: String,
}

/// How a host reaches a lun.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MappingBody {
    /// Number of the unit at the target.
    pub unit: u64,
    /// Name of the target.
    pub target_iqn: String,
    /// Where the target is reached.
    pub portals: Vec<String>,
}

/// An error.
#[derive(Debug, Deserialize)]
pub struct RefusalBody {
    /// What it is.
    pub error: ErrorBody,
}

/// What an error is.
#[derive(Debug, Deserialize)]
pub struct ErrorBody {
    /// A word for programs.
    pub code: String,
    /// Words for people.
    #[serde(default)]
    pub message: String,
}
