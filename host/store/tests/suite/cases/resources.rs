//! Countable resources: guarded like memory, and of no cost to whoever has none.

use futures::future::join_all;
use velum_model::{id::*, infrastructure::*, instance::*, resource::restated};
use velum_store::*;

use crate::world::*;

/// A compute host with so much of resources.
async fn host_with(w: &World, called: &str, amounts: &[(&str, u64)]) -> ComputeHost {
    let host = ComputeHost {
        resources: having(amounts),
        ..w.host(called, 512, 1 << 20)
    };
    w.accept(vec![Change::InsertComputeHost(Box::new(host.clone()))])
        .await;
    host
}

/// A create whose run holds so much of resources.
fn wanting(w: &World, n: u32, host: ComputeHostId, amounts: &[(&str, u64)]) -> (Run, Commit) {
    let (_, mut commit) = w.accepting(&format!("i{n}"), host, n);
    let mut run = None;
    for change in &mut commit.changes {
        if let Change::InsertRun(row) = change {
            row.resources = resources(amounts);
            run = Some(row.clone());
        }
    }
    (run.expect("a run"), commit)
}

/// (total, used) of a resource.
async fn amounts(w: &World, host: ComputeHostId, name: &str) -> Option<(u64, u64)> {
    let host = w.read_host(host).await;
    host.resources.get(name).map(|of| (of.total, of.used))
}

pub async fn what_there_is_of_a_resource_goes_to_whoever_comes_first(url: String) {
    let w = World::open(&url).await;
    let host = host_with(&w, "host", &[("gpu", 3), ("hugepages-1g", 8)]).await;
    let wants = [("gpu", 1), ("hugepages-1g", 2)];
    let asked: Vec<(Run, Commit)> = (1..=20).map(|n| wanting(&w, n, host.id, &wants)).collect();
    let commits = asked.iter().map(|(_, commit)| w.store.commit(commit.clone()));
    let answers = join_all(commits).await;
    let is_refused = |answer: &&Result<Committed, StoreError>| {
        matches!(answer, Err(StoreError::Refused(Refused::NoRoom { table: "compute host", id }))
            if *id == host.id.uuid())
    };
    assert_eq!(answers.iter().filter(is_refused).count(), 17, "{answers:?}");
    assert_eq!(amounts(&w, host.id, "gpu").await, Some((3, 3)));
    assert_eq!(amounts(&w, host.id, "hugepages-1g").await, Some((8, 6)));
    let placed: Vec<&Run> = asked
        .iter()
        .zip(&answers)
        .filter_map(|((run, _), answer)| answer.is_ok().then_some(run))
        .collect();
    let read = w.store.read();
    assert_eq!(
        read.run(placed[0].id).await.expect("readable").as_ref(),
        Some(placed[0])
    );
    let rows = read.run_rows(w.zone.id).await.expect("readable");
    assert!(
        rows.len() == 3 && rows.iter().all(|row| row.resources == resources(&wants)),
        "{rows:?}"
    );
    w.well().await;
    // What one commit gives back, it may have itself, and no more.
    let next = |gpus| Run {
        id: velum_model::chance::fresh(&*w.ids),
        resources: resources(&[("gpu", gpus)]),
        ..placed[0].clone()
    };
    let swap = |gpus| vec![Change::DeleteRun(placed[0].id), Change::InsertRun(next(gpus))];
    assert!(matches!(w.refused(swap(2)).await, Refused::NoRoom { .. }));
    w.accept(swap(1)).await;
    assert_eq!(amounts(&w, host.id, "gpu").await, Some((3, 3)));
    // A compute host that does not have it has no room for it.
    let plain = w.add_host("plain", 512, 1 << 20).await;
    let nowhere = w.store.commit(wanting(&w, 40, plain.id, &wants).1).await;
    assert!(
        matches!(nowhere, Err(StoreError::Refused(Refused::NoRoom { .. }))),
        "{nowhere:?}"
    );
    w.accept(vec![
        Change::DeleteRun(placed[1].id),
        Change::DeleteRun(placed[2].id),
    ])
    .await;
    assert_eq!(amounts(&w, host.id, "gpu").await, Some((3, 1)));
    assert_eq!(amounts(&w, host.id, "hugepages-1g").await, Some((8, 0)));
    w.well().await;
}

