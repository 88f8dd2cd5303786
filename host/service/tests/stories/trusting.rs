//! Whose word a plugin is, and what it is granted.

use std::sync::Arc;

use crate::cloud::{FakePlugins, administrator, fresh, name, open_as};
use serde_json::{Value, json};
use velum_bundle::{Bundle, Parts, SigningKey};
use velum_model::{
    grant::Capabilities,
    id::PublisherId,
    plugin::Digest,
    tenancy::{Caller, Scope},
    trust::{Origin, PublisherKey},
};
use velum_service::{
    EventCursor, EventFilter, NewPlugin, NewPublisher, PluginDetail, ServiceError, Services, Settings,
};
use velum_store::Store;

struct Ground {
    services: Services,
    plugins: Arc<FakePlugins>,
    caller: Caller,
    acme: PublisherId,
    other: PublisherId,
    keys: [SigningKey; 3],
    _store: Store,
    _directory: tempfile::TempDir,
}

fn signing(n: u8) -> SigningKey {
    SigningKey::from_seed([n; 32]).expect("a key")
}

fn of(value: Value) -> Capabilities {
    serde_json::from_value(value).expect("capabilities")
}

/// A component that is its own name and version, with what it asks for.
fn component(called: &str, version: &str, asks: &Value) -> (Vec<u8>, String) {
    let manifest = format!(
        "name = \"{called}\"\nversion = \"{version}\"\nworld = \"placement-policy\"\n# asks {asks}\n"
    );
    (format!("{called}@{version}").into_bytes(), manifest)
}

fn bundle(called: &str, version: &str, asks: &Value) -> Bundle {
    let (component, manifest) = component(called, version, asks);
    Bundle::pack(Parts {
        component,
        manifest,
        conformance: None,
    })
    .expect("a bundle")
}

fn signed(called: &str, version: &str, key: &SigningKey, publisher: &str) -> NewPlugin {
    signed_asking(called, version, (key, publisher), &json!({}))
}

fn signed_asking(
    called: &str,
    version: &str,
    (key, publisher): (&SigningKey, &str),
    asks: &Value,
) -> NewPlugin {
    let mut bundle = bundle(called, version, asks);
    bundle.sign(key, &name(publisher)).expect("signed");
    NewPlugin {
        bundle: Some(bundle.to_tar()),
        ..NewPlugin::default()
    }
}

fn alone(called: &str, version: &str) -> NewPlugin {
    let (component, manifest) = component(called, version, &json!({}));
    NewPlugin {
        component,
        manifest: Some(manifest),
        ..NewPlugin::default()
    }
}

impl Ground {
    async fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let (store, services, plugins) = open_as(directory.path(), Settings::default()).await;
        let caller = administrator();
        store
            .insert_token(caller.token, &caller.name, b"hash", Scope::All)
            .await
            .expect("a token");
        let mut publishers = Vec::new();
        for called in ["acme", "other"] {
            let new = NewPublisher {
                name: name(called),
                description: String::new(),
            };
            let made = services.publisher_create(&caller, new, None).await;
            publishers.push(fresh(made.expect("a publisher")).id);
        }
        let keys = [signing(1), signing(2), signing(3)];
        let ground = Self {
            services,
            plugins,
            caller,
            acme: publishers[0],
            other: publishers[1],
            keys,
            _store: store,
            _directory: directory,
        };
        // The third is nobody's.
        ground.trust(ground.acme, &ground.keys[0]).await;
        ground.trust(ground.other, &ground.keys[1]).await;
        ground
    }

    async fn trust(&self, publisher: PublisherId, key: &SigningKey) -> PublisherKey {
        let text = key.public().to_pem();
        let added = self
            .services
            .publisher_key_add(&self.caller, publisher, &text, None)
            .await;
        fresh(added.expect("added"))
    }

    async fn install(&self, new: NewPlugin) -> Result<PluginDetail, ServiceError> {
        let made = self.services.plugin_install(&self.caller, new, None).await?;
        Ok(fresh(made))
    }

    async fn refused(&self, new: NewPlugin) -> String {
        match self.install(new).await {
            Err(ServiceError::Untrusted { problem, .. }) => problem,
            other => panic!("{other:?}"),
        }
    }

    async fn events(&self) -> Vec<(String, Value)> {
        let begin = EventCursor::default();
        let events = self
            .services
            .event_list(&self.caller, &EventFilter::default(), &begin, 500)
            .await;
        let events = events.expect("events").0;
        events.into_iter().map(|event| (event.kind, event.data)).collect()
    }
}

