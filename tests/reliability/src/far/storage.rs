//! What the pool does with volumes and layers.

use uuid::Uuid;
use velum_model::{
    fault::{Fault, code},
    port::{
        storage::{Attachment, VolumeInfo, VolumeRef, VolumeSpec, registry},
        target::Attr,
    },
};

use super::{Answer, Made, State};

/// The provider's own name of a volume.
fn name(id: Uuid) -> String {
    format!("v-{id}")
}

fn made(id: Uuid) -> Answer {
    Answer::Done(vec![Attr::text(registry::DONE_BACKEND_ID, name(id))])
}

impl State {
    pub(super) fn create(&mut self, spec: &VolumeSpec) -> Result<Answer, Fault> {
        if let Some(of) = &spec.source.of
            && !self.volumes.contains_key(&of.id)
        {
            return Err(Fault::unchanged(code::NOT_FOUND, "what it is made from is gone"));
        }
        let polls = self.slowness;
        self.volumes.entry(spec.id).or_insert(Made {
            bytes: spec.size_bytes,
            polls,
        });
        if polls > 0 {
            return Ok(Answer::Working(spec.id.to_string()));
        }
        Ok(made(spec.id))
    }

    pub(super) fn poll_volume(&mut self, token: &str) -> Result<Answer, Fault> {
        let absent = || Fault::unchanged(code::NOT_FOUND, "no such work");
        let id: Uuid = token.parse().map_err(|_| absent())?;
        let volume = self.volumes.get_mut(&id).ok_or_else(absent)?;
        volume.polls = volume.polls.saturating_sub(1);
        if volume.polls > 0 {
            return Ok(Answer::Working(token.to_owned()));
        }
        Ok(made(id))
    }

    pub(super) fn delete(&mut self, id: Uuid) -> Result<Answer, Fault> {
        if self.published.iter().any(|(volume, _)| *volume == id) {
            return Err(Fault::unchanged(code::BUSY, "it is still published"));
        }
        if let Some((run, _)) = self
            .guests
            .iter()
            .find(|(_, g)| g.is_on && g.disks.values().any(|v| *v == id))
        {
            let what = format!("volume {id} was deleted under guest {run}");
            self.violation(what);
        }
        self.volumes.remove(&id);
        Ok(Answer::Done(Vec::new()))
    }

    pub(super) fn publish(&mut self, id: Uuid, to: Uuid) -> Result<Answer, Fault> {
        if !self.volumes.contains_key(&id) {
            return Err(Fault::unchanged(code::NOT_FOUND, "no such volume"));
        }
        self.published.insert((id, to));
        Ok(Answer::Done(Vec::new()))
    }

    pub(super) fn unpublish(&mut self, id: Uuid, from: Uuid) -> Result<Answer, Fault> {
        let user = self
            .guests
            .iter()
            .find(|(_, g)| g.is_on && g.host == from && g.disks.values().any(|v| *v == id));
        if let Some((run, _)) = user {
            let what = format!("volume {id} was taken from guest {run} while it runs");
            self.violation(what);
        }
        self.published.remove(&(id, from));
        Ok(Answer::Done(Vec::new()))
    }

    pub(super) fn reached(&self, volume: &VolumeRef, by: Uuid) -> Option<Attachment> {
        let made = self.volumes.get(&volume.id)?;
        self.published.contains(&(volume.id, by)).then(|| Attachment {
            kind: registry::ATTACH_SIMULATED,
            format: registry::FORMAT_RAW,
            identity: volume.id.to_string(),
            size_bytes: made.bytes,
            params: Vec::new(),
            secret: None,
        })
    }

    pub(super) fn found(&self, id: Uuid) -> Option<VolumeInfo> {
        self.volumes.get(&id).map(|made| VolumeInfo {
            volume: VolumeRef {
                id,
                backend_id: name(id),
            },
            size_bytes: made.bytes,
            allocated_bytes: None,
            parent: None,
            state: if made.polls == 0 {
                registry::STATE_READY
            } else {
                registry::STATE_CREATING
            },
            published: self
                .published
                .iter()
                .filter(|(volume, _)| *volume == id)
                .map(|(_, node)| node.to_string())
                .collect(),
        })
    }
}
