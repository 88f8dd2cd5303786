//! The command line against a real server.

use std::process::Output;

use anyhow::Context;
use serde_json::Value;
use tokio::process::Command;
use velum_integration::{Story, at};
use velum_support::{CloudOptions, WorldOptions, program};

async fn velum(story: &Story, arguments: &[&str]) -> anyhow::Result<Output> {
    let mut command = Command::new(program("velum")?);
    command
        .env("VELUM_SERVER", &story.cloud.url)
        .env("VELUM_TOKEN_FILE", story.cloud.data().join("admin.token"))
        .env_remove("VELUM_TOKEN")
        .args(arguments);
    Ok(command.output().await?)
}

/// Runs a command and answers what it printed.
pub async fn ok(story: &Story, arguments: &[&str]) -> anyhow::Result<String> {
    let output = velum(story, arguments).await?;
    let errors = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(
        output.status.success(),
        "velum {}: {}\n{errors}",
        arguments.join(" "),
        output.status
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// Runs a command that fails and answers its exit code and what it complained of.
pub async fn fails(story: &Story, arguments: &[&str]) -> anyhow::Result<(i32, String)> {
    let output = velum(story, arguments).await?;
    let code = output.status.code().context("it was not killed")?;
    anyhow::ensure!(code != 0, "velum {} succeeded", arguments.join(" "));
    Ok((code, String::from_utf8(output.stderr)?))
}

const CREATE: [&str; 8] = [
    "instance",
    "create",
    "--offering",
    "small-1",
    "--template",
    "linux-1",
    "--network",
    "net-1",
];

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_lives_on_the_command_line() -> anyhow::Result<()> {
    let story = Story::with_hosts(2).await?;
    let dry = ok(&story, &[&CREATE[..], &["web-1", "--dry-run"]].concat()).await?;
    assert!(dry.contains("chosen") && dry.contains("runner-up"), "{dry}");
    assert!(
        !ok(&story, &["instance", "list"]).await?.contains("web-1"),
        "a dry run makes nothing"
    );

    ok(&story, &[&CREATE[..], &["web-1", "--wait"]].concat()).await?;
    let list = ok(&story, &["instance", "list"]).await?;
    assert!(
        list.starts_with("NAME") && list.contains("running") && list.contains("10.1.0."),
        "{list}"
    );
    let why = ok(&story, &["instance", "why", "web-1"]).await?;
    for part in [
        "compute host",
        "policy",
        "built-in",
        "fuel",
        "chosen",
        "runner-up",
    ] {
        assert!(why.contains(part), "{part} is missing in\n{why}");
    }
    let shown: Value =
        serde_json::from_str(&ok(&story, &["instance", "show", "web-1", "-o", "json"]).await?)?;
    assert_eq!(at(&shown, "state"), "running");

    ok(&story, &["disk-offering", "create", "two", "--size", "2GiB"]).await?;
    ok(
        &story,
        &["volume", "create", "data", "--offering", "two", "--wait"],
    )
    .await?;
    ok(&story, &["volume", "attach", "data", "web-1", "--wait"]).await?;
    let volumes = ok(&story, &["volume", "list", "--instance", "web-1"]).await?;
    assert!(volumes.contains("data") && volumes.contains("2 GiB"), "{volumes}");
    ok(&story, &["volume", "detach", "data", "--wait"]).await?;
    ok(&story, &["volume", "delete", "data", "--wait"]).await?;

    let id = shown_id(&story, "web-1").await?;
    let about = ok(&story, &["operation", "list", "--subject", &id]).await?;
    assert!(
        about.contains("instance-create") && !about.contains("volume-delete"),
        "{about}"
    );
    let list: Value = serde_json::from_str(&ok(&story, &["instance", "list", "-o", "json"]).await?)?;
    assert_eq!(
        at(&list[0], "volumes").as_array().map(Vec::len),
        Some(1),
        "{list}"
    );
    assert_eq!(
        at(&list[0], "addresses").as_array().map(Vec::len),
        Some(1),
        "{list}"
    );

    for verb in ["stop", "start", "reboot", "destroy"] {
        ok(&story, &["instance", verb, "web-1", "--wait"]).await?;
    }
    assert!(ok(&story, &["event", "list"]).await?.contains("instance."));
    assert!(
        ok(&story, &["operation", "list"])
            .await?
            .contains("instance-destroy")
    );
    story.cloud.assert_nothing_left().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gpu_is_stated_shown_asked_for_and_given_back() -> anyhow::Result<()> {
    let story = Story::with_hosts(2).await?;
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let say = async |text: &str| {
        let words = words(text);
        ok(&story, &words.iter().map(String::as_str).collect::<Vec<_>>()).await
    };
    let gpus = async || {
        let list = say("compute-host list").await?;
        let line = list.lines().find(|line| line.contains("z1-h0002"));
        line.map(str::to_owned).context("it is listed")
    };
    say("compute-host update z1-h0002 --resource gpu=1 --resource nic=2").await?;
    say("compute-host update z1-h0002 --resource nic=").await?;
    let line = gpus().await?;
    assert!(line.contains("gpu 0 of 1") && !line.contains("nic"), "{line}");
    say("compute-offering create gpu --vcpus 1 --memory 256MiB --resource gpu=1").await?;
    assert!(say("compute-offering list").await?.contains("gpu=1"));
    say("instance create a --offering gpu --template linux-1 --network net-1 --wait").await?;
    assert!(gpus().await?.contains("gpu 1 of 1"));
    let shown = say("compute-host show z1-h0002").await?;
    assert!(shown.contains("resources.gpu.total"), "{shown}");
    let create = words("instance create b --offering gpu --template linux-1 --network net-1");
    let create: Vec<&str> = create.iter().map(String::as_str).collect();
    let (code, said) = fails(&story, &create).await?;
    assert!(
        code == 5 && said.contains("resource gpu: 1 asked, fewer free"),
        "{code}: {said}"
    );
    say("instance destroy a --wait").await?;
    assert!(gpus().await?.contains("gpu 0 of 1"));
    story.cloud.assert_nothing_left().await
}

/// The id of an instance as the command line shows it.
async fn shown_id(story: &Story, name: &str) -> anyhow::Result<String> {
    let shown: Value = serde_json::from_str(&ok(story, &["instance", "show", name, "-o", "json"]).await?)?;
    let id = at(&shown, "id").as_str();
    Ok(id.context("an instance has an id")?.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_list_prints_a_table_and_json() -> anyhow::Result<()> {
    let story = Story::with_hosts(1).await?;
    for resource in [
        "zone",
        "pod",
        "cluster",
        "compute-host",
        "storage-pool",
        "image-store",
        "ip-range",
        "ip-address",
        "network",
        "nic",
        "compute-offering",
        "disk-offering",
        "network-offering",
        "template",
        "instance",
        "volume",
        "operation",
        "event",
        "decision",
        "plugin",
        "policy",
    ] {
        let table = ok(&story, &[resource, "list"]).await?;
        let header = table.lines().next().with_context(|| resource.to_owned())?;
        assert!(
            header.contains(char::is_uppercase) && !table.contains('\u{1b}'),
            "{resource}:\n{table}"
        );
        let json: Value = serde_json::from_str(&ok(&story, &[resource, "list", "-o", "json"]).await?)?;
        let rows = json
            .as_array()
            .with_context(|| format!("{resource}: {json}"))?
            .len();
        assert_eq!(table.lines().count(), rows + 1, "{resource}:\n{table}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_say_what_kind_of_failure_it_was() -> anyhow::Result<()> {
    let cloud = CloudOptions {
        hosts: 1,
        sim: ["--memory-mib", "256"].map(str::to_owned).to_vec(),
        ..CloudOptions::default()
    };
    let story = Story::begin(
        &cloud,
        &WorldOptions {
            hosts: 1,
            ..WorldOptions::default()
        },
    )
    .await?;
    let (code, words) = fails(&story, &["zone", "create", "a/b"]).await?;
    assert!(code == 1 && words.contains("/name"), "{code}: {words}");
    let (code, words) = fails(&story, &["zone", "show", "nowhere"]).await?;
    assert!(
        code == 1 && words.contains("no zone named 'nowhere'"),
        "{code}: {words}"
    );
    assert_eq!(fails(&story, &["zone", "frobnicate"]).await?.0, 2);
    let (code, words) = fails(&story, &["--server", "http://127.0.0.1:1", "zone", "list"]).await?;
    assert!(code == 3 && words.contains("cannot reach"), "{code}: {words}");

    ok(&story, &[&CREATE[..], &["fits", "--wait"]].concat()).await?;
    let (code, words) = fails(&story, &[&CREATE[..], &["too-many"]].concat()).await?;
    assert!(
        code == 5 && words.contains("HOSTS") && words.contains("memory"),
        "{code}: {words}"
    );

    let (code, words) = fails(&story, &[&CREATE[..], &["too-many", "--dry-run"]].concat()).await?;
    assert!(code == 5 && words.contains("has room"), "{code}: {words}");

    // A start that the far side refuses for good is undone.
    ok(&story, &["instance", "stop", "fits", "--wait"]).await?;
    let fault =
        serde_json::json!({"kind": "fail", "verb": "ensure", "code": 1, "unchanged": true, "count": 1000});
    story.cloud.sim_post("/sim/faults", &fault).await?;
    let (code, words) = fails(&story, &["instance", "start", "fits", "--wait"]).await?;
    assert!(code == 4 && words.contains("operation"), "{code}: {words}");
    story.cloud.sim_delete("/sim/faults").await?;
    ok(&story, &["instance", "destroy", "fits", "--wait"]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_becomes_a_template_that_instances_are_made_from() -> anyhow::Result<()> {
    let story = Story::with_hosts(1).await?;
    let image = story.cloud.directory().join("tiny.raw");
    std::fs::write(&image, vec![9; 6 << 20])?;
    let path = image.to_str().context("a path in UTF-8")?;
    let shown = ok(&story, &["template", "upload", path, "--wait"]).await?;
    assert!(shown.contains("ready") && shown.contains("tiny"), "{shown}");
    let create = [
        "instance",
        "create",
        "i",
        "--offering",
        "small-1",
        "--template",
        "tiny",
        "--network",
        "net-1=10.1.0.77",
    ];
    ok(&story, &[&create[..], &["--wait"]].concat()).await?;
    assert!(ok(&story, &["instance", "list"]).await?.contains("10.1.0.77"));
    ok(&story, &["instance", "destroy", "i", "--wait"]).await?;
    ok(&story, &["template", "delete", "tiny", "--wait"]).await?;
    story.cloud.assert_nothing_left().await
}
