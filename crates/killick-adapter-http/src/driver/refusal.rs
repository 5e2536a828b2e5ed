//! Refusals in the shape that the agent's client understands.

use bytes::Bytes;
use http::{Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use killick_model::{Code, Refusal};

use super::answer::AnswerBody;

/// The page that explains a code.
const PAGES: &str = "https://github.com/killick-dev/killick/blob/main/docs/refusals/";

/// Returns the refusal as `application/problem+json` (RFC 9457), or GraphQL-shaped for GraphQL calls.
pub(super) fn answer(refusal: &Refusal, graphql: bool) -> Response<AnswerBody> {
    let body = if graphql { graphql_shaped(refusal) } else { problem(refusal) };
    let status = match refusal.code.http_status() {
        // Clients of GraphQL read errors from the body, but give up on a 429 without looking at it.
        429 if graphql => 403,
        status => status,
    };
    let kind = if graphql { "application/json" } else { "application/problem+json" };
    let mut response = Response::new(whole(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    if let Ok(code) = header::HeaderValue::from_str(refusal.code.as_str()) {
        headers.insert("killick-refusal", code);
    }
    if matches!(refusal.code, Code::NoSession | Code::SessionEnded) {
        let challenge = header::HeaderValue::from_static("Basic realm=\"killick session\"");
        headers.insert(header::PROXY_AUTHENTICATE, challenge);
    }
    response
}

fn problem(refusal: &Refusal) -> serde_json::Value {
    let mut problem = serde_json::json!({
        "type": format!("{PAGES}{}.md", refusal.code),
        "title": refusal.code,
        "status": refusal.code.http_status(),
        "detail": refusal.to_string(),
        "code": refusal.code,
        "because": refusal.because,
        "not_done": refusal.not_done,
        "next_step": refusal.next_step,
    });
    identify(&mut problem, refusal);
    problem
}

fn graphql_shaped(refusal: &Refusal) -> serde_json::Value {
    let mut extensions = serde_json::json!({
        "code": refusal.code,
        "because": refusal.because,
        "not_done": refusal.not_done,
        "next_step": refusal.next_step,
        "help": format!("{PAGES}{}.md", refusal.code),
    });
    identify(&mut extensions, refusal);
    serde_json::json!({
        "errors": [{ "message": format!("killick: {refusal}"), "extensions": extensions }],
        "data": null,
    })
}

fn identify(into: &mut serde_json::Value, refusal: &Refusal) {
    let Some(map) = into.as_object_mut() else { return };
    if let Some(call) = &refusal.call {
        map.insert("call".into(), call.as_str().into());
    }
    if let Some(request) = &refusal.request {
        map.insert("request".into(), request.as_str().into());
    }
    if let Some(pending) = &refusal.pending {
        map.insert("pending".into(), pending.as_str().into());
    }
}

/// Returns a body that is there as a whole.
pub(super) fn whole(text: impl Into<Bytes>) -> AnswerBody {
    Full::new(text.into()).map_err(|never| match never {}).boxed_unsync()
}

/// Returns the bytes of a refusal on a connection that never became HTTP for the library (CONNECT).
pub(super) fn raw(refusal: &Refusal) -> Vec<u8> {
    let body = problem(refusal).to_string();
    let status = refusal.code.http_status();
    let challenge =
        if status == 407 { "Proxy-Authenticate: Basic realm=\"killick session\"\r\n" } else { "" };
    format!(
        "HTTP/1.1 {status} {}\r\nContent-Type: application/problem+json\r\n{challenge}killick-refusal: {}\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("Refused"),
        refusal.code,
        body.len(),
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_connect_is_one_whole_response_with_a_challenge() {
        let text = String::from_utf8(raw(&Refusal::new(Code::NoSession, "no token"))).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 407 "));
        assert!(head.contains("Proxy-Authenticate: Basic"));
        assert!(head.contains(&format!("Content-Length: {}", body.len())));
        let problem: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(problem["code"], "no-session");
    }

    #[test]
    fn a_refused_query_is_an_error_that_its_client_can_read() {
        let refusal = Refusal::new(Code::CrossEnvironment, "the volume is in production");
        let shaped = graphql_shaped(&refusal);
        assert!(shaped["data"].is_null());
        assert_eq!(shaped["errors"][0]["extensions"]["code"], "cross-environment");
        assert!(shaped["errors"][0]["message"].as_str().unwrap().contains("nothing was sent"));
    }
}
