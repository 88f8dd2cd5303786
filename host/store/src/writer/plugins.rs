//! Plugins and what stands behind them: the words, the names, the versions; policies with their versions and shadows.

use super::{
    Failure,
    apply::Transaction,
    records::{stale, taken},
};
use crate::{
    commit::{Change, Table},
    db::Value,
    encode::{Keyed, plugins},
    sql::plugins as sql,
};

/// What makes values of a change, if it is of the kind.
type Encoding = fn(&Change) -> Keyed;

impl Transaction<'_> {
    /// Publishers, keys, plugins, policies: before all that names them.
    pub(super) async fn write_plugins(&mut self) -> Result<(), Failure> {
        self.each(&sql::INSERT_PUBLISHER, plugins::insert_publisher, taken)
            .await?;
        self.each(&sql::UPDATE_PUBLISHER, plugins::update_publisher, stale)
            .await?;
        self.each(&sql::INSERT_PUBLISHER_KEY, plugins::insert_key, taken)
            .await?;
        self.each(&sql::REVOKE_KEY, plugins::revoke_key, stale).await?;
        self.each(&sql::NEW_NAME, plugins::new_name, stale).await?;
        self.each(&sql::RAISE_NAME, plugins::raise_name, stale).await?;
        self.each(&sql::INSERT_PLUGIN, plugins::insert_plugin, taken)
            .await?;
        self.each(&sql::INSERT_POLICY, plugins::insert_policy, taken)
            .await?;
        self.each(&sql::UPDATE_POLICY, plugins::update_policy, stale)
            .await?;
        self.each(&sql::INSERT_POLICY_VERSION, plugins::insert_version, stale)
            .await?;
        self.ask(&sql::EXPIRE_POLICY_VERSIONS, plugins::old_versions)
            .await?;
        self.each(&sql::END_SHADOW, plugins::end_shadow, stale).await?;
        self.each(&sql::BEGIN_SHADOW, plugins::begin_shadow, taken)
            .await?;
        self.ask(&sql::COUNT_SHADOW, plugins::count_shadow).await?;
        Ok(())
    }

    /// Which versions zones use: after the zones.
    pub(super) async fn write_activations(&mut self) -> Result<(), Failure> {
        if self.has(|change| matches!(change, Change::UpdateActivation(_))) {
            self.forget_what_was_before().await?;
        }
        // Of two that are the first at the same time one stays.
        self.ask(&sql::INSERT_ACTIVATION, plugins::insert_activation)
            .await?;
        self.each(&sql::UPDATE_ACTIVATION, plugins::update_activation, stale)
            .await?;
        Ok(())
    }

    /// Before compute hosts and pools change: those that go over to another component leave what they had to the
    /// operations that were accepted before.
    pub(super) async fn keep_what_was_before(&mut self) -> Result<(), Failure> {
        let is_change = |change: &Change| {
            matches!(
                change,
                Change::UpdateComputeHost(_) | Change::UpdateStoragePool(_)
            )
        };
        if !self.has(is_change) {
            return Ok(());
        }
        let now = [Value::from(self.now.micros())];
        let kinds: [(_, Encoding); 2] = [
            (&sql::KEEP_DRIVER, plugins::driven_host),
            (&sql::KEEP_PROVIDER, plugins::driven_pool),
        ];
        for (statement, encode) in kinds {
            let rows: Vec<_> = self
                .alive()
                .flat_map(|(_, commit)| commit.changes.iter().filter_map(encode))
                .map(|(_, row)| row)
                .collect();
            self.run(statement, rows, &now).await?;
        }
        Ok(())
    }

    /// Before a plugin is removed: what no operation keeps any more keeps no plugin.
    pub(super) async fn let_plugins_go(&mut self) -> Result<(), Failure> {
        let removes = |change: &Change| {
            matches!(
                change,
                Change::Delete {
                    table: Table::Plugin,
                    ..
                }
            )
        };
        match self.has(removes) {
            true => self.forget_what_was_before().await,
            false => Ok(()),
        }
    }

    async fn forget_what_was_before(&mut self) -> Result<(), Failure> {
        let forgotten = self.connection.fetch(&sql::FORGET_BEFORE, &[]).await;
        forgotten.map(drop).map_err(|source| Failure::Database {
            attempt: sql::FORGET_BEFORE.does,
            source,
        })
    }
}
