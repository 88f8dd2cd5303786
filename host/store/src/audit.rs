//! The audit: recounts every sum from its claim rows, and looks for rows without the row that they live by (law 2). What
//! it finds is an alarm, for the constraints should have made it impossible.

use uuid::Uuid;

use crate::{
    commit::StoreError,
    db::{Database, Statement},
    store::Discrepancy,
};

/// A question whose answers are all wrong: id of the row, what is stored, what was counted.
struct Check {
    table: &'static str,
    problem: &'static str,
    statement: Statement,
}

macro_rules! checks {
    ($($name:ident $table:literal $problem:literal $text:literal;)*) => {
        const CHECKS: &[Check] = &[$(
            Check { table: $table, problem: $problem, statement: Statement::common(concat!("audit ", $table), $text) },
        )*];
        /// Every statement of this file.
        #[cfg(test)]
        pub(crate) const ALL: &[&Statement] = {
            $(static $name: Statement = Statement::common(concat!("audit ", $table), $text);)*
            &[$(&$name),*]
        };
    };
}

checks! {
    HOST_VCPUS "compute host" "vCPUs in use differ from its runs"
        "SELECT h.id, h.vcpus_used, CAST(COALESCE(SUM(r.vcpus), 0) AS BIGINT) FROM compute_host_room h
         LEFT JOIN run r ON r.compute_host = h.id GROUP BY h.id, h.vcpus_used
         HAVING h.vcpus_used <> COALESCE(SUM(r.vcpus), 0)";
    HOST_MEMORY "compute host" "memory in use differs from its runs"
        "SELECT h.id, h.memory_used, CAST(COALESCE(SUM(r.memory), 0) AS BIGINT) FROM compute_host_room h
         LEFT JOIN run r ON r.compute_host = h.id GROUP BY h.id, h.memory_used
         HAVING h.memory_used <> COALESCE(SUM(r.memory), 0)";
    HOST_CEILING "compute host" "more vCPUs promised than may be, or a ceiling that is not the larger of limit and use"
        "SELECT id, vcpus_used, vcpus_ceiling FROM compute_host_room WHERE vcpus_used > vcpus_ceiling
         OR vcpus_ceiling <> CASE WHEN vcpus_used > vcpus_limit THEN vcpus_used ELSE vcpus_limit END";
    HOST_MEMORY_CEILING "compute host" "more memory promised than may be, or a ceiling that is not the larger of limit and use"
        "SELECT id, memory_used, memory_ceiling FROM compute_host_room WHERE memory_used > memory_ceiling
         OR memory_ceiling <> CASE WHEN memory_used > memory_limit THEN memory_used ELSE memory_limit END";
    RESOURCE_CEILING "compute host" "more of a resource promised than may be, or a ceiling that is not the larger of limit and use"
        "SELECT compute_host, amount_used, amount_ceiling FROM compute_host_resource WHERE amount_used > amount_ceiling
         OR amount_ceiling <> CASE WHEN amount_used > amount_limit THEN amount_used ELSE amount_limit END";
    HOST_LIMIT "compute host" "its limit differs from its capacity under the cluster's overcommit"
        "SELECT h.id, r.vcpus_limit, h.vcpus * c.cpu_overcommit / 1000 FROM compute_host h
         JOIN cluster c ON c.id = h.cluster JOIN compute_host_room r ON r.id = h.id
         WHERE r.vcpus_limit <> h.vcpus * c.cpu_overcommit / 1000
         OR r.memory_limit <> h.memory * c.memory_overcommit / 1000";
    HOST_ROOM "compute host" "it has no counter of its room"
        "SELECT h.id, 1, 0 FROM compute_host h WHERE NOT EXISTS (SELECT 1 FROM compute_host_room r WHERE r.id = h.id)";
    POOL_BYTES "storage pool" "bytes in use differ from its volumes and layers"
        "WITH held AS (SELECT pool, SUM(size) AS bytes FROM
            (SELECT pool, size FROM volume UNION ALL SELECT pool, size FROM layer) AS each_one GROUP BY pool)
         SELECT p.id, p.bytes_used, CAST(COALESCE(h.bytes, 0) AS BIGINT) FROM storage_pool_room p
         LEFT JOIN held h ON h.pool = p.id WHERE p.bytes_used <> COALESCE(h.bytes, 0)";
    POOL_CEILING "storage pool" "more bytes promised than may be, or a ceiling that is not the larger of limit and use"
        "SELECT id, bytes_used, bytes_ceiling FROM storage_pool_room WHERE bytes_used > bytes_ceiling
         OR bytes_ceiling <> CASE WHEN bytes_used > bytes_limit THEN bytes_used ELSE bytes_limit END";
    POOL_LIMIT "storage pool" "its limit differs from its capacity"
        "SELECT p.id, r.bytes_limit, p.capacity FROM storage_pool p JOIN storage_pool_room r ON r.id = p.id
         WHERE r.bytes_limit <> p.capacity";
    RUN_INSTANCE "run" "it has no instance"
        "SELECT r.id, 1, 0 FROM run r WHERE NOT EXISTS (SELECT 1 FROM instance i WHERE i.id = r.instance)";
    RUN_HOST "run" "it has no compute host"
        "SELECT r.id, 1, 0 FROM run r WHERE NOT EXISTS (SELECT 1 FROM compute_host h WHERE h.id = r.compute_host)";
    RUN_STATE "instance" "it is stopped and has a run"
        "SELECT i.id, 0, COUNT(*) FROM instance i JOIN run r ON r.instance = i.id WHERE i.state = 'stopped' GROUP BY i.id";
    ADDRESS_NIC "address" "its NIC is gone or has another address"
        "SELECT a.id, a.address, COALESCE(n.address, 0) FROM ip_address a LEFT JOIN nic n ON n.id = a.nic
         WHERE a.nic IS NOT NULL AND (n.id IS NULL OR n.address <> a.address)";
    NIC_ADDRESS "NIC" "its address is not claimed"
        "SELECT n.id, n.address, 0 FROM nic n WHERE NOT EXISTS (SELECT 1 FROM ip_address a WHERE a.nic = n.id)";
    ADDRESS_RANGE "address" "it is outside of its range"
        "SELECT a.id, a.address, r.first_address FROM ip_address a JOIN ip_range r ON r.id = a.ip_range
         WHERE a.address < r.first_address OR a.address > r.last_address";
    HOST_ADDRESS "compute host" "its private address is not claimed"
        "SELECT h.id, h.private_address, 0 FROM compute_host h WHERE h.private_address IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM ip_address a WHERE a.compute_host = h.id AND a.address = h.private_address)";
    NIC_INSTANCE "NIC" "it has no instance"
        "SELECT n.id, 1, 0 FROM nic n WHERE NOT EXISTS (SELECT 1 FROM instance i WHERE i.id = n.instance)";
    PUBLICATION_RUN "publication" "its run is gone or is on another compute host"
        "SELECT p.volume, 1, 0 FROM publication p LEFT JOIN run r ON r.id = p.run
         WHERE r.id IS NULL OR r.compute_host <> p.compute_host";
    IDENTITY "publication" "another volume has the same identity"
        "SELECT p.volume, 1, 2 FROM publication p JOIN publication o ON o.identity = p.identity AND o.volume <> p.volume";
    ATTACHMENT "volume" "its attachment leads nowhere"
        "SELECT a.volume, 1, 0 FROM attachment a WHERE NOT EXISTS (SELECT 1 FROM volume v WHERE v.id = a.volume)
         OR NOT EXISTS (SELECT 1 FROM instance i WHERE i.id = a.instance)";
    ROOT "volume" "it is a root volume of no instance, and no operation holds it"
        "SELECT v.id, 1, 0 FROM volume v WHERE v.used_as = 'root' AND v.state = 'ready'
         AND NOT EXISTS (SELECT 1 FROM attachment a WHERE a.volume = v.id)";
    LOCK_OPERATION "lock" "the operation that holds it is gone or has ended"
        "SELECT l.subject, 1, 0 FROM subject_lock l LEFT JOIN operation o ON o.id = l.operation
         WHERE o.id IS NULL OR o.state IN ('done', 'undone')";
    INSTANCE_UNATTENDED "instance" "it is on its way somewhere, and no operation holds it"
        "SELECT i.id, 1, 0 FROM instance i
         WHERE i.state IN ('creating', 'starting', 'stopping', 'rebooting', 'destroying', 'failed')
         AND NOT EXISTS (SELECT 1 FROM subject_lock l WHERE l.subject = i.id)";
    VOLUME_UNATTENDED "volume" "it is being made or removed, and no operation holds it or its instance"
        "SELECT v.id, 1, 0 FROM volume v WHERE v.state IN ('creating', 'deleting')
         AND NOT EXISTS (SELECT 1 FROM subject_lock l WHERE l.subject = v.id)
         AND NOT EXISTS (SELECT 1 FROM attachment a JOIN subject_lock l ON l.subject = a.instance WHERE a.volume = v.id)";
    TEMPLATE_UNATTENDED "template" "it is being checked or removed, and no operation holds it"
        "SELECT t.id, 1, 0 FROM template t WHERE t.state IN ('registering', 'deleting')
         AND NOT EXISTS (SELECT 1 FROM subject_lock l WHERE l.subject = t.id)";
    AFFINITY_PLACE "run" "it has no place in a required affinity group of its instance, or another"
        "SELECT r.id, 0, 1 FROM affinity_member m JOIN affinity_group g ON g.id = m.affinity_group
         JOIN run r ON r.instance = m.instance JOIN compute_host h ON h.id = r.compute_host
         LEFT JOIN affinity_place p ON p.run = r.id AND p.affinity_group = g.id
         WHERE g.strength = 'required' AND (p.run IS NULL
            OR CASE WHEN g.kind = 'affinity' THEN p.together ELSE p.apart END IS NULL
            OR COALESCE(p.apart, p.together) <> CASE g.level WHEN 'pod' THEN h.pod ELSE h.id END)";
    AFFINITY_STRANGER "run" "it has a place in an affinity group that its instance is not in"
        "SELECT p.run, 1, 0 FROM affinity_place p JOIN run r ON r.id = p.run WHERE NOT EXISTS
         (SELECT 1 FROM affinity_member m WHERE m.instance = r.instance AND m.affinity_group = p.affinity_group)";
    AFFINITY_APART "affinity group" "members that are to be apart are not"
        "SELECT g.id, 1, COUNT(*) FROM affinity_group g JOIN affinity_member m ON m.affinity_group = g.id
         JOIN run r ON r.instance = m.instance JOIN compute_host h ON h.id = r.compute_host
         WHERE g.strength = 'required' AND g.kind = 'anti-affinity'
         GROUP BY g.id, CASE g.level WHEN 'pod' THEN h.pod ELSE h.id END HAVING COUNT(*) > 1";
    AFFINITY_TOGETHER "affinity group" "members that are to be together are not"
        "SELECT g.id, 1, COUNT(DISTINCT CASE g.level WHEN 'pod' THEN h.pod ELSE h.id END) FROM affinity_group g
         JOIN affinity_member m ON m.affinity_group = g.id JOIN run r ON r.instance = m.instance
         JOIN compute_host h ON h.id = r.compute_host
         WHERE g.strength = 'required' AND g.kind = 'affinity' GROUP BY g.id
         HAVING COUNT(DISTINCT CASE g.level WHEN 'pod' THEN h.pod ELSE h.id END) > 1";
    EVENTS "shard" "its events are not as many as were numbered"
        "SELECT s.id, s.next_seq - 1, COUNT(e.seq) FROM shard s LEFT JOIN event e ON e.shard = s.id
         GROUP BY s.id, s.next_seq HAVING s.next_seq - 1 <> COUNT(e.seq)";
}

