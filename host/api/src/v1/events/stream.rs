//! Events as they happen: the log is read from where the listener is; what is committed only wakes the reading up, so
//! that nothing is lost however slow the listener or the network.

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use axum::response::sse::{Event as Sse, KeepAlive};
use futures::Stream;
use tokio::sync::{
    OwnedSemaphorePermit,
    broadcast::{Receiver, error::RecvError},
};
use velum_model::{operation::Event, tenancy::Caller};
use velum_service::{EventCursor, EventFilter};

use super::{list::BATCH, view::view};
use crate::{
    error::{Answered, Refused},
    problem::Kind,
    state::ApiState,
};

/// Half of what proxies commonly allow a silent connection, and well below it.
const SILENCE: Duration = Duration::from_secs(15);
/// A log that could not be read is read again after this.
const AGAIN: Duration = Duration::from_secs(1);

struct Listener {
    api: ApiState,
    caller: Caller,
    filter: EventFilter,
    position: EventCursor,
    wake: Receiver<Arc<Event>>,
    ready: VecDeque<Sse>,
    _place: OwnedSemaphorePermit,
}

/// Opens a stream of what happens after `from`, or from now on.
pub async fn open(
    api: ApiState,
    caller: Caller,
    filter: EventFilter,
    from: Option<EventCursor>,
) -> Answered<axum::response::Sse<impl Stream<Item = Result<Sse, Infallible>>>> {
    let place = Arc::clone(&api.bounds.streams).try_acquire_owned();
    let place =
        place.map_err(|_| Refused::new(Kind::TooMany, "too many consoles and streams").retry_after(5))?;
    let wake = api.services.event_subscribe();
    let position = match from {
        Some(position) => position,
        None => api.services.event_end().await?,
    };
    // Where it begins: a listener that is cut off before the first event goes on from here.
    let ready = VecDeque::from([Sse::default().id(position.to_string()).comment("listening")]);
    let listener = Listener {
        api,
        caller,
        filter,
        position,
        wake,
        ready,
        _place: place,
    };
    let events = futures::stream::unfold(listener, |mut listener| async move {
        listener.next().await.map(|event| (Ok(event), listener))
    });
    Ok(axum::response::Sse::new(events).keep_alive(KeepAlive::new().interval(SILENCE)))
}

impl Listener {
    async fn next(&mut self) -> Option<Sse> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let more = self.read().await;
            if more {
                continue;
            }
            let stop = self.api.stop.clone();
            tokio::select! {
                heard = self.wake.recv() => match heard {
                    // One reading answers everything that was announced meanwhile.
                    Ok(_) | Err(RecvError::Lagged(_)) => self.wake = self.wake.resubscribe(),
                    Err(RecvError::Closed) => return None,
                },
                () = stop.cancelled() => return None,
            }
        }
    }

    /// Reads the log from the listener's position; false when it is at the end.
    async fn read(&mut self) -> bool {
        match self
            .api
            .services
            .event_list(&self.caller, &self.filter, &self.position, BATCH)
            .await
        {
            Ok((events, end)) => {
                for event in &events {
                    let shown = view(event, &mut self.position);
                    match Sse::default()
                        .id(shown.id.clone())
                        .event(shown.kind.clone())
                        .json_data(&shown)
                    {
                        Ok(sse) => self.ready.push_back(sse),
                        Err(error) => tracing::error!(%error, "an event could not be written as JSON"),
                    }
                }
                self.position = end;
                !events.is_empty()
            }
            Err(error) => {
                tracing::warn!(%error, "the event log could not be read for a stream");
                tokio::time::sleep(AGAIN).await;
                true
            }
        }
    }
}
