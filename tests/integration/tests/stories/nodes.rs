//! Machines join as nodes of their own, and nobody but the cloud's servers commands them.

use std::{
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Output,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use tokio::{net::TcpStream, process::Command};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        self, ClientConfig, DigitallySignedStruct, SignatureScheme,
        client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
        time_provider::{DefaultTimeProvider, TimeProvider as _},
    },
};
use velum_connector::{
    message::{Greeting, frame},
    tls::{self, Authority, Own},
};
use velum_integration::Story;
use velum_model::Timestamp;
use velum_support::{CloudOptions, Process, WorldOptions, program};
use velum_wire::{ComputeHostView, CreateComputeHostBody};

use crate::command_line::ok;

/// A node opens its gate's log and probes its tools: tenths of a second on a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// A cloud with room at the far side for compute hosts that the stories register themselves.
async fn begin() -> anyhow::Result<Story> {
    let cloud = CloudOptions {
        hosts: 4,
        ..CloudOptions::default()
    };
    let world = WorldOptions {
        hosts: 1,
        ..WorldOptions::default()
    };
    Story::begin(&cloud, &world).await
}

/// A machine of its own, as far as one machine can have several.
struct Machine {
    state: PathBuf,
    port: u16,
    /// What a compute host on it is registered with.
    address: String,
    node: Option<Process>,
}

async fn token(story: &Story) -> anyhow::Result<String> {
    let token = ok(story, &["node", "token", "--valid", "5min"]).await?;
    Ok(token.trim().to_owned())
}

async fn enroll(story: &Story, state: &Path, port: u16, token: &str) -> anyhow::Result<Output> {
    let mut command = Command::new(program("velum-node")?);
    command
        .args(["enroll", "--server", &story.cloud.url, "--token", token])
        .args(["--listen", &format!("127.0.0.1:{port}")])
        .arg("--state")
        .arg(state);
    Ok(command.output().await?)
}

