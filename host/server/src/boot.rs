//! Start and stop: what exists before what, and what goes first.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::{
    net::TcpListener,
    runtime::Handle,
    signal::unix::{SignalKind, signal},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use velum_api::{ApiState, Bounds};
use velum_connector::{Connections, http::HttpConnector, message::ShardEpoch};
use velum_model::{ShardId, chance::Ids, time::Clock};
use velum_operation::{
    Engine, EngineLimits, EngineParts,
    reconcile::{ObserveLimits, Observer},
};
use velum_runtime::{COMPILE_ARGUMENT, Limits, Runtime, RuntimeOptions};
use velum_service::{Services, Watch};
use velum_store::{Refused, Store, StoreError, StoreOptions};

use crate::{
    config::Config,
    data::Data,
    observer::Listeners,
    plugins,
    sources::{SystemClock, SystemIds},
};

/// The exit that a server takes when another has taken its shards: started again it would only take them back.
const TAKEN_OVER: &str = "another server has taken over the shards";

/// Serves until SIGTERM, SIGINT or the loss of the shards; operations are carried out on `background`.
pub async fn run(config: &Config, take_over: bool, background: &Handle) -> anyhow::Result<()> {
    let metrics = PrometheusBuilder::new()
        .install_recorder()
        .context("could not install the metrics recorder")?;
    let data = Data::open(&config.data, take_over)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let ids: Arc<dyn Ids> = Arc::new(SystemIds);
    // Bound before anything is taken over: an address in use must not cost another server its shards.
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("could not listen on {}; is another server there?", config.listen))?;

    let watch = Watch::new();
    let listeners = Listeners::new(watch.clone());
    let (store, shards) = open_store(config, &data, &clock, &ids, &listeners).await?;
    data.ensure_admin_token(&store, ids.as_ref()).await?;

    let http = HttpConnector::new().context("could not set up the HTTP connector")?;
    let connections = Connections::new(http.clone());
    announce(&connections, &shards).await?;
    let runtime = Runtime::start(runtime_options(&data, &clock, &ids, &connections, http)?)
        .context("could not start the plugin runtime")?;
    plugins::load_known(runtime.as_ref(), &store).await?;
    let services = Services::start(velum_service::Parts {
        store: store.clone(),
        plugins: runtime.clone(),
        nodes: Arc::new(connections.clone()),
        clock: clock.clone(),
        ids: ids.clone(),
        watch: watch.clone(),
    })
    .await
    .context("could not read the inventory")?;
    plugins::install_from(&services, &store, &config.plugins).await?;
    let engine = Engine::new(EngineParts {
        store: store.aside(),
        plugins: runtime.clone(),
        nodes: Arc::new(connections),
        replan: Arc::new(services.clone()),
        clock: clock.clone(),
        ids: ids.clone(),
        limits: engine_limits(config),
    });
    listeners.follow(engine.clone());
    let waiting = engine
        .load()
        .await
        .context("could not read the unfinished operations")?;
    tracing::info!(waiting, "resuming operations");

    let stop = CancellationToken::new();
    let work = Work::begin(config, (&engine, background), &store, &stop);

    let state = ApiState {
        services,
        ids,
        metrics: Some(metrics),
        stop: stop.clone(),
        bounds: Arc::new(Bounds::default()),
    };
    tracing::info!(listen = %config.listen, "velumd serves");
    let served = serve(listener, state, stop.clone(), config.shutdown.grace_ms).await;
    engine.stop();
    let is_lost = work.end(config.shutdown.grace_ms).await;
    store.close().await;
    served?;
    anyhow::ensure!(!is_lost, TAKEN_OVER);
    Ok(())
}

async fn open_store(
    config: &Config,
    data: &Data,
    clock: &Arc<dyn Clock>,
    ids: &Arc<dyn Ids>,
    listeners: &Arc<Listeners>,
) -> anyhow::Result<(Store, Vec<(ShardId, u64)>)> {
    let store = Store::open(StoreOptions {
        url: config.database_url(),
        holder: format!("velumd-{}", std::process::id()),
        clock: clock.clone(),
        ids: ids.clone(),
        observer: listeners.clone(),
        lease_ms: config.lease.ms,
    })
    .await
    .with_context(|| format!("could not open the database {}", config.database_url()))?;
    // Whoever held the lock of the data directory is gone: its leases need not be waited for.
    let shards = store
        .take_over(data.may_have_rival)
        .await
        .context("could not take over the shards")?;
    for (shard, epoch) in &shards {
        tracing::info!(%shard, epoch, "owns a shard");
    }
    for difference in store.audit().await.context("could not audit the claims")? {
        tracing::error!(table = difference.table, row = %difference.id, problem = %difference.problem, "the books are wrong");
    }
    Ok((store, shards))
}

