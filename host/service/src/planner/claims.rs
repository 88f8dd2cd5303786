//! What a plan claims.

use uuid::Uuid;
use velum_placement::{
    Choice, LayerClaim, PoolChoice, RunClaim, RunExtras, TemplateAsk, Update, VolumeClaim,
};

use super::{DiskIds, PlanAsk};

/// The volume that stands in for one that moves with the run `run`: it is derived, so that both sides know it.
pub(crate) fn stand_in(run: Uuid) -> Uuid {
    velum_model::chance::derived(run, "stand-in")
}

/// The claims of a machine that goes there, in their order: its run, then each disk's volume with the layer that it brings.
pub(super) fn claims_for(ask: &PlanAsk, choice: &Choice) -> Vec<Update> {
    let claim = RunClaim {
        run: ask.run,
        host: choice.host,
        project: ask.ask.project,
        vcpus: ask.ask.vcpus.get(),
        memory_mib: ask.ask.memory.get(),
        expected_end: ask.ask.expected_end(),
    };
    let extras = RunExtras {
        groups: ask.ask.ties.iter().map(|tie| tie.group).collect(),
        resources: ask.ask.resources.clone(),
    };
    let mut claims = vec![Update::run(claim, extras)];
    for ((disk, ids), pool) in ask.ask.disks.iter().zip(&ask.disks).zip(&choice.pools) {
        claims.extend(of_disk(disk.template, *ids, *pool));
    }
    claims
}

fn of_disk(template: Option<TemplateAsk>, ids: DiskIds, pool: PoolChoice) -> Vec<Update> {
    let mut claims = vec![Update::Volume(VolumeClaim {
        volume: ids.volume,
        pool: pool.pool,
        bytes: pool.bytes,
    })];
    if let (Some(template), Some(bytes)) = (template, pool.layer_bytes) {
        claims.push(Update::Layer(LayerClaim {
            layer: ids.layer,
            pool: pool.pool,
            template: template.id,
            bytes,
            ready: false,
            committed: false,
        }));
    }
    claims
}
