//! Events as they happen: Server-Sent Events, joined together over lost connections.

use std::{collections::VecDeque, pin::Pin, time::Duration};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use reqwest::header::CONTENT_TYPE;
use velum_wire::EventView;

use crate::{Client, ClientError, Collection, Events, Filter, http::Ask};

/// Events in order, each once. It ends only by an error that waiting does not mend.
pub type EventStream = Pin<Box<dyn Stream<Item = Result<EventView, ClientError>> + Send>>;

/// The media type of an event stream.
const STREAM: &str = "text/event-stream";
/// An event with data of every kind stays far below this; a line without end is no event.
const MAX_EVENT_BYTES: usize = 1 << 20;
/// The server sends a comment at least every 15 s: a connection that is silent for three times that is dead.
const SILENCE: Duration = Duration::from_secs(45);
/// How long a server may be away before the stream gives up.
const MAX_LOSSES: u32 = 60;
/// The pause before the connection is made again.
const RECONNECT: Duration = Duration::from_millis(500);

impl Collection<'_, Events> {
    /// Follows the log from after `cursor` (the id of an event), or from now on. A lost connection is made again and
    /// goes on after the last event seen.
    #[must_use]
    pub fn follow(&self, filter: Filter, cursor: Option<String>) -> EventStream {
        let start = Follow {
            client: self.client().clone(),
            filter,
            cursor,
            open: None,
            losses: 0,
        };
        Box::pin(futures::stream::unfold(Some(start), |state| async move {
            let mut follow = state?;
            match follow.next().await {
                Ok(event) => Some((Ok(event), Some(follow))),
                Err(error) => Some((Err(error), None)),
            }
        }))
    }
}

type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, reqwest::Error>> + Send>>;

struct Follow {
    client: Client,
    filter: Filter,
    cursor: Option<String>,
    open: Option<(Chunks, Parser)>,
    losses: u32,
}

impl Follow {
    async fn next(&mut self) -> Result<EventView, ClientError> {
        loop {
            let (chunks, parser) = match &mut self.open {
                Some(open) => open,
                None => match self.connect().await {
                    Ok(chunks) => self.open.insert((chunks, Parser::default())),
                    Err(error) => {
                        self.lost(error).await?;
                        continue;
                    }
                },
            };
            if let Some(message) = parser.messages.pop_front() {
                self.losses = 0;
                if let Some(event) = self.event(message)? {
                    return Ok(event);
                }
                continue;
            }
            match tokio::time::timeout(SILENCE, chunks.next()).await {
                Ok(Some(Ok(chunk))) => parser.feed(&chunk)?,
                Ok(Some(Err(source))) => {
                    let error = self.client.lost(source);
                    self.lost(error).await?;
                }
                // The server closed it (it stops, or sheds a slow reader) or is silent.
                Ok(None) | Err(_) => {
                    self.lost(ClientError::unexpected("the event stream ended"))
                        .await?
                }
            }
        }
    }

    fn event(&mut self, message: Message) -> Result<Option<EventView>, ClientError> {
        if message.data.is_empty() {
            return Ok(None);
        }
        if let Some(id) = message.id {
            self.cursor = Some(id);
        }
        serde_json::from_str(&message.data)
            .map(Some)
            .map_err(|source| ClientError::Answer { status: 200, source })
    }

    async fn connect(&mut self) -> Result<Chunks, ClientError> {
        let ask = Ask::get(Collection::<Events>::path())
            .filter(&self.filter)
            .accept(STREAM);
        let mut request = self.client.request(&ask);
        if let Some(cursor) = &self.cursor {
            request = request.header("last-event-id", cursor);
        }
        let response = tokio::time::timeout(SILENCE, request.send())
            .await
            .map_err(|_| ClientError::unexpected("the server does not answer"))?
            .map_err(|source| self.client.lost(source))?;
        let status = response.status();
        if !status.is_success() {
            let body = response
                .bytes()
                .await
                .map_err(|source| self.client.lost(source))?;
            return Err(ClientError::refused(status, &body));
        }
        let kind = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default();
        if !kind.starts_with(STREAM) {
            return Err(ClientError::unexpected(
                "the server answered the events as something else than a stream",
            ));
        }
        Ok(Box::pin(response.bytes_stream()))
    }

    /// Waits before the next attempt, or gives up: on a refusal at once, on losses after a while.
    async fn lost(&mut self, error: ClientError) -> Result<(), ClientError> {
        self.open = None;
        let passes = match &error {
            ClientError::Unreachable { .. } | ClientError::Unexpected { .. } => true,
            ClientError::Problem(problem) => problem.status == 503,
            _ => false,
        };
        self.losses += 1;
        if !passes || self.losses > MAX_LOSSES || self.client.patience().attempts == 0 {
            return Err(error);
        }
        tokio::time::sleep(RECONNECT).await;
        Ok(())
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Message {
    id: Option<String>,
    data: String,
}

/// Cuts a byte stream into messages, as the HTML standard describes event streams.
#[derive(Debug, Default)]
struct Parser {
    line: Vec<u8>,
    building: Message,
    messages: VecDeque<Message>,
    after_return: bool,
}

impl Parser {
    fn feed(&mut self, chunk: &[u8]) -> Result<(), ClientError> {
        for &byte in chunk {
            let ends = byte == b'\r' || (byte == b'\n' && !self.after_return);
            let skips = byte == b'\n' && self.after_return;
            self.after_return = byte == b'\r';
            if ends {
                self.end_line();
            } else if !skips {
                self.line.push(byte);
            }
            if self.line.len() + self.building.data.len() > MAX_EVENT_BYTES {
                return Err(ClientError::unexpected("an event without end"));
            }
        }
        Ok(())
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
        if line.is_empty() {
            let message = std::mem::take(&mut self.building);
            if message != Message::default() {
                self.messages.push_back(message);
            }
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.building.id = Some(value.to_owned()),
            "data" => {
                if !self.building.data.is_empty() {
                    self.building.data.push('\n');
                }
                self.building.data.push_str(value);
            }
            // Comments keep the connection alive; `event` and `retry` say nothing that is needed here.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(chunks: &[&str]) -> Vec<Message> {
        let mut parser = Parser::default();
        for chunk in chunks {
            parser.feed(chunk.as_bytes()).expect("a well-formed stream");
        }
        parser.messages.into()
    }

    fn message(id: &str, data: &str) -> Message {
        Message {
            id: Some(id.to_owned()),
            data: data.to_owned(),
        }
    }

    #[test]
    fn messages_come_out_whole_however_they_were_cut() {
        let whole = ": hello\n\nid: 1-1-1\nevent: x\ndata: {\"a\":1}\n\nid:2\r\ndata: b\r\ndata: c\r\n\r\n";
        let expected = vec![message("1-1-1", "{\"a\":1}"), message("2", "b\nc")];
        assert_eq!(parse(&[whole]), expected);
        for cut in 1..whole.len() {
            let (left, right) = whole.split_at(cut);
            assert_eq!(parse(&[left, right]), expected, "cut at {cut}");
        }
    }

    #[test]
    fn an_event_without_end_is_refused() {
        let mut parser = Parser::default();
        let long = vec![b'x'; MAX_EVENT_BYTES + 1];
        assert!(parser.feed(&long).is_err());
    }
}