/// Nodes refuse an older owner from the moment they are told; those that are away are told when they are connected.
async fn announce(connections: &Connections, shards: &[(ShardId, u64)]) -> anyhow::Result<()> {
    let epochs = shards.iter().map(|(shard, epoch)| ShardEpoch {
        shard: shard.uuid(),
        epoch: *epoch,
    });
    connections
        .announce(epochs.collect())
        .await
        .context("a node knows a newer owner of a shard")
}

fn runtime_options(
    data: &Data,
    clock: &Arc<dyn Clock>,
    ids: &Arc<dyn Ids>,
    nodes: &Connections,
    http: HttpConnector,
) -> anyhow::Result<RuntimeOptions> {
    let itself = std::env::current_exe().context("could not find this program's own path")?;
    Ok(RuntimeOptions {
        directory: data.join("plugins"),
        compile_command: vec![itself.into(), COMPILE_ARGUMENT.into()],
        clock: clock.clone(),
        ids: ids.clone(),
        limits: Limits::default(),
        nodes: nodes.clone(),
        http,
        state: None,
    })
}

/// How often the writer's counters are copied to where the metrics are rendered.
const COUNT_EVERY: Duration = Duration::from_millis(250);

/// Shows the writer's counters as metrics.
async fn count(store: Store) {
    let mut ticks = tokio::time::interval(COUNT_EVERY);
    loop {
        ticks.tick().await;
        let counts = store.counts();
        metrics::counter!("velum_store_statements_total").absolute(counts.statements);
        metrics::counter!("velum_store_transactions_total").absolute(counts.transactions);
        metrics::counter!("velum_store_commits_total").absolute(counts.commits);
        metrics::counter!("velum_store_statements_read_total").absolute(counts.statements_read);
        metrics::gauge!("velum_store_waiting").set(store.waiting() as f64);
    }
}

/// What goes on beside the requests.
struct Work {
    engine: JoinHandle<()>,
    observer: JoinHandle<()>,
    count: JoinHandle<()>,
    leases: JoinHandle<()>,
}

impl Work {
    fn begin(
        config: &Config,
        (engine, background): (&Engine, &Handle),
        store: &Store,
        stop: &CancellationToken,
    ) -> Self {
        let limits = ObserveLimits {
            every_ms: config.observe.every_ms,
            at_once: config.observe.at_once,
        };
        let observer = Observer::new(engine.clone(), limits);
        let engine = engine.clone();
        Self {
            engine: background.spawn(async move { engine.run().await }),
            observer: background.spawn(async move { observer.run().await }),
            count: tokio::spawn(count(store.clone())),
            leases: tokio::spawn(keep_leases(store.clone(), config.lease.ms, stop.clone())),
        }
    }

    /// Ends it; operations in flight get `grace_ms`. Answers whether the shards were lost.
    async fn end(self, grace_ms: u64) -> bool {
        self.observer.abort();
        self.count.abort();
        // What does not end in time goes on at the next start: that is what the journal is for.
        let _ = tokio::time::timeout(Duration::from_millis(grace_ms), self.engine).await;
        let is_lost = self.leases.is_finished();
        self.leases.abort();
        is_lost
    }
}

fn engine_limits(config: &Config) -> EngineLimits {
    let of = &config.operations;
    EngineLimits {
        in_flight: of.in_flight,
        loaded: of.loaded,
        attempts_before_pivot: of.attempts_before_pivot,
        attempts_after_pivot: of.attempts_after_pivot,
        elsewhere: of.elsewhere,
        backoff_ms: of.backoff_ms,
    }
}

/// Renews the leases thrice in their time. Ends, and stops the server, when another has taken them.
async fn keep_leases(store: Store, lease_ms: u64, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(Duration::from_millis(lease_ms / 3));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match store.renew().await {
            Ok(()) => {}
            Err(StoreError::Refused(Refused::Fenced { shard, epoch })) => {
                tracing::error!(%shard, epoch, "another server has taken over; this one stops");
                stop.cancel();
                return;
            }
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "could not renew the leases"
            ),
        }
    }
}

async fn serve(
    listener: TcpListener,
    state: ApiState,
    stop: CancellationToken,
    grace_ms: u64,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("could not wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("could not wait for SIGINT")?;
    let stopping = stop.clone();
    let server = axum::serve(listener, velum_api::router(state)).with_graceful_shutdown(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = stopping.cancelled() => {}
        }
        stopping.cancel();
    });
    let out_of_patience = async {
        stop.cancelled().await;
        tokio::time::sleep(Duration::from_millis(grace_ms)).await;
    };
    tokio::select! {
        served = server => served.context("the server stopped"),
        () = out_of_patience => Ok(()),
    }
}
