//! The words that cases are written in.

use velum_model::plugin::World;

/// What a plugin may be or have where a contract leaves it open, and what it means. Most are seen in its descriptor or the
/// settings; those that cannot be are named in `traits` of `conformance.toml`.
pub const TRAITS: [(&str, &str); 15] = [
    // Named: of providers and drivers.
    ("clones", "it makes clones of the volumes that it holds"),
    (
        "counts-room",
        "free space falls and rises by exactly what is created and deleted",
    ),
    ("everywhere", "every node reaches every volume without publishing"),
    ("expands", "it makes volumes larger"),
    ("works", "some work is long, so that calls answer `working`"),
    // Seen: of providers.
    ("granular", "sizes are multiples of more than a byte"),
    ("independent-clones", "a clone does not depend on its source"),
    ("two-consumers", "the settings name two consumers"),
    // Seen: of drivers.
    ("disks", "it exports devices, and the settings say what a disk is"),
    // Seen: of policies.
    ("row-local", "the policy is row-local"),
    ("compares-rows", "the policy is not row-local"),
    (
        "configurable",
        "the settings name a configuration that it must refuse",
    ),
    ("facts", "the policy wants facts of requests"),
    ("demands", "the policy wants demands"),
    ("columns", "the policy wants columns"),
];

/// What a trait means.
#[must_use]
pub fn meaning(name: &str) -> &'static str {
    let known = TRAITS.iter().find(|(known, _)| *known == name);
    known.map_or("", |(_, words)| words)
}

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
