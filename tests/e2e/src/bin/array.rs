//! A vendor's array end to end on `qemu:///system`: a guest boots from one of its units through QEMU's iSCSI driver with
//! CHAP, keeps what it writes over a stop and a start, outlives libvirtd, gets a second unit and gives it back, and is destroyed; then nothing
//! is left on the array, in libvirt or in the books. On the way the array fails, answers late and loses an answer; a secret
//! that is not the array's and a unit that shows another serial number are refused in words before the guest sees a byte.

use std::{
    collections::BTreeSet,
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::Parser;
use serde_json::Value;
use uuid::Uuid;
use velum_client::{Client, Filter, Outcome};
use velum_support::{
    Aim, ArrayPool, Domain, Ground, Image, Libvirtd, RealCloud, RealOptions, Report, World, WorldOptions,
    array::{ArrayProcess, Fault, FaultKind, Left},
    assert_books_empty,
};
use velum_wire::{CreateDiskOfferingBody, CreateInstanceBody, CreateVolumeBody, ImageFormat};

/// Drives a guest on a storage array.
#[derive(Debug, Parser)]
struct Arguments {
    /// Seconds that a boot may take: 5 under TCG on an idle machine, many more on a busy one.
    #[arg(long, default_value_t = 120)]
    boot: u64,
}

const NAME: &str = "array";
const GUEST: &str = "guest-1";
const ROOT: u64 = 64 << 20;
const DISK: u64 = 48 << 20;
/// Where the guest counts its boots: behind the 32 MiB of its image.
const SECTOR: u64 = 90_000;
/// Counts its boots on its root disk, and says the number.
const USER_DATA: &str = "#!/bin/sh
n=$(dd if=/dev/vda bs=512 skip=90000 count=1 2>/dev/null | tr -cd 0-9)
n=$((${n:-0} + 1))
printf '%512s' $n | dd of=/dev/vda bs=512 seek=90000 count=1 conv=fsync 2>/dev/null
echo boot-$n >/run/velum/marker
";
/// A look at the machine comes once a second; a busy one takes its time.
const SETTLED_WITHIN: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let began = Instant::now();
    let image = image()?;
    let cloud = RealCloud::start(RealOptions {
        name: NAME,
        config: "[observe]\nevery_ms = 1000\n".into(),
        vcpus: 2,
        tls: false,
    })
    .await?;
    let array = ArrayProcess::start("q1", cloud.directory()).await?;
    let client = cloud.client()?;
    let mut story = Story {
        boot: Duration::from_secs(arguments.boot),
        world: build(&cloud, &client, &array, image).await?,
        cloud,
        array,
        client,
        instance: Uuid::nil(),
        seen: Vec::new(),
        libvirtd: Libvirtd::default(),
    };
    let told = story.tell().await;
    story.keep().await;
    told?;
    Ok(Report::new(NAME, 0.0, "failures", Aim::AtMost(0.0))
        .with("boot_limit_s", arguments.boot)
        .with("took_s", began.elapsed().as_secs())
        .with("proved", story.seen)
        .print())
}

/// The tiny guest, built out of packages if it was not yet.
fn image() -> anyhow::Result<Image> {
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/image/build.sh");
    let built = Command::new("bash")
        .arg(recipe)
        .stderr(Stdio::inherit())
        .output()
        .context("could not build the guest")?;
    anyhow::ensure!(built.status.success(), "the guest could not be built");
    let path = String::from_utf8(built.stdout)?;
    Ok(Image {
        bytes: std::fs::read(path.trim()).with_context(|| format!("could not read {}", path.trim()))?,
        format: ImageFormat::Qcow2,
    })
}

/// A zone whose one pool is the array's.
async fn build(
    cloud: &RealCloud,
    client: &Client,
    array: &ArrayProcess,
    image: Image,
) -> anyhow::Result<World> {
    let mut ground = cloud.ground();
    if let Ground::Real(real) = &mut ground {
        real.array = Some(ArrayPool {
            endpoint: array.url.clone(),
            credential: array.credential.clone(),
            config: array.pool_config(),
        });
    }
    let options = WorldOptions {
        zone: 197,
        hosts: 1,
        addresses: ("10.197.0.10".into(), "10.197.0.50".into()),
        ..WorldOptions::default()
    };
    World::build_on(client, &ground, &options, image).await
}

