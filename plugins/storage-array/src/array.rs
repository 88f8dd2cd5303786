//! The contract's verbs as requests to the array.

use serde::Deserialize;
use velum_guest::{
    codes::fault,
    common::{Attachment, Attr, Attrs as _, Fault, Initiator, Outcome},
    connect::http::Part,
    json_api::{Far, is_segment},
    provider::{Consumer, Descriptor, Space, Volume, VolumeInfo, VolumePage, VolumeSpec, code},
};

use crate::{
    rest::{Refused, Rest},
    words::{BegunBody, LunBody, MappingBody, NewLunBody, PageBody, PoolBody, ResizeBody, TaskBody},
};

/// The array counts in MiB.
const MIB: u64 = 1 << 20;
/// The largest lun that the array's data sheet names: 64 TiB.
const BYTES_MAX: u64 = 64 << 40;
/// Characters of a CHAP secret: what arrays and initiators agree on (12 to 16).
const SECRET_LENGTH: u16 = 16;
/// How soon to ask again for a copy: the array copies some hundred MiB a second.
const COPY_MS: u32 = 500;
/// Luns on a page: the array's own bound.
const PAGE: &str = "100";
/// Before our id in a lun's label, by which the array's operators see whose it is.
const LABEL: &str = "velum-";

/// Where names of secrets come from: the server makes and keeps them.
pub trait Secrets {
    /// The name of the secret for a purpose, made if there was none.
    ///
    /// # Errors
    /// That of the connector.
    fn name(&self, purpose: &str, length: u16) -> Result<String, Fault>;
}

/// Settings of a pool. `iqn_prefixes` is the server's to check; it is here to be known.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    pool: String,
    portals: Vec<String>,
    #[serde(rename = "iqn_prefixes")]
    _iqn_prefixes: Vec<String>,
}

/// A pool of the array.
#[derive(Debug)]
pub struct Pool<F, S> {
    rest: Rest<F>,
    secrets: S,
    settings: Settings,
}

/// What the provider can do. It makes layers as empty luns: the array cannot reach the image store, so the node's mover
/// writes the template.
#[must_use]
pub fn describe() -> Descriptor {
    Descriptor {
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        attachment_kinds: vec![code::ATTACH_ISCSI],
        formats: vec![code::FORMAT_RAW],
        granularity_bytes: MIB,
        min_bytes: MIB,
        max_bytes: BYTES_MAX,
        max_volumes: 0,
        features: vec![code::FEATURE_THIN, code::FEATURE_CLONE_INDEPENDENT],
        attrs: Vec::new(),
    }
}

fn segment<'a>(what: &str, name: &'a str) -> Result<&'a str, Fault> {
    if is_segment(name) {
        Ok(name)
    } else {
        Err(Fault::invalid(format!("{name:?} is no name of {what}")))
    }
}

fn lun_path(name: &str) -> Result<String, Fault> {
    Ok(format!("/api/v2/luns/{}", segment("a lun", name)?))
}

fn mapping_path(volume: &Volume, node: &str) -> Result<String, Fault> {
    let host = segment("a compute host", node)?;
    Ok(format!("{}/mappings/{host}", lun_path(&volume.backend_id)?))
}

fn host_path(node: &str) -> Result<String, Fault> {
    Ok(format!("/api/v2/hosts/{}", segment("a compute host", node)?))
}

/// The CHAP user of a compute host. Each has its own, so that none can log in as another.
fn user(node: &str) -> String {
    format!("velum-{node}")
}

fn made(lun: &str) -> Outcome {
    Outcome::Done(vec![Attr::text(code::DONE_BACKEND_ID, lun)])
}

/// The token of a copy: the lun that it makes, and the array's task where it is known.
fn copying(lun: &str, task: Option<&str>, percent: Option<u64>) -> Outcome {
    let token = match task {
        Some(task) => format!("{lun}/{task}"),
        None => lun.to_owned(),
    };
    let mut outcome = Outcome::working(token, COPY_MS, "the array is copying");
    if let Outcome::Working(job) = &mut outcome {
        job.permyriad = percent.and_then(|percent| u16::try_from(percent.min(100) * 100).ok());
        job.cancellable = task.is_some();
    }
    outcome
}

fn whole_mib(bytes: u64) -> Result<u64, Fault> {
    if bytes > 0 && bytes.is_multiple_of(MIB) && bytes <= BYTES_MAX {
        Ok(bytes / MIB)
    } else {
        Err(Fault::invalid(format!(
            "{bytes} bytes: a lun has whole MiB, up to {BYTES_MAX} bytes"
        )))
    }
}

