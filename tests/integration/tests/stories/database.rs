//! `velumd db`: a whole cloud is looked over, backed up while it works, restored, and moved to PostgreSQL and back.

use std::{path::Path, process::Output};

use anyhow::Context;
use uuid::Uuid;
use velum_client::Filter;
use velum_integration::{PATIENCE, Story};
use velum_support::Postgres;
use velum_wire::InstanceState;

/// What it printed, if it went well.
fn printed(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

/// What it said, if it refused.
fn refused(output: &Output) -> String {
    assert!(
        !output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Every instance by id, all of them running, each with its run on the far side.
async fn running(story: &Story) -> anyhow::Result<Vec<Uuid>> {
    story.cloud.run_until_idle(PATIENCE).await?;
    let mut ids = Vec::new();
    for instance in story.client.instances().all(&Filter::new()).await? {
        assert_eq!(instance.state, InstanceState::Running, "{instance:#?}");
        assert!(story.far_run(instance.id).await?.is_some(), "{instance:#?}");
        ids.push(instance.id);
    }
    ids.sort_unstable();
    Ok(ids)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloud_moves_to_postgresql_and_back() -> anyhow::Result<()> {
    let Some(postgres) = Postgres::start()? else {
        return Ok(());
    };
    let mut story = Story::with_hosts(4).await?;
    for n in 0..4 {
        story.run_instance(&format!("web-{n}")).await?;
    }
    let here = format!("sqlite:{}", story.cloud.data().join("velum.db").display());
    let there = postgres.create("velum")?;
    let held = refused(&story.cloud.db(&["copy", &here, &there])?);
    assert!(held.contains("stop it first"), "{held}");
    let mut made = running(&story).await?;
    story.cloud.velumd.stop(PATIENCE)?;
    let text = printed(&story.cloud.db(&["copy", &here, &there])?);
    assert!(
        text.lines()
            .any(|line| line.starts_with("instance ") && line.contains(" 4 ")),
        "{text}"
    );

    // The same cloud on PostgreSQL: everything is there, and another instance can be made.
    story.cloud.configure(&format!("database = \"{there}\"\n"))?;
    story.cloud.restart().await?;
    assert_eq!(running(&story).await?, made);
    made.push(story.run_instance("on-postgresql").await?.id);
    made.sort_unstable();
    let well = printed(&story.cloud.db(&["check"])?);
    assert!(well.contains("every sum is what its rows say"), "{well}");

    // And back, into a file that is not there yet.
    story.cloud.velumd.stop(PATIENCE)?;
    let back = format!("sqlite:{}", story.cloud.data().join("back.db").display());
    printed(&story.cloud.db(&["copy", &there, &back])?);
    story.cloud.configure(&format!("database = \"{back}\"\n"))?;
    story.cloud.restart().await?;
    assert_eq!(running(&story).await?, made);
    story.run_instance("back-again").await?;
    assert!(story.cloud.violations().await?.is_empty());
    story.destroy_all().await?;
    story.cloud.assert_nothing_left().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_working_cloud_is_restored() -> anyhow::Result<()> {
    let mut story = Story::with_hosts(4).await?;
    for n in 0..3 {
        story.run_instance(&format!("web-{n}")).await?;
    }
    let made = running(&story).await?;
    let file = story.cloud.directory().join("backup.db");
    let file = file.to_str().context("a path")?;
    let text = printed(&story.cloud.db(&["backup", file])?);
    assert!(text.contains("whole and read back"), "{text}");
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(file)?);
    assert_eq!(mode & 0o777, 0o600, "it holds a key");
    let again = refused(&story.cloud.db(&["backup", file])?);
    assert!(again.contains("is there already"), "{again}");
    let held = refused(&story.cloud.db(&["restore", file])?);
    assert!(held.contains("stop it first"), "{held}");
    // More owners than the backup knows: the far side has seen their epochs.
    for _ in 0..3 {
        story.cloud.kill();
        story.cloud.restart().await?;
    }
    story.cloud.kill();
    let full = refused(&story.cloud.db(&["restore", file])?);
    assert!(full.contains("not empty"), "{full}");
    for name in ["velum.db", "velum.db-wal", "velum.db-shm"] {
        match std::fs::remove_file(story.cloud.data().join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    printed(&story.cloud.db(&["restore", file])?);
    story.cloud.restart().await?;
    assert_eq!(running(&story).await?, made);
    story.run_instance("after").await?;
    assert!(story.cloud.violations().await?.is_empty());
    story.destroy_all().await?;
    story.cloud.assert_nothing_left().await
}

/// A data directory is lost, its backup is not: nothing else is needed.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_alone_brings_a_cloud_back() -> anyhow::Result<()> {
    let mut story = Story::with_hosts(2).await?;
    story.run_instance("web").await?;
    let made = running(&story).await?;
    let file = story.cloud.directory().join("backup.db");
    let file = file.to_str().context("a path")?;
    printed(&story.cloud.db(&["backup", file])?);
    story.cloud.kill();
    std::fs::remove_dir_all(story.cloud.data())?;
    printed(&story.cloud.db(&["restore", file])?);
    story.cloud.offer_plugins(Path::new(""));
    story.cloud.restart().await?;
    assert!(
        story.cloud.token().is_err(),
        "nobody can know the old token again"
    );
    let said = printed(&story.cloud.velumd_aside(&["token", "reset"])?);
    assert!(said.contains(&story.cloud.token()?), "{said}");
    story.client = story.cloud.client()?;
    assert_eq!(running(&story).await?, made);
    // The components came with the backup.
    story.run_instance("after").await?;
    assert!(story.cloud.violations().await?.is_empty());
    story.destroy_all().await?;
    story.cloud.assert_nothing_left().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_administrators_token_can_be_replaced_and_a_foreign_one_is_told() -> anyhow::Result<()> {
    let mut story = Story::with_hosts(1).await?;
    let before = story.client.clone();
    printed(&story.cloud.velumd_aside(&["token", "reset"])?);
    assert!(
        before.zones().all(&Filter::new()).await.is_err(),
        "the old one is no good"
    );
    let after = story.cloud.client()?;
    assert_eq!(after.zones().all(&Filter::new()).await?.len(), 1);
    story.cloud.velumd.stop(PATIENCE)?;
    let token = story.cloud.data().join("admin.token");
    let right = std::fs::read_to_string(&token)?;
    // One that was replaced elsewhere keeps no server from working.
    std::fs::write(&token, "velum_another\n")?;
    story.cloud.restart().await?;
    let said = story.cloud.velumd.printed();
    assert!(said.contains("velumd token reset"), "{said}");
    assert!(story.cloud.client()?.zones().all(&Filter::new()).await.is_err());
    std::fs::write(&token, &right)?;
    let after = story.cloud.client()?;
    assert_eq!(after.zones().all(&Filter::new()).await?.len(), 1);

    // What cannot be done takes nothing away.
    story.cloud.velumd.stop(PATIENCE)?;
    story
        .cloud
        .configure("database = \"postgres://velum@127.0.0.1:9/velum\"\n")?;
    for _ in 0..2 {
        let said = refused(&story.cloud.velumd_aside(&["token", "reset"])?);
        assert!(said.contains("velum on 127.0.0.1:9"), "{said}");
    }
    assert_eq!(std::fs::read_to_string(&token)?, right);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_database_is_refused_with_what_to_do() -> anyhow::Result<()> {
    let mut story = Story::with_hosts(2).await?;
    story.run_instance("web").await?;
    story.cloud.velumd.stop(PATIENCE)?;
    let file = story.cloud.data().join("velum.db");
    let mut bytes = std::fs::read(&file)?;
    let pages = bytes.len() / 4096;
    bytes[4096 * 2..4096 * (pages - 2)].fill(0xa5);
    std::fs::write(&file, bytes)?;
    let checked = story.cloud.db(&["check"])?;
    // Damage that leaves nothing to look at is said instead of a table.
    let said = String::from_utf8_lossy(&[checked.stdout, checked.stderr].concat()).into_owned();
    assert!(!checked.status.success() && said.contains("damaged"), "{said}");
    story.cloud.respawn()?;
    let ended = story.cloud.velumd.wait(PATIENCE)?;
    let printed = story.cloud.velumd.printed();
    assert!(!ended.success() && !printed.contains("panicked"), "{printed}");
    assert!(
        printed.contains("is damaged") && printed.contains("velumd db restore"),
        "{printed}"
    );
    Ok(())
}
