//! Foreign credentials in heads: position decides, whatever the value looks like.

use super::*;

const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmNHl0w5N";
const GHP: &str = "ghp_16C7e42F292c6912E7710c838347Ae178B4a";

#[test]
fn authorization_is_foreign_whatever_it_looks_like() {
    for value in [
        format!("Bearer {STRAY}"),
        format!("bearer {STRAY}"),
        format!("BEARER   {STRAY}  "),
        format!("Bearer\t{STRAY}"),
        format!("  Bearer {STRAY}"),
        format!("Bearer {JWT}"),
        format!("Bearer {GHP}"),
        "Bearer a".to_owned(),
        "Bearer password".to_owned(),
        format!("token {GHP}"),
        format!("Token {STRAY}"),
        STRAY.to_owned(),
        "plain".to_owned(),
        format!("Bearer {ISSUED},Bearer {STRAY}"),
        format!("Bearer {ISSUED}, Bearer {STRAY}"),
        format!("Bearer {ISSUED} {STRAY}"),
        format!("Bearer {STRAY} {ISSUED}"),
        format!("{STRAY} {ISSUED}"),
        format!("{GHP} {OWN}"),
        format!("Bearer \"{ISSUED}\""),
        format!("Bearer {ISSUED};"),
        format!("Bearer={ISSUED}"),
        format!("Bearer:{STRAY}"),
        format!("X {STRAY}"),
        format!("Basic {}", base64(&format!("user:{STRAY}"))),
        format!("basic {}", base64(&format!("user:{STRAY}"))),
        format!("Basic {}", base64(&format!("{STRAY}:"))),
        format!("Basic {}", base64(&format!("{STRAY}:x-oauth-basic"))),
        format!("Basic {}", base64(&format!(":{STRAY}"))),
        format!("Basic {}", base64(STRAY)),
        format!("Basic {}", base64("git:")),
        format!("Basic {}", base64("user:pass:word")),
        format!("Basic {}", base64(&format!("user:{STRAY}")).trim_end_matches('=')),
        "Basic not*base64".to_owned(),
        format!("Basic {} {}", base64(&format!("u:{ISSUED}")), base64(&format!("u:{STRAY}"))),
        format!("Digest username=\"u\", realm=\"r\", nonce=\"{STRAY}\", response=\"0\""),
        "Negotiate YIIGhgYGKwYBBQUCoIIGejCCBnag".to_owned(),
        "NTLM TlRMTVNTUAABAAAAB4IIogAAAAAAAAAAAAAAAAAAAAA=".to_owned(),
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261122/us-east-1/s3/aws4_request, \
         SignedHeaders=host, Signature=abc"
            .to_owned(),
        "AWS4-ECDSA-P256-SHA256 Credential=a, Signature=b".to_owned(),
        "AWS AKIAIOSFODNN7EXAMPLE:frJIUN8DYpKDtOLCwo//yllqDzg=".to_owned(),
        "OAuth oauth_consumer_key=\"k\", oauth_signature=\"s\"".to_owned(),
        format!("Bearer {KNOWN}"),
    ] {
        for header in ["authorization", "Authorization", "AUTHORIZATION", "proxy-authorization"] {
            let places = foreign(&with(&[(header, &value)]));
            assert_eq!(places, [format!("header {}", header.to_lowercase())], "{header}: {value}");
        }
    }
}

#[test]
fn every_line_of_a_header_counts() {
    let (good, stray) = (format!("Bearer {ISSUED}"), format!("Bearer {STRAY}"));
    for headers in [
        [("authorization", good.as_str()), ("authorization", stray.as_str())],
        [("authorization", stray.as_str()), ("authorization", good.as_str())],
        [("authorization", good.as_str()), ("Authorization", stray.as_str())],
        [("authorization", good.as_str()), ("project-access-token", STRAY)],
        [("authorization", good.as_str()), ("x-api-key", STRAY)],
        [("authorization", good.as_str()), ("cookie", "a=b")],
        [("authorization", good.as_str()), ("proxy-authorization", stray.as_str())],
        [("authorization", ""), ("authorization", stray.as_str())],
    ] {
        assert_eq!(foreign(&with(&headers)).len(), 1, "{headers:?}");
    }
}

#[test]
fn key_headers_are_positions() {
    for name in [
        "project-access-token",
        "Project-Access-Token",
        "x-api-key",
        "X-API-KEY",
        "api-key",
        "apikey",
        "x-auth-token",
        "private-token",
        "x-amz-security-token",
        "x-goog-api-key",
        "x-vault-token",
        "dd-api-key",
        "x-shopify-access-token",
        "cf-access-client-secret",
        "x-client-cert",
        "x-railway-token",
        "x-github-token",
        "x-stainless-api-key",
        "x-my-own-secret",
        "x-acme-password",
        "x-acme-jwt",
        "x-acme-api-key",
        "signature",
        "x-forwarded-authorization",
        "authentication",
    ] {
        for value in [STRAY, "short", JWT, "a, b", "Bearer x"] {
            assert_eq!(foreign(&with(&[(name, value)])).len(), 1, "{name}: {value}");
        }
        assert_eq!(verdict(&with(&[(name, "")])), CredentialVerdict::Clean, "{name} is empty");
    }
}

