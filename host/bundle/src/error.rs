//! Why bytes are no bundle.

use velum_model::plugin::Digest;

/// What is wrong with a bundle. Each names the part that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// A part is larger than allowed.
    #[error("the bundle's {part} has {got} bytes; {max} are allowed")]
    TooLarge {
        /// Which part.
        part: String,
        /// Its size in bytes.
        got: u64,
        /// The bound in bytes.
        max: u64,
    },
    /// A part is not what its digest says.
    #[error("the bundle's {part} is damaged: its digest is {got}, and {named} was named")]
    Damaged {
        /// Which part.
        part: String,
        /// The digest by which it was named.
        named: Digest,
        /// The digest of what is there.
        got: Digest,
    },
    /// The tar is none, or has what a bundle does not.
    #[error("the bundle's archive does not fit: {0}")]
    Archive(String),
    /// A document of the layout does not fit.
    #[error("the bundle's {part} does not fit: {problem}")]
    Document {
        /// Which document or field.
        part: String,
        /// What is wrong with it.
        problem: String,
    },
    /// `plugin.toml` does not fit.
    #[error("plugin.toml: {field}: {problem}")]
    Manifest {
        /// Which key.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl BundleError {
    pub(crate) fn document(part: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Document {
            part: part.into(),
            problem: problem.into(),
        }
    }

    /// Refuses a part that is larger than its bound.
    pub(crate) fn bound(part: &str, got: u64, max: u64) -> Result<(), Self> {
        if got > max {
            return Err(Self::TooLarge {
                part: part.to_owned(),
                got,
                max,
            });
        }
        Ok(())
    }
}

/// Text that came from outside, short and without what a terminal would obey.
pub(crate) fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(128).collect()
}

/// The length of bytes as a size.
pub(crate) fn size_of(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
