//! The verbs of the far side, as faults, holds and counters name them.

use serde::{Deserialize, Serialize};

macro_rules! verbs {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// What a request wants.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Verb {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }
        impl Verb {
            /// As it is written.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

verbs! {
    /// Define a run.
    Ensure = "ensure";
    /// Start it.
    Start = "start";
    /// Ask it to end.
    Shutdown = "shutdown";
    /// End it.
    Kill = "kill";
    /// Restart it.
    Reboot = "reboot";
    /// Undefine it.
    Remove = "remove";
    /// Give it a disk.
    Attach = "attach";
    /// Take one.
    Detach = "detach";
    /// List a host's runs.
    Observe = "observe";
    /// Look at one run.
    ObserveRun = "observe-run";
    /// Ask what a host is.
    Probe = "probe";
    /// Make a volume.
    Create = "create";
    /// Remove it.
    Delete = "delete";
    /// Make it larger.
    Expand = "expand";
    /// Make it reachable from a host.
    Publish = "publish";
    /// End that.
    Unpublish = "unpublish";
    /// Ask how a host reaches it.
    ReachedBy = "reached-by";
    /// Find it by id.
    Find = "find";
    /// List a pool's volumes.
    Volumes = "volumes";
    /// Ask what a pool is.
    Pool = "pool";
    /// Ask how work goes on.
    Poll = "poll";
    /// End work.
    Cancel = "cancel";
    /// Ask for the image store's space.
    ImageProbe = "image-probe";
    /// Ask how much of an image arrived.
    ImageReceived = "image-received";
    /// Append to an image.
    ImageWrite = "image-write";
    /// Check and keep it.
    ImageFinish = "image-finish";
    /// Remove it.
    ImageRemove = "image-remove";
}

impl Verb {
    /// Whether it can go on after its answer.
    #[must_use]
    pub const fn can_be_long(self) -> bool {
        matches!(
            self,
            Self::Start | Self::Shutdown | Self::Reboot | Self::Create | Self::Expand | Self::Detach
        )
    }

    /// What the far side says of such work.
    #[must_use]
    pub const fn note(self) -> &'static str {
        match self {
            Self::Start | Self::Reboot => "booting",
            Self::Shutdown => "shutting down",
            Self::Create => "copying",
            Self::Expand => "growing",
            Self::Detach => "waiting for the guest to let go",
            _ => "",
        }
    }
}
