//! An object store that speaks S3, over the gateway's own dialer: every address looked at, TLS verified.
//!
//! What goes there is sealed before it comes here, and the address was written into the configuration by a
//! human. No call of an agent passes here, so none of it passes the gate.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::{HOST, HeaderValue};
use http::uri::{PathAndQuery, Scheme};
use http::{Response, Uri};
use http_body_util::{BodyExt as _, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use killick_gate::ports::Target;
use object_store::aws::AmazonS3Builder;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
    HttpResponse, HttpResponseBody, HttpService,
};
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use parking_lot::Mutex;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use crate::dial::{CONNECT_SECONDS_MAX, Dialer};
use crate::net::NetError;
use crate::resolver::SystemResolver;
use crate::trust::client_config;

/// How long one request to an object store may take, its body and the answer's included.
pub const OBJECT_SECONDS_MAX: u64 = 60;
/// The most bytes of one answer; more than any range that is asked for.
pub const OBJECT_ANSWER_BYTES_MAX: usize = 32 << 20;
/// How often a request is tried again.
const TRIES_MAX: usize = 4;
/// Connections that are kept open for the next request.
const IDLE_CONNECTIONS_MAX: usize = 8;

/// Where an S3 bucket is, and who the gateway is there.
pub struct S3Options {
    /// The bucket.
    pub bucket: String,
    /// The service's address (`https://s3.example.com`); the region's own when absent.
    pub endpoint: Option<String>,
    /// The region.
    pub region: String,
    /// The access key's id.
    pub access_key: String,
    /// The access key's secret.
    pub secret_key: Zeroizing<String>,
    /// A token beside them, where the credential is a passing one.
    pub session_token: Option<Zeroizing<String>>,
    /// Certificates (PEM) of further authorities to trust.
    pub extra_roots_pem: Vec<String>,
}

/// The object store cannot be set up. Holds no part of the credential.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ObjectsError {
    /// The settings make no sense.
    #[error("the object store cannot be used: {0}")]
    Settings(String),
    /// The service's address is neither https, nor http on this very machine.
    #[error("the object store's address is not https; plain http is for this machine only")]
    Scheme,
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] NetError),
}

/// Opens a bucket. Nothing is dialled yet.
///
/// # Errors
/// The address is not https, or the settings make no sense.
pub fn s3(options: S3Options) -> Result<Arc<dyn ObjectStore>, ObjectsError> {
    let settings = |error: object_store::Error| ObjectsError::Settings(error.to_string());
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(options.bucket)
        .with_region(options.region)
        .with_access_key_id(options.access_key)
        .with_secret_access_key(options.secret_key.as_str())
        .with_retry(RetryConfig {
            backoff: BackoffConfig::default(),
            max_retries: TRIES_MAX,
            retry_timeout: Duration::from_secs(OBJECT_SECONDS_MAX.saturating_mul(2)),
        })
        .with_client_options(ClientOptions::new())
        .with_http_connector(Connector::new(&options.extra_roots_pem)?);
    if let Some(token) = &options.session_token {
        builder = builder.with_token(token.as_str());
    }
    if let Some(endpoint) = &options.endpoint {
        let plain = endpoint.starts_with("http://");
        if plain && !is_here(endpoint) || !plain && !endpoint.starts_with("https://") {
            return Err(ObjectsError::Scheme);
        }
        builder = builder.with_endpoint(endpoint).with_allow_http(plain);
    }
    Ok(Arc::new(builder.build().map_err(settings)?))
}

fn is_here(endpoint: &str) -> bool {
    endpoint.parse::<Uri>().ok().is_some_and(|uri| {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        host == "localhost"
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    })
}

/// Hands the library its way to the network.
struct Connector(HttpClient);

impl Connector {
    fn new(extra_roots_pem: &[String]) -> Result<Self, NetError> {
        Ok(Self(HttpClient::new(Service {
            dialer: Dialer {
                resolver: Arc::new(SystemResolver),
                tls: TlsConnector::from(client_config(true, extra_roots_pem)?),
                own_addresses: Vec::new(),
                limit: Duration::from_secs(CONNECT_SECONDS_MAX),
            },
            idle: Mutex::default(),
        })))
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(self.0.clone())
    }
}

/// Whom one connection speaks to: scheme and authority.
type Peer = (Scheme, String);

struct Service {
    dialer: Dialer,
    idle: Mutex<HashMap<Peer, Vec<SendRequest<HttpRequestBody>>>>,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Service")
    }
}

#[async_trait::async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        match timeout(Duration::from_secs(OBJECT_SECONDS_MAX), self.exchange(request)).await {
            Ok(answered) => answered,
            Err(_) => Err(failed(HttpErrorKind::Timeout, "it did not answer within the limit")),
        }
    }
}

