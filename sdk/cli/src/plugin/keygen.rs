//! `velum plugin keygen`: a key to sign with, and the half of it that operators trust.

use std::{
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use velum_bundle::SigningKey;

use super::pack::shown;
use crate::{failure::Failure, session::write_out};

/// Where the key goes.
#[derive(clap::Args, Debug)]
pub struct Keygen {
    /// The name of the files: NAME.key is the secret, NAME.pub what operators trust.
    pub name: String,
    /// The folder in which they go [default: here].
    #[arg(long, value_name = "DIR", default_value = ".", hide_default_value = true)]
    pub path: PathBuf,
}

/// Runs `velum plugin keygen`.
pub fn run(keygen: &Keygen) -> Result<(), Failure> {
    let name = velum_bundle::Name::new(keygen.name.clone())
        .map_err(|error| Failure::usage(format!("'{}': {error}", keygen.name)))?;
    let mut seed = [0; 32];
    rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty())
        .map_err(std::io::Error::from)
        .context("could not draw chance for a key")?;
    let key = SigningKey::from_seed(seed).context("could not make a key")?;
    let (secret, public) = (
        keygen.path.join(format!("{name}.key")),
        keygen.path.join(format!("{name}.pub")),
    );
    create(&secret, &key.to_pem(), 0o600)?;
    create(&public, &key.public().to_pem(), 0o644)?;
    write_out(&format!(
        "made {}  keep it: whoever has it signs in your name\n     {}  give it to operators who are to trust you\nkey  {}\n",
        shown(&secret),
        shown(&public),
        key.public().id()
    ))
}

/// A key is never written over another: what it signed would be nobody's.
fn create(path: &Path, text: &str, mode: u32) -> Result<(), Failure> {
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path);
    let mut file = match file {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(Failure::Local(anyhow!(
                "{} is there already, and a key is not written over",
                path.display()
            )));
        }
        Err(error) => {
            return Err(anyhow::Error::new(error)
                .context(format!("could not write {}", path.display()))
                .into());
        }
    };
    Ok(file
        .write_all(text.as_bytes())
        .with_context(|| format!("could not write {}", path.display()))?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use velum_bundle::PublicKey;

    use super::*;

    #[test]
    fn a_key_is_its_owners_alone_and_never_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let keygen = Keygen {
            name: "acme".to_owned(),
            path: dir.path().to_owned(),
        };
        run(&keygen).unwrap();
        let secret = dir.path().join("acme.key");
        assert_eq!(
            std::fs::metadata(&secret).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let key = SigningKey::from_pem(&std::fs::read_to_string(&secret).unwrap()).unwrap();
        let public = std::fs::read_to_string(dir.path().join("acme.pub")).unwrap();
        assert_eq!(PublicKey::from_pem(&public).unwrap(), key.public());
        assert!(run(&keygen).is_err());
        let odd = Keygen {
            name: "../acme".to_owned(),
            ..keygen
        };
        assert!(matches!(run(&odd), Err(Failure::Usage(_))));
    }
}
