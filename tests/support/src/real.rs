//! A cloud on the libvirt of this machine: `velum-node` and `velumd` as the quickstart starts them, in a directory of
//! the test's own. libvirtd must run (`tests/run.sh` sees to that).

use std::{
    fs::Permissions,
    io::{Read as _, Seek as _, SeekFrom},
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::Context;
use velum_client::Client;

use crate::{
    ground::{Ground, RealGround},
    process::{Process, program},
    server::{first_party, free_port, start_velumd, wait_ready},
    traces::Traces,
    virsh::Domain,
};

/// A node reads its gate's log and probes its tools: tenths of a second on a busy machine.
const NODE_READY_WITHIN: Duration = Duration::from_secs(20);

/// How a real cloud is to be.
#[derive(Clone, Debug)]
pub struct RealOptions {
    /// The suite: its logs are kept under this name.
    pub name: &'static str,
    /// Further lines of the server's configuration.
    pub config: String,
    /// Processors that the compute host is said to have.
    pub vcpus: u64,
    /// Whether the server reaches the node over TLS, as if it were on another machine, and not by its socket.
    pub tls: bool,
}

/// A running cloud. Everything stops when it is dropped, and what a test that failed left is removed.
#[derive(Debug)]
pub struct RealCloud {
    /// The server.
    pub velumd: Process,
    /// The node.
    pub node: Process,
    /// Where the server listens.
    pub url: String,
    options: RealOptions,
    /// Where the node listens for TLS, and its address.
    afar: Option<(u16, String)>,
    /// Where the log of the present node begins.
    node_log_from: u64,
    directory: tempfile::TempDir,
}

impl RealCloud {
    /// Starts node and server, and waits until both answer.
    ///
    /// # Errors
    /// When a program is not built or does not come up; with what it printed.
    pub async fn start(options: RealOptions) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("velum-real-")
            // The hypervisor's user passes through to disks and seeds.
            .permissions(Permissions::from_mode(0o711))
            .tempdir()
            .context("could not make a directory")?;
        for part in ["pool", "images"] {
            std::fs::create_dir(directory.path().join(part)).context("could not make a directory")?;
        }
        std::fs::write(directory.path().join("velumd.toml"), &options.config)
            .context("could not write the configuration")?;
        let node = start_node(directory.path(), None)?;
        let port = free_port()?;
        let velumd = start_velumd(directory.path(), port, &first_party()?, &[])?;
        let mut cloud = Self {
            velumd,
            node,
            url: format!("http://127.0.0.1:{port}"),
            options,
            afar: None,
            node_log_from: 0,
            directory,
        };
        wait_for_node(cloud.directory.path(), &mut cloud.node).await?;
        wait_ready(&cloud.url.clone(), &mut cloud.velumd).await?;
        if cloud.options.tls {
            cloud.enrol().await?;
        }
        Ok(cloud)
    }

    /// Lets the node's machine join, and starts the node anew so that it listens.
    async fn enrol(&mut self) -> anyhow::Result<()> {
        let token = self.client()?.node_token(None).await?.token;
        let port = free_port()?;
        let enrolled = Command::new(program("velum-node")?)
            .args(["enroll", "--server", &self.url, "--token", &token])
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .arg("--state")
            .arg(self.directory.path().join("node"))
            .output()
            .context("could not run velum-node enroll")?;
        let why = String::from_utf8_lossy(&enrolled.stderr);
        anyhow::ensure!(enrolled.status.success(), "velum-node enroll: {why}");
        let address = String::from_utf8_lossy(&enrolled.stdout).trim().to_owned();
        self.afar = Some((port, address));
        self.node.stop(NODE_READY_WITHIN)?;
        self.restart_node().await
    }

    /// Where all of it lies.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The bridge of this cloud's network.
    #[must_use]
    pub fn bridge(&self) -> String {
        format!("vlr{}", std::process::id())
    }

    /// The node's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("node.sock")
    }

    /// What a zone of this cloud stands on.
    #[must_use]
    pub fn ground(&self) -> Ground {
        let node = match &self.afar {
            Some((_, address)) => address.clone(),
            None => format!("unix:{}", self.socket().display()),
        };
        self.ground_of(node)
    }

    /// The same with the node behind another socket.
    #[must_use]
    pub fn ground_through(&self, socket: &Path) -> Ground {
        self.ground_of(format!("unix:{}", socket.display()))
    }

    fn ground_of(&self, node: String) -> Ground {
        Ground::Real(RealGround {
            node,
            pool: self.directory.path().join("pool"),
            array: None,
            images: self.directory.path().join("images"),
            bridge: self.bridge(),
            vcpus: self.options.vcpus,
        })
    }

    /// The administrator's token.
    ///
    /// # Errors
    /// When the server has not written it yet.
    pub fn token(&self) -> anyhow::Result<String> {
        let path = self.directory.path().join("data/admin.token");
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
        Ok(text.trim().to_owned())
    }

    /// A client with the administrator's token.
    ///
    /// # Errors
    /// When there is no token yet.
    pub fn client(&self) -> anyhow::Result<Client> {
        Ok(Client::new(&self.url, Some(&self.token()?))?)
    }

    /// The command line, pointed at this cloud.
    ///
    /// # Errors
    /// When it is not built.
    pub fn velum(&self, arguments: &[&str]) -> anyhow::Result<Command> {
        let mut command = Command::new(program("velum")?);
        command
            .args(arguments)
            .env("VELUM_SERVER", &self.url)
            .env("VELUM_TOKEN", self.token()?);
        Ok(command)
    }

    /// Starts the node again on the same state, after it was killed, and waits until it answers.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn restart_node(&mut self) -> anyhow::Result<()> {
        let log = node_log(self.directory.path());
        self.node_log_from = std::fs::metadata(&log).map_or(0, |meta| meta.len());
        let port = self.afar.as_ref().map(|(port, _)| *port);
        self.node = start_node(self.directory.path(), port)?;
        wait_for_node(self.directory.path(), &mut self.node).await
    }

    /// What the present node printed.
    #[must_use]
    pub fn node_printed(&self) -> String {
        let mut text = Vec::new();
        // What cannot be read is nothing yet.
        let _ = std::fs::File::open(node_log(self.directory.path())).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.node_log_from))?;
            file.read_to_end(&mut text)
        });
        String::from_utf8_lossy(&text).into_owned()
    }

    /// A second server on the same data, at a port of its own, that takes over as soon as the leases have run out.
    /// Answers it and its address once it is ready.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn take_over(&self) -> anyhow::Result<(Process, String)> {
        let port = free_port()?;
        let mut second = start_velumd(self.directory.path(), port, &first_party()?, &["--take-over"])?;
        let url = format!("http://127.0.0.1:{port}");
        wait_ready(&url, &mut second).await?;
        Ok((second, url))
    }

    /// What is on the machine of it now.
    ///
    /// # Errors
    /// When libvirt does not answer.
    pub fn traces(&self) -> anyhow::Result<Traces> {
        Traces::of(self)
    }

    /// Keeps something with the run, when it has a place for that (`VELUM_LOGS`).
    pub fn keep(&self, name: &str, bytes: &[u8]) {
        let Some(logs) = std::env::var_os("VELUM_LOGS") else {
            return;
        };
        let place = PathBuf::from(logs).join(self.options.name);
        let kept = std::fs::create_dir_all(&place).and_then(|()| std::fs::write(place.join(name), bytes));
        if let Err(error) = kept {
            eprintln!("could not keep {name}: {error}");
        }
    }
}

