//! Foreign credentials in bodies: named keys, known shapes, and what was seen before.

use super::*;

const FORM: &str = "application/x-www-form-urlencoded";

fn places(view: &RequestView) -> Vec<String> {
    foreign(view)
}

#[test]
fn named_keys_are_found_at_any_depth() {
    for (body, place) in [
        (r#"{"password":"hunter2"}"#, "body $.password"),
        (r#"{"Password":"hunter2"}"#, "body $.Password"),
        (r#"{"a":{"b":[{"client_secret":"x"}]}}"#, "body $.a.b[0].client_secret"),
        (r#"{"clientSecret":"x"}"#, "body $.clientSecret"),
        (r#"{"CLIENT-SECRET":"x"}"#, "body $.CLIENT-SECRET"),
        (r#"{"refresh_token":"x"}"#, "body $.refresh_token"),
        (r#"{"access_token":"x"}"#, "body $.access_token"),
        (r#"{"api_key":"x"}"#, "body $.api_key"),
        (r#"{"apiKey":"x"}"#, "body $.apiKey"),
        (r#"{"private_key":"x"}"#, "body $.private_key"),
        (r#"{"secret_key":"x"}"#, "body $.secret_key"),
        (r#"{"auth_token":"x"}"#, "body $.auth_token"),
        (r#"{"id_token":"x"}"#, "body $.id_token"),
        (r#"{"client_assertion":"x"}"#, "body $.client_assertion"),
        (r#"{"passwd":"x"}"#, "body $.passwd"),
        (r#"{"pass\u0077ord":"x"}"#, "body $.password"),
        (r#"{"password":["x"]}"#, "body $.password[0]"),
        (r#"{"password":{"value":"x"}}"#, "body $.password.value"),
        (r#"{"password":12345678}"#, "body $.password"),
        (r#"{"db_password":"abcd"}"#, "body $.db_password"),
        (r#"{"STRIPE_SECRET_KEY":"abcd"}"#, "body $.STRIPE_SECRET_KEY"),
        (r#"{"token":"Zx81hGk29sLqPw0T"}"#, "body $.token"),
        (r#"{"token":"8f0c3c4e-9d1b-4a57-b6de-0f3a5f1c2d7e"}"#, "body $.token"),
        (r#"{"secret":"4f9d8a7b6c5e4d3c2b1a"}"#, "body $.secret"),
        (r#"{"key":"4f9d8a7b6c5e4d3c2b1a"}"#, "body $.key"),
        (r#"{"assertion":"4f9d8a7b6c5e4d3c2b1a"}"#, "body $.assertion"),
        (r#"{"headers":{"Authorization":"Bearer abc"}}"#, "body $.headers.Authorization"),
        (r#"{"githubPat":"x"}"#, "body $.githubPat"),
        (r#"{"github_pat":{"deep":["x"]}}"#, "body $.github_pat.deep[0]"),
        (r#"{"password":"a","password":""}"#, "body $.password"),
        (r#"{"password":"","password":"a"}"#, "body $.password"),
        (r#"[{"password":"x"}]"#, "body $[0].password"),
        (r#"{"variables":"{\"password\":\"x\"}"}"#, "body $.variables.password"),
    ] {
        assert_eq!(places(&json(body)), [place], "{body}");
    }
}

#[test]
fn values_that_are_certainly_no_credential_are_none() {
    for body in [
        r#"{"password":""}"#,
        r#"{"password":null}"#,
        r#"{"password":true}"#,
        r#"{"password":"***"}"#,
        r#"{"password":"<password>"}"#,
        r#"{"password":"${{shared.PASSWORD}}"}"#,
        r#"{"password":{"type":"string"}}"#,
        r#"{"has_password":true,"reset_password":"/account/reset"}"#,
        r#"{"apiKey":12}"#,
        r#"{"pwd":"/home/me"}"#,
        r#"{"token":"abc"}"#,
        r#"{"key":"PROJ-123456"}"#,
        r#"{"key":"uploads/2026/4f9d8a7b6c5e4d3c.png"}"#,
        r#"{"key":"8f0c3c4e-9d1b-4a57-b6de-0f3a5f1c2d7e"}"#,
        r#"{"code":"fn main() { println!(\"0123456789abcdef\") }"}"#,
        r#"{"secret":"staging"}"#,
        r#"{"tokens":5,"max_tokens":4096,"next_page_token":"4f9d8a7b6c5e4d3c2b1a"}"#,
    ] {
        assert_eq!(verdict(&json(body)), CredentialVerdict::Clean, "{body}");
    }
}

#[test]
fn known_shapes_are_found_in_any_text() {
    for shape in [
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "github_pat_11ABCDEFG0123456789_abcdefghijklmnop",
        "glpat-0123456789abcdefgh12",
        "sk_live_0123456789abcdefghijklmn",
        "xoxb-123456789012-abcdefghijkl",
        "AKIAIOSFODNN7EXAMPLE",
        "AIzaSyA0123456789abcdefghijklmnopqrstu",
        "npm_0123456789abcdefghijKLMNOPqrstuvwxyz",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmNHl0w5N",
        "-----BEGIN RSA PRIVATE KEY-----\\nMIIE\\n",
        "ksess_0123456789abcdef0123456789",
    ] {
        for body in [
            format!("{{\"a\":\"{shape}\"}}"),
            format!("{{\"a\":\"see {shape}, please\"}}"),
            format!("{{\"a\":{{\"b\":[\"x={shape}\"]}}}}"),
            format!("{{\"a\":\"{{\\\"b\\\":\\\"{}\\\"}}\"}}", shape.replace('\\', "\\\\\\")),
            format!("[\"{shape}\"]"),
            format!("\"{shape}\""),
        ] {
            assert!(!places(&json(&body)).is_empty(), "{body}");
        }
        for content_type in ["", "text/plain", "application/octet-stream", "application/json"] {
            let body = format!("some words\n{shape}\nmore").replace("\\n", "\n");
            assert_eq!(places(&post(content_type, body)).len(), 1, "{content_type} {shape}");
        }
    }
    let key = json(r#"{"ghp_16C7e42F292c6912E7710c838347Ae178B4a":1}"#);
    assert_eq!(places(&key).len(), 1);
    let escaped = json(r#"{"a":"\u0067hp_16C7e42F292c6912E7710c838347Ae178B4a"}"#);
    assert_eq!(places(&escaped), ["body $.a"]);
}

#[test]
fn one_good_shape_does_not_hide_a_second() {
    struct OwnsFirst;
    impl Recognise for OwnsFirst {
        fn recognise(&self, bytes: &[u8]) -> Recognised {
            if bytes.ends_with(b"0001") { Recognised::Own } else { Recognised::Unknown }
        }
    }
    let two = json("{\"a\":\"ghp_0a0a0a0a0a0a0a0a0001 ghp_0b0b0b0b0b0b0b0b0002\"}");
    assert!(matches!(
        classify(&look(&two), &OwnsFirst),
        CredentialVerdict::Foreign { sightings, .. } if sightings.len() == 1
    ));
}

#[test]
fn known_credentials_are_found_in_any_text() {
    for view in [
        json(&format!("{{\"a\":\"{KNOWN}\"}}")),
        json(&format!("{{\"{KNOWN}\":1}}")),
        json(&format!("{{\"a\":\"https://x:{KNOWN}@h/p\"}}")),
        json(&format!("{{\"a\":\"TOKEN={KNOWN};\"}}")),
        json(&format!("{{\"a\":\"export T='{KNOWN}'\\n\"}}")),
        json(&format!("{{\"a\":\"({KNOWN}).\"}}")),
        json(&format!("{{\"query\":\"{{a(id:\\\"{KNOWN}\\\")}}\"}}")),
        json(&format!("{{\"query\":\"{{a}} # {KNOWN}\"}}")),
        json(&format!("{{\"a\":\"\\u0030{}\"}}", KNOWN.strip_prefix('0').unwrap())),
        json(&format!("{{\"a\":\"{{\\\"b\\\":\\\"{KNOWN}\\\"}}\"}}")),
        post("text/plain", format!("curl -H 'Authorization: Bearer {KNOWN}'")),
        post("application/graphql", format!("{{a(id:\"{KNOWN}\")}}")),
        post("application/octet-stream", [b"\xff\x00 ", KNOWN.as_bytes(), b" \xfe"].concat()),
        post(FORM, format!("a=b&c={KNOWN}")),
        post(FORM, format!("a=b&c={}", KNOWN.replace('-', "%2d"))),
        post(
            "multipart/form-data; boundary=b",
            format!(
                "--b\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\n{KNOWN}\r\n--b--\r\n"
            ),
        ),
    ] {
        assert_eq!(places(&view).len(), 1, "{:?}", String::from_utf8_lossy(&view.body));
    }
}

#[test]
fn forms_and_parts_are_read_by_their_keys() {
    let part = |name: &str, value: &str| {
        format!("--b\r\nContent-Disposition: form-data; name={name}\r\n\r\n{value}\r\n--b--\r\n")
    };
    for (content_type, body) in [
        (FORM, "grant_type=refresh_token&refresh_token=abc".to_owned()),
        (FORM, "p=1&pass%77ord=abc".to_owned()),
        (FORM, "p=1;password=abc".to_owned()),
        (FORM, "user%5Bpassword%5D=abc".to_owned()),
        (FORM, "client+secret=abc".to_owned()),
        (FORM, "githubPat=abc".to_owned()),
        (FORM, "{\"a\":\"b=c\",\"password\":\"d=e&f\"}".to_owned()),
        (FORM, "{'password':'d=e&f'}".to_owned()),
        ("application/json", "password=abc".to_owned()),
        ("multipart/form-data; boundary=b", "password=abc".to_owned()),
        ("application/xml", "{\"password\":\"abc\"}".to_owned()),
        (FORM, "variables=%7B%22password%22%3A%22abc%22%7D".to_owned()),
        (FORM, "query=%7Ba(password%3A%22abc%22)%7D".to_owned()),
        ("", "client_secret=abc&a=b".to_owned()),
        ("text/plain", "client_secret=abc".to_owned()),
        ("multipart/form-data; boundary=b", part("\"password\"", "abc")),
        ("multipart/form-data; boundary=b", part("password", "abc")),
        ("multipart/form-data; boundary=other", part("\"password\"", "abc")),
        ("multipart/form-data", part("\"operations\"", r#"{"variables":{"password":"abc"}}"#)),
        (
            "multipart/form-data; boundary=b",
            part("\"a\"; filename=\"password\"", "-----BEGIN PRIVATE KEY-----"),
        ),
        ("", part("\"password\"", "abc")),
    ] {
        assert_eq!(places(&post(content_type, body.clone())).len(), 1, "{content_type}: {body}");
    }
}

#[test]
fn graphql_literals_are_read_by_their_names() {
    for document in [
        r#"mutation { a(password: "x") }"#,
        r#"mutation { a(input: { n: "y", apiKey: "x" }) }"#,
        r#"mutation { a(password: ["x"]) }"#,
        r#"mutation { a(password: """x""") }"#,
        r#"mutation { a(input: {passwd: "\u0078"}) }"#,
        r#"mutation ($password: String = "x") { a(p: $password) }"#,
        r#"mutation { a(token: "Zx81hGk29sLqPw0T") }"#,
        r#"mutation { a(githubPat: "x") }"#,
        r#"{ a(id: "ghp_16C7e42F292c6912E7710c838347Ae178B4a") }"#,
        "{ ghp_16C7e42F292c6912E7710c838347Ae178B4a: a }",
        "{ a } # ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        ",,, { a(password: \"x\") }",
        "\u{feff}query { a(password: \"x\") }",
    ] {
        let wrapped = serde_json::json!({ "query": document }).to_string();
        assert!(!places(&json(&wrapped)).is_empty(), "{document}");
        let batch = serde_json::json!([{ "query": "{ a }" }, { "query": document }]).to_string();
        assert!(!places(&json(&batch)).is_empty(), "{document}");
        for content_type in ["application/graphql", "", "text/plain"] {
            let view = post(content_type, document.to_owned());
            assert!(!places(&view).is_empty(), "{content_type}: {document}");
        }
    }
}

#[test]
fn what_is_nearly_json_is_read_too() {
    for body in [
        r#"{"password":"x""#,
        r#"{"password":"x",}"#,
        "{'password':'x'}",
        r#"{password:"x"}"#,
        "{password: x1}",
        "{\"a\":1}\n{\"password\":\"x\"}",
        "{\"a\":1} trailing {\"password\":\"x\"}",
        "// comment\n{\"a\":1,\"password\":\"x\"}",
        "\u{feff}{\"password\":\"x\"}",
    ] {
        assert!(!places(&json(body)).is_empty(), "{body}");
    }
    let deep = format!("{}{{\"password\":\"x\"}}{}", "[".repeat(5000), "]".repeat(5000));
    assert!(!places(&json(&deep)).is_empty());
}

#[test]
fn packed_bodies_are_unpacked() {
    let mut view = json("");
    view.headers.push(("content-encoding".into(), b"gzip".to_vec()));
    view.body = gzip(b"{\"password\":\"hunter2\"}").into();
    assert_eq!(places(&view), ["body $.password"]);
    view.headers.last_mut().unwrap().1 = b"gzip, gzip".to_vec();
    view.body = gzip(&gzip(b"{\"password\":\"hunter2\"}")).into();
    assert_eq!(places(&view), ["body $.password"]);
}

#[test]
fn more_words_than_are_compared_do_not_hide_a_position() {
    use std::fmt::Write as _;
    let mut body = String::from("{\"a\":\"");
    for at in 0..3 * crate::credential::WORDS_MAX {
        write!(body, "{at:08x}-9d1b-4a57-b6de-{at:012x} ").unwrap();
    }
    body.push_str("\",\"password\":\"hunter2\"}");
    let view = json(&body);
    assert_eq!(places(&view), ["body $.password"]);
    let limit = crate::credential::WORDS_MAX + crate::credential::SIGHTINGS_MAX + 1;
    assert!(look(&view).len() <= limit);
}
