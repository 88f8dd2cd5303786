//! On `qemu:///system`: a server is stopped (SIGSTOP) between the intent of an effect and the effect; a second one takes
//! its epoch over on the same database and finishes the work; then the effect comes to the node after all and the first
//! server goes on. The node's gate refuses the effect, and one guest runs.

use std::{process::ExitCode, time::Duration};

use anyhow::Context;
use clap::Parser;
use velum_client::Client;
use velum_connector::message::{
    Verb,
    files::FilesVerb,
    libvirt::{DomainVerb, LibvirtVerb},
};
use velum_model::fault::code;
use velum_support::{
    Aim, Image, RealCloud, RealOptions, Relay, Report, Traces, World, WorldOptions, assert_books_empty,
    destroy_all,
};
use velum_wire::InstanceState;

/// Freezes a server before an effect of its and lets another take over.
#[derive(Debug, Parser)]
struct Arguments {
    /// Takeovers, each on a cloud of its own.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

/// An effect to be late, and its name.
type Late = (&'static str, fn(&Verb) -> bool);

/// The root volume's file, the domain's definition, its start.
const LATE: [Late; 3] = [
    ("create", |verb| {
        matches!(
            verb,
            Verb::Files {
                verb: FilesVerb::Create { backing: Some(_), .. },
                ..
            }
        )
    }),
    ("define", |verb| {
        matches!(
            verb,
            Verb::Libvirt {
                verb: LibvirtVerb::Define { .. },
                ..
            }
        )
    }),
    ("start", |verb| {
        matches!(
            verb,
            Verb::Libvirt {
                verb: LibvirtVerb::Act {
                    verb: DomainVerb::Start,
                    ..
                },
                ..
            }
        )
    }),
];

/// A template is cached, a disk made and a domain defined within this on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Found {
    refused: usize,
    one_guest: usize,
    problems: Vec<String>,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let mut all = Found::default();
    for late in LATE.into_iter().cycle().take(arguments.rounds) {
        let found = takeover(late)
            .await
            .with_context(|| format!("takeover before {}", late.0))?;
        eprintln!(
            "{}: the gate refused the late effect: {}; one guest: {}; problems: {:?}",
            late.0,
            found.refused == 1,
            found.one_guest == 1,
            found.problems
        );
        all.refused += found.refused;
        all.one_guest += found.one_guest;
        all.problems.extend(found.problems);
    }
    Ok(Report::new(
        "takeover-real",
        all.problems.len() as f64,
        "violations",
        Aim::AtMost(0.0),
    )
    .with("rounds", arguments.rounds)
    .with("late_effects_refused_by_the_gate", all.refused)
    .with("rounds_with_one_guest", all.one_guest)
    .with("problems", all.problems)
    .require("every_late_effect_was_refused", all.refused == arguments.rounds)
    .require("always_one_guest", all.one_guest == arguments.rounds)
    .print())
}

async fn takeover((name, wanted): Late) -> anyhow::Result<Found> {
    let mut cloud = RealCloud::start(RealOptions {
        name: "takeover-real",
        config: "[lease]\nms = 1500\n".into(),
        vcpus: 8,
        tls: false,
    })
    .await?;
    let socket = cloud.directory().join("relay.sock");
    let relay = Relay::start(&socket, &cloud.socket())?;
    let options = WorldOptions {
        zone: 199,
        hosts: 1,
        addresses: ("10.199.0.10".into(), "10.199.0.50".into()),
        memory_mib: 32,
        ..WorldOptions::default()
    };
    let ground = cloud.ground_through(&socket);
    let world = World::build_on(&cloud.client()?, &ground, &options, Image::halting()).await?;
    let token = cloud.token()?;
    let mut held = relay.hold(wanted);
    let made = cloud
        .client()?
        .instances()
        .create(&world.instance("frozen"))
        .await?;
    let request = held.caught(PATIENCE).await?;
    cloud.velumd.freeze()?;

    let (mut second, url) = cloud.take_over().await?;
    let client = Client::new(&url, Some(&token))?;
    let mut found = Found::default();
    let operation = made.operation.context("the creation takes time")?;
    let outcome = tokio::time::timeout(PATIENCE, client.wait(operation))
        .await
        .context("the second server does not finish")??;
    if !outcome.is_done() {
        found
            .problems
            .push(format!("the second server did not finish: {:?}", outcome.view()));
    }
    let before = cloud.traces()?;
    match held.release(PATIENCE).await? {
        Err(fault) if fault.code == code::FENCED => found.refused = 1,
        other => found.problems.push(format!(
            "the late {name} of epoch {:?} was answered {other:?}",
            request.fence.map(|fence| fence.epoch)
        )),
    }
    cloud.velumd.thaw()?;
    let ended = cloud
        .velumd
        .wait(Duration::from_secs(20))
        .context("the first server goes on")?;
    if ended.success() {
        found
            .problems
            .push("the first server ended as if nothing had happened".into());
    }
    let after = cloud.traces()?;
    one_guest(&client, made.value.id, (&before, &after), &mut found).await?;
    destroy_all(&client).await?;
    assert_books_empty(&client).await?;
    found
        .problems
        .extend(cloud.traces()?.differences(&client, 1).await?);
    second.stop(Duration::from_secs(20))?;
    Ok(found)
}

/// The instance runs as exactly one domain, which carries the tag of its run, and the late effect changed nothing.
async fn one_guest(
    client: &Client,
    instance: uuid::Uuid,
    (before, after): (&Traces, &Traces),
    found: &mut Found,
) -> anyhow::Result<()> {
    let instance = client.instances().get(instance).await?;
    let run = instance.run.as_ref().map(|run| run.id.to_string());
    let is_one = match after.domains.as_slice() {
        [only] => only.is_active && only.run.is_some() && only.run == run,
        _ => false,
    };
    if is_one && instance.state == InstanceState::Running {
        found.one_guest = 1;
    } else {
        found.problems.push(format!(
            "the instance is {:?} with run {run:?}, and libvirt has {:?}",
            instance.state, after.domains
        ));
    }
    if before != after {
        found.problems.push(format!(
            "the late effect changed something: {before:?}, then {after:?}"
        ));
    }
    found.problems.extend(after.differences(client, 1).await?);
    Ok(())
}
