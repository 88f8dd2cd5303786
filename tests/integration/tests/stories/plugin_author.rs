//! Somebody outside the repository writes a policy, builds it, installs it, and a decision is made by it.

use std::path::Path;

use anyhow::Context;
use tokio::process::Command;
use velum_integration::Story;
use velum_support::program;
use velum_wire::UpdateComputeHostBody;

async fn velum(story: &Story, folder: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program("velum")?)
        .current_dir(folder)
        .env("VELUM_SERVER", &story.cloud.url)
        .env("VELUM_TOKEN_FILE", story.cloud.data().join("admin.token"))
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .args(arguments)
        .output()
        .await?;
    let words = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(
        output.status.success(),
        "velum {}: {}\n{words}",
        arguments.join(" "),
        output.status
    );
    Ok(String::from_utf8(output.stdout)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_lines_outside_the_repository_place_a_guest_by_a_custom_attribute() -> anyhow::Result<()> {
    let story = Story::with_hosts(4).await?;
    let outside = tempfile::tempdir()?;
    let folder = outside.path();
    velum(&story, folder, &["plugin", "new", "low-power"]).await?;
    // What `new` makes is to be edited; here by what the documentation of the guest library shows.
    let readme = include_str!("../../../../sdk/guest/README.md");
    let (_, code) = readme
        .split_once("```rust,no_run\n")
        .context("the documentation shows a policy")?;
    let (code, _) = code.split_once("```").context("the policy ends")?;
    std::fs::write(folder.join("low-power/src/lib.rs"), code)?;
    let built = velum(&story, folder, &["plugin", "build", "low-power"]).await?;
    assert!(
        built.contains("placement-policy") && built.contains("imports  nothing"),
        "{built}"
    );
    velum(
        &story,
        &folder.join("low-power"),
        &["plugin", "install", "--allow-unsigned"],
    )
    .await?;
    velum(
        &story,
        folder,
        &["policy", "create", "green", "--plugin", "low-power"],
    )
    .await?;
    velum(&story, folder, &["zone", "update", "zone-1", "--policy", "green"]).await?;

    // The third draws least, then the second: what the policy ranks by, and nothing else does.
    for (host, power) in story.world.hosts.iter().zip([400_u32, 200, 100, 300]) {
        let body = UpdateComputeHostBody {
            attributes: Some([("power_w".to_owned(), power)].into()),
            ..UpdateComputeHostBody::default()
        };
        story.client.compute_hosts().update(*host, &body, None).await?;
    }
    let web = story.run_instance("web-1").await?;
    assert_eq!(web.compute_host_id, Some(story.world.hosts[2]));
    let why = story.client.instances().decision(web.id).await?;
    assert_eq!(
        (why.policy.name.as_str(), why.policy.failed.is_none()),
        ("green", true),
        "{:#?}",
        why.policy
    );
    assert!(why.policy.digest.is_some() && why.fuel > 0);
    let ranked: Vec<_> = why.runners_up.iter().map(|r| r.compute_host_id).collect();
    let expected = [1, 3, 0].map(|n| story.world.hosts[n]);
    assert_eq!(ranked, expected);
    let shown = velum(&story, folder, &["instance", "why", "web-1"]).await?;
    assert!(
        shown.contains("green") && shown.contains(&why.policy.digest.context("a digest")?),
        "{shown}"
    );
    story.destroy(web.id).await?;
    story.cloud.assert_nothing_left().await
}
