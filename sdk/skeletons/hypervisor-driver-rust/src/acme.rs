//! The driver: each verb as requests to Acme's API, and what its answers mean.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use velum_guest::{
    codes::{fault, storage},
    common::{Attrs as _, Fault, Outcome},
    config::Config,
    connect::http::{Part, Request, Response},
    driver::{Disk, GuestSpec, Inventory, NodeFacts, Observed, code},
    json_api::{Far, is_segment},
};

/// A compute host behind the API.
#[derive(Debug)]
pub struct Host<F> {
    far: F,
    name: String,
}

/// A run on it: one incarnation of a guest.
#[derive(Debug)]
pub struct RunAt<'a, F> {
    host: &'a Host<F>,
    id: String,
    generation: u64,
}

/// A guest in Acme's words.
#[derive(Debug, Serialize, Deserialize)]
struct Guest {
    id: String,
    generation: u64,
    cpus: u32,
    memory_mib: u64,
    disks: Vec<GuestDisk>,
    nics: Vec<GuestNic>,
    /// `on`, `off`, `stopping`, or something newer.
    #[serde(default)]
    power: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct GuestDisk {
    slot: u16,
    identity: String,
    path: String,
    readonly: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct GuestNic {
    mac: String,
    bridge: String,
}

#[derive(Debug, Serialize)]
struct Power<'a> {
    power: &'a str,
}

#[derive(Debug, Deserialize)]
struct Page {
    guests: Vec<Guest>,
    next: Option<String>,
    boot: String,
    report: u64,
}

#[derive(Debug, Deserialize)]
struct Facts {
    boot: String,
    cpus: u32,
    memory_mib: u64,
    model: String,
}

impl<F: Far> Host<F> {
    /// The compute host that the operator's settings name.
    ///
    /// # Errors
    /// `invalid` names the field.
    pub fn at(far: F, settings: &str) -> Result<Self, Fault> {
        let name = Config::parse(settings)
            .and_then(|config| {
                let host = config.text("host", "")?;
                config.finish().map(|()| host)
            })
            .map_err(|problem| {
                Fault::invalid(format!("settings of the compute host: {problem}"))
            })?;
        if !is_segment(&name) {
            return Err(Fault::invalid(
                "settings of the compute host: 'host' must be its name",
            ));
        }
        Ok(Self { far, name })
    }

    /// A run of it.
    ///
    /// # Errors
    /// `invalid` when the id cannot stand in a path.
    pub fn run(&self, id: &str, generation: u64) -> Result<RunAt<'_, F>, Fault> {
        if !is_segment(id) {
            return Err(Fault::invalid(format!("{id:?} is no id of a run")));
        }
        Ok(RunAt {
            host: self,
            id: id.to_owned(),
            generation,
        })
    }

    /// What the compute host is.
    ///
    /// # Errors
    /// Those of the API.
    pub fn probe(&self) -> Result<NodeFacts, Fault> {
        let facts: Facts = self
            .get("", &[])?
            .ok_or_else(|| Fault::not_found("there is no such host"))?;
        Ok(NodeFacts {
            node: self.name.clone(),
            boot_id: facts.boot,
            vcpus: facts.cpus,
            memory_mib: facts.memory_mib,
            arch: code::ARCH_X86_64,
            cpu_baseline: facts.model,
            initiators: Vec::new(),
            devices: Vec::new(),
            attrs: Vec::new(),
        })
    }

    /// A page of all runs that are ours.
    ///
    /// # Errors
    /// Those of the API.
    pub fn observe(&self, after: Option<&str>) -> Result<Inventory, Fault> {
        let query: Vec<(&str, &str)> = after.map(|after| ("after", after)).into_iter().collect();
        let page: Page = self
            .get("/guests", &query)?
            .ok_or_else(|| Fault::not_found("there is no such host"))?;
        Ok(Inventory {
            boot_id: page.boot,
            sequence: page.report,
            complete: true,
            runs: page
                .guests
                .into_iter()
                .map(|guest| self.seen(guest))
                .collect(),
            next: page.next,
        })
    }

