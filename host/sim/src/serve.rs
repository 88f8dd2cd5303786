//! How a request becomes an effect: fault before, the world under its lock, fault after, answer.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::{
    faults::{Faults, Verdict, When},
    gate::Stamp,
    listen::Hangup,
    refusal::{Refused, code},
    work::Plan,
    world::{Answer, Order, World},
};

/// The far side as its routes share it.
pub struct Sim {
    world: Mutex<World>,
    /// Faults that are armed.
    pub faults: Faults,
    since: Instant,
}

impl Sim {
    /// Serves a world.
    #[must_use]
    pub fn new(world: World) -> Arc<Self> {
        Arc::new(Self {
            world: Mutex::new(world),
            faults: Faults::default(),
            since: Instant::now(),
        })
    }

    /// Milliseconds since this process began.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The world, with everything happened that is due.
    pub fn world(&self) -> MutexGuard<'_, World> {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        world.advance(self.now_ms());
        world
    }

    /// Does a request, in a task of its own: a far side does not stop half-way because its caller hung up.
    async fn act<F>(self: Arc<Self>, hangup: Hangup, order: Order, act: F) -> Response
    where
        F: FnOnce(&mut World, &Order, u64) -> Result<Response, Refused> + Send + 'static,
    {
        let task = tokio::spawn(async move {
            match self.struck(&order, act).await {
                Ok(Some(response)) => response,
                Ok(None) => {
                    hangup.hang_up();
                    StatusCode::NO_CONTENT.into_response()
                }
                Err(refused) => {
                    let mut world = self.world();
                    *world.counters.refusals.entry(refused.code).or_default() += 1;
                    refused.into_response()
                }
            }
        });
        task.await.unwrap_or_else(|cause| {
            Refused {
                unchanged: false,
                ..Refused::unchanged(code::FAILED, format!("the simulator failed: {cause}"))
            }
            .into_response()
        })
    }

    /// None when the connection is to end without an answer.
    async fn struck<F>(&self, order: &Order, act: F) -> Result<Option<Response>, Refused>
    where
        F: FnOnce(&mut World, &Order, u64) -> Result<Response, Refused>,
    {
        let mut hit = self.faults.take(order);
        if let Some(hit) = &mut hit {
            match hit.strike(When::Before).await {
                Verdict::Go => {}
                Verdict::Fail(refused) => return Err(refused),
                Verdict::Drop => return Ok(None),
            }
        }
        let answer = {
            let mut world = self.world();
            *world.counters.calls.entry(order.verb).or_default() += 1;
            act(&mut world, order, self.now_ms())?
        };
        if let Some(mut hit) = hit {
            match hit.strike(When::After).await {
                Verdict::Go => {}
                Verdict::Fail(refused) => return Err(refused),
                Verdict::Drop => return Ok(None),
            }
        }
        Ok(Some(answer))
    }

    /// Answers a question.
    pub async fn read<F>(self: Arc<Self>, hangup: Hangup, order: Order, question: F) -> Response
    where
        F: FnOnce(&mut World, u64) -> Result<Response, Refused> + Send + 'static,
    {
        self.act(hangup, order, move |world, _, now_ms| question(world, now_ms))
            .await
    }

    /// Makes a change through gate and memory of effects.
    pub async fn change<F>(
        self: Arc<Self>,
        caller: (Stamp, Hangup),
        mut order: Order,
        first_half: F,
    ) -> Response
    where
        F: FnOnce(&mut World, &Stamp, &Order) -> Result<Plan, Refused> + Send + 'static,
    {
        let (stamp, hangup) = caller;
        order.names.push(stamp.object.to_string());
        self.act(hangup, order, move |world, order, now_ms| {
            let answer = world.change(&stamp, order, now_ms, |world| first_half(world, &stamp, order))?;
            Ok(respond(answer))
        })
        .await
    }
}

/// A change's answer as it travels.
#[must_use]
pub fn respond(answer: Answer) -> Response {
    match answer {
        Answer::Done(done) => Json(json!({"done": done})).into_response(),
        Answer::Working(told) => (StatusCode::ACCEPTED, Json(json!({"working": told}))).into_response(),
    }
}

/// A plain answer.
#[must_use]
pub fn plain(value: Value) -> Response {
    Json(value).into_response()
}
