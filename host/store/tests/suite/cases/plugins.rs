//! Whose word a plugin is, whose its name is, and how one version takes another's place.

use serde_json::json;
use uuid::Uuid;
use velum_model::{
    Id, Timestamp,
    chance::fresh,
    id::{PublisherId, ShadowId},
    operation::{OperationKindName, OperationState, Subject},
    page::Page,
    plugin::{Activation, Fallback, Plugin, PluginState, PolicyCause, PolicyShadow, PolicyVersion},
    trust::{NameHolder, Origin, PluginName, Publisher, PublisherKey, Revocation, Signature},
};
use velum_store::{Change, Commit, OperationWrite, Refused, StoreError, Table};

use crate::world::{World, name, plugin, policy};

fn publisher(w: &World, called: &str) -> Publisher {
    Publisher {
        id: fresh(&*w.ids),
        name: name(called),
        description: "makes arrays".into(),
        generation: 1,
        created_at: w.clock.now(),
    }
}

fn key(w: &World, publisher: PublisherId, key_id: &str) -> PublisherKey {
    PublisherKey {
        id: fresh(&*w.ids),
        publisher,
        key_id: key_id.into(),
        public_key: "-----BEGIN PUBLIC KEY-----".into(),
        added_by: "admin".into(),
        created_at: w.clock.now(),
        revoked: None,
    }
}

fn signed(w: &World, n: u8, publisher: &Publisher, key: &PublisherKey) -> Plugin {
    Plugin {
        origin: Origin::Signed(Signature {
            publisher: publisher.id,
            publisher_name: publisher.name.clone(),
            key: key.id,
            key_id: key.key_id.clone(),
            revoked_at: None,
        }),
        ..plugin(&*w.ids, "array", n, w.clock.now())
    }
}

pub async fn a_key_that_is_revoked_marks_what_it_signed(url: String) {
    let w = World::open(&url).await;
    let read = w.store.read();
    let (acme, other) = (publisher(&w, "acme"), publisher(&w, "other"));
    let of_acme = key(&w, acme.id, "sha256:aa");
    w.accept(vec![
        Change::InsertPublisher(acme.clone()),
        Change::InsertPublisher(other.clone()),
        Change::InsertPublisherKey(of_acme.clone()),
    ])
    .await;
    assert_eq!(
        read.publisher(acme.id).await.expect("readable"),
        Some(acme.clone())
    );
    assert_eq!(
        read.publisher_key("sha256:aa").await.expect("readable"),
        Some(of_acme.clone())
    );
    let again = w
        .refused(vec![Change::InsertPublisherKey(key(&w, other.id, "sha256:aa"))])
        .await;
    assert!(
        matches!(
            again,
            Refused::NameTaken {
                table: "publisher key",
                ..
            }
        ),
        "{again:?}"
    );
    let plugin = signed(&w, 7, &acme, &of_acme);
    w.accept(vec![Change::InsertPlugin(Box::new(plugin.clone()))])
        .await;
    assert_eq!(
        read.plugin(plugin.id).await.expect("readable"),
        Some(plugin.clone())
    );
    let revocation = Revocation {
        at: Timestamp::from_micros(77),
        by: "admin".into(),
        reason: "stolen".into(),
    };
    let revoke = Change::RevokePublisherKey {
        id: of_acme.id,
        revocation: revocation.clone(),
    };
    w.accept(vec![revoke.clone()]).await;
    let marked = read.plugin(plugin.id).await.expect("readable").expect("there");
    assert_eq!(marked.origin.revoked_at(), Some(revocation.at));
    let keys = read.keys_of(acme.id).await.expect("readable");
    assert_eq!(keys[0].revoked, Some(revocation));
    assert!(matches!(w.refused(vec![revoke]).await, Refused::Stale { .. }));
    let remove = |id: Uuid| Change::Delete {
        table: Table::Publisher,
        id,
        generation: 1,
    };
    let kept = w.refused(vec![remove(acme.id.uuid())]).await;
    assert!(
        matches!(&kept, Refused::InUse { by, .. } if by.contains("plugin")),
        "{kept:?}"
    );
    w.accept(vec![remove(other.id.uuid())]).await;
}