/// Claims and sums of `claimed`, a common table expression over the JSON of the runs: what differs, and what has no counter.
macro_rules! compared {
    ($claimed:literal) => {
        concat!(
            "WITH claimed AS (SELECT r.compute_host AS host, j.key AS name, ",
            $claimed,
            " GROUP BY r.compute_host, j.key)
             SELECT o.compute_host, o.amount_used, COALESCE(c.amount, 0) FROM compute_host_resource o
             LEFT JOIN claimed c ON c.host = o.compute_host AND c.name = o.name
             WHERE o.amount_used <> COALESCE(c.amount, 0)
             UNION ALL SELECT c.host, CAST(0 AS BIGINT), c.amount FROM claimed c WHERE NOT EXISTS
             (SELECT 1 FROM compute_host_resource o WHERE o.compute_host = c.host AND o.name = c.name)"
        )
    };
}

/// What a run holds is JSON, which each database takes apart in its own way.
static RESOURCE_USE: Check = Check {
    table: "compute host",
    problem: "a resource in use differs from what its runs hold",
    statement: Statement {
        does: "audit compute host",
        sqlite: compared!("SUM(j.value) AS amount FROM run r JOIN json_each(r.resources) j"),
        postgres: compared!(
            "CAST(SUM(CAST(j.value AS BIGINT)) AS BIGINT) AS amount
             FROM run r CROSS JOIN LATERAL jsonb_each_text(CAST(r.resources AS JSONB)) j"
        ),
        bound: None,
    },
};

/// Every statement that is not among the others.
#[cfg(test)]
pub(crate) const OWN: &[&Statement] = &[&RESOURCE_USE.statement];

/// Asks every question.
pub(crate) async fn audit(database: &Database) -> Result<Vec<Discrepancy>, StoreError> {
    let mut found = Vec::new();
    for check in CHECKS.iter().chain([&RESOURCE_USE]) {
        for row in database.fetch_patiently(&check.statement, &[]).await? {
            let mut columns = row.columns(check.table);
            let id: Uuid = columns.take("id")?;
            let (stored, counted): (i64, i64) = (columns.take("stored")?, columns.take("counted")?);
            found.push(Discrepancy {
                table: check.table,
                id,
                problem: format!("{}: {stored} stored, {counted} counted", check.problem),
            });
        }
    }
    Ok(found)
}