#[tokio::test]
async fn what_nobody_vouches_for_is_refused_with_what_to_do() {
    let ground = Ground::new().await;
    let [acme, other, nobody] = &ground.keys;
    let unsigned = bundle("array", "1.0.0", &json!({})).to_tar();
    let mut twisted = signed("array", "1.0.0", acme, "acme").bundle.expect("a bundle");
    let table = [
        ("a component alone", alone("array", "1.0.0"), "allow_unsigned"),
        (
            "an unsigned bundle",
            NewPlugin {
                bundle: Some(unsigned),
                ..NewPlugin::default()
            },
            "allow_unsigned",
        ),
        (
            "a key that nobody knows",
            signed("array", "1.0.0", nobody, "acme"),
            "not trusted; compare the key",
        ),
        (
            "a key of another publisher",
            signed("array", "1.0.0", other, "acme"),
            "is another publisher's",
        ),
    ];
    for (what, new, words) in table {
        let problem = ground.refused(new).await;
        assert!(problem.contains(words), "{what}: {problem}");
    }
    // Bytes that were changed on their way are no bundle any more.
    let last = twisted.len() / 2;
    twisted[last] ^= 1;
    let new = NewPlugin {
        bundle: Some(twisted),
        ..NewPlugin::default()
    };
    let broken = ground.install(new).await;
    assert!(
        matches!(&broken, Err(ServiceError::Invalid { field, .. } | ServiceError::Untrusted { problem: field, .. })
            if !field.is_empty()),
        "{broken:?}"
    );
    assert!(ground.plugins.granted.lock().is_empty(), "nothing was loaded");
}

#[tokio::test]
async fn a_digest_that_an_administrator_names_comes_in_unsigned_and_is_told_of() {
    let ground = Ground::new().await;
    let digest = crate::cloud::digest_of("array@1.0.0");
    let wrong = NewPlugin {
        allow_unsigned: Some(crate::cloud::digest_of("array@1.0.1")),
        ..alone("array", "1.0.0")
    };
    let refused = ground.install(wrong).await;
    assert!(
        matches!(&refused, Err(ServiceError::Invalid { field, .. }) if field == "/allow_unsigned"),
        "{refused:?}"
    );
    let right = NewPlugin {
        allow_unsigned: Some(digest.clone()),
        ..alone("array", "1.0.0")
    };
    let made = ground.install(right).await.expect("installed").plugin;
    assert_eq!(
        made.origin,
        Origin::Unsigned {
            allowed_by: "admin".into()
        }
    );
    let events = ground.events().await;
    let (_, told) = events
        .iter()
        .find(|(kind, _)| kind == "plugin.installed")
        .expect("told");
    assert_eq!(
        (&told["origin"], &told["allowed_by"], &told["digest"]),
        (&json!("unsigned"), &json!("admin"), &json!(digest))
    );
}

#[tokio::test]
async fn a_name_belongs_to_who_signed_it_first_and_its_versions_only_rise() {
    let ground = Ground::new().await;
    let [acme, other, _] = &ground.keys;
    let first = ground.install(signed("array", "1.2.0", acme, "acme")).await;
    let first = first.expect("installed").plugin;
    assert!(matches!(&first.origin, Origin::Signed(by) if by.publisher == ground.acme));
    let again = ground.install(signed("array", "1.2.0", acme, "acme")).await;
    assert_eq!(again.expect("the same").plugin.id, first.id);
    let lower = ground.refused(signed("array", "1.1.9", acme, "acme")).await;
    assert!(
        lower.contains("lower than 1.2.0") && lower.contains("roll back"),
        "{lower}"
    );
    let anothers = ground.refused(signed("array", "1.3.0", other, "other")).await;
    assert!(anothers.contains("belongs to the publisher acme"), "{anothers}");
    let unsigned = NewPlugin {
        allow_unsigned: Some(crate::cloud::digest_of("array@1.3.0")),
        ..alone("array", "1.3.0")
    };
    let unsigned = ground.refused(unsigned).await;
    assert!(unsigned.contains("nobody signed it"), "{unsigned}");
    // What lies in the operator's own directory does not get a publisher's name either.
    let operators = NewPlugin {
        is_operators: true,
        ..alone("array", "1.3.0")
    };
    let operators = ground.refused(operators).await;
    assert!(operators.contains("give this one another name"), "{operators}");
    ground
        .install(signed("array", "1.10.0", acme, "acme"))
        .await
        .expect("1.10 is higher than 1.2");
    // The name and its height outlast the plugins.
    let all = ground
        .services
        .plugin_details(&ground.caller, &Default::default(), Default::default())
        .await;
    for detail in all.expect("listed").items {
        let removed = ground
            .services
            .plugin_delete(&ground.caller, detail.plugin.id, None)
            .await;
        removed.expect("nothing uses it");
    }
    let lower = ground.refused(signed("array", "1.9.0", acme, "acme")).await;
    assert!(lower.contains("lower than 1.10.0"), "{lower}");
    ground
        .install(signed("array", "1.10.0", acme, "acme"))
        .await
        .expect("the very same comes back");
}

