//! Secrets of volumes: in memory, from when a server hands them over to shortly after they were used.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;
use uuid::Uuid;
use velum_model::{
    fault::{Fault, code},
    port::{Secret, storage::Attachment},
};

/// How long a secret is kept: a server hands it over right before each use, and only a guest's start waits in a queue.
const KEPT: Duration = Duration::from_secs(10 * 60);
/// Secrets at a time: the disks of all guests that a machine starts within minutes; 100 bytes each.
const MOST: usize = 4096;

/// What is held.
#[derive(Clone, Default)]
pub struct Held {
    secrets: Arc<Mutex<HashMap<String, (Secret, Instant)>>>,
    /// libvirt's secret objects that a call under way needs.
    in_use: Arc<Mutex<HashSet<Uuid>>>,
}

impl Held {
    /// Keeps the secret of the volume with this identity.
    ///
    /// # Errors
    /// `BUSY` when too many are held.
    pub fn hold(&self, identity: String, secret: Secret) -> Result<(), Fault> {
        self.hold_until(identity, secret, Instant::now() + KEPT)
    }

    fn hold_until(&self, identity: String, secret: Secret, until: Instant) -> Result<(), Fault> {
        let now = Instant::now();
        let mut secrets = self.secrets.lock();
        secrets.retain(|_, (_, until)| *until > now);
        if secrets.len() >= MOST && !secrets.contains_key(&identity) {
            return Err(Fault::unchanged(
                code::BUSY,
                format!("secrets of {MOST} volumes are held already"),
            ));
        }
        secrets.insert(identity, (secret, until));
        Ok(())
    }

    /// The secret of a volume.
    ///
    /// # Errors
    /// `UNAVAILABLE` when it was not handed over, or too long ago.
    pub fn secret(&self, identity: &str) -> Result<Secret, Fault> {
        let secrets = self.secrets.lock();
        let found = secrets.get(identity).filter(|(_, until)| *until > Instant::now());
        found.map(|(secret, _)| secret.clone()).ok_or_else(|| {
            Fault::unchanged(
                code::UNAVAILABLE,
                format!(
                    "the secret of volume {identity} was not handed to this node: hand it over and ask again"
                ),
            )
        })
    }

    /// The secret of an attachment; none when it names none.
    ///
    /// # Errors
    /// As [`Held::secret`].
    pub fn secret_of(&self, attachment: &Attachment) -> Result<Option<Secret>, Fault> {
        let wanted = attachment.secret.as_ref();
        wanted.map(|_| self.secret(&attachment.identity)).transpose()
    }

    /// Says that a call needs a secret object of libvirt, or no more.
    pub fn mark(&self, object: Uuid, is_in_use: bool) {
        let mut in_use = self.in_use.lock();
        if is_in_use {
            in_use.insert(object);
        } else {
            in_use.remove(&object);
        }
    }

    /// Whether a call needs it.
    #[must_use]
    pub fn is_in_use(&self, object: Uuid) -> bool {
        self.in_use.lock().contains(&object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_held_for_a_while() {
        let held = Held::default();
        assert_eq!(held.secret("a").unwrap_err().code, code::UNAVAILABLE);
        held.hold("a".to_owned(), Secret::new(b"s".to_vec())).unwrap();
        assert_eq!(held.secret("a").unwrap().bytes(), b"s");
        let over = held.hold_until("a".to_owned(), Secret::new(b"s".to_vec()), Instant::now());
        assert_eq!(
            (over, held.secret("a").unwrap_err().code),
            (Ok(()), code::UNAVAILABLE)
        );
    }

    #[test]
    fn it_is_not_without_bound() {
        let held = Held::default();
        for number in 0..MOST {
            held.hold(number.to_string(), Secret::new(Vec::new())).unwrap();
        }
        let refused = held.hold("one more".to_owned(), Secret::new(Vec::new()));
        assert_eq!(refused.unwrap_err().code, code::BUSY);
        held.hold("0".to_owned(), Secret::new(b"new".to_vec())).unwrap();
        assert_eq!(held.secret("0").unwrap().bytes(), b"new");
    }
}
