//! The tiny Linux guest on `qemu:///system`: it says its marker on its console and answers HTTP on its address, its
//! console takes what is typed; it reboots, both ways; it lists a second volume when it comes and when it goes; it stops,
//! starts and is destroyed, and nothing of it is left on the machine or in the books.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::Parser;
use uuid::Uuid;
use velum_client::{Client, ConsoleFrame, Filter};
use velum_support::{
    Aim, Image, RealCloud, RealOptions, Report, Traces, World, WorldOptions, assert_books_empty,
};
use velum_wire::{CreateDiskOfferingBody, CreateInstanceBody, CreateVolumeBody, ImageFormat, InstanceState};

/// Drives a real guest through its life.
#[derive(Debug, Parser)]
struct Arguments {
    /// Seconds that a boot may take: 5 under TCG on an idle machine, many more on a busy one.
    #[arg(long, default_value_t = 120)]
    boot: u64,
    /// Reach the node over TLS, as if it were on another machine, and not by its socket.
    #[arg(long)]
    tls: bool,
}

const GUEST: &str = "guest-1";
/// Written by its user-data, printed by its init.
const MARKER: &str = "marker-of-the-guest-suite";
const DISK: u64 = 64 << 20;

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let image = image()?;
    let name = if arguments.tls { "guest-tls" } else { "guest" };
    let cloud = RealCloud::start(RealOptions {
        name,
        config: "[observe]\nevery_ms = 1000\n".into(),
        vcpus: 2,
        tls: arguments.tls,
    })
    .await?;
    let client = cloud.client()?;
    let options = WorldOptions {
        zone: 198,
        hosts: 1,
        addresses: ("10.198.0.10".into(), "10.198.0.50".into()),
        ..WorldOptions::default()
    };
    let image = Image {
        bytes: image,
        format: ImageFormat::Qcow2,
    };
    let world = World::build_on(&client, &cloud.ground(), &options, image).await?;
    let mut story = Story {
        boot: Duration::from_secs(arguments.boot),
        cloud,
        client,
        world,
        instance: Uuid::nil(),
        seen: Vec::new(),
    };
    let told = story.tell().await;
    if told.is_err() {
        story.keep_log("serial-at-failure.log").await;
    }
    told?;
    Ok(Report::new(name, 0.0, "failures", Aim::AtMost(0.0))
        .with("boot_limit_s", arguments.boot)
        .with("proved", story.seen)
        .print())
}

/// The tiny guest, built out of packages if it was not yet.
fn image() -> anyhow::Result<Vec<u8>> {
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/image/build.sh");
    let built = Command::new("bash")
        .arg(recipe)
        .stderr(Stdio::inherit())
        .output()
        .context("could not build the guest")?;
    anyhow::ensure!(built.status.success(), "the guest could not be built");
    let path = String::from_utf8(built.stdout)?;
    std::fs::read(path.trim()).with_context(|| format!("could not read {}", path.trim()))
}

struct Story {
    boot: Duration,
    cloud: RealCloud,
    client: Client,
    world: World,
    instance: Uuid,
    seen: Vec<String>,
}

/// What the books say is used.
#[derive(Debug, PartialEq, Eq)]
struct Used {
    pool_bytes: u64,
    vcpus: u64,
    memory_mib: u64,
    addresses: usize,
}

impl Story {
    fn saw(&mut self, what: &str) {
        eprintln!("{what}");
        self.seen.push(what.to_owned());
    }

    async fn tell(&mut self) -> anyhow::Result<()> {
        let before = self.used().await?;
        self.create().await?;
        let boot = self.lives("running").await?;
        self.console()?;
        let boot = self
            .reboots(&boot, &["instance", "reboot", GUEST, "--wait"], 2)
            .await?;
        self.saw("rebooted by its power button: second banner, another boot id");
        let boot = self
            .reboots(&boot, &["instance", "reboot", GUEST, "--hard", "--wait"], 3)
            .await?;
        self.saw("reset: third banner, another boot id");
        self.second_volume().await?;
        self.keep_log("serial-1.log").await;
        self.stop().await?;
        self.act(&["instance", "start", GUEST, "--wait"])?;
        let after = self.lives("started again").await?;
        anyhow::ensure!(after != boot, "the boot id is still {boot}");
        self.keep_log("serial-2.log").await;
        self.act(&["instance", "destroy", GUEST, "--wait"])?;
        self.nothing_is_left(&before).await
    }