impl<F: Far, S: Secrets> Pool<F, S> {
    /// The pool that the settings name.
    ///
    /// # Errors
    /// `invalid` names the field.
    pub fn at(rest: Rest<F>, secrets: S, settings: &str) -> Result<Self, Fault> {
        let wrong = |problem: String| Fault::invalid(format!("settings of the pool: {problem}"));
        let settings: Settings = serde_json::from_str(settings).map_err(|error| wrong(error.to_string()))?;
        if !is_segment(&settings.pool) {
            return Err(wrong("'pool' must name a pool of the array".to_owned()));
        }
        Ok(Self {
            rest,
            secrets,
            settings,
        })
    }

    /// Its space.
    ///
    /// # Errors
    /// That of the array.
    pub fn probe(&self) -> Result<Space, Fault> {
        let path = format!("/api/v2/pools/{}", self.settings.pool);
        let pool: PoolBody = self.rest.get(&path, &[])?;
        Ok(Space {
            capacity_bytes: pool.total_mb.saturating_mul(MIB),
            free_bytes: pool.free_mb.saturating_mul(MIB),
            attrs: Vec::new(),
        })
    }

    /// The lun that was made under our id: the array's only way to know a repetition is ours to know what is there.
    fn lun_of(&self, id: &str) -> Result<Option<LunBody>, Fault> {
        let query = [("pool", self.settings.pool.as_str()), ("clientRef", id)];
        let page: PageBody = self.rest.get("/api/v2/luns", &query)?;
        Ok(page.items.into_iter().find(|lun| lun.client_ref == id))
    }

    /// A lun by the array's name of it, if it is the one that we made for this volume.
    fn own_lun(&self, volume: &Volume) -> Result<Option<LunBody>, Fault> {
        let found: Option<LunBody> = self.rest.find(&lun_path(&volume.backend_id)?, &[])?;
        match found {
            Some(lun) if lun.client_ref != volume.id => Err(Fault::unchanged(
                fault::EXISTS_DIFFERENT,
                format!(
                    "the lun {} was made for {:?} and not for volume {}",
                    lun.lun_id, lun.client_ref, volume.id
                ),
            )),
            other => Ok(other),
        }
    }

    /// Makes a volume. What is there under our id is taken for it if it is the same; the array's answer to a second lun
    /// under one reference leads to the same place.
    ///
    /// # Errors
    /// `exists-different`, `unsupported` for what the array cannot copy, and those of the array.
    pub fn create(&self, spec: &VolumeSpec) -> Result<Outcome, Fault> {
        spec.attrs.refuse_unknown(&[])?;
        if spec.format != code::FORMAT_RAW {
            return Err(Fault::unsupported(format!(
                "format {}: luns are raw (1)",
                spec.format
            )));
        }
        let size_mb = whole_mib(spec.size_bytes)?;
        let source = match (spec.source.kind, &spec.source.of) {
            (code::SOURCE_BLANK | code::SOURCE_IMAGE, _) => None,
            (code::SOURCE_VOLUME | code::SOURCE_LAYER, Some(of)) => Some(of.backend_id.as_str()),
            (kind, _) => {
                return Err(Fault::unsupported(format!(
                    "source {kind}: this array copies luns, and its snapshots are not used"
                )));
            }
        };
        if let Some(there) = self.lun_of(&spec.id)? {
            return same(&there, size_mb, source);
        }
        let label = format!("{LABEL}{}", spec.id);
        let new = NewLunBody {
            pool: source.is_none().then_some(self.settings.pool.as_str()),
            label: &label,
            size_mb,
            client_ref: &spec.id,
        };
        let created = match source {
            None => self
                .rest
                .change::<LunBody>("POST", "/api/v2/luns", &new)
                .map(|lun| made(&lun.lun_id)),
            Some(source) => self
                .rest
                .change::<BegunBody>("POST", &format!("{}/copy", lun_path(source)?), &new)
                .map(|begun| copying(&begun.lun_id, Some(&begun.task_id), None)),
        };
        match created {
            // Another call with our id was faster.
            Err(refused) if refused.word == "DUPLICATE_CLIENT_REF" => match self.lun_of(&spec.id)? {
                Some(there) => same(&there, size_mb, source),
                None => Err(refused.fault),
            },
            created => Ok(created?),
        }
    }

    /// Removes a volume. Only one that we made for it.
    ///
    /// # Errors
    /// `busy` while it is mapped or copied, `exists-different`, and those of the array.
    pub fn delete(&self, volume: &Volume) -> Result<Outcome, Fault> {
        if self.own_lun(volume)?.is_none() {
            return Ok(Outcome::done());
        }
        gone(
            self.rest
                .act("DELETE", &lun_path(&volume.backend_id)?, Vec::new()),
        )?;
        Ok(Outcome::done())
    }