#[test]
fn unknown_headers_with_random_values_are_foreign() {
    for (name, value) in [
        ("x-whatever", STRAY),
        ("x-whatever", GHP),
        ("x-whatever", JWT),
        ("x-whatever", "4f9d8a7b6c5e4d3c2b1a0f9e8d7c6b5a"),
        ("x-whatever", "dGhpcyBpcyBhIHNlY3JldCB0b2tlbg1x"),
        ("x-whatever", "a=b; c=Zx81hGk29sLqPw0TnvB4"),
        ("x-whatever", "Bearer shorttoken"),
        ("x-whatever", "Basic dTpw"),
        ("x-a", "123456789012345678901234"),
        ("x-session-id", STRAY),
        ("x-acme-key", "Zx81hGk2"),
        ("x-acme-auth", "u:Tr0ub4dor&3"),
        ("x-project-id", "dGhpcyBpcyBhIHNlY3JldCB0b2tlbg1x"),
        // Where random values are expected, known shapes are still found.
        ("user-agent", GHP),
        ("idempotency-key", GHP),
        ("accept", JWT),
        ("x-source", "AKIAIOSFODNN7EXAMPLE"),
        ("content-type", "text/plain; a=ghp_16C7e42F292c6912E7710c838347Ae178B4a"),
        ("referer", "https://u:Tr0ub4dor&3@example.com/"),
        ("referer", "https://example.com/cb?access_token=abcd"),
        ("referer", "https://example.com/cb#access_token=abcd"),
        (GHP, "x"),
    ] {
        assert_eq!(foreign(&with(&[(name, value)])).len(), 1, "{name}: {value}");
    }
}

#[test]
fn known_credentials_are_found_where_random_values_are_expected() {
    for (name, value) in [
        ("idempotency-key", KNOWN.to_owned()),
        ("x-request-id", KNOWN.to_owned()),
        ("user-agent", format!("curl/8 ({KNOWN})")),
        ("content-type", format!("multipart/form-data; boundary={KNOWN}")),
        ("if-none-match", format!("W/\"{KNOWN}\"")),
        ("traceparent", KNOWN.to_owned()),
        ("baggage", format!("a=b,c={KNOWN}")),
        ("x-project-id", KNOWN.to_owned()),
    ] {
        assert_eq!(foreign(&with(&[(name, &value)])), [format!("header {name}")], "{value}");
    }
    for target in [
        format!("/v1/{KNOWN}"),
        format!("/v1/%30{}", KNOWN.strip_prefix('0').unwrap()),
        format!("/v1/a:{KNOWN}@b"),
        format!("/v1?{KNOWN}"),
        format!("/v1?q={KNOWN}"),
        format!("/v1?q=a%20{KNOWN}"),
        format!("/v1?{KNOWN}=1"),
    ] {
        assert_eq!(foreign(&get(&target)).len(), 1, "{target}");
    }
}

#[test]
fn cookies_are_positions() {
    for (value, name) in [
        (format!("session={STRAY}"), "session"),
        ("a=b".to_owned(), "a"),
        (format!("a={DERIVED}; b=c"), "b"),
        (format!("a={DERIVED};b=c"), "b"),
        (format!("a={DERIVED}; ; ;b=c;"), "b"),
        (format!("a={DERIVED}, b=c"), "a"),
        (format!("a={DERIVED} x"), "a"),
        (format!("a=\"{DERIVED}\""), "a"),
        (format!("a==={DERIVED}"), "a"),
        ("justavalue".to_owned(), ""),
        ("=value".to_owned(), ""),
        (format!("{GHP}=x"), "(unnamed)"),
    ] {
        assert_eq!(foreign(&with(&[("cookie", &value)])), [format!("cookie {name}")], "{value}");
    }
    let two = with(&[("cookie", &format!("a={DERIVED}")), ("Cookie", "b=c")]);
    assert_eq!(foreign(&two), ["cookie b"]);
    assert_eq!(verdict(&with(&[("cookie", "; ;a=;=")])), CredentialVerdict::Clean);
}

