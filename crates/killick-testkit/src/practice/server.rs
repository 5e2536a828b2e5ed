//! The world's HTTP face.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use apollo_compiler::ExecutableDocument;
use apollo_compiler::response::JsonMap;
use apollo_compiler::validation::Valid;
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use url::form_urlencoded;

use super::access::{self, Principal};
use super::journal::SeenRequest;
use super::request::{self, Asked};
use super::world::Inner;
use super::{executor, state};

/// Bytes of a request's body as it travels.
const BODY_BYTES_MAX: usize = 32 << 20;
/// How long `/hang` keeps its caller waiting.
const HANG: Duration = Duration::from_hours(1);
/// Pieces that `/slow-stream` sends.
const SLOW_PIECES: u32 = 600;
/// The time between two of them.
const SLOW_PAUSE: Duration = Duration::from_millis(100);
/// The body of `/k1`.
const K1: [u8; 1024] = [b'k'; 1024];

/// What is said of a field that the options refuse.
const REFUSED_ON_PURPOSE: &str = "refused on purpose (practice-refusal)";

type Body = BoxBody<Bytes, Infallible>;

/// Accepts connections until its task is stopped, which stops them too.
pub(super) async fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    inner: Arc<Inner>,
) {
    let acceptor = tls.map(TlsAcceptor::from);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                // A benchmark's small answers must not wait for more bytes to come.
                let _without_delay = stream.set_nodelay(true);
                let (acceptor, inner) = (acceptor.clone(), Arc::clone(&inner));
                connections.spawn(async move {
                    match acceptor {
                        Some(acceptor) => match acceptor.accept(stream).await {
                            Ok(stream) => connection(stream, inner).await,
                            Err(_refused) => {}
                        },
                        None => connection(stream, inner).await,
                    }
                });
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin + 'static, inner: Arc<Inner>) {
    let service = service_fn(move |request| {
        let inner = Arc::clone(&inner);
        async move { Ok::<_, Infallible>(answer(request, &inner).await) }
    });
    // A client that goes away is its own affair.
    let _closed = auto::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(request: Request<Incoming>, inner: &Inner) -> Response<Body> {
    let (head, body) = request.into_parts();
    if head.uri.path() == "/k1" {
        return full(StatusCode::OK, "application/octet-stream", Bytes::from_static(&K1));
    }
    let body = match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(_cut) => return errors(StatusCode::PAYLOAD_TOO_LARGE, "body too large or cut short"),
    };
    let credential = credential(&head.headers);
    let principal = access::authenticate(&inner.state.lock(), credential.as_deref());
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let mut seen = SeenRequest {
        seq: 0,
        method: head.method.to_string(),
        path,
        headers: readable(&head.headers),
        body: String::from_utf8_lossy(&body).into_owned(),
        principal: principal.name().to_owned(),
        root_fields: Vec::new(),
        executed: Vec::new(),
    };
    if head.uri.path().starts_with("/graphql") {
        return graphql(&head, &body, seen, &principal, inner);
    }
    seen.root_fields.clear();
    if inner.journal.record(seen.clone()).is_err() {
        return errors(StatusCode::INTERNAL_SERVER_ERROR, "the request log cannot be written");
    }
    plain(&head, &seen).await
}

/// Answers what is not the API: what a test of a gateway needs an upstream for.
async fn plain(head: &http::request::Parts, seen: &SeenRequest) -> Response<Body> {
    let query: Vec<(String, String)> =
        form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes())
            .into_owned()
            .collect();
    let parameter =
        |name: &str| query.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone());
    match head.uri.path() {
        "/echo" => json_answer(
            StatusCode::OK,
            &json!({
                "method": seen.method, "path": seen.path, "headers": seen.headers, "body": seen.body,
            }),
        ),
        "/redirect" => {
            let to = parameter("to").unwrap_or_else(|| "/echo".to_owned());
            with_header(StatusCode::FOUND, header::LOCATION, &to)
        }
        "/cookie" => with_header(
            StatusCode::OK,
            header::SET_COOKIE,
            &format!(
                "session={}; Path=/; HttpOnly",
                parameter("value").unwrap_or_else(state::new_id)
            ),
        ),
        "/status" => {
            let code = parameter("code").and_then(|code| code.parse().ok());
            let status = code.and_then(|code: u16| StatusCode::from_u16(code).ok());
            errors(status.unwrap_or(StatusCode::OK), "as asked")
        }
        "/hang" => {
            tokio::time::sleep(HANG).await;
            errors(StatusCode::OK, "at last")
        }
        "/slow-stream" => slow_stream(),
        path if path.ends_with("/up") && head.method == Method::POST => json_answer(
            StatusCode::OK,
            &json!({
                "deploymentId": state::new_id(), "url": "https://railway.com/project",
                "logsUrl": "https://railway.com/project", "deploymentDomain": "practice.test",
            }),
        ),
        _ => errors(StatusCode::NOT_FOUND, "not simulated"),
    }
}

/// A validated operation, or the answer that its fault gets.
type Prepared = Result<(Valid<ExecutableDocument>, Asked), Value>;

