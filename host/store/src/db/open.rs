//! Opening: which database a URL names, how its connections are set up.

use std::{io, path::Path, sync::Arc, time::Duration};

use sqlx::{
    AssertSqlSafe, ConnectOptions as _, SqlSafeStr as _,
    postgres::PgConnectOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use super::{
    Asking, Row, Simulation, Statement, Value,
    connection::{Connection, Inner},
    direct::Direct,
    line::Line,
    readers::Readers,
    refuse::{failed, opening},
    simulated::Pragmas,
    within,
};
use crate::commit::StoreError;

/// Another process may hold SQLite's write lock for one batch (at most some 100 ms on a slow disk). What waited longer
/// tries again a few times, then says so.
pub(super) const BUSY: Duration = Duration::from_secs(1);
/// Reads of SQLite are short and the machine has few cores: more connections would only be more page caches. As many again
/// are for what goes on beside the requests.
const SQLITE_READERS: usize = 4;
/// A PostgreSQL server has 100 connections by default, shared by several servers.
const POSTGRES_READERS: usize = 8;
/// A read of rows takes some 10 ms, the longest (a page of wide ones). What is silent for longer is a network that is gone:
/// TCP itself would wait for minutes. What counts whole tables asks for more ([`READER_PATIENCE`]).
const READ: Duration = Duration::from_secs(5);
/// Every statement of the store, prepared once a connection. On SQLite a statement over rows is one for each size of batch
/// ([`super::rows`]), of which a writer meets some hundreds.
const STATEMENTS: usize = 512;
pub(super) const SQLITE_STATEMENTS: usize = 2048;
/// Opening a connection to PostgreSQL takes some milliseconds, and half a second through a loaded network; a machine that
/// is gone does not refuse, it is silent.
const OPENED_WITHIN: Duration = Duration::from_secs(2);
/// One statement of the writer takes some milliseconds, and a second where another server that stands still holds its rows
/// ([`SILENT_WRITERS`]). What is silent for longer is a network that is gone.
const WRITER_PATIENCE: Duration = Duration::from_secs(4);
/// The longest reads recount every claim of a cloud.
const READER_PATIENCE: Duration = Duration::from_secs(120);
/// A writer never pauses inside a transaction for longer than it takes to build the next statement. PostgreSQL ends the
/// transaction of one that is silent (its network is gone, its machine stands still), so that whoever wants to know what
/// became of it need not wait for TCP to find out. A third of the default lease: whoever takes a shard over does not wait for
/// one who stands still in the middle of a commit.
const SILENT_WRITERS: &str = "SET idle_in_transaction_session_timeout = '1s'";
/// The writer's statements are planned once: each finds the rows of a batch by an index, however many they are. PostgreSQL would plan
/// some anew each time, and one that was planned on empty tables would read them from end to end until they are next analyzed. Where
/// there is no index it still reads a table, at a price for which it would compile the plan each time (`disable_cost`, before 18). Wide
/// values are compressed by the faster way: to compress decisions took 5 % of PostgreSQL's time by the other. All of them only make it
/// faster: what speaks PostgreSQL's protocol and does not know one, or was built without it, goes without.
const QUICK_WRITERS: [&str; 6] = [
    "SET plan_cache_mode = force_generic_plan",
    "SET enable_seqscan = off",
    "SET enable_hashjoin = off",
    "SET enable_mergejoin = off",
    "SET jit = off",
    "SET default_toast_compression = lz4",
];
/// A reader's page cache, KiB (negative: the PRAGMA's way to say so): with 4 readers under the server's memory budget.
const CACHE: &str = "-4096";
/// The writer's page cache, KiB: the random pages of some batches. Not more, for a transaction that splits pages walks through all of it
/// when it ends (`pcache1Truncate`, while the file is below 1 GiB): at 96 MiB that was a fifth of the writer's time.
const WRITER_CACHE: &str = "-16384";
/// That of what is done to a whole database at once, KiB.
const CARE_CACHE: &str = "-98304";

/// Bytes of the log that stay when it begins again: what it has between two checkpoints that the writer does not wait for.
const LOG: &str = "67108864";

/// How the connections of SQLite differ.
const READS: Pragmas = &[("cache_size", CACHE), ("query_only", "ON")];
const WRITES: Pragmas = &[
    ("wal_autocheckpoint", "0"),
    ("cache_size", WRITER_CACHE),
    ("journal_size_limit", LOG),
];
const CARES: Pragmas = &[("cache_size", CARE_CACHE)];
const CHECKPOINTS: Pragmas = &[("wal_autocheckpoint", "0"), ("cache_size", CACHE)];

/// Which database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

/// A database, and its readers.
#[derive(Clone)]
pub(crate) struct Database {
    place: Place,
    readers: Arc<Readers>,
    simulation: Simulation,
}

/// Where it is, and how a connection is set up.
#[derive(Clone)]
pub(super) enum Place {
    Sqlite(SqliteConnectOptions),
    Postgres(PgConnectOptions, Line),
}

impl Place {
    /// How long a read may take.
    pub(super) fn patience(&self) -> Option<Duration> {
        matches!(self, Self::Postgres(..)).then_some(READ)
    }

    /// A connection that only reads.
    pub(super) async fn reader(&self, simulation: &Simulation) -> Result<Connection, sqlx::Error> {
        // Seldom, and large.
        Box::pin(self.connect_at_once(READS, READER_PATIENCE, simulation)).await
    }

    /// One that keeps the thread that asks until it answers, where the database is a file.
    async fn connect_at_once(
        &self,
        pragmas: Pragmas,
        patience: Duration,
        simulation: &Simulation,
    ) -> Result<Connection, sqlx::Error> {
        let Self::Sqlite(options) = self else {
            return self.connect(pragmas, patience, simulation).await;
        };
        let kept = simulation.take_direct(pragmas);
        let direct = kept.map_or_else(|| Direct::open(options.get_filename(), pragmas), Ok)?;
        Ok(Connection::near(Inner::Direct(direct)).within(simulation.clone(), pragmas))
    }

    /// A connection; the pragmas are SQLite's, the patience is for PostgreSQL.
    async fn connect(
        &self,
        pragmas: Pragmas,
        patience: Duration,
        simulation: &Simulation,
    ) -> Result<Connection, sqlx::Error> {
        match self {
            Self::Sqlite(options) => {
                if let Some(kept) = simulation.take(pragmas) {
                    let kept = Connection::near(Inner::Sqlite(Box::new(kept)));
                    return Ok(kept.within(simulation.clone(), pragmas));
                }
                let options = pragmas.iter().fold(options.clone(), |options, (name, value)| {
                    options.pragma(*name, *value)
                });
                let inner = Inner::Sqlite(Box::new(options.connect().await?));
                Ok(Connection::near(inner).within(simulation.clone(), pragmas))
            }
            Self::Postgres(options, line) => {
                let mut end = line.end();
                let opened = loop {
                    tokio::select! {
                        biased;
                        opened = within(Some(OPENED_WITHIN), options.connect()) => break opened?,
                        // The next try of the one that was begun before would come late.
                        () = end.is_old() => {}
                    }
                };
                let inner = Inner::Postgres(Box::new(opened));
                Ok(Connection::far(inner, patience, end))
            }
        }
    }
}

/// Refuses what is no file that can be opened, by what it is instead.
fn is_file(path: &Path) -> Result<(), StoreError> {
    let shown = path.display();
    let problem = match path.metadata() {
        Ok(found) if found.is_file() => return Ok(()),
        Ok(found) if found.is_dir() => format!("{shown} is a directory: name the database file in it"),
        Ok(_) => format!("{shown} is no file"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => format!("there is no database file {shown}"),
        Err(error) => format!("the database file {shown} cannot be looked at: {error}"),
    };
    Err(StoreError::Unusable(problem))
}

/// The options of every connection to a file.
fn sqlite(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY)
        .statement_cache_capacity(SQLITE_STATEMENTS)
        .disable_statement_logging()
}

impl Database {
    /// Reads the URL; opens nothing yet.
    pub(crate) fn at(url: &str) -> Result<Self, StoreError> {
        Self::asked(url, Asking::Waits, Simulation::default())
    }

    /// The same, for callers that wait in a way of their own.
    pub(crate) fn asked(url: &str, asking: Asking, simulation: Simulation) -> Result<Self, StoreError> {
        let (place, readers) = if let Some(path) = url.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() {
                return Err(StoreError::Unusable(
                    "sqlite: names no file; write sqlite:/var/lib/velum/velum.db, or nothing for velum.db in the data \
                     directory"
                        .into(),
                ));
            }
            let options = sqlite(Path::new(path))
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal);
            (Place::Sqlite(options), SQLITE_READERS)
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            let options: PgConnectOptions = url.parse().map_err(|_| {
                StoreError::Unusable("it does not read as postgres://user@host:port/name".into())
            })?;
            if options.get_database().is_none() {
                return Err(StoreError::Unusable(
                    "it names no database: write postgres://USER@HOST:PORT/NAME".into(),
                ));
            }
            let options = options
                .statement_cache_capacity(STATEMENTS)
                .disable_statement_logging();
            (Place::Postgres(options, Line::new()), POSTGRES_READERS)
        } else {
            return Err(StoreError::Unusable(
                "a database is named sqlite:PATH or postgres://USER@HOST:PORT/NAME".into(),
            ));
        };
        Ok(Self {
            readers: Arc::new(Readers::new(
                place.clone(),
                asking.readers(readers),
                asking,
                simulation.clone(),
            )),
            place,
            simulation,
        })
    }

    /// The same, for a database that must be there already.
    pub(crate) fn existing(url: &str) -> Result<Self, StoreError> {
        let mut database = Self::at(url)?;
        if let Place::Sqlite(options) = database.place {
            is_file(options.get_filename())?;
            // A backup keeps the journal mode that it has.
            let place = Place::Sqlite(sqlite(options.get_filename()));
            database = Self {
                readers: Arc::new(Readers::new(
                    place.clone(),
                    SQLITE_READERS,
                    Asking::Waits,
                    Simulation::default(),
                )),
                place,
                simulation: Simulation::default(),
            };
        }
        Ok(database)
    }

    /// The file of a SQLite database.
    pub(crate) fn file(&self) -> Option<&Path> {
        match &self.place {
            Place::Sqlite(options) => Some(options.get_filename()),
            Place::Postgres(..) => None,
        }
    }

    /// The line to it; none to a file.
    pub(crate) fn line(&self) -> Option<&Line> {
        match &self.place {
            Place::Sqlite(_) => None,
            Place::Postgres(_, line) => Some(line),
        }
    }

    /// Where it is, for messages: without the password.
    pub(crate) fn shown(&self) -> String {
        match &self.place {
            Place::Sqlite(options) => options.get_filename().display().to_string(),
            Place::Postgres(options, _) => format!(
                "{} on {}:{}",
                options.get_database().unwrap_or_else(|| options.get_username()),
                options.get_host(),
                options.get_port()
            ),
        }
    }

    /// The same database with readers of its own.
    pub(crate) fn aside(&self) -> Self {
        let size = match self.engine() {
            Engine::Sqlite => SQLITE_READERS,
            Engine::Postgres => POSTGRES_READERS,
        };
        Self {
            place: self.place.clone(),
            readers: Arc::new(self.readers.aside(size)),
            simulation: self.simulation.clone(),
        }
    }

    /// Opens SQLite's readers, once the database is there and current. PostgreSQL's are opened when they are wanted.
    pub(crate) async fn open_readers(&self) -> Result<(), StoreError> {
        if self.engine() == Engine::Postgres {
            return Ok(());
        }
        let opened = self.readers.open().await;
        opened.map_err(|source| failed("open the database for reading", source))
    }

    pub(crate) fn engine(&self) -> Engine {
        match &self.place {
            Place::Sqlite(_) => Engine::Sqlite,
            Place::Postgres(..) => Engine::Postgres,
        }
    }

    /// How long a statement of a writer may take before its connection is given up; SQLite is always there.
    pub(crate) fn patience(&self) -> Option<Duration> {
        (self.engine() == Engine::Postgres).then_some(WRITER_PATIENCE)
    }

    /// A connection for the writer. On SQLite it answers on the writer's thread, and never checkpoints: that would make a commit
    /// wait.
    pub(crate) async fn writer(&self) -> Result<Connection, sqlx::Error> {
        let connecting = self
            .place
            .connect_at_once(WRITES, WRITER_PATIENCE, &self.simulation);
        let opened = Box::pin(connecting).await?;
        let mut connection = opened.that_writes();
        if connection.engine() == Engine::Postgres {
            connection.raw(SILENT_WRITERS).await?;
            for setting in QUICK_WRITERS {
                match connection.raw(setting).await {
                    Err(sqlx::Error::Database(said)) => {
                        tracing::debug!(%said, setting, "the writer goes without")
                    }
                    other => other?,
                }
            }
        }
        Ok(connection)
    }

    /// The first connection, for migrations: what is wrong with the database is told in words.
    pub(crate) async fn opened(&self) -> Result<Connection, StoreError> {
        let mut connection = self.caretaker().await?;
        let probed = connection.probe().await;
        probed.map_err(|source| opening(&self.place, source))?;
        Ok(connection)
    }

    /// A connection for what is done to the whole database at once: it waits for each answer as long as it takes.
    pub(crate) async fn caretaker(&self) -> Result<Connection, StoreError> {
        let opened = self.place.connect(CARES, READER_PATIENCE, &self.simulation).await;
        let mut connection = opened.map_err(|source| opening(&self.place, source))?;
        connection.wait_for_long_work();
        Ok(connection)
    }

    /// A connection for checkpoints.
    pub(crate) async fn checkpointer(&self) -> Result<Connection, sqlx::Error> {
        self.place
            .connect(CHECKPOINTS, READER_PATIENCE, &Simulation::default())
            .await
    }

    /// Runs a statement on a reader.
    pub(crate) async fn fetch(
        &self,
        statement: &Statement,
        values: &[Value],
    ) -> Result<Vec<Row>, StoreError> {
        let text = statement.text(self.engine());
        let rows = self.readers.one(text.into_sql_str(), values).await;
        rows.map_err(|source| failed(statement.does, source))
    }

    /// The same of what is found by its key and asked for by nearly every request: SQLite answers it on the thread that asks, which
    /// takes less than to hand it to another.
    pub(crate) async fn fetch_short(
        &self,
        statement: &Statement,
        values: &[Value],
    ) -> Result<Vec<Row>, StoreError> {
        let text = statement.text(self.engine());
        let rows = self.readers.short(text.into_sql_str(), values).await;
        rows.map_err(|source| failed(statement.does, source))
    }

    /// The same, however long it takes.
    pub(crate) async fn fetch_patiently(
        &self,
        statement: &Statement,
        values: &[Value],
    ) -> Result<Vec<Row>, StoreError> {
        let text = statement.text(self.engine());
        let rows = self.readers.patiently(text.into_sql_str(), values).await;
        rows.map_err(|source| failed(statement.does, source))
    }

    /// Runs a text that was put together from fixed parts on a reader; values only come bound.
    pub(crate) async fn fetch_text(
        &self,
        does: &'static str,
        text: String,
        values: &[Value],
    ) -> Result<Vec<Row>, StoreError> {
        let rows = self.readers.one(AssertSqlSafe(text).into_sql_str(), values).await;
        rows.map_err(|source| failed(does, source))
    }

    /// Runs several texts, put together from fixed parts, on one reader as of one instant.
    pub(crate) async fn snapshot<const N: usize>(
        &self,
        does: &'static str,
        texts: [String; N],
        values: &[Value],
    ) -> Result<Vec<Vec<Row>>, StoreError> {
        let texts = texts.map(|text| AssertSqlSafe(text).into_sql_str());
        let rows = self.readers.together(texts.into(), values).await;
        rows.map_err(|source| failed(does, source))
    }

    /// Statements that the readers were sent.
    pub(crate) fn statements_read(&self) -> u64 {
        self.readers.statements()
    }

    /// Closes the readers.
    pub(crate) async fn close(&self) {
        self.readers.close().await;
    }
}
