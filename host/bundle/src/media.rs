//! Types and tags: by these a registry, and other tools, know what is what.

use velum_model::plugin::Digest;

/// `artifactType` of a plugin's image manifest.
pub const PLUGIN: &str = "application/vnd.velum.plugin.v1";
/// The config blob: name, version, world.
pub const CONFIG: &str = "application/vnd.velum.plugin.config.v1+json";
/// The layer with the component.
pub const COMPONENT: &str = "application/wasm";
/// The layer with `plugin.toml`.
pub const MANIFEST: &str = "application/vnd.velum.plugin.manifest.v1+toml";
/// The layer with the conformance result.
pub const CONFORMANCE: &str = "application/vnd.velum.plugin.conformance.v1+json";
/// `artifactType` of the manifest that holds a plugin's signatures.
pub const SIGNATURE: &str = "application/vnd.velum.plugin.signature.v1";
/// A layer with one DSSE envelope.
pub const ENVELOPE: &str = "application/vnd.dsse.envelope.v1+json";
/// What a DSSE envelope of ours speaks of.
pub const STATEMENT: &str = "application/vnd.velum.plugin.statement.v1+json";
/// An OCI image manifest.
pub const IMAGE_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// An OCI image index.
pub const IMAGE_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// OCI's config of nothing.
pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// The bytes of OCI's config of nothing.
pub const EMPTY_BYTES: &[u8] = b"{}";
/// The annotation by which a layout tags a manifest.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation that names a layer's file.
pub const TITLE: &str = "org.opencontainers.image.title";
/// The annotation that holds a version.
pub const VERSION: &str = "org.opencontainers.image.version";

/// The tag under which a registry keeps the signatures of a manifest.
#[must_use]
pub fn signature_tag(manifest: &Digest) -> String {
    format!("sha256-{}.sig", manifest.hex())
}
