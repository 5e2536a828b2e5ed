//! A note of the gateway's own to an address that a human configured: a checkpoint, to a webhook.
//!
//! It is no call of an agent and carries nothing of one, so it does not pass the gate: the address
//! comes from the configuration, the body is public, and no credential goes with it.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderValue};
use http::uri::{PathAndQuery, Scheme};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use killick_gate::ports::{Stream, Target};
use tokio::runtime::{Builder, Handle};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::dial::{CONNECT_SECONDS_MAX, Dialer};
use crate::host::{HostError, HostKind, parse_host};
use crate::net::NetError;
use crate::resolver::SystemResolver;
use crate::trust::client_config;

/// How long one post may take, from the name to the status.
pub const POST_SECONDS_MAX: u64 = 10;

/// The longest note that is posted. A checkpoint has a few hundred bytes.
pub const POST_BODY_BYTES_MAX: usize = 64 * 1024;

/// The longest address of a webhook.
pub const WEBHOOK_ADDRESS_BYTES_MAX: usize = 2_048;

/// An address that takes notes by POST.
pub struct Webhook {
    target: Target,
    /// What `Host` says.
    authority: HeaderValue,
    /// Many webhooks carry their secret here, so it is in no name, error or `Debug`.
    path: PathAndQuery,
    name: String,
    dialer: Dialer,
    limit: Duration,
}

/// The address cannot be used as a webhook. It is not repeated: it may hold a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// The text is no address, or too long.
    #[error("the address of the webhook is no absolute https address of at most 2048 bytes")]
    Address,
    /// The scheme is neither https, nor http on this very machine.
    #[error("the webhook is not https; plain http is for 127.0.0.1, [::1] and localhost only")]
    Scheme,
    /// The address has user information or a fragment.
    #[error("the address of the webhook has user information or a fragment, which are not sent")]
    Surplus,
    /// The host cannot be used.
    #[error("the address of the webhook cannot be used: {0}")]
    Host(#[from] HostError),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] NetError),
}

/// Reads the address of a webhook; `extra_roots_pem` are trusted beside the machine's authorities.
///
/// # Errors
/// The address is not https, or is one that more than one reader would read differently.
pub fn webhook(address: &str, extra_roots_pem: &[String]) -> Result<Webhook, WebhookError> {
    if address.len() > WEBHOOK_ADDRESS_BYTES_MAX {
        return Err(WebhookError::Address);
    }
    // The library drops a fragment without a word.
    if address.contains('#') {
        return Err(WebhookError::Surplus);
    }
    let uri: Uri = address.parse().map_err(|_| WebhookError::Address)?;
    let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
        return Err(WebhookError::Address);
    };
    if authority.as_str().contains('@') {
        return Err(WebhookError::Surplus);
    }
    let bare = authority.host().trim_start_matches('[').trim_end_matches(']');
    let host = parse_host(bare)?;
    let tls = *scheme == Scheme::HTTPS;
    let here = loopback(&host);
    if !tls && (*scheme != Scheme::HTTP || here.is_none()) {
        return Err(WebhookError::Scheme);
    }
    let port = match authority.as_str().strip_prefix(authority.host()) {
        Some("") => default_port(tls),
        written => written.and_then(written_port).ok_or(WebhookError::Address)?,
    };
    let target = Target {
        host: match &host {
            HostKind::Name(name) => name.clone(),
            HostKind::Ip(ip) => ip.to_string(),
        },
        port,
        tls,
        // `localhost` is this machine whatever the resolver says.
        dial: here.map(|ip| SocketAddr::new(ip, port)),
        // A human wrote the address down; metadata services stay shut all the same.
        private_address: true,
    };
    Ok(Webhook {
        authority: HeaderValue::from_str(authority.as_str()).map_err(|_| WebhookError::Address)?,
        path: uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/")),
        name: format!("{scheme}://{authority}"),
        target,
        dialer: Dialer {
            resolver: Arc::new(SystemResolver),
            tls: TlsConnector::from(client_config(true, extra_roots_pem)?),
            own_addresses: Vec::new(),
            limit: Duration::from_secs(CONNECT_SECONDS_MAX),
        },
        limit: Duration::from_secs(POST_SECONDS_MAX),
    })
}

impl Webhook {
    /// Returns scheme, host and port: what may be shown of the address.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Posts a note and waits for the status, which must be 2xx. No redirect is followed.
    ///
    /// It blocks for up to [`POST_SECONDS_MAX`] and runs a small runtime of its own.
    ///
    /// # Errors
    /// The note was not taken, or nobody can say whether it was. The error has no part of the path.
    pub fn post(&self, body: &str, content_type: &str) -> io::Result<()> {
        if body.len() > POST_BODY_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the note is too long"));
        }
        let kind = HeaderValue::from_str(content_type)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "no content type"))?;
        if Handle::try_current().is_ok() {
            return Err(io::Error::other("a post blocks, so it cannot run on an async thread"));
        }
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let sent = runtime.block_on(async { timeout(self.limit, self.send(body, kind)).await });
        let status = sent.unwrap_or_else(|_| {
            let message = format!("`{}` did not answer within the limit", self.name);
            Err(io::Error::new(io::ErrorKind::TimedOut, message))
        })?;
        if status.is_success() {
            return Ok(());
        }
        Err(io::Error::other(format!("`{}` answered {}", self.name, status.as_u16())))
    }

    async fn send(&self, body: &str, content_type: HeaderValue) -> io::Result<StatusCode> {
        let stream: Stream = self
            .dialer
            .open(&self.target)
            .await
            .map_err(|error| io::Error::other(error.to_string()))?;
        let failed = |_: hyper::Error| {
            io::Error::other(format!("`{}` did not answer in HTTP/1.1", self.name))
        };
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(Uri::from(self.path.clone()))
            .header(HOST, self.authority.clone())
            .header(CONTENT_TYPE, content_type)
            .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
            .map_err(io::Error::other)?;
        // The connection ends with this call: nothing of the answer but its status is read.
        let mut answer = std::pin::pin!(sender.send_request(request));
        let answered = tokio::select! {
            biased;
            answered = &mut answer => answered,
            // It may end in the very step that brings the answer.
            _ = connection => answer.await,
        };
        Ok(answered.map_err(failed)?.status())
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("name", &self.name).finish_non_exhaustive()
    }
}

const fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

/// Reads `:8443`. The library passes over a port that does not fit.
fn written_port(raw: &str) -> Option<u16> {
    let digits = raw.strip_prefix(':')?;
    let plain = digits.bytes().all(|it| it.is_ascii_digit()) && !digits.starts_with('0');
    digits.parse().ok().filter(|_| plain)
}

/// Returns the address of this very machine that the host names, if it names one.
fn loopback(host: &HostKind) -> Option<std::net::IpAddr> {
    match host {
        HostKind::Name(name) if name == "localhost" => Some(Ipv4Addr::LOCALHOST.into()),
        HostKind::Ip(ip) if ip.is_loopback() => Some(*ip),
        HostKind::Name(_) | HostKind::Ip(_) => None,
    }
}

#[cfg(test)]
mod tests;