    /// Makes a volume larger; done when it has that size.
    ///
    /// # Errors
    /// `busy` while it is mapped, and those of the array.
    pub fn expand(&self, volume: &Volume, size_bytes: u64) -> Result<Outcome, Fault> {
        let size_mb = whole_mib(size_bytes)?;
        let lun = self
            .own_lun(volume)?
            .ok_or_else(|| Fault::not_found(format!("the array has no lun of volume {}", volume.id)))?;
        if lun.size_mb != size_mb {
            let path = format!("{}/resize", lun_path(&lun.lun_id)?);
            let _: LunBody = self.rest.change("POST", &path, &ResizeBody { size_mb })?;
        }
        Ok(Outcome::done())
    }

    /// Makes a volume reachable from one node: the node as a host of the array, with its initiators and a CHAP user of its
    /// own, then the mapping. Both are puts, and may be asked twice. The secret is named; the server puts it in.
    ///
    /// # Errors
    /// `unsupported` without an iSCSI name or for readers only, `busy`, and those of the array.
    pub fn publish(&self, volume: &Volume, to: &Consumer) -> Result<Outcome, Fault> {
        if to.mode == code::MODE_RO {
            return Err(Fault::unsupported(
                "the array maps luns for reading and writing only",
            ));
        }
        let names: Vec<&str> = to
            .initiators
            .iter()
            .filter(|Initiator { kind, .. }| *kind == code::INITIATOR_IQN)
            .map(|initiator| initiator.value.as_str())
            .collect();
        if names.is_empty() {
            return Err(Fault::unsupported(format!(
                "the compute host {} has no iSCSI name (IQN): is there a velum-node on it?",
                to.node
            )));
        }
        let mapping = mapping_path(volume, &to.node)?;
        self.put_host(&to.node, &names)?;
        match self.rest.act("PUT", &mapping, Vec::new()) {
            // The last lun of this host was unmapped between the two, and the host removed with it.
            Err(refused) if refused.word == "NO_SUCH_HOST" => {
                self.put_host(&to.node, &names)?;
                self.rest.act("PUT", &mapping, Vec::new())?;
            }
            other => other?,
        }
        Ok(Outcome::done())
    }

