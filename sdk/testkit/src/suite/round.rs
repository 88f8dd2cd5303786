//! One life of a run or a volume with the time of each verb: what benches count.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use uuid::Uuid;
use velum_model::port::{hypervisor::HypervisorDriver, storage::StorageProvider};

use super::{Actor, Stop, driver::DriverActor, provider::ProviderActor};
use crate::{Is, Settings, case::Step};

/// What a life of a run is.
const OF_A_RUN: [&str; 8] = [
    "probe",
    "ensure",
    "start",
    "observe-run",
    "observe",
    "kill",
    "remove",
    "describe",
];
/// What a life of a volume is.
const OF_A_VOLUME: [&str; 9] = [
    "probe",
    "create",
    "find",
    "publish",
    "reached-by",
    "observe",
    "unpublish",
    "delete",
    "describe",
];

type Took = Result<Vec<(String, f64)>, String>;

/// A life of a run; milliseconds of each verb, with the waiting of long work.
///
/// # Errors
/// The verb that was a fault, in words.
pub async fn driver_round(driver: Arc<dyn HypervisorDriver>, settings: &Settings, root: Uuid) -> Took {
    live(&mut DriverActor::new(driver, settings, root), &OF_A_RUN).await
}

/// A life of a volume.
///
/// # Errors
/// The verb that was a fault, in words.
pub async fn provider_round(provider: Arc<dyn StorageProvider>, settings: &Settings, root: Uuid) -> Took {
    live(
        &mut ProviderActor::new(provider, settings, root).await,
        &OF_A_VOLUME,
    )
    .await
}

async fn live(actor: &mut dyn Actor, verbs: &[&str]) -> Took {
    let mut took = Vec::new();
    for verb in verbs {
        let step = Step {
            verb: (*verb).to_owned(),
            name: None,
            expect: crate::case::Expect::default(),
            args: crate::case::Args::default(),
        };
        let began = Instant::now();
        let answer = actor.act(&step, &BTreeMap::new()).await;
        let milliseconds = began.elapsed().as_secs_f64() * 1e3;
        let problem = match answer {
            Ok(answer) if !matches!(answer.is, Is::Fault | Is::Unfinished) => None,
            Ok(answer) => Some(answer.in_words()),
            Err(Stop::LeftOut(reason) | Stop::Broken(reason)) => Some(reason),
        };
        if let Some(problem) = problem {
            actor.clean().await;
            return Err(format!("{verb}: {problem}"));
        }
        took.push(((*verb).to_owned(), milliseconds));
    }
    Ok(took)
}
