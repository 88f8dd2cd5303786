//! The serial console of an instance over a WebSocket.

use bytes::Bytes;
use futures::{SinkExt, StreamExt, stream::SplitSink, stream::SplitStream};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{
        Error as WsError, Message,
        client::IntoClientRequest,
        http::{HeaderValue, header::AUTHORIZATION},
    },
};

use crate::ClientError;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// An open console: what the guest writes comes out of [`Console::receive`], what is typed goes into
/// [`Console::send`]. Split it with [`Console::split`] to do both at once.
#[derive(Debug)]
pub struct Console {
    output: ConsoleOutput,
    input: ConsoleInput,
}

/// The half that the guest writes.
#[derive(Debug)]
pub struct ConsoleOutput(SplitStream<Socket>);

/// The half that is typed.
#[derive(Debug)]
pub struct ConsoleInput(SplitSink<Socket, Message>);

/// What came from a console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsoleFrame {
    /// Bytes that the guest wrote.
    Bytes(Bytes),
    /// The console was closed, with the reason that was given.
    Closed(String),
}

impl Console {
    /// Opens the WebSocket at `url` (`http://…`) with the caller's token.
    pub(crate) async fn open(url: &str, token: Option<&str>) -> Result<Self, ClientError> {
        let url = url.replacen("http://", "ws://", 1);
        let broken = |source: WsError| ClientError::Console {
            source: Box::new(source),
        };
        let mut request = url.into_client_request().map_err(broken)?;
        if let Some(token) = token {
            let value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| ClientError::Token)?;
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        match tokio_tungstenite::connect_async(request).await {
            Ok((socket, _)) => {
                let (input, output) = socket.split();
                Ok(Self {
                    output: ConsoleOutput(output),
                    input: ConsoleInput(input),
                })
            }
            // A refusal comes as an ordinary answer in place of the upgrade.
            Err(WsError::Http(response)) => {
                let body = response.body().as_deref().unwrap_or_default();
                Err(ClientError::refused(response.status(), body))
            }
            Err(source) => Err(broken(source)),
        }
    }

    /// The next bytes of the guest.
    ///
    /// # Errors
    /// [`ClientError::Console`] when the connection broke.
    pub async fn receive(&mut self) -> Result<ConsoleFrame, ClientError> {
        self.output.receive().await
    }

    /// Types bytes.
    ///
    /// # Errors
    /// [`ClientError::Console`] when the connection broke.
    pub async fn send(&mut self, bytes: Bytes) -> Result<(), ClientError> {
        self.input.send(bytes).await
    }

    /// Both halves, for two tasks.
    #[must_use]
    pub fn split(self) -> (ConsoleOutput, ConsoleInput) {
        (self.output, self.input)
    }
}

impl ConsoleOutput {
    /// The next bytes of the guest.
    ///
    /// # Errors
    /// [`ClientError::Console`] when the connection broke.
    pub async fn receive(&mut self) -> Result<ConsoleFrame, ClientError> {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Binary(bytes))) => return Ok(ConsoleFrame::Bytes(bytes)),
                Some(Ok(Message::Text(text))) => return Ok(ConsoleFrame::Bytes(text.into())),
                Some(Ok(Message::Close(frame))) => {
                    let reason = frame.map(|f| f.reason.as_str().to_owned()).unwrap_or_default();
                    return Ok(ConsoleFrame::Closed(reason));
                }
                // Pings are answered by the library when it is read on.
                Some(Ok(_)) => {}
                Some(Err(WsError::ConnectionClosed | WsError::AlreadyClosed)) | None => {
                    return Ok(ConsoleFrame::Closed(String::new()));
                }
                Some(Err(source)) => {
                    return Err(ClientError::Console {
                        source: Box::new(source),
                    });
                }
            }
        }
    }
}

impl ConsoleInput {
    /// Types bytes.
    ///
    /// # Errors
    /// [`ClientError::Console`] when the connection broke.
    pub async fn send(&mut self, bytes: Bytes) -> Result<(), ClientError> {
        self.0
            .send(Message::Binary(bytes))
            .await
            .map_err(|source| ClientError::Console {
                source: Box::new(source),
            })
    }

    /// Says goodbye.
    ///
    /// # Errors
    /// [`ClientError::Console`] when the connection broke before.
    pub async fn close(&mut self) -> Result<(), ClientError> {
        self.0.close().await.map_err(|source| ClientError::Console {
            source: Box::new(source),
        })
    }
}
