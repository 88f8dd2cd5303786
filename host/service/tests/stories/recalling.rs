//! Decisions are looked at again, made again and given to other policies, out of what was kept of the zone.

use crate::cloud::*;
use velum_model::{decision::Decision, page::Page, plugin::Fallback};
use velum_service::*;

const ROOMY: Size = Size {
    hosts: 4,
    memory_mib: 65_536,
    addresses: 200,
};
/// Room for eight.
const TIGHT: Size = Size {
    hosts: 2,
    memory_mib: 256 * 4,
    addresses: 200,
};

fn all() -> Page {
    Page {
        limit: Page::MAX_LIMIT,
        after: None,
    }
}

fn other(plugin: &str) -> OtherPolicy {
    OtherPolicy {
        plugin: Some(PluginChoice::Newest(name(plugin))),
        config: None,
    }
}

async fn decided(cloud: &Cloud, count: usize) -> Vec<Decision> {
    let mut decisions = Vec::new();
    for n in 0..count {
        let made = cloud.create(&format!("vm-{n}")).await.expect("there is room");
        decisions.push(cloud.decision_of(&made).await);
    }
    decisions
}

fn evaluation(cloud: &Cloud, plugin: &str, last: u32) -> NewEvaluation {
    NewEvaluation {
        zone: cloud.zone.id,
        plugin: PluginChoice::Newest(name(plugin)),
        config: serde_json::Value::Null,
        last,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_comes_out_the_same_whatever_came_after_it() {
    let cloud = Cloud::of(ROOMY).await;
    let (services, caller) = (&cloud.services, &cloud.caller);
    let built_in = decided(&cloud, 6).await;
    let plain = cloud.policy("plain", "plain", Fallback::BuiltIn).await;
    cloud.use_policy(Some(plain.id)).await;
    let by_policy = cloud.create("by-policy").await.expect("there is room");
    let by_policy = cloud.decision_of(&by_policy).await;
    cloud.use_policy(None).await;
    for decision in built_in.iter().chain([&by_policy]) {
        let again = services
            .decision_replay(caller, decision.id, OtherPolicy::default())
            .await
            .expect("kept");
        assert!(again.is_same, "{again:?}");
        assert_eq!(again.outcome.winner, decision.winner);
        let candidates = services
            .decision_candidates(caller, decision.id, None, all())
            .await
            .expect("kept");
        assert_eq!(candidates.items.len(), 4);
        let first = &candidates.items[0];
        assert_eq!(
            Some(first.compute_host),
            decision.winner.map(|winner| winner.compute_host)
        );
    }
    // Of a policy that has the same to say of each.
    let again = services
        .decision_replay(caller, by_policy.id, OtherPolicy::default())
        .await
        .expect("kept");
    assert_eq!(again.ties, 4);
    // Page by page it is the same list.
    let mut one_by_one = Vec::new();
    let mut page = Page {
        limit: 1,
        after: None,
    };
    loop {
        let part = services
            .decision_candidates(caller, by_policy.id, None, page)
            .await
            .expect("kept");
        one_by_one.extend(part.items);
        page.after = part.next;
        if page.after.is_none() {
            break;
        }
    }
    let whole = services
        .decision_candidates(caller, by_policy.id, None, all())
        .await
        .expect("kept");
    assert_eq!(one_by_one, whole.items);
    page.after = Some(by_policy.id.uuid());
    let never = services
        .decision_candidates(caller, by_policy.id, None, page)
        .await;
    assert!(
        matches!(&never, Err(ServiceError::NotFound { what, .. }) if what.starts_with("candidate")),
        "{never:?}"
    );

    cloud.audit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_of_a_plugin_that_was_removed_says_what_to_do_and_other_policies_still_look_at_it() {
    let cloud = Cloud::of(ROOMY).await;
    let (services, caller) = (&cloud.services, &cloud.caller);
    let plain = cloud.policy("gone", "plain", Fallback::BuiltIn).await;
    cloud.use_policy(Some(plain.id)).await;
    let made = cloud.create("by-policy").await.expect("there is room");
    let decision = cloud.decision_of(&made).await;
    cloud.use_policy(None).await;
    services
        .policy_delete(caller, plain.id, None)
        .await
        .expect("free");
    let plugin = cloud.plugin_of(&plain).await;
    services
        .plugin_delete(caller, plugin.id, None)
        .await
        .expect("free");

    let own = services
        .decision_replay(caller, decision.id, OtherPolicy::default())
        .await
        .map(drop);
    let looked = services
        .decision_candidates(caller, decision.id, None, all())
        .await
        .map(drop);
    for refused in [own, looked] {
        let Err(ServiceError::InvalidState { id, problem, .. }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(id, decision.id.uuid());
        assert!(
            problem.contains("gone is not installed any more: install it again"),
            "{problem}"
        );
    }
    let other = services
        .decision_replay(caller, decision.id, other("refuses"))
        .await
        .expect("tried");
    assert!(other.outcome.winner.is_none());
    cloud.audit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_policy_shows_what_it_would_have_decided() {
    let cloud = Cloud::of(ROOMY).await;
    let (services, caller) = (&cloud.services, &cloud.caller);
    let built_in = decided(&cloud, 1).await;
    let refuses = services
        .decision_replay(caller, built_in[0].id, other("refuses"))
        .await
        .expect("tried");
    assert!(!refuses.is_same && refuses.outcome.winner.is_none());
    let unknown = services
        .decision_replay(caller, built_in[0].id, other("nobody"))
        .await;
    assert!(
        matches!(&unknown, Err(ServiceError::Invalid { field, .. }) if field == "/plugin"),
        "{unknown:?}"
    );
    let config_alone = OtherPolicy {
        config: Some(serde_json::json!({})),
        ..OtherPolicy::default()
    };
    let of_nobody = services
        .decision_replay(caller, built_in[0].id, config_alone)
        .await;
    assert!(
        matches!(&of_nobody, Err(ServiceError::Invalid { field, .. }) if field == "/config"),
        "{of_nobody:?}"
    );
    cloud.audit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_server_decided_is_looked_at_again_and_what_is_not_kept_is_said() {
    let cloud = Cloud::of(ROOMY).await;
    let decisions = decided(&cloud, 3).await;
    cloud.services.keep_histories().await;
    cloud.services.stop();
    let (_store, services, _plugins) = open_as(cloud.directory(), Settings::default()).await;
    for decision in &decisions {
        let again = services
            .decision_replay(&cloud.caller, decision.id, OtherPolicy::default())
            .await
            .expect("kept");
        assert!(again.is_same, "{again:?}");
    }
    std::fs::remove_dir_all(cloud.directory().join("history")).expect("lost");
    let lost = services
        .decision_replay(&cloud.caller, decisions[0].id, OtherPolicy::default())
        .await;
    let Err(ServiceError::InvalidState { problem, .. }) = lost else {
        panic!("{lost:?}");
    };
    assert!(
        problem.contains("is not kept") && problem.contains("decisions.history_mib"),
        "{problem}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn asks_that_found_no_place_are_kept_with_their_reasons() {
    let cloud = Cloud::of(TIGHT).await;
    decided(&cloud, 8).await;
    let refused = cloud.create("too-much").await;
    let Err(ServiceError::NoCapacity { decision }) = refused else {
        panic!("{refused:?}");
    };
    let batch = NewInstances {
        zone: cloud.zone.id,
        instances: (0..3).map(|n| cloud.new_instance(&format!("more-{n}"))).collect(),
        all_or_nothing: false,
    };
    let made = cloud
        .services
        .instance_create_batch(&cloud.caller, batch, None)
        .await;
    assert_eq!(fresh(made.expect("answered")).len(), 3);
    let listed = async |placed| {
        let filter = DecisionFilter {
            placed: Some(placed),
            ..DecisionFilter::default()
        };
        let found = cloud.services.decision_list(&cloud.caller, &filter, all()).await;
        found.expect("listed").items
    };
    let refused = listed(false).await;
    assert_eq!((refused.len(), listed(true).await.len()), (4, 8));
    // Who was refused is counted and can be looked at again; it is not listed.
    let told = Decision {
        refusals: Vec::new(),
        ..decision.as_ref().clone()
    };
    let kept = refused.iter().find(|kept| kept.id == decision.id);
    assert_eq!(kept, Some(&told));
    let candidates = cloud
        .services
        .decision_candidates(&cloud.caller, decision.id, Some(true), all())
        .await;
    assert_eq!(candidates.expect("kept").items.len(), 2);
    let again = cloud
        .services
        .decision_replay(&cloud.caller, decision.id, OtherPolicy::default())
        .await;
    assert!(again.expect("kept").is_same);
    cloud.audit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_have_come_of_it_is_counted() {
    let cloud = Cloud::of(TIGHT).await;
    let (services, caller) = (&cloud.services, &cloud.caller);
    decided(&cloud, 8).await;
    cloud.create("too-much").await.expect_err("there is no room");
    let same = services
        .policy_evaluate(caller, evaluation(&cloud, "plain", 100))
        .await
        .expect("evaluated");
    let tally = &same.tally;
    assert_eq!((tally.decisions, same.skipped, same.is_complete), (9, 0, true));
    assert_eq!((tally.refused_then, tally.refused_would), (1, 1));
    let last = same.samples.last().expect("a sample");
    // Eight machines take all there is, whoever puts them where.
    assert_eq!((last.then.empty, last.would.empty), (0, 0));
    assert_eq!(last.then.memory_used_mib, last.would.memory_used_mib);

    let none = services
        .policy_evaluate(caller, evaluation(&cloud, "refuses", 5))
        .await
        .expect("evaluated");
    assert_eq!((none.tally.decisions, none.tally.refused_would), (5, 5));
    assert_eq!((none.tally.moved, none.tally.moves.len()), (0, 4));

    let broken = services
        .policy_evaluate(caller, evaluation(&cloud, "traps", 9))
        .await
        .expect("evaluated");
    // The last one had no candidates: nobody was asked.
    assert_eq!(broken.tally.failed, 8);
    assert!(broken.tally.failure.is_some());
    let too_many = services
        .policy_evaluate(caller, evaluation(&cloud, "plain", EVALUATED_MAX + 1))
        .await;
    assert!(
        matches!(&too_many, Err(ServiceError::Invalid { field, .. }) if field == "/last"),
        "{too_many:?}"
    );
    cloud.audit().await;
}
