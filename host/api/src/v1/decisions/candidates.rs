//! `GET /v1/decisions/{id}/candidates`

use std::collections::HashMap;

use axum::extract::State;
use velum_model::{ComputeHostId, DecisionKind};
use velum_service::{Candidate, Says};
use velum_wire::{CandidateResourceView, CandidateView, Page, Verdict};

use crate::{
    answer::{self, Answer},
    auth::By,
    error::Answered,
    state::ApiState,
    take::{PathId, Query, list_query},
};

list_query! {
    /// Which of the compute hosts.
    CandidatesQuery {
        /// Those that were refused, or those that were not.
        refused: bool,
    }
}

/// Lists every compute host of the zone as a decision saw it, with its score or why it was refused: those with a score first, best
/// first.
///
/// It is made out of the zone's history, and needs the policy that decided to be installed.
#[utoipa::path(
    get,
    path = "/v1/decisions/{id}/candidates",
    params(CandidatesQuery),
    responses((status = 200, body = Page<CandidateView>, description = "A part of the list"))
)]
pub async fn candidates(
    State(api): State<ApiState>,
    By(caller): By,
    path: PathId<DecisionKind>,
    Query(query): Query<CandidatesQuery>,
) -> Answered<Answer> {
    let found = api
        .services
        .decision_candidates(&caller, path.id, query.refused, query.page()?)
        .await?;
    let ids = found.items.iter().map(|candidate| candidate.compute_host);
    let names = api.services.host_names(ids.collect::<Vec<_>>()).await?;
    let names: HashMap<ComputeHostId, String> = names.into_iter().collect();
    Ok(answer::listed(found, |item| view(&item, &names)))
}

fn view(candidate: &Candidate, names: &HashMap<ComputeHostId, String>) -> CandidateView {
    let (verdict, score, refusal) = match &candidate.says {
        Says::Score(score) => (Verdict::Ranked, Some(*score), None),
        Says::Refused(refusal) => (Verdict::Refused, None, Some(refusal)),
        Says::NotShown => (Verdict::NotShown, None, None),
    };
    CandidateView {
        compute_host_id: candidate.compute_host.uuid(),
        compute_host_name: names.get(&candidate.compute_host).cloned(),
        verdict,
        score,
        shared: candidate.tier.shared,
        unmet: candidate.tier.unmet,
        reason: refusal.map(velum_model::decision::Refusal::name),
        words: refusal.map(velum_model::decision::Refusal::words),
        free_vcpus: candidate.vcpus.0,
        total_vcpus: candidate.vcpus.1,
        free_memory_mib: candidate.memory_mib.0,
        total_memory_mib: candidate.memory_mib.1,
        resources: candidate
            .resources
            .iter()
            .map(|(name, &(free, total))| (name.to_string(), CandidateResourceView { free, total }))
            .collect(),
        runs: candidate.runs,
        runs_of_project: candidate.runs_of_project,
        kin: candidate.kin,
        latest_end_minute: candidate.latest_end,
        has_template: candidate.has_template,
        pod: candidate.pod,
        cluster: candidate.cluster,
        attributes: candidate
            .attributes
            .iter()
            .map(|(name, value)| (name.to_string(), *value))
            .collect(),
    }
}