#[test]
fn query_keys_are_positions() {
    for query in [
        format!("access_token={STRAY}"),
        format!("%61ccess_token={STRAY}"),
        format!("access%5ftoken={STRAY}"),
        format!("ACCESS_TOKEN={STRAY}"),
        format!("accessToken={STRAY}"),
        format!("access-token={STRAY}"),
        format!("access+token={STRAY}"),
        format!("a=b&access_token={STRAY}"),
        format!("a=b;access_token={STRAY}"),
        format!("&&access_token={STRAY}&"),
        format!("access_token[]={STRAY}"),
        format!("user[access_token]={STRAY}"),
        format!("access_token={ISSUED}&access_token={STRAY}"),
        "access_token=short".to_owned(),
        "access_token=with%20blank".to_owned(),
        format!("api_key={STRAY}"),
        format!("apikey={STRAY}"),
        format!("token={STRAY}"),
        "token=abcd1".to_owned(),
        "sig=abcd%2Fefgh%3D".to_owned(),
        "signature=0a1b2c3d".to_owned(),
        "X-Amz-Signature=0a1b2c3d".to_owned(),
        "X-Amz-Credential=AKIA%2F20261122".to_owned(),
        "x-goog-signature=0a1b2c3d".to_owned(),
        "client_secret=s".to_owned(),
        "password=p".to_owned(),
        "key=AIzaSyA0123456789abcdefghijklmnopqrstu".to_owned(),
        "key=Zx81hGk29sLqPw0TnvB4".to_owned(),
        "deploy=x".to_owned(),
        "DEPLOY=x".to_owned(),
        format!("q={GHP}"),
        format!("q=a%20{JWT}%20b"),
        GHP.to_owned(),
        format!("{GHP}=1"),
        "redirect=https://user:Tr0ub4dor%263@example.com/".to_owned(),
        "redirect=https%3A%2F%2Fexample.com%2F%3Faccess_token%3Dabcd".to_owned(),
        "variables=%7B%22input%22%3A%7B%22password%22%3A%22hunter2%22%7D%7D".to_owned(),
        "variables=%7B%22githubPat%22%3A%22x%22%7D".to_owned(),
        "query=%7Ba(password:%22hunter2%22)%7D".to_owned(),
    ] {
        assert_eq!(foreign(&get(&format!("/x?{query}"))).len(), 1, "{query}");
    }
}

#[test]
fn user_information_and_paths_are_seen() {
    for (host, path) in [
        ("user:Tr0ub4dor@backboard.railway.app", "/"),
        ("8f0c3c4e-9d1b-4a57-b6de-0f3a5f1c2d7e@backboard.railway.app", "/"),
        ("h", "http://user:hunter2@h/"),
        ("h", "/hooks/ghp_16C7e42F292c6912E7710c838347Ae178B4a"),
        ("h", "/hooks/gh%70_16C7e42F292c6912E7710c838347Ae178B4a"),
        ("h", "/bot123456789:AAF3kd92mLq0PzTt81hGk29sLqPw0TnvB4x/sendMessage"),
    ] {
        let view = RequestView { host: host.into(), path: path.into(), ..get("/") };
        assert_eq!(foreign(&view), ["user information or path of the URL"], "{host} {path}");
    }
    let mut view = get("/");
    view.headers[0].1 = b"u:Tr0ub4dor@backboard.railway.app".to_vec();
    assert_eq!(foreign(&view).len(), 1);
}

#[test]
fn more_positions_than_are_told_apart_hide_nothing() {
    let good = format!("a={DERIVED};").repeat(super::super::SIGHTINGS_MAX);
    assert!(matches!(verdict(&with(&[("cookie", &good)])), CredentialVerdict::Good { .. }));
    let hidden = format!("{good}b=stray");
    assert_eq!(foreign(&with(&[("cookie", &hidden)])).len(), 1);
    let view = RequestView {
        headers: with(&[("cookie", &good)]).headers,
        ..json("{\"password\":\"hunter2\"}")
    };
    assert_eq!(foreign(&view).len(), 1);
}

#[test]
fn no_place_and_no_debug_output_repeats_a_secret() {
    let secrets = [STRAY, GHP, JWT, "hunter2hunter2"];
    for secret in secrets {
        for view in [
            with(&[("authorization", secret)]),
            with(&[("authorization", &format!("Bearer {secret}"))]),
            with(&[("authorization", &format!("{secret} {secret}"))]),
            with(&[("cookie", secret)]),
            with(&[("cookie", &format!("a={secret}"))]),
            with(&[("x-api-key", secret)]),
            with(&[("x-whatever", secret)]),
            get(&format!("/{secret}?{secret}&token={secret}")),
            json(&format!("{{\"password\":\"{secret}\",\"a\":[\"{secret}\"]}}")),
            json(&format!("{{\"query\":\"{{a(password:\\\"{secret}\\\")}}\"}}")),
        ] {
            let seen = look(&view);
            let shown = format!("{seen:?} {:?}", classify(&seen, &Vault));
            assert!(!shown.contains(secret), "{shown}");
        }
    }
    // A name is shown, but not when it looks like a credential itself.
    for view in [
        with(&[(GHP, "Bearer abcd")]),
        get(&format!("/x?{GHP}=1&{STRAY}=ghp_16C7e42F292c6912E7710c838347Ae178B4a")),
        json(&format!("{{\"{STRAY}\":{{\"{GHP}\":{{\"password\":\"hunter2\"}}}}}}")),
    ] {
        let shown = format!("{:?}", verdict(&view));
        assert!(!shown.contains(GHP) && !shown.contains(STRAY), "{shown}");
    }
}