    async fn create(&mut self) -> anyhow::Result<()> {
        let body = CreateInstanceBody {
            user_data: Some(format!("#!/bin/sh\necho {MARKER} > /run/velum/marker\n")),
            ..self.world.instance(GUEST)
        };
        let made = self.client.instances().create(&body).await?;
        self.instance = made.value.id;
        let operation = made.operation.context("the creation takes time")?;
        let outcome = self.client.wait(operation).await?;
        anyhow::ensure!(outcome.is_done(), "the guest was not made: {:#?}", outcome.view());
        Ok(())
    }

    /// Its banner is on its console, and its page on its address. Answers its boot id.
    async fn lives(&mut self, how: &str) -> anyhow::Result<String> {
        let address = self.address().await?;
        let banner = format!("VELUM GUEST UP host={GUEST} ip={address} marker={MARKER}");
        self.console_says(&banner, 1).await?;
        self.saw(&format!("{how}: its console says {banner}"));
        let boot = self.boot_id(&address, None).await?;
        self.saw(&format!("{how}: http://{address}/ answers with its marker"));
        Ok(boot)
    }

    async fn address(&self) -> anyhow::Result<String> {
        let instance = self.client.instances().get(self.instance).await?;
        let address = instance.addresses.first();
        address.cloned().context("the instance has no address")
    }

