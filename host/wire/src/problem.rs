//! What is answered when a request is refused: RFC 9457 problem details.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The media type of a [`Problem`].
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Why a request was refused (RFC 9457). `type` is stable and may be matched on; words may change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Which problem: a URI reference such as `/problems/no-capacity`. Stable.
    #[serde(rename = "type")]
    #[schema(example = "/problems/invalid")]
    pub kind: String,
    /// The problem in general, in words.
    pub title: String,
    /// The HTTP status, repeated.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// This occurrence, in words: what is wrong and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Fields of the request that are wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldProblem>,
    /// Link of the operation that is at work on the resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "/v1/operations/018f3f3e-7a5b-7c3d-8e9f-0123456789ab")]
    pub operation: Option<String>,
    /// Why compute hosts were refused, most frequent reason first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refusals: Vec<RefusalView>,
    /// What still uses the resource, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "3 pods")]
    pub used_by: Option<String>,
    /// The component in question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// What the component asks for and nobody granted yet, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asks: Vec<WishView>,
    /// All that the component asks for: what to send as `grant` to give it everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub grant: Option<serde_json::Value>,
    /// Names the request in the server's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// Something that a component asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WishView {
    /// The connector.
    #[schema(example = "http")]
    pub connector: String,
    /// The role within it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "api")]
    pub role: Option<String>,
    /// What it would let the plugin do.
    #[schema(example = "HTTP requests to the target's own origin: GET, POST below /v1/")]
    pub words: String,
}

/// A field of a request that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldProblem {
    /// JSON pointer into the body (`/networks/0/address`), or the name of a query parameter after `?` (`?limit`), or that
    /// of a header after `:` (`:if-match`).
    #[schema(example = "/memory_mib")]
    pub pointer: String,
    /// What is wrong and what would be right.
    #[schema(example = "must be between 16 and 16777216 MiB, not 3")]
    pub problem: String,
}

/// How many compute hosts were refused for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusalView {
    /// Stable: `memory`, `vcpus`, `tag:ssd`, `policy:7`, …
    #[schema(example = "memory")]
    pub reason: String,
    /// In words.
    #[schema(example = "not enough memory free")]
    pub words: String,
    /// How many.
    pub hosts: u32,
}