    fn seen(&self, guest: Guest) -> Observed {
        Observed {
            run_id: guest.id,
            node: self.name.clone(),
            state: match guest.power.as_str() {
                "on" => code::STATE_RUNNING,
                "off" => code::STATE_OFF,
                "stopping" => code::STATE_STOPPING,
                _ => code::STATE_UNKNOWN,
            },
            reason: 0,
            generation: guest.generation,
            spec_digest: String::new(),
            disks: guest
                .disks
                .into_iter()
                .map(|disk| (disk.slot, disk.identity))
                .collect(),
            attrs: Vec::new(),
        }
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
            path: format!("/api/hosts/{}{path}", self.name),
            query: query.iter().map(own).collect(),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.map(Part::Bytes).into_iter().collect(),
            timeout_ms: 0,
        })
    }
}

impl<F: Far> RunAt<'_, F> {
    fn path(&self) -> String {
        format!("/guests/{}", self.id)
    }

    /// Sends a change. The API takes the same one twice; what is gone already is as it should be where `gone_is_fine`.
    fn change(
        &self,
        method: &str,
        path: &str,
        body: Option<Vec<u8>>,
        gone_is_fine: bool,
    ) -> Result<Outcome, Fault> {
        let response = self.host.send(method, path, &[], body)?;
        match response.status {
            200..=204 => Ok(Outcome::done()),
            404 if gone_is_fine => Ok(Outcome::done()),
            _ => Err(refused(&response)),
        }
    }

    /// Defines the run, or brings it to this spec; does not start it.
    ///
    /// # Errors
    /// `unsupported` for what Acme cannot do, and those of the API.
    pub fn ensure(&self, spec: &GuestSpec) -> Result<Outcome, Fault> {
        spec.attrs.refuse_unknown(&[])?;
        let guest = Guest {
            id: self.id.clone(),
            generation: self.generation,
            cpus: spec.vcpus,
            memory_mib: spec.memory_mib,
            disks: spec.disks.iter().map(disk).collect::<Result<_, _>>()?,
            nics: spec
                .nics
                .iter()
                .map(|nic| GuestNic {
                    mac: nic.mac.clone(),
                    bridge: nic.link.clone(),
                })
                .collect(),
            power: String::new(),
        };
        self.change("PUT", &self.path(), Some(written(&guest)?), false)
    }

    /// Starts it; defines it first where the API has forgotten it.
    ///
    /// # Errors
    /// Those of the API.
    pub fn start(&self, spec: &GuestSpec) -> Result<Outcome, Fault> {
        if self.observe()?.is_none() {
            self.ensure(spec)?;
        }
        self.power_to("on", false)
    }

    /// Ends or restarts it: `shutdown`, `off`, `reboot`, `reset`. What is gone is off.
    ///
    /// # Errors
    /// Those of the API.
    pub fn power(&self, how: &str) -> Result<Outcome, Fault> {
        self.power_to(how, matches!(how, "shutdown" | "off"))
    }

    fn power_to(&self, how: &str, gone_is_fine: bool) -> Result<Outcome, Fault> {
        let body = written(&Power { power: how })?;
        self.change(
            "POST",
            &format!("{}/power", self.path()),
            Some(body),
            gone_is_fine,
        )
    }

    /// Takes it away; done when it is gone or never was.
    ///
    /// # Errors
    /// Those of the API.
    pub fn remove(&self) -> Result<Outcome, Fault> {
        self.power("off")?;
        self.change("DELETE", &self.path(), None, true)
    }

    /// What is seen of it; none if it is not defined.
    ///
    /// # Errors
    /// Those of the API.
    pub fn observe(&self) -> Result<Option<Observed>, Fault> {
        let guest: Option<Guest> = self.host.get(&self.path(), &[])?;
        Ok(guest.map(|guest| self.host.seen(guest)))
    }
}

fn disk(disk: &Disk) -> Result<GuestDisk, Fault> {
    disk.attrs.refuse_unknown(&[])?;
    let path = disk.attachment.params.text(storage::PARAM_PATH);
    Ok(GuestDisk {
        slot: disk.slot,
        identity: disk.attachment.identity.clone(),
        path: path
            .ok_or_else(|| {
                Fault::unsupported(format!(
                    "disk {} has no path on the compute host",
                    disk.slot
                ))
            })?
            .to_owned(),
        readonly: disk.readonly,
    })
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