pub async fn a_resource_that_is_taken_away_is_held_until_its_runs_go(url: String) {
    let w = World::open(&url).await;
    let host = host_with(&w, "host", &[("gpu", 4), ("fpga", 1)]).await;
    let mut runs = Vec::new();
    for n in 1..=3 {
        let (run, commit) = wanting(&w, n, host.id, &[("gpu", 1)]);
        w.store.commit(commit).await.expect("accepted");
        runs.push(run.id);
    }
    let state = async |stated: &[(&str, u64)]| {
        let now = w.read_host(host.id).await;
        let host = ComputeHost {
            resources: restated(&now.resources, &resources(stated)),
            ..now
        };
        w.accept(vec![Change::UpdateComputeHost(Box::new(host))]).await;
        w.well().await;
    };
    // What nobody holds goes at once.
    state(&[]).await;
    assert_eq!(amounts(&w, host.id, "gpu").await, Some((0, 3)));
    assert_eq!(amounts(&w, host.id, "fpga").await, None);
    let refused = w.store.commit(wanting(&w, 10, host.id, &[("gpu", 1)]).1).await;
    assert!(
        matches!(refused, Err(StoreError::Refused(Refused::NoRoom { .. }))),
        "{refused:?}"
    );
    w.accept(vec![Change::DeleteRun(runs[0])]).await;
    w.well().await;
    state(&[("gpu", 2), ("nic", 7)]).await;
    assert_eq!(amounts(&w, host.id, "gpu").await, Some((2, 2)));
    w.accept(vec![Change::DeleteRun(runs[1])]).await;
    let (_, again) = wanting(&w, 11, host.id, &[("gpu", 1), ("nic", 7)]);
    w.store.commit(again).await.expect("room again");
    // Another change of the host leaves them alone.
    let renamed = ComputeHost {
        name: name("renamed"),
        ..w.read_host(host.id).await
    };
    w.accept(vec![Change::UpdateComputeHost(Box::new(renamed))]).await;
    assert_eq!(amounts(&w, host.id, "gpu").await, Some((2, 2)));
    assert_eq!(amounts(&w, host.id, "nic").await, Some((7, 7)));
    w.well().await;
    // The last one that is held goes with its run, and what the host has goes with the host.
    state(&[("gpu", 2)]).await;
    assert_eq!(amounts(&w, host.id, "nic").await, Some((0, 7)));
    let runs = w.store.read().run_rows(w.zone.id).await.expect("readable");
    w.accept(runs.iter().map(|run| Change::DeleteRun(run.id)).collect())
        .await;
    assert_eq!(amounts(&w, host.id, "nic").await, None);
    w.accept(vec![Change::Delete {
        table: Table::ComputeHost,
        id: host.id.uuid(),
        generation: 0,
    }])
    .await;
    w.well().await;
}

pub async fn who_wants_no_resources_costs_no_statement(url: String) {
    let w = World::open(&url).await;
    let host = host_with(&w, "host", &[("gpu", 4)]).await;
    let cost = async |commit: Commit| {
        let before = w.store.counts().statements;
        w.store.commit(commit).await.expect("accepted");
        w.store.counts().statements - before
    };
    let (plain, commit) = wanting(&w, 1, host.id, &[]);
    let create = cost(commit).await;
    let (with, commit) = wanting(&w, 2, host.id, &[("gpu", 1)]);
    assert_eq!(
        cost(commit).await,
        create + 1,
        "one statement for what a batch claims"
    );
    let destroy = cost(w.with(vec![Change::DeleteRun(plain.id)])).await;
    let gives_back = cost(w.with(vec![Change::DeleteRun(with.id)])).await;
    assert_eq!(gives_back, destroy + 1, "and one for what it gives back");
    w.well().await;
}