#[tokio::test]
async fn a_revoked_key_marks_what_runs_and_lets_nothing_else_in() {
    let ground = Ground::new().await;
    let [acme, ..] = &ground.keys;
    let plugin = ground
        .install(signed("plain", "1.0.0", acme, "acme"))
        .await
        .expect("installed")
        .plugin;
    let key = acme.public().id().to_string();
    let said = (key.as_str(), "a laptop was stolen".to_owned());
    let empty = ground
        .services
        .publisher_key_revoke(&ground.caller, ground.acme, (&key, " ".into()), None)
        .await;
    assert!(matches!(&empty, Err(ServiceError::Invalid { field, .. }) if field == "/reason"));
    let revoked = ground
        .services
        .publisher_key_revoke(&ground.caller, ground.acme, said.clone(), None)
        .await;
    let revoked = fresh(revoked.expect("revoked"));
    assert_eq!(revoked.revoked.expect("revoked").reason, "a laptop was stolen");
    let twice = ground
        .services
        .publisher_key_revoke(&ground.caller, ground.acme, said, None)
        .await;
    assert!(matches!(twice, Err(ServiceError::InvalidState { .. })));

    let detail = ground.services.plugin_detail(&ground.caller, plugin.id).await;
    assert!(detail.expect("there").plugin.origin.revoked_at().is_some());
    let events = ground.events().await;
    assert!(events.iter().any(|(kind, data)| kind == "plugin.key-revoked"
        && data["name"] == "plain"
        && data["reason"] == "a laptop was stolen"));
    let problem = ground.refused(signed("plain", "1.1.0", acme, "acme")).await;
    assert!(
        problem.contains("was revoked") && problem.contains("another key"),
        "{problem}"
    );
    // It is not put to work any more.
    let new = velum_service::NewPolicy {
        name: name("green"),
        plugin: velum_service::PluginChoice::Digest(plugin.digest.clone()),
        config: Value::Null,
        fallback: Default::default(),
    };
    let refused = ground.services.policy_create(&ground.caller, new, None).await;
    assert!(
        matches!(&refused, Err(ServiceError::InvalidState { problem, .. }) if problem.contains("revoked")),
        "{refused:?}"
    );
    // A key comes back for nobody.
    let text = acme.public().to_pem();
    for publisher in [ground.acme, ground.other] {
        let again = ground
            .services
            .publisher_key_add(&ground.caller, publisher, &text, None)
            .await;
        assert!(matches!(&again, Err(ServiceError::Invalid { problem, .. }) if problem.contains("revoked")));
    }
}

#[tokio::test]
async fn what_is_no_public_key_is_refused_by_what_it_is() {
    let ground = Ground::new().await;
    for (text, words) in [
        (signing(9).to_pem(), "private key"),
        ("hello".into(), "no PEM"),
        (String::new(), "no PEM"),
    ] {
        let refused = ground
            .services
            .publisher_key_add(&ground.caller, ground.acme, &text, None)
            .await;
        assert!(
            matches!(&refused, Err(ServiceError::Invalid { field, problem, .. })
                if field == "/public_key" && problem.contains(words)),
            "{refused:?}"
        );
    }
}

