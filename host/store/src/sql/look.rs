//! What is looked at to explain a refusal, table by table in words.

use crate::db::Statement;

macro_rules! exists {
    ($($words:literal $table:literal;)*) => {
        const EXISTS: &[(&str, Statement)] = &[$(
            ($words, Statement::common(
                concat!("look for a ", $words),
                concat!("SELECT id FROM ", $table, " WHERE id = $1"),
            )),
        )*];
    };
}
exists! {
    "project" "project";
    "shard" "shard";
    "zone" "zone";
    "pod" "pod";
    "cluster" "cluster";
    "compute host" "compute_host";
    "storage pool" "storage_pool";
    "image store" "image_store";
    "network" "network";
    "address range" "ip_range";
    "compute offering" "compute_offering";
    "disk offering" "disk_offering";
    "network offering" "network_offering";
    "policy" "policy";
    "publisher" "publisher";
    "publisher key" "publisher_key";
    "template" "template";
    "affinity group" "affinity_group";
    "instance" "instance";
    "run" "run";
    "volume" "volume";
    "layer" "layer";
}

pub(crate) const PLUGIN_EXISTS: Statement =
    Statement::common("look for a plugin", "SELECT id FROM plugin WHERE digest = $1");

/// How a row is looked for by its id.
pub(crate) fn exists(words: &str) -> Option<&'static Statement> {
    EXISTS
        .iter()
        .find(|(table, _)| *table == words)
        .map(|(_, statement)| statement)
}

/// A count of rows, and what they are called: one of them, several.
pub(crate) type User = (Statement, &'static str, &'static str);

macro_rules! users {
    ($($words:literal [$($table:literal $condition:literal $one:literal $many:literal;)*])*) => {
        const USERS: &[(&str, &[User])] = &[$(
            ($words, &[$(
                (
                    Statement::common(
                        concat!("count ", $many),
                        concat!("SELECT COUNT(*) FROM ", $table, " WHERE ", $condition),
                    ),
                    $one,
                    $many,
                ),
            )*]),
        )*];
    };
}
users! {
    "zone" [
        "pod" "zone = $1" "a pod" "pods";
        "cluster" "zone = $1" "a cluster" "clusters";
        "compute_host" "zone = $1" "a compute host" "compute hosts";
        "storage_pool" "zone = $1" "a storage pool" "storage pools";
        "image_store" "zone = $1" "an image store" "image stores";
        "network" "zone = $1" "a network" "networks";
        "ip_range" "zone = $1" "an address range" "address ranges";
        "template" "zone = $1" "a template" "templates";
        "instance" "zone = $1" "an instance" "instances";
        "volume" "zone = $1" "a volume" "volumes";
        "affinity_group" "zone = $1" "an affinity group" "affinity groups";
    ]
    "affinity group" ["affinity_member" "affinity_group = $1" "an instance" "instances";]
    "pod" [
        "cluster" "pod = $1" "a cluster" "clusters";
        "compute_host" "pod = $1" "a compute host" "compute hosts";
        "ip_range" "pod = $1" "an address range" "address ranges";
    ]
    "cluster" [
        "compute_host" "cluster = $1" "a compute host" "compute hosts";
        "storage_pool" "scope_cluster = $1" "a storage pool" "storage pools";
    ]
    "compute host" [
        "run" "compute_host = $1" "a run" "runs";
        "storage_pool" "scope_host = $1" "a storage pool" "storage pools";
        "publication" "compute_host = $1" "a publication" "publications";
    ]
    "storage pool" [
        "volume" "pool = $1" "a volume" "volumes";
        "layer" "pool = $1" "a layer" "layers";
    ]
    "image store" ["template" "image_store = $1" "a template" "templates";]
    "address range" ["ip_address" "ip_range = $1" "a claimed address" "claimed addresses";]
    "network" [
        "nic" "network = $1" "a NIC" "NICs";
        "ip_range" "network = $1" "an address range" "address ranges";
    ]
    "compute offering" ["instance" "offering = $1" "an instance" "instances";]
    "disk offering" ["volume" "offering = $1" "a volume" "volumes";]
    "network offering" ["network" "offering = $1" "a network" "networks";]
    "template" [
        "instance" "template = $1" "an instance" "instances";
        "layer" "template = $1" "a layer" "layers";
    ]
    "plugin" [
        "compute_host" "driver = (SELECT digest FROM plugin WHERE id = $1)" "a compute host" "compute hosts";
        "storage_pool" "provider = (SELECT digest FROM plugin WHERE id = $1)" "a storage pool" "storage pools";
        "policy" "digest = (SELECT digest FROM plugin WHERE id = $1)" "a policy" "policies";
        "policy_shadow" "digest = (SELECT digest FROM plugin WHERE id = $1)" "a shadow of a policy" "shadows of policies";
        "plugin_active" "digest = (SELECT digest FROM plugin WHERE id = $1)" "a zone in which it is active" "zones in which it is active";
        "plugin_before" "digest = (SELECT digest FROM plugin WHERE id = $1)" "a place where operations in flight keep it" "places where operations in flight keep it";
    ]
    "publisher" [
        "plugin" "signed_by IN (SELECT id FROM publisher_key WHERE publisher = $1)" "a plugin that it signed" "plugins that it signed";
        "plugin_name" "publisher = $1" "the name of a plugin, which stays its own" "names of plugins, which stay its own";
    ]
    "policy" [
        "zone" "policy = $1 OR pool_policy = $1" "a zone" "zones";
        "compute_offering" "policy = $1" "a compute offering" "compute offerings";
    ]
    "instance" [
        "run" "instance = $1" "a run" "runs";
        "nic" "instance = $1" "a NIC" "NICs";
        "attachment" "instance = $1" "a volume" "volumes";
    ]
    "run" ["publication" "run = $1" "a publication" "publications";]
    "volume" [
        "attachment" "volume = $1" "an instance" "instances";
        "publication" "volume = $1" "a publication" "publications";
    ]
    "layer" ["volume" "parent = $1" "a volume" "volumes";]
}

/// What may use a row.
pub(crate) fn users(words: &str) -> &'static [User] {
    USERS
        .iter()
        .find(|(table, _)| *table == words)
        .map_or(&[], |(_, users)| users)
}

/// Every statement of this file.
#[cfg(test)]
pub(crate) fn all() -> Vec<&'static Statement> {
    let users = USERS
        .iter()
        .flat_map(|(_, users)| users.iter().map(|(statement, ..)| statement));
    EXISTS
        .iter()
        .map(|(_, statement)| statement)
        .chain([&PLUGIN_EXISTS])
        .chain(users)
        .collect()
}
