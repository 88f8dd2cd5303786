//! Looks at what a power cut left of a database, as a server that starts on it would, and closer.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::Context;
use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};
use uuid::Uuid;
use velum_model::{
    Timestamp,
    chance::Ids,
    operation::{Operation, OperationKindName, OperationState, Subject},
    page::Page,
    tenancy::Scope,
    time::Clock,
};
use velum_store::{
    CommittedBatch, InstanceFilter, Observer, OperationFilter, Reader, Store, StoreOptions, care,
};

use crate::load::{Promise, Said};

/// Nobody asks for the time while a database is only read.
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(0)
    }
}

/// A server's names for what it makes; nothing is made.
#[derive(Default)]
struct Counting(AtomicU64);

impl Ids for Counting {
    fn uuid(&self) -> Uuid {
        Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::Relaxed)))
    }

    fn seed(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }

    fn secret(&self) -> [u8; 32] {
        [7; 32]
    }
}

impl Observer for Still {
    fn committed(&self, _: &CommittedBatch) {}
}

/// Puts files into a directory that has none of theirs yet, under their own names.
pub fn put(files: &BTreeMap<PathBuf, Vec<u8>>, directory: &Path) -> anyhow::Result<()> {
    for (path, bytes) in files {
        let name = path.file_name().context("a file without a name")?;
        fs::write(directory.join(name), bytes)?;
    }
    Ok(())
}

/// What is wrong with a database of which only these files are left. Nothing may be wrong, and what was promised must be
/// there.
pub async fn judge(
    files: &BTreeMap<PathBuf, Vec<u8>>,
    database: &Path,
    promises: &[&Promise],
) -> anyhow::Result<Vec<String>> {
    // In memory: thousands of databases are opened here, and what these syncs make certain does not matter.
    let memory = Path::new("/dev/shm");
    let directory = match memory.is_dir() {
        true => tempfile::tempdir_in(memory)?,
        false => tempfile::tempdir()?,
    };
    put(files, directory.path())?;
    let file = directory
        .path()
        .join(database.file_name().context("a file without a name")?);
    let url = format!("sqlite:{}", file.display());
    let mut problems = match rows(&url, promises).await {
        Ok(problems) => problems,
        Err(error) => vec![format!("it does not open: {error:#}")],
    };
    match care::check(&url).await {
        Ok(checked) => {
            problems.extend(checked.damage.iter().map(|damage| format!("damaged: {damage}")));
            match checked.discrepancies {
                None => problems.push("the books could not be counted".into()),
                Some(found) => problems.extend(found.iter().map(|d| format!("the books: {d:?}"))),
            }
        }
        Err(error) => problems.push(format!("it cannot be checked: {error}")),
    }
    match integrity(&file).await {
        Ok(said) => problems.extend(said.into_iter().filter(|said| said != "ok")),
        Err(error) => problems.push(format!("SQLite cannot check it: {error}")),
    }
    Ok(problems)
}

/// Every page, every index against its table: more than the server's own check, which is for large databases too.
async fn integrity(file: &Path) -> Result<Vec<String>, sqlx::Error> {
    let mut connection = SqliteConnectOptions::new().filename(file).connect().await?;
    let said = sqlx::query_scalar("PRAGMA integrity_check")
        .fetch_all(&mut connection)
        .await?;
    connection.close().await?;
    Ok(said)
}

/// Opens the database as a server does, and looks for what was promised.
async fn rows(url: &str, promises: &[&Promise]) -> anyhow::Result<Vec<String>> {
    let store = Store::open(StoreOptions {
        url: url.into(),
        holder: "judge".into(),
        clock: Arc::new(Still),
        ids: Arc::new(Counting::default()),
        observer: Arc::new(Still),
        lease_ms: 60_000,
    })
    .await?;
    let read = Known::read(&store.read()).await;
    store.close().await;
    Ok(read?.lacks(promises))
}

/// What a database knows.
struct Known {
    operations: HashMap<Uuid, Operation>,
    instances: BTreeSet<Uuid>,
    /// Instances that a destroy is or was about.
    going: BTreeSet<Uuid>,
}

impl Known {
    async fn read(reader: &Reader) -> anyhow::Result<Self> {
        let mut known = Self {
            operations: HashMap::new(),
            instances: BTreeSet::new(),
            going: BTreeSet::new(),
        };
        let mut page = Page {
            limit: Page::MAX_LIMIT,
            after: None,
        };
        loop {
            let filter = OperationFilter::default();
            let found = reader.operations(Scope::All, &filter, page).await?;
            for operation in found.items {
                if let (OperationKindName::InstanceDestroy, Subject::Instance(id)) =
                    (operation.kind, operation.subject)
                {
                    known.going.insert(id.uuid());
                }
                known.operations.insert(operation.id.uuid(), operation);
            }
            page.after = found.next;
            if page.after.is_none() {
                break;
            }
        }
        loop {
            let filter = InstanceFilter::default();
            let found = reader.instances(Scope::All, &filter, page).await?;
            known
                .instances
                .extend(found.items.iter().map(|instance| instance.id.uuid()));
            page.after = found.next;
            if page.after.is_none() {
                return Ok(known);
            }
        }
    }

    fn lacks(&self, promises: &[&Promise]) -> Vec<String> {
        let lack = |promise: &&Promise| {
            let Some(operation) = self.operations.get(&promise.operation) else {
                return Some(format!("lost: {promise:?}"));
            };
            let is_there =
                self.instances.contains(&promise.instance) || self.going.contains(&promise.instance);
            match promise.said {
                Said::Creating if !is_there => Some(format!("lost its instance: {promise:?}")),
                Said::Done if operation.state != OperationState::Done => {
                    Some(format!("is {:?} again: {promise:?}", operation.state))
                }
                _ => None,
            }
        };
        promises.iter().filter_map(lack).collect()
    }
}
