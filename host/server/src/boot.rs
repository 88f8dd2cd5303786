//! Start and stop: what exists before what, and what goes first.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::{
    net::TcpListener,
    runtime::Handle,
    signal::unix::{SignalKind, signal},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use velum_api::{ApiState, Bounds, Peers};
use velum_connector::{Connections, http::HttpConnector};
use velum_model::{ShardId, chance::Ids, time::Clock};
use velum_operation::{
    Engine, EngineLimits, EngineParts,
    reconcile::{ObserveLimits, Observer, OrphanLimits, Reconciler},
};
use velum_runtime::{COMPILE_ARGUMENT, Runtime, RuntimeOptions};
use velum_service::{Services, Watch};
use velum_store::{EventCursor, Store};

use crate::{
    authority, books,
    config::Config,
    data::Data,
    database,
    observer::Listeners,
    plugins,
    shards::{self, Followers, Ownership},
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
        .with_context(|| unheard(config, &data))?;

    plugins::ensure_readable(&config.plugins.directory)?;

    let watch = Watch::new();
    let listeners = Listeners::new(watch.clone());
    let (store, shards) = database::open(config, &data, (&clock, &ids), &listeners).await?;
    // Whoever was there before ends now that it has lost its shards: then this server keeps others out itself.
    if data.rival.is_some() {
        data.hold_when_free();
    }
    // What other servers do from here on is followed; what they did before is read below.
    let seen = store.read().end_of_events().await;
    let seen = seen.context("could not read the log of events")?;

    let http = HttpConnector::new().context("could not set up the HTTP connector")?;
    let dialler = authority::dialler(&store, &data.server_name(ids.as_ref())?, &clock).await?;
    let connections = Connections::new(http.clone()).with_tls(dialler);
    shards::announce(&connections, &shards).await?;
    let runtime = Runtime::start(runtime_options(
        (&data, config),
        &clock,
        &ids,
        &connections,
        http,
    )?)
    .context("could not start the plugin runtime")?;
    plugins::load_known(runtime.as_ref(), &store).await?;
    let services = Services::start(velum_service::Parts {
        store: store.clone(),
        plugins: runtime.clone(),
        nodes: Arc::new(connections.clone()),
        clock: clock.clone(),
        ids: ids.clone(),
        watch: watch.clone(),
        settings: plugins::settings(config),
        histories: database::histories(config, &data, &store),
    })
    .await
    .context("could not read the inventory")?;
    plugins::install_from(&services, &store, &config.plugins.directory).await?;
    let engine = Engine::new(EngineParts {
        store: store.aside(),
        plugins: runtime.clone(),
        nodes: Arc::new(connections.clone()),
        replan: Arc::new(services.clone()),
        clock: clock.clone(),
        ids: ids.clone(),
        limits: engine_limits(config),
    });
    listeners.follow(engine.clone());

    Serving {
        listener,
        metrics,
        store,
        shards,
        services,
        engine,
        connections,
        ids,
    }
    .run(config, background, seen)
    .await
}

/// Why an address cannot be listened on, most likely.
fn unheard(config: &Config, data: &Data) -> String {
    let listen = config.listen;
    match &data.rival {
        None => format!("could not listen on {listen}; is another server there?"),
        Some(rival) => {
            format!(
                "could not listen on {listen}: {rival} most likely does; end it, or give this one another --listen"
            )
        }
    }
}

/// All that was started, before anything is owned or asked.
struct Serving {
    listener: TcpListener,
    metrics: PrometheusHandle,
    store: Store,
    shards: Vec<(ShardId, u64)>,
    services: Services,
    engine: Engine,
    connections: Connections,
    ids: Arc<dyn Ids>,
}

impl Serving {
    /// Takes up the shards, serves, and puts everything down again.
    async fn run(self, config: &Config, background: &Handle, seen: EventCursor) -> anyhow::Result<()> {
        let (store, engine) = (self.store, self.engine);
        let is_shared = store.can_be_shared();
        let stop = CancellationToken::new();
        let others = is_shared.then_some(seen);
        let work = Work::begin(config, (&engine, background), &store, (&self.services, others));
        let followers = Followers {
            connections: self.connections,
            services: self.services.clone(),
            engine: engine.clone(),
        };
        // Last: a server that has not loaded the plugins does not own a shard.
        let ownership = match is_shared {
            true => Ownership::shared(config, &store, followers).await?,
            false => Ownership::whole(config, &store, &self.shards, followers, &stop).await?,
        };
        let peers = is_shared.then(Peers::new).transpose();
        let state = ApiState {
            services: self.services,
            ids: self.ids,
            metrics: Some(self.metrics),
            stop: stop.clone(),
            peers: peers.context("could not set up the way to other servers")?,
            bounds: Arc::new(Bounds::default()),
        };
        tracing::info!(listen = %config.listen, "velumd serves");
        let grace_ms = config.shutdown.grace_ms;
        let served = serve(self.listener, state, stop.clone(), grace_ms).await;
        engine.stop();
        work.end(grace_ms).await;
        let is_lost = ownership.end(&store).await;
        store.close().await;
        served?;
        anyhow::ensure!(!is_lost, TAKEN_OVER);
        Ok(())
    }
}

