//! Databases that earlier versions left (`tests/fixtures`): today's store opens a copy of each, everything in it reads
//! back, and today's engine finishes what was under way.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use serde_json::{Value, json};
use velum_model::{
    Timestamp,
    instance::InstanceState,
    operation::OperationState,
    page::{Page, Paged},
    tenancy::Scope,
    time::Clock,
};
use velum_operation::{Engine, EngineLimits, EngineParts, Replacement, Replan, ReplanAsk};
use velum_store::{CommittedBatch, Observer, Store, StoreOptions};

use crate::{cloud::Counting, far_side::FarSide};

/// The year 2100: everything that is in a database was due before.
const LATE: i64 = 4_102_444_800_000_000;

struct Late(tokio::time::Instant);

impl Clock for Late {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(LATE + self.0.elapsed().as_micros() as i64)
    }
}

/// Nothing fails here, so nothing is tried elsewhere.
struct Nowhere;

#[async_trait]
impl Replan for Nowhere {
    async fn elsewhere(&self, _: ReplanAsk) -> Option<Replacement> {
        None
    }
    fn give_back(&self, _: &Replacement) {}
}

#[derive(Default)]
struct Follow(OnceLock<Engine>);

impl Observer for Follow {
    fn committed(&self, batch: &CommittedBatch) {
        if let Some(engine) = self.0.get() {
            batch.commits.iter().for_each(|commit| engine.offer(commit));
        }
    }
}

/// Reads every page of a list.
macro_rules! all {
    ($page:ident => $read:expr) => {{
        let mut items = Vec::new();
        let mut $page = Page {
            limit: 7,
            after: None,
        };
        loop {
            let page: Paged<_> = $read.await.expect("the rows read");
            items.extend(page.items);
            match page.next {
                Some(next) => $page.after = Some(next),
                None => break items,
            }
        }
    }};
}

fn databases() -> Vec<PathBuf> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures");
    let entries = std::fs::read_dir(fixtures).expect("there are fixtures");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .filter(|path| path.extension().is_some_and(|e| e == "db"))
        .collect()
}

#[tokio::test]
async fn a_database_of_an_earlier_version_is_read_and_finished() {
    let databases = databases();
    assert!(!databases.is_empty(), "no database of an earlier version is kept");
    for path in databases {
        let expected = std::fs::read_to_string(path.with_extension("json")).expect("what is in it");
        let expected: Value = serde_json::from_str(&expected).expect("JSON");
        let directory = tempfile::tempdir().expect("a directory");
        let copy = directory.path().join("velum.db");
        std::fs::copy(&path, &copy).expect("a copy");
        open_and_finish(&copy, &expected).await;
    }
}

async fn open_and_finish(database: &Path, expected: &Value) {
    let (clock, ids) = (
        Arc::new(Late(tokio::time::Instant::now())),
        Arc::new(Counting::default()),
    );
    let follow = Arc::new(Follow::default());
    let store = Store::open(StoreOptions {
        url: format!("sqlite:{}", database.display()),
        holder: "test".into(),
        clock: clock.clone(),
        ids: ids.clone(),
        observer: follow.clone(),
        lease_ms: 3_600_000,
    })
    .await
    .expect("the store opens");
    let shards = store.take_over(false).await.expect("the shards are ours");
    assert!(shards.len() > 1, "the nil shard and the zone's: {shards:?}");
    assert_eq!(store.audit().await.expect("the audit runs"), Vec::new());
    assert_eq!(counts(&store).await, expected["rows"]);
    assert_eq!(states(&store).await, expected["instances"]);
    let unfinished = unfinished(&store).await;
    assert_eq!(unfinished, expected["unfinished"]);

    let far = FarSide::default();
    remember(&store, &far).await;
    let engine = Engine::new(EngineParts {
        store: store.clone(),
        plugins: Arc::new(far.clone()),
        nodes: Arc::new(far.clone()),
        replan: Arc::new(Nowhere),
        clock,
        ids,
        limits: EngineLimits {
            backoff_ms: 1,
            ..EngineLimits::default()
        },
    });
    let _ = follow.0.set(engine.clone());
    let waiting = engine.load().await.expect("the operations load");
    assert!(waiting > 5, "{waiting} operations were under way");
    let runner = tokio::spawn({
        let engine = engine.clone();
        async move { engine.run().await }
    });
    settle(&store).await;
    engine.stop();
    runner.await.expect("the engine ends");

    let mut ends = expected["instances_in_the_end"].clone();
    let ends = ends.as_object_mut().expect("instances by name");
    ends.retain(|_, state| !state.is_null());
    assert_eq!(states(&store).await, json!(ends));
    let running = ends.values().filter(|state| *state == "running").count();
    assert_eq!(far.running().len(), running, "the far side: {:?}", far.contents());
    assert_eq!(
        volumes_of(&store, "runs").await,
        expected["volumes_of_runs_in_the_end"]
    );
    assert_eq!(store.audit().await.expect("the audit runs"), Vec::new());
    store.close().await;
}

