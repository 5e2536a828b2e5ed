use super::*;
use bytes::Bytes;

fn connection() -> Authority {
    Authority { host: "api.example.com".into(), port: 443 }
}

fn request(path: &str) -> RequestView {
    RequestView {
        tls: true,
        method: "DELETE".into(),
        host: "api.example.com".into(),
        port: 443,
        path: path.into(),
        query: None,
        headers: vec![("host".into(), b"api.example.com".to_vec())],
        body: Bytes::new(),
        body_complete: true,
    }
}

fn with_header(name: &str, value: &[u8]) -> RequestView {
    let mut changed = request("/a");
    changed.headers.push((name.into(), value.to_vec()));
    changed
}

fn with_host(value: &str) -> RequestView {
    RequestView { headers: vec![("host".into(), value.as_bytes().to_vec())], ..request("/a") }
}

fn with_query(query: &str) -> RequestView {
    RequestView { query: Some(query.into()), ..request("/a") }
}

fn with_body(content_type: &str, body: &str) -> RequestView {
    let mut changed = RequestView { method: "POST".into(), ..request("/a") };
    if !content_type.is_empty() {
        changed.headers.push(("content-type".into(), content_type.as_bytes().to_vec()));
    }
    changed.body = Bytes::from(body.to_owned());
    changed
}

fn code(request: &RequestView) -> Result<(), Code> {
    check(request, &connection()).map_err(|violation| violation.code)
}

#[test]
fn paths_that_servers_read_in_different_ways_are_refused() {
    for path in [
        "",
        "a",
        "*",
        "http://api.example.com/a",
        "//api.example.com/a",
        "/a/../b",
        "/../b",
        "/a/./b",
        "/.",
        "/..",
        "/a/%2e%2e/b",
        "/a/%2E./b",
        "/a/.%2e/b",
        "/a%2eb",
        "/a%2fb",
        "/a%2Fb",
        "/a%5cb",
        "/a%5Cb",
        "/a\\b",
        "/a//b",
        "/a//",
        "/a;x=1",
        "/a;/../b",
        "/a%3bx",
        "/a%3Bx",
        "/a%00.json",
        "/a%0d%0aHost:b",
        "/a%0A",
        "/a%09b",
        "/a%1fb",
        "/a%7fb",
        "/a%252fb",
        "/a%252Fb",
        "/a%252e%252e/b",
        "/a%2525",
        "/a%25%32%66b",
        "/%72epos",
        "/%44elete",
        "/a#b",
        "/a?b",
        "/a b",
        "/a\tb",
        "/a\u{0}b",
        "/a\u{7f}b",
        "/ä",
        "/a\u{2215}b",
        "/%",
        "/%2",
        "/%zz",
        "/%-1",
        "/%+f",
        "/a%u002fb",
        "/%c0%af",
        "/%c0%ae%c0%ae/",
        "/%e0%80%af",
        "/%ff",
        "/%c2%85",
        "/a<b",
        "/a\"b",
        "/a{b}",
        "/a|b",
        "/a^b",
        "/a`b",
    ] {
        assert_eq!(code(&request(path)), Err(Code::AmbiguousPath), "{path}");
    }
}

#[test]
fn plain_paths_pass() {
    for path in [
        "/",
        "/a/b",
        "/a/",
        "/a/b.json",
        "/a.b/..c/d..",
        "/users/@me",
        "/a:b",
        "/v1/projects/p/roles:query",
        "/caf%C3%A9",
        "/a%20b",
        "/100%25",
        "/100%25%20sure",
        "/heads/fix%2312",
        "/a+b",
        "/~user",
        "/%7Euser",
        "/a,b(c)'d!*$&=e",
        "/graphql/v2",
        "/a_b-c",
        "/%F0%9F%98%80",
    ] {
        assert_eq!(code(&request(path)), Ok(()), "{path}");
    }
}

