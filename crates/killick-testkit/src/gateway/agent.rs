//! An agent's side: a session's environment, and clients that use it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Answer, Said, said};
use crate::connect_router::PROVIDER_HOSTS;

/// How long an answer may take.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(40);
/// Bytes of the answer to a CONNECT.
const CONNECT_ANSWER_BYTES_MAX: usize = 64 << 10;
/// The path of the provider's API.
const API_PATH: &str = "/graphql/v2";

/// An agent's session: what it was handed, and what its clients do with it.
#[derive(Clone, Debug)]
pub struct AgentSession {
    /// The session's id.
    pub id: String,
    /// Its token.
    pub token: String,
    /// The placeholder that stands for the provider's credential.
    pub surrogate: String,
    /// The environment that the agent's clients run in.
    pub environment: Vec<(String, String)>,
    ca_file: PathBuf,
    addr: Arc<Mutex<SocketAddr>>,
    tls: Arc<ClientConfig>,
}

/// A tunnel through the gateway to one host, open for several requests.
#[derive(Debug)]
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: String,
}

/// An answer whose body is still coming.
#[derive(Debug)]
pub struct Streaming {
    /// The status.
    pub status: u16,
    body: Incoming,
}

impl AgentSession {
    /// Reads what `killick session open --json` printed.
    pub(super) fn of(
        opened: &Value,
        ca_file: PathBuf,
        addr: Arc<Mutex<SocketAddr>>,
    ) -> anyhow::Result<Self> {
        let text = |at: &str| {
            let found = opened.pointer(at).and_then(Value::as_str).map(str::to_owned);
            found.with_context(|| format!("the opened session has no {at}"))
        };
        let variables = opened.get("environment").and_then(Value::as_object);
        let environment = variables.context("the opened session has no environment")?;
        let mut session = Self {
            id: text("/session/principal/session")?,
            token: text("/token")?,
            surrogate: text("/surrogates/0/value").unwrap_or_default(),
            environment: environment
                .iter()
                .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
                .collect(),
            tls: trusting(&ca_file)?,
            ca_file,
            addr,
        };
        session.environment.sort();
        Ok(session)
    }

    /// Returns the session under another token and placeholder, at the same gateway.
    #[must_use]
    pub fn with(&self, token: &str, surrogate: &str) -> Self {
        Self { token: token.to_owned(), surrogate: surrogate.to_owned(), ..self.clone() }
    }

