//! The command line's side of the administration socket: the only place here that opens one.

use std::path::Path;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use killick_admin::protocol::{AdminError, COMMAND_PATH, Envelope, Reply};
use tokio::net::UnixStream;

/// The most bytes of a reply.
const REPLY_BYTES_MAX: usize = 256 << 20;

/// Why there is no reply.
#[derive(Debug)]
pub(crate) enum AskError {
    /// Nobody answers on the socket.
    NotRunning {
        /// Where.
        socket: String,
        /// What the system said.
        why: String,
    },
    /// The gateway refused.
    Refused(AdminError),
    /// What came is no reply.
    Broken(String),
}

/// Sends one command and waits for its reply.
pub(crate) async fn ask(socket: &Path, envelope: &Envelope) -> Result<Reply, AskError> {
    let stream = UnixStream::connect(socket).await.map_err(|error| AskError::NotRunning {
        socket: socket.display().to_string(),
        why: error.to_string(),
    })?;
    let broken = |what: &dyn std::fmt::Display| AskError::Broken(what.to_string());
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
    let driving = tokio::spawn(connection);
    let body = serde_json::to_vec(envelope).map_err(|error| broken(&error))?;
    let request = Request::builder()
        .method(Method::POST)
        .uri(COMMAND_PATH)
        .header(http::header::HOST, "killick")
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| broken(&error))?;
    let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
    let status = response.status();
    let body = Limited::new(response.into_body(), REPLY_BYTES_MAX)
        .collect()
        .await
        .map_err(|error| broken(&error))?
        .to_bytes();
    driving.abort();
    if status.is_success() {
        return serde_json::from_slice(&body).map_err(|_| {
            AskError::Broken("the gateway's reply cannot be read; is it of another version?".into())
        });
    }
    match serde_json::from_slice::<AdminError>(&body) {
        Ok(error) => Err(AskError::Refused(error)),
        Err(_) => Err(AskError::Broken(format!("the gateway answered {status}"))),
    }
}
