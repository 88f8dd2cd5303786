//! What a store counts.

/// What the writer and the readers counted since they began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreCounts {
    /// SQL statements sent, those that begin and end a transaction too.
    pub statements: u64,
    /// Transactions that became durable.
    pub transactions: u64,
    /// Commits in them.
    pub commits: u64,
    /// SQL statements that the readers were sent.
    pub statements_read: u64,
    /// Transactions whose rows were written while the one before them was being committed; on PostgreSQL alone.
    pub ahead: u64,
    /// Transactions begun again, because another writer was faster or the connection was lost, or alone.
    pub retries: u64,
    /// COMMITs without an answer, after which was looked whether they had happened.
    pub looks: u64,
    /// Commits that were refused because another server had taken their shard over.
    pub fenced: u64,
}
