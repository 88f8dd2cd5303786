//! The credential that the `http` connector injects: kept in a file by the operator, never seen by a plugin.

use std::{fmt, os::unix::fs::PermissionsExt as _};

use velum_model::fault::{Fault, code};

/// The longest credential file: tokens have hundreds of bytes, signed ones a few KiB.
const MAX_LEN: u64 = 16 << 10;

/// What is put into each request to an origin.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// `Authorization: Bearer …`.
    Bearer(String),
    /// `Authorization: Basic …`.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// A header of the far side's own.
    Header {
        /// Its name, lower case.
        name: String,
        /// Its value.
        value: String,
    },
}

/// Names the kind, never the secret.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bearer(_) => "Credential::Bearer(…)",
            Self::Basic { .. } => "Credential::Basic(…)",
            Self::Header { .. } => "Credential::Header(…)",
        })
    }
}

impl Credential {
    /// Reads the credential that a target names: `file:/absolute/path` of a file that only its owner and group can
    /// read, with one line: `bearer TOKEN`, `basic USER:PASSWORD`, `header NAME VALUE`, or a bare token.
    ///
    /// # Errors
    /// `INVALID` names the reference and what to do, never the content.
    pub async fn load(reference: &str) -> Result<Self, Fault> {
        let refused =
            |what: &str| Fault::unchanged(code::INVALID, format!("the credential {reference:?} {what}"));
        let path = reference
            .strip_prefix("file:/")
            .map(|rest| format!("/{rest}"))
            .ok_or_else(|| refused("is not of the form file:/absolute/path"))?;
        let meta = tokio::fs::metadata(&path)
            .await
            .map_err(|e| refused(&format!("cannot be read: {e}")))?;
        if meta.permissions().mode() & 0o007 != 0 {
            return Err(refused("can be read by everybody: chmod o= it"));
        }
        if !meta.is_file() || meta.len() > MAX_LEN {
            return Err(refused("is no file of at most 16 KiB"));
        }
        let text = tokio::fs::read_to_string(&path)
            .await
            .map_err(|e| refused(&format!("cannot be read: {e}")))?;
        Self::parse(text.trim()).ok_or_else(|| {
            refused(
                "holds none of: bearer TOKEN, basic USER:PASSWORD, header NAME VALUE, or a token, on one line",
            )
        })
    }

    /// Parses the content of a credential file.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        if line.is_empty() || line.bytes().any(|b| b.is_ascii_control()) || !line.is_ascii() {
            return None;
        }
        match line.split_once(' ') {
            None => Some(Self::Bearer(line.to_owned())),
            Some(("bearer", token)) if !token.contains(' ') => Some(Self::Bearer(token.to_owned())),
            Some(("basic", pair)) => {
                let (user, password) = pair.split_once(':')?;
                Some(Self::Basic {
                    user: user.to_owned(),
                    password: password.to_owned(),
                })
            }
            Some(("header", rest)) => {
                let (name, value) = rest.split_once(' ')?;
                let name_fits = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
                (name_fits && !name.is_empty()).then(|| Self::Header {
                    name: name.to_ascii_lowercase(),
                    value: value.to_owned(),
                })
            }
            Some(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_one_of_four_lines() {
        assert_eq!(Credential::parse("abc"), Some(Credential::Bearer("abc".into())));
        assert_eq!(
            Credential::parse("bearer abc"),
            Some(Credential::Bearer("abc".into()))
        );
        assert_eq!(
            Credential::parse("basic me:a:b"),
            Some(Credential::Basic {
                user: "me".into(),
                password: "a:b".into()
            })
        );
        assert_eq!(
            Credential::parse("header X-Key v w"),
            Some(Credential::Header {
                name: "x-key".into(),
                value: "v w".into()
            })
        );
        for bad in [
            "",
            "digest abc",
            "basic nobody",
            "header X:Y v",
            "a\nb",
            "bearer a b",
        ] {
            assert_eq!(Credential::parse(bad), None, "{bad:?}");
        }
    }

    #[tokio::test]
    async fn a_credential_that_everybody_can_read_is_refused_and_never_printed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "s3cret\n").unwrap();
        let reference = format!("file:{}", path.display());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let fault = Credential::load(&reference).await.unwrap_err();
        assert!(fault.unchanged && fault.detail.contains("chmod"), "{fault}");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let credential = Credential::load(&reference).await.unwrap();
        assert_eq!(credential, Credential::Bearer("s3cret".into()));
        assert!(!format!("{credential:?}").contains("s3cret"));
    }
}