fn needed(refused: Result<PluginDetail, ServiceError>) -> (Capabilities, Capabilities, Digest, bool) {
    match refused {
        Err(ServiceError::GrantNeeded {
            new,
            asks,
            digest,
            is_upgrade,
            ..
        }) => (new, asks, digest, is_upgrade),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn more_than_was_granted_is_asked_again_and_named_alone() {
    let ground = Ground::new().await;
    let by = (&ground.keys[0], "acme");
    let asks = json!({"http": {"api": {"methods": ["GET", "POST"], "paths": ["/v1/"]}}, "state": {}});
    let first = || signed_asking("array", "1.0.0", by, &asks);
    let (new, all, digest, is_upgrade) = needed(ground.install(first()).await);
    assert_eq!((&new, &all), (&of(asks.clone()), &of(asks.clone())));
    assert_eq!(
        (digest, is_upgrade),
        (crate::cloud::digest_of("array@1.0.0"), false)
    );
    assert!(
        ground.plugins.granted.lock().is_empty(),
        "it was not even compiled"
    );

    let too_much = NewPlugin {
        grant: Some(of(
            json!({"http": {"api": {"methods": ["DELETE"], "paths": ["/v1/"]}}}),
        )),
        ..first()
    };
    let refused = ground.install(too_much).await;
    assert!(
        matches!(&refused, Err(ServiceError::Invalid { field, .. }) if field == "/grant/http/api/methods"),
        "{refused:?}"
    );
    let less = of(json!({"http": {"api": {"methods": ["GET"], "paths": ["/v1/luns"]}}}));
    let granted = NewPlugin {
        grant: Some(less.clone()),
        ..first()
    };
    let made = ground.install(granted).await.expect("granted").plugin;
    assert_eq!(made.grant, less);
    let given = ground.plugins.granted.lock().last().cloned();
    assert_eq!(given, Some((made.digest, less.clone())), "the runtime is told");

    // The same wishes, or fewer: what was granted, and no more.
    let same = signed_asking("array", "1.1.0", by, &asks);
    assert_eq!(
        ground.install(same).await.expect("no question").plugin.grant,
        less
    );
    // One wish more: only that one is named.
    let more = json!({
        "http": {"api": {"methods": ["GET", "POST", "DELETE"], "paths": ["/v1/"]}}, "state": {}, "secrets": {}
    });
    let creeping = || signed_asking("array", "1.2.0", by, &more);
    let (new, all, _, is_upgrade) = needed(ground.install(creeping()).await);
    let expected = json!({"http": {"api": {"methods": ["DELETE"], "paths": []}}, "secrets": {}});
    assert_eq!((new, is_upgrade), (of(expected), true));
    let with_it =
        json!({"http": {"api": {"methods": ["GET", "DELETE"], "paths": ["/v1/luns"]}}, "secrets": {}});
    assert_eq!(
        all,
        of(with_it),
        "a yes adds what is named, and undoes no narrowing"
    );
    let other = NewPlugin {
        grant: Some(of(asks.clone())),
        ..first()
    };
    let refused = ground.install(other).await;
    assert!(
        matches!(&refused, Err(ServiceError::Invalid { field, .. }) if field == "/grant"),
        "{refused:?}"
    );
    let granted = NewPlugin {
        grant: Some(of(more.clone())),
        ..creeping()
    };
    assert_eq!(
        ground.install(granted).await.expect("granted").plugin.grant["secrets"],
        json!({})
    );
}

#[tokio::test]
async fn what_was_granted_to_one_author_is_not_granted_to_the_next() {
    let ground = Ground::new().await;
    let asks = json!({"libvirt": {}});
    let (component, manifest) = component("array", "0.1.0", &asks);
    let unsigned = NewPlugin {
        component,
        manifest: Some(manifest),
        allow_unsigned: Some(crate::cloud::digest_of("array@0.1.0")),
        grant: Some(of(asks.clone())),
        ..NewPlugin::default()
    };
    ground.install(unsigned).await.expect("an administrator's word");
    // The name was nobody's: who signs it takes it, and is asked for his own.
    let signed = signed_asking("array", "0.2.0", (&ground.keys[0], "acme"), &asks);
    let (new, ..) = needed(ground.install(signed).await);
    assert_eq!(new, of(asks));
}

#[tokio::test]
async fn what_the_operators_directory_was_granted_is_the_same_in_any_form() {
    let ground = Ground::new().await;
    // As its author wrote it: no role, and a list in no order.
    let asks = json!({"http": {"methods": ["POST", "GET"], "paths": ["/v1/"]}, "state": {}});
    let (component, manifest) = component("array", "1.0.0", &asks);
    let own = || NewPlugin {
        component: component.clone(),
        manifest: Some(manifest.clone()),
        is_operators: true,
        ..NewPlugin::default()
    };
    let made = ground.install(own()).await.expect("the operator's own").plugin;
    assert_eq!(made.grant, of(asks), "with all that it asks for, as it says it");

    let in_order = json!({"http": {"methods": ["GET", "POST"], "paths": ["/v1/"]}, "state": {}});
    let again = NewPlugin {
        grant: Some(of(in_order)),
        ..own()
    };
    let same = ground.install(again).await.expect("the same").plugin;
    assert_eq!((same.id, same.grant), (made.id, made.grant));

    for other in [
        json!({"http": {"methods": ["GET"], "paths": ["/v1/"]}, "state": {}}),
        json!({"http": {"methods": ["GET", "POST"], "paths": ["/v1/"]}}),
    ] {
        let less = NewPlugin {
            grant: Some(of(other)),
            ..own()
        };
        let refused = ground.install(less).await;
        assert!(
            matches!(&refused, Err(ServiceError::Invalid { field, .. }) if field == "/grant"),
            "{refused:?}"
        );
    }
}
