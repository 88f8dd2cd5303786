//! The contract's verbs as requests to the array.

use velum_guest::{
    common::{Attachment, Attr, Attrs as _, Fault, Outcome},
    config::Config,
    json_api::{Api, Changed, Far, is_segment},
    provider::{Consumer, Descriptor, Space, VolumeInfo, VolumePage, VolumeSpec, code},
};

use crate::words::{
    AttachmentBody, CreateBody, DoneBody, ExpandBody, InfoBody, PageBody, PoolBody, PublishBody,
};

/// The array counts in MiB.
const MIB: u64 = 1 << 20;
/// The array itself allows what fits its pool; this only keeps sizes within what 64 TiB arrays sell.
const BYTES_MAX: u64 = 64 << 40;

/// A pool of the array.
#[derive(Debug)]
pub struct Pool<F> {
    api: Api<F>,
    path: String,
}

/// What the provider can do.
#[must_use]
pub fn describe() -> Descriptor {
    Descriptor {
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        attachment_kinds: vec![code::ATTACH_SIMULATED],
        formats: vec![code::FORMAT_RAW],
        granularity_bytes: MIB,
        min_bytes: MIB,
        max_bytes: BYTES_MAX,
        max_volumes: 0,
        features: vec![code::FEATURE_THIN, code::FEATURE_FILLS_LAYERS],
        attrs: Vec::new(),
    }
}

fn outcome(changed: Changed<DoneBody>) -> Outcome {
    changed.outcome(|done| {
        done.backend_id
            .map(|name| Attr::text(code::DONE_BACKEND_ID, name))
            .into_iter()
            .collect()
    })
}

impl<F: Far> Pool<F> {
    /// The pool that the settings name.
    ///
    /// # Errors
    /// `invalid` names the field.
    pub fn at(api: Api<F>, settings: &str) -> Result<Self, Fault> {
        let read = |json| {
            let config = Config::parse(json)?;
            let pool = config.text("pool", "")?;
            config.finish()?;
            if is_segment(&pool) {
                Ok(pool)
            } else {
                Err("'pool' must name a pool of the far side".to_owned())
            }
        };
        let pool = read(settings)
            .map_err(|problem: String| Fault::invalid(format!("settings of the pool: {problem}")))?;
        Ok(Self {
            api,
            path: format!("/pools/{pool}"),
        })
    }

    fn below(&self, kind: &str, name: &str) -> Result<String, Fault> {
        if is_segment(name) {
            Ok(format!("{}/{kind}/{name}", self.path))
        } else {
            Err(Fault::invalid(format!(
                "{name:?} is no name of the far side's {kind}"
            )))
        }
    }

    fn publication(&self, id: &str, node: &str) -> Result<String, Fault> {
        if is_segment(node) {
            Ok(format!("{}/publications/{node}", self.below("volumes", id)?))
        } else {
            Err(Fault::invalid(format!("{node:?} is no id of a compute host")))
        }
    }

    /// Its space.
    ///
    /// # Errors
    /// That of the array.
    pub fn probe(&self) -> Result<Space, Fault> {
        let pool: PoolBody = self.api.get(&self.path, &[])?;
        Ok(Space {
            capacity_bytes: pool.capacity_bytes,
            free_bytes: pool.free_bytes,
            attrs: Vec::new(),
        })
    }

    /// Makes a volume.
    ///
    /// # Errors
    /// `unsupported` for a critical attribute, and those of the array.
    pub fn create(&self, spec: &VolumeSpec) -> Result<Outcome, Fault> {
        spec.attrs.refuse_unknown(&[])?;
        let path = self.below("volumes", &spec.id)?;
        self.api
            .change_to("PUT", &path, &CreateBody::of(spec))
            .map(outcome)
    }

    /// Removes a volume.
    ///
    /// # Errors
    /// Those of the array.
    pub fn delete(&self, id: &str) -> Result<Outcome, Fault> {
        self.api
            .change("DELETE", &self.below("volumes", id)?)
            .map(outcome)
    }

    /// Makes a volume larger.
    ///
    /// # Errors
    /// Those of the array.
    pub fn expand(&self, id: &str, size_bytes: u64) -> Result<Outcome, Fault> {
        let path = format!("{}/expand", self.below("volumes", id)?);
        self.api
            .change_to("POST", &path, &ExpandBody { size_bytes })
            .map(outcome)
    }

    /// Makes it reachable from one node.
    ///
    /// # Errors
    /// Those of the array.
    pub fn publish(&self, id: &str, to: &Consumer) -> Result<Outcome, Fault> {
        let path = self.publication(id, &to.node)?;
        self.api
            .change_to("PUT", &path, &PublishBody::of(to))
            .map(outcome)
    }

    /// Ends that.
    ///
    /// # Errors
    /// Those of the array.
    pub fn unpublish(&self, id: &str, node: &str) -> Result<Outcome, Fault> {
        self.api
            .change("DELETE", &self.publication(id, node)?)
            .map(outcome)
    }

    /// How a node reaches it.
    ///
    /// # Errors
    /// Those of the array.
    pub fn reached_by(&self, id: &str, node: &str) -> Result<Option<Attachment>, Fault> {
        let found: Option<AttachmentBody> = self.api.find(&self.publication(id, node)?, &[])?;
        Ok(found.map(Attachment::from))
    }

    /// A volume by our id.
    ///
    /// # Errors
    /// Those of the array.
    pub fn find(&self, id: &str) -> Result<Option<VolumeInfo>, Fault> {
        let found: Option<InfoBody> = self.api.find(&self.below("volumes", id)?, &[])?;
        Ok(found.map(VolumeInfo::from))
    }

    /// A page of volumes.
    ///
    /// # Errors
    /// Those of the array.
    pub fn observe(&self, after: Option<&str>) -> Result<VolumePage, Fault> {
        let query: Vec<(&str, &str)> = after.map(|after| ("after", after)).into_iter().collect();
        let page: PageBody = self.api.get(&format!("{}/volumes", self.path), &query)?;
        Ok(VolumePage {
            volumes: page.volumes.into_iter().map(VolumeInfo::from).collect(),
            complete: page.complete,
            next: page.next,
        })
    }

    /// How long work goes on.
    ///
    /// # Errors
    /// Those of the array; `not-found` when it knows nothing of it.
    pub fn poll(&self, token: &str) -> Result<Outcome, Fault> {
        self.api.change("GET", &self.below("jobs", token)?).map(outcome)
    }

    /// Ends long work.
    ///
    /// # Errors
    /// Those of the array.
    pub fn cancel(&self, token: &str) -> Result<Outcome, Fault> {
        self.api
            .change("DELETE", &self.below("jobs", token)?)
            .map(outcome)
    }
}
