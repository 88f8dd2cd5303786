//! What the world outside does to a database.

use std::process::Command;

use futures::future::join_all;
use velum_model::tenancy::Scope;
use velum_store::*;

use super::rows::shared;
use crate::world::*;

pub async fn a_lost_connection_is_opened_again(url: String, mut other: sqlx::PgConnection) {
    let w = World::open(&url).await;
    let host = w.add_host("host", 64, 1 << 16).await;
    let (_, commit) = w.accepting("a", host.id, 1);
    w.store.commit(commit).await.expect("accepted");
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'velum'";
    sqlx::raw_sql(kill).execute(&mut other).await.expect("ended");
    let (instance, commit) = w.accepting("b", host.id, 2);
    assert_eq!(
        w.store.commit(commit).await.expect("on a new connection"),
        Committed::Done
    );
    assert_eq!(w.store.counts().retries, 1);
    assert!(
        w.store
            .read()
            .instance(Scope::All, instance.id)
            .await
            .expect("readable")
            .is_some()
    );
    w.well().await;
    w.store.close().await;
}

/// A file system of its own, taken away at the end.
pub struct Mount(tempfile::TempDir);
impl Mount {
    pub fn path(&self) -> &std::path::Path {
        self.0.path()
    }

    pub fn remount(&self, options: &str) {
        let mounted = Command::new("mount")
            .args(["-o", &format!("remount,{options}")])
            .arg(self.0.path())
            .status();
        assert!(mounted.is_ok_and(|status| status.success()), "{options}");
    }

    pub fn tmpfs(options: &str) -> Option<Self> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(directory.path())
            .status();
        mounted
            .is_ok_and(|status| status.success())
            .then_some(Self(directory))
    }
}
impl Drop for Mount {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("could not unmount {}", self.0.path().display());
        }
    }
}

pub async fn a_full_disk_is_an_answer() {
    let Some(mount) = Mount::tmpfs("size=3m") else {
        eprintln!("\n!!! NOT TESTED: a full disk, for nothing can be mounted here !!!\n");
        return;
    };
    let w = World::open(&format!("sqlite:{}/velum.db", mount.0.path().display())).await;
    let host = w.add_host("host", 512, 1 << 20).await;
    let (mut done, mut failed) = (Vec::new(), 0);
    for n in 0..200 {
        let (instance, mut commit) = w.accepting(&format!("i{n}"), host.id, 1 + n);
        for change in &mut commit.changes {
            if let Change::InsertInstance(row) = change {
                row.user_data = vec![7; 64 * 1024];
            }
        }
        match w.store.commit(commit).await {
            Ok(_) => done.push(instance.id),
            Err(StoreError::Database { .. }) => failed += 1,
            Err(other) => panic!("{other}"),
        }
        if failed >= 3 {
            break;
        }
    }
    assert!(
        failed >= 3 && done.len() > 3,
        "{failed} failed, {} done",
        done.len()
    );
    mount.remount("size=64m");
    for id in &done {
        assert!(
            w.store
                .read()
                .instance(Scope::All, *id)
                .await
                .expect("readable")
                .is_some()
        );
    }
    let (_, commit) = w.accepting("after", host.id, 250);
    assert_eq!(w.store.commit(commit).await.expect("room again"), Committed::Done);
    assert_eq!(w.read_host(host.id).await.vcpus_used, done.len() as u64 + 1);
    w.well().await;
    w.store.close().await;
}

pub async fn two_writers_take_turns(url: String) {
    let w = World::open(&url).await;
    let host = w.add_host("host", 512, 1 << 20).await;
    let second = open(&w.url, "second", shared(&w)).await;
    // Both under the same epoch: not what servers do, but no claim may be lost by it.
    let commits: Vec<Commit> = (0..200)
        .map(|n| w.accepting(&format!("i{n}"), host.id, 1 + n).1)
        .collect();
    let answers = join_all(commits.into_iter().enumerate().map(|(n, commit)| {
        let store = if n % 2 == 0 {
            w.store.clone()
        } else {
            second.clone()
        };
        async move { store.commit(commit).await }
    }))
    .await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(w.read_host(host.id).await.vcpus_used, 200);
    w.well().await;
    second.close().await;
    w.store.close().await;
}