    /// Waits until a line stood so many times on the console of this run, be it behind the prompt of the guest's shell.
    async fn console_says(&self, line: &str, times: usize) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let log = self.client.instances().console_log(self.instance).await?;
            let log = String::from_utf8_lossy(&log);
            let count = log.lines().filter(|l| l.trim_end().ends_with(line)).count();
            if count >= times {
                return Ok(());
            }
            anyhow::ensure!(
                began.elapsed() < self.boot,
                "the console says {line:?} {count} times, not {times}; it ends with:\n{}",
                log.lines().rev().take(20).collect::<Vec<_>>().join("\n")
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// The boot id on its page: another than `former`.
    async fn boot_id(&self, address: &str, former: Option<&str>) -> anyhow::Result<String> {
        let began = Instant::now();
        loop {
            let page = page(address).await;
            if let Ok(text) = &page
                && text.contains(&format!("marker={MARKER} "))
                && let Some(boot) = text.split("boot=").nth(1).and_then(|b| b.split('<').next())
                && former != Some(boot)
            {
                return Ok(boot.to_owned());
            }
            anyhow::ensure!(
                began.elapsed() < self.boot,
                "http://{address}/ answers {page:?}; the boot id before was {former:?}"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Runs a command line to its end.
    fn act(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let output = self.cloud.velum(arguments)?.output()?;
        anyhow::ensure!(
            output.status.success(),
            "velum {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    /// What is typed is executed, and its answer shown.
    fn console(&mut self) -> anyhow::Result<()> {
        let mut child = self
            .cloud
            .velum(&["instance", "console", GUEST])?
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        // The echo of what was typed does not hold the answer.
        let typed = child
            .stdin
            .take()
            .context("no standard input")?
            .write_all(b"\necho answer-$((6 * 7))\n");
        typed.context("could not type")?;
        let output = child.wait_with_output()?;
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        self.cloud.keep("console.log", &output.stdout);
        anyhow::ensure!(
            output.status.success() && shown.contains("answer-42"),
            "the console shows {shown:?}"
        );
        self.saw("its console takes what is typed");
        Ok(())
    }

    async fn reboots(&mut self, boot: &str, arguments: &[&str], banners: usize) -> anyhow::Result<String> {
        self.act(arguments)?;
        let address = self.address().await?;
        let banner = format!("VELUM GUEST UP host={GUEST} ip={address} marker={MARKER}");
        self.console_says(&banner, banners).await?;
        self.boot_id(&address, Some(boot)).await
    }

    async fn second_volume(&mut self) -> anyhow::Result<()> {
        let offering = self
            .client
            .disk_offerings()
            .create(&CreateDiskOfferingBody {
                name: "small".into(),
                size_bytes: Some(DISK),
                storage_tags: Vec::new(),
            })
            .await?;
        let body = CreateVolumeBody {
            zone_id: self.world.zone,
            name: "data-1".into(),
            disk_offering_id: offering.value.id,
            size_bytes: None,
        };
        let volume = self.client.volumes().create(&body).await?;
        self.done(volume.operation).await?;
        let volume = volume.value.id;
        let attached = self.client.volumes().attach(volume, self.instance).await?;
        self.done(attached.operation).await?;
        self.console_says(&format!("VELUM GUEST DISK vdb {DISK}"), 1)
            .await?;
        self.saw("it lists the second volume");
        let detached = self.client.volumes().detach(volume).await?;
        self.done(detached.operation).await?;
        self.console_says("VELUM GUEST DISK-GONE vdb", 1).await?;
        self.saw("it lists that the second volume went");
        let deleted = self.client.volumes().delete(volume).await?;
        self.done(deleted).await?;
        let files = self.cloud.traces()?.files;
        anyhow::ensure!(
            !files.iter().any(|file| file.contains(&volume.to_string())),
            "the volume's file is left: {files:?}"
        );
        Ok(())
    }

    async fn done(&self, operation: Option<Uuid>) -> anyhow::Result<()> {
        let Some(operation) = operation else { return Ok(()) };
        let outcome = tokio::time::timeout(self.boot, self.client.wait(operation))
            .await
            .context("an operation does not end")??;
        anyhow::ensure!(outcome.is_done(), "{:#?}", outcome.view());
        Ok(())
    }

    /// The guest shuts itself down; the claim on the compute host goes, and domain and seed with it.
    async fn stop(&mut self) -> anyhow::Result<()> {
        let mut console = self.client.instances().console(self.instance).await?;
        let listening = tokio::spawn(async move {
            let mut heard = Vec::new();
            while let Ok(ConsoleFrame::Bytes(bytes)) = console.receive().await {
                heard.extend_from_slice(&bytes);
            }
            heard
        });
        self.act(&["instance", "stop", GUEST, "--grace", "60", "--wait"])?;
        let heard = listening.await?;
        self.cloud.keep("serial-stop.log", &heard);
        anyhow::ensure!(
            String::from_utf8_lossy(&heard).contains("VELUM GUEST DOWN"),
            "the guest did not say that it goes down"
        );
        let instance = self.client.instances().get(self.instance).await?;
        anyhow::ensure!(
            instance.state == InstanceState::Stopped && instance.run.is_none(),
            "after the stop it is {:?} with {:?}",
            instance.state,
            instance.run
        );
        let used = self.used().await?;
        anyhow::ensure!(
            used.vcpus == 0 && used.memory_mib == 0,
            "a stopped guest holds {used:?}"
        );
        self.agree(1).await?;
        self.saw("it shut itself down: no domain, no seed, no claim on the compute host");
        Ok(())
    }

    /// The machine is as the books say.
    async fn agree(&self, layers: usize) -> anyhow::Result<()> {
        let found = self.cloud.traces()?.differences(&self.client, layers).await?;
        anyhow::ensure!(found.is_empty(), "{found:#?}");
        Ok(())
    }

    async fn used(&self) -> anyhow::Result<Used> {
        let pool = self.client.storage_pools().get(self.world.pool).await?;
        let hosts = self.client.compute_hosts().all(&Filter::new()).await?;
        Ok(Used {
            pool_bytes: pool.used_bytes,
            vcpus: hosts.iter().map(|host| host.vcpus_used).sum(),
            memory_mib: hosts.iter().map(|host| host.memory_used_mib).sum(),
            addresses: self.client.ip_addresses().all(&Filter::new()).await?.len(),
        })
    }

    async fn nothing_is_left(&mut self, before: &Used) -> anyhow::Result<()> {
        assert_books_empty(&self.client).await?;
        self.agree(1).await?;
        self.saw("destroyed: no domain, no file but the template's layer, no seed");
        let deleted = self.client.templates().delete(self.world.template).await?;
        self.done(deleted).await?;
        self.agree(0).await?;
        let used = self.used().await?;
        anyhow::ensure!(used == *before, "used is {used:?} and was {before:?}");
        self.saw("template deleted: no file in the pool; no claim, no address in the books");
        self.client.ip_ranges().delete(self.world.range).await?;
        self.client.networks().delete(self.world.network).await?;
        let traces = self.traces_without_bridge().await?;
        anyhow::ensure!(
            traces == Traces::default(),
            "this is left on the machine: {traces:#?}"
        );
        self.saw("network deleted: no bridge; nothing is left on the machine");
        Ok(())
    }

    /// Bridges of networks that are gone go with the next look at the compute host.
    async fn traces_without_bridge(&self) -> anyhow::Result<Traces> {
        let began = Instant::now();
        loop {
            let traces = self.cloud.traces()?;
            if !traces.has_bridge && traces.links.is_empty() {
                return Ok(traces);
            }
            anyhow::ensure!(
                began.elapsed() < Duration::from_secs(20),
                "the bridge of the deleted network is left: {traces:#?}"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn keep_log(&self, name: &str) {
        if let Ok(log) = self.client.instances().console_log(self.instance).await {
            self.cloud.keep(name, &log);
        }
    }
}

async fn page(address: &str) -> anyhow::Result<String> {
    let asked = async {
        reqwest::get(format!("http://{address}/"))
            .await?
            .error_for_status()?
            .text()
            .await
    };
    Ok(tokio::time::timeout(Duration::from_secs(5), asked).await??)
}