fn runtime_options(
    (data, config): (&Data, &Config),
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
        limits: plugins::limits(config),
        nodes: nodes.clone(),
        http,
        state: None,
        uids: plugins::uids(config)?,
    })
}

/// How often the writer's counters are copied to where the metrics are rendered.
const COUNT_EVERY: Duration = Duration::from_millis(250);

/// How often what waits for an operator is counted: an alarm that comes after seconds is in time.
const ALARM_EVERY: Duration = Duration::from_secs(5);

/// Shows how much waits for an operator, or will unless it goes away by itself.
async fn alarm(store: Store) {
    let mut ticks = tokio::time::interval(ALARM_EVERY);
    loop {
        ticks.tick().await;
        let reader = store.read();
        // A database that does not answer has an alarm of its own.
        if let Ok(parked) = reader.parked_operations().await {
            metrics::gauge!("velum_operations_parked").set(parked as f64);
        }
        if let Ok(orphans) = reader.orphans_known().await {
            metrics::gauge!("velum_orphans").set(orphans as f64);
        }
        if let Ok(revoked) = reader.plugins_with_revoked_keys().await {
            metrics::gauge!("velum_plugins_with_revoked_keys").set(revoked as f64);
        }
    }
}

/// How often what planners told is written down: a crash takes that much of what could be looked at again.
const REMEMBER_EVERY: Duration = Duration::from_secs(1);

/// How often it is begun from the oldest decision again: those that instances let go of since lie behind.
const FROM_THE_OLDEST: u32 = 3600;

/// Writes down what zones were, and forgets what is old.
async fn remember(services: Services) {
    let mut ticks = tokio::time::interval(REMEMBER_EVERY);
    let mut rest = 0;
    loop {
        ticks.tick().await;
        services.keep_histories().await;
        if rest > 0 {
            rest -= 1;
        } else if !services.forget_decisions().await {
            rest = FROM_THE_OLDEST;
        }
    }
}

/// Shows the counters of the writer and of plugins as metrics.
async fn count(store: Store, services: Services) {
    let mut ticks = tokio::time::interval(COUNT_EVERY);
    loop {
        ticks.tick().await;
        let counts = store.counts();
        metrics::counter!("velum_store_statements_total").absolute(counts.statements);
        metrics::counter!("velum_store_transactions_total").absolute(counts.transactions);
        metrics::counter!("velum_store_commits_total").absolute(counts.commits);
        metrics::counter!("velum_store_fenced_total").absolute(counts.fenced);
        metrics::counter!("velum_store_statements_read_total").absolute(counts.statements_read);
        metrics::counter!("velum_store_ahead_total").absolute(counts.ahead);
        metrics::counter!("velum_store_retries_total").absolute(counts.retries);
        metrics::counter!("velum_store_looks_total").absolute(counts.looks);
        metrics::gauge!("velum_store_waiting").set(store.waiting() as f64);
        plugins::count(&services);
    }
}

/// What goes on beside the requests.
struct Work {
    engine: JoinHandle<()>,
    observer: JoinHandle<()>,
    reconciler: JoinHandle<()>,
    count: JoinHandle<()>,
    /// Where there are other servers.
    follow: Option<JoinHandle<()>>,
    alarm: JoinHandle<()>,
    policies: JoinHandle<()>,
    books: JoinHandle<()>,
    decisions: JoinHandle<()>,
    services: Services,
}

impl Work {
    fn begin(
        config: &Config,
        (engine, background): (&Engine, &Handle),
        store: &Store,
        (services, others): (&Services, Option<EventCursor>),
    ) -> Self {
        let limits = ObserveLimits {
            every_ms: config.observe.every_ms,
            at_once: config.observe.at_once,
        };
        let observer = Observer::new(engine.clone(), limits);
        let limits = OrphanLimits {
            every_ms: config.orphans.every_ms,
            grace_ms: config.orphans.grace_ms,
            at_once: config.orphans.at_once,
        };
        let reconciler = Reconciler::new(engine.clone(), limits);
        let engine = engine.clone();
        Self {
            engine: background.spawn(async move { engine.run().await }),
            observer: background.spawn(async move { observer.run().await }),
            reconciler: background.spawn(async move { reconciler.run().await }),
            count: tokio::spawn(count(store.clone(), services.clone())),
            follow: others.map(|seen| {
                let services = services.clone();
                tokio::spawn(async move { services.follow(seen).await })
            }),
            alarm: tokio::spawn(alarm(store.clone())),
            policies: {
                let services = services.clone();
                tokio::spawn(async move { services.watch_policies().await })
            },
            books: background.spawn(books::recount(store.aside(), config.books.every_ms)),
            decisions: tokio::spawn(remember(services.clone())),
            services: services.clone(),
        }
    }

    /// Ends it; operations in flight get `grace_ms`.
    async fn end(self, grace_ms: u64) {
        self.observer.abort();
        self.reconciler.abort();
        self.count.abort();
        self.follow.iter().for_each(JoinHandle::abort);
        self.alarm.abort();
        self.policies.abort();
        self.books.abort();
        self.decisions.abort();
        self.services.keep_histories().await;
        // What does not end in time goes on at the next start: that is what the journal is for.
        let _ = tokio::time::timeout(Duration::from_millis(grace_ms), self.engine).await;
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
