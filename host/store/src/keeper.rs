//! Keeping shards among several servers on one database.
//!
//! Nobody compares wall clocks. The owner of a shard counts its row's `renewals` up, three times a lease. Every server
//! watches the rows, and one that has seen a row stand still for a whole lease **on its own steady clock** may claim it: in
//! one statement that asks that the row is still as it was seen, and that raises the epoch. The owner measures too, from
//! before it asked for the renewal that went through, and uses the shard for five sixths of a lease: it has stopped by itself
//! before anybody else can begin, as long as two clocks run alike within a sixth. Should even that fail (a process that
//! stood still in the middle), its commits and its effects are refused by the epoch.
//!
//! ```text
//! owner      renew ────────▶ (row)        renew ────▶ ✗  cut off          …stops using it
//!            │◀─────────────────── five sixths of a lease ───────────────────▶│
//! others         look  look  look: moved on │◀──────────── a lease ────────────────▶│ claim, epoch + 1
//! ```
//!
//! Shards spread by two rules. A free shard is for a server that owns less than its share (shards through servers, rounded
//! up); if that one does not come, anybody's. And a server that owns at least two more than the least loaded one gives one
//! away. The shard with the nil id is nobody's: it only numbers events.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use serde_json::json;
use tokio::{sync::watch, task::JoinHandle};
use velum_model::ShardId;

use crate::{
    commit::StoreError,
    db::{Connection, Database, Row, Statement, Value},
    encode::hex,
    epochs::Epochs,
    lease::rows,
    sql::rest::{CLAIM, RELEASE, SERVERS, SHARDS_HELD, SIGN_IN, SIGN_OUT},
    store::Store,
    twins::Twins,
    writer::CLOUD,
};

/// Looks a lease: a takeover is late by one of them at most.
const LOOKS_A_LEASE: u32 = 12;
/// Renewals a lease: two may fail.
pub(crate) const RENEWALS_A_LEASE: u32 = 3;
/// Looks after which a free shard is anybody's, whatever they own: whoever has less has had its turn by then.
const TURN: u32 = 2;
/// The least that a look is given, however short the lease.
const AT_LEAST: Duration = Duration::from_secs(1);
/// Leases after which a server that stands still is forgotten.
const FORGOTTEN_AFTER: u32 = 20;

/// The part of a lease for which its owner uses a shard.
pub(crate) fn usable(lease: Duration) -> Duration {
    lease / 6 * 5
}

/// Where a shard is worked on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Here, under this epoch.
    Here(u64),
    /// By the server whose API is reached at this address.
    At(String),
    /// Nowhere now.
    Nobody,
}

/// What the last look found: of each shard who holds it and where that server is reached.
pub(crate) type Owners = Arc<RwLock<HashMap<ShardId, String>>>;

/// A server's part among others: which shards it owns, as they come and go.
#[derive(Debug)]
pub struct Membership {
    /// What is owned now.
    pub owned: watch::Receiver<Vec<(ShardId, u64)>>,
    tasks: [JoinHandle<()>; 2],
}

impl Membership {
    /// Stops claiming and renewing.
    fn end(&self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.end();
    }
}

/// A row that stands still since it was first seen so.
#[derive(Clone, Copy, Debug)]
struct Still {
    epoch: u64,
    renewals: u64,
    since: Duration,
}

/// A server and when its row last moved, if that was seen.
#[derive(Clone, Copy, Debug)]
struct Sign {
    renewals: u64,
    first: Duration,
    moved: Option<Duration>,
}

struct ShardRow {
    id: ShardId,
    epoch: u64,
    holder: String,
    renewals: u64,
}

/// See the module.
struct Keeper {
    database: Database,
    epochs: Epochs,
    holder: String,
    address: String,
    lease: Duration,
    connection: Option<Connection>,
    still: HashMap<ShardId, Still>,
    signs: HashMap<String, Sign>,
    owners: Owners,
    owned: watch::Sender<Vec<(ShardId, u64)>>,
    looks: u32,
    twins: Twins,
    /// When the database last answered.
    answered: Duration,
}