impl Drop for RealCloud {
    fn drop(&mut self) {
        for name in ["velumd.log", "velum-node.log"] {
            self.keep(
                name,
                &std::fs::read(self.directory.path().join(name)).unwrap_or_default(),
            );
        }
        self.velumd.kill();
        self.node.kill();
        let mark = self.directory.path().display().to_string();
        for domain in Domain::all_with(&mark).unwrap_or_default() {
            eprintln!("the domain {} is left: removing it", domain.name);
            if let Err(error) = domain.remove() {
                eprintln!("{error:#}");
            }
        }
        let bridge = self.bridge();
        if Path::new("/sys/class/net").join(&bridge).exists() {
            let _ = Command::new("ip")
                .args(["link", "delete", "dev", &bridge, "type", "bridge"])
                .status();
        }
    }
}

fn node_log(directory: &Path) -> PathBuf {
    directory.join("velum-node.log")
}

fn start_node(directory: &Path, tls_port: Option<u16>) -> anyhow::Result<Process> {
    let mut command = Command::new(program("velum-node")?);
    command
        .arg("--socket")
        .arg(directory.join("node.sock"))
        .arg("--state")
        .arg(directory.join("node"))
        .args(["--libvirt-uri-allow", "qemu:///system"])
        .arg("--directory-allow")
        .arg(directory)
        .env("RUST_LOG", "info,velum_node=debug");
    if let Some(port) = tls_port {
        command.args(["--listen", &format!("127.0.0.1:{port}")]);
    }
    Process::start("velum-node", &mut command, &node_log(directory))
}

async fn wait_for_node(directory: &Path, node: &mut Process) -> anyhow::Result<()> {
    let began = Instant::now();
    let socket = directory.join("node.sock");
    while UnixStream::connect(&socket).is_err() {
        anyhow::ensure!(
            node.is_running() && began.elapsed() < NODE_READY_WITHIN,
            "velum-node does not come up; it printed:\n{}",
            node.printed()
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}
