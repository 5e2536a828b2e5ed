use std::fmt::Write as _;

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
        Envelope::Doubtful { .. } | Envelope::Opaque { .. } => None,
    }
}

// The documents of every way to read it, for a request that is not sent.
fn told(request: &RequestView) -> Vec<String> {
    match envelope(request) {
        Ok(Envelope::Doubtful { elements, .. }) => {
            elements.into_iter().map(|element| element.text).collect()
        }
        Ok(Envelope::Documents { .. } | Envelope::Opaque { .. }) => panic!("{request:?} is sent"),
        Err(_) => Vec::new(),
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
fn what_reads_in_two_ways_is_told_in_each_and_never_sent() {
    let json = Some("application/json");
    let form = Some("application/x-www-form-urlencoded");
    let graphql = Some("application/graphql");
    for (method, kind, query, body, ways) in [
        ("POST", json, None, r#"{"query":"{me}","query":"{you}"}"#, &["{me}", "{you}"][..]),
        ("POST", json, None, r#"{"query":"{me}","query":"{me}"}"#, &["{me}"]),
        ("POST", json, None, r#"{"query":"{me}","\u0071uery":"{you}"}"#, &["{me}", "{you}"]),
        ("POST", json, None, r#"{"query":"{me}","pad":1,"pad":2}"#, &["{me}"]),
        ("POST", json, None, r#"{"query":"{me}","Query":"{you}"}"#, &["{me}", "{you}"]),
        ("POST", json, None, r#"{"QUERY":"{me}"}"#, &["{me}"]),
        ("POST", json, None, r#"{"query":null,"QUERY":"{me}"}"#, &["{me}"]),
        ("POST", json, None, r#"{"query":"{me}","operationname":"X"}"#, &["{me}", "{me}"]),
        ("POST", json, None, r#"{"query":"{me}","Extensions":{}}"#, &["{me}"]),
        (
            "POST",
            json,
            None,
            r#"[{"query":"{me}","query":"{a}"},{"query":"{b}"}]"#,
            &["{me}", "{b}", "{a}"],
        ),
        (
            "POST",
            json,
            None,
            r#"{"query":"{me}","variables":"{\"a\":1,\"a\":2}"}"#,
            &["{me}", "{me}"],
        ),
        ("POST", json, Some("query=%7Byou%7D"), r#"{"query":"{me}"}"#, &["{me}", "{you}"]),
        ("POST", json, Some("query=%7Bme%7D"), r#"{"query":"{me}"}"#, &["{me}"]),
        ("POST", json, Some("query=%7Bme%7D"), "", &["{me}"]),
        ("POST", json, Some("query=%7Bme%7D"), "{}", &["{me}"]),
        ("POST", json, Some("operationName=X"), r#"{"query":"{me}"}"#, &["{me}", "{me}"]),
        ("POST", json, Some("Variables=%7B%7D"), r#"{"query":"{me}"}"#, &["{me}"]),
        ("POST", graphql, Some("operationName=X"), "{me}", &["{me}", "{me}"]),
        ("POST", form, None, "query=%7Bme%7D&query=%7Byou%7D", &["{me}", "{you}"]),
        ("POST", form, None, "query=%7Bme%7D&Query=%7Byou%7D", &["{me}", "{you}"]),
        ("POST", form, None, r#"{"query":"{me}","b":"&query={you}&"}"#, &["{me}", "{you}"]),
        ("GET", None, Some("query=%7Bme%7D&query=%7Byou%7D"), "", &["{me}", "{you}"]),
        ("GET", None, Some("query=%7Bme%7D"), r#"{"query":"{you}"}"#, &["{you}", "{me}"]),
        ("GET", None, Some("query=%7Bme%7D"), "{}", &["{me}"]),
    ] {
        assert_eq!(told(&request(method, kind, query, body)), ways, "{method} {query:?} {body}");
    }
}

#[test]
fn what_is_no_document_in_one_of_its_ways_is_refused_untold() {
    let json = Some("application/json");
    let form = Some("application/x-www-form-urlencoded");
    let nine = format!("{{{}}}", ["\"query\":\"{me}\""; 9].join(","));
    for (method, kind, query, body) in [
        ("POST", json, None, r#"{"query":["{me}"]}"#),
        ("POST", json, None, r#"{"query":"{me}","variables":[1]}"#),
        ("POST", json, None, r#"{"query":"{me}","variables":"x"}"#),
        ("POST", json, None, r#"{"query":"{me}","operationName":7}"#),
        ("POST", json, None, r#"[{"query":"{me}"},7]"#),
        ("POST", json, None, r#"[[{"query":"{me}"}]]"#),
        ("POST", json, None, r#"{"query":"{me}"}{"query":"{you}"}"#),
        ("POST", json, None, r#"{"query":"{me}""#),
        ("POST", json, None, r#"{"query":"{me}","query":7}"#),
        ("POST", json, None, r#"{"query":"{me}","query":null,"documentId":"7"}"#),
        ("POST", json, None, r#"{"QUERY":"{me}","documentId":"7"}"#),
        ("POST", json, None, r#"{"QUERY":"{me}","extensions":{"persistedQuery":{}}}"#),
        ("POST", json, None, r#"{"query":null,"query":null}"#),
        (
            "POST",
            json,
            None,
            r#"{"query":"{me}","x":{"a":1,"a":2},"y":{"a":[{"b":1,"b":2}],"a":[{"b":1,"b":2}]},"z":1,"z":2}"#,
        ),
        ("POST", json, None, &nine),
        ("POST", json, Some("documentId=7"), r#"{"query":"{me}"}"#),
        ("POST", json, Some("query=%7Bme%7D"), r#"{"documentId":"7"}"#),
        ("POST", json, Some("query=%7Bme%7D"), "[]"),
        ("POST", Some("image/png"), Some("query=%7Bme%7D"), "PNG"),
        ("POST", json, Some("query=%zz"), r#"{"query":"{me}"}"#),
        ("POST", form, None, "query=%zz"),
        ("POST", form, None, r#"{"a":"b&query=mutation{x}"}"#),
        ("GET", None, Some("query=%7Bme%7D"), "x"),
        ("GET", None, None, "7"),
    ] {
        let found = envelope(&request(method, kind, query, body));
        assert!(found.is_err(), "{method} {query:?} {body}: {found:?}");
    }
}

fn encoded(kind: &str, body: &[u8]) -> RequestView {
    RequestView { body: Bytes::copy_from_slice(body), ..request("POST", Some(kind), None, "") }
}

fn utf16(text: &str, order: impl Fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(order).collect()
}

#[test]
fn a_charset_is_looked_through_and_the_call_never_sent() {
    let text = r#"{"query":"{me}"}"#;
    let little = utf16(text, u16::to_le_bytes);
    let big = utf16(text, u16::to_be_bytes);
    let marked = utf16(&format!("\u{feff}{text}"), u16::to_le_bytes);
    let json = "application/json";
    for (kind, body) in [
        ("application/json; charset=utf-16", &little[..]),
        ("application/json; charset=\"UTF-16LE\"", &little),
        ("application/json; charset=utf-16", &big),
        ("application/json; charset=utf-16be", &marked),
        (json, &little),
        (json, &big),
        (json, &marked),
        ("text/plain", &marked),
        ("application/json; charset=utf-16", text.as_bytes()),
        ("application/json; charset=iso-8859-1", text.as_bytes()),
    ] {
        assert_eq!(told(&encoded(kind, body)), ["{me}"], "{kind} {body:?}");
    }
    let accent = encoded("application/json; charset=latin1", b"{\"query\":\"{me}#\xe9\"}");
    assert_eq!(told(&accent), ["{me}#\u{e9}"]);
    for (kind, body) in [
        ("application/json; charset=ibm037", text.as_bytes()),
        ("application/json; charset=utf-7", text.as_bytes()),
        ("application/json; charset=utf-8; charset=utf-16", text.as_bytes()),
        ("application/json; charset=utf-16", &little[..little.len() - 1]),
        (json, b"{\"query\":\"{me}\xff\"}"),
        (json, b"{\"query\":\"{me}\0\"}"),
        (json, &utf16(r#"{"query":7}"#, u16::to_le_bytes)),
        (json, &utf16(r#"{"documentId":"7"}"#, u16::to_le_bytes)),
    ] {
        assert!(envelope(&encoded(kind, body)).is_err(), "{kind} {body:?}");
    }
}

fn form_parts(parts: &[(&str, &str)]) -> RequestView {
    let mut body = String::new();
    for (head, content) in parts {
        // Writing to a String cannot fail.
        let _ = write!(body, "--x\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n");
    }
    request("POST", Some("multipart/form-data; boundary=x"), None, &(body + "--x--\r\n"))
}

#[test]
fn one_part_of_operations_is_the_json_that_it_is() {
    let me = ("name=\"operations\"", r#"{"query":"{me}"}"#);
    let typed = ("name=operations\r\nContent-Type: application/json", r#"{"query":"{me}"}"#);
    let map = ("name=\"map\"", " {} ");
    for parts in [&[me][..], &[typed], &[me, map], &[map, me]] {
        assert_eq!(texts(&form_parts(parts)), Some(vec!["{me}".to_owned()]), "{parts:?}");
    }
    let batch = ("name=operations", r#"[{"query":"{me}"},{"query":"{me}"}]"#);
    assert_eq!(texts(&form_parts(&[batch])).unwrap().len(), 2);
}

#[test]
fn more_than_one_part_of_operations_is_told_and_never_sent() {
    let me = ("name=\"operations\"", r#"{"query":"{me}"}"#);
    let you = ("name=\"operations\"", r#"{"query":"{you}"}"#);
    let file = ("name=\"0\"; filename=\"a\"", "x");
    let map = ("name=\"map\"", r#"{"0":["variables.f"]}"#);
    let empty = ("name=\"map\"", "{}");
    for (parts, ways) in [
        (&[me, you][..], &["{me}", "{you}"][..]),
        (&[me, file], &["{me}"]),
        (&[me, map, file], &["{me}"]),
        (&[me, map], &["{me}"]),
        (&[me, empty, empty], &["{me}"]),
        (&[me, ("name=map; filename=m", "{}")], &["{me}"]),
        (&[me, ("name=map", r#"{"0":[],"0":[]}"#)], &["{me}"]),
        (&[me, ("name=other", "1")], &["{me}"]),
        (&[me, ("name=query", "{you}")], &["{me}", "{you}"]),
        (&[("name=query", "{you}")], &["{you}"]),
        (&[("name=Operations", r#"{"query":"{me}"}"#)], &["{me}"]),
        (&[("name=operations; filename=o", r#"{"query":"{me}"}"#)], &["{me}"]),
        (&[("name=operations", r#"{"query":"{me}","query":"{you}"}"#)], &["{me}", "{you}"]),
        (&[("name=operations\r\nContent-Type: image/png", r#"{"query":"{me}"}"#)], &["{me}"]),
    ] {
        assert_eq!(told(&form_parts(parts)), ways, "{parts:?}");
    }
    match envelope(&form_parts(&[me, map, file])).unwrap() {
        Envelope::Doubtful { elements, .. } => assert!(elements.iter().all(|e| e.files)),
        found @ (Envelope::Documents { .. } | Envelope::Opaque { .. }) => panic!("{found:?}"),
    }
}

#[test]
fn parts_without_certain_operations_are_opaque_or_refused() {
    for parts in [
        &[("name=other", "1")][..],
        &[("name=operations", "7")],
        &[("name=operations", r#"{"documentId":"7"}"#)],
        &[("name=operations", r#"{"query":"{me}"}"#), ("name=operations", r#"{"id":"7"}"#)],
        &[("name=operations", r#"{"query":"{me}"}"#), ("name=operations", "[]")],
    ] {
        let found = envelope(&form_parts(parts));
        assert!(matches!(found, Ok(Envelope::Opaque { .. })), "{parts:?} {found:?}");
    }
    for content in ["", "{", r#"{"query":7}"#] {
        let found = envelope(&form_parts(&[("name=operations", content)]));
        assert!(found.is_err(), "{content}: {found:?}");
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
