//! The books against themselves, and against the far side: what there is and what should be. Asked when nothing is under
//! way; what a parked operation works on may be either way, and is left out.

use std::collections::BTreeSet;

use uuid::Uuid;
use velum_model::{
    id::TemplateId,
    instance::{InstanceState, ObservedState},
    operation::{OperationState, Subject},
    storage::{TemplateState, VolumeState},
    tenancy::Scope,
};
use velum_store::{InstanceFilter, OperationFilter, Store, TemplateFilter, VolumeFilter};

use crate::{far::FarSide, leave::ALL};

/// What should be on the far side.
#[derive(Debug, Default)]
struct Expected {
    volumes: BTreeSet<Uuid>,
    published: BTreeSet<(Uuid, Uuid)>,
    guests: BTreeSet<(Uuid, Uuid)>,
    on: BTreeSet<Uuid>,
    seeds: BTreeSet<Uuid>,
    images: BTreeSet<Uuid>,
    /// Instances and volumes of parked operations, and the volumes and runs of those instances.
    either_way: BTreeSet<Uuid>,
}

/// Everything that is wrong, in words.
///
/// # Errors
/// The database cannot be read.
pub async fn audit(store: &Store, far: &FarSide) -> anyhow::Result<Vec<String>> {
    let mut wrong: Vec<String> = Vec::new();
    for difference in store.audit().await? {
        wrong.push(format!("the books: {difference:?}"));
    }
    wrong.extend(under_way(store).await?);
    let expected = expected(store, &mut wrong).await?;
    let there = far.state();
    wrong.extend(there.violations.iter().map(|v| format!("violation: {v}")));
    let differ = |what: &str, rows: BTreeSet<String>, far: BTreeSet<String>| {
        let missing = rows.difference(&far).map(|id| format!("{what} {id} is missing"));
        let orphans = far.difference(&rows).map(|id| format!("{what} {id} is orphaned"));
        missing.chain(orphans).collect::<Vec<_>>()
    };
    let is_judged = |ids: &[Uuid]| !ids.iter().any(|id| expected.either_way.contains(id));
    let words = |ids: BTreeSet<Uuid>| {
        let judged = ids.into_iter().filter(|id| is_judged(&[*id]));
        judged.map(|id| id.to_string()).collect()
    };
    let pairs = |ids: BTreeSet<(Uuid, Uuid)>| {
        let judged = ids.into_iter().filter(|(a, b)| is_judged(&[*a, *b]));
        judged.map(|(a, b)| format!("{a} at {b}")).collect()
    };
    let guests = there
        .guests
        .iter()
        .filter(|(run, guest)| is_judged(&[**run, guest.instance]))
        .map(|(run, guest)| (*run, guest.host))
        .collect();
    let on = there
        .guests
        .iter()
        .filter(|(run, guest)| guest.is_on && is_judged(&[**run, guest.instance]))
        .map(|(run, _)| *run)
        .collect();
    wrong.extend(differ(
        "volume",
        words(expected.volumes.clone()),
        words(there.volumes.keys().copied().collect()),
    ));
    wrong.extend(differ(
        "publication",
        pairs(expected.published.clone()),
        pairs(there.published),
    ));
    wrong.extend(differ("guest", pairs(expected.guests.clone()), pairs(guests)));
    wrong.extend(differ("running guest", words(expected.on.clone()), words(on)));
    wrong.extend(differ(
        "seed",
        words(expected.seeds.clone()),
        words(there.seeds.iter().map(|(_, run)| *run).collect()),
    ));
    wrong.extend(differ(
        "image",
        words(expected.images.clone()),
        words(there.images.keys().copied().collect()),
    ));
    Ok(wrong)
}

/// Operations that neither ended nor are parked.
async fn under_way(store: &Store) -> anyhow::Result<Vec<String>> {
    let unfinished = store.read().unfinished_operations(10_000).await?;
    Ok(unfinished
        .iter()
        .filter(|o| o.state != OperationState::Parked)
        .map(|o| {
            format!(
                "operation {} {} has not ended: {:?}",
                o.kind.as_str(),
                o.id,
                o.journal
            )
        })
        .collect())
}

