//! What a damaged, forged or foreign bundle does: it is refused, or it still says the same under the same signature.

#![expect(
    clippy::unwrap_used,
    reason = "what a test's set-up cannot do is a failed test"
)]

use std::{collections::BTreeMap, sync::LazyLock};

use proptest::prelude::*;
use velum_bundle::{Bundle, BundleError, Index, Limits, Parts, SigningKey, TrustedKey, Untrusted, media};
use velum_model::Name;

const TOML: &str = "name = \"coolest\"\nversion = \"0.1.0\"\nworld = \"placement-policy\"\n";

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed([seed; 32]).unwrap()
}

fn parts() -> Parts {
    Parts {
        component: b"\0asm\x0d\0\x01\0 and what follows".to_vec(),
        manifest: TOML.to_owned(),
        conformance: Some(br#"{"passed":25}"#.to_vec()),
    }
}

fn signed() -> Bundle {
    let mut bundle = Bundle::pack(parts()).unwrap();
    bundle.sign(&key(1), &name("acme")).unwrap();
    bundle
}

fn trusted(seed: u8, publisher: &str, revoked: bool) -> TrustedKey {
    TrustedKey {
        publisher: name(publisher),
        key: key(seed).public(),
        revoked,
    }
}

fn read(archive: &[u8]) -> Result<Bundle, BundleError> {
    Bundle::from_tar(archive, &Limits::default())
}

#[test]
fn a_bundle_comes_back_as_it_was_packed() {
    let bundle = signed();
    let archive = bundle.to_tar();
    let back = read(&archive).unwrap();
    assert_eq!(back, bundle);
    assert_eq!(back.to_tar(), archive);
    assert_eq!(back.component(), parts().component);
    assert_eq!(back.plugin_toml(), TOML);
    assert_eq!(back.conformance(), parts().conformance.as_deref());
    assert_eq!(back.about().file_name(), "coolest-0.1.0.velum");
    let verified = back.verify(&[trusted(1, "acme", false)]).unwrap();
    assert_eq!(
        (verified.publisher, verified.key_id),
        (name("acme"), key(1).public().id())
    );
}

#[test]
fn why_nobody_stands_for_it_is_told() {
    let unsigned = Bundle::pack(parts()).unwrap();
    let ours = [trusted(1, "acme", false)];
    assert_eq!(unsigned.verify(&ours), Err(Untrusted::Unsigned));
    let bundle = signed();
    let key_id = key(1).public().id();
    assert_eq!(
        bundle.verify(&[trusted(2, "acme", false)]),
        Err(Untrusted::UnknownKey {
            key_id: key_id.to_string()
        })
    );
    assert!(
        bundle
            .verify(&[])
            .unwrap_err()
            .to_string()
            .contains("not trusted")
    );
    assert_eq!(
        bundle.verify(&[trusted(1, "acme", true)]),
        Err(Untrusted::Revoked {
            publisher: name("acme"),
            key_id
        })
    );
    let Err(Untrusted::OtherThing { field, signed, here }) = bundle.verify(&[trusted(1, "other", false)])
    else {
        panic!("a key spoke for somebody else")
    };
    assert_eq!(
        (field, signed.as_str(), here.as_str()),
        ("publisher", "acme", "other")
    );
}

#[test]
fn a_second_signature_stands_beside_a_revoked_one() {
    let mut bundle = signed();
    bundle.sign(&key(2), &name("acme")).unwrap();
    bundle.sign(&key(2), &name("acme")).unwrap();
    let back = read(&bundle.to_tar()).unwrap();
    assert_eq!(back.key_ids().len(), 2);
    let keys = [trusted(1, "acme", true), trusted(2, "acme", false)];
    assert_eq!(back.verify(&keys).unwrap().key_id, key(2).public().id());
    for seed in 3..=8 {
        bundle.sign(&key(seed), &name("acme")).unwrap();
    }
    let ninth = bundle.sign(&key(9), &name("acme")).unwrap_err().to_string();
    assert!(ninth.contains("more than 8 signatures"), "{ninth}");
    assert!(read(&bundle.to_tar()).is_ok());
}

/// A signature of one bundle put beside another: its manifest says what it is about, and so does its statement.
#[test]
fn a_signature_does_not_travel_to_another_bundle() {
    let from = signed();
    let mut other = parts();
    other.component.push(0);
    let mut to = Bundle::pack(other).unwrap();
    let blobs: BTreeMap<_, _> = from
        .signature_blobs()
        .into_iter()
        .map(|blob| (blob.digest, blob.bytes))
        .collect();
    let manifest = from.signature_manifest().unwrap();
    let said = to.add_signatures(&manifest, &blobs).unwrap_err().to_string();
    assert!(said.contains("it is about"), "{said}");
    // With its subject forged it is taken in and not believed.
    let forged = String::from_utf8(manifest)
        .unwrap()
        .replace(from.digest().as_str(), to.digest().as_str());
    to.add_signatures(forged.as_bytes(), &blobs).unwrap();
    let Err(Untrusted::OtherThing { field, .. }) = to.verify(&[trusted(1, "acme", false)]) else {
        panic!("believed")
    };
    assert_eq!(field, "component");
}

#[test]
fn a_key_that_signs_something_else_is_no_publisher() {
    // The payload of a statement under another type, made by the same key through the same code, cannot be told apart by
    // its bytes alone: the type is part of what is signed.
    let bundle = signed();
    let blobs = bundle.signature_blobs();
    let envelope = String::from_utf8(blobs[1].bytes.clone()).unwrap();
    let retyped = envelope.replace(media::STATEMENT, "application/vnd.velum.other.v1+json");
    assert_ne!(envelope, retyped);
    let old = blobs[1].digest.clone();
    let new = velum_bundle::digest(retyped.as_bytes());
    let manifest = String::from_utf8(bundle.signature_manifest().unwrap())
        .unwrap()
        .replace(old.as_str(), new.as_str())
        .replace(
            &format!("\"size\":{}", envelope.len()),
            &format!("\"size\":{}", retyped.len()),
        );
    let mut bare = Bundle::pack(parts()).unwrap();
    bare.add_signatures(
        manifest.as_bytes(),
        &BTreeMap::from([(new, retyped.into_bytes())]),
    )
    .unwrap();
    assert!(matches!(
        bare.verify(&[trusted(1, "acme", false)]),
        Err(Untrusted::BadSignature { .. })
    ));
}

#[test]
fn parts_that_are_too_large_are_refused_by_name() {
    let large = Parts {
        manifest: format!("{TOML}# {}", "x".repeat(300 << 10)),
        ..parts()
    };
    let said = Bundle::pack(large).unwrap_err().to_string();
    assert!(said.contains("plugin.toml has 307"), "{said}");
    let limits = Limits {
        component: 4,
        ..Limits::default()
    };
    let said = Bundle::from_tar(&signed().to_tar(), &limits)
        .unwrap_err()
        .to_string();
    assert!(said.contains("component has"), "{said}");
    let no_json = Parts {
        conformance: Some(b"[]".to_vec()),
        ..parts()
    };
    assert!(
        Bundle::pack(no_json)
            .unwrap_err()
            .to_string()
            .contains("conformance")
    );
}

#[test]
fn a_config_that_says_another_name_is_refused() {
    let bundle = signed();
    let mut blobs: BTreeMap<_, _> = bundle
        .blobs()
        .into_iter()
        .map(|blob| (blob.digest, blob.bytes))
        .collect();
    let config = br#"{"name":"hottest","version":"0.1.0","world":"placement-policy"}"#.to_vec();
    let old = velum_bundle::digest(&bundle.blobs()[0].bytes);
    let new = velum_bundle::digest(&config);
    let manifest = String::from_utf8(bundle.manifest().to_vec())
        .unwrap()
        .replace(old.as_str(), new.as_str());
    blobs.insert(new, config);
    let said = Bundle::assemble(manifest.into_bytes(), &blobs, &Limits::default())
        .unwrap_err()
        .to_string();
    assert!(said.contains("another name"), "{said}");
}

#[test]
fn an_index_of_many_versions_finds_each_and_says_which_there_are() {
    let first = signed();
    let second = Bundle::pack(Parts {
        manifest: TOML.replace("0.1.0", "0.2.0"),
        ..parts()
    })
    .unwrap();
    let mut index = Index::default();
    index.put(&first, "0.1.0");
    index.put(&second, "0.2.0");
    index.put(&second, "0.2.0");
    let index = Index::parse(&index.to_bytes()).unwrap();
    let entry = index.plugin(Some("0.1.0")).unwrap();
    assert_eq!(entry.manifest.digest, *first.digest());
    assert!(entry.signatures.is_some());
    assert!(index.plugin(Some("0.2.0")).unwrap().signatures.is_none());
    let said = index.plugin(None).unwrap_err().to_string();
    assert!(said.contains("lists 2 plugins (0.1.0, 0.2.0)"), "{said}");
    let said = index.plugin(Some("9")).unwrap_err().to_string();
    assert!(said.contains("tagged '9'"), "{said}");
}

static ARCHIVE: LazyLock<Vec<u8>> = LazyLock::new(|| signed().to_tar());

/// Refused, or it says the same under the same signature, or it lost what made it believed.
fn damage_changes_nothing(archive: &[u8]) {
    let Ok(bundle) = read(archive) else { return };
    let whole = signed();
    assert_eq!(bundle.digest(), whole.digest());
    assert_eq!(bundle.component(), whole.component());
    assert_eq!(bundle.plugin_toml(), whole.plugin_toml());
    assert_eq!(bundle.conformance(), whole.conformance());
    if let Ok(verified) = bundle.verify(&[trusted(1, "acme", false)]) {
        assert_eq!(verified.key_id, key(1).public().id());
    }
}

/// Not by chance: every byte is damaged in two ways.
#[test]
fn no_byte_can_be_changed_into_something_else_that_is_believed() {
    let mut taken = 0;
    for at in 0..ARCHIVE.len() {
        for change in [0x01, 0x80] {
            let mut archive = ARCHIVE.clone();
            archive[at] ^= change;
            damage_changes_nothing(&archive);
            taken += usize::from(read(&archive).is_ok());
        }
    }
    // What may change unseen is how the index is tagged and annotated; all else is digested or checked.
    assert!(taken < 200, "{taken} changes went unnoticed");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn bytes_from_nowhere_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
        let _ = read(&bytes);
        let _ = Index::parse(&bytes);
        let _ = velum_bundle::ImageManifest::parse(media::PLUGIN, &bytes);
    }

    #[test]
    fn damage_in_several_places_is_refused_or_harmless(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        cuts in any::<bool>(),
    ) {
        let mut archive = ARCHIVE.clone();
        for (at, byte) in damage {
            let at = at.index(archive.len());
            archive[at] = byte;
        }
        if cuts {
            archive.truncate(cut.index(archive.len()));
        }
        damage_changes_nothing(&archive);
    }

    #[test]
    fn texts_of_keys_never_panic(text in "(-----BEGIN (PUBLIC|PRIVATE) KEY-----)?[ -~\n]{0,200}(-----END (PUBLIC|PRIVATE) KEY-----)?") {
        let _ = SigningKey::from_pem(&text);
        let _ = velum_bundle::PublicKey::from_pem(&text);
    }

    #[test]
    fn every_key_survives_its_text(seed in any::<[u8; 32]>()) {
        let key = SigningKey::from_seed(seed).unwrap();
        let back = SigningKey::from_pem(&key.to_pem()).unwrap();
        prop_assert_eq!(back.public(), key.public());
        prop_assert_eq!(velum_bundle::PublicKey::from_pem(&key.public().to_pem()).unwrap(), key.public());
    }
}
