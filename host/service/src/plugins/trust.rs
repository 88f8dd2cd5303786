//! Whose word a plugin is: the bundle's signature, or the operator's own.

use velum_bundle::{Bundle, Limits, PublicKey, TrustedKey, Untrusted};
use velum_model::{
    Name,
    plugin::Digest,
    tenancy::Caller,
    trust::{Origin, PublisherKey, Signature},
};
use velum_store::StoreError;

use super::NewPlugin;
use crate::{error::ServiceError, services::Services, settings::Unsigned};

/// What was offered, taken out of its bundle.
pub(super) struct Offered {
    pub component: Vec<u8>,
    /// The component's digest, computed here.
    pub digest: Digest,
    pub manifest: Option<String>,
    /// A publisher's word for it, checked.
    pub signature: Option<Signature>,
}

impl Services {
    /// Takes apart what was offered. A signature that is there must be good, whatever the server thinks of unsigned ones.
    pub(super) async fn opened(&self, new: &mut NewPlugin) -> Result<Offered, ServiceError> {
        let Some(archive) = new.bundle.take() else {
            return alone(std::mem::take(&mut new.component), new.manifest.take()).await;
        };
        let bundle =
            tokio::task::spawn_blocking(move || Bundle::from_tar(&archive, &Limits::default())).await;
        let broken = |problem: String| {
            let hint = "pack it again with `velum plugin pack`, or fetch it again";
            ServiceError::invalid("/bundle_base64", problem, hint)
        };
        let bundle = bundle
            .map_err(|_| broken("it could not be read".into()))?
            .map_err(|error| broken(error.to_string()))?;
        let signature = self.signature_of(&bundle).await?;
        Ok(Offered {
            component: bundle.component().to_vec(),
            digest: bundle.component_digest().clone(),
            manifest: Some(bundle.plugin_toml().to_owned()),
            signature,
        })
    }

    async fn signature_of(&self, bundle: &Bundle) -> Result<Option<Signature>, ServiceError> {
        let mut known: Vec<(PublisherKey, Name)> = Vec::new();
        for key_id in bundle.key_ids() {
            known.extend(self.key_and_publisher(key_id).await?);
        }
        let trusted: Vec<TrustedKey> = known.iter().filter_map(trusted).collect();
        match bundle.verify(&trusted) {
            Ok(verified) => {
                let key_id = verified.key_id.to_string();
                let of = known.into_iter().find(|(key, _)| key.key_id == key_id);
                Ok(of.map(|(key, publisher_name)| Signature {
                    publisher: key.publisher,
                    publisher_name,
                    key: key.id,
                    key_id: key.key_id,
                    revoked_at: None,
                }))
            }
            Err(Untrusted::Unsigned) => Ok(None),
            Err(untrusted) => Err(ServiceError::Untrusted {
                problem: format!("{untrusted}; {}", advice(&untrusted)),
                digest: bundle.component_digest().clone(),
            }),
        }
    }

    async fn key_and_publisher(&self, key_id: &str) -> Result<Option<(PublisherKey, Name)>, ServiceError> {
        let failed = |error: StoreError| ServiceError::from_store("look up the key of a signature", error);
        let Some(key) = self.read().publisher_key(key_id).await.map_err(failed)? else {
            return Ok(None);
        };
        let publisher = self.read().publisher(key.publisher).await.map_err(failed)?;
        Ok(publisher.map(|publisher| (key, publisher.name)))
    }

    /// Whose word it is, if anybody's: what nobody signed needs the operator's.
    pub(super) fn origin_of(
        &self,
        caller: &Caller,
        signature: Option<Signature>,
        digest: &Digest,
        new: &NewPlugin,
    ) -> Result<Origin, ServiceError> {
        if let Some(signature) = signature {
            return Ok(Origin::Signed(signature));
        }
        if new.is_operators {
            return Ok(Origin::Directory);
        }
        let allowed = match &new.allow_unsigned {
            Some(named) if named == digest => true,
            Some(named) => {
                return Err(ServiceError::invalid(
                    "/allow_unsigned",
                    format!("names {named}, and the component is {digest}"),
                    "name the digest of what you looked at; if that is not this component, it was changed on its way",
                ));
            }
            None => self.settings().unsigned == Unsigned::Allow,
        };
        if allowed {
            let allowed_by = caller.name.clone();
            return Ok(Origin::Unsigned { allowed_by });
        }
        Err(ServiceError::Untrusted {
            problem: format!(
                "nobody signed {digest}, and this server takes only what a publisher signed whose key it knows: have it \
                 signed (velum plugin sign), or, if you know where it comes from, name this very digest in \
                 allow_unsigned (velum plugin install --allow-unsigned)"
            ),
            digest: digest.clone(),
        })
    }
}

/// A component without a bundle around it. What is hashed may have 32 MiB: not on a thread that others wait for.
async fn alone(component: Vec<u8>, manifest: Option<String>) -> Result<Offered, ServiceError> {
    let hashed = tokio::task::spawn_blocking(move || (velum_bundle::digest(&component), component)).await;
    let (digest, component) = hashed.map_err(|_| ServiceError::Unavailable {
        problem: "the component could not be hashed".into(),
        retry_after_s: crate::error::SOON_S,
    })?;
    Ok(Offered {
        component,
        digest,
        manifest,
        signature: None,
    })
}

fn trusted((key, publisher): &(PublisherKey, Name)) -> Option<TrustedKey> {
    // What is stored was read from a PEM text that passed the same check.
    let read = PublicKey::from_pem(&key.public_key).ok()?;
    Some(TrustedKey {
        publisher: publisher.clone(),
        key: read,
        revoked: key.revoked.is_some(),
    })
}

fn advice(untrusted: &Untrusted) -> &'static str {
    match untrusted {
        Untrusted::Unsigned => "have it signed",
        Untrusted::UnknownKey { .. } => {
            "compare the key with what its publisher says, then add it: velum publisher add-key"
        }
        Untrusted::Revoked { .. } => "ask the publisher for a bundle that is signed with another key",
        Untrusted::BadSignature { .. } | Untrusted::NoStatement { .. } => {
            "it was changed or badly made: fetch it again, or ask the publisher"
        }
        Untrusted::OtherThing { .. } => {
            "the signature was taken from another plugin, or the key is another publisher's: ask the publisher"
        }
    }
}