impl Store {
    /// Joins the servers on this database: from now on shards are claimed, renewed, lost and handed over as the module
    /// `keeper` says. `address` is where the others reach this server's API. What is free, and what a process
    /// of the same name held before, is claimed before this returns; so the name must be this process's alone.
    ///
    /// # Errors
    /// The database failed.
    pub async fn join(&self, address: &str, lease: Duration) -> Result<Membership, StoreError> {
        let reader = self.read();
        reader.epochs.expire_after(usable(lease));
        reader.epochs.drop_shard(CLOUD);
        // The store was opened a moment ago: its writer has a connection.
        let now = reader.epochs.now();
        reader.epochs.wrote(now);
        let (owned, watched) = watch::channel(Vec::new());
        let mut keeper = Keeper {
            database: reader.database,
            epochs: reader.epochs,
            holder: self.holder().to_owned(),
            address: address.to_owned(),
            lease,
            connection: None,
            still: HashMap::new(),
            signs: HashMap::new(),
            owners: self.owners(),
            owned,
            looks: 0,
            twins: Twins::default(),
            answered: now,
        };
        keeper.look().await?;
        let store = self.clone();
        let tasks = [
            tokio::spawn(keeper.run()),
            tokio::spawn(async move { renew(store, lease).await }),
        ];
        Ok(Membership {
            owned: watched,
            tasks,
        })
    }

    /// Gives every shard to the others and signs out.
    ///
    /// # Errors
    /// The database failed: then the others wait for the leases.
    pub async fn leave(&self, membership: Membership) -> Result<(), StoreError> {
        membership.end();
        self.release(self.read().epochs.all()).await?;
        let mut connection = self
            .read()
            .database
            .writer()
            .await
            .map_err(|source| StoreError::Database {
                attempt: SIGN_OUT.does,
                source,
            })?;
        let values = [Value::from(self.holder())];
        let patience = self.read().database.patience();
        let gone = crate::db::within(patience, connection.fetch(&SIGN_OUT, &values)).await;
        gone.map(drop).map_err(|source| StoreError::Database {
            attempt: SIGN_OUT.does,
            source,
        })
    }

    /// Where a shard is worked on, as of the last look.
    #[must_use]
    pub fn owner(&self, shard: ShardId) -> Owner {
        if let Some(epoch) = self.epoch(shard) {
            return Owner::Here(epoch);
        }
        let owners = self.owners();
        let owners = owners.read().unwrap_or_else(PoisonError::into_inner);
        owners
            .get(&shard)
            .map_or(Owner::Nobody, |address| Owner::At(address.clone()))
    }
}

/// Renews for ever. What is lost by it the keeper announces. One that failed is tried again before long: until one goes
/// through, nothing is claimed.
async fn renew(store: Store, lease: Duration) {
    let mut ticks = tokio::time::interval(lease / RENEWALS_A_LEASE);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = store.renew().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "could not renew the leases"
            );
            ticks.reset_after(lease / LOOKS_A_LEASE);
        }
    }
}