struct Story {
    boot: Duration,
    cloud: RealCloud,
    array: ArrayProcess,
    client: Client,
    world: World,
    instance: Uuid,
    seen: Vec<String>,
    /// Last: what a failed run leaves is removed through it.
    libvirtd: Libvirtd,
}

impl Story {
    fn saw(&mut self, what: impl Into<String>) {
        let what = what.into();
        eprintln!("{what}");
        self.seen.push(what);
    }

    async fn tell(&mut self) -> anyhow::Result<()> {
        self.arm().await?;
        self.create().await?;
        self.boots(1).await?;
        self.is_on_the_array(1).await?;
        self.faults_have_hit().await?;
        self.secret_is_nowhere()?;
        self.act(&["instance", "stop", GUEST, "--grace", "60", "--wait"])?;
        self.is_idle().await?;
        self.act(&["instance", "start", GUEST, "--wait"])?;
        self.boots(2).await?;
        self.is_on_the_array(2).await?;
        self.libvirtd_dies().await?;
        self.left_object_goes().await?;
        self.second_volume().await?;
        self.act(&["instance", "destroy", GUEST, "--wait"])?;
        self.nothing_is_left().await
    }

    /// What the array has in store for the first guest.
    async fn arm(&self) -> anyhow::Result<()> {
        for (kind, method, path_ends) in [
            (FaultKind::Lose, "POST", "/luns"),
            (FaultKind::Lose, "POST", "/copy"),
            (FaultKind::Fail, "PUT", &format!("/mappings/{}", self.host())),
            (FaultKind::Slow, "PUT", &format!("/hosts/{}", self.host())),
        ] {
            self.array
                .arm(&Fault {
                    kind,
                    method: method.into(),
                    path_ends: path_ends.into(),
                    delay_ms: 500,
                    times: 1,
                })
                .await?;
        }
        Ok(())
    }

    async fn faults_have_hit(&mut self) -> anyhow::Result<()> {
        let hits = self.array.hits().await?;
        let kinds: Vec<FaultKind> = hits.iter().map(|hit| hit.kind).collect();
        for (kind, times) in [(FaultKind::Lose, 2), (FaultKind::Fail, 1), (FaultKind::Slow, 1)] {
            let count = kinds.iter().filter(|hit| **hit == kind).count();
            anyhow::ensure!(
                count == times,
                "{kind:?} hit {count} times, not {times}: {hits:#?}"
            );
        }
        let left = self.array.left().await?;
        anyhow::ensure!(
            left.luns.len() == 2,
            "a layer and a root disk were ordered, and the array has {:?}",
            left.luns
        );
        self.saw("the array lost two answers, failed once and was slow once: one layer, one root disk");
        Ok(())
    }

    /// The compute host as the array knows it.
    fn host(&self) -> String {
        self.world
            .hosts
            .first()
            .map(ToString::to_string)
            .unwrap_or_default()
    }

    async fn create(&mut self) -> anyhow::Result<()> {
        let body = CreateInstanceBody {
            root_size_bytes: Some(ROOT),
            user_data: Some(USER_DATA.to_owned()),
            ..self.world.instance(GUEST)
        };
        let made = self.client.instances().create(&body).await?;
        self.instance = made.value.id;
        self.done(made.operation).await
    }

    async fn boots(&mut self, times: u32) -> anyhow::Result<()> {
        let instance = self.client.instances().get(self.instance).await?;
        let address = instance
            .addresses
            .first()
            .context("the instance has no address")?;
        let banner = format!("VELUM GUEST UP host={GUEST} ip={address} marker=boot-{times}");
        self.console_says(&banner).await?;
        self.saw(format!("boot {times}: its console says {banner}"));
        Ok(())
    }