/// Enrols and answers what it printed: the address.
async fn enrolled(story: &Story, state: &Path, port: u16, token: &str) -> anyhow::Result<String> {
    let output = enroll(story, state, port, token).await?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    anyhow::ensure!(output.status.success(), "{said}");
    assert!(said.contains("--node tls:"), "it says what is next: {said}");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Enrols in vain and answers why.
async fn not_enrolled(story: &Story, state: &Path, token: &str) -> anyhow::Result<String> {
    let output = enroll(story, state, 7443, token).await?;
    anyhow::ensure!(!output.status.success(), "it was enrolled");
    assert!(!state.join("node.crt").exists(), "nothing but the key is kept");
    Ok(String::from_utf8(output.stderr)?)
}

impl Machine {
    /// Joins the cloud and serves.
    async fn join(story: &Story, name: &str) -> anyhow::Result<Self> {
        let state = story.cloud.directory().join(name);
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = enrolled(story, &state, port, &token(story).await?).await?;
        let mut machine = Self {
            state,
            port,
            address,
            node: None,
        };
        machine.start().await?;
        Ok(machine)
    }

    async fn start(&mut self) -> anyhow::Result<()> {
        let listen = format!("127.0.0.1:{}", self.port);
        let mut command = std::process::Command::new(program("velum-node")?);
        command
            .args(["--no-socket", "--listen", &listen])
            .arg("--state")
            .arg(&self.state);
        let log = self.state.with_extension("log");
        let mut node = Process::start("velum-node", &mut command, &log)?;
        let began = Instant::now();
        while TcpStream::connect(&listen).await.is_err() {
            anyhow::ensure!(
                node.is_running() && began.elapsed() < READY_WITHIN,
                "velum-node does not come up; it printed:\n{}",
                node.printed()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.node = Some(node);
        Ok(())
    }

    fn printed(&self) -> String {
        self.node.as_ref().map(Process::printed).unwrap_or_default()
    }

    /// Its id.
    fn id(&self) -> anyhow::Result<&str> {
        let rest = self.address.strip_prefix("tls:").context("over TLS")?;
        Ok(rest.split_once('@').context("an id")?.0)
    }

    /// What it shows of itself.
    fn own(&self) -> anyhow::Result<Own> {
        Ok(Own {
            certificate: CertificateDer::from_pem_file(self.state.join("node.crt"))?,
            key: PrivateKeyDer::from_pem_file(self.state.join("node.key"))?,
        })
    }

    /// Connects to it as whoever has this certificate, and reads what it says first.
    async fn greet(&self, own: Option<Own>) -> Result<Greeting, String> {
        let config = ClientConfig::builder_with_provider(tls::provider())
            .with_protocol_versions(tls::VERSIONS)
            .map_err(|why| why.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Whoever));
        let config = match own {
            Some(own) => config
                .with_client_auth_cert(vec![own.certificate], own.key)
                .map_err(|why| why.to_string())?,
            None => config.with_no_client_auth(),
        };
        let refused = |why: std::io::Error| tls::words(&why);
        let stream = TcpStream::connect(("127.0.0.1", self.port))
            .await
            .map_err(refused)?;
        let name = ServerName::try_from("velum-node").map_err(|why| why.to_string())?;
        let mut stream = TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
            .map_err(refused)?;
        match frame::read(&mut stream).await {
            Ok(Some(frame)) => frame.message().map_err(|why| why.to_string()),
            Ok(None) => Err("it closed the connection".into()),
            Err(frame::FrameError::Io(why)) => Err(refused(why)),
            Err(why) => Err(why.to_string()),
        }
    }
}

/// Believes anybody: what is asked here is what a node does, not who it is.
#[derive(Debug)]
struct Whoever;

impl ServerCertVerifier for Whoever {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        tls::provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// Registers a compute host whose node is at an address: the server asks that node who it is before it stores anything.
async fn register(story: &Story, number: u32, node: &str) -> Result<ComputeHostView, String> {
    let body = CreateComputeHostBody {
        cluster_id: story.world.cluster,
        name: format!("machine-{number}"),
        config: serde_json::json!({ "host": format!("z1-h{number:04}") }),
        node: Some(node.to_owned()),
        endpoint: Some(story.cloud.sim_url.clone()),
        ..CreateComputeHostBody::default()
    };
    let made = story.client.compute_hosts().create(&body).await;
    made.map(|answer| answer.value).map_err(|why| why.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_machines_join_and_each_is_called_as_itself() -> anyhow::Result<()> {
    let story = begin().await?;
    let mut one = Machine::join(&story, "one").await?;
    let two = Machine::join(&story, "two").await?;
    for file in ["node.key", "node.crt", "authority.crt"] {
        let mode = std::fs::metadata(one.state.join(file))?.permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    assert_ne!(one.id()?, two.id()?);

    // Each other's address: the machine that answers is not the one that was meant.
    for (number, meant, there) in [(2, &one, &two), (3, &two, &one)] {
        let swapped = format!("tls:{}@127.0.0.1:{}", meant.id()?, there.port);
        let why = register(&story, number, &swapped)
            .await
            .expect_err("another machine is there");
        let named = [meant.id()?, there.id()?].map(|id| why.contains(&format!("velum://node/{id}")));
        assert_eq!(named, [true, true], "{why}");
        assert!(why.contains("another machine has this address"), "{why}");
    }
    let host = register(&story, 2, &one.address)
        .await
        .map_err(anyhow::Error::msg)?;
    assert_eq!(host.node.as_deref(), Some(&*one.address));
    register(&story, 3, &two.address)
        .await
        .map_err(anyhow::Error::msg)?;

    // It joins again, with a token of its own: it stays who it was, and is found after its node started anew.
    let again = enrolled(&story, &one.state, one.port, &token(&story).await?).await?;
    assert_eq!(again, one.address);
    if let Some(mut node) = one.node.take() {
        node.kill();
    }
    let gone = register(&story, 4, &one.address)
        .await
        .expect_err("nobody is there");
    assert!(gone.contains("does not answer"), "{gone}");
    one.start().await?;
    register(&story, 4, &one.address)
        .await
        .map_err(anyhow::Error::msg)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_token_is_good_once_and_for_its_own_cloud() -> anyhow::Result<()> {
    let story = begin().await?;
    let place = |name: &str| story.cloud.directory().join(name);
    let used = token(&story).await?;
    enrolled(&story, &place("first"), 7443, &used).await?;
    let why = not_enrolled(&story, &place("second"), &used).await?;
    assert!(why.contains("a machine joined with it at"), "{why}");

    let (secret, fingerprint) = used.split_once('.').context("two parts")?;
    let turned: String = fingerprint
        .chars()
        .map(|digit| if digit == '0' { '1' } else { '0' })
        .collect();
    let foreign = format!("{secret}.{turned}");
    let why = not_enrolled(&story, &place("third"), &foreign).await?;
    assert!(why.contains("of another cloud"), "{why}");

    let unknown = format!("vjn_{}.{fingerprint}", "0".repeat(64));
    let why = not_enrolled(&story, &place("fourth"), &unknown).await?;
    assert!(why.contains("is not known here"), "{why}");
    let why = not_enrolled(&story, &place("fifth"), "velum_0123").await?;
    assert!(why.contains("no join token") && !why.contains("0123"), "{why}");

    // A tenant's token, and none, make no join tokens; a join token opens nothing else.
    let url = format!("{}/v1/node-tokens", story.cloud.url);
    let http = reqwest::Client::new();
    let nobody = http.post(&url).send().await?;
    assert_eq!(nobody.status().as_u16(), 401);
    let joining = http.post(&url).bearer_auth(token(&story).await?).send().await?;
    assert_eq!(joining.status().as_u16(), 401);
    let events = ok(&story, &["event", "list"]).await?;
    assert!(
        events.contains("node-token.created") && events.contains("node.enrolled"),
        "{events}"
    );
    assert!(!events.contains("vjn_"), "no secret is told");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_no_server_of_the_cloud_is_refused_by_a_node() -> anyhow::Result<()> {
    let story = begin().await?;
    let one = Machine::join(&story, "one").await?;
    let two = Machine::join(&story, "two").await?;

    let why = one.greet(None).await.expect_err("no certificate");
    assert!(why.contains("whoever shows no certificate"), "{why}");

    let seconds = DefaultTimeProvider.current_time().context("the time")?.as_secs();
    let now = Timestamp::from_micros(i64::try_from(seconds)? * 1_000_000);
    let other = Authority::of(&Authority::make(now)?)?;
    let why = one
        .greet(Some(other.server("velumd-x", now)?))
        .await
        .expect_err("of another cloud");
    assert!(why.contains("another authority"), "{why}");

    for node in [&one, &two] {
        let why = one
            .greet(Some(node.own()?))
            .await
            .expect_err("a node commands no node");
        assert!(why.contains("which is no server's"), "{why}");
    }
    let log = one.printed();
    assert!(
        log.contains(&format!("velum://node/{}", two.id()?)) && log.contains("is no server"),
        "the node says whom it refused:\n{log}"
    );
    // The same door is open to the server all the time.
    register(&story, 2, &one.address)
        .await
        .map_err(anyhow::Error::msg)?;

    // What does not speak TLS is no client, and no harm.
    let mut plain = TcpStream::connect(("127.0.0.1", one.port)).await?;
    tokio::io::AsyncWriteExt::write_all(&mut plain, b"GET / HTTP/1.1\r\n\r\n").await?;
    let mut said = Vec::new();
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut plain, &mut said).await;
    assert!(!String::from_utf8_lossy(&said).contains("boot_id"), "{said:?}");
    register(&story, 3, &one.address)
        .await
        .map_err(anyhow::Error::msg)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_is_not_enrolled_serves_nobody_afar() -> anyhow::Result<()> {
    let state = tempfile::tempdir()?;
    let mut command = Command::new(program("velum-node")?);
    command
        .args(["--no-socket", "--listen", "127.0.0.1:0"])
        .arg("--state")
        .arg(state.path());
    let output = command.output().await?;
    assert!(!output.status.success());
    let why = String::from_utf8(output.stderr)?;
    assert!(why.contains("velum-node enroll"), "{why}");
    Ok(())
}