impl Service {
    async fn exchange(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let peer = peer(request.uri())?;
        let host = HeaderValue::from_str(&peer.1)
            .map_err(|_| failed(HttpErrorKind::Unknown, "its address fits no Host header"))?;
        request.headers_mut().insert(HOST, host);
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = path.unwrap_or_else(|| PathAndQuery::from_static("/")).into();
        let mut sender = match self.take(&peer) {
            Some(idle) => idle,
            None => self.dial(&peer).await?,
        };
        let answer = sender.send_request(request).await.map_err(|error| broken(&error))?;
        let (parts, body) = answer.into_parts();
        let bytes = Limited::new(body, OBJECT_ANSWER_BYTES_MAX)
            .collect()
            .await
            .map_err(|_| failed(HttpErrorKind::Interrupted, "its answer broke off or is too long"))?
            .to_bytes();
        self.keep(peer, sender);
        Ok(Response::from_parts(parts, HttpResponseBody::from(bytes)))
    }

    async fn dial(&self, peer: &Peer) -> Result<SendRequest<HttpRequestBody>, HttpError> {
        let target = target(peer)
            .ok_or_else(|| failed(HttpErrorKind::Unknown, "its address cannot be read"))?;
        let stream = self
            .dialer
            .open(&target)
            .await
            .map_err(|error| failed(HttpErrorKind::Connect, &error.to_string()))?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
        // It ends when its sender is dropped, or the other side closes.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to the object store ended");
            }
        });
        Ok(sender)
    }

    fn take(&self, peer: &Peer) -> Option<SendRequest<HttpRequestBody>> {
        let mut idle = self.idle.lock();
        let kept = idle.get_mut(peer)?;
        kept.retain(|sender| !sender.is_closed());
        let ready = kept.iter().position(SendRequest::is_ready)?;
        Some(kept.swap_remove(ready))
    }

    fn keep(&self, peer: Peer, sender: SendRequest<HttpRequestBody>) {
        let mut idle = self.idle.lock();
        let kept = idle.entry(peer).or_default();
        kept.retain(|sender| !sender.is_closed());
        if kept.len() < IDLE_CONNECTIONS_MAX {
            kept.push(sender);
        }
    }
}

fn peer(uri: &Uri) -> Result<Peer, HttpError> {
    match (uri.scheme(), uri.authority()) {
        (Some(scheme), Some(authority)) if !authority.as_str().contains('@') => {
            Ok((scheme.clone(), authority.as_str().to_owned()))
        }
        _ => Err(failed(HttpErrorKind::Unknown, "its address is not absolute")),
    }
}

fn target((scheme, authority): &Peer) -> Option<Target> {
    let authority: http::uri::Authority = authority.parse().ok()?;
    let tls = *scheme == Scheme::HTTPS;
    let host = authority.host().trim_matches(['[', ']']);
    let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let here = std::net::SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, port));
    Some(Target {
        host: host.to_owned(),
        port,
        tls,
        // `localhost` is this machine whatever the resolver says.
        dial: (host == "localhost").then_some(here),
        // A human wrote the address down; metadata services stay shut all the same.
        private_address: true,
    })
}

fn broken(error: &hyper::Error) -> HttpError {
    let kind = if error.is_timeout() { HttpErrorKind::Timeout } else { HttpErrorKind::Interrupted };
    failed(kind, "the connection broke off")
}

fn failed(kind: HttpErrorKind, why: &str) -> HttpError {
    HttpError::new(
        kind,
        std::io::Error::other(format!("the object store cannot be reached: {why}")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(endpoint: &str) -> S3Options {
        S3Options {
            bucket: "points".into(),
            endpoint: Some(endpoint.into()),
            region: "eu-central-1".into(),
            access_key: "id".into(),
            secret_key: Zeroizing::new("hush-hush".into()),
            session_token: None,
            extra_roots_pem: Vec::new(),
        }
    }

    #[test]
    fn an_object_store_elsewhere_is_spoken_to_in_tls_alone() {
        for far in ["http://s3.example.com", "http://10.0.0.1:9000", "ftp://127.0.0.1", "s3"] {
            assert_eq!(s3(options(far)).err(), Some(ObjectsError::Scheme), "{far}");
        }
        for near in ["http://127.0.0.1:9000", "http://localhost:9000", "http://[::1]:9000"] {
            assert!(s3(options(near)).is_ok(), "{near}");
        }
        assert!(s3(options("https://s3.example.com")).is_ok());
    }

    #[test]
    fn neither_key_shows_in_debug() {
        let store = s3(options("https://s3.example.com")).unwrap();
        assert!(!format!("{store:?} {store}").contains("hush"));
    }
}
