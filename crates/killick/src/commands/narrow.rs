//! `killick session narrow`: an agent opens a narrower session for a sub-agent.
//!
//! It asks the gateway where agents ask, with the token of the session that it runs in: the
//! administration socket is not for agents.

use bytes::Bytes;
use http::{Method, Request, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use killick_gate::ports::Stream;
use killick_model::{Scope, UnixMillis};
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::session::scope_of;
use super::{Ended, Session};
use crate::cli::SessionNarrowArgs;
use crate::environment::{self, Access};
use crate::failure::{Exit, Failure};
use crate::show::moment::moment;
use crate::show::screen::aside;

/// Where a session asks for a narrower one.
const PATH: &str = "/killick/v1/session";
/// The header that names the session.
const SESSION_HEADER: &str = "killick-session";
/// The most bytes of the gateway's answer.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// What the gateway answers.
#[derive(Deserialize)]
struct Opened {
    session: String,
    token: String,
    expires: UnixMillis,
    #[serde(default)]
    placeholders: Vec<Placeholder>,
}

#[derive(Deserialize)]
struct Placeholder {
    #[serde(default)]
    variables: Vec<String>,
    value: String,
}

pub(super) fn narrow(session: &Session, args: SessionNarrowArgs) -> Ended {
    let shell = args.shell;
    let gateway = variable(environment::GATEWAY)?;
    let token = variable(environment::SESSION)?;
    let body = asked(args);
    let (raw, opened) = session.block_on(async {
        let stream = connect(&gateway).await?;
        exchange(stream, &gateway, &token, &body).await
    })?;
    if session.screen.json {
        session.screen.line(raw.as_str());
        return Ok(Exit::Done);
    }
    let access = Access {
        gateway: &gateway,
        token: &opened.token,
        ca_bundle: None,
        surrogates: opened
            .placeholders
            .iter()
            .map(|it| (it.variables.as_slice(), it.value.as_str()))
            .collect(),
    };
    session.screen.line(environment::lines(shell, &environment::variables(&access)).trim_end());
    aside(format!("session {} until {}", opened.session, moment(opened.expires)));
    Ok(Exit::Done)
}

fn variable(name: &str) -> Result<Zeroizing<String>, Failure> {
    std::env::var(name).map(Zeroizing::new).map_err(|_| {
        Failure::new(
            format!("${name} is not set: this shell is in no session"),
            "this is for agents; people open sessions with `killick session open`",
        )
    })
}

/// Returns the request's body: what was not said is left as it is in the session above.
fn asked(args: SessionNarrowArgs) -> Value {
    let (task, ttl_millis) = (args.task, args.ttl);
    let says_effects = !args.scope.effects.is_empty();
    let Scope { effects, upstreams, objects } = scope_of(args.scope);
    json!({
        "effects": says_effects.then_some(effects),
        "upstreams": upstreams,
        "objects": objects,
        "ttl_millis": ttl_millis,
        "task": task,
    })
}

async fn connect(gateway: &str) -> Result<Stream, Failure> {
    killick_net::dial_gateway(gateway).await.map_err(|error| {
        Failure::new(
            format!("the gateway at {gateway} cannot be reached: {error}"),
            "ask your operator whether it runs",
        )
    })
}

async fn exchange(
    stream: Stream,
    gateway: &str,
    token: &str,
    body: &Value,
) -> Result<(Zeroizing<String>, Opened), Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(
            format!("the gateway did not answer as it should: {error}"),
            "ask your operator whether it runs",
        )
    };
    let authority = gateway
        .parse::<Uri>()
        .ok()
        .and_then(|uri| uri.authority().map(ToString::to_string))
        .ok_or_else(|| failed(&"its address is none"))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
    let driving = tokio::spawn(connection);
    let request = Request::builder()
        .method(Method::POST)
        .uri(PATH)
        .header(http::header::HOST, authority)
        .header(http::header::CONTENT_TYPE, "application/json")
        .header(SESSION_HEADER, token)
        .body(Full::new(Bytes::from(body.to_string())))
        .map_err(|error| failed(&error))?;
    let answer = sender.send_request(request).await.map_err(|error| failed(&error))?;
    let status = answer.status();
    let bytes = Limited::new(answer.into_body(), ANSWER_BYTES_MAX)
        .collect()
        .await
        .map_err(|error| failed(&error))?
        .to_bytes();
    driving.abort();
    let raw = Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned());
    if status.is_success() {
        let opened =
            serde_json::from_str(&raw).map_err(|_| failed(&"its answer cannot be read"))?;
        return Ok((raw, opened));
    }
    let refused: Value = serde_json::from_str(&raw).unwrap_or_default();
    let said = |names: [&str; 2]| {
        names.iter().find_map(|name| refused.get(name).and_then(Value::as_str)).map(str::to_owned)
    };
    Err(Failure::refused(
        said(["because", "detail"]).unwrap_or_else(|| format!("the gateway answered {status}")),
        said(["next_step", "title"]).unwrap_or_else(|| "ask your operator".into()),
    ))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn answered(
        status: &'static str,
        answer: &'static str,
    ) -> (String, Result<(Zeroizing<String>, Opened), Failure>) {
        let (near, mut far) = tokio::io::duplex(64 << 10);
        let gateway = tokio::spawn(async move {
            let mut seen = vec![0; 16 << 10];
            let read = far.read(&mut seen).await.unwrap();
            let length = answer.len();
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n");
            far.write_all(format!("{head}{answer}").as_bytes()).await.unwrap();
            String::from_utf8_lossy(&seen[..read]).into_owned()
        });
        let body = json!({ "effects": ["read"] });
        let token = format!("ksess_{}", "0".repeat(64));
        let result = exchange(Box::new(near), "http://127.0.0.1:7070", &token, &body).await;
        (gateway.await.unwrap(), result)
    }

    #[tokio::test]
    async fn the_session_is_named_in_its_header_and_nowhere_else() {
        let (seen, result) = answered(
            "201 Created",
            r#"{"session":"s-2","token":"ksess_1","expires":1777000000000}"#,
        )
        .await;
        assert!(seen.starts_with("POST /killick/v1/session HTTP/1.1\r\n"), "{seen}");
        assert!(seen.contains("killick-session: ksess_0"));
        assert!(!seen.contains("authorization"));
        assert_eq!(seen.matches("ksess_").count(), 1);
        assert_eq!(result.unwrap().1.session, "s-2");
    }

    #[tokio::test]
    async fn a_refusal_is_passed_on_with_its_next_step() {
        let (_, result) = answered(
            "403 Forbidden",
            r#"{"code":"out-of-scope","because":"wider","next_step":"ask less"}"#,
        )
        .await;
        let Err(failure) = result else { panic!("a refusal is no session") };
        assert_eq!(failure.exit, Exit::Refused);
        assert!(failure.to_string().contains("wider") && failure.to_string().contains("ask less"));
    }

    #[test]
    fn what_was_not_said_stays_as_it_is() {
        let args = SessionNarrowArgs {
            task: "t".into(),
            ttl: 1,
            scope: crate::cli::ScopeArgs { effects: vec![], upstreams: vec![], objects: vec![] },
            shell: environment::Shell::Sh,
        };
        let body = asked(args);
        assert!(body["effects"].is_null() && body["upstreams"].is_null());
    }
}