    async fn console_says(&self, line: &str) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let log = self.client.instances().console_log(self.instance).await?;
            let log = String::from_utf8_lossy(&log);
            if log.lines().any(|l| l.trim_end().ends_with(line)) {
                return Ok(());
            }
            anyhow::ensure!(
                began.elapsed() < self.boot,
                "the console does not say {line:?}; it ends with:\n{}",
                log.lines().rev().take(20).collect::<Vec<_>>().join("\n")
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// The guest runs over a session of the node's own name, and what it wrote lies on the array.
    async fn is_on_the_array(&mut self, boots: u32) -> anyhow::Result<()> {
        let left = self.array.left().await?;
        let initiator = std::fs::read_to_string(self.cloud.directory().join("node/initiator"))
            .context("the node has no name as an initiator")?;
        let initiator = initiator.trim();
        anyhow::ensure!(
            !left.sessions.is_empty() && left.sessions.iter().all(|session| session.starts_with(initiator)),
            "sessions of {initiator} are expected: {:?}",
            left.sessions
        );
        let xml = self.domain()?.xml;
        for part in [
            "<disk type='network'",
            "protocol='iscsi'",
            &format!("<iqn name='{initiator}'/>"),
            "<secret type='iscsi' usage='velum-",
        ] {
            anyhow::ensure!(xml.contains(part), "{part} is not in the domain:\n{xml}");
        }
        let volumes = self.client.volumes().all(&Filter::new()).await?;
        let root = volumes.first().context("the guest has no root volume")?;
        let lun = self.lun(root.id).await?;
        let mut sector = [0; 512];
        let mut file = std::fs::File::open(self.array.luns.join(&lun))?;
        file.seek(SeekFrom::Start(SECTOR * 512))?;
        file.read_exact(&mut sector)?;
        let written = String::from_utf8_lossy(&sector).trim().to_owned();
        anyhow::ensure!(written == boots.to_string(), "on {lun} is written {written:?}");
        no_secret_objects()?;
        self.saw(format!(
            "boot {boots}: an iSCSI session of the node's own name, the count on {lun}, no secret object in libvirt"
        ));
        Ok(())
    }

    async fn lun(&self, volume: Uuid) -> anyhow::Result<String> {
        let luns = self.array.left().await?.luns;
        let found = luns.get(&format!("velum-{volume}")).cloned();
        found.with_context(|| format!("the array has no lun of {volume}: {luns:?}"))
    }

    fn domain(&self) -> anyhow::Result<Domain> {
        let found = Domain::all_with(&self.cloud.directory().display().to_string())?;
        found
            .into_iter()
            .find(|domain| domain.is_active)
            .context("no domain runs")
    }

    /// A libvirtd that comes back finds the guest and asks for no secret: QEMU has what it needs.
    async fn libvirtd_dies(&mut self) -> anyhow::Result<()> {
        self.libvirtd.kill_and_start()?;
        anyhow::ensure!(self.domain()?.is_active, "the guest did not outlive libvirtd");
        no_secret_objects()?;
        self.saw("libvirtd was killed and came back: the guest runs on its unit");
        Ok(())
    }

    /// What a node that died in the middle of a start leaves in libvirt goes with the next look.
    async fn left_object_goes(&mut self) -> anyhow::Result<()> {
        let file = self.cloud.directory().join("left.xml");
        let text = "<secret ephemeral='yes' private='yes'><usage type='iscsi'><target>velum-left-ua-disk-0</target></usage></secret>";
        std::fs::write(&file, text)?;
        let made = Command::new("virsh")
            .args(["-q", "-c", "qemu:///system", "secret-define"])
            .arg(&file)
            .output()
            .context("could not run virsh")?;
        anyhow::ensure!(
            made.status.success(),
            "virsh secret-define: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let began = Instant::now();
        while let Err(left) = no_secret_objects() {
            anyhow::ensure!(began.elapsed() < SETTLED_WITHIN, "{left:#}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        self.saw("a secret object that a dead node left: gone with the next look");
        Ok(())
    }

    /// The secret is in the server's own file of secrets and in nothing else that was written here.
    fn secret_is_nowhere(&mut self) -> anyhow::Result<()> {
        let home = self.cloud.directory().to_owned();
        let kept = files_below(&home)?;
        let mut secrets = BTreeSet::new();
        for file in kept.iter().filter(|file| is_secrets(file)) {
            let values: Value = serde_json::from_slice(&std::fs::read(file)?)?;
            collect_hex(&values, &mut secrets);
        }
        anyhow::ensure!(
            secrets.len() == 2,
            "the mover and the compute host have a secret each: {} are kept",
            secrets.len()
        );
        let xml = self.domain()?.xml;
        let tables = process_tables()?;
        for secret in &secrets {
            anyhow::ensure!(!xml.contains(secret), "the domain's text holds a secret");
            anyhow::ensure!(
                !tables.contains(secret),
                "a process has a secret among its arguments"
            );
            for file in kept.iter().filter(|file| !is_secrets(file)) {
                // A disk that grew or went while it is read is no log and no row.
                let Ok(bytes) = std::fs::read(file) else { continue };
                let holds = [secret.clone(), hex_of(secret)]
                    .iter()
                    .any(|text| bytes.windows(text.len()).any(|window| window == text.as_bytes()));
                anyhow::ensure!(!holds, "{} holds a secret", file.display());
            }
        }
        self.saw(format!(
            "two CHAP secrets: in no row, no log, no domain, no argument ({} files read)",
            kept.len()
        ));
        Ok(())
    }

    /// A stopped guest has no session, no mapping, no CHAP user.
    async fn is_idle(&mut self) -> anyhow::Result<()> {
        let left = self.array.left().await?;
        let idle = Left {
            luns: left.luns.clone(),
            files: left.files.clone(),
            ..Left::default()
        };
        anyhow::ensure!(left == idle, "a stopped guest leaves {left:#?}");
        no_secret_objects()?;
        self.saw("stopped: no session, no mapping, no host and no CHAP user on the array");
        Ok(())
    }

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

    async fn ends(&self, operation: Option<Uuid>) -> anyhow::Result<Outcome> {
        let operation = operation.context("it takes time")?;
        tokio::time::timeout(self.boot, self.client.wait(operation))
            .await
            .context("an operation does not end")?
            .map_err(Into::into)
    }

    async fn done(&self, operation: Option<Uuid>) -> anyhow::Result<()> {
        let outcome = self.ends(operation).await?;
        anyhow::ensure!(outcome.is_done(), "{:#?}", outcome.view());
        Ok(())
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
        self.refused(volume).await?;
        let attached = self.client.volumes().attach(volume, self.instance).await?;
        self.done(attached.operation).await?;
        self.console_says(&format!("VELUM GUEST DISK vdb {DISK}")).await?;
        no_secret_objects()?;
        self.saw("a second unit: the guest lists it");
        let detached = self.client.volumes().detach(volume).await?;
        self.done(detached.operation).await?;
        self.console_says("VELUM GUEST DISK-GONE vdb").await?;
        let deleted = self.client.volumes().delete(volume).await?;
        self.done(deleted).await?;
        let luns = self.array.left().await?.luns;
        anyhow::ensure!(
            !luns.contains_key(&format!("velum-{volume}")),
            "the lun of the deleted volume is left: {luns:?}"
        );
        self.saw("the second unit went: the guest lists that, and the array has no such lun");
        Ok(())
    }

    /// A secret that is not the array's, and a unit that is another: neither reaches the guest.
    async fn refused(&mut self, volume: Uuid) -> anyhow::Result<()> {
        let host = self.host();
        self.array.change_secret(&host, Some("not-the-secret-1")).await?;
        let why = self.refusal(volume).await?;
        anyhow::ensure!(
            why.contains("authentication failed") && why.contains(&format!("velum-{host}")),
            "a wrong secret is refused with {why}"
        );
        self.array.change_secret(&host, None).await?;
        self.saw("a wrong CHAP secret: refused in words, the guest saw nothing");
        let lun = self.lun(volume).await?;
        self.array.swap_serial(&lun, Some("QAFFFFFFFFFFFFFFFF")).await?;
        let why = self.refusal(volume).await?;
        anyhow::ensure!(
            why.contains("serial number") && why.contains("QAFFFFFFFFFFFFFFFF"),
            "another serial number is refused with {why}"
        );
        self.array.swap_serial(&lun, None).await?;
        self.saw("another serial number: refused in words, the guest saw nothing");
        Ok(())
    }

    async fn refusal(&self, volume: Uuid) -> anyhow::Result<String> {
        let attached = self.client.volumes().attach(volume, self.instance).await?;
        let outcome = self.ends(attached.operation).await?;
        anyhow::ensure!(!outcome.is_done(), "it was attached all the same");
        let log = self.client.instances().console_log(self.instance).await?;
        anyhow::ensure!(
            !String::from_utf8_lossy(&log).contains("VELUM GUEST DISK vdb"),
            "the guest saw a disk"
        );
        let xml = self.domain()?.xml;
        anyhow::ensure!(!xml.contains("ua-disk-1"), "the domain has a second disk:\n{xml}");
        let left = self.client.volumes().get(volume).await?;
        anyhow::ensure!(left.attachment.is_none(), "the books have it attached: {left:#?}");
        Ok(format!("{:?}", outcome.view()))
    }

    async fn nothing_is_left(&mut self) -> anyhow::Result<()> {
        assert_books_empty(&self.client).await?;
        let deleted = self.client.templates().delete(self.world.template).await?;
        self.done(deleted).await?;
        let began = Instant::now();
        loop {
            let left = self.array.left().await?;
            if left == Left::default() {
                break;
            }
            anyhow::ensure!(began.elapsed() < SETTLED_WITHIN, "on the array is left {left:#?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        no_secret_objects()?;
        let domains = Domain::all_with(&self.cloud.directory().display().to_string())?;
        anyhow::ensure!(domains.is_empty(), "libvirt has {domains:?}");
        let pool = self.client.storage_pools().get(self.world.pool).await?;
        anyhow::ensure!(
            pool.used_bytes == 0,
            "{} bytes of the pool are promised",
            pool.used_bytes
        );
        self.saw(
            "destroyed: no lun, no session, no host, no CHAP user, no secret object, no domain, no claim",
        );
        self.client.ip_ranges().delete(self.world.range).await?;
        self.client.networks().delete(self.world.network).await?;
        Ok(())
    }

    async fn keep(&self) {
        if let Ok(log) = self.client.instances().console_log(self.instance).await {
            self.cloud.keep("serial.log", &log);
        }
        for log in ["velum-array.log", "array-q1/tgtd.log"] {
            let bytes = std::fs::read(self.cloud.directory().join(log)).unwrap_or_default();
            self.cloud.keep(&log.replace('/', "-"), &bytes);
        }
    }
}

/// libvirt knows no secret of ours between two calls.
fn no_secret_objects() -> anyhow::Result<()> {
    let listed = Command::new("virsh")
        .args(["-q", "-c", "qemu:///system", "secret-list"])
        .output()
        .context("could not run virsh")?;
    let text = String::from_utf8_lossy(&listed.stdout);
    anyhow::ensure!(
        listed.status.success() && !text.contains("velum-"),
        "libvirt has secret objects: {text}{}",
        String::from_utf8_lossy(&listed.stderr)
    );
    Ok(())
}

/// Whether it is the server's own file of secrets.
fn is_secrets(file: &Path) -> bool {
    file.parent().is_some_and(|parent| parent.ends_with("secrets"))
}

fn files_below(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        // What a guest or an image holds is no row and no log.
        if kind.is_dir() && !["luns", "images"].iter().any(|name| entry.file_name() == *name) {
            found.extend(files_below(&entry.path())?);
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// The arguments and environments of all processes but the array's own tools, which are its box.
fn process_tables() -> anyhow::Result<String> {
    let mut text = String::new();
    for entry in std::fs::read_dir("/proc")? {
        let path = entry?.path();
        let read = |name: &str| std::fs::read(path.join(name)).unwrap_or_default();
        if path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().parse::<u32>().is_ok())
        {
            text.push_str(&String::from_utf8_lossy(&read("cmdline")));
            text.push_str(&String::from_utf8_lossy(&read("environ")));
        }
    }
    Ok(text)
}

/// The values in a file of secrets: texts of hexadecimal digits that hold printable characters.
fn collect_hex(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => map.values().for_each(|value| collect_hex(value, into)),
        Value::Array(list) => list.iter().for_each(|value| collect_hex(value, into)),
        Value::String(text) => {
            let bytes: Option<Vec<u8>> = (0..text.len() / 2)
                .map(|at| u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok())
                .collect();
            if let Some(secret) = bytes.and_then(|bytes| String::from_utf8(bytes).ok())
                && secret.len() == 16
            {
                into.insert(secret);
            }
        }
        _ => {}
    }
}

fn hex_of(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}