pub async fn the_name_of_a_plugin_is_claimed_as_it_was_read(url: String) {
    let w = World::open(&url).await;
    let read = w.store.read();
    let acme = publisher(&w, "acme");
    w.accept(vec![Change::InsertPublisher(acme.clone())]).await;
    let first = PluginName {
        name: name("array"),
        holder: NameHolder::Nobody,
        highest: None,
    };
    let claim = |name: &PluginName, was: Option<&PluginName>| Change::ClaimPluginName {
        plugin: fresh(&*w.ids),
        name: name.clone(),
        was: was.cloned(),
    };
    assert_eq!(read.plugin_name(&name("array")).await.expect("readable"), None);
    w.accept(vec![claim(&first, None)]).await;
    let late = w.refused(vec![claim(&first, None)]).await;
    assert!(matches!(late, Refused::Stale { .. }), "{late:?}");
    let taken = PluginName {
        holder: NameHolder::Publisher(acme.id),
        highest: Some(("1.0.0".into(), w.plugin.digest.clone())),
        ..first.clone()
    };
    w.accept(vec![claim(&taken, Some(&first))]).await;
    assert_eq!(
        read.plugin_name(&name("array")).await.expect("readable"),
        Some(taken.clone())
    );
    let raised = PluginName {
        highest: Some(("1.1.0".into(), w.plugin.digest.clone())),
        ..taken.clone()
    };
    for was in [None, Some(&first), Some(&raised)] {
        let refused = w.refused(vec![claim(&raised, was)]).await;
        assert!(matches!(refused, Refused::Stale { .. }), "{was:?}: {refused:?}");
    }
    w.accept(vec![claim(&raised, Some(&taken))]).await;
}

/// An operation under way, which ends with what it began with, while the compute host goes over to another driver.
pub async fn an_operation_keeps_the_driver_that_it_began_with(url: String) {
    let w = World::open(&url).await;
    let read = w.store.read();
    let host = w.add_host("host", 4, 8192).await;
    assert_eq!(
        read.compute_host(host.id).await.expect("readable"),
        Some(host.clone())
    );
    let newer = plugin(&*w.ids, "driver", 2, w.clock.now());
    w.accept(vec![Change::InsertPlugin(Box::new(newer.clone()))])
        .await;

    let mut operation = w.operation(
        OperationKindName::ComputeHostMaintenance,
        Subject::ComputeHost(host.id),
    );
    let began = Commit {
        fence: Some((w.zone.shard, 1)),
        operation: Some(OperationWrite::Insert {
            operation: Box::new(operation.clone()),
            locks: vec![Subject::ComputeHost(host.id)],
            preempts: false,
        }),
        ..Commit::default()
    };
    w.store.commit(began).await.expect("accepted");
    let mut over = host.clone();
    over.driver = newer.digest.clone();
    let first = Activation {
        id: fresh(&*w.ids),
        zone: w.zone.id,
        name: name("driver"),
        digest: newer.digest.clone(),
        previous: Some(host.driver.clone()),
        generation: 1,
        caller: "admin".into(),
        changed_at: w.clock.now(),
    };
    w.accept(vec![
        Change::UpdateComputeHost(Box::new(over)),
        Change::InsertActivation(first.clone()),
    ])
    .await;
    let gone_over = read
        .compute_host(host.id)
        .await
        .expect("readable")
        .expect("there");
    assert_eq!(gone_over.driver, newer.digest);
    let since = gone_over.driven_since.expect("an operation keeps the one before");
    assert!(operation.created_at < since);
    let before = read.driven_by_at(host.id.uuid(), operation.created_at).await;
    assert_eq!(before.expect("readable"), Some(host.driver.clone()));
    assert_eq!(
        read.driven_by_at(host.id.uuid(), since).await.expect("readable"),
        None
    );

    let uses = read
        .plugin_uses(&[host.driver.clone(), newer.digest.clone()])
        .await;
    let uses = uses.expect("readable");
    let (old, new) = (&uses[&host.driver], &uses[&newer.digest]);
    assert_eq!((old.state(), old.operations), (PluginState::Draining, 1));
    assert_eq!((new.state(), new.compute_hosts), (PluginState::Active, 1));
    assert_eq!(new.zones, [w.zone.id]);
    assert_eq!(
        read.activation(w.zone.id, &name("driver"))
            .await
            .expect("readable"),
        Some(first)
    );
    let remove = Change::Delete {
        table: Table::Plugin,
        id: w.plugin.id.uuid(),
        generation: 0,
    };
    let kept = w.refused(vec![remove.clone()]).await;
    assert!(
        matches!(&kept, Refused::InUse { by, .. } if by.contains("operations in flight")),
        "{kept:?}"
    );

    operation.state = OperationState::Done;
    operation.ended_at = Some(w.clock.now());
    let ended = Commit {
        fence: Some((w.zone.shard, 1)),
        operation: Some(OperationWrite::Update(Box::new(operation))),
        ..Commit::default()
    };
    w.store.commit(ended).await.expect("ended");
    w.accept(vec![remove]).await;
    let host = read
        .compute_host(host.id)
        .await
        .expect("readable")
        .expect("there");
    assert_eq!(host.driven_since, None, "nothing keeps what was before");
}

