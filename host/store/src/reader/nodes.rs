//! How the authority and the machines that join are read.

use velum_model::{
    enrolment::{AuthorityRecord, NodeToken},
    id::NodeId,
};

use super::Reader;
use crate::{
    commit::StoreError,
    db::Value,
    sql::nodes::{AUTHORITY, NODE_OF_KEY, NODE_TOKEN},
};

#[expect(clippy::missing_errors_doc, reason = "the module says it once for all")]
impl Reader {
    /// The authority of the cloud, once a server has made it.
    pub async fn authority(&self) -> Result<Option<AuthorityRecord>, StoreError> {
        let rows = self.database.fetch(&AUTHORITY, &[]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let mut c = row.columns("authority");
        Ok(Some(AuthorityRecord {
            certificate: c.take("certificate")?,
            key: c.take("key")?,
            created_at: c.take("created_at")?,
        }))
    }

    /// The token that a machine may join with, by the hash of its secret.
    pub async fn node_token_by_hash(&self, hash: &[u8]) -> Result<Option<NodeToken>, StoreError> {
        let rows = self.database.fetch(&NODE_TOKEN, &[Value::from(hash)]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let mut c = row.columns("node_token");
        Ok(Some(NodeToken {
            id: c.take("id")?,
            hash: c.take("hash")?,
            created_by: c.take("created_by")?,
            created_at: c.take("created_at")?,
            expires_at: c.take("expires_at")?,
            used_at: c.take("used_at")?,
        }))
    }

    /// The node that joined with a key, by the key's hash.
    pub async fn node_of_key(&self, key_hash: &[u8]) -> Result<Option<NodeId>, StoreError> {
        let rows = self
            .database
            .fetch(&NODE_OF_KEY, &[Value::from(key_hash)])
            .await?;
        rows.first().map(|row| row.only("node", "id")).transpose()
    }
}
