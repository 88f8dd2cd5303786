//! The provider: each verb as requests to Acme's API, and what its answers mean.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use velum_guest::{
    codes::fault,
    common::{Attachment, Attr, Attrs as _, Fault, Outcome},
    config::Config,
    connect::http::{Part, Request, Response},
    json_api::{Far, is_segment},
    provider::{Consumer, Descriptor, Space, Volume, VolumeInfo, VolumePage, VolumeSpec, code},
};

/// Acme counts in MiB.
const MIB: u64 = 1 << 20;
/// What Acme's largest array holds.
const BYTES_MAX: u64 = 64 << 40;

/// A pool behind the API.
#[derive(Debug)]
pub struct Pool<F> {
    far: F,
    name: String,
}

/// A volume in Acme's words.
#[derive(Debug, Deserialize)]
struct Lun {
    id: String,
    name: String,
    size_bytes: u64,
    clone_of: Option<String>,
    hosts: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Order<'a> {
    size_bytes: u64,
    clone_of: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct Size {
    size_bytes: u64,
}

#[derive(Debug, Serialize)]
struct Export<'a> {
    initiators: Vec<&'a str>,
    readonly: bool,
}

#[derive(Debug, Deserialize)]
struct Exported {
    wwn: String,
    size_bytes: u64,
}

#[derive(Debug, Deserialize)]
struct Page {
    luns: Vec<Lun>,
    next: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Room {
    capacity_bytes: u64,
    free_bytes: u64,
}

/// What the provider can do.
#[must_use]
pub fn describe() -> Descriptor {
    Descriptor {
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        attachment_kinds: vec![code::ATTACH_BLOCK],
        formats: vec![code::FORMAT_RAW],
        granularity_bytes: MIB,
        min_bytes: MIB,
        max_bytes: BYTES_MAX,
        max_volumes: 0,
        features: vec![code::FEATURE_THIN],
        attrs: Vec::new(),
    }
}

impl<F: Far> Pool<F> {
    /// The pool that the operator's settings name.
    ///
    /// # Errors
    /// `invalid` names the field.
    pub fn at(far: F, settings: &str) -> Result<Self, Fault> {
        let name = Config::parse(settings)
            .and_then(|config| {
                let pool = config.text("pool", "")?;
                config.finish().map(|()| pool)
            })
            .map_err(|problem| Fault::invalid(format!("settings of the pool: {problem}")))?;
        if !is_segment(&name) {
            return Err(Fault::invalid(
                "settings of the pool: 'pool' must be its name",
            ));
        }
        Ok(Self { far, name })
    }

    /// Its space.
    ///
    /// # Errors
    /// Those of the API.
    pub fn probe(&self) -> Result<Space, Fault> {
        let room: Room = self
            .get("", &[])?
            .ok_or_else(|| Fault::not_found("there is no such pool"))?;
        Ok(Space {
            capacity_bytes: room.capacity_bytes,
            free_bytes: room.free_bytes,
            attrs: Vec::new(),
        })
    }

    /// Makes a volume, or finds that it is there as ordered.
    ///
    /// # Errors
    /// `exists-different` when it is there and is another, `unsupported` for what Acme cannot do, and those of the API.
    pub fn create(&self, spec: &VolumeSpec) -> Result<Outcome, Fault> {
        spec.attrs.refuse_unknown(&[])?;
        if spec.format != code::FORMAT_RAW {
            return Err(Fault::unsupported("volumes are raw here"));
        }
        let clone_of = match (spec.source.kind, &spec.source.of) {
            (code::SOURCE_BLANK | code::SOURCE_IMAGE, _) => None,
            (code::SOURCE_LAYER | code::SOURCE_VOLUME | code::SOURCE_SNAPSHOT, Some(of)) => {
                Some(of.id.as_str())
            }
            (kind, _) => {
                return Err(Fault::unsupported(format!(
                    "volumes do not begin as {kind} here"
                )));
            }
        };
        let order = Order {
            size_bytes: spec.size_bytes,
            clone_of,
        };
        self.change("PUT", &lun(&spec.id)?, Some(written(&order)?), false)?;
        let made = self.find(&spec.id)?.ok_or_else(|| {
            Fault::new(
                fault::FAILED,
                "the API took the order, and the volume is not there",
            )
        })?;
        if made.size_bytes != spec.size_bytes {
            let is = format!("{} is there with {} bytes", spec.id, made.size_bytes);
            return Err(Fault::unchanged(fault::EXISTS_DIFFERENT, is));
        }
        Ok(Outcome::Done(vec![Attr::text(
            code::DONE_BACKEND_ID,
            made.volume.backend_id,
        )]))
    }

    /// Removes a volume; done when it is gone or never was.
    ///
    /// # Errors
    /// `busy` while it is published or another depends on it, and those of the API.
    pub fn delete(&self, id: &str) -> Result<Outcome, Fault> {
        self.change("DELETE", &lun(id)?, None, true)
    }

    /// Makes a volume larger; done if it already has this size.
    ///
    /// # Errors
    /// Those of the API.
    pub fn expand(&self, id: &str, size_bytes: u64) -> Result<Outcome, Fault> {
        let body = written(&Size { size_bytes })?;
        self.change("POST", &format!("{}/resize", lun(id)?), Some(body), false)
    }