    fn put_host(&self, node: &str, initiators: &[&str]) -> Result<(), Fault> {
        let names = serde_json::Value::from(initiators).to_string();
        let user = serde_json::Value::from(user(node)).to_string();
        let before = format!(r#"{{"initiators":{names},"chap":{{"user":{user},"secret":""#);
        let body = vec![
            Part::Bytes(before.into_bytes()),
            // 1: as it stands inside of a JSON string.
            Part::Secret((self.secret(node)?, 1)),
            Part::Bytes(br#""}}"#.to_vec()),
        ];
        Ok(self.rest.act("PUT", &host_path(node)?, body)?)
    }

    /// The name of the secret of a compute host: a purpose has room for its id without the hyphens.
    fn secret(&self, node: &str) -> Result<String, Fault> {
        self.secrets.name(&node.replace('-', ""), SECRET_LENGTH)
    }

    /// Ends that. A host without luns goes with its CHAP user.
    ///
    /// # Errors
    /// Those of the array.
    pub fn unpublish(&self, volume: &Volume, node: &str) -> Result<Outcome, Fault> {
        gone(self.rest.act("DELETE", &mapping_path(volume, node)?, Vec::new()))?;
        match gone(self.rest.act("DELETE", &host_path(node)?, Vec::new())) {
            Err(refused) if refused.word == "HOST_HAS_MAPPINGS" => {}
            other => other?,
        }
        Ok(Outcome::done())
    }

    /// How a node reaches it. What the array says of portals and names the server checks against the pool's settings.
    ///
    /// # Errors
    /// Those of the array.
    pub fn reached_by(&self, volume: &Volume, node: &str) -> Result<Option<Attachment>, Fault> {
        let Some(mapping) = self.rest.find::<MappingBody>(&mapping_path(volume, node)?, &[])? else {
            return Ok(None);
        };
        let Some(lun) = self.own_lun(volume)? else {
            return Ok(None);
        };
        let portals = &self.settings.portals;
        let portal = mapping
            .portals
            .iter()
            .find(|portal| portals.contains(portal))
            .or(mapping.portals.first())
            .ok_or_else(|| Fault::unchanged(fault::FAILED, "the array names no portal"))?;
        Ok(Some(Attachment {
            kind: code::ATTACH_ISCSI,
            format: code::FORMAT_RAW,
            identity: lun.serial,
            size_bytes: lun.size_mb.saturating_mul(MIB),
            params: vec![
                Attr::text(code::PARAM_PORTAL, portal),
                Attr::text(code::PARAM_TARGET, mapping.target_iqn),
                Attr::number(code::PARAM_LUN, mapping.unit),
                Attr::text(code::PARAM_USER, user(node)),
            ],
            secret: Some(self.secret(node)?),
        }))
    }

    /// A volume by our id.
    ///
    /// # Errors
    /// Those of the array.
    pub fn find(&self, id: &str) -> Result<Option<VolumeInfo>, Fault> {
        Ok(self.lun_of(id)?.map(info))
    }

    /// A page of volumes: the array's luns that carry one of our ids.
    ///
    /// # Errors
    /// Those of the array.
    pub fn observe(&self, after: Option<&str>) -> Result<VolumePage, Fault> {
        let mut query = vec![("pool", self.settings.pool.as_str()), ("pageSize", PAGE)];
        query.extend(after.map(|after| ("pageToken", after)));
        let page: PageBody = self.rest.get("/api/v2/luns", &query)?;
        let ours = page.items.into_iter().filter(|lun| is_our_id(&lun.client_ref));
        Ok(VolumePage {
            volumes: ours.map(info).collect(),
            complete: true,
            next: page.next_page_token,
        })
    }

    /// How a copy goes on: by the array's task while it knows it, else by the lun.
    ///
    /// # Errors
    /// `failed` when the array gave the copy up, `not-found` when it knows nothing of it.
    pub fn poll(&self, token: &str) -> Result<Outcome, Fault> {
        let (lun, task) = split(token)?;
        if let Some(task) = task {
            let path = format!("/api/v2/tasks/{task}");
            if let Some(body) = self.rest.find::<TaskBody>(&path, &[])? {
                return match body.state.as_str() {
                    "done" => Ok(made(lun)),
                    "failed" => Err(Fault::new(
                        fault::FAILED,
                        format!("the array gave the copy up: {}", body.message),
                    )),
                    _ => Ok(copying(lun, Some(task), Some(body.percent))),
                };
            }
        }
        let found: LunBody = self.rest.get(&lun_path(lun)?, &[])?;
        Ok(if found.is_copying() {
            copying(lun, task, None)
        } else {
            made(lun)
        })
    }

    /// Ends a copy; the array removes what it made so far.
    ///
    /// # Errors
    /// `unsupported` when the task is not known, and those of the array.
    pub fn cancel(&self, token: &str) -> Result<Outcome, Fault> {
        let (_, task) = split(token)?;
        let task = task.ok_or_else(|| Fault::unsupported("the array's task of this copy is not known"))?;
        gone(
            self.rest
                .act("DELETE", &format!("/api/v2/tasks/{task}"), Vec::new()),
        )?;
        Ok(Outcome::done())
    }
}

/// Whether what is there is what is wanted.
fn same(there: &LunBody, size_mb: u64, source: Option<&str>) -> Result<Outcome, Fault> {
    if there.size_mb != size_mb || there.copied_from.as_deref() != source {
        return Err(Fault::unchanged(
            fault::EXISTS_DIFFERENT,
            format!(
                "the lun {} has {} MiB and is a copy of {:?}; {size_mb} MiB and {source:?} are wanted",
                there.lun_id, there.size_mb, there.copied_from
            ),
        ));
    }
    Ok(if there.is_copying() {
        copying(&there.lun_id, None, None)
    } else {
        made(&there.lun_id)
    })
}

/// What is not there need not be removed.
fn gone(answer: Result<(), Refused>) -> Result<(), Refused> {
    match answer {
        Err(refused) if refused.fault.code == fault::NOT_FOUND => Ok(()),
        other => other,
    }
}

fn split(token: &str) -> Result<(&str, Option<&str>), Fault> {
    let (lun, task) = match token.split_once('/') {
        Some((lun, task)) => (lun, Some(segment("a task", task)?)),
        None => (token, None),
    };
    Ok((segment("a lun", lun)?, task))
}

/// Eight, four, four, four and twelve hexadecimal digits: only we write such references.
fn is_our_id(text: &str) -> bool {
    let mut parts = text.split('-');
    let fits = [8, 4, 4, 4, 12].into_iter().all(|length| {
        parts
            .next()
            .is_some_and(|part| part.len() == length && part.bytes().all(|b| b.is_ascii_hexdigit()))
    });
    fits && parts.next().is_none()
}

fn info(lun: LunBody) -> VolumeInfo {
    VolumeInfo {
        size_bytes: lun.size_mb.saturating_mul(MIB),
        allocated_bytes: Some(lun.used_mb.saturating_mul(MIB)),
        // Copies are whole: none depends on its source.
        parent: None,
        state: if lun.is_copying() {
            code::STATE_CREATING
        } else {
            code::STATE_READY
        },
        published: lun.mapped_to,
        attrs: Vec::new(),
        volume: Volume {
            id: lun.client_ref,
            backend_id: lun.lun_id,
        },
    }
}