    /// Returns a variable of the session's environment.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.environment.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_str())
    }

    /// Returns the proxy's address with the session's token in it.
    #[must_use]
    pub fn proxy_url(&self) -> String {
        format!("http://killick:{}@{}", self.token, self.addr.lock())
    }

    /// Returns the file with the gateway's certificate authority.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.ca_file.clone()
    }

    /// Opens a bare connection to the gateway.
    ///
    /// # Errors
    /// It does not listen.
    pub async fn dial(&self) -> anyhow::Result<TcpStream> {
        let addr = *self.addr.lock();
        Ok(TcpStream::connect(addr).await?)
    }

    /// Asks for a tunnel; the answer tells why there is none.
    ///
    /// # Errors
    /// The gateway does not answer, or its certificate is not good for the host.
    pub async fn tunnel(&self, host: &str) -> anyhow::Result<Result<TlsStream<TcpStream>, Answer>> {
        let mut stream = self.dial().await?;
        let token = STANDARD.encode(format!("killick:{}", self.token));
        let head = format!(
            "CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\nProxy-Authorization: Basic {token}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            ensure!(answer.len() < CONNECT_ANSWER_BYTES_MAX, "the answer to CONNECT has no end");
            answer.push(stream.read_u8().await?);
        }
        if !answer.starts_with(b"HTTP/1.1 200 ") {
            // The refusal ends with its connection.
            let _cut = stream.read_to_end(&mut answer).await;
            return Ok(Err(parsed(&answer)?));
        }
        let name = ServerName::try_from(host.to_owned())?;
        let connected = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await?;
        Ok(Ok(connected))
    }

    /// Opens a tunnel for several requests.
    ///
    /// # Errors
    /// It is refused.
    pub async fn connect(&self, host: &str) -> anyhow::Result<Connection> {
        match self.tunnel(host).await? {
            Ok(stream) => {
                let (sender, connection) =
                    hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
                tokio::spawn(connection);
                Ok(Connection { sender, host: host.to_owned() })
            }
            Err(answer) => bail!("the tunnel was refused: {answer:?}"),
        }
    }

    /// Sends one request through a tunnel of its own.
    ///
    /// # Errors
    /// There is no answer; a refusal is one.
    pub async fn send(&self, host: &str, request: Request<Full<Bytes>>) -> anyhow::Result<Answer> {
        let connected = match self.tunnel(host).await? {
            Ok(stream) => stream,
            Err(answer) => return Ok(answer),
        };
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(connected)).await?;
        tokio::spawn(connection);
        Connection { sender, host: host.to_owned() }.send(request).await
    }

    /// Sends bytes as they are through a tunnel, and reads until the connection ends.
    ///
    /// # Errors
    /// The tunnel is refused, or the gateway does not answer in time.
    pub async fn raw(&self, host: &str, bytes: &[u8]) -> anyhow::Result<Answer> {
        let mut stream = match self.tunnel(host).await? {
            Ok(stream) => stream,
            Err(answer) => return Ok(answer),
        };
        stream.write_all(bytes).await?;
        stream.flush().await?;
        let mut answer = Vec::new();
        let reading = stream.read_to_end(&mut answer);
        // A connection that ends without the good-bye of TLS has said what it had to say.
        let _end = tokio::time::timeout(ANSWER_WAIT_MAX, reading).await?;
        parsed(&answer)
    }

    /// Sends a call of the provider's API as its clients would, with the placeholder.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn call(&self, query: &str, variables: &Value) -> anyhow::Result<Answer> {
        let body = json!({"query": query, "variables": variables}).to_string();
        self.send(PROVIDER_HOSTS[0], self.request(&body)?).await
    }

    /// Builds a call of the provider's API with the placeholder.
    ///
    /// # Errors
    /// The placeholder cannot stand in a header.
    pub fn request(&self, body: &str) -> anyhow::Result<Request<Full<Bytes>>> {
        Ok(Request::post(API_PATH)
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {}", self.surrogate))
            .body(Full::new(Bytes::from(body.to_owned())))?)
    }

    /// Runs the real curl in the session's environment.
    ///
    /// # Errors
    /// It is not installed, or is not done in time.
    pub async fn curl(&self, args: &[&str]) -> anyhow::Result<Said> {
        let mut command = Command::new("curl");
        command.arg("-sS").args(args).env_clear();
        let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/bin:/bin".to_owned());
        command.env("PATH", path).envs(self.environment.iter().cloned());
        // The gateway may have been started anew, on another port.
        let proxy = self.proxy_url();
        for name in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"] {
            command.env(name, &proxy);
        }
        said(&mut command, "").await
    }
}

impl Connection {
    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// The connection ends without one.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> anyhow::Result<Answer> {
        let (status, headers, body) = {
            let response = self.begin(request).await?;
            let (parts, body) = response.into_parts();
            (parts.status.as_u16(), parts.headers, body)
        };
        let body = tokio::time::timeout(ANSWER_WAIT_MAX, body.collect()).await??.to_bytes();
        Ok(Answer { status, headers, body: String::from_utf8_lossy(&body).into_owned() })
    }

    /// Sends a request and leaves the body of the answer to be read.
    ///
    /// # Errors
    /// The connection ends before the head of an answer.
    pub async fn stream(&mut self, request: Request<Full<Bytes>>) -> anyhow::Result<Streaming> {
        let response = self.begin(request).await?;
        Ok(Streaming { status: response.status().as_u16(), body: response.into_body() })
    }

    async fn begin(
        &mut self,
        mut request: Request<Full<Bytes>>,
    ) -> anyhow::Result<http::Response<Incoming>> {
        if !request.headers().contains_key("host") {
            request.headers_mut().insert("host", self.host.parse()?);
        }
        self.sender.ready().await?;
        Ok(tokio::time::timeout(ANSWER_WAIT_MAX, self.sender.send_request(request)).await??)
    }
}

impl Streaming {
    /// Waits for the next piece; `None` when the connection ended, in whichever way.
    pub async fn piece(&mut self) -> Option<Bytes> {
        loop {
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Some(data);
                    }
                }
                Some(Err(_)) | None => return None,
            }
        }
    }
}

fn trusting(ca_file: &std::path::Path) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca_file)? {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Reads an answer that ended with its connection.
fn parsed(bytes: &[u8]) -> anyhow::Result<Answer> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n").context("no answer, or half of one")?;
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).context("no status")?;
    let mut headers = http::HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let name = http::HeaderName::from_bytes(name.as_bytes())?;
        headers.append(name, value.trim().parse()?);
    }
    Ok(Answer { status: status.parse()?, headers, body: body.to_owned() })
}
