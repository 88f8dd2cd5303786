//! What a list is narrowed to.

/// Query parameters of a list: `name=web-1`, `zone=…`, `state=running`. The server names the ones that a resource
/// takes and refuses others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter(Vec<(String, String)>);

impl Filter {
    /// Everything.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Only what has this name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self::new().with("name", name)
    }

    /// Only what matches in one more parameter.
    #[must_use]
    pub fn with(mut self, parameter: &str, value: impl ToString) -> Self {
        self.0.push((parameter.to_owned(), value.to_string()));
        self
    }

    /// The same, when there is a value.
    #[must_use]
    pub fn with_some(self, parameter: &str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.with(parameter, value),
            None => self,
        }
    }

    pub(crate) fn pairs(&self) -> &[(String, String)] {
        &self.0
    }
}
