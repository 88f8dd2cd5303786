//! The far side's JSON. Its shapes are in `host/sim/README.md`.

use serde::{Deserialize, Serialize};
use velum_guest::{
    common::{Attachment, Attrs as _, Initiator},
    provider::{Consumer, Volume, VolumeInfo, VolumeSpec, code},
};

/// A volume as it is ordered.
#[derive(Debug, Serialize)]
pub struct CreateBody<'a> {
    size_bytes: u64,
    format: u16,
    source: SourceBody<'a>,
    image: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct SourceBody<'a> {
    kind: u16,
    of: Option<RefBody<'a>>,
}

#[derive(Debug, Serialize)]
struct RefBody<'a> {
    id: &'a str,
    backend_id: &'a str,
}

impl<'a> CreateBody<'a> {
    /// Of a spec.
    pub fn of(spec: &'a VolumeSpec) -> Self {
        let of = spec.source.of.as_ref();
        Self {
            size_bytes: spec.size_bytes,
            format: spec.format,
            source: SourceBody {
                kind: spec.source.kind,
                of: of.map(|Volume { id, backend_id }| RefBody { id, backend_id }),
            },
            image: spec
                .attrs
                .text(code::SPEC_IMAGE_REF)
                .filter(|_| spec.source.kind == code::SOURCE_IMAGE),
        }
    }
}

/// What came of it. Changes that make nothing say nothing.
#[derive(Debug, Default, Deserialize)]
pub struct DoneBody {
    /// The array's own name of the volume.
    pub backend_id: Option<String>,
}

/// A volume's new size.
#[derive(Debug, Serialize)]
pub struct ExpandBody {
    /// In bytes.
    pub size_bytes: u64,
}

/// Who is to reach a volume.
#[derive(Debug, Serialize)]
pub struct PublishBody<'a> {
    initiators: Vec<InitiatorBody<'a>>,
    mode: u16,
}

#[derive(Debug, Serialize)]
struct InitiatorBody<'a> {
    kind: u16,
    value: &'a str,
}

impl<'a> PublishBody<'a> {
    /// Of a consumer.
    pub fn of(to: &'a Consumer) -> Self {
        let initiators = to
            .initiators
            .iter()
            .map(|Initiator { kind, value }| InitiatorBody { kind: *kind, value });
        Self {
            initiators: initiators.collect(),
            mode: to.mode,
        }
    }
}

/// A pool.
#[derive(Debug, Deserialize)]
pub struct PoolBody {
    /// All of it.
    pub capacity_bytes: u64,
    /// What is free.
    pub free_bytes: u64,
}

/// How a node reaches a volume. The simulated far side has no parameters.
#[derive(Debug, Deserialize)]
pub struct AttachmentBody {
    kind: u16,
    format: u16,
    identity: String,
    size_bytes: u64,
}

impl From<AttachmentBody> for Attachment {
    fn from(body: AttachmentBody) -> Self {
        Self {
            kind: body.kind,
            format: body.format,
            identity: body.identity,
            size_bytes: body.size_bytes,
            params: Vec::new(),
            secret: None,
        }
    }
}

/// What the array says of a volume.
#[derive(Debug, Deserialize)]
pub struct InfoBody {
    id: String,
    backend_id: String,
    size_bytes: u64,
    allocated_bytes: Option<u64>,
    parent: Option<String>,
    state: u16,
    published: Vec<String>,
}

impl From<InfoBody> for VolumeInfo {
    fn from(body: InfoBody) -> Self {
        Self {
            volume: Volume {
                id: body.id,
                backend_id: body.backend_id,
            },
            size_bytes: body.size_bytes,
            allocated_bytes: body.allocated_bytes,
            parent: body.parent,
            state: body.state,
            published: body.published,
            attrs: Vec::new(),
        }
    }
}

/// A page of volumes.
#[derive(Debug, Deserialize)]
pub struct PageBody {
    /// The volumes.
    pub volumes: Vec<InfoBody>,
    /// Whether everything was seen.
    pub complete: bool,
    /// Where the next page begins.
    pub next: Option<String>,
}