async fn expected(store: &Store, wrong: &mut Vec<String>) -> anyhow::Result<Expected> {
    let mut expected = Expected::default();
    parked(store, &mut expected).await?;
    guests(store, &mut expected, wrong).await?;
    volumes(store, &mut expected, wrong).await?;
    templates(store, &mut expected, wrong).await?;
    Ok(expected)
}

/// What parked operations work on.
async fn parked(store: &Store, expected: &mut Expected) -> anyhow::Result<()> {
    let reader = store.read();
    let parked = OperationFilter {
        state: Some(OperationState::Parked),
        ..OperationFilter::default()
    };
    for operation in reader.operations(Scope::All, &parked, ALL).await?.items {
        expected.either_way.insert(operation.subject.uuid());
        if let Some(instance) = operation.params.get("instance").and_then(|v| v.as_str()) {
            expected.either_way.extend(instance.parse::<Uuid>());
        }
        let orphan = operation.params.get("orphan").and_then(|o| o.get("object"));
        if let Some(object) = orphan.and_then(|v| v.as_str()) {
            expected.either_way.extend(object.parse::<Uuid>());
        }
        if let Subject::Template(template) = operation.subject {
            for layer in reader.layers_of_template(template).await? {
                expected.either_way.insert(layer.id.uuid());
            }
        }
    }
    Ok(())
}

async fn guests(store: &Store, expected: &mut Expected, wrong: &mut Vec<String>) -> anyhow::Result<()> {
    let reader = store.read();
    let instances = reader
        .instances(Scope::All, &InstanceFilter::default(), ALL)
        .await?;
    for instance in instances.items {
        let is_parked = expected.either_way.contains(&instance.id.uuid());
        for run in reader.runs_of(instance.id).await? {
            if is_parked {
                expected.either_way.insert(run.id.uuid());
                continue;
            }
            expected.guests.insert((run.id.uuid(), run.compute_host.uuid()));
            expected.seeds.insert(run.id.uuid());
            if instance.state == InstanceState::Running && run.observed == ObservedState::Running {
                expected.on.insert(run.id.uuid());
            }
        }
        if is_parked {
            for volume in reader.volumes_of(instance.id).await? {
                expected.either_way.insert(volume.id.uuid());
            }
        } else if !matches!(instance.state, InstanceState::Running | InstanceState::Stopped) {
            wrong.push(format!(
                "instance {} is {} and nothing works on it",
                instance.name, instance.state
            ));
        }
    }
    Ok(())
}

async fn volumes(store: &Store, expected: &mut Expected, wrong: &mut Vec<String>) -> anyhow::Result<()> {
    let reader = store.read();
    let volumes = reader.volumes(Scope::All, &VolumeFilter::default(), ALL).await?;
    for volume in volumes.items {
        let is_parked = expected.either_way.contains(&volume.id.uuid());
        if volume.state != VolumeState::Ready && !is_parked {
            wrong.push(format!(
                "volume {} is {:?} and nothing works on it",
                volume.name, volume.state
            ));
        }
        expected.volumes.insert(volume.id.uuid());
        for publication in reader.publications_of_volume(volume.id).await? {
            let at = (volume.id.uuid(), publication.compute_host.uuid());
            expected.published.insert(at);
        }
    }
    Ok(())
}

async fn templates(store: &Store, expected: &mut Expected, wrong: &mut Vec<String>) -> anyhow::Result<()> {
    let reader = store.read();
    let templates = reader
        .templates(Scope::All, &TemplateFilter::default(), ALL)
        .await?;
    for template in templates.items {
        let is_parked = expected.either_way.contains(&template.id.uuid());
        if matches!(
            template.state,
            TemplateState::Deleting | TemplateState::Registering
        ) && !is_parked
        {
            wrong.push(format!(
                "template {} is {:?} and nothing works on it",
                template.name, template.state
            ));
        }
        if template.received_bytes > 0 {
            expected.images.insert(template.id.uuid());
        }
        layers(store, template.id, expected).await?;
    }
    Ok(())
}

/// A layer that is begun may be there or not: the next who wants it goes on with it.
async fn layers(store: &Store, template: TemplateId, expected: &mut Expected) -> anyhow::Result<()> {
    for layer in store.read().layers_of_template(template).await? {
        if layer.ready {
            expected.volumes.insert(layer.id.uuid());
        } else {
            expected.either_way.insert(layer.id.uuid());
        }
    }
    Ok(())
}
