//! The words that cases are written in.

use velum_model::plugin::World;

/// What a plugin may be or have where a contract leaves it open, with what it means. Most are seen in its descriptor; those
/// that cannot be are named in `traits` of `conformance.toml`.
pub const TRAITS: [(&str, &str); 15] = [
    (
        "everywhere",
        "provider: every node reaches every volume without publishing",
    ),
    (
        "granular",
        "provider: sizes are multiples of more than a byte (seen)",
    ),
    ("clones", "provider: makes clones of what it holds"),
    (
        "independent-clones",
        "provider: a clone does not depend on its source (seen)",
    ),
    ("expands", "provider: makes volumes larger"),
    (
        "counts-room",
        "provider: free space falls by what is created and rises by what is deleted, exactly",
    ),
    (
        "two-consumers",
        "provider: the settings name two consumers (seen)",
    ),
    (
        "works",
        "driver, provider: some work is long, so that calls answer `working`",
    ),
    (
        "disks",
        "driver: exports devices, and the settings say what a disk is (seen)",
    ),
    ("row-local", "policy: its descriptor says so (seen)"),
    (
        "compares-rows",
        "policy: its descriptor does not say row-local (seen)",
    ),
    (
        "configurable",
        "policy: the settings name configurations that it must refuse (seen)",
    ),
    ("facts", "policy: it wants facts (seen)"),
    ("demands", "policy: it wants demands (seen)"),
    ("columns", "policy: it wants columns (seen)"),
];

/// Verbs with their arguments.
type Verbs = &'static [(&'static str, &'static [&'static str])];

const PROVIDER: Verbs = &[
    ("describe", &[]),
    ("probe", &[]),
    (
        "create",
        &["volume", "size", "effect", "of", "ghost", "critical", "follow"],
    ),
    ("delete", &["volume", "effect", "follow"]),
    ("expand", &["volume", "size", "effect", "follow"]),
    ("publish", &["volume", "node", "mode", "effect", "follow"]),
    ("unpublish", &["volume", "node", "effect", "follow"]),
    ("reached-by", &["volume", "node"]),
    ("find", &["volume"]),
    ("observe", &[]),
    ("poll", &["token-of", "token", "effect"]),
];

const DRIVER: Verbs = &[
    ("describe", &[]),
    ("probe", &[]),
    (
        "ensure",
        &["run", "effect", "generation", "larger", "critical", "follow"],
    ),
    ("start", &["run", "effect", "generation", "larger", "follow"]),
    ("shutdown", &["run", "effect", "follow"]),
    ("kill", &["run", "effect", "follow"]),
    ("reboot", &["run", "effect", "hard", "follow"]),
    ("remove", &["run", "effect", "follow"]),
    ("observe", &[]),
    ("observe-run", &["run"]),
    ("poll", &["run", "token-of", "token", "effect"]),
    ("attach-disk", &["run", "effect", "slot", "volume", "follow"]),
    ("detach-disk", &["run", "effect", "slot", "follow"]),
];

const POLICY: Verbs = &[
    ("fresh", &["instance"]),
    ("describe", &["instance"]),
    ("configure", &["instance", "bad"]),
    (
        "load",
        &[
            "instance", "epoch", "hosts", "world", "values", "too-many", "too-few",
        ],
    ),
    (
        "apply",
        &["instance", "before", "after", "rows", "world", "hosts", "too-few"],
    ),
    (
        "score",
        &[
            "instance", "epoch", "rows", "ask", "seed", "attrs", "facts", "times", "hosts",
        ],
    ),
];

/// The verbs of a world.
#[must_use]
pub const fn verbs(world: World) -> Verbs {
    match world {
        World::PlacementPolicy => POLICY,
        World::HypervisorDriver => DRIVER,
        World::StorageProvider => PROVIDER,
    }
}