#[test]
fn hosts_that_are_not_the_connection_are_refused() {
    for host in [
        "api.example.com.attacker.test",
        "attacker.test",
        "example.com",
        "api.example.com.",
        "user@api.example.com",
        "user:pw@api.example.com",
        "api.example.com@attacker.test",
        "xn--pi-zka.example.com",
        "",
        " ",
        "2852039166",
        "0xA9FEA9FE",
        "169.254.169.254",
        "0251.0376.0251.0376",
        "169.254.43518",
        "[::1]",
        "[::ffff:169.254.169.254]",
        "::1",
        "api.example.com:8443",
        "api.example.com:80",
        "api.example.com:0443",
        "api.example.com:",
        "api.example.com:443:443",
        "api..example.com",
        "-a.example.com",
        "api.example.com\0",
        "api.example.com/",
        "api.example.com, attacker.test",
        "api%2eexample.com",
        "аpi.example.com",
        "ａpi.example.com",
        "api。example.com",
    ] {
        assert!(code(&with_host(host)).is_err(), "{host}");
        let changed = RequestView { host: host.into(), ..request("/a") };
        assert_eq!(code(&changed), Err(Code::HostMismatch), "{host}");
    }
    let none = RequestView { headers: Vec::new(), ..request("/a") };
    assert_eq!(code(&none), Err(Code::MalformedHead));
    assert_eq!(code(&with_header("Host", b"api.example.com")), Err(Code::MalformedHead));
    let other_port = RequestView { port: 8443, ..request("/a") };
    assert_eq!(code(&other_port), Err(Code::HostMismatch));
}

#[test]
fn the_same_host_may_be_written_in_capitals_and_with_its_port() {
    for host in ["api.example.com", "API.Example.COM", "api.example.com:443"] {
        assert_eq!(code(&with_host(host)), Ok(()), "{host}");
    }
}

#[test]
fn a_port_is_left_out_only_when_it_is_the_legs_own() {
    let there = |tls, port| {
        let connection = Authority { host: "localhost".into(), port };
        let written = |host: &str| {
            let headers = vec![("host".into(), host.as_bytes().to_vec())];
            let view =
                RequestView { tls, host: "localhost".into(), port, headers, ..request("/a") };
            check(&view, &connection).is_ok()
        };
        (written("localhost"), written(&format!("localhost:{port}")))
    };
    assert_eq!(there(true, 443), (true, true));
    assert_eq!(there(true, 8443), (false, true));
    assert_eq!(there(true, 80), (false, true));
    assert_eq!(there(false, 80), (true, true));
    assert_eq!(there(false, 443), (false, true));
    assert_eq!(there(false, 8080), (false, true));
}

#[test]
fn an_authority_has_one_spelling() {
    for (raw, host, port) in [
        ("a.example:8443", "a.example", 8443),
        ("A.Example", "a.example", 443),
        ("localhost:3000", "localhost", 3000),
        ("127.0.0.1:8080", "127.0.0.1", 8080),
        ("10.0.0.255", "10.0.0.255", 443),
        ("xn--bcher-kva.example", "xn--bcher-kva.example", 443),
        ("1password.com", "1password.com", 443),
        ("1.2.3.4.example", "1.2.3.4.example", 443),
        ("my_service:65535", "my_service", 65535),
        ("0xbad.example:1", "0xbad.example", 1),
    ] {
        assert_eq!(Authority::parse(raw, 443), Ok(Authority { host: host.into(), port }), "{raw}");
    }
}

#[test]
fn other_spellings_of_addresses_and_names_are_refused() {
    for raw in [
        "127.1",
        "127.0.1",
        "0127.0.0.1",
        "127.0.0.01",
        "127.0.0.1.",
        "0x7f.0.0.1",
        "0x7f000001",
        "0x",
        "2130706433",
        "017700000001",
        "0",
        "1.2.3.4.5",
        "256.0.0.1",
        "999.1.1.1",
        "a.1",
        "a.0x1f",
        "1e3.4",
        "[::1]",
        "[::1]:443",
        "[::ffff:127.0.0.1]",
        "::1",
        "fe80::1%25eth0",
        "１２７.0.0.1",
        "127。0。0。1",
        "a.example.",
        "a..example",
        ".a.example",
        "_dmarc.example",
        "-a.example",
        "a-.example",
        "a%2eb",
        "a b",
        "a/b",
        "a\\b",
        "a?b",
        "a#b",
        "a,b",
        "u@a",
        "",
        ":443",
        "a:",
        "a:0",
        "a:0443",
        "a:+443",
        "a:-1",
        "a:65536",
        "a:443:443",
        "a: 443",
        "a:４４３",
    ] {
        assert!(Authority::parse(raw, 443).is_err(), "{raw}");
    }
    let long = format!("{}.example", "a".repeat(64));
    assert!(Authority::parse(&long, 443).is_err());
    assert!(Authority::parse(&"a.".repeat(127), 443).is_err());
    assert!(Authority::parse(&format!("{}aa", "a.".repeat(126)), 443).is_err());
}

#[test]
fn without_a_default_the_port_must_be_written() {
    assert!(Authority::parse("api.example.com", 0).is_err());
    assert_eq!(Authority::parse("api.example.com:443", 0), Ok(connection()));
}

