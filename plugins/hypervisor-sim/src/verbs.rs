//! The contract's verbs as requests to the far side.

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use velum_guest::{
    codes::fault,
    common::{Attrs as _, Fault, Outcome},
    config::Config,
    driver::{Disk, GuestSpec, Inventory, NodeFacts, Observed},
    json_api::{Api, Changed, Far, Nothing, is_segment},
};

use crate::words::{DiskBody, FactsBody, InventoryBody, ObservedBody, SpecBody, hex};

/// A compute host at the far side.
#[derive(Debug)]
pub struct Host<F> {
    api: Api<F>,
    path: String,
}

/// A run on it.
#[derive(Debug)]
pub struct RunAt<'a, F> {
    host: &'a Host<F>,
    path: String,
    generation: u64,
}

#[derive(Serialize)]
struct RebootBody {
    hard: bool,
}

fn done(changed: Changed<Nothing>) -> Outcome {
    changed.outcome(|Nothing {}| Vec::new())
}

impl<F: Far> Host<F> {
    /// The compute host that the settings name.
    ///
    /// # Errors
    /// `invalid` names the field.
    pub fn at(api: Api<F>, settings: &str) -> Result<Self, Fault> {
        let read = |json| {
            let config = Config::parse(json)?;
            let host = config.text("host", "")?;
            config.finish()?;
            if is_segment(&host) {
                Ok(host)
            } else {
                Err("'host' must name a compute host of the far side".to_owned())
            }
        };
        let host = read(settings)
            .map_err(|problem: String| Fault::invalid(format!("settings of the compute host: {problem}")))?;
        Ok(Self {
            api,
            path: format!("/hosts/{host}"),
        })
    }

    /// A run of it.
    ///
    /// # Errors
    /// `invalid` when the id is none.
    pub fn run(&self, id: String, generation: u64) -> Result<RunAt<'_, F>, Fault> {
        if !is_segment(&id) {
            return Err(Fault::invalid(format!("{id:?} is no id of a run")));
        }
        Ok(RunAt {
            host: self,
            path: format!("{}/runs/{id}", self.path),
            generation,
        })
    }

    /// What it is.
    ///
    /// # Errors
    /// That of the far side.
    pub fn probe(&self) -> Result<NodeFacts, Fault> {
        self.api.get::<FactsBody>(&self.path, &[]).map(NodeFacts::from)
    }

    /// A page of its runs.
    ///
    /// # Errors
    /// That of the far side.
    pub fn observe(&self, after: Option<&str>) -> Result<Inventory, Fault> {
        let query: Vec<(&str, &str)> = after.map(|after| ("after", after)).into_iter().collect();
        let page: InventoryBody = self.api.get(&format!("{}/runs", self.path), &query)?;
        Ok(Inventory {
            boot_id: page.boot_id,
            sequence: page.sequence,
            complete: page.complete,
            runs: page.runs.into_iter().map(Observed::from).collect(),
            next: page.next,
        })
    }

    fn job(&self, token: &str) -> Result<String, Fault> {
        if is_segment(token) {
            Ok(format!("{}/jobs/{token}", self.path))
        } else {
            Err(Fault::invalid(format!("{token:?} is no token of this driver")))
        }
    }

    /// How long work goes on.
    ///
    /// # Errors
    /// That of the far side; `not-found` when it knows nothing of it.
    pub fn poll(&self, token: &str) -> Result<Outcome, Fault> {
        self.api.change("GET", &self.job(token)?).map(done)
    }

    /// Ends long work.
    ///
    /// # Errors
    /// That of the far side.
    pub fn cancel(&self, token: &str) -> Result<Outcome, Fault> {
        self.api.change("DELETE", &self.job(token)?).map(done)
    }
}

impl<F: Far> RunAt<'_, F> {
    fn post(&self, verb: &str) -> Result<Outcome, Fault> {
        self.host
            .api
            .change("POST", &format!("{}/{verb}", self.path))
            .map(done)
    }

    /// Defines it.
    ///
    /// # Errors
    /// `unsupported` for a critical attribute, and those of the far side.
    pub fn ensure(&self, spec: &GuestSpec) -> Result<Outcome, Fault> {
        spec.attrs.refuse_unknown(&[])?;
        let mut body = SpecBody::of(spec, self.generation);
        let text =
            serde_json::to_vec(&body).map_err(|error| Fault::invalid(format!("write a spec: {error}")))?;
        body.spec_digest = format!("sha256:{}", hex(&Sha256::digest(&text)));
        self.host.api.change_to("PUT", &self.path, &body).map(done)
    }

    /// Starts it; defines it first if the far side has forgotten it.
    ///
    /// # Errors
    /// Those of the far side.
    pub fn start(&self, spec: &GuestSpec) -> Result<Outcome, Fault> {
        match self.post("start") {
            Err(absent) if absent.code == fault::NOT_FOUND && absent.unchanged => {
                match self.ensure(spec)? {
                    Outcome::Done(_) => self.post("start"),
                    // Defined is done at once; whoever says otherwise is asked again.
                    Outcome::Working(_) => {
                        Err(Fault::new(fault::BUSY, "the far side is still defining the run"))
                    }
                }
            }
            other => other,
        }
    }

    /// Asks it to shut down.
    ///
    /// # Errors
    /// Those of the far side.
    pub fn shutdown(&self) -> Result<Outcome, Fault> {
        self.post("shutdown")
    }

    /// Turns it off.
    ///
    /// # Errors
    /// Those of the far side.
    pub fn kill(&self) -> Result<Outcome, Fault> {
        self.post("kill")
    }

    /// Restarts it.
    ///
    /// # Errors
    /// Those of the far side.
    pub fn reboot(&self, hard: bool) -> Result<Outcome, Fault> {
        let body = RebootBody { hard };
        self.host
            .api
            .change_to("POST", &format!("{}/reboot", self.path), &body)
            .map(done)
    }

    /// Undefines it; turns it off if it is not.
    ///
    /// # Errors
    /// Those of the far side.
    pub fn remove(&self) -> Result<Outcome, Fault> {
        let delete = || self.host.api.change("DELETE", &self.path).map(done);
        match delete() {
            Err(running) if running.code == fault::BUSY && running.unchanged => {
                self.kill()?;
                delete()
            }
            other => other,
        }
    }

    /// What is seen of it.
    ///
    /// # Errors
    /// Those of the far side.
    pub fn observe(&self) -> Result<Option<Observed>, Fault> {
        Ok(self
            .host
            .api
            .find::<ObservedBody>(&self.path, &[])?
            .map(Observed::from))
    }

    /// Gives it a disk.
    ///
    /// # Errors
    /// `unsupported` for a critical attribute, and those of the far side.
    pub fn attach_disk(&self, disk: &Disk) -> Result<Outcome, Fault> {
        disk.attrs.refuse_unknown(&[])?;
        let path = format!("{}/disks/{}", self.path, disk.slot);
        self.host
            .api
            .change_to("PUT", &path, &DiskBody::of(disk))
            .map(done)
    }

    /// Takes the disk of a slot.
    ///
    /// # Errors
    /// Those of the far side.
    pub fn detach_disk(&self, slot: u16) -> Result<Outcome, Fault> {
        self.host
            .api
            .change("DELETE", &format!("{}/disks/{slot}", self.path))
            .map(done)
    }
}