impl Keeper {
    async fn run(mut self) {
        let mut ticks = tokio::time::interval(self.lease / LOOKS_A_LEASE);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // An outage is told once; renewals that fail are told each time.
        let mut is_told = false;
        loop {
            ticks.tick().await;
            let Err(error) = self.look().await else {
                is_told = false;
                continue;
            };
            self.connection = None;
            self.twins.lost();
            if !is_told {
                is_told = true;
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "could not look who owns the shards; trying again"
                );
            }
            self.publish();
        }
    }

    /// One look at all rows, and what follows from it.
    async fn look(&mut self) -> Result<(), StoreError> {
        self.publish();
        // One whose commits do not get through is no use as an owner: it neither claims nor is given anything. It signs in
        // with the first look after they do.
        let can_write = self.epochs.can_write();
        if !can_write {
            self.looks = 0;
        } else if self.looks.is_multiple_of(LOOKS_A_LEASE / RENEWALS_A_LEASE) {
            let values = [
                Value::from(self.holder.as_str()),
                Value::from(self.address.as_str()),
            ];
            let signed = self.fetch(&SIGN_IN, &values).await?;
            let times = signed.first().map(|row| row.only("server", "renewals"));
            self.twins.signed_in(times.transpose()?, &self.holder);
        }
        self.looks = self.looks.wrapping_add(u32::from(can_write));
        let servers = self.read_servers().await?;
        let shards = self.read_shards().await?;
        // Measured from when the answer was here: the row stood still from before that on.
        let now = self.epochs.now();
        self.note(&shards, &servers, now);
        // Asked again: this look may have taken its time.
        if self.epochs.can_write() && self.claim(&shards, now).await? == 0 {
            self.give_away(&shards, now).await?;
        }
        self.publish();
        self.forget(now).await
    }

    async fn read_shards(&mut self) -> Result<Vec<ShardRow>, StoreError> {
        let mut shards = Vec::new();
        for row in self.fetch(&SHARDS_HELD, &[]).await? {
            let mut columns = row.columns("shard");
            let row = ShardRow {
                id: columns.take("id")?,
                epoch: columns.take("epoch")?,
                holder: columns.take("holder")?,
                renewals: columns.take("renewals")?,
            };
            if row.id != CLOUD {
                shards.push(row);
            }
        }
        Ok(shards)
    }

    async fn read_servers(&mut self) -> Result<HashMap<String, (String, u64)>, StoreError> {
        let mut servers = HashMap::new();
        for row in self.fetch(&SERVERS, &[]).await? {
            let mut columns = row.columns("server");
            let id: String = columns.take("id")?;
            servers.insert(id, (columns.take("address")?, columns.take("renewals")?));
        }
        Ok(servers)
    }

    fn note(&mut self, shards: &[ShardRow], servers: &HashMap<String, (String, u64)>, now: Duration) {
        let mut still = HashMap::with_capacity(shards.len());
        for row in shards {
            let before = self.still.get(&row.id).copied();
            let same = before.filter(|b| (b.epoch, b.renewals) == (row.epoch, row.renewals));
            let first = Still {
                epoch: row.epoch,
                renewals: row.renewals,
                since: now,
            };
            still.insert(row.id, same.unwrap_or(first));
        }
        self.still = still;
        self.signs.retain(|id, _| servers.contains_key(id));
        for (id, (_, renewals)) in servers {
            let sign = self.signs.entry(id.clone()).or_insert(Sign {
                renewals: *renewals,
                first: now,
                moved: None,
            });
            if sign.renewals != *renewals {
                sign.renewals = *renewals;
                sign.moved = Some(now);
            }
        }
        let of = |row: &ShardRow| Some((row.id, servers.get(&row.holder)?.0.clone()));
        let foreign = shards.iter().filter(|row| row.holder != self.holder);
        let owners = foreign.filter_map(of).collect();
        *self.owners.write().unwrap_or_else(PoisonError::into_inner) = owners;
    }

    /// How long a row has stood still.
    fn stands(&self, row: &ShardRow, now: Duration) -> Duration {
        let still = self.still.get(&row.id);
        still.map_or(Duration::ZERO, |still| now.saturating_sub(still.since))
    }

    /// Whether a server counts as one among which shards spread: it signs in, and renews what it holds.
    fn is_alive(&self, server: &str, shards: &[ShardRow], now: Duration) -> bool {
        let moved = self.signs.get(server).and_then(|sign| sign.moved);
        let signs_in = moved.is_some_and(|at| now.saturating_sub(at) < self.lease);
        let mut held = shards.iter().filter(|row| row.holder == server);
        server == self.holder || (signs_in && held.all(|row| self.stands(row, now) < self.lease))
    }

    /// Whether a server has missed no more than half of a turn to sign in. One whose shards were taken over a moment ago
    /// holds nothing that stands still any more, and must not be given any of them back: its last sign is nearly as old as
    /// what it last renewed.
    fn signed_in_just_now(&self, server: &str, now: Duration) -> bool {
        let moved = self.signs.get(server).and_then(|sign| sign.moved);
        moved.is_some_and(|at| now.saturating_sub(at) < self.lease / 2)
    }

    /// Claims what stands still. Answers how many shards it tried to.
    async fn claim(&mut self, shards: &[ShardRow], now: Duration) -> Result<usize, StoreError> {
        let alive = self
            .signs
            .keys()
            .filter(|id| self.is_alive(id, shards, now))
            .count()
            .max(1);
        let mine = self.epochs.all().len();
        let mut room = shards.len().div_ceil(alive).saturating_sub(mine);
        let turn = self.lease / LOOKS_A_LEASE * TURN;
        let mut wanted = Vec::new();
        for row in shards {
            if self.epochs.get(row.id).is_some() {
                continue;
            }
            let stands = self.stands(row, now);
            // What this server held and lost sight of is nobody else's either: it takes it anew.
            let is_own = row.holder == self.holder;
            let rests = if row.holder.is_empty() || is_own {
                Duration::ZERO
            } else {
                self.lease
            };
            let is_mine_to_take = is_own || room > 0 || stands >= rests + turn;
            if stands >= rests && is_mine_to_take {
                room = room.saturating_sub(1);
                wanted.push(json!({ "id": hex(row.id), "epoch": row.epoch, "renewals": row.renewals }));
            }
        }
        if wanted.is_empty() {
            return Ok(0);
        }
        let tried = wanted.len();
        let values = [
            Value::from(serde_json::Value::Array(wanted).to_string()),
            Value::from(self.holder.as_str()),
        ];
        let since = self.epochs.now();
        for row in self.fetch(&CLAIM, &values).await? {
            let mut columns = row.columns("shard");
            self.epochs
                .hold(columns.take("id")?, columns.take("epoch")?, since);
        }
        Ok(tried)
    }

    /// Gives one shard away if another server owns at least two fewer.
    async fn give_away(&mut self, shards: &[ShardRow], now: Duration) -> Result<(), StoreError> {
        let mine = self.epochs.all();
        let held = |server: &str| shards.iter().filter(|row| row.holder == server).count();
        let others = self.signs.keys().filter(|id| **id != self.holder);
        let least = others
            .filter(|id| self.is_alive(id, shards, now) && self.signed_in_just_now(id, now))
            .map(|id| held(id))
            .min();
        // What is on its way to somebody counts as arrived there.
        let free = shards.iter().filter(|row| row.holder.is_empty()).count();
        let (Some(least), Some(last)) = (least, mine.last()) else {
            return Ok(());
        };
        if mine.len() >= least + free + 2 {
            tracing::info!(shard = %last.0, epoch = last.1, "gives a shard to a server that owns fewer");
            // Not through the writer: whatever that is at must not keep this from looking on.
            self.epochs.drop_shard(last.0);
            self.fetch(&RELEASE, &[rows(&[*last])]).await?;
        }
        Ok(())
    }

    /// Rows of servers that are long gone.
    async fn forget(&mut self, now: Duration) -> Result<(), StoreError> {
        let long = self.lease * FORGOTTEN_AFTER;
        let gone = self
            .signs
            .iter()
            .find(|(id, sign)| {
                **id != self.holder && now.saturating_sub(sign.moved.unwrap_or(sign.first)) > long
            })
            .map(|(id, _)| id.clone());
        if let Some(id) = gone {
            self.fetch(&SIGN_OUT, &[Value::from(id.as_str())]).await?;
            self.signs.remove(&id);
        }
        Ok(())
    }

    fn publish(&self) {
        let now = self.epochs.all();
        self.owned.send_if_modified(|known| {
            let changed = *known != now;
            if changed {
                *known = now;
            }
            changed
        });
    }

    /// A statement on the keeper's own connection: a claim that waits for another server's transaction must not hold up
    /// the commits of the shards that are owned.
    async fn fetch(&mut self, statement: &Statement, values: &[Value]) -> Result<Vec<Row>, StoreError> {
        // What does not answer within a part of a lease is of no use for it; a busy machine may take its time.
        let patience = Some((self.lease / RENEWALS_A_LEASE).max(AT_LEAST));
        let failed = |source| StoreError::Database {
            attempt: statement.does,
            source,
        };
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => crate::db::within(patience, self.database.writer())
                .await
                .map_err(failed)?,
        };
        let rows = crate::db::within(patience, connection.fetch(statement, values)).await;
        let rows = rows.map_err(failed)?;
        let silent = self.epochs.now().saturating_sub(self.answered);
        self.answered = self.epochs.now();
        // After as long a silence everything that was owned is lost: what waits on older connections would only wait on.
        if let Some(line) = self.database.line().filter(|_| silent >= usable(self.lease)) {
            let silent_ms = silent.as_millis();
            tracing::warn!(
                silent_ms,
                "the database answers again: older connections are given up"
            );
            line.came_back();
            connection.renew();
        }
        self.connection = Some(connection);
        Ok(rows)
    }
}