async fn counts(store: &Store) -> Value {
    let reader = store.read();
    let mut counts = BTreeMap::new();
    macro_rules! count {
        (@scoped $($list:ident)*) => {$(
            counts.insert(stringify!($list), all!(page => reader.$list(Scope::All, &Default::default(), page)).len());
        )*};
        ($($list:ident)*) => {$(
            counts.insert(stringify!($list), all!(page => reader.$list(&Default::default(), page)).len());
        )*};
    }
    count!(zones pods clusters compute_hosts storage_pools image_stores ip_ranges ip_addresses);
    count!(compute_offerings disk_offerings network_offerings plugins policies);
    count!(@scoped networks nics templates instances volumes operations decisions);
    let mut cursor = velum_store::EventCursor::default();
    let mut events = 0;
    loop {
        let page = reader.events_after(&cursor, 7).await.expect("the events read");
        if page.is_empty() {
            break;
        }
        events += page.len();
        page.iter().for_each(|event| cursor.advance(event));
    }
    counts.insert("events", events);
    json!(counts)
}

async fn states(store: &Store) -> Value {
    let reader = store.read();
    let instances = all!(page => reader.instances(Scope::All, &Default::default(), page));
    let states: BTreeMap<String, InstanceState> = instances
        .into_iter()
        .map(|instance| (instance.name.to_string(), instance.state))
        .collect();
    json!(states)
}

async fn unfinished(store: &Store) -> Value {
    let found = store.read().unfinished_operations(1000).await;
    let mut kinds: BTreeMap<&str, u32> = BTreeMap::new();
    for operation in found.expect("the operations read") {
        assert_eq!(operation.state, OperationState::Running, "{operation:?}");
        *kinds.entry(operation.kind.as_str()).or_default() += 1;
    }
    json!(kinds)
}

async fn volumes_of(store: &Store, name: &str) -> Value {
    let reader = store.read();
    let instances = all!(page => reader.instances(Scope::All, &Default::default(), page));
    let instance = instances
        .iter()
        .find(|i| i.name.as_str() == name)
        .expect("it is there");
    let volumes = reader.volumes_of(instance.id).await.expect("the volumes read");
    let mut names: Vec<String> = volumes.iter().map(|v| v.name.to_string()).collect();
    names.retain(|name| !name.starts_with("root-"));
    names.sort();
    json!(names)
}

/// What the far side of that server has: what the rows know to be there. A guest whose definition may or may not have
/// happened is defined, which is done again without harm.
async fn remember(store: &Store, far: &FarSide) {
    let reader = store.read();
    for template in all!(page => reader.templates(Scope::All, &Default::default(), page)) {
        for layer in reader.layers_of_template(template.id).await.expect("layers") {
            assert!(layer.ready, "every operation waits behind it");
            far.has_volume(layer.id.uuid(), layer.size.get());
        }
    }
    for volume in all!(page => reader.volumes(Scope::All, &Default::default(), page)) {
        if volume.backend_id.is_some() {
            far.has_volume(volume.id.uuid(), volume.size.get());
        }
        for publication in reader
            .publications_of_volume(volume.id)
            .await
            .expect("publications")
        {
            if publication.attachment.is_some() {
                far.has_published(volume.id.uuid(), publication.compute_host.uuid());
            }
        }
    }
    for instance in all!(page => reader.instances(Scope::All, &Default::default(), page)) {
        if let Some(run) = &instance.run {
            let is_on = !matches!(instance.state, InstanceState::Creating | InstanceState::Starting);
            far.has_guest(run.id.uuid(), is_on);
        }
    }
}

async fn settle(store: &Store) {
    for _ in 0..10_000 {
        let left = store
            .read()
            .unfinished_operations(1000)
            .await
            .expect("operations");
        let parked = left.iter().find(|o| o.state == OperationState::Parked);
        assert!(parked.is_none(), "{parked:#?}");
        if left.is_empty() {
            let ended = all!(page => store.read().operations(Scope::All, &Default::default(), page));
            let undone = ended.iter().find(|o| o.state != OperationState::Done);
            assert!(undone.is_none(), "{undone:#?}");
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let left = store
        .read()
        .unfinished_operations(1000)
        .await
        .expect("operations");
    assert!(left.is_empty(), "still under way: {left:#?}");
}
