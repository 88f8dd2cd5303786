//! How large a bundle may be. Every figure has its reason beside it.

/// Bounds of what is read; a server may lower them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the component: the server's own bound; a Python policy with its interpreter has 18 MB.
    pub component: u64,
    /// Bytes of `plugin.toml`, schemas included: the server's own bound.
    pub manifest: u64,
    /// Bytes of a conformance result: a hundred cases with a few lines each take 50 kB.
    pub conformance: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            component: 32 << 20,
            manifest: 256 << 10,
            conformance: 1 << 20,
        }
    }
}

/// Bytes of each small document of a layout (marker, index, image manifest, signature manifest): ours have 2 kB; an index
/// of a directory with a hundred versions has 60 kB.
pub(crate) const DOCUMENT: u64 = 128 << 10;
/// Bytes of the config blob: a name, a version, a world.
pub(crate) const CONFIG: u64 = 4 << 10;
/// Bytes of a signature's envelope: a statement of 600 bytes in base64, and a signature.
pub(crate) const ENVELOPE: u64 = 16 << 10;
/// Envelopes of one bundle: a vendor, a distributor, and a few turns of their keys.
pub(crate) const SIGNATURES: usize = 8;
/// Signatures in one envelope: DSSE allows several keys over one payload.
pub(crate) const SIGNATURES_OF_ENVELOPE: usize = 4;
/// Entries of a tar: marker, index, two manifests, two configs, three layers, the signatures, and two folders.
pub(crate) const ENTRIES: usize = 12 + SIGNATURES;
/// Entries of an index: a directory that a vendor publishes into for years.
pub(crate) const INDEX_ENTRIES: usize = 512;

impl Limits {
    /// The largest single blob.
    #[must_use]
    pub fn blob(&self) -> u64 {
        self.component
            .max(self.manifest)
            .max(self.conformance)
            .max(DOCUMENT)
    }

    /// The largest archive: everything at its own bound, and 1,024 bytes of tar around each entry. Whoever receives a
    /// bundle bounds its body by this.
    #[must_use]
    pub fn archive(&self) -> u64 {
        let entries = ENTRIES as u64;
        self.component
            .saturating_add(self.manifest)
            .saturating_add(self.conformance)
            .saturating_add(4 * DOCUMENT + 2 * CONFIG)
            .saturating_add(ENVELOPE * SIGNATURES as u64)
            .saturating_add(entries * 1024 + 10_240)
    }
}