#[test]
fn headers_that_change_method_path_or_protocol_are_refused() {
    for (name, value, expected) in [
        ("x-http-method-override", "GET", Code::OverrideHeader),
        ("X-HTTP-Method-Override", "", Code::OverrideHeader),
        ("X-HTTP-Method", "DELETE", Code::OverrideHeader),
        ("x-method-override", "GET", Code::OverrideHeader),
        ("x-original-method", "GET", Code::OverrideHeader),
        ("x-forwarded-method", "DELETE", Code::OverrideHeader),
        ("x-original-url", "/", Code::OverrideHeader),
        ("x-original-uri", "/", Code::OverrideHeader),
        ("X-Rewrite-URL", "/", Code::OverrideHeader),
        ("x-override-url", "/", Code::OverrideHeader),
        ("x_http_method_override", "DELETE", Code::MalformedHead),
        ("upgrade", "h2c", Code::UnsupportedProtocol),
        ("upgrade", "websocket", Code::UnsupportedProtocol),
        ("http2-settings", "AAMAAABkAAQAAP__", Code::UnsupportedProtocol),
        ("trailer", "x", Code::MalformedHead),
        ("te", "gzip", Code::MalformedHead),
        ("te", "trailers, deflate", Code::MalformedHead),
        ("expect", "200-ok", Code::MalformedHead),
        ("transfer-encoding", "xchunked", Code::MalformedHead),
        ("transfer-encoding", "gzip, chunked", Code::MalformedHead),
        ("transfer-encoding ", "chunked", Code::MalformedHead),
        ("content-length", "0, 40", Code::MalformedHead),
        ("content-length", "+4", Code::MalformedHead),
        ("content-length", "", Code::MalformedHead),
        ("connection", "content-type", Code::MalformedHead),
        ("connection", "close, authorization", Code::MalformedHead),
        ("connection", "keep-alive, x-amz-target", Code::MalformedHead),
        ("x", "a\n DELETE", Code::MalformedHead),
        ("x", "a\r\nb: c", Code::MalformedHead),
        ("x", "a\0", Code::MalformedHead),
        ("x", "ä", Code::MalformedHead),
        ("", "x", Code::MalformedHead),
        ("a b", "x", Code::MalformedHead),
        (":authority", "x", Code::MalformedHead),
        ("ä", "x", Code::MalformedHead),
    ] {
        assert_eq!(code(&with_header(name, value.as_bytes())), Err(expected), "{name}: {value}");
    }
}

#[test]
fn ordinary_headers_pass() {
    for (name, value) in [
        ("expect", "100-continue"),
        ("te", "trailers"),
        ("connection", "keep-alive"),
        ("connection", "close, TE"),
        ("transfer-encoding", "chunked"),
        ("content-length", "0"),
        ("x-forwarded-for", "10.0.0.1"),
        ("accept", "*/*"),
        ("x-note", "a\tb"),
    ] {
        assert_eq!(code(&with_header(name, value.as_bytes())), Ok(()), "{name}: {value}");
    }
}

#[test]
fn what_may_stand_once_stands_once() {
    for (name, value) in [
        ("content-length", "1"),
        ("content-type", "application/json"),
        ("content-encoding", "gzip"),
        ("transfer-encoding", "chunked"),
        ("expect", "100-continue"),
    ] {
        let mut changed = with_header(name, value.as_bytes());
        changed.headers.push((name.to_uppercase(), value.as_bytes().to_vec()));
        assert_eq!(code(&changed), Err(Code::MalformedHead), "{name}");
    }
    let mut many = request("/a");
    many.headers.resize(HEADERS_MAX + 1, ("x".into(), b"y".to_vec()));
    assert_eq!(code(&many), Err(Code::MalformedHead));
}

#[test]
fn unknown_methods_and_tunnels_are_refused() {
    for (method, expected) in [
        ("TRACE", Code::UnsupportedProtocol),
        ("TRACK", Code::UnsupportedProtocol),
        ("CONNECT", Code::UnsupportedProtocol),
        ("delete", Code::MalformedHead),
        ("Delete", Code::MalformedHead),
        ("DELETE ", Code::MalformedHead),
        ("", Code::MalformedHead),
        ("GÉT", Code::MalformedHead),
        ("GET\r\n", Code::MalformedHead),
        ("PRI", Code::MalformedHead),
        ("FOO", Code::MalformedHead),
        ("DEBUG", Code::MalformedHead),
    ] {
        let changed = RequestView { method: method.into(), ..request("/a") };
        assert_eq!(code(&changed), Err(expected), "{method}");
    }
    for method in ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "PROPFIND"] {
        let changed = RequestView { method: method.into(), ..request("/a") };
        assert_eq!(code(&changed), Ok(()), "{method}");
    }
}