pub async fn a_policy_remembers_what_it_was_and_has_one_shadow(url: String) {
    let w = World::open(&url).await;
    let read = w.store.read();
    let row = policy(&*w.ids, "green", &w.plugin.digest, w.clock.now());
    let version = |generation: u64| PolicyVersion {
        policy: row.id,
        generation,
        digest: row.digest.clone(),
        config: json!({ "n": generation }),
        fallback: Fallback::Refuse,
        cause: PolicyCause::Changed,
        reason: "tried".into(),
        caller: "admin".into(),
        created_at: row.created_at,
    };
    w.accept(vec![
        Change::InsertPolicy(row.clone()),
        Change::InsertPolicyVersion(Box::new(version(1))),
    ])
    .await;
    for generation in 2..=110 {
        w.accept(vec![Change::InsertPolicyVersion(Box::new(version(generation)))])
            .await;
    }
    let kept = read.policy_versions(row.id).await.expect("readable");
    assert_eq!((kept.len(), kept[0].clone()), (100, version(110)));
    assert_eq!(kept[99].generation, 11);

    let shadow = PolicyShadow {
        id: fresh(&*w.ids),
        policy: row.id,
        digest: w.plugin.digest.clone(),
        config: json!({"n": 7}),
        caller: "admin".into(),
        started_at: w.clock.now(),
    };
    w.accept(vec![Change::BeginShadow(Box::new(shadow.clone()))])
        .await;
    let second = PolicyShadow {
        id: fresh(&*w.ids),
        ..shadow.clone()
    };
    let refused = w.refused(vec![Change::BeginShadow(Box::new(second))]).await;
    assert!(matches!(refused, Refused::NameTaken { .. }), "{refused:?}");
    assert_eq!(
        read.shadow_of(row.id).await.expect("readable"),
        Some(shadow.clone())
    );
    let count = |run: u128, asks: u64| Change::CountShadow {
        shadow: shadow.id,
        run: Uuid::from_u128(run),
        counts: json!({ "asks": asks }),
    };
    for change in [count(1, 5), count(2, 7), count(1, 9)] {
        w.accept(vec![change]).await;
    }
    let counts = read.shadow_counts(shadow.id).await.expect("readable");
    let counts: Vec<_> = counts.into_iter().map(|(_, counts)| counts).collect();
    assert_eq!(counts, [json!({"asks": 9}), json!({"asks": 7})]);
    let end = Change::EndShadow {
        policy: row.id,
        id: shadow.id,
    };
    w.accept(vec![end.clone()]).await;
    assert!(matches!(w.refused(vec![end]).await, Refused::Stale { .. }));
    // Late counts of a shadow that has ended are nobody's.
    w.accept(vec![count(1, 11)]).await;
    assert!(read.shadow_counts(shadow.id).await.expect("readable").is_empty());
    let unknown: ShadowId = Id::from_uuid(Uuid::from_u128(99));
    assert!(read.shadow_counts(unknown).await.expect("readable").is_empty());
    let all = read
        .policies(&velum_store::PolicyFilter::default(), Page::default())
        .await;
    assert_eq!(all.expect("readable").items, [row.clone()]);
    let delete = Commit {
        changes: vec![Change::Delete {
            table: Table::Policy,
            id: row.id.uuid(),
            generation: 1,
        }],
        ..Commit::default()
    };
    let gone: Result<_, StoreError> = w.store.commit(delete).await;
    gone.expect("its history goes with it");
    assert!(read.policy_versions(row.id).await.expect("readable").is_empty());
}