    /// Makes it reachable from one compute host.
    ///
    /// # Errors
    /// Those of the API.
    pub fn publish(&self, id: &str, to: &Consumer) -> Result<Outcome, Fault> {
        let body = written(&Export {
            initiators: to
                .initiators
                .iter()
                .map(|initiator| initiator.value.as_str())
                .collect(),
            readonly: to.mode == code::MODE_RO,
        })?;
        self.change("PUT", &export(id, &to.node)?, Some(body), false)
    }

    /// Ends that; done when it is so or never was otherwise.
    ///
    /// # Errors
    /// Those of the API.
    pub fn unpublish(&self, id: &str, node: &str) -> Result<Outcome, Fault> {
        self.change("DELETE", &export(id, node)?, None, true)
    }

    /// How a compute host reaches it; none when it cannot.
    ///
    /// # Errors
    /// Those of the API.
    pub fn reached_by(&self, id: &str, node: &str) -> Result<Option<Attachment>, Fault> {
        let found: Option<Exported> = self.get(&export(id, node)?, &[])?;
        Ok(found.map(|exported| Attachment {
            kind: code::ATTACH_BLOCK,
            format: code::FORMAT_RAW,
            size_bytes: exported.size_bytes,
            params: vec![Attr::text(
                code::PARAM_PATH,
                format!("/dev/disk/by-id/wwn-{}", exported.wwn),
            )],
            identity: exported.wwn,
            secret: None,
        }))
    }

    /// A volume by our id.
    ///
    /// # Errors
    /// Those of the API.
    pub fn find(&self, id: &str) -> Result<Option<VolumeInfo>, Fault> {
        let found: Option<Lun> = self.get(&lun(id)?, &[])?;
        Ok(found.map(info))
    }

    /// A page of all volumes that are ours.
    ///
    /// # Errors
    /// Those of the API.
    pub fn observe(&self, after: Option<&str>) -> Result<VolumePage, Fault> {
        let query: Vec<(&str, &str)> = after.map(|after| ("after", after)).into_iter().collect();
        let page: Page = self
            .get("/luns", &query)?
            .ok_or_else(|| Fault::not_found("there is no such pool"))?;
        Ok(VolumePage {
            volumes: page.luns.into_iter().map(info).collect(),
            complete: true,
            next: page.next,
        })
    }

    /// Reads; none for what is not there.
    fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Option<T>, Fault> {
        let response = self.send("GET", path, query, None)?;
        match response.status {
            200 => serde_json::from_slice(&response.body)
                .map(Some)
                .map_err(|error| {
                    Fault::unchanged(fault::NONSENSE, format!("the API's answer: {error}"))
                }),
            404 => Ok(None),
            // Reading changes nothing, whatever went wrong.
            _ => Err(Fault {
                unchanged: true,
                ..refused(&response)
            }),
        }
    }

    /// Sends a change. The API takes the same one twice; what is gone already is as it should be where `gone_is_fine`.
    fn change(
        &self,
        method: &str,
        path: &str,
        body: Option<Vec<u8>>,
        gone_is_fine: bool,
    ) -> Result<Outcome, Fault> {
        let response = self.send(method, path, &[], body)?;
        match response.status {
            200..=204 => Ok(Outcome::done()),
            404 if gone_is_fine => Ok(Outcome::done()),
            _ => Err(refused(&response)),
        }
    }

    fn send(
        &self,
        method: &str,
        path: &str,
        query: &[(&str, &str)],
        body: Option<Vec<u8>>,
    ) -> Result<Response, Fault> {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        self.far.send(Request {
            method: method.to_owned(),
            path: format!("/api/pools/{}{path}", self.name),
            query: query.iter().map(own).collect(),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.map(Part::Bytes).into_iter().collect(),
            timeout_ms: 0,
        })
    }
}

fn lun(id: &str) -> Result<String, Fault> {
    if is_segment(id) {
        Ok(format!("/luns/{id}"))
    } else {
        Err(Fault::invalid(format!("{id:?} is no id of a volume")))
    }
}

fn export(id: &str, node: &str) -> Result<String, Fault> {
    if is_segment(node) {
        Ok(format!("{}/hosts/{node}", lun(id)?))
    } else {
        Err(Fault::invalid(format!(
            "{node:?} is no id of a compute host"
        )))
    }
}

fn info(lun: Lun) -> VolumeInfo {
    VolumeInfo {
        volume: Volume {
            id: lun.id,
            backend_id: lun.name,
        },
        size_bytes: lun.size_bytes,
        allocated_bytes: None,
        parent: lun.clone_of,
        state: code::STATE_READY,
        published: lun.hosts,
        attrs: Vec::new(),
    }
}

fn written(body: &impl Serialize) -> Result<Vec<u8>, Fault> {
    serde_json::to_vec(body).map_err(|error| Fault::invalid(format!("write a request: {error}")))
}

/// What a status of the API means. Only where it certainly refused before it did anything, nothing changed.
fn refused(response: &Response) -> Fault {
    let detail = format!(
        "the API answered {}: {}",
        response.status,
        String::from_utf8_lossy(&response.body)
    );
    match response.status {
        400 | 405 | 422 => Fault::unchanged(fault::INVALID, detail),
        401 | 403 => Fault::unchanged(fault::DENIED, detail),
        404 => Fault::unchanged(fault::NOT_FOUND, detail),
        409 => Fault::unchanged(fault::BUSY, detail).retry_after(1000),
        507 => Fault::unchanged(fault::EXHAUSTED, detail),
        _ => Fault::new(fault::FAILED, detail),
    }
}