#[test]
fn a_query_neither_overrides_the_method_nor_hides_bytes() {
    for query in [
        "_method=DELETE",
        "_METHOD=delete",
        "a=b&_method=put",
        "a=b;_method=put",
        "%5fmethod=DELETE",
        "%5Fm%65thod=DELETE",
        "+_method=DELETE",
        "_method",
        "_HttpMethod=DELETE",
        "X-HTTP-Method-Override=DELETE",
    ] {
        assert_eq!(code(&with_query(query)), Err(Code::OverrideHeader), "{query}");
    }
    for query in ["a=%00", "a=%", "a=%4", "a=%zz", "a b", "a#b", "a\\b", "a=ä", "a\r\nb"] {
        assert_eq!(code(&with_query(query)), Err(Code::AmbiguousPath), "{query}");
    }
    for query in [
        "",
        "a=b&c",
        "method=x",
        "query=%7Bme%7Bid%7D%7D",
        "query=%7B%0A%20%20me%0A%7D",
        "q=100%25",
        "q=%252F",
        "a[]=1&a[]=2",
        "path=../x",
        "url=https%3A%2F%2Fexample.com%2Fa%2Fb",
        "the_method=x",
    ] {
        assert_eq!(code(&with_query(query)), Ok(()), "{query}");
    }
    let long = with_query(&"a".repeat(TARGET_BYTES_MAX));
    assert_eq!(code(&long), Err(Code::MalformedHead));
}

#[test]
fn a_body_does_not_override_the_method() {
    let form = "application/x-www-form-urlencoded";
    let part = "--b\r\nContent-Disposition: form-data; name=\"_method\"\r\n\r\nDELETE\r\n--b--\r\n";
    for (content_type, body) in [
        (form, "_method=delete"),
        (form, "a=b&_METHOD=delete"),
        (form, "a=b&%5fmethod=delete"),
        ("Application/X-WWW-Form-Urlencoded; charset=utf-8", "_method=delete"),
        ("", "_method=delete"),
        ("text/plain", "_method=delete"),
        ("application/json", "{\"_method\":\"DELETE\"}"),
        ("application/json", "\u{feff}{\"\\u005fmethod\":\"DELETE\"}"),
        ("", "{\"_method\":\"DELETE\"}"),
        ("application/vnd.api+json", "{\"a\":1,\"_method\":\"DELETE\"}"),
        ("multipart/form-data; boundary=b", part),
        ("multipart/form-data; boundary=b", &part.replace("name=\"", "NAME = \"")),
    ] {
        assert_eq!(code(&with_body(content_type, body)), Err(Code::OverrideHeader), "{body}");
    }
    for (content_type, body) in [
        (form, "method=delete&a=_method"),
        ("application/json", "{\"method\":\"DELETE\",\"a\":\"_method\",\"b\":{\"_method\":1}}"),
        ("application/json", "not json"),
        ("text/plain", "the _method is described here"),
        ("application/octet-stream", "\u{0}\u{1}"),
    ] {
        assert_eq!(code(&with_body(content_type, body)), Ok(()), "{body}");
    }
}

#[test]
fn what_belongs_to_one_hop_or_to_the_gateway_is_not_passed_on() {
    let mut changed = request("/a");
    for name in [
        "Connection",
        "x-mine",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "http2-settings",
        "proxy-connection",
        "Proxy-Authorization",
        "proxy-authenticate",
        "proxy-anything",
        "content-length",
        "accept-encoding",
        "x-forwarded-for",
        "X-Forwarded-Host",
        "x-forwarded",
        "forwarded",
        "via",
        "x-real-ip",
        "true-client-ip",
        "cf-connecting-ip",
        "expect",
        "killick-session",
        "killick-anything",
    ] {
        let value = if name == "Connection" { "close, X-Mine" } else { "v" };
        changed.headers.push((name.into(), value.into()));
    }
    let kept =
        [("accept", "a"), ("content-type", "b"), ("x-other", "c"), ("content-encoding", "d")];
    for (name, value) in kept {
        changed.headers.push((name.to_uppercase(), value.into()));
    }
    let expected: Vec<(String, Vec<u8>)> =
        kept.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
    assert_eq!(forwarded_headers(&changed), expected);
}