fn graphql(
    head: &http::request::Parts,
    body: &[u8],
    mut seen: SeenRequest,
    principal: &Principal,
    inner: &Inner,
) -> Response<Body> {
    let read = request::read(&head.method, &head.uri, &head.headers, body);
    let prepared: Vec<Prepared> = match &read {
        Ok(request) => request.asked.iter().map(|asked| prepare(asked, inner)).collect(),
        Err(_) => Vec::new(),
    };
    for (document, asked) in prepared.iter().flatten() {
        seen.root_fields.extend(root_fields(document, asked.operation_name.as_deref()));
    }
    let refused = seen.root_fields.iter().any(|field| inner.refused.contains(field));
    let mutates = seen.root_fields.iter().any(|field| field.starts_with("mutation."));
    let Ok(seq) = inner.journal.record(seen) else {
        return errors(StatusCode::INTERNAL_SERVER_ERROR, "the request log cannot be written");
    };
    let batch = match read {
        Ok(request) => request.batch,
        Err(fault) => return errors(StatusCode::BAD_REQUEST, &fault.to_string()),
    };
    if head.method == Method::GET && mutates {
        return errors(StatusCode::METHOD_NOT_ALLOWED, "a mutation is not answered over GET");
    }
    if refused {
        return errors(StatusCode::FORBIDDEN, REFUSED_ON_PURPOSE);
    }
    let invalid = prepared.first().is_some_and(Result::is_err);
    let answers: Vec<Value> = prepared
        .into_iter()
        .map(|prepared| match prepared {
            Ok((document, asked)) => run(&document, &asked, seq, principal, inner),
            Err(fault) => fault,
        })
        .collect();
    if batch {
        return json_answer(StatusCode::OK, &Value::Array(answers));
    }
    let status = if invalid { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    json_answer(status, &answers.into_iter().next().unwrap_or(Value::Null))
}

fn prepare(asked: &Asked, inner: &Inner) -> Prepared {
    let fault = |message: &str| Err(json!({"errors": [{"message": message}]}));
    let text = match (&asked.query, &asked.hash) {
        (Some(query), hash) => {
            if let Some(hash) = hash {
                inner.state.lock().register_document(hash, query);
            }
            query.clone()
        }
        (None, Some(hash)) => match inner.state.lock().document(hash) {
            Some(document) => document,
            None => return fault("PersistedQueryNotFound"),
        },
        (None, None) => return fault("Must provide query string."),
    };
    match ExecutableDocument::parse_and_validate(&inner.schema, text, "request.graphql") {
        Ok(document) => Ok((document, asked.clone())),
        Err(invalid) => {
            let faults: Vec<Value> =
                invalid.errors.iter().map(|fault| json!(fault.unstable_to_json_compat())).collect();
            Err(json!({ "errors": faults }))
        }
    }
}

/// Lists the root fields of the operation that would run.
fn root_fields(document: &Valid<ExecutableDocument>, operation_name: Option<&str>) -> Vec<String> {
    let Ok(operation) = document.operations.get(operation_name) else { return Vec::new() };
    let kind = operation.operation_type.name();
    operation.root_fields(document).map(|field| format!("{kind}.{}", field.name)).collect()
}

fn run(
    document: &Valid<ExecutableDocument>,
    asked: &Asked,
    seq: u64,
    principal: &Principal,
    inner: &Inner,
) -> Value {
    let variables: JsonMap =
        serde_json::from_value(Value::Object(asked.variables.clone())).unwrap_or_default();
    let name = asked.operation_name.as_deref();
    let (answer, executed) =
        executor::execute(&inner.schema, document, name, &variables, &inner.state, principal);
    inner.journal.executed(seq, executed);
    answer
}

/// Finds a token in whichever header carries one.
fn credential(headers: &HeaderMap) -> Option<String> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let authorization = text("authorization")
        .map(|value| value.split_once(' ').map_or(value, |(_, token)| token).trim().to_owned());
    authorization.or_else(|| text("project-access-token").map(str::to_owned))
}

fn readable(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect()
}

fn slow_stream() -> Response<Body> {
    let (sender, receiver) = tokio::sync::mpsc::channel::<Bytes>(1);
    tokio::spawn(async move {
        for number in 0..SLOW_PIECES {
            if sender.send(Bytes::from(format!("piece {number}\n"))).await.is_err() {
                return;
            }
            tokio::time::sleep(SLOW_PAUSE).await;
        }
    });
    Response::new(Pieces(receiver).boxed())
}

/// A body that is sent as it comes.
struct Pieces(tokio::sync::mpsc::Receiver<Bytes>);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

fn json_answer(status: StatusCode, value: &Value) -> Response<Body> {
    full(status, "application/json; charset=utf-8", Bytes::from(value.to_string()))
}

fn errors(status: StatusCode, message: &str) -> Response<Body> {
    json_answer(status, &json!({"errors": [{"message": message}]}))
}

fn with_header(status: StatusCode, name: HeaderName, value: &str) -> Response<Body> {
    let mut response = errors(status, "as asked");
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
    response
}

fn full(status: StatusCode, kind: &'static str, bytes: Bytes) -> Response<Body> {
    let mut response = Response::new(Full::new(bytes).boxed());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
