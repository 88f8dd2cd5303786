//! The end of every run: all that tenants and operators made is removed through the use cases, and nothing is left on
//! either side.

use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::time::Instant;
use velum_model::{operation::OperationState, page::Page, tenancy::Scope};
use velum_store::{InstanceFilter, TemplateFilter, VolumeFilter, block_on};

use crate::{
    audit::audit,
    far::FarSide,
    ground::{administrator, ask},
    server::Server,
};

/// More rows than any run has.
pub const ALL: Page = Page {
    limit: Page::MAX_LIMIT,
    after: None,
};
/// Removing takes seconds when nothing goes wrong.
const PATIENCE: Duration = Duration::from_secs(600);

async fn idle(server: &Server) -> anyhow::Result<()> {
    let began = Instant::now();
    while !server.is_idle() {
        anyhow::ensure!(began.elapsed() < PATIENCE, "what is being removed does not end");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// Removes everything; answers what is wrong then. Nothing may be under way or parked.
///
/// # Errors
/// Something cannot be removed.
pub async fn leave(server: &Server, far: &FarSide) -> anyhow::Result<Vec<String>> {
    let (services, caller, reader) = (&server.services, administrator(), server.store.read());
    let instances = reader
        .instances(Scope::All, &InstanceFilter::default(), ALL)
        .await?;
    for instance in instances.items {
        ask(services.instance_destroy(&caller, instance.id, None, None))
            .with_context(|| format!("could not destroy {}", instance.name))?;
    }
    idle(server).await?;
    let volumes = reader.volumes(Scope::All, &VolumeFilter::default(), ALL).await?;
    for volume in volumes.items {
        ask(services.volume_delete(&caller, volume.id, None, None))
            .with_context(|| format!("could not delete volume {}", volume.name))?;
    }
    let templates = reader
        .templates(Scope::All, &TemplateFilter::default(), ALL)
        .await?;
    for template in templates.items {
        ask(services.template_delete(&caller, template.id, None, None))
            .with_context(|| format!("could not delete template {}", template.name))?;
    }
    idle(server).await?;
    if let Some(parked) = reader
        .unfinished_operations(1_000)
        .await?
        .into_iter()
        .find(|o| o.state == OperationState::Parked)
    {
        return Err(anyhow!("it could not be removed: {parked:#?}"));
    }
    let mut wrong = audit(&server.store, far).await?;
    let left = far.state();
    for (what, count) in [
        ("volumes", left.volumes.len()),
        ("guests", left.guests.len()),
        ("publications", left.published.len()),
        ("seeds", left.seeds.len()),
        ("images", left.images.len()),
    ] {
        if count > 0 {
            wrong.push(format!("{count} {what} are left"));
        }
    }
    for host in block_on(server.store.read().compute_hosts(&Default::default(), ALL))?.items {
        if (host.vcpus_used, host.memory_used) != (0, 0) {
            wrong.push(format!("claims are left on {}", host.name));
        }
    }
    Ok(wrong)
}
