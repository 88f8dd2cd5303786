//! Arguments of the operations, one struct a kind. Stored as JSON with `kind@version`: a field is never renamed, a new
//! one has a default.

use serde::{Deserialize, Serialize};
use velum_model::{id::*, orphan::Orphan};

/// Arguments of `instance-create`. Subject: the instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceCreate {
    /// The run that was claimed.
    pub run: RunId,
    /// Its root volume, to be cloned from the layer of the instance's template on the volume's pool.
    pub root_volume: VolumeId,
    /// Compute hosts that failed already.
    #[serde(default)]
    pub excluded: Vec<ComputeHostId>,
}

/// Arguments of `instance-start`. Subject: the instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceStart {
    /// The run that was claimed.
    pub run: RunId,
    /// Compute hosts that failed already.
    #[serde(default)]
    pub excluded: Vec<ComputeHostId>,
}

/// Arguments of `instance-stop`. Subject: the instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceStop {
    /// The run that is to end.
    pub run: RunId,
    /// Milliseconds that the guest is given to shut down by itself; 0 = it is killed at once.
    pub grace_ms: u64,
}

/// Arguments of `instance-reboot`. Subject: the instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceReboot {
    /// The run in question.
    pub run: RunId,
    /// Reset instead of asking the guest.
    pub hard: bool,
}

/// Arguments of `instance-destroy`. Subject: the instance. What there is to remove is read when it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceDestroy {}

/// Arguments of `template-register`. Subject: the template.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateRegister {}

/// Arguments of `template-delete`. Subject: the template.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateDelete {}

/// Arguments of `volume-create`. Subject: the volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeCreate {}

/// Arguments of `volume-attach`. Subject: the volume; the slot was claimed with the accept. Locks the instance too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeAttach {
    /// To which instance.
    pub instance: InstanceId,
    /// In which slot.
    pub slot: u16,
    /// The instance's run, if it has one.
    pub run: Option<RunId>,
}

/// Arguments of `volume-detach`. Subject: the volume. Locks the instance too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeDetach {
    /// From which instance.
    pub instance: InstanceId,
    /// Out of which slot.
    pub slot: u16,
    /// The instance's run, if it has one.
    pub run: Option<RunId>,
}

/// Arguments of `volume-delete`. Subject: the volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeDelete {}

/// Arguments of `compute-host-maintenance`. Subject: the compute host; its intent changed with the accept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComputeHostMaintenance {}

/// Arguments of `orphan-remove`. Subject: the orphan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrphanRemove {
    /// What and where it is, for whoever reads the operation when the row is gone.
    pub orphan: Orphan,
}
