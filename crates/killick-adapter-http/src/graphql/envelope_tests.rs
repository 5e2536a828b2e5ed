use super::*;

fn request(method: &str, kind: Option<&str>, query: Option<&str>, body: &str) -> RequestView {
    RequestView {
        tls: true,
        method: method.into(),
        host: "api.example.com".into(),
        port: 443,
        path: "/graphql".into(),
        query: query.map(str::to_owned),
        headers: kind
            .map(|kind| ("content-type".to_owned(), kind.as_bytes().to_vec()))
            .into_iter()
            .collect(),
        body: Bytes::from(body.to_owned()),
        body_complete: true,
    }
}

fn texts(request: &RequestView) -> Option<Vec<String>> {
    match envelope(request).ok()? {
        Envelope::Documents { elements, .. } => {
            Some(elements.into_iter().map(|element| element.text).collect())
        }
        Envelope::Opaque { .. } => None,
    }
}

#[test]
fn every_shape_that_servers_accept_is_read() {
    for (method, kind, query, body) in [
        ("POST", Some("application/json"), None, r#"{"query":"{me}"}"#),
        ("POST", Some("Application/JSON ; x=y"), None, r#"{"query":"{me}"}"#),
        ("POST", Some("application/graphql+json"), None, r#"{"query":"{me}"}"#),
        ("POST", None, None, r#"{"query":"{me}"}"#),
        ("POST", Some("text/plain"), None, r#"{"query":"{me}"}"#),
        ("POST", Some("application/octet-stream"), None, r#" {"query":"{me}"}"#),
        ("POST", Some("application/x-www-form-urlencoded"), None, r#"{"query":"{me}"}"#),
        ("POST", Some("application/x-www-form-urlencoded"), None, "query=%7Bme%7D"),
        ("POST", Some("application/graphql"), None, "{me}"),
        ("POST", Some("application/graphql"), None, r#"{"query":"{me}"}"#),
        ("POST", Some("application/json"), None, r#"[{"query":"{me}"}]"#),
        ("POST", Some("application/json"), None, "\u{feff}{\"query\":\"{me}\"}"),
        ("POST", Some("application/json"), None, r#"{"\u0071uery":"{\u006de}"}"#),
        ("POST", Some("application/json"), Some("trace=1"), r#"{"query":"{me}"}"#),
        ("GET", None, Some("query=%7Bme%7D"), ""),
    ] {
        let texts = texts(&request(method, kind, query, body));
        assert_eq!(texts, Some(vec!["{me}".to_owned()]), "{method} {kind:?} {query:?} {body}");
    }
}

#[test]
fn what_reads_in_two_ways_is_refused() {
    let json = Some("application/json");
    let form = Some("application/x-www-form-urlencoded");
    for (method, kind, query, body) in [
        ("POST", json, None, r#"{"query":"{me}","query":"{you}"}"#),
        ("POST", json, None, r#"{"query":"{me}","Query":"{you}"}"#),
        ("POST", json, None, r#"{"QUERY":"{me}"}"#),
        ("POST", json, None, r#"{"query":"{me}","operationname":"X"}"#),
        ("POST", json, None, r#"{"query":["{me}"]}"#),
        ("POST", json, None, r#"{"query":"{me}","variables":[1]}"#),
        ("POST", json, None, r#"{"query":"{me}","variables":"x"}"#),
        ("POST", json, None, r#"{"query":"{me}","operationName":7}"#),
        ("POST", json, None, r#"[{"query":"{me}"},7]"#),
        ("POST", json, None, r#"[[{"query":"{me}"}]]"#),
        ("POST", json, None, r#"{"query":"{me}"}{"query":"{you}"}"#),
        ("POST", json, None, r#"{"query":"{me}""#),
        ("POST", json, Some("query=%7Byou%7D"), r#"{"query":"{me}"}"#),
        ("POST", json, Some("operationName=X"), r#"{"query":"{me}"}"#),
        ("POST", json, Some("Variables=%7B%7D"), r#"{"query":"{me}"}"#),
        ("POST", json, Some("documentId=7"), r#"{"query":"{me}"}"#),
        ("POST", form, None, "query=%7Bme%7D&query=%7Byou%7D"),
        ("POST", form, None, "query=%7Bme%7D&Query=%7Byou%7D"),
        ("POST", form, None, "query=%zz"),
        ("POST", form, None, r#"{"a":"b&query=mutation{x}"}"#),
        ("GET", None, Some("query=%7Bme%7D&query=%7Byou%7D"), ""),
        ("GET", None, Some("query=%7Bme%7D"), "{}"),
    ] {
        assert!(
            envelope(&request(method, kind, query, body)).is_err(),
            "{method} {query:?} {body}"
        );
    }
}

#[test]
fn what_names_no_document_is_opaque() {
    let json = Some("application/json");
    for (method, kind, query, body) in [
        (
            "POST",
            json,
            None,
            r#"{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"b7"}}}"#,
        ),
        ("POST", json, None, r#"{"documentId":"3f9c","variables":{"id":"v"}}"#),
        ("POST", json, None, r#"[{"query":"{me}"},{"id":"7"}]"#),
        ("POST", json, None, "[]"),
        ("POST", json, None, "{}"),
        ("POST", json, None, "7"),
        ("POST", json, None, ""),
        ("POST", Some("multipart/form-data; boundary=x"), None, "--x--"),
        ("POST", Some("image/png"), None, "PNG"),
        ("GET", None, None, ""),
        ("GET", None, Some("extensions=%7B%7D"), ""),
        ("PUT", json, None, r#"{"query":"{me}"}"#),
    ] {
        let found = envelope(&request(method, kind, query, body));
        assert!(matches!(found, Ok(Envelope::Opaque { .. })), "{method} {query:?} {body}");
    }
}
