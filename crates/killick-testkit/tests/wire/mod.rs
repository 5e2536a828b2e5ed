//! A client just large enough to talk to the world over TLS.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use killick_testkit::practice::PracticeWorld;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Talks to one world with one token, a connection a request.
#[derive(Clone)]
pub(crate) struct Caller {
    addr: std::net::SocketAddr,
    tls: Arc<ClientConfig>,
    token: Option<String>,
}

impl Caller {
    /// Talks with the account's token.
    pub(crate) fn of(world: &PracticeWorld) -> Self {
        let mut roots = RootCertStore::empty();
        let ca =
            rustls::pki_types::CertificateDer::from_pem_slice(world.ca_pem.as_bytes()).unwrap();
        roots.add(ca).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { addr: world.addr, tls: Arc::new(tls), token: Some(world.account_token.clone()) }
    }

    /// Talks with another token, or none.
    pub(crate) fn with_token(&self, token: Option<&str>) -> Self {
        Self { token: token.map(str::to_owned), ..self.clone() }
    }

    /// Sends one document.
    pub(crate) async fn query(&self, document: &str) -> Value {
        let body = json!({ "query": document }).to_string();
        self.post("/graphql/v2", Some("application/json"), &body).await.1
    }

    /// Posts a body.
    pub(crate) async fn post(
        &self,
        path: &str,
        content_type: Option<&str>,
        body: &str,
    ) -> (u16, Value) {
        self.send(Method::POST, path, content_type, body).await
    }

    /// Gets a path.
    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.send(Method::GET, path, None, "").await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        content_type: Option<&str>,
        body: &str,
    ) -> (u16, Value) {
        let mut request =
            Request::builder().method(method).uri(path).header("host", "backboard.railway.app");
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
        let stream = TcpStream::connect(self.addr).await.unwrap();
        let name = ServerName::try_from("backboard.railway.app").unwrap();
        let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let response = sender.send_request(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }
}
